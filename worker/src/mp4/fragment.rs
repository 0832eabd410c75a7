//! What a `moof` says of its fragment.

use bytes::Bytes;
use mp4_atom::{Decode, Moof, Tfhd, Trun, TrunSamples};

use super::{Fragment, Mp4Error};

/// The most samples in a fragment: 10 s of 60 frames/s are 600, of AAC at
/// 96 kHz 940.
const MAX_SAMPLES: u32 = 100_000;

/// `sample_is_non_sync_sample` of the sample flags (ISO/IEC 14496-12, section
/// 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// What the `trex` of a track gives where a fragment says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrackDefaults {
    pub(super) track_id: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// What a `moof` says, before its `mdat` is there.
#[derive(Debug)]
pub(super) struct FragmentHead {
    track: usize,
    start: u64,
    totals: Totals,
}

/// Sums over the samples of a fragment.
#[derive(Debug, Default)]
struct Totals {
    samples: u32,
    duration: u64,
    bytes: u64,
    first_flags: Option<u32>,
}

/// Reads a `moof` (with its header) of one track.
pub(super) fn read_moof(raw: &[u8], tracks: &[TrackDefaults]) -> Result<FragmentHead, Mp4Error> {
    let moof = Moof::decode(&mut &*raw)?;
    let [traf] = moof.traf.as_slice() else {
        return Err(Mp4Error::Inconsistent(
            "a moof is of one track (separate_moof)",
        ));
    };
    let Some(track) = tracks
        .iter()
        .position(|track| track.track_id == traf.tfhd.track_id)
    else {
        return Err(Mp4Error::Inconsistent(
            "a fragment of a track that is not in the moov",
        ));
    };
    // Offsets into FFmpeg's whole output would point nowhere once split.
    if traf.tfhd.base_data_offset.is_some() || !traf.tfhd.default_base_is_moof {
        return Err(Mp4Error::Inconsistent(
            "sample offsets are not counted from the moof",
        ));
    }
    let Some(tfdt) = &traf.tfdt else {
        return Err(Mp4Error::Inconsistent("a fragment without decode time"));
    };
    let defaults = defaults_of(&traf.tfhd, tracks[track]);
    let mut totals = Totals::default();
    for trun in &traf.trun {
        totals.add(trun, &defaults)?;
    }
    let start = tfdt.base_media_decode_time;
    if totals.samples == 0 || start.checked_add(totals.duration).is_none() {
        return Err(Mp4Error::Inconsistent(
            "a fragment without samples, or beyond all time",
        ));
    }
    Ok(FragmentHead {
        track,
        start,
        totals,
    })
}

fn defaults_of(tfhd: &Tfhd, trex: TrackDefaults) -> TrackDefaults {
    TrackDefaults {
        track_id: trex.track_id,
        duration: tfhd.default_sample_duration.unwrap_or(trex.duration),
        size: tfhd.default_sample_size.unwrap_or(trex.size),
        flags: tfhd.default_sample_flags.unwrap_or(trex.flags),
    }
}

impl Totals {
    fn add(&mut self, trun: &Trun, defaults: &TrackDefaults) -> Result<(), Mp4Error> {
        let count = u32::try_from(trun.samples.len()).unwrap_or(u32::MAX);
        self.samples = self.samples.saturating_add(count);
        if self.samples > MAX_SAMPLES {
            return Err(Mp4Error::Inconsistent("too many samples in a fragment"));
        }
        if let Some(first) = trun.samples.get(0) {
            self.first_flags
                .get_or_insert(first.flags.unwrap_or(defaults.flags));
        }
        // At most 100,000 numbers of 32 bits: 64 bits hold the sums.
        match &trun.samples {
            TrunSamples::Inherited { count, .. } => {
                self.duration += u64::from(*count) * u64::from(defaults.duration);
                self.bytes += u64::from(*count) * u64::from(defaults.size);
            }
            TrunSamples::Explicit(entries) => {
                for entry in entries {
                    self.duration += u64::from(entry.duration.unwrap_or(defaults.duration));
                    self.bytes += u64::from(entry.size.unwrap_or(defaults.size));
                }
            }
        }
        Ok(())
    }
}

impl FragmentHead {
    /// The fragment, now that its `mdat` is there: `mdat` bytes with its
    /// header, at the end of `data`.
    pub(super) fn finish(self, mdat: usize, data: Bytes) -> Result<Fragment, Mp4Error> {
        const HEADER: u64 = 8;
        if (mdat as u64) < self.totals.bytes.saturating_add(HEADER) {
            return Err(Mp4Error::Inconsistent("an mdat smaller than its samples"));
        }
        Ok(Fragment {
            track: self.track,
            start: self.start,
            duration: self.totals.duration,
            samples: self.totals.samples,
            starts_with_sync: self.totals.first_flags.unwrap_or(NON_SYNC) & NON_SYNC == 0,
            data,
        })
    }
}
