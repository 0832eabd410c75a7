//! Frame rates as ratios: 29.97 is 30000/1001.

use std::fmt;
use std::time::Duration;

use super::Seconds;

/// Frames per second, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameRate {
    /// Frames in `den` seconds.
    pub num: u32,
    /// Seconds, not zero.
    pub den: u32,
}

impl FrameRate {
    /// The rate that a number like 25, 29.97 or 12.5 means: NTSC's rates are
    /// n·1000/1001, all others exact to a thousandth of a frame. The number
    /// must be from 1 to 60; others are brought into that range.
    pub fn from_f64(fps: f64) -> Self {
        const NTSC: [u32; 5] = [24, 30, 48, 60, 15];
        let fps = if fps.is_finite() {
            fps.clamp(1.0, 60.0)
        } else {
            30.0
        };
        for whole in NTSC {
            if (fps - f64::from(whole) / 1.001).abs() < 0.005 {
                return Self {
                    num: whole * 1000,
                    den: 1001,
                };
            }
        }
        let (num, den) = ((fps * 1000.0).round() as u32, 1000);
        let common = gcd(num.into(), den.into()) as u32;
        Self {
            num: num / common,
            den: den / common,
        }
    }

    /// The rate as a number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The whole number of frames nearest to a GOP of this length, at least one.
    pub fn frames_in(self, gop: Seconds) -> u32 {
        ((gop.as_f64() * self.as_f64()).round() as u32).max(1)
    }

    /// How long so many frames last.
    pub fn length_of(self, frames: u32) -> Length {
        Length::new(u64::from(frames) * u64::from(self.den), u64::from(self.num))
    }
}

/// The rate in FFmpeg's and DASH's notation: `25`, `30000/1001`.
impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

/// A length of time as an exact fraction of seconds, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    num: u64,
    den: u64,
}

impl Length {
    fn new(num: u64, den: u64) -> Self {
        let common = gcd(num, den);
        Self {
            num: num / common,
            den: den / common,
        }
    }

    /// The length in seconds.
    pub fn as_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// The length to the nanosecond.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs_f64(self.as_f64())
    }

    /// The rate nearest to this one of which a whole number of frames lasts
    /// exactly so long, with that number.
    pub fn nearest_rate(self, rate: FrameRate) -> (FrameRate, u32) {
        let frames = ((self.as_f64() * rate.as_f64()).round() as u64).max(1);
        let exact = Self::new(frames * self.den, self.num);
        let nearest = FrameRate {
            num: exact.num as u32,
            den: exact.den as u32,
        };
        (nearest, frames as u32)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_the_trade_means() {
        for (fps, text) in [
            (25.0, "25"),
            (29.97, "30000/1001"),
            (23.976, "24000/1001"),
            (23.98, "24000/1001"),
            (59.94, "60000/1001"),
            (30.0, "30"),
            (12.5, "25/2"),
            (14.985, "15000/1001"),
            (1000.0, "60"),
            (0.0, "1"),
            (f64::NAN, "30"),
        ] {
            assert_eq!(FrameRate::from_f64(fps).to_string(), text, "{fps}");
        }
    }

    #[test]
    fn ntsc_rates_share_a_gop_of_2_002_seconds() {
        let gop = Seconds { millis: 2000 };
        let lengths = [23.976, 29.97, 59.94].map(|fps| {
            let rate = FrameRate::from_f64(fps);
            rate.length_of(rate.frames_in(gop))
        });
        assert!(lengths.iter().all(|length| *length == lengths[0]));
        assert_eq!(lengths[0].as_duration(), Duration::from_millis(2002));
    }

    #[test]
    fn an_input_rate_is_bent_to_the_gop_of_the_others() {
        let gop = FrameRate::from_f64(25.0).length_of(50);
        let (rate, frames) = gop.nearest_rate(FrameRate::from_f64(29.97));
        assert_eq!((rate.to_string().as_str(), frames), ("30", 60));
    }
}
