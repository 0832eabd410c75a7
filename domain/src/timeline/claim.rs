//! Who may write: claiming, ending, opening again, and nobody any more.

use jiff::Timestamp;

use super::{Presentation, Timeline};
use crate::ids::JobId;

/// What a channel is claimed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// To publish: opened again if it had ended.
    Publish(Presentation),
    /// To end it.
    End,
}

/// Why a timeline can't be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A higher attempt has it; the lower one never writes again.
    #[error("attempt {holder} holds the channel")]
    Fenced {
        /// The attempt that holds it.
        holder: u64,
    },
    /// Its media have been deleted: nobody writes again.
    #[error("the channel's media were deleted")]
    Deleted,
}

impl Timeline {
    /// The timeline as this attempt takes it over: the one found, or where
    /// nothing has been published yet a new one.
    ///
    /// # Errors
    /// [`ClaimError`] where a higher attempt holds it, or it was deleted.
    pub fn claimed(
        found: Option<Self>,
        job: &JobId,
        attempt: u64,
        claim: Claim,
        now: Timestamp,
    ) -> Result<Self, ClaimError> {
        let mut timeline = match found {
            Some(mut timeline) => {
                timeline.claim(attempt, now)?;
                timeline
            }
            None => {
                // Where it is only to be ended, nothing is ever presented this way.
                let unused = Presentation {
                    target_duration: 1,
                    dvr_window: 0,
                };
                let presentation = match claim {
                    Claim::Publish(presentation) => presentation,
                    Claim::End => unused,
                };
                Self::new(job.clone(), attempt, presentation, now)
            }
        };
        match claim {
            Claim::Publish(presentation) => timeline.open(presentation, now),
            Claim::End => timeline.end(now),
        }
        Ok(timeline)
    }

    /// Takes the channel over for this attempt. The run of the last holder is
    /// closed. The time that retired objects are kept starts anew: it was
    /// measured by another machine's clock, and playlists may not have been
    /// written since.
    ///
    /// # Errors
    /// [`ClaimError`] where a higher attempt holds it, or it was deleted.
    pub fn claim(&mut self, attempt: u64, now: Timestamp) -> Result<(), ClaimError> {
        if self.deleted {
            return Err(ClaimError::Deleted);
        }
        if attempt < self.attempt {
            return Err(ClaimError::Fenced {
                holder: self.attempt,
            });
        }
        self.attempt = attempt;
        self.open_run = None;
        for gone in &mut self.retired {
            gone.left = None;
        }
        self.touch(now);
        Ok(())
    }

    /// Gets the channel ready for new segments: after it had ended, or where
    /// the target duration is another, it is opened again with an empty
    /// window and numbers that go on; else only the DVR window may change.
    pub fn open(&mut self, presentation: Presentation, now: Timestamp) {
        let anew = self.ended || self.presentation.target_duration != presentation.target_duration;
        self.presentation = presentation;
        if anew {
            self.open_run = None;
            while !self.window.is_empty() {
                self.retire_first();
            }
            self.ended = false;
            self.longest_playlist_us = 0;
        }
        self.touch(now);
    }

    /// The tombstone of a channel whose media are deleted: it names nothing,
    /// and nobody can claim it. It stays when all else has gone.
    pub fn tombstone(found: Option<&Self>, job: &JobId, attempt: u64, now: Timestamp) -> Self {
        let unused = Presentation {
            target_duration: 1,
            dvr_window: 0,
        };
        let attempt = found.map_or(attempt, |found| attempt.max(found.attempt));
        Self {
            revision: found.map_or(1, |found| found.revision + 1),
            ended: true,
            deleted: true,
            ..Self::new(job.clone(), attempt, unused, now)
        }
    }

    /// Ends the playlists: what is in the window stays as it is.
    pub fn end(&mut self, now: Timestamp) {
        self.ended = true;
        self.open_run = None;
        self.touch(now);
    }
}
