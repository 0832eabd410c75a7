//! Reading AMF0 (Adobe AMF 0 specification, December 2007) from strangers.
//!
//! Values are the library's own; the reader is ours because the library's
//! recurses as deep as the sender likes, which ends the process.

use std::collections::HashMap;

use rml_rtmp::rml_amf0::Amf0Value;

/// Objects within objects: `connect` needs one level, metadata two.
const MAX_DEPTH: usize = 8;

/// The bytes are not AMF0, or nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Reads every value of a message. Dates, long strings and references to
/// earlier objects, which no publisher needs, read as their plain value or
/// `Undefined`.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Amf0Value>, Invalid> {
    let mut rest = Reader(bytes);
    let mut values = Vec::new();
    while !rest.0.is_empty() {
        values.push(rest.value(MAX_DEPTH)?);
    }
    Ok(values)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Invalid> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Invalid)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        self.take(N)?.try_into().map_err(|_| Invalid)
    }

    fn value(&mut self, depth: usize) -> Result<Amf0Value, Invalid> {
        let depth = depth.checked_sub(1).ok_or(Invalid)?;
        let [marker] = self.array()?;
        Ok(match marker {
            0x00 => Amf0Value::Number(f64::from_be_bytes(self.array()?)),
            0x01 => Amf0Value::Boolean(self.array::<1>()? != [0]),
            0x02 => Amf0Value::Utf8String(self.short_string()?),
            0x03 => Amf0Value::Object(self.properties(depth)?),
            0x05 => Amf0Value::Null,
            0x06 => Amf0Value::Undefined,
            0x07 => {
                self.take(2)?;
                Amf0Value::Undefined
            }
            // The count of an ECMA array is a hint; an end marker closes it.
            0x08 => {
                self.take(4)?;
                Amf0Value::Object(self.properties(depth)?)
            }
            0x0a => Amf0Value::StrictArray(self.elements(depth)?),
            0x0b => {
                let millis = f64::from_be_bytes(self.array()?);
                self.take(2)?;
                Amf0Value::Number(millis)
            }
            0x0c | 0x0f => {
                let length = u32::from_be_bytes(self.array()?);
                Amf0Value::Utf8String(self.text(length as usize)?)
            }
            0x10 => {
                self.short_string()?;
                Amf0Value::Object(self.properties(depth)?)
            }
            _ => return Err(Invalid),
        })
    }

    fn short_string(&mut self) -> Result<String, Invalid> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    /// Old encoders write the machine's own charset into metadata: bytes that
    /// are no UTF-8 are replaced rather than refused.
    fn text(&mut self, length: usize) -> Result<String, Invalid> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn properties(&mut self, depth: usize) -> Result<HashMap<String, Amf0Value>, Invalid> {
        let mut properties = HashMap::new();
        loop {
            let name = self.short_string()?;
            if name.is_empty() && self.0.first() == Some(&0x09) {
                self.take(1)?;
                return Ok(properties);
            }
            properties.insert(name, self.value(depth)?);
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Amf0Value>, Invalid> {
        let count = u32::from_be_bytes(self.array()?) as usize;
        // Every element takes a byte at least, so a greater count is a lie.
        if count > self.0.len() {
            return Err(Invalid);
        }
        (0..count).map(|_| self.value(depth)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scalar() -> impl Strategy<Value = Amf0Value> {
        prop_oneof![
            any::<i32>().prop_map(|n| Amf0Value::Number(f64::from(n))),
            any::<bool>().prop_map(Amf0Value::Boolean),
            "\\PC{0,20}".prop_map(Amf0Value::Utf8String),
            Just(Amf0Value::Null),
            Just(Amf0Value::Undefined),
        ]
    }

    fn value() -> impl Strategy<Value = Amf0Value> {
        scalar().prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::hash_map("[a-z]{1,8}", inner.clone(), 0..6)
                    .prop_map(Amf0Value::Object),
                proptest::collection::vec(inner, 0..6).prop_map(Amf0Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_the_library_writes_reads_back(values in proptest::collection::vec(value(), 0..5)) {
            let bytes = rml_rtmp::rml_amf0::serialize(&values).unwrap();
            prop_assert_eq!(read_all(&bytes), Ok(values));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn a_cut_message_is_refused(values in proptest::collection::vec(value(), 1..4), cut in 1_usize..40) {
            let bytes = rml_rtmp::rml_amf0::serialize(&values).unwrap();
            let kept = bytes.len().saturating_sub(cut);
            // A cut between two values leaves a shorter, valid message.
            if let Ok(read) = read_all(&bytes[..kept]) {
                prop_assert!(read.len() < values.len());
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let bomb = [0x0a, 0, 0, 0, 1].repeat(100_000);
        assert_eq!(read_all(&bomb), Err(Invalid));
        let objects = [0x03, 0, 1, b'a'].repeat(100_000);
        assert_eq!(read_all(&objects), Err(Invalid));
    }

    #[test]
    fn a_count_beyond_the_message_allocates_nothing() {
        assert_eq!(
            read_all(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x05]),
            Err(Invalid)
        );
    }

    #[test]
    fn dates_and_long_strings_are_read() {
        let mut bytes = vec![0x0b];
        bytes.extend(1_000_f64.to_be_bytes());
        bytes.extend([0, 0, 0x0c, 0, 0, 0, 2, b'h', b'i']);
        assert_eq!(
            read_all(&bytes),
            Ok(vec![
                Amf0Value::Number(1000.0),
                Amf0Value::Utf8String("hi".into())
            ])
        );
    }
}
