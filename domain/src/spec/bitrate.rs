//! Bitrates as clients write them.

use std::ops::RangeInclusive;

use super::node::Node;
use super::report::shown;

/// Reads an integer in bit/s, or text as `"550k"` or `"2.5M"` (powers of
/// 1000). The error is a fault's text.
pub(super) fn read(node: &Node, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let (bits, bare) = match node {
        Node::Number(number) if number.fract() == 0.0 && *number >= 0.0 => (*number, true),
        Node::Number(_) => return Err("must be a whole number of bit/s".to_owned()),
        Node::Text(text) => match from_text(text) {
            Some(bits) => (bits as f64, !text.ends_with(|c: char| c.is_alphabetic())),
            None => {
                let text = shown(text);
                return Err(format!(
                    "must be a bitrate as \"550k\", \"2.5M\" or 550000 (bit/s), not {text}"
                ));
            }
        },
        other => {
            let kind = other.kind();
            return Err(format!(
                "must be a bitrate as \"550k\", \"2.5M\" or 550000 (bit/s), not {kind}"
            ));
        }
    };
    let (low, high) = (*range.start(), *range.end());
    if bits < f64::from(low) && bare && bits > 0.0 {
        return Err(format!(
            "{bits} bit/s is too little; for kbit/s write \"{bits}k\""
        ));
    }
    if bits < f64::from(low) || bits > f64::from(high) {
        return Err(format!(
            "must be from {} to {}",
            written(low),
            written(high)
        ));
    }
    Ok(bits as u32)
}

/// The shortest way to write so many bit/s.
pub(super) fn written(bits: u32) -> String {
    match bits {
        _ if bits >= 1_000_000 && bits.is_multiple_of(100_000) => {
            format!("{}M", f64::from(bits) / 1e6)
        }
        _ if bits.is_multiple_of(1000) => format!("{}k", bits / 1000),
        _ => bits.to_string(),
    }
}

/// Exact: no floating point, so that "0.365M" is 365000. Fractions of a bit
/// are dropped. `None` for anything but `digits[.digits][k|M]`.
fn from_text(text: &str) -> Option<u64> {
    const LONGEST: usize = 24;
    if text.len() > LONGEST {
        return None;
    }
    let (number, scale) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1_000),
        (at, 'm' | 'M') => (&text[..at], 1_000_000),
        _ => (text, 1),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let part = fraction.parse::<u64>().ok()? * scale / 10_u64.pow(fraction.len() as u32);
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_exactly() {
        for (text, bits) in [
            ("550k", Some(550_000)),
            ("2.5M", Some(2_500_000)),
            ("0.365m", Some(365_000)),
            ("550000", Some(550_000)),
            ("1.9999K", Some(1_999)),
            ("", None),
            ("k", None),
            (".5M", None),
            ("5.M", None),
            ("-550k", None),
            ("+550k", None),
            ("5e5", None),
            ("550 k", None),
            ("550kbps", None),
            ("٥٥٠k", None),
            ("999999999999999999M", None),
            ("1k\0", None),
        ] {
            assert_eq!(from_text(text), bits, "{text:?}");
        }
    }

    #[test]
    fn small_integers_were_meant_as_kbit() {
        let range = 10_000..=1_000_000;
        let fault = read(&Node::Number(365.0), &range).unwrap_err();
        assert_eq!(fault, "365 bit/s is too little; for kbit/s write \"365k\"");
        assert!(read(&Node::Text("365".to_owned()), &range).is_err());
        assert_eq!(
            read(&Node::Text("5k".to_owned()), &range).unwrap_err(),
            "must be from 10k to 1M"
        );
        for hostile in [-1.0, 0.5, 0.0, 1e300, f64::MAX, -0.5] {
            assert!(read(&Node::Number(hostile), &range).is_err(), "{hostile}");
        }
    }
}
