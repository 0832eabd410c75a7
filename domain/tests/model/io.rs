//! Programs that can be stopped between any two of their calls.
//!
//! A handler of the scheduler or a task of a worker is written here as a
//! plain function, call by call as the real one is. What its calls were
//! answered is kept in a journal; to take one more step it is run again from
//! its start, fed from the journal, up to its next call. So the whole state
//! of a program under way is its message and its journal.

use domain::job::Transition;

use crate::media::{Playlist, Recorded};
use crate::records::{JobNo, JobRecord, Letter, MessageId, WorkerNo, WorkerRecord};
use crate::store::WorkerChange;

/// A call to the outside.
#[derive(Debug, Clone)]
pub enum Call {
    ReadJob(JobNo),
    ReadWorker(WorkerNo),
    ReadIdle,
    Commit(JobNo, Box<Transition>, WorkerChange),
    CommitWorker(WorkerChange),
    DeleteJob {
        job: JobNo,
        version: u64,
    },
    AdvanceWatch {
        job: JobNo,
        attempt: u64,
        seq: u64,
        by: MessageId,
    },
    NoteWatch {
        job: JobNo,
        seq: u64,
    },
    NoteBeat {
        worker: WorkerNo,
        beat: u64,
    },
    NoteTask(WorkerNo),
    RefuseStandby(WorkerNo),
    Register(WorkerNo),
    Launch(WorkerNo),
    Kill(WorkerNo),
    Send(Letter),
    ReadTimeline(JobNo),
    WriteTimeline {
        job: JobNo,
        over: Option<Recorded>,
        body: Recorded,
    },
    ReadPlaylist(JobNo),
    WritePlaylist {
        job: JobNo,
        over: Option<Playlist>,
        body: Playlist,
    },
    /// The tombstone, over whatever timeline there is.
    Bury(JobNo),
    /// All but the timeline.
    DeleteMedia(JobNo),
    /// The playlists have been claimed or ended: nothing is called; the
    /// invariants count from here.
    Claimed {
        job: JobNo,
        attempt: u64,
    },
}

impl Call {
    /// Whether nobody can tell if others came between this call and the one
    /// before: a message may be late anyhow, a process slow to start or die.
    pub fn follows_at_once(&self) -> bool {
        matches!(
            self,
            Self::Send(_)
                | Self::Launch(_)
                | Self::NoteTask(_)
                | Self::Kill(_)
                | Self::Claimed { .. }
        )
    }

    /// Whether it changes what others see.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Self::ReadJob(_)
                | Self::ReadWorker(_)
                | Self::ReadIdle
                | Self::ReadTimeline(_)
                | Self::ReadPlaylist(_)
        )
    }

    /// Whether the SDK repeats it by itself when no answer comes, and then
    /// may meet its own first write. (A transaction has a token that tells
    /// DynamoDB the repetition.)
    pub fn meets_itself(&self) -> bool {
        matches!(
            self,
            Self::Register(_) | Self::WriteTimeline { .. } | Self::WritePlaylist { .. }
        )
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    Done,
    Job(JobNo, Option<JobRecord>),
    Worker(WorkerNo, Option<WorkerRecord>),
    Idle(Vec<WorkerNo>),
    Timeline(Option<Recorded>),
    Playlist(Option<Playlist>),
    JobChanged,
    WorkerChanged,
    FleetFull,
    Conflict,
    NoCapacity,
    /// Not there, or no answer.
    Unavailable,
}

/// Why a program does not run on.
#[derive(Debug)]
pub enum Halt {
    /// It waits for an answer.
    Calls(Call),
    /// It failed; its message comes again, or its task begins anew.
    Failed,
}

/// What a program gives.
pub type Run<T> = Result<T, Halt>;

/// A program's calls, answered from its journal.
pub struct Io<'a> {
    journal: std::slice::Iter<'a, Answer>,
}

impl<'a> Io<'a> {
    pub fn replay(journal: &'a [Answer]) -> Self {
        Self {
            journal: journal.iter(),
        }
    }

    pub fn call(&mut self, call: Call) -> Run<Answer> {
        self.journal.next().cloned().ok_or(Halt::Calls(call))
    }

    pub fn job(&mut self, job: JobNo) -> Run<Option<JobRecord>> {
        match self.call(Call::ReadJob(job))? {
            Answer::Job(_, record) => Ok(record),
            _ => Err(Halt::Failed),
        }
    }

    pub fn worker(&mut self, worker: WorkerNo) -> Run<Option<WorkerRecord>> {
        match self.call(Call::ReadWorker(worker))? {
            Answer::Worker(_, record) => Ok(record),
            _ => Err(Halt::Failed),
        }
    }

    pub fn send(&mut self, letter: Letter) -> Run<()> {
        self.must(Call::Send(letter))
    }

    /// A call whose failure ends the program.
    pub fn must(&mut self, call: Call) -> Run<()> {
        match self.call(call)? {
            Answer::Done => Ok(()),
            _ => Err(Halt::Failed),
        }
    }
}
