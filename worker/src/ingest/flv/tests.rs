use bytes::Bytes;
use domain::input::{InputAudio, InputVideo};
use proptest::prelude::*;

use super::*;

const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 0xaa];
const INTER: &[u8] = &[0x27, 1, 0, 0, 0, 0xbb];
const AVC_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1];
const AAC_CONFIG: &[u8] = &[0xaf, 0, 0x11, 0x90];
const AAC_FRAME: &[u8] = &[0xaf, 1, 0x21];

fn both() -> InputInfo {
    InputInfo {
        video: Some(InputVideo {
            codec: "h264".into(),
            width: 0,
            height: 0,
            fps: None,
        }),
        audio: Some(InputAudio {
            codec: "aac".into(),
            sample_rate: 48_000,
            channels: 2,
        }),
    }
}

fn tag(kind: TagKind, timestamp: u32, data: &[u8]) -> Tag {
    Tag {
        kind,
        timestamp,
        data: Bytes::copy_from_slice(data),
    }
}

fn write(writer: &mut FlvWriter, tag: &Tag, elapsed_ms: u64) -> Vec<u8> {
    let mut output = BytesMut::new();
    writer
        .write(tag, Duration::from_millis(elapsed_ms), &mut output)
        .unwrap();
    output.to_vec()
}

#[test]
fn the_bytes_are_flv() {
    let mut writer = FlvWriter::new(&both());
    let first = write(&mut writer, &tag(TagKind::Video, 90, AVC_CONFIG), 0);
    let header = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
    let config = [
        &[9, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
        AVC_CONFIG,
        &[0, 0, 0, 17],
    ]
    .concat();
    assert_eq!(first, [&header[..], &config].concat());
    // The extended byte of the timestamp is the fourth.
    writer.begin_connection();
    let audio = tag(TagKind::Audio, 0, AAC_FRAME);
    let expected = [
        &[8, 0, 0, 3, 0x02, 0x03, 0x04, 0x01, 0, 0, 0],
        AAC_FRAME,
        &[0, 0, 0, 14],
    ];
    assert_eq!(write(&mut writer, &audio, 0x0102_0304), expected.concat());
}

#[test]
fn a_run_beyond_49_days_wraps() {
    let mut writer = FlvWriter::new(&both());
    let elapsed = u64::from(u32::MAX) + 6;
    let bytes = write(&mut writer, &tag(TagKind::Audio, 0, AAC_FRAME), elapsed);
    assert_eq!(bytes[13 + 4..13 + 8], [0, 0, 5, 0]);
}

#[test]
fn a_connection_begins_at_a_key_frame_and_the_header_comes_once() {
    let mut writer = FlvWriter::new(&both());
    assert!(write(&mut writer, &tag(TagKind::Video, 0, INTER), 0).is_empty());
    assert!(!write(&mut writer, &tag(TagKind::Video, 0, AVC_CONFIG), 0).is_empty());
    assert!(!write(&mut writer, &tag(TagKind::Video, 0, KEY), 0).is_empty());
    assert!(!write(&mut writer, &tag(TagKind::Video, 40, INTER), 40).is_empty());
    writer.begin_connection();
    assert!(write(&mut writer, &tag(TagKind::Video, 0, INTER), 4000).is_empty());
    // A sequence header takes the time of its track, its own is nobody's.
    let config = write(&mut writer, &tag(TagKind::Video, 77, AVC_CONFIG), 4000);
    assert_eq!((config[0], &config[4..8]), (9, &[0, 0, 40, 0][..]));
    let key = write(&mut writer, &tag(TagKind::Video, 0, KEY), 4000);
    assert_eq!((key[0], &key[4..8]), (9, &[0, 0x0f, 0xa0, 0][..]));
}

#[test]
fn only_the_picture_size_may_change_within_a_run() {
    let writer = FlvWriter::new(&both());
    let mut other = both();
    other.video.as_mut().unwrap().width = 320;
    assert!(writer.can_continue_with(&other));
    other.audio.as_mut().unwrap().sample_rate = 44_100;
    assert!(!writer.can_continue_with(&other));
    assert!(!writer.can_continue_with(&InputInfo {
        audio: None,
        ..both()
    }));
    assert!(!writer.can_continue_with(&InputInfo {
        video: None,
        ..both()
    }));
}

#[test]
fn what_the_plan_has_no_track_for_is_left_out() {
    let mut writer = FlvWriter::new(&InputInfo {
        audio: None,
        ..both()
    });
    assert!(write(&mut writer, &tag(TagKind::Audio, 0, AAC_CONFIG), 0).is_empty());
    let video = write(&mut writer, &tag(TagKind::Video, 0, KEY), 0);
    assert_eq!(video[4], 1);
}

#[test]
fn a_fast_publisher_is_to_be_held_back() {
    let mut writer = FlvWriter::new(&both());
    let mut output = BytesMut::new();
    let mut hold = Duration::ZERO;
    for step in 0..=50 {
        let tag = tag(TagKind::Video, step * 100, KEY);
        hold = writer.write(&tag, Duration::ZERO, &mut output).unwrap();
        assert_eq!(hold > Duration::ZERO, step > 30, "at {step}");
    }
    assert_eq!(hold, Duration::from_secs(2));
}

proptest! {
    /// A reader by the book finds every tag, whatever was in it.
    #[test]
    fn the_stream_can_be_walked(
        tags in proptest::collection::vec(
            (any::<bool>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..40,
        ),
    ) {
        let mut writer = FlvWriter::new(&both());
        let mut output = BytesMut::new();
        for (video, timestamp, data) in tags {
            let kind = if video { TagKind::Video } else { TagKind::Audio };
            let tag = Tag { kind, timestamp, data: data.into() };
            writer.write(&tag, Duration::ZERO, &mut output).unwrap();
        }
        let mut rest = &output[..];
        if !rest.is_empty() {
            prop_assert_eq!(&rest[..13], b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
            rest = &rest[13..];
        }
        while !rest.is_empty() {
            prop_assert!(matches!(rest[0], 8 | 9));
            let size = usize::from(rest[2]) << 8 | usize::from(rest[3]);
            let back = u32::from_be_bytes(rest[11 + size..15 + size].try_into().unwrap());
            prop_assert_eq!(back as usize, 11 + size);
            rest = &rest[15 + size..];
        }
    }
}
