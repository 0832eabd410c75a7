//! One init segment per track out of FFmpeg's `moov`.

use bytes::Bytes;
use mp4_atom::{Atom, Decode, Encode, FourCC, Ftyp, Moov, Mvex, Tkhd, Trak, Trex, Udta};

use super::Mp4Error;
use super::boxes::{children, put_box};
use super::codec::codec_string;
use super::fragment::TrackDefaults;
use crate::segment::{Media, TrackInit};

/// The most tracks taken: a spec has at most 15 outputs.
const MAX_TRACKS: usize = 64;

/// Splits a `moov` (with its header) by track.
///
/// The boxes are copied as they are, not written anew: what FFmpeg says of a
/// track reaches the player bit for bit, also what `mp4_atom` does not know.
/// Track ids are kept, so the fragments need no change.
pub(super) fn split_moov(raw: &[u8]) -> Result<(Vec<TrackInit>, Vec<TrackDefaults>), Mp4Error> {
    let moov = Moov::decode(&mut &*raw)?;
    let all_trex = moov
        .mvex
        .as_ref()
        .map(|mvex| mvex.trex.as_slice())
        .unwrap_or_default();
    if moov.trak.is_empty() || moov.trak.len() > MAX_TRACKS {
        return Err(Mp4Error::Inconsistent("no tracks, or too many"));
    }
    let mut inits = Vec::with_capacity(moov.trak.len());
    let mut defaults: Vec<TrackDefaults> = Vec::with_capacity(moov.trak.len());
    for trak in &moov.trak {
        let track_id = trak.tkhd.track_id;
        if defaults.iter().any(|other| other.track_id == track_id) {
            return Err(Mp4Error::Inconsistent("two tracks of one id"));
        }
        let Some(trex) = all_trex.iter().find(|trex| trex.track_id == track_id) else {
            return Err(Mp4Error::Inconsistent(
                "a track without trex is not fragmented",
            ));
        };
        inits.push(track_init(trak, raw)?);
        defaults.push(TrackDefaults {
            track_id,
            duration: trex.default_sample_duration,
            size: trex.default_sample_size,
            flags: trex.default_sample_flags,
        });
    }
    Ok((inits, defaults))
}

fn track_init(trak: &Trak, moov: &[u8]) -> Result<TrackInit, Mp4Error> {
    let timescale = trak.mdia.mdhd.timescale;
    if timescale == 0 {
        return Err(Mp4Error::Inconsistent("a timescale of 0"));
    }
    let media = match trak.mdia.hdlr.handler.as_ref() {
        b"vide" => Media::Video,
        b"soun" => Media::Audio,
        _ => {
            return Err(Mp4Error::Inconsistent(
                "a track that is neither video nor audio",
            ));
        }
    };
    let [entry] = trak.mdia.minf.stbl.stsd.codecs.as_slice() else {
        return Err(Mp4Error::Inconsistent(
            "a track without exactly one sample entry",
        ));
    };
    let codec = codec_string(entry)?;
    Ok(TrackInit {
        media,
        codec,
        timescale,
        data: header(trak.tkhd.track_id, moov)?,
    })
}

/// `ftyp` and `moov` with this one track: a CMAF header (ISO/IEC 23000-19,
/// section 7.3.1).
fn header(track_id: u32, moov: &[u8]) -> Result<Bytes, Mp4Error> {
    let mut body = Vec::with_capacity(moov.len());
    for child in children(moov)? {
        let (kind, raw) = child?;
        match kind {
            Trak::KIND if track_id_of(raw)? != Some(track_id) => {}
            Mvex::KIND => put_box(&mut body, kind, &extends(track_id, raw)?)?,
            // FFmpeg's own name: nothing that a player needs.
            Udta::KIND => {}
            _ => body.extend_from_slice(raw),
        }
    }
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"cmfc"),
        minor_version: 0,
        compatible_brands: vec![FourCC::new(b"iso6"), FourCC::new(b"cmfc")],
    };
    let mut out = Vec::with_capacity(body.len() + 64);
    ftyp.encode(&mut out)?;
    put_box(&mut out, Moov::KIND, &body)?;
    Ok(out.into())
}

/// The body of an `mvex` with the `trex` of this track alone.
fn extends(track_id: u32, mvex: &[u8]) -> Result<Vec<u8>, Mp4Error> {
    let mut body = Vec::with_capacity(mvex.len());
    for child in children(mvex)? {
        let (kind, raw) = child?;
        if kind != Trex::KIND || Trex::decode(&mut &*raw)?.track_id == track_id {
            body.extend_from_slice(raw);
        }
    }
    Ok(body)
}

/// The track id in the `tkhd` of a raw `trak`.
fn track_id_of(trak: &[u8]) -> Result<Option<u32>, Mp4Error> {
    for child in children(trak)? {
        let (kind, raw) = child?;
        if kind == Tkhd::KIND {
            return Ok(Some(Tkhd::decode(&mut &*raw)?.track_id));
        }
    }
    Ok(None)
}
