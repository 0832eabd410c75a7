//! What waits for the store.

use std::collections::VecDeque;

use aws::media::{Init, SegmentTrack};
use domain::spec::Output;
use domain::timeline::NewRun;

/// How long a store may be away without costing a segment, in milliseconds.
const HOLDS_MS: u64 = 60_000;
/// Room for containers and for peaks, in percent of the encoders' maxima.
const ROOM_PERCENT: u64 = 125;
const LEAST_BYTES: u64 = 8 << 20;

/// What may wait for the store, the segment under way included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Whole segments, of all tracks.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Limits {
    /// A minute's worth of this output at its maximum bit rates.
    pub fn of(output: &Output) -> Self {
        let segment_ms = u64::from(output.segment_duration.millis.max(1));
        let videos = output
            .video_outputs
            .iter()
            .map(|video| u64::from(video.max_bitrate));
        let audios = output
            .audio_outputs
            .iter()
            .map(|audio| u64::from(audio.bitrate));
        let bits_per_second: u64 = videos.chain(audios).sum();
        let bytes = bits_per_second / 8 * HOLDS_MS / 1000 * ROOM_PERCENT / 100;
        Self {
            segments: usize::try_from(HOLDS_MS.div_ceil(segment_ms) + 1).unwrap_or(usize::MAX),
            bytes: bytes.max(LEAST_BYTES),
        }
    }
}

/// What the publisher is to do, in this order.
#[derive(Debug)]
pub enum Item {
    /// A run begins.
    Run(NewRun, Vec<Init>),
    /// A segment of it.
    Segment(Vec<SegmentTrack>),
    /// End the playlists, and be done.
    End,
    /// Leave the playlists open, and be done.
    Close,
}

/// A queue that never holds more segments than it may: the oldest ones that
/// wait give way. The one that was taken out is under way until the next is
/// taken, and never given up: parts of it may be in the store already, under
/// the number it is to have.
#[derive(Debug)]
pub struct Buffer {
    limits: Limits,
    items: VecDeque<Item>,
    segments: usize,
    bytes: u64,
    under_way: u64,
    dropped: u64,
    closed: bool,
}

impl Buffer {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            items: VecDeque::new(),
            segments: 0,
            bytes: 0,
            under_way: 0,
            dropped: 0,
            closed: false,
        }
    }

    /// Takes an item in. The newest segment is kept in any case.
    pub fn push(&mut self, item: Item) {
        if self.closed {
            return;
        }
        self.closed = matches!(item, Item::End | Item::Close);
        if let Item::Segment(tracks) = &item {
            let bytes = size(tracks);
            self.make_room(bytes);
            self.segments += 1;
            self.bytes += bytes;
        }
        if matches!(item, Item::Run(..)) && matches!(self.items.back(), Some(Item::Run(..))) {
            // A run that had no segment leaves no trace.
            self.items.pop_back();
        }
        self.items.push_back(item);
    }

    fn make_room(&mut self, bytes: u64) {
        let oldest = |items: &VecDeque<Item>| {
            items
                .iter()
                .position(|item| matches!(item, Item::Segment(_)))
        };
        while self.waiting() + 1 > self.limits.segments
            || self.bytes + self.under_way + bytes > self.limits.bytes
        {
            let Some(index) = oldest(&self.items) else {
                return;
            };
            if let Some(Item::Segment(tracks)) = self.items.remove(index) {
                self.segments -= 1;
                self.bytes -= size(&tracks);
                self.dropped += 1;
            }
            // Between two runs there may be nothing left: the older leaves no
            // trace then, and init segments don't pile up here.
            let is_run = |index: usize| matches!(self.items.get(index), Some(Item::Run(..)));
            if index > 0 && is_run(index - 1) && is_run(index) {
                self.items.remove(index - 1);
            }
        }
    }

    /// The next item; what was taken before is done with.
    pub fn take(&mut self) -> Option<Item> {
        self.under_way = 0;
        let item = self.items.pop_front()?;
        if let Item::Segment(tracks) = &item {
            let bytes = size(tracks);
            self.segments -= 1;
            self.bytes -= bytes;
            self.under_way = bytes;
        }
        Some(item)
    }

    /// Nothing is taken in any more, and what waits is forgotten.
    pub fn shut(&mut self) {
        self.closed = true;
        self.items.clear();
        (self.segments, self.bytes, self.under_way) = (0, 0, 0);
    }

    /// Segments that wait, the one under way included.
    pub fn waiting(&self) -> usize {
        self.segments + usize::from(self.under_way > 0)
    }

    /// Segments left out since it was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

fn size(tracks: &[SegmentTrack]) -> u64 {
    tracks.iter().map(|track| track.data.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, bytes: usize) -> Item {
        Item::Segment(vec![SegmentTrack {
            start,
            duration: 1,
            data: vec![0; bytes].into(),
        }])
    }

    fn run(number: u32) -> Item {
        let run = NewRun {
            number,
            start: jiff::Timestamp::UNIX_EPOCH,
            renditions: Vec::new(),
        };
        Item::Run(run, Vec::new())
    }

    fn starts(buffer: &mut Buffer) -> Vec<u64> {
        let start = |item| match item {
            Item::Segment(tracks) => Some(tracks[0].start),
            _ => None,
        };
        std::iter::from_fn(|| buffer.take())
            .filter_map(start)
            .collect()
    }

    #[test]
    fn the_oldest_that_wait_give_way_to_the_newest() {
        let mut buffer = Buffer::new(Limits {
            segments: 3,
            bytes: 100,
        });
        buffer.push(segment(0, 10));
        assert!(buffer.take().is_some(), "segment 0 is under way");
        for start in 1..6 {
            buffer.push(segment(start, 10));
            assert!(buffer.waiting() <= 3);
        }
        assert_eq!(buffer.take_dropped(), 3);
        assert_eq!(buffer.take_dropped(), 0);
        assert_eq!(starts(&mut buffer), [4, 5]);
        assert_eq!(buffer.waiting(), 0);
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_is_kept_in_any_case() {
        let mut buffer = Buffer::new(Limits {
            segments: 10,
            bytes: 100,
        });
        for start in 0..3 {
            buffer.push(segment(start, 40));
        }
        buffer.push(segment(3, 500));
        assert_eq!(buffer.take_dropped(), 3);
        assert_eq!(starts(&mut buffer), [3]);
    }

    #[test]
    fn marks_keep_their_place_and_nothing_follows_the_last() {
        let mut buffer = Buffer::new(Limits {
            segments: 1,
            bytes: 100,
        });
        buffer.push(segment(0, 10));
        buffer.push(run(2));
        buffer.push(segment(1, 10));
        buffer.push(Item::Close);
        buffer.push(segment(2, 10));
        assert!(
            matches!(buffer.take(), Some(Item::Run(..))),
            "segment 0 has given way"
        );
        assert!(matches!(buffer.take(), Some(Item::Segment(_))));
        assert!(matches!(buffer.take(), Some(Item::Close)));
        assert!(buffer.take().is_none());
    }

    #[test]
    fn runs_whose_segments_gave_way_do_not_pile_up() {
        let mut buffer = Buffer::new(Limits {
            segments: 2,
            bytes: 100,
        });
        for number in 1..50 {
            buffer.push(run(number));
            buffer.push(segment(number.into(), 10));
        }
        let left: Vec<_> = std::iter::from_fn(|| buffer.take())
            .map(|item| match item {
                Item::Run(run, _) => u64::from(run.number),
                Item::Segment(tracks) => tracks[0].start,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(left, [48, 48, 49, 49]);
    }
}
