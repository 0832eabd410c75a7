//! Idle workers that are kept warm, so that a job finds one at once.

use crate::spec::WorkerSize;
use crate::worker::{Worker, WorkerState};

/// How many idle workers are kept warm, and of which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standbys {
    /// How many.
    pub min_idle: u64,
    /// Their size.
    pub size: WorkerSize,
}

impl Standbys {
    /// How many are to be launched, with these workers seen: the idle, and
    /// those on their way that no job waits for, are there already.
    pub fn missing(&self, workers: &[Worker]) -> u64 {
        let there = workers.iter().filter(|worker| {
            let spare = match worker.state {
                WorkerState::Idle => true,
                WorkerState::Booting => worker.booking.is_none(),
                _ => false,
            };
            spare && worker.size == self.size
        });
        self.min_idle.saturating_sub(there.count() as u64)
    }

    /// Whether an idle worker may leave, with these others seen: enough of
    /// them are idle too.
    pub fn can_spare(&self, leaving: &Worker, others: &[Worker]) -> bool {
        let idle = others.iter().filter(|other| {
            other.state == WorkerState::Idle && other.size == self.size && other.id != leaving.id
        });
        leaving.size != self.size || idle.count() as u64 >= self.min_idle
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ids::{JobId, WorkerId};
    use crate::worker::Booking;

    const TWO: Standbys = Standbys {
        min_idle: 2,
        size: WorkerSize::Small,
    };

    fn worker(state: WorkerState, size: WorkerSize) -> Worker {
        let booting = Worker::booting(WorkerId::generate(), size, None, Timestamp::UNIX_EPOCH);
        Worker { state, ..booting }
    }

    #[test]
    fn what_is_idle_or_on_its_way_is_not_missing() {
        let idle = worker(WorkerState::Idle, WorkerSize::Small);
        let booting = worker(WorkerState::Booting, WorkerSize::Small);
        let awaited = Worker {
            booking: Some(Booking {
                job: JobId::generate(),
                attempt: 1,
            }),
            ..booting.clone()
        };
        let large = worker(WorkerState::Idle, WorkerSize::Large);
        let booked = worker(WorkerState::Booked, WorkerSize::Small);
        assert_eq!(TWO.missing(&[]), 2);
        assert_eq!(TWO.missing(&[awaited, large, booked]), 2);
        assert_eq!(TWO.missing(std::slice::from_ref(&idle)), 1);
        assert_eq!(TWO.missing(&[idle.clone(), booting, idle]), 0);
    }

    #[test]
    fn an_idle_worker_leaves_only_those_that_are_enough() {
        let idle: Vec<_> = (0..3)
            .map(|_| worker(WorkerState::Idle, WorkerSize::Small))
            .collect();
        assert!(TWO.can_spare(&idle[0], &idle));
        assert!(!TWO.can_spare(&idle[0], &idle[..2]), "it is one of them");
        let booting = worker(WorkerState::Booting, WorkerSize::Small);
        let others = [idle[1].clone(), booting];
        assert!(!TWO.can_spare(&idle[0], &others), "it may never come");
        let large = worker(WorkerState::Idle, WorkerSize::Large);
        assert!(TWO.can_spare(&large, &[]), "it is none of them");
    }
}
