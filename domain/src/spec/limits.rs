//! The limits of a request, in one place. All ranges are inclusive.

use std::ops::RangeInclusive;

/// Video renditions of a job.
pub(super) const VIDEO_OUTPUTS: usize = 10;
/// Audio renditions of a job.
pub(super) const AUDIO_OUTPUTS: usize = 5;

/// The largest picture, pixels.
pub(super) const MAX_WIDTH: u32 = 3840;
/// The largest picture, pixels.
pub(super) const MAX_HEIGHT: u32 = 2160;
/// Frames per second, where a request names them.
pub(super) const FRAMERATE: RangeInclusive<f64> = 1.0..=60.0;

/// Segment length, ms.
pub(super) const SEGMENT: RangeInclusive<u32> = 1_000..=10_000;
/// The usual segment length, ms.
pub(super) const DEFAULT_SEGMENT: u32 = 4_000;
/// GOP length, ms. More than five key frames a second leave no bits for the rest.
pub(super) const GOP: RangeInclusive<u32> = 200..=10_000;
/// The usual GOP length, ms, where it divides the segment.
pub(super) const DEFAULT_GOP: u32 = 2_000;
/// Fragment length, ms.
pub(super) const FRAGMENT: RangeInclusive<u32> = 100..=10_000;
/// The usual low-latency fragment, ms, where it divides the GOP.
pub(super) const DEFAULT_PART: u32 = 400;
/// The shortest fragment chosen by default, ms.
pub(super) const SHORTEST_DEFAULT_PART: u32 = 200;

/// DVR window, s.
pub(super) const DVR_WINDOW: RangeInclusive<u32> = 0..=14_400;
/// The usual DVR window, s.
pub(super) const DEFAULT_DVR_WINDOW: u32 = 120;
/// A live playlist holds at least so many target durations (RFC 8216bis,
/// section 6.2.2).
pub(super) const MIN_SEGMENTS_IN_WINDOW: u32 = 3;

/// Seconds a publisher may be gone.
pub(super) const RECONNECT_WINDOW: RangeInclusive<u32> = 0..=3_600;
/// The usual reconnect window, s.
pub(super) const DEFAULT_RECONNECT_WINDOW: u32 = 30;
/// Minutes without input before a job stops itself: up to a week.
pub(super) const IDLE_STOP_MINUTES: RangeInclusive<u32> = 0..=10_080;

/// Video bitrates, bit/s. Anything less was meant as kbit/s.
pub(super) const VIDEO_BITRATE: RangeInclusive<u32> = 10_000..=100_000_000;
/// Maximum bitrates, bit/s.
pub(super) const MAX_BITRATE: RangeInclusive<u32> = 10_000..=200_000_000;
/// Decoder buffers, bit.
pub(super) const BUF_SIZE: RangeInclusive<u32> = 10_000..=400_000_000;
/// The highest maximum that SVT-AV1 takes beside a quality, bit/s.
pub(super) const SVT_AV1_MAX_BITRATE: u32 = 100_000_000;
/// What SVT-AV1's decoder buffer may hold, ms of the bitrate (of the maximum,
/// beside a quality).
pub(super) const SVT_AV1_BUFFER: RangeInclusive<u32> = 20..=10_000;
/// The media of one fragment, bytes: a worker holds the fragment in memory
/// until it is whole.
pub const FRAGMENT_BYTES: u32 = 64 << 20;
/// Audio bitrates, bit/s.
pub(super) const AUDIO_BITRATE: RangeInclusive<u32> = 16_000..=512_000;
/// AAC holds at most 6144 bit per channel and frame of 1024 samples
/// (ISO/IEC 14496-3, 4.5.3.3): 264.6 kbit/s at 44.1 kHz.
pub(super) const MONO_BITRATE: u32 = 256_000;
/// The usual audio bitrate, bit/s.
pub(super) const DEFAULT_AUDIO_BITRATE: u32 = 128_000;
/// The usual sample rate, Hz.
pub(super) const DEFAULT_SAMPLE_RATE: u32 = 48_000;

/// Encoder threads of one rendition.
pub(super) const THREADS: RangeInclusive<u32> = 1..=16;
/// The usual number of encoder threads.
pub(super) const DEFAULT_THREADS: u32 = 2;

/// Characters of a key that is worth repeating in a fault.
pub(super) const MAX_KEY: usize = 64;
/// Characters of a word (codec, preset, bitrate).
pub(super) const MAX_WORD: usize = 64;
/// Characters of a URL.
pub(super) const MAX_URL: usize = 2_048;
/// Faults listed; the rest is counted.
pub(super) const MAX_FAULTS: usize = 50;
