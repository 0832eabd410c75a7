//! What is left to do once a job or its worker has come to an end.

use super::{Job, JobState, Worker, WorkerState};
use crate::job::Deletion;

/// What to do about `TaskStopped`: the worker's process is certainly gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTaskStopped {
    /// Its job goes to another worker; its record, where that is still open,
    /// is closed with it, whatever its beat says.
    LoseJob,
    /// It has handed its job back, or lost it: that one may wait for its next
    /// placement. Then its own record, where that is still open.
    ScheduleAgain {
        /// Whether the record is still open.
        close: bool,
    },
    /// Nobody waits for it: only its record is closed.
    Close,
    /// It has left in order.
    Drop,
}

/// Decides on `TaskStopped` for a worker and the job of its last booking.
pub fn on_task_stopped(worker: &Worker, job: Option<&Job>) -> OnTaskStopped {
    let close = worker.state != WorkerState::Closed;
    if let Some((booking, job)) = worker.booking.as_ref().zip(job) {
        if job.is_booked_on(&worker.id, booking.attempt) {
            return OnTaskStopped::LoseJob;
        }
        if job.state == JobState::Created && job.attempt == booking.attempt {
            return OnTaskStopped::ScheduleAgain { close };
        }
    }
    match close {
        true => OnTaskStopped::Close,
        false => OnTaskStopped::Drop,
    }
}

/// What a client's wish to delete a job comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeleteRequest {
    /// The record goes at once: nothing else is left of the job.
    Remove,
    /// It has not ended, and its client does not insist.
    Refuse,
    /// The same was wished before: the scheduler is told again.
    Stands,
    /// This is what is now wished of it.
    Mark(Deletion),
}

/// Decides on a client's wish to delete a job, `force` also where it has not
/// ended, `media` with its objects.
pub fn on_delete_request(job: &Job, force: bool, media: bool) -> OnDeleteRequest {
    // A deletion asked for before stands; this one may add to it.
    let before = job.deletion;
    let deletion = Deletion {
        media: media || before.is_some_and(|before| before.media),
    };
    // The record goes last: it tells which playlists are still to be ended.
    if job.state.is_ended() && !job.ending && !deletion.media {
        OnDeleteRequest::Remove
    } else if !job.state.is_ended() && !force && before.is_none() {
        OnDeleteRequest::Refuse
    } else if before == Some(deletion) {
        OnDeleteRequest::Stands
    } else {
        OnDeleteRequest::Mark(deletion)
    }
}

/// What to do about `Delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The job is gone, or nobody wants it gone.
    Drop,
    /// It has not ended yet: look again.
    Wait,
    /// Remove its media, then its record.
    RemoveMedia,
    /// End its playlists, as nobody can once its record is gone; then remove
    /// that.
    EndPlaylists,
    /// Remove its record: it has never published.
    Remove,
}

/// Decides on `Delete`.
pub fn on_delete(job: Option<&Job>) -> OnDelete {
    let Some((job, deletion)) = job.and_then(|job| Some((job, job.deletion?))) else {
        return OnDelete::Drop;
    };
    if !job.state.is_ended() {
        OnDelete::Wait
    } else if job.attempt == 0 {
        OnDelete::Remove
    } else if deletion.media {
        OnDelete::RemoveMedia
    } else {
        OnDelete::EndPlaylists
    }
}

/// Whether whoever has seen this job end also ends its playlists. Not those
/// of a job whose media are to be deleted: the deletion ends them for good,
/// and a new end must not come to lie in the emptied folder.
pub fn playlists_are_to_end(job: &Job) -> bool {
    job.state.is_ended() && !job.deletion.is_some_and(|deletion| deletion.media)
}
