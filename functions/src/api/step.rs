//! Read, decide, write on condition; again where others wrote in between.

use aws::store::{CommitError, WorkerChange};
use domain::ids::JobId;
use domain::job::{Change, IllegalChange, Job};
use jiff::Timestamp;

use super::Api;
use super::extract::no_job;
use super::problem::Problem;

/// How often a step is tried before the client is asked to. Each time
/// somebody else got on, so in practice once or twice is enough.
pub(super) const TRIES: usize = 10;

/// A step was not taken.
pub(super) enum StepError {
    /// The job changed meanwhile: read it and decide anew.
    Changed,
    /// The step can't be taken.
    Problem(Problem),
}

impl From<Problem> for StepError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<IllegalChange> for StepError {
    fn from(error: IllegalChange) -> Self {
        Self::Problem(error.into())
    }
}

impl From<CommitError> for StepError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::JobChanged | CommitError::WorkerChanged => Self::Changed,
            CommitError::FleetFull => Self::Problem(Problem::unavailable("the fleet is full")),
            CommitError::Store(error) => Self::Problem(error.into()),
        }
    }
}

impl Api {
    /// Reads a job.
    pub(super) async fn job(&self, id: &JobId) -> Result<Job, Problem> {
        let stored = self.store.job(id).await?;
        stored.map(|stored| stored.job).ok_or_else(no_job)
    }

    /// Takes a step on a job as it stands, with all writes before now.
    pub(super) async fn step<T, F, Fut>(&self, id: &JobId, step: F) -> Result<T, Problem>
    where
        F: Fn(Job) -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
    {
        for _ in 0..TRIES {
            let job = self.job(id).await?;
            match step(job).await {
                Ok(taken) => return Ok(taken),
                Err(StepError::Problem(problem)) => return Err(problem),
                Err(StepError::Changed) => {}
            }
        }
        Err(Problem::unavailable(
            "the job keeps changing just now; try again",
        ))
    }

    /// Writes a client's change of a job.
    pub(super) async fn commit(&self, job: &Job, change: Change) -> Result<Job, StepError> {
        let transition = job.apply(change, Timestamp::now())?;
        self.store.commit(&transition, WorkerChange::None).await?;
        let (job, event) = (transition.job, transition.event);
        tracing::info!(job_id = %job.id, version = job.version, event = ?event.kind, state = job.state.as_str(), "changed");
        Ok(job)
    }
}
