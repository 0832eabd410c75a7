//! The test picture: a moving picture with the time of day burnt in, and a
//! beep, made by FFmpeg alone. No font is needed, so it works with nothing
//! but Debian's `ffmpeg` package.
//!
//! # The clock
//!
//! The top quarter of the picture is a grid of 48 by 9 cells, each 1/48 of
//! the width and 1/36 of the height. Rows 0 and 1 say when the frame was
//! made, for programs; rows 3 to 7 say the same for people, as
//! `HH:MM:SS.mmm` in UTC.
//!
//! Cells 0 to 47 of the first two rows, white for 1 and black for 0:
//!
//! | cell | holds |
//! |---|---|
//! | 0 | white, the reference for 1 |
//! | 1 | black, the reference for 0 |
//! | 2 to 45 | milliseconds since 1970-01-01 00:00 UTC, 44 bits, highest first |
//! | 46 | black |
//! | 47 | white |
//!
//! To read it from a frame of any size, compare the middle of each cell with
//! the mean of cells 0 and 1: [`read_clock`] does. In a browser, draw the
//! video into a canvas of 48 by 36 pixels: every cell is then one pixel, and
//! those of the first row are the bits. Now minus the clock is the delay from the
//! generator to the eye; two equal clocks in a row are a repeated frame.
//!
//! It was read without a fault from 320x180 at 100 kbit/s. The time is taken
//! as the frame is made, so it has the jitter of the machine (FFmpeg from 6.1
//! also makes the first half second at once), not the even steps of the
//! presentation times.
//!
//! # The beep
//!
//! In the first 100 ms of every second of media time a 1 kHz tone sounds and
//! a white square shows at the bottom: heard and seen apart, they tell how
//! far sound and picture are.

mod clock;

use std::fmt;
use std::str::FromStr;

pub use clock::{COLUMNS, ROWS, read_clock};

/// A picture's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    /// Reads `1280x720`. From 192x108, where a cell of the clock is still
    /// four pixels wide, to 3840x2160.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (width, height) = text
            .split_once('x')
            .ok_or("write it as WIDTHxHEIGHT, like 1280x720")?;
        let pixels = |side: &str| {
            side.parse::<u32>()
                .map_err(|_| format!("{side:?} is not a number of pixels"))
        };
        let (width, height) = (pixels(width)?, pixels(height)?);
        if !(192..=3840).contains(&width) || !(108..=2160).contains(&height) {
            return Err("from 192x108 to 3840x2160".to_owned());
        }
        if width % 2 != 0 || height % 2 != 0 {
            return Err("width and height must be even".to_owned());
        }
        Ok(Self { width, height })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Frames per second, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// Frames per second.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

impl FromStr for FrameRate {
    type Err = String;

    /// Reads `25` or `30000/1001`; from 1 to 60.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
        let number = |part: &str| {
            part.parse::<u32>()
                .map_err(|_| "write it as 25 or, for broken rates, as 30000/1001".to_owned())
        };
        let rate = Self {
            numerator: number(numerator)?,
            denominator: number(denominator)?,
        };
        if rate.denominator == 0 || !(1.0..=60.0).contains(&rate.per_second()) {
            return Err("from 1 to 60 frames per second".to_owned());
        }
        Ok(rate)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            denominator => write!(f, "{}/{denominator}", self.numerator),
        }
    }
}

/// What the test picture is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPicture {
    /// Its size.
    pub size: Size,
    /// Its frame rate.
    pub rate: FrameRate,
}

impl Default for TestPicture {
    /// 1280x720 at 25 frames per second.
    fn default() -> Self {
        Self {
            size: Size {
                width: 1280,
                height: 720,
            },
            rate: FrameRate {
                numerator: 25,
                denominator: 1,
            },
        }
    }
}

impl TestPicture {
    /// FFmpeg's arguments for the input: endless picture (stream 0:0) and
    /// sound (0:1), made as fast as they are to be shown.
    pub fn input_args(&self) -> Vec<String> {
        ["-re", "-f", "lavfi", "-i", &self.graph()]
            .map(str::to_owned)
            .to_vec()
    }

    fn graph(&self) -> String {
        let Self { size, rate } = self;
        let clock_height = size.height / 4;
        // setpts puts the wall clock into the frame's time, which geq then
        // draws, so that all bits of a frame show the same moment; the second
        // setpts takes the even times back.
        format!(
            "color=size={COLUMNS}x9:rate={rate},format=gray,settb=1/1000,setpts=time(0)/TB,\
             geq=lum='{cell}',setpts=N/(FRAME_RATE*TB),settb=1/({rate}),\
             scale={width}:{clock_height}:flags=neighbor,format=yuv420p[clock];\
             testsrc2=size={size}:rate={rate},format=yuv420p,\
             drawbox=x=iw/2-ih/12:y=ih*3/4:w=ih/6:h=ih/6:color=white:t=fill:enable='{beep}'[picture];\
             [picture][clock]overlay=format=yuv420[out0];\
             sine=frequency=1000:sample_rate=48000:samples_per_frame=480,\
             volume='8*{beep}':eval=frame[out1]",
            cell = clock::cell_expression(),
            width = size.width,
            // In whole milliseconds: 0.1 s is 0.0999… in a frame's time.
            beep = "lt(mod(round(t*1000),1000),100)",
        )
    }
}

/// FFmpeg's arguments to encode for a live push: H.264 with a keyframe every
/// two seconds and AAC, with little delay and little CPU.
pub fn encode_args(size: Size, rate: FrameRate) -> Vec<String> {
    let pixels_per_second = f64::from(size.width) * f64::from(size.height) * rate.per_second();
    // 0.11 bit a pixel: 2.5 Mbit/s at 720p25.
    let bitrate = format!(
        "{:.0}k",
        (pixels_per_second * 0.11 / 1000.0).clamp(300.0, 20_000.0)
    );
    let gop = format!("{:.0}", (2.0 * rate.per_second()).ceil());
    [
        "-c:v",
        "libx264",
        "-preset",
        "superfast",
        "-tune",
        "zerolatency",
        "-pix_fmt",
        "yuv420p",
        "-g",
        &gop,
        "-sc_threshold",
        "0",
        "-b:v",
        &bitrate,
        "-maxrate",
        &bitrate,
        "-bufsize",
        &bitrate,
        "-c:a",
        "aac",
        "-b:a",
        "128k",
        "-ar",
        "48000",
        "-ac",
        "2",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn now_ms() -> u64 {
        u64::try_from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_millis(),
        )
        .unwrap()
    }

    fn clocks_in(file: &std::path::Path, width: usize, height: usize) -> Vec<u64> {
        let raw = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(file)
            .arg("-vf")
            .arg(format!("scale={width}:{height}:flags=area"))
            .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"])
            .output()
            .unwrap();
        raw.stdout
            .chunks_exact(width * height)
            .map(|frame| read_clock(frame, width, height).unwrap())
            .collect()
    }

    #[test]
    fn the_clock_is_read_back_from_a_small_hard_compressed_rendition() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("small.mp4");
        let before = now_ms();
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error"])
            .args(TestPicture::default().input_args())
            .args([
                "-t",
                "1.5",
                "-vf",
                "scale=320:180",
                "-c:v",
                "libx264",
                "-b:v",
                "100k",
                "-maxrate",
                "110k",
            ])
            .args(["-bufsize", "200k", "-c:a", "aac"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let after = now_ms();

        // Read at another size than it was coded in, as a player's window is,
        // and from a canvas with a pixel a cell.
        let clocks = clocks_in(&file, 854, 480);
        assert_eq!(clocks, clocks_in(&file, COLUMNS, ROWS));
        assert!((36..=39).contains(&clocks.len()), "{} frames", clocks.len());
        assert!(clocks.is_sorted(), "{clocks:?}");
        assert!(
            before <= clocks[0] && *clocks.last().unwrap() <= after,
            "{before} {clocks:?} {after}"
        );
        assert!(
            clocks.last().unwrap() - clocks[0] >= 700,
            "the clock moves: {clocks:?}"
        );
    }

    #[test]
    fn the_beep_is_heard_in_the_first_tenth_of_each_second() {
        let sound = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error"])
            .args(&TestPicture::default().input_args()[1..])
            .args(["-t", "2", "-map", "0:a", "-f", "u8", "-"])
            .output()
            .unwrap();
        let loud: Vec<bool> = sound
            .stdout
            .chunks_exact(4800)
            .map(|tenth| tenth.iter().any(|&s| s.abs_diff(128) > 40))
            .collect();
        let expected: Vec<bool> = (0..20).map(|i| i % 10 == 0).collect();
        assert_eq!(loud, expected);
    }

    #[test]
    fn a_frame_without_a_clock_reads_as_none() {
        for shade in [0, 128, 255] {
            assert_eq!(read_clock(&vec![shade; 320 * 180], 320, 180), None);
        }
        assert_eq!(read_clock(&[], 320, 180), None);
        assert_eq!(read_clock(&[255], 0, 0), None);
    }

    #[test]
    fn sizes_and_rates_outside_the_limits_are_refused() {
        for wrong in [
            "",
            "1280",
            "1280x",
            "1281x720",
            "0x0",
            "99999x99999",
            "1280x720x2",
            "-2x4",
        ] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        for wrong in ["", "0", "61", "25/0", "1/2", "abc", "25/1/1"] {
            assert!(wrong.parse::<FrameRate>().is_err(), "{wrong}");
        }
        assert_eq!(
            "30000/1001".parse::<FrameRate>().unwrap().to_string(),
            "30000/1001"
        );
        assert_eq!("1280x720".parse::<Size>().unwrap().to_string(), "1280x720");
    }

    #[test]
    fn ffmpeg_is_asked_for_this_picture() {
        let picture = TestPicture::default();
        insta::assert_snapshot!(picture.graph());
        insta::assert_snapshot!(encode_args(picture.size, picture.rate).join(" "));
    }
}
