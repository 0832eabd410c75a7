//! Video tags (FLV annex E.4.3) and the AVCDecoderConfigurationRecord (ISO/IEC
//! 14496-15, 5.3.3.1).

use domain::input::InputVideo;
use h264_reader::avcc::AvcDecoderConfigurationRecord;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal};

use super::SniffError;
use crate::ingest::flv::tag::AVC;
use crate::ingest::{Metadata, is_frame_rate};

/// The track, where this tag tells it.
pub fn read(data: &[u8], metadata: Option<&Metadata>) -> Result<Option<InputVideo>, SniffError> {
    let [flags, rest @ ..] = data else {
        return Ok(None);
    };
    // Enhanced RTMP v1: the top bit, and a FourCC after the flags.
    if flags & 0x80 != 0 {
        return Err(SniffError::Unsupported {
            codec: four_cc(rest),
        });
    }
    let mut found = InputVideo {
        codec: String::new(),
        width: metadata.and_then(|m| m.width).unwrap_or(0),
        height: metadata.and_then(|m| m.height).unwrap_or(0),
        fps: metadata.and_then(|m| m.framerate),
    };
    let name = match flags & 0x0f {
        AVC => {
            let [0, _, _, _, config @ ..] = rest else {
                return Ok(None);
            };
            if config.is_empty() {
                return Ok(None);
            }
            // What the stream itself says counts more than the metadata, which
            // publishers make up, or don't change with their settings.
            if let Some(sps) = sequence_parameters(config) {
                if let Ok((width, height)) = sps.pixel_dimensions() {
                    (found.width, found.height) = (width, height);
                }
                found.fps = sps.fps().filter(|fps| is_frame_rate(*fps)).or(found.fps);
            }
            "h264"
        }
        2 => "flv1",
        3 => "flashsv",
        4 => "vp6f",
        5 => "vp6a",
        6 => "flashsv2",
        // Not in any specification, but some encoders send it.
        12 => {
            return Err(SniffError::Unsupported {
                codec: "hevc".to_owned(),
            });
        }
        codec => {
            return Err(SniffError::Unsupported {
                codec: format!("video codec {codec}"),
            });
        }
    };
    found.codec = name.to_owned();
    // A command frame (type 5) is no video.
    Ok((flags >> 4 != 5).then_some(found))
}

fn sequence_parameters(config: &[u8]) -> Option<SeqParameterSet> {
    let record = AvcDecoderConfigurationRecord::try_from(config).ok()?;
    let unit = record.sequence_parameter_sets().next()?.ok()?;
    SeqParameterSet::from_bits(RefNal::new(unit, &[], true).rbsp_bits()).ok()
}

/// A FourCC as text that may be shown.
pub fn four_cc(bytes: &[u8]) -> String {
    match bytes.first_chunk::<4>() {
        Some(code) if code.iter().all(u8::is_ascii_graphic) => {
            code.iter().copied().map(char::from).collect()
        }
        _ => "of an unknown kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From libx264: 768x432, 25 frames a second, High profile.
    const CONFIG: &[u8] = &[
        0x17, 0x00, 0x00, 0x00, 0x00, 0x01, 0x64, 0x00, 0x1e, 0xff, 0xe1, 0x00, 0x19, 0x67, 0x64,
        0x00, 0x1e, 0xac, 0xd9, 0x40, 0xc0, 0x37, 0xb0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
        0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0x01, 0x00, 0x05, 0x68, 0xea, 0xe3, 0xf2,
        0xc0, 0xfd, 0xf8, 0xf8, 0x00,
    ];

    #[test]
    fn the_stream_counts_more_than_the_metadata() {
        let metadata = Metadata {
            width: Some(1),
            height: Some(2),
            framerate: Some(24.0),
            ..Metadata::default()
        };
        let found = read(CONFIG, Some(&metadata)).unwrap().unwrap();
        assert_eq!(
            (found.codec.as_str(), found.width, found.height),
            ("h264", 768, 432)
        );
        assert_eq!(found.fps, Some(25.0));
        assert_eq!(read(CONFIG, None).unwrap().unwrap().fps, Some(25.0));
    }

    #[test]
    fn where_the_stream_says_nothing_the_metadata_counts() {
        let metadata = Metadata {
            framerate: Some(24.0),
            ..Metadata::default()
        };
        // A configuration that can't be read, and a codec that has none.
        for data in [&[0x17, 0, 0, 0, 0, 1][..], &[0x12, 0]] {
            let found = read(data, Some(&metadata)).unwrap().unwrap();
            assert_eq!(found.fps, Some(24.0));
        }
    }

    #[test]
    fn what_ffmpeg_cannot_read_is_named() {
        for (data, codec) in [
            (&b"\x90hvc1\0"[..], "hvc1"),
            (b"\x90av01\0", "av01"),
            (b"\x90vp09\0", "vp09"),
            (b"\x1c\0\0\0\0\0", "hevc"),
        ] {
            let refused = read(data, None).unwrap_err();
            assert_eq!(
                refused,
                SniffError::Unsupported {
                    codec: codec.to_owned()
                }
            );
            assert!(refused.to_string().contains("publish H.264 and AAC"));
        }
    }

    proptest! {
        #[test]
        fn any_config_is_read(mut data in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&data, None);
            data.splice(0..0, [0x17, 0, 0, 0, 0, 1]);
            let _ = read(&data, None);
        }

        #[test]
        fn a_damaged_config_is_read(at in 5..CONFIG.len(), bit in 0_u8..8) {
            let mut data = CONFIG.to_vec();
            data[at] ^= 1 << bit;
            let _ = read(&data, None);
        }
    }
}
