//! What a check is about: who takes part, and what may go wrong how often.

/// The bounds of one exhaustive check.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// As the report names it.
    pub name: &'static str,
    /// Jobs, all accepted at the start.
    pub jobs: u8,
    /// Whether an idle worker is there at the start.
    pub spare: bool,
    /// Messages that are taken at the same time.
    pub schedulers: usize,
    /// The fleet's limit.
    pub max_workers: Option<u64>,
    /// Faults of these kinds, together at most so many.
    pub faults: u8,
    /// Which.
    pub kinds: Kinds,
    /// What its clients may ask for, together at most so many times.
    pub orders: u8,
    /// Which.
    pub wishes: &'static [Wish],
    /// Sweeps between the faults (those of the closing runs come on top).
    pub sweeps: u8,
    /// `WorkerLauncher::stop` ends a worker; else it never does.
    pub kills: bool,
    /// Each read of a handler is a step of its own; else those before its
    /// first write are one.
    pub fine_reads: bool,
    /// Each call to the object store is a step of its own; else a claim, a
    /// segment and an end are one each.
    pub fine_media: bool,
    /// From each so manieth state a closing run is made.
    pub close_every: u64,
    /// What is broken on purpose.
    pub broken: Option<Break>,
}

/// Kinds of fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kinds {
    /// A message is delivered twice.
    pub twice: bool,
    /// A message is lost.
    pub lost: bool,
    /// A call fails, or its answer is lost, or the scheduler dies after it.
    pub calls: bool,
    /// ECS has no room.
    pub capacity: bool,
    /// A worker stands still, for any time.
    pub frozen: bool,
    /// A worker's process dies.
    pub killed: bool,
    /// A worker is told to leave at once.
    pub drained: bool,
    /// A worker is told to leave, make before break.
    pub handed_over: bool,
    /// A worker that does well is taken for dead.
    pub misjudged: bool,
    /// A job fails for good.
    pub failed: bool,
}

impl Kinds {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        twice: false,
        lost: false,
        calls: false,
        capacity: false,
        frozen: false,
        killed: false,
        drained: false,
        handed_over: false,
        misjudged: false,
        failed: false,
    };
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wish {
    Stop,
    Pause,
    Resume,
    /// With `force`.
    Delete,
    /// With `force` and `media`.
    DeleteMedia,
}

/// A condition left out on purpose: the checker must find what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// A transition is written over whatever version there is.
    CommitOverAnyVersion,
    /// A worker is booked whether it is idle or not.
    BookAnyWorker,
    /// A worker is closed whether its beat has moved or not.
    CloseAtAnyBeat,
    /// A channel is claimed whoever has it.
    ClaimByAnyAttempt,
    /// `timeline.json` is written whatever is there.
    WriteOverAnyTimeline,
    /// A job is handed over to a worker whether it is idle or not.
    HandOverToAnyWorker,
    /// A channel is claimed though it was deleted.
    ClaimATombstone,
    /// A sweep that never starts a lost chain of looks again.
    SweepWithoutRestart,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "",
            jobs: 1,
            spare: false,
            schedulers: 2,
            max_workers: None,
            faults: 0,
            kinds: Kinds::default(),
            orders: 0,
            wishes: &[],
            sweeps: 0,
            kills: true,
            fine_reads: false,
            fine_media: false,
            close_every: 1,
            broken: None,
        }
    }
}
