//! A run may begin in the midst of a connection, whose decoder
//! configurations were sent but once, at its start.

use bytes::Bytes;

use super::*;

const AVC_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1];
const NEW_AVC_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1, 2];
const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 0xaa];
const INTER: &[u8] = &[0x27, 1, 0, 0, 0, 0xbb];
const AAC_CONFIG: &[u8] = &[0xaf, 0, 0x11, 0x90];
const AAC_FRAME: &[u8] = &[0xaf, 1, 0x21];

fn video(timestamp: u32, data: &'static [u8]) -> Tag {
    Tag {
        kind: TagKind::Video,
        timestamp,
        data: Bytes::from_static(data),
    }
}

fn audio(timestamp: u32, data: &'static [u8]) -> Tag {
    Tag {
        kind: TagKind::Audio,
        ..video(timestamp, data)
    }
}

/// A connection that has opened, and whose run has ended.
fn opened() -> Connection {
    let mut connection = Connection::new();
    let mut opening = None;
    for tag in [video(0, AVC_CONFIG), audio(0, AAC_CONFIG), video(0, KEY)] {
        connection.note(&tag);
        opening = connection.sniff(tag, Duration::ZERO).unwrap();
    }
    assert!(opening.is_some(), "both tracks are known");
    assert!(!connection.is_sniffing());
    connection
}

fn sniff_all(connection: &mut Connection, tags: Vec<Tag>) -> Option<Opening> {
    let mut opening = None;
    for tag in tags {
        connection.note(&tag);
        opening = connection.sniff(tag, Duration::ZERO).unwrap();
    }
    opening
}

#[test]
fn the_next_run_begins_with_the_configurations_of_before_at_its_time() {
    let mut connection = opened();
    connection.sniff_again();
    let tags = vec![
        video(9_000, INTER),
        audio(9_010, AAC_FRAME),
        video(9_040, KEY),
    ];
    let opening = sniff_all(&mut connection, tags).unwrap();
    assert!(opening.input.audio.is_some());
    assert_eq!(
        opening.tags,
        [
            video(9_000, AVC_CONFIG),
            audio(9_000, AAC_CONFIG),
            video(9_040, KEY)
        ]
    );
}

#[test]
fn a_new_configuration_takes_the_place_of_the_old_and_of_no_other() {
    let mut connection = opened();
    connection.sniff_again();
    let tags = vec![video(9_000, NEW_AVC_CONFIG), video(9_000, KEY)];
    let opening = sniff_all(&mut connection, tags).unwrap();
    assert!(opening.input.audio.is_some(), "its configuration is known");
    assert_eq!(
        opening.tags,
        [
            audio(9_000, AAC_CONFIG),
            video(9_000, NEW_AVC_CONFIG),
            video(9_000, KEY)
        ]
    );
}

#[test]
fn what_was_given_up_is_not_tried_again() {
    let mut connection = opened();
    connection.sniff_again();
    connection.give_up();
    assert!(connection.is_unusable() && !connection.is_sniffing());
    let opening = sniff_all(&mut connection, vec![video(9_000, KEY)]);
    assert_eq!(opening, None);
    assert_eq!(connection.poll(Duration::from_secs(60)), Ok(None));
}
