//! Audio tags (FLV annex E.4.2) and the AudioSpecificConfig (ISO/IEC 14496-3,
//! 1.6.2.1).

use domain::input::InputAudio;

use super::SniffError;

/// By `samplingFrequencyIndex` (ISO/IEC 14496-3, table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// The track, where this tag tells it.
pub fn read(data: &[u8]) -> Result<Option<InputAudio>, SniffError> {
    let [flags, rest @ ..] = data else {
        return Ok(None);
    };
    let codec = match flags >> 4 {
        // ADPCM and Nellymoser, G.711 and Speex: of Flash's time, but FFmpeg
        // reads them all.
        0 | 3 => "pcm_s16le",
        1 => "adpcm_swf",
        2 | 14 => "mp3",
        4..=6 => "nellymoser",
        7 => "pcm_alaw",
        8 => "pcm_mulaw",
        10 => return Ok(aac(rest)),
        11 => "speex",
        // Enhanced RTMP v2: a FourCC follows the flags.
        9 => {
            return Err(SniffError::Unsupported {
                codec: super::video::four_cc(rest),
            });
        }
        format => {
            return Err(SniffError::Unsupported {
                codec: format!("audio format {format}"),
            });
        }
    };
    let sample_rate = match flags >> 4 {
        4 | 11 => 16_000,
        5 | 7 | 8 | 14 => 8000,
        _ => [5512, 11_025, 22_050, 44_100][usize::from(flags >> 2 & 3)],
    };
    Ok(Some(InputAudio {
        codec: codec.to_owned(),
        sample_rate,
        channels: u32::from(flags & 1) + 1,
    }))
}

/// AAC shows itself in its sequence header only.
fn aac(packet: &[u8]) -> Option<InputAudio> {
    let [0, config @ ..] = packet else {
        return None;
    };
    let (sample_rate, channels) = specific_config(config).unwrap_or((0, 0));
    (!config.is_empty()).then(|| InputAudio {
        codec: "aac".to_owned(),
        sample_rate,
        channels,
    })
}

/// The rate and channels that a decoder puts out; 0 channels where a program
/// config element further in tells them.
fn specific_config(config: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits {
        data: config,
        at: 0,
    };
    let object_type = bits.object_type()?;
    let mut rate = bits.rate()?;
    let mut channels = match bits.take(4)? {
        7 => 8,
        configuration @ 0..=6 => configuration,
        11 => 7,
        12 | 14 => 8,
        _ => 0,
    };
    // Spectral band replication doubles the rate; with parametric stereo, one
    // coded channel becomes two.
    if object_type == 5 || object_type == 29 {
        rate = bits.rate()?;
        if object_type == 29 && channels == 1 {
            channels = 2;
        }
    }
    Some((rate, channels))
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            object_type => Some(object_type),
        }
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(data: &[u8]) -> (String, u32, u32) {
        let audio = read(data).unwrap().unwrap();
        (audio.codec, audio.sample_rate, audio.channels)
    }

    #[test]
    fn aac_configs_are_read() {
        // AAC-LC 48 kHz stereo, 44.1 kHz mono, HE-AAC 24 -> 48 kHz stereo,
        // HE-AACv2 22.05 -> 44.1 kHz, one coded channel.
        assert_eq!(found(&[0xaf, 0, 0x11, 0x90]), ("aac".into(), 48_000, 2));
        assert_eq!(found(&[0xaf, 0, 0x12, 0x08]), ("aac".into(), 44_100, 1));
        assert_eq!(
            found(&[0xaf, 0, 0x2b, 0x11, 0x88, 0x00]),
            ("aac".into(), 48_000, 2)
        );
        assert_eq!(
            found(&[0xaf, 0, 0xeb, 0x8a, 0x08, 0x00]),
            ("aac".into(), 44_100, 2)
        );
        // A frame says nothing.
        assert_eq!(read(&[0xaf, 1, 0x21]), Ok(None));
    }

    #[test]
    fn other_codecs_are_named_by_their_flags() {
        assert_eq!(found(&[0x2f, 0xff]), ("mp3".into(), 44_100, 2));
        assert_eq!(found(&[0xb2, 0]), ("speex".into(), 16_000, 1));
        assert_eq!(
            read(b"\x90Opus"),
            Err(SniffError::Unsupported {
                codec: "Opus".to_owned()
            })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&data);
        }
    }
}
