//! Both ends of the protocol against another implementation's, and against
//! what has been made of its bytes by someone who means ill.

use bytes::Bytes;
use proptest::prelude::*;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, ServerSession, ServerSessionConfig, ServerSessionEvent,
    ServerSessionResult, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

use super::play::{self, PlaySession, Target};
use super::publish::{PublishSession, Step};
use crate::ingest::{Tag, TagKind};

/// Another implementation's bytes after a handshake: what it answered, and
/// what it has left for its session.
fn shake(handshake: &mut Handshake, bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    match handshake.process_bytes(bytes).unwrap() {
        HandshakeProcessResult::InProgress { response_bytes } => (response_bytes, None),
        HandshakeProcessResult::Completed {
            response_bytes,
            remaining_bytes,
        } => (response_bytes, Some(remaining_bytes)),
    }
}

/// A whole publisher's life by another implementation: the bytes it sent, in
/// the pieces it sent them in, and the steps that our server made of them.
fn published() -> (Vec<Vec<u8>>, Vec<Step>) {
    let mut server = PublishSession::new();
    let mut handshake = Handshake::new(PeerType::Client);
    let (mut sent, mut steps) = (
        vec![handshake.generate_outbound_p0_and_p1().unwrap()],
        Vec::new(),
    );
    server.receive(&sent[0]).unwrap();
    let (answer, rest) = shake(&mut handshake, &server.take_output());
    assert_eq!(rest, Some(Vec::new()));
    server.receive(&answer).unwrap();
    sent.push(answer);

    let (mut client, first) = ClientSession::new(ClientSessionConfig::new()).unwrap();
    let mut outbox = first;
    outbox.push(client.request_connection("live".to_owned()).unwrap());
    while !outbox.is_empty() {
        let mut events = Vec::new();
        for result in outbox.drain(..) {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    server.receive(&packet.bytes).unwrap();
                    sent.push(packet.bytes);
                }
                ClientSessionResult::RaisedEvent(event) => events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        for event in events {
            match event {
                ClientSessionEvent::ConnectionRequestAccepted => outbox.push(
                    client
                        .request_publishing("k".to_owned(), PublishRequestType::Live)
                        .unwrap(),
                ),
                ClientSessionEvent::PublishRequestAccepted => outbox.extend(media(&mut client)),
                _ => {}
            }
        }
        while let Some(step) = server.next_step().unwrap() {
            if matches!(step, Step::PublishRequested { .. }) {
                server.accept().unwrap();
            }
            steps.push(step);
        }
        outbox.extend(client.handle_input(&server.take_output()).unwrap());
    }
    (sent, steps)
}

const VIDEO: &[u8] = &[0x17, 1, 0, 0, 0, 9, 9, 9];

fn media(client: &mut ClientSession) -> Vec<ClientSessionResult> {
    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(640);
    metadata.video_codec_id = Some(7);
    let video = Bytes::from_static(VIDEO).repeat(1000);
    let time = RtmpTimestamp::new;
    let mut results = vec![
        client.publish_metadata(&metadata).unwrap(),
        client
            .publish_video_data(video.into(), time(40), false)
            .unwrap(),
        client
            .publish_audio_data(Bytes::from_static(b"\xaf\x01!"), time(41), false)
            .unwrap(),
    ];
    results.extend(client.stop_publishing().unwrap());
    results
}

#[test]
fn another_implementation_publishes() {
    let (_, steps) = published();
    let [
        Step::PublishRequested { name },
        Step::Metadata(metadata),
        video,
        audio,
        Step::Finished,
    ] = &steps[..]
    else {
        panic!("{steps:?}");
    };
    assert_eq!(name, "k");
    assert_eq!(
        (metadata.width, metadata.has_video, metadata.has_audio),
        (Some(640), true, false)
    );
    let data = VIDEO.repeat(1000).into();
    assert_eq!(
        *video,
        Step::Tag(Tag {
            kind: TagKind::Video,
            timestamp: 40,
            data
        })
    );
    let data = Bytes::from_static(b"\xaf\x01!");
    assert_eq!(
        *audio,
        Step::Tag(Tag {
            kind: TagKind::Audio,
            timestamp: 41,
            data
        })
    );
}

fn target() -> Target {
    Target {
        app: "live".into(),
        stream: "s".into(),
        tc_url: "rtmp://h/live".into(),
    }
}

/// An origin by another implementation: what it sent, and what our client
/// made of it.
fn played() -> (Vec<Vec<u8>>, Vec<play::Step>) {
    let mut client = PlaySession::new(target()).unwrap();
    let mut handshake = Handshake::new(PeerType::Server);
    let (answer, rest) = shake(&mut handshake, &client.take_output());
    assert_eq!(rest, None);
    client.receive(&answer).unwrap();
    let (last, rest) = shake(&mut handshake, &client.take_output());
    let (mut sent, mut steps) = (vec![answer, last], Vec::new());
    let (mut server, mut outbox) = ServerSession::new(ServerSessionConfig::new()).unwrap();
    outbox.extend(server.handle_input(&rest.unwrap()).unwrap());
    while !outbox.is_empty() {
        for result in std::mem::take(&mut outbox) {
            let packets = match result {
                ServerSessionResult::OutboundResponse(packet) => vec![packet],
                ServerSessionResult::RaisedEvent(event) => {
                    let (more, packets) = serve(&mut server, event);
                    outbox.extend(more);
                    packets
                }
                ServerSessionResult::UnhandleableMessageReceived(_) => Vec::new(),
            };
            for packet in packets {
                client.receive(&packet.bytes).unwrap();
                sent.push(packet.bytes);
            }
        }
        while let Some(step) = client.next_step().unwrap() {
            steps.push(step);
        }
        outbox.extend(server.handle_input(&client.take_output()).unwrap());
        if steps == [play::Step::Started] {
            let video = Bytes::from_static(VIDEO);
            let time = RtmpTimestamp::new(40);
            let packet = server.send_video_data(1, video, time, false).unwrap();
            outbox.push(ServerSessionResult::OutboundResponse(packet));
            let packet = server.finish_playing(1).unwrap();
            outbox.push(ServerSessionResult::OutboundResponse(packet));
        }
    }
    (sent, steps)
}

fn serve(
    server: &mut ServerSession,
    event: ServerSessionEvent,
) -> (Vec<ServerSessionResult>, Vec<rml_rtmp::chunk_io::Packet>) {
    match event {
        ServerSessionEvent::ConnectionRequested {
            request_id,
            app_name,
        } => {
            assert_eq!(app_name, "live");
            (server.accept_request(request_id).unwrap(), Vec::new())
        }
        ServerSessionEvent::PlayStreamRequested {
            request_id,
            stream_key,
            ..
        } => {
            assert_eq!(stream_key, "s");
            (server.accept_request(request_id).unwrap(), Vec::new())
        }
        _ => (Vec::new(), Vec::new()),
    }
}

#[test]
fn another_implementation_is_played_from() {
    let (_, steps) = played();
    let data = Bytes::from_static(VIDEO);
    let video = play::Step::Tag(Tag {
        kind: TagKind::Video,
        timestamp: 40,
        data,
    });
    assert_eq!(steps, [play::Step::Started, video, play::Step::Finished]);
}

/// Runs a server on bytes in pieces; whether media came out before the key
/// was accepted, or at all where it never is.
fn leaks(bytes: &[u8], piece: usize, accepting: bool) -> bool {
    let (mut server, mut accepted) = (PublishSession::new(), false);
    for part in bytes.chunks(piece) {
        if server.receive(part).is_err() {
            return false;
        }
        loop {
            match server.next_step() {
                Ok(Some(Step::PublishRequested { .. })) if accepting => {
                    accepted = true;
                    if server.accept().is_err() {
                        return false;
                    }
                }
                Ok(Some(Step::Tag(_) | Step::Metadata(_) | Step::Finished)) if !accepted => {
                    return true;
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        server.take_output();
    }
    false
}

fn play_all(bytes: &[u8], piece: usize) {
    let mut client = PlaySession::new(target()).unwrap();
    for part in bytes.chunks(piece) {
        if client.receive(part).is_err() {
            return;
        }
        while let Ok(Some(_)) = client.next_step() {}
        client.take_output();
    }
}

#[derive(Debug, Clone)]
enum Harm {
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
    Cut {
        at: prop::sample::Index,
    },
    Insert {
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
    Remove {
        at: prop::sample::Index,
        count: usize,
    },
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip { at, bit }),
        1 => at().prop_map(|at| Harm::Cut { at }),
        1 => (at(), proptest::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, bytes)| Harm::Insert { at, bytes }),
        1 => (at(), 1_usize..40).prop_map(|(at, count)| Harm::Remove { at, count }),
    ]
}

/// Does harm to the bytes behind the handshake's, where it is of interest.
fn harmed(sent: &[Vec<u8>], harms: Vec<Harm>) -> Vec<u8> {
    let mut bytes = sent[2..].concat();
    for harm in harms {
        match harm {
            Harm::Flip { at, bit } => {
                let at = at.index(bytes.len().max(1));
                bytes
                    .get_mut(at)
                    .into_iter()
                    .for_each(|byte| *byte ^= 1 << bit);
            }
            Harm::Cut { at } => bytes.truncate(at.index(bytes.len() + 1)),
            Harm::Insert { at, bytes: more } => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, more);
            }
            Harm::Remove { at, count } => {
                let at = at.index(bytes.len() + 1);
                bytes.drain(at..bytes.len().min(at + count));
            }
        }
    }
    [sent[..2].concat(), bytes].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_harm_to_a_publishers_bytes_panics_or_passes_media_unasked(
        harms in proptest::collection::vec(harm(), 1..6), piece in 1_usize..5000,
        accepting in any::<bool>(),
    ) {
        thread_local!(static SENT: Vec<Vec<u8>> = published().0);
        let bytes = SENT.with(|sent| harmed(sent, harms));
        prop_assert!(!leaks(&bytes, piece, accepting));
    }

    #[test]
    fn no_harm_to_an_origins_bytes_panics(
        harms in proptest::collection::vec(harm(), 1..6), piece in 1_usize..5000,
    ) {
        thread_local!(static SENT: Vec<Vec<u8>> = played().0);
        play_all(&SENT.with(|sent| harmed(sent, harms)), piece);
    }

    #[test]
    fn no_random_bytes_panic(
        after_handshake in any::<bool>(),
        noise in proptest::collection::vec(any::<u8>(), 0..5000), piece in 1_usize..5000,
    ) {
        thread_local!(static SHAKEN: (Vec<u8>, Vec<u8>) =
            (published().0[..2].concat(), played().0[..2].concat()));
        let (mut publisher, mut origin) = SHAKEN.with(Clone::clone);
        if !after_handshake {
            publisher = vec![3];
            origin = vec![3];
        }
        publisher.extend(&noise);
        origin.extend(&noise);
        prop_assert!(!leaks(&publisher, piece, true));
        play_all(&origin, piece);
    }
}

/// What strangers may make us hold is bounded: a deeply nested command, and
/// one that is too long.
#[test]
fn bombs_are_refused_without_a_key() {
    let shaken = published().0[..2].concat();
    let command = |body: &[u8]| {
        let mut bytes = vec![3, 0, 0, 0];
        bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
        bytes.extend([20, 0, 0, 0, 0]);
        for (index, part) in body.chunks(128).enumerate() {
            if index > 0 {
                bytes.push(0xc3);
            }
            bytes.extend(part);
        }
        bytes
    };
    for body in [[0x0a, 0, 0, 0, 1].repeat(10_000), vec![5; 70_000]] {
        let mut server = PublishSession::new();
        server.receive(&shaken).unwrap();
        server.receive(&command(&body)).unwrap();
        assert!(server.next_step().is_err());
    }
}
