use super::*;
use crate::ingest::sniff::tests::{AAC_CONFIG, AAC_FRAME, AVC_CONFIG, INTER, KEY, audio, video};

fn ms(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

/// The session's part: what a tag comes to at its own time.
fn take(connection: &mut Connection, tag: Tag) -> Result<Option<InputInfo>, SniffError> {
    let now = ms(tag.timestamp);
    connection.note(&tag, now);
    let opening = connection.sniff(tag, now)?;
    Ok(opening.map(|opening| opening.input))
}

/// A connection with picture and sound that has opened, and its input.
fn with_both() -> (Connection, InputInfo) {
    let mut connection = Connection::new();
    let mut input = None;
    for tag in [
        video(0, AVC_CONFIG),
        audio(0, AAC_CONFIG),
        video(0, KEY),
        audio(0, AAC_FRAME),
    ] {
        input = take(&mut connection, tag).unwrap().or(input);
    }
    let input = input.unwrap();
    assert!(input.video.is_some() && input.audio.is_some());
    assert!(connection.is_open());
    (connection, input)
}

#[test]
fn the_other_kinds_configuration_stands_before_one_that_comes_in() {
    let config = video(7, AVC_CONFIG);
    let sound = audio(7, AAC_CONFIG);
    let mut connection = Connection::new();
    connection.note(&config, ms(0));
    connection.note(&sound, ms(0));
    connection.sniff_again();
    assert_eq!(
        connection.configs_before(&sound),
        std::slice::from_ref(&config)
    );
    assert_eq!(
        connection.configs_before(&config),
        std::slice::from_ref(&sound)
    );
    assert_eq!(connection.configs_before(&video(7, INTER)), [config, sound]);
}

#[test]
fn what_was_given_up_is_looked_at_again() {
    let mut connection = Connection::new();
    let now = Duration::from_secs(30);
    connection.give_up(now);
    assert!(!connection.is_sniffing());
    assert!(connection.is_unusable(now));
    assert!(!connection.is_unusable(now + LOOK_AGAIN));
}

#[test]
fn sound_that_has_stopped_is_no_part_of_the_next_runs_input() {
    let (mut connection, input) = with_both();
    let mut stopped = None;
    for time in (40..9000).step_by(40) {
        let data = if time % 2000 == 0 { KEY } else { INTER };
        let tag = video(time, data);
        connection.note(&tag, ms(time));
        if let Some(change) = connection.change(&tag, &input, ms(time)) {
            assert_eq!(change, InputChange::Stopped(TagKind::Audio));
            stopped.get_or_insert(time);
        }
    }
    assert_eq!(stopped, Some(4000), "at a key frame");
    connection.sniff_again();
    assert_eq!(take(&mut connection, video(10_000, KEY)), Ok(None));
    let input = take(&mut connection, video(10_900, INTER)).unwrap();
    assert_eq!(input, None, "sound is waited for");
    let input = take(&mut connection, video(11_500, INTER))
        .unwrap()
        .unwrap();
    assert!(input.video.is_some());
    assert_eq!(input.audio, None);
}

#[test]
fn sound_goes_on_alone_where_the_picture_has_stopped() {
    let (mut connection, input) = with_both();
    let changes: Vec<_> = (20..4000)
        .step_by(20)
        .filter_map(|time| {
            let tag = audio(time, AAC_FRAME);
            connection.note(&tag, ms(time));
            connection.change(&tag, &input, ms(time))
        })
        .collect();
    assert_eq!(changes[0], InputChange::Stopped(TagKind::Video));
    connection.sniff_again();
    assert_eq!(take(&mut connection, audio(5000, AAC_FRAME)), Ok(None));
    let input = take(&mut connection, audio(5800, AAC_FRAME)).unwrap();
    assert_eq!(input, None);
    let input = take(&mut connection, audio(6500, AAC_FRAME)).unwrap();
    let input = input.unwrap();
    assert_eq!(input.video, None);
    assert!(input.audio.is_some());
}

#[test]
fn a_track_that_comes_late_is_a_change_once_it_can_be_decoded() {
    let (mut connection, input) = with_both();
    let only_picture = InputInfo {
        audio: None,
        ..input.clone()
    };
    let only_sound = InputInfo {
        video: None,
        ..input
    };
    let change = |connection: &Connection, tag: &Tag, input| connection.change(tag, input, ms(9));
    let sound = audio(9, AAC_FRAME);
    let appeared = Some(InputChange::Appeared(TagKind::Audio));
    assert_eq!(change(&connection, &sound, &only_picture), appeared);
    assert_eq!(
        change(&connection, &audio(9, AAC_CONFIG), &only_picture),
        None
    );
    let appeared = Some(InputChange::Appeared(TagKind::Video));
    assert_eq!(change(&connection, &video(9, KEY), &only_sound), appeared);
    assert_eq!(change(&connection, &video(9, INTER), &only_sound), None);
    connection.audio.config = None;
    assert_eq!(change(&connection, &sound, &only_picture), None);
}

#[test]
fn neither_a_pause_in_reading_nor_a_jump_of_the_clock_is_a_track_that_stopped() {
    let (connection, input) = with_both();
    assert_eq!(connection.change(&video(40, KEY), &input, ms(9000)), None);
    assert_eq!(connection.change(&video(9000, KEY), &input, ms(40)), None);
}
