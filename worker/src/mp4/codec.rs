//! Codec strings for `CODECS` and `@codecs` (RFC 6381 and the codecs' own
//! registrations).

use std::fmt::Write as _;

use mp4_atom::{Av1c, Avcc, Codec, FourCC, Hvcc, Mp4a};

use super::Mp4Error;

/// The codec string of a sample entry.
pub(super) fn codec_string(entry: &Codec) -> Result<String, Mp4Error> {
    match entry {
        Codec::Avc1(avc1) => Ok(avc("avc1", &avc1.avcc)),
        Codec::Avc3(avc3) => Ok(avc("avc3", &avc3.avcc)),
        Codec::Hvc1(hvc1) => Ok(hevc("hvc1", &hvc1.hvcc)),
        Codec::Hev1(hev1) => Ok(hevc("hev1", &hev1.hvcc)),
        Codec::Av01(av01) => Ok(av1(&av01.av1c)),
        Codec::Mp4a(mp4a) => Ok(mpeg4_audio(mp4a)),
        Codec::Unknown(kind, _) => Err(Mp4Error::UnsupportedCodec(*kind)),
        _ => Err(Mp4Error::UnsupportedCodec(FourCC::new(b"????"))),
    }
}

/// `avc1.PPCCLL`: profile, constraint flags, level in hexadecimal
/// (RFC 6381, section 3.3).
fn avc(entry: &str, avcc: &Avcc) -> String {
    format!(
        "{entry}.{:02x}{:02x}{:02x}",
        avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication
    )
}

/// `hvc1.PROFILE.COMPATIBILITY.TIERLEVEL[.CONSTRAINTS]`
/// (ISO/IEC 14496-15, annex E.3).
fn hevc(entry: &str, hvcc: &Hvcc) -> String {
    let space = match hvcc.general_profile_space {
        1 => "A",
        2 => "B",
        3 => "C",
        _ => "",
    };
    let compatibility = u32::from_be_bytes(hvcc.general_profile_compatibility_flags).reverse_bits();
    let tier = if hvcc.general_tier_flag { 'H' } else { 'L' };
    let mut text = format!(
        "{entry}.{space}{}.{compatibility:X}.{tier}{}",
        hvcc.general_profile_idc, hvcc.general_level_idc
    );
    let constraints = &hvcc.general_constraint_indicator_flags;
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        let _ = write!(text, ".{byte:X}"); // a String takes everything
    }
    text
}

/// `av01.P.LLT.DD`: profile, level, tier, bit depth (AV1 in ISOBMFF,
/// section 5).
fn av1(av1c: &Av1c) -> String {
    let tier = if av1c.seq_tier_0 { 'H' } else { 'M' };
    let depth = match (av1c.high_bitdepth, av1c.twelve_bit) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    format!(
        "av01.{}.{:02}{tier}.{depth:02}",
        av1c.seq_profile, av1c.seq_level_idx_0
    )
}

/// `mp4a.40.OBJECT` for MPEG-4 audio, as 2 for AAC-LC; `mp4a.TYPE` for other
/// object types (RFC 6381, section 3.3).
fn mpeg4_audio(mp4a: &Mp4a) -> String {
    const MPEG4_AUDIO: u8 = 0x40;
    let config = &mp4a.esds.es_desc.dec_config;
    match (config.object_type_indication, &config.dec_specific) {
        (MPEG4_AUDIO, Some(specific)) => format!("mp4a.40.{}", specific.profile),
        (object_type, _) => format!("mp4a.{object_type:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hevc_drops_trailing_zero_constraints_and_reverses_compatibility() {
        let hvcc = Hvcc {
            general_profile_idc: 1,
            general_profile_compatibility_flags: [0x60, 0, 0, 0],
            general_constraint_indicator_flags: [0x90, 0, 0, 0, 0, 0],
            general_level_idc: 93,
            ..Hvcc::new()
        };
        assert_eq!(hevc("hvc1", &hvcc), "hvc1.1.6.L93.90");
        let main10_high = Hvcc {
            general_profile_idc: 2,
            general_profile_space: 1,
            general_tier_flag: true,
            general_profile_compatibility_flags: [0x20, 0, 0, 0],
            general_constraint_indicator_flags: [0xb0, 0, 0x10, 0, 0, 0],
            ..hvcc
        };
        assert_eq!(hevc("hev1", &main10_high), "hev1.A2.4.H93.B0.0.10");
    }

    #[test]
    fn av1_names_profile_level_tier_and_depth() {
        let main = Av1c {
            seq_level_idx_0: 4,
            ..Av1c::default()
        };
        assert_eq!(av1(&main), "av01.0.04M.08");
        let high10 = Av1c {
            seq_profile: 1,
            seq_level_idx_0: 19,
            seq_tier_0: true,
            high_bitdepth: true,
            ..Av1c::default()
        };
        assert_eq!(av1(&high10), "av01.1.19H.10");
    }
}
