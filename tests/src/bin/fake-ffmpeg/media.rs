//! A fragmented MP4 as FFmpeg's: every box valid, the samples dummies.

use mp4_atom::{
    Audio, Av01, Av1c, Avc1, Avcc, Codec, Dinf, Dref, DrefEntry, Encode, FourCC, Ftyp, Hdlr, Hvc1,
    Hvcc, Mdat, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Smhd, Stbl, Stsd, Tfdt, Tfhd,
    Tkhd, Traf, Trak, Trex, Trun, TrunEntry, Url, Visual, Vmhd,
};

use crate::args::{Order, Track};

const SAMPLE_RATE: u32 = 48_000;
const AAC_FRAME: u32 = 1024;
/// Ticks of a video frame, whatever the rate.
const FRAME: u32 = 1000;
/// Sample flags: depends on others, is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;
/// Sample flags: depends on none.
const SYNC: u32 = 0x0200_0000;

/// The output under way: rounds of fragments, one fragment a track.
pub struct Muxer {
    order: Order,
    fragment_bytes: usize,
    /// Video frames written.
    frames: u64,
    /// AAC frames written.
    aac_frames: u64,
    /// Subtracted from frames for decode times.
    origin: (u64, u64),
    sequence: u32,
    /// The sound has stopped.
    pub silent: bool,
}

impl Muxer {
    pub fn new(order: Order, fragment_bytes: usize) -> Self {
        let (frames, aac_frames, origin) = (0, 0, (0, 0));
        Self {
            order,
            fragment_bytes,
            frames,
            aac_frames,
            origin,
            sequence: 0,
            silent: false,
        }
    }

    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Media time written, seconds.
    pub fn time(&self) -> f64 {
        self.frames as f64 / self.order.framerate
    }

    /// Where the round under way ends, as a number of frames: where a part is
    /// full or the GOP is over.
    fn round_end(&self) -> u64 {
        let frames = |seconds: f64| ((seconds * self.order.framerate).round() as u64).max(1);
        let gop = frames(self.order.gop);
        let next_key = (self.frames / gop + 1) * gop;
        let part = self.order.part.map_or(gop, frames);
        next_key.min(self.frames + part)
    }

    /// Media time at which the round under way ends, seconds.
    pub fn round_end_time(&self) -> f64 {
        self.round_end() as f64 / self.order.framerate
    }

    /// From here on decode times start again at zero.
    pub fn time_back(&mut self) {
        self.origin = (self.frames, self.aac_frames);
    }

    /// `ftyp` and `moov`.
    pub fn init(&self) -> mp4_atom::Result<Vec<u8>> {
        let mut out = Vec::new();
        let brand = |name: &[u8; 4]| FourCC::new(name);
        let compatible_brands = vec![brand(b"iso6"), brand(b"cmfc"), brand(b"mp41")];
        Ftyp {
            major_brand: brand(b"iso6"),
            minor_version: 512,
            compatible_brands,
        }
        .encode(&mut out)?;
        let ids = || (1..).zip(&self.order.tracks);
        Moov {
            mvhd: Mvhd {
                timescale: 1000,
                next_track_id: u32::MAX,
                ..Mvhd::default()
            },
            mvex: Some(Mvex {
                mehd: None,
                trex: ids().map(|(id, _)| trex(id)).collect(),
            }),
            trak: ids().map(|(id, track)| self.trak(id, track)).collect(),
            ..Moov::default()
        }
        .encode(&mut out)?;
        Ok(out)
    }

    /// The fragments up to a media time, or to the end of the round where
    /// that is earlier; nothing where no whole frame is in between.
    pub fn round(&mut self, until: f64) -> mp4_atom::Result<Vec<u8>> {
        let reached = (until * self.order.framerate + 1e-6).floor() as u64;
        let end = self.round_end().min(reached);
        let mut out = Vec::new();
        if end <= self.frames {
            return Ok(out);
        }
        let seconds = end as f64 / self.order.framerate;
        let aac_end = (seconds * f64::from(SAMPLE_RATE) / f64::from(AAC_FRAME)).floor() as u64;
        for (id, track) in (1..).zip(self.order.tracks.clone()) {
            match track {
                Track::Video { .. } => self.video(id, end, &mut out)?,
                Track::Audio if self.silent || aac_end <= self.aac_frames => {}
                Track::Audio => self.audio(id, aac_end, &mut out)?,
            }
        }
        self.frames = end;
        self.aac_frames = aac_end;
        Ok(out)
    }

    fn video(&mut self, id: u32, end: u64, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let count = (end - self.frames) as usize;
        let gop = ((self.order.gop * self.order.framerate).round() as u64).max(1);
        let first = if self.frames.is_multiple_of(gop) {
            SYNC
        } else {
            NON_SYNC
        };
        let size = u32::try_from(self.fragment_bytes / count)
            .unwrap_or(u32::MAX)
            .max(8);
        let samples = (0..count).map(|index| TrunEntry {
            size: Some(size),
            flags: (index == 0).then_some(first),
            ..TrunEntry::default()
        });
        let start = (self.frames - self.origin.0) * u64::from(FRAME);
        let defaults = (FRAME, NON_SYNC);
        self.fragment(id, start, defaults, samples.collect(), out)
    }

    fn audio(&mut self, id: u32, end: u64, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let samples = (self.aac_frames..end)
            .map(|_| TrunEntry {
                size: Some(32),
                ..TrunEntry::default()
            })
            .collect();
        let start = (self.aac_frames - self.origin.1) * u64::from(AAC_FRAME);
        self.fragment(id, start, (AAC_FRAME, SYNC), samples, out)
    }

    fn fragment(
        &mut self,
        track_id: u32,
        start: u64,
        (duration, flags): (u32, u32),
        samples: Vec<TrunEntry>,
        out: &mut Vec<u8>,
    ) -> mp4_atom::Result<()> {
        self.sequence += 1;
        let mut data = Vec::new();
        for sample in &samples {
            // One NAL unit: its length, then bytes that tell track and place.
            let size = sample.size.unwrap_or_default();
            data.extend_from_slice(&size.saturating_sub(4).to_be_bytes());
            data.resize(
                data.len() + size as usize - 4,
                (start as u8).wrapping_add(track_id as u8),
            );
        }
        let mut moof = Moof {
            mfhd: Mfhd {
                sequence_number: self.sequence,
            },
            traf: vec![Traf {
                tfhd: Tfhd {
                    track_id,
                    default_sample_duration: Some(duration),
                    default_sample_flags: Some(flags),
                    default_base_is_moof: true,
                    ..Tfhd::default()
                },
                tfdt: Some(Tfdt {
                    base_media_decode_time: start,
                }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: samples.into(),
                }],
                ..Traf::default()
            }],
        };
        let mut sized = Vec::new();
        moof.encode(&mut sized)?;
        moof.traf[0].trun[0].data_offset = i32::try_from(sized.len() + 8).ok();
        moof.encode(out)?;
        Mdat { data }.encode(out)
    }

    fn trak(&self, track_id: u32, track: &Track) -> Trak {
        let (timescale, handler, codec) = match track {
            Track::Video {
                encoder,
                width,
                height,
            } => {
                let timescale = (self.order.framerate * f64::from(FRAME)).round() as u32;
                (timescale, b"vide", picture(encoder, *width, *height))
            }
            Track::Audio => (SAMPLE_RATE, b"soun", sound()),
        };
        let size = codec
            .visual()
            .map_or((0, 0), |visual| (visual.width, visual.height));
        Trak {
            tkhd: Tkhd {
                track_id,
                enabled: true,
                in_movie: true,
                width: size.0.into(),
                height: size.1.into(),
                ..Tkhd::default()
            },
            mdia: Mdia {
                mdhd: Mdhd {
                    timescale,
                    language: "und".into(),
                    ..Mdhd::default()
                },
                hdlr: Hdlr {
                    handler: FourCC::new(handler),
                    name: "fake".into(),
                },
                minf: Minf {
                    vmhd: codec.visual().map(|_| Vmhd::default()),
                    smhd: codec.audio().map(|_| Smhd::default()),
                    dinf: Dinf {
                        dref: Dref {
                            entries: vec![DrefEntry::Url(Url::default())],
                        },
                    },
                    stbl: Stbl {
                        stsd: Stsd {
                            codecs: vec![codec],
                        },
                        ..Stbl::default()
                    },
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }
    }
}

fn trex(track_id: u32) -> Trex {
    Trex {
        track_id,
        default_sample_description_index: 1,
        ..Trex::default()
    }
}

fn picture(encoder: &str, width: u16, height: u16) -> Codec {
    let visual = Visual {
        data_reference_index: 1,
        width,
        height,
        ..Visual::default()
    };
    match encoder {
        "libx265" => {
            let hvcc = Hvcc {
                general_profile_idc: 1,
                general_profile_compatibility_flags: [0x60, 0, 0, 0],
                general_constraint_indicator_flags: [0x90, 0, 0, 0, 0, 0],
                general_level_idc: 93,
                length_size_minus_one: 3,
                ..Hvcc::new()
            };
            Hvc1 {
                visual,
                hvcc,
                ..Hvc1::default()
            }
            .into()
        }
        "libsvtav1" => {
            let av1c = Av1c {
                seq_level_idx_0: 4,
                ..Av1c::default()
            };
            Av01 {
                visual,
                av1c,
                ..Av01::default()
            }
            .into()
        }
        _ => {
            // High profile, level 3.0.
            let avcc = Avcc {
                configuration_version: 1,
                avc_profile_indication: 100,
                avc_level_indication: 30,
                length_size: 4,
                sequence_parameter_sets: vec![vec![0x67, 100, 0, 30, 0xac]],
                picture_parameter_sets: vec![vec![0x68, 0xee]],
                ..Avcc::default()
            };
            Avc1 {
                visual,
                avcc,
                ..Avc1::default()
            }
            .into()
        }
    }
}

fn sound() -> Codec {
    use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, Esds};
    let dec_config = DecoderConfig {
        object_type_indication: 0x40,
        stream_type: 5,
        dec_specific: Some(DecoderSpecific {
            profile: 2,
            freq_index: 3,
            chan_conf: 2,
            ..DecoderSpecific::default()
        }),
        ..DecoderConfig::default()
    };
    let audio = Audio {
        data_reference_index: 1,
        channel_count: 2,
        sample_size: 16,
        sample_rate: 48_000.into(),
    };
    let esds = Esds {
        es_desc: EsDescriptor {
            dec_config,
            ..EsDescriptor::default()
        },
    };
    Mp4a {
        audio,
        esds,
        btrt: None,
        taic: None,
    }
    .into()
}
