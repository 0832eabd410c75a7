use bytes::Bytes;

use super::*;

pub(crate) const AVC_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1];
pub(crate) const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 0xaa];
pub(crate) const INTER: &[u8] = &[0x27, 1, 0, 0, 0, 0xbb];
pub(crate) const AAC_CONFIG: &[u8] = &[0xaf, 0, 0x11, 0x90];
pub(crate) const AAC_FRAME: &[u8] = &[0xaf, 1, 0x21];

pub(crate) fn video(timestamp: u32, data: &'static [u8]) -> Tag {
    Tag {
        kind: TagKind::Video,
        timestamp,
        data: Bytes::from_static(data),
    }
}

pub(crate) fn audio(timestamp: u32, data: &'static [u8]) -> Tag {
    Tag {
        kind: TagKind::Audio,
        timestamp,
        data: Bytes::from_static(data),
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn both_tracks_are_enough_at_once_and_no_tag_is_lost() {
    let mut sniffer = Sniffer::default();
    assert_eq!(sniffer.tag(video(0, AVC_CONFIG), ms(0)), Ok(None));
    assert_eq!(sniffer.tag(video(0, KEY), ms(1)), Ok(None));
    assert_eq!(sniffer.tag(video(40, INTER), ms(41)), Ok(None));
    // A configuration is no sound.
    assert_eq!(sniffer.tag(audio(0, AAC_CONFIG), ms(42)), Ok(None));
    let opening = sniffer.tag(audio(30, AAC_FRAME), ms(43)).unwrap().unwrap();
    assert_eq!(opening.input.video.unwrap().codec, "h264");
    assert_eq!(opening.input.audio.unwrap().sample_rate, 48_000);
    let expected = [
        video(0, AVC_CONFIG),
        video(0, KEY),
        video(40, INTER),
        audio(0, AAC_CONFIG),
        audio(30, AAC_FRAME),
    ];
    assert_eq!(opening.tags, expected);
}

#[test]
fn a_track_that_was_announced_is_waited_for_longer_but_not_in_mid_connection() {
    let announced = |mut sniffer: Sniffer| {
        sniffer.metadata(Metadata {
            has_video: true,
            has_audio: true,
            ..Metadata::default()
        });
        sniffer.tag(video(0, AVC_CONFIG), ms(0)).unwrap();
        sniffer.tag(video(0, KEY), ms(0)).unwrap();
        sniffer
    };
    let mut sniffer = announced(Sniffer::default());
    assert_eq!(sniffer.poll(PATIENCE), Ok(None));
    let opening = sniffer.poll(PATIENCE_WITH_ANNOUNCED).unwrap().unwrap();
    assert_eq!(opening.input.audio, None);
    let mut sniffer = announced(Sniffer::midway());
    assert!(sniffer.poll(PATIENCE).unwrap().is_some());
}

#[test]
fn a_configuration_without_frames_is_neither_a_track_nor_in_the_opening() {
    let mut sniffer = Sniffer::midway();
    sniffer.tag(audio(0, AAC_CONFIG), ms(0)).unwrap();
    sniffer.tag(video(0, AVC_CONFIG), ms(0)).unwrap();
    sniffer.tag(video(0, KEY), ms(0)).unwrap();
    let opening = sniffer.poll(PATIENCE).unwrap().unwrap();
    assert_eq!(opening.input.audio, None);
    assert_eq!(opening.tags, [video(0, AVC_CONFIG), video(0, KEY)]);

    let mut sniffer = Sniffer::midway();
    sniffer.tag(video(0, AVC_CONFIG), ms(0)).unwrap();
    sniffer.tag(audio(0, AAC_CONFIG), ms(0)).unwrap();
    sniffer.tag(audio(20, AAC_FRAME), ms(20)).unwrap();
    let opening = sniffer.poll(PATIENCE).unwrap().unwrap();
    assert_eq!(opening.input.video, None);
    assert_eq!(opening.tags.len(), 2);
}

#[test]
fn configurations_are_held_but_once_and_time_never_overflows() {
    const OTHER_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 2];
    let mut sniffer = Sniffer::default();
    sniffer.tag(audio(0, AAC_CONFIG), ms(0)).unwrap();
    for time in 0..1000 {
        sniffer.tag(video(time, AVC_CONFIG), ms(0)).unwrap();
        sniffer.tag(video(time, KEY), ms(0)).unwrap();
        sniffer.tag(video(time, OTHER_CONFIG), ms(0)).unwrap();
        sniffer.tag(video(time, OTHER_CONFIG), ms(0)).unwrap();
        sniffer.tag(audio(time, AAC_CONFIG), ms(0)).unwrap();
    }
    assert_eq!(
        sniffer.held,
        [audio(0, AAC_CONFIG), video(999, OTHER_CONFIG)]
    );
    assert_eq!(
        sniffer.held_bytes,
        sniffer.held.iter().map(held_size).sum::<usize>()
    );
    assert!(
        !sniffer.is_decodable(),
        "its key frame was another coding's"
    );
    sniffer.media_ms = u32::MAX - 1;
    sniffer.furthest = Some(0);
    sniffer.measure(40);
    assert_eq!(sniffer.media_ms, u32::MAX);
}

#[test]
fn what_comes_before_the_key_frame_is_left_out_but_for_the_headers() {
    let mut sniffer = Sniffer::default();
    for tag in [
        audio(0, AAC_CONFIG),
        audio(5, AAC_FRAME),
        video(0, AVC_CONFIG),
        video(0, INTER),
        audio(30, AAC_FRAME),
    ] {
        assert_eq!(sniffer.tag(tag, ms(0)), Ok(None));
    }
    let opening = sniffer.tag(video(40, KEY), ms(10)).unwrap().unwrap();
    assert_eq!(
        opening.tags,
        [audio(0, AAC_CONFIG), video(0, AVC_CONFIG), video(40, KEY)]
    );
}

#[test]
fn metadata_that_names_one_track_saves_the_wait() {
    let mut sniffer = Sniffer::default();
    sniffer.metadata(Metadata {
        has_video: true,
        ..Metadata::default()
    });
    assert_eq!(sniffer.tag(video(0, AVC_CONFIG), ms(0)), Ok(None));
    let opening = sniffer.tag(video(0, KEY), ms(1)).unwrap().unwrap();
    assert_eq!(opening.input.audio, None);
}

#[test]
fn patience_ends_by_the_wall_or_by_the_media() {
    let start = || {
        let mut sniffer = Sniffer::default();
        sniffer.tag(video(0, AVC_CONFIG), ms(100)).unwrap();
        assert_eq!(sniffer.tag(video(u32::MAX - 9, KEY), ms(100)), Ok(None));
        sniffer
    };
    assert_eq!(start().poll(ms(1599)), Ok(None));
    assert!(start().poll(ms(1600)).unwrap().is_some());
    let mut sniffer = start();
    assert_eq!(sniffer.tag(video(740, INTER), ms(101)), Ok(None));
    // Frames may come in another order than their times, within bounds.
    assert_eq!(sniffer.tag(video(700, INTER), ms(101)), Ok(None));
    assert_eq!(sniffer.tag(video(1489, INTER), ms(101)), Ok(None));
    assert!(sniffer.tag(video(1490, INTER), ms(101)).unwrap().is_some());
    // A jump of the clock is no media time.
    assert_eq!(start().tag(video(5_000_000, INTER), ms(101)), Ok(None));
}

#[test]
fn sound_alone_is_an_input_but_silence_is_none() {
    let mut sniffer = Sniffer::default();
    sniffer.tag(audio(0, AAC_CONFIG), ms(0)).unwrap();
    sniffer.tag(audio(20, AAC_FRAME), ms(20)).unwrap();
    let opening = sniffer.poll(PATIENCE).unwrap().unwrap();
    assert_eq!(opening.input.video, None);
    assert_eq!(opening.tags.len(), 2);

    let mut sniffer = Sniffer::default();
    assert_eq!(sniffer.poll(GIVE_UP), Ok(None));
    sniffer.tag(audio(0, AAC_FRAME), ms(0)).unwrap();
    assert_eq!(sniffer.poll(GIVE_UP), Err(SniffError::Nothing));
}

#[test]
fn a_video_without_a_key_frame_is_waited_for() {
    let mut sniffer = Sniffer::default();
    sniffer.tag(audio(0, AAC_CONFIG), ms(0)).unwrap();
    sniffer.tag(video(0, AVC_CONFIG), ms(0)).unwrap();
    assert_eq!(sniffer.tag(video(5000, INTER), ms(5000)), Ok(None));
    assert!(sniffer.tag(video(5040, KEY), ms(5040)).unwrap().is_some());
}

#[test]
fn pictures_that_can_be_decoded_are_given_the_time_to_their_next_key_frame() {
    let mut sniffer = Sniffer::default();
    assert_eq!(sniffer.tag(video(0, AVC_CONFIG), ms(0)), Ok(None));
    for second in 0..20 {
        let frame = video(second * 1000, INTER);
        assert_eq!(sniffer.tag(frame, ms(u64::from(second) * 1000)), Ok(None));
    }
    let opening = sniffer.tag(video(20_000, KEY), ms(20_000)).unwrap();
    assert_eq!(
        opening.unwrap().tags,
        [video(0, AVC_CONFIG), video(20_000, KEY)]
    );
    let mut without_key = Sniffer::default();
    assert_eq!(without_key.tag(video(0, AVC_CONFIG), ms(0)), Ok(None));
    assert_eq!(without_key.tag(video(0, INTER), ms(0)), Ok(None));
    let end = without_key.poll(KEY_FRAME_PATIENCE);
    assert_eq!(end, Err(SniffError::Nothing));
}
