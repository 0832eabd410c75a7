//! The messages of the one scheduler queue. They are hints: each is safe to
//! deliver twice, late, or never; the truth is in the records.

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, WorkerId};

/// A message to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// This job may need a worker.
    Schedule {
        /// The job.
        job: JobId,
        /// For a retry: the failures it follows. Once the job has counted
        /// more, another chain of retries has taken over and this one ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_failures: Option<u32>,
        /// For a try of a job that waits for the fleet: its link of the chain
        /// of tries, which is the job's `watch_seq` (a job is either watched
        /// or waits).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        try_seq: Option<u64>,
    },
    /// Look whether the worker of this attempt still beats.
    Watch(Watch),
    /// By now this attempt should have stopped.
    StopBy {
        /// The job.
        job: JobId,
        /// The attempt that was to stop.
        attempt: u64,
    },
    /// Remove this job, which its client has deleted, once it has ended.
    Delete {
        /// The job.
        job: JobId,
    },
    /// Take away what writers that died have left in the folder of a job that
    /// was deleted with its media. The job's record is gone.
    Purge {
        /// The job.
        job: JobId,
        /// The bucket that it named; `None`: the operator's store.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bucket: Option<String>,
    },
    /// The worker's task (or process) has ended.
    TaskStopped {
        /// The worker it ran.
        worker: WorkerId,
    },
    /// Put right whatever lost messages left behind.
    Sweep,
    /// The next page of a sweep: a page a message, so that each is taken in
    /// the few seconds that a function has, however many records there are.
    SweepOn(SweepPage),
}

/// A page of a sweep after the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum SweepPage {
    /// Live jobs, newest first.
    Jobs {
        /// Those older than this one.
        before: JobId,
    },
    /// Ended jobs whose playlists are still to be ended.
    Endings {
        /// Those older than this one.
        before: JobId,
    },
    /// Ended jobs that are to be deleted.
    Deletions {
        /// Those older than this one.
        before: JobId,
    },
    /// Open workers, by id.
    Workers {
        /// Those after this one.
        after: WorkerId,
    },
}

impl Message {
    /// A first `Schedule` for a job.
    pub fn schedule(job: JobId) -> Self {
        Self::Schedule {
            job,
            after_failures: None,
            try_seq: None,
        }
    }
}

/// One look at the worker of an attempt. Each look that goes on advances the
/// job's `watch_seq` on condition and sends the next, so a chain can't fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The job.
    pub job: JobId,
    /// The attempt watched.
    pub attempt: u64,
    /// The link of the chain: the job's `watch_seq` when this was sent.
    pub watch_seq: u64,
    /// The beat that the look before saw.
    pub seen_beat: u64,
    /// For how many looks in a row it has not moved.
    pub unmoved: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is on the wire stays readable for older and newer schedulers.
    #[test]
    fn the_wire_form_is_fixed() {
        let job = JobId::parse("019a0000-0000-7000-8000-000000000001").unwrap();
        let worker = WorkerId::parse("019a0000-0000-7000-8000-000000000002").unwrap();
        let watch = Watch {
            job: job.clone(),
            attempt: 3,
            watch_seq: 7,
            seen_beat: 41,
            unmoved: 2,
        };
        let fixtures = [
            (
                Message::schedule(job.clone()),
                r#"{"type":"schedule","job":"019a0000-0000-7000-8000-000000000001"}"#,
            ),
            (
                Message::Schedule {
                    job: job.clone(),
                    after_failures: Some(2),
                    try_seq: None,
                },
                r#"{"type":"schedule","job":"019a0000-0000-7000-8000-000000000001","after_failures":2}"#,
            ),
            (
                Message::Schedule {
                    job: job.clone(),
                    after_failures: Some(2),
                    try_seq: Some(5),
                },
                r#"{"type":"schedule","job":"019a0000-0000-7000-8000-000000000001","after_failures":2,"try_seq":5}"#,
            ),
            (
                Message::Watch(watch),
                r#"{"type":"watch","job":"019a0000-0000-7000-8000-000000000001","attempt":3,"watch_seq":7,"seen_beat":41,"unmoved":2}"#,
            ),
            (
                Message::Delete { job: job.clone() },
                r#"{"type":"delete","job":"019a0000-0000-7000-8000-000000000001"}"#,
            ),
            (
                Message::Purge {
                    job: job.clone(),
                    bucket: Some("b".to_owned()),
                },
                r#"{"type":"purge","job":"019a0000-0000-7000-8000-000000000001","bucket":"b"}"#,
            ),
            (
                Message::SweepOn(SweepPage::Jobs {
                    before: job.clone(),
                }),
                r#"{"type":"sweep_on","part":"jobs","before":"019a0000-0000-7000-8000-000000000001"}"#,
            ),
            (
                Message::SweepOn(SweepPage::Endings {
                    before: job.clone(),
                }),
                r#"{"type":"sweep_on","part":"endings","before":"019a0000-0000-7000-8000-000000000001"}"#,
            ),
            (
                Message::SweepOn(SweepPage::Deletions {
                    before: job.clone(),
                }),
                r#"{"type":"sweep_on","part":"deletions","before":"019a0000-0000-7000-8000-000000000001"}"#,
            ),
            (
                Message::SweepOn(SweepPage::Workers {
                    after: worker.clone(),
                }),
                r#"{"type":"sweep_on","part":"workers","after":"019a0000-0000-7000-8000-000000000002"}"#,
            ),
            (
                Message::StopBy { job, attempt: 3 },
                r#"{"type":"stop_by","job":"019a0000-0000-7000-8000-000000000001","attempt":3}"#,
            ),
            (
                Message::TaskStopped { worker },
                r#"{"type":"task_stopped","worker":"019a0000-0000-7000-8000-000000000002"}"#,
            ),
            (Message::Sweep, r#"{"type":"sweep"}"#),
        ];
        for (message, wire) in fixtures {
            assert_eq!(serde_json::to_string(&message).unwrap(), wire);
            assert_eq!(serde_json::from_str::<Message>(wire).unwrap(), message);
        }
    }
}
