use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::segment::Media;

/// What FFmpeg writes for two pictures and a sound: 3 s, a GOP a second.
fn real_stream() -> &'static [u8] {
    static STREAM: OnceLock<Vec<u8>> = OnceLock::new();
    STREAM.get_or_init(|| {
        let output = Command::new("ffmpeg")
            .args("-v error -f lavfi -i testsrc2=size=64x48:rate=10:duration=3".split(' '))
            .args("-f lavfi -i sine=sample_rate=48000:duration=3".split(' '))
            .args("-filter_complex [0:v]format=yuv420p,split=2[a][b]".split(' '))
            .args("-map [a] -map [b] -map 1:a -c:v libx264 -preset ultrafast -g 10".split(' '))
            .args("-c:a aac -b:a 32k -f mp4 -movflags".split(' '))
            .args("+cmaf+frag_keyframe+separate_moof pipe:1".split(' '))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    })
}

/// Splits a stream that comes in chunks of these sizes, over and over.
fn split(stream: &[u8], sizes: &[usize]) -> (Vec<Piece>, Result<Splitter, Mp4Error>) {
    let mut splitter = Splitter::new();
    let mut pieces = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        let chunk;
        (chunk, rest) = rest.split_at((*size).min(rest.len()));
        splitter.push(chunk);
        loop {
            match splitter.next_piece() {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break,
                Err(error) => return (pieces, Err(error)),
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    (pieces, Ok(splitter))
}

/// Whether nothing is left of the stream: no box has been begun and not ended.
fn at_boundary(splitter: Result<Splitter, Mp4Error>) -> bool {
    let Splitter { buffer, head, .. } = splitter.unwrap();
    buffer.is_empty() && head.is_none()
}

fn raw_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    boxes::put_box(&mut raw, FourCC::new(kind), body).unwrap();
    raw
}

#[test]
fn splits_what_ffmpeg_writes() {
    let (pieces, splitter) = split(real_stream(), &[4096]);
    assert!(at_boundary(splitter));
    let mut pieces = pieces.into_iter();
    let Some(Piece::Init(inits)) = pieces.next() else {
        panic!("the init comes first")
    };
    let codecs: Vec<_> = inits
        .iter()
        .map(|init| (init.media, init.codec.as_str()))
        .collect();
    assert_eq!(
        codecs,
        [
            (Media::Video, "avc1.42c00a"),
            (Media::Video, "avc1.42c00a"),
            (Media::Audio, "mp4a.40.2")
        ]
    );
    assert_eq!(inits[2].timescale, 48000);

    let mut ends = [0; 3];
    let mut counts = [0; 3];
    for piece in pieces {
        let Piece::Fragment(fragment) = piece else {
            panic!("a second init")
        };
        assert_eq!(
            fragment.start, ends[fragment.track],
            "fragments of a track are contiguous"
        );
        assert!(fragment.starts_with_sync);
        ends[fragment.track] = fragment.start + fragment.duration;
        counts[fragment.track] += fragment.samples;
    }
    assert_eq!(counts[..2], [30, 30]);
    let seconds: Vec<_> = ends
        .iter()
        .zip(&inits)
        .map(|(end, init)| end / u64::from(init.timescale))
        .collect();
    assert_eq!(seconds, [3, 3, 3]);
}

#[test]
fn init_segments_hold_one_track_each() {
    let (pieces, _) = split(real_stream(), &[usize::MAX]);
    let Piece::Init(inits) = &pieces[0] else {
        panic!("the init comes first")
    };
    for (index, init) in inits.iter().enumerate() {
        let mut rest = &init.data[..];
        let ftyp = <mp4_atom::Ftyp as mp4_atom::Decode>::decode(&mut rest).unwrap();
        assert!(ftyp.compatible_brands.contains(&FourCC::new(b"cmfc")));
        let moov = <mp4_atom::Moov as mp4_atom::Decode>::decode(&mut rest).unwrap();
        assert!(rest.is_empty());
        let id = u32::try_from(index).unwrap() + 1;
        let trex: Vec<_> = moov
            .mvex
            .unwrap()
            .trex
            .iter()
            .map(|trex| trex.track_id)
            .collect();
        assert_eq!(trex, [id]);
        let traks: Vec<_> = moov.trak.iter().map(|trak| trak.tkhd.track_id).collect();
        assert_eq!(traks, [id]);
    }
}

#[test]
fn other_boxes_between_fragments_are_skipped() {
    let stream = real_stream();
    let (expected, _) = split(stream, &[4096]);
    // The first moof starts after ftyp and moov.
    let moof = stream.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
    let mut stuffed = stream[..moof].to_vec();
    for kind in [b"styp", b"sidx", b"prft", b"emsg", b"free"] {
        stuffed.extend(raw_box(kind, &[0; 40]));
    }
    stuffed.extend_from_slice(&stream[moof..]);
    stuffed.extend(raw_box(b"mfra", &[0; 100]));
    let (pieces, splitter) = split(&stuffed, &[1000]);
    assert!(at_boundary(splitter));
    assert_eq!(pieces, expected);
}

#[test]
fn a_cut_off_stream_gives_its_whole_fragments() {
    let stream = real_stream();
    let (whole, _) = split(stream, &[4096]);
    let last_mdat = stream.windows(4).rposition(|kind| kind == b"mdat").unwrap();
    let (pieces, splitter) = split(&stream[..last_mdat + 100], &[4096]);
    assert!(!at_boundary(splitter));
    assert_eq!(pieces, whole[..whole.len() - 1]);
}

#[test]
fn oversized_boxes_are_refused_by_their_header_alone() {
    let mut huge_moov = Vec::from((MAX_MOOV as u32 + 9).to_be_bytes());
    huge_moov.extend_from_slice(b"moov");
    let (_, result) = split(&huge_moov, &[8]);
    assert!(matches!(result, Err(Mp4Error::TooLarge { size: Some(size), .. }) if size > MAX_MOOV));

    let (_, result) = split(b"\0\0\0\0ftyp", &[8]);
    assert!(
        matches!(result, Err(Mp4Error::TooLarge { size: None, .. })),
        "a box up to the end"
    );

    let (_, result) = split(b"\0\0\0\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xff", &[5]);
    assert!(
        matches!(result, Err(Mp4Error::TooLarge { .. })),
        "a 64 bit size"
    );
}

#[test]
fn boxes_in_the_wrong_place_are_refused() {
    let stream = real_stream();
    for (what, bytes) in [
        ("text", b"HTTP/1.1 404 Not Found\r\n".to_vec()),
        ("media before the moov", raw_box(b"moof", &[])),
        ("mdat alone", raw_box(b"mdat", &[1, 2, 3])),
        (
            "a moov after the moov",
            [stream, &raw_box(b"moov", &[])].concat(),
        ),
        (
            "a header that is smaller than itself",
            b"\0\0\0\x04free".to_vec(),
        ),
    ] {
        let (_, result) = split(&bytes, &[64]);
        let error = result.expect_err(what);
        assert!(
            matches!(error, Mp4Error::UnexpectedBox(_) | Mp4Error::Malformed(_)),
            "{what}: {error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn chunking_changes_nothing(sizes in prop::collection::vec(1usize..5000, 1..20)) {
        let (expected, _) = split(real_stream(), &[usize::MAX]);
        let (pieces, splitter) = split(real_stream(), &sizes);
        prop_assert!(at_boundary(splitter));
        prop_assert_eq!(pieces, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Flips fall mostly into the moov and the moofs, where they matter.
    #[test]
    fn bit_flips_give_errors_at_most(
        flips in prop::collection::vec((0usize..1_000_000, 0u8..8), 1..6),
        size in 500usize..10_000,
        to_headers in any::<bool>(),
    ) {
        let mut stream = real_stream().to_vec();
        let reach = if to_headers { 2600 } else { stream.len() };
        for (at, bit) in flips {
            stream[at % reach] ^= 1 << bit;
        }
        let (pieces, result) = split(&stream, &[size]);
        let total: usize = pieces.iter().map(|piece| match piece {
            Piece::Fragment(fragment) => fragment.data.len(),
            Piece::Init(_) => 0,
        }).sum();
        prop_assert!(total <= stream.len());
        if let Ok(splitter) = result {
            prop_assert!(splitter.buffer.len() <= stream.len());
        }
    }

    #[test]
    fn noise_gives_errors_at_most(
        noise in prop::collection::vec(any::<u8>(), 0..4000),
        kind in prop::sample::select(vec![b"ftyp", b"moov", b"free", b"mdat", b"moof"]),
    ) {
        let (_, _) = split(&noise, &[100]);
        let (_, _) = split(&raw_box(kind, &noise), &[100]);
        let moov_end = real_stream().windows(4).position(|kind| kind == b"moof").unwrap() - 4;
        let after_moov = [&real_stream()[..moov_end], &raw_box(b"moof", &noise), &noise].concat();
        let (_, _) = split(&after_moov, &[100]);
    }
}
