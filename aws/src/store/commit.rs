//! A transition, written whole or not at all.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use domain::event::EventKind;
use domain::ids::WorkerId;
use domain::job::Transition;
use domain::worker::{Booking, Worker};
use jiff::Timestamp;

use super::error::{failed_conditions, met_another, met_at};
use super::item::{doc, event_item, index_state, n, s, worker_item};
use super::tables::{EXPIRES_AT, key};
use super::{CommitError, Store, StoreError};

/// The worker's half of a job's transition.
#[derive(Debug, Clone)]
pub enum WorkerChange {
    /// The worker is not concerned.
    None,
    /// An idle worker takes the booking.
    Book {
        /// Which.
        worker: WorkerId,
        /// For what.
        booking: Booking,
    },
    /// A new worker comes into the fleet, booked from the start.
    Launch {
        /// Its record, `booting`.
        worker: Box<Worker>,
        /// How many workers the fleet may have; `None`: no limit.
        max_workers: Option<u64>,
    },
    /// A worker leaves the fleet, and an idle one takes its job's booking.
    HandOver {
        /// Who leaves.
        from: WorkerId,
        /// Who takes it.
        to: WorkerId,
        /// For what.
        booking: Booking,
    },
    /// The worker is free again.
    Release {
        /// Which.
        worker: WorkerId,
        /// What it was booked for.
        booking: Booking,
    },
    /// The worker leaves the fleet.
    Close {
        /// Which.
        worker: WorkerId,
        /// Only if its beat still stands here; `None`: in any case.
        seen_beat: Option<u64>,
    },
}

/// The worker's place in a transition's transaction, after job and event.
const WORKER: usize = 2;

/// How long the record of a worker that has left is kept, in seconds.
const CLOSED_KEPT_SECONDS: i64 = 24 * 3600;

impl Store {
    /// Writes a transition: the job on condition of the version it was made
    /// from, its event, and the worker's half.
    ///
    /// # Errors
    /// See [`CommitError`]; then nothing was written. Of a hand-over,
    /// `WorkerChanged` says that the other worker is idle no more. After
    /// `CommitError::Store` the answer may have been lost: read again.
    pub async fn commit(
        &self,
        transition: &Transition,
        worker: WorkerChange,
    ) -> Result<(), CommitError> {
        let now = transition.job.updated_at;
        let is_booking = matches!(worker, WorkerChange::Book { .. });
        let mut items = vec![self.job_update(transition)?, self.event_put(transition)?];
        items.extend(self.worker_updates(&worker, now)?);
        if let Some(counter) = self.fleet_update(&worker, None) {
            items.push(counter);
        }
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .send()
            .await;
        let Err(error) = sent else {
            if transition.event.kind == EventKind::Failed {
                // The stack's alarm counts these lines.
                let reason = transition.job.reason.as_ref().map(|reason| reason.code);
                tracing::error!(job_id = %transition.job.id, ?reason, "job failed");
            }
            return Ok(());
        };
        match failed_conditions(&error).as_deref() {
            Some([true, ..]) => Err(CommitError::JobChanged),
            Some([_, _, true, ..]) => Err(CommitError::WorkerChanged),
            Some([_, _, _, true]) => Err(CommitError::FleetFull),
            // Who books it, or its beat, was writing that idle worker: another
            // one does as well, and needs no message again.
            None if is_booking && met_at(&error) == [WORKER] => Err(CommitError::WorkerChanged),
            None if met_another(&error) => Err(CommitError::JobChanged),
            _ => Err(StoreError::of(error).into()),
        }
    }

    /// A worker leaves the fleet, or comes into it, without a job.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn commit_worker(
        &self,
        worker: WorkerChange,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        self.commit_worker_if(worker, None, now).await
    }

    /// The same by a count of the idle workers: on condition that nobody has
    /// decided by one since `counted` was read ([`super::Fleet::counted`]).
    ///
    /// # Errors
    /// As [`Store::commit`]; [`CommitError::FleetFull`] also where somebody
    /// has: count again.
    pub async fn commit_counted(
        &self,
        worker: WorkerChange,
        counted: u64,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        self.commit_worker_if(worker, Some(counted), now).await
    }

    async fn commit_worker_if(
        &self,
        worker: WorkerChange,
        counted: Option<u64>,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let items = self
            .worker_updates(&worker, now)?
            .into_iter()
            .chain(self.fleet_update(&worker, counted));
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items.collect()))
            .send()
            .await;
        let Err(error) = sent else { return Ok(()) };
        match failed_conditions(&error).as_deref() {
            Some([true, ..]) => Err(CommitError::WorkerChanged),
            Some([_, true]) => Err(CommitError::FleetFull),
            None if met_another(&error) => Err(CommitError::WorkerChanged),
            _ => Err(StoreError::of(error).into()),
        }
    }

    fn job_update(&self, transition: &Transition) -> Result<TransactWriteItem, StoreError> {
        let job = &transition.job;
        let update = Update::builder()
            .table_name(&self.tables.jobs)
            .set_key(Some(key("job_id", job.id.as_str())))
            // `watch_seq` stays as it is: looks and transitions don't disturb each other.
            .update_expression(
                "SET #state = :state, version = :version, attempt = :attempt, doc = :doc",
            )
            .condition_expression("version = :from")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", s(index_state(job)))
            .expression_attribute_values(":version", n(job.version))
            .expression_attribute_values(":attempt", n(job.attempt))
            .expression_attribute_values(":doc", doc(job)?)
            .expression_attribute_values(":from", n(transition.from_version))
            .build()
            .map_err(misbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn event_put(&self, transition: &Transition) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.tables.events)
            .set_item(Some(event_item(&transition.event)?))
            .build()
            .map_err(misbuilt)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The worker's half; of a hand-over that of who takes the job comes
    /// first. Who leaves can't have left before: then the job has changed too.
    fn worker_updates(
        &self,
        change: &WorkerChange,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let changes = match change {
            WorkerChange::HandOver { from, to, booking } => vec![
                WorkerChange::Book {
                    worker: to.clone(),
                    booking: booking.clone(),
                },
                WorkerChange::Close {
                    worker: from.clone(),
                    seen_beat: None,
                },
            ],
            one => vec![one.clone()],
        };
        let updates = changes
            .iter()
            .map(|change| self.worker_update(change, now).transpose());
        updates.flatten().collect()
    }

    fn worker_update(
        &self,
        change: &WorkerChange,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        let update = |worker: &WorkerId| {
            Update::builder()
                .table_name(&self.tables.workers)
                .set_key(Some(key("worker_id", worker.as_str())))
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":now", s(now.to_string()))
        };
        let update = match change {
            WorkerChange::None | WorkerChange::HandOver { .. } => return Ok(None),
            WorkerChange::Launch { worker, .. } => {
                let put = Put::builder()
                    .table_name(&self.tables.workers)
                    .set_item(Some(worker_item(worker)?))
                    .condition_expression("attribute_not_exists(worker_id)")
                    .build()
                    .map_err(misbuilt)?;
                return Ok(Some(TransactWriteItem::builder().put(put).build()));
            }
            // A booking moves the beat: a `Close` of the idle worker, on
            // condition of the beat seen before, must not hit the booked one.
            WorkerChange::Book { worker, booking } => update(worker)
                .update_expression(
                    "SET #state = :booked, booking_job = :job, booking_attempt = :attempt, \
                     updated_at = :now, beat = beat + :one REMOVE idle, stats",
                )
                .condition_expression("#state = :idle")
                .expression_attribute_values(":one", n(1))
                .expression_attribute_values(":booked", s("booked"))
                .expression_attribute_values(":idle", s("idle"))
                .expression_attribute_values(":job", s(booking.job.as_str()))
                .expression_attribute_values(":attempt", n(booking.attempt)),
            // A draining worker stays so: it takes no other job.
            WorkerChange::Release { worker, booking } => update(worker)
                .update_expression(
                    "SET #state = :idle, idle = worker_size, updated_at = :now \
                     REMOVE booking_job, booking_attempt, stats",
                )
                .condition_expression(
                    "#state = :booked AND booking_job = :job AND booking_attempt = :attempt",
                )
                .expression_attribute_values(":booked", s("booked"))
                .expression_attribute_values(":idle", s("idle"))
                .expression_attribute_values(":job", s(booking.job.as_str()))
                .expression_attribute_values(":attempt", n(booking.attempt)),
            WorkerChange::Close { worker, seen_beat } => {
                let condition = match seen_beat {
                    Some(_) => "#state <> :closed AND beat = :beat",
                    None => "attribute_exists(worker_id) AND #state <> :closed",
                };
                let expires = now.as_second() + CLOSED_KEPT_SECONDS;
                // The booking stays: when its task has ended too, it tells
                // which job may wait for its next worker.
                let update = update(worker)
                    .update_expression(
                        "SET #state = :closed, updated_at = :now, #expires = :expires \
                         REMOVE idle",
                    )
                    .condition_expression(condition)
                    .expression_attribute_names("#expires", EXPIRES_AT)
                    .expression_attribute_values(":closed", s("closed"))
                    .expression_attribute_values(":expires", n(expires));
                match seen_beat {
                    Some(beat) => update.expression_attribute_values(":beat", n(beat)),
                    None => update,
                }
            }
        };
        let update = update.build().map_err(misbuilt)?;
        Ok(Some(TransactWriteItem::builder().update(update).build()))
    }
}

/// A request that can't be built is a fault of ours, seen in the first test.
fn misbuilt(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
