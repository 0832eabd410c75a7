//! The fleet's record: how many workers there are, and how many are kept warm.
//!
//! Whoever decides by a count of idle workers (to launch a standby, to leave)
//! reads `counted` first and names it in the write, which moves it on: of two
//! that have counted the same workers, one counts again.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use domain::protocol::Standbys;
use domain::spec::WorkerSize;

use super::item::{Item, n, number, s, string};
use super::tables::key;
use super::{Store, StoreError, WorkerChange};

/// Its key in the table of workers.
const FLEET: &str = "fleet";

/// The fleet's record as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fleet {
    /// Moves on with each decision that was made by counting idle workers.
    pub counted: u64,
    /// The workers that are kept warm; `None`: none.
    pub standbys: Option<Standbys>,
}

impl Store {
    /// Reads the fleet's record, with all writes before now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.tables.workers)
            .set_key(Some(key("worker_id", FLEET)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(got.item().map(fleet).unwrap_or_default())
    }

    /// Writes how many workers are kept warm: idle ones ask when they are
    /// about to leave.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_standbys(&self, standbys: Standbys) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.tables.workers)
            .set_key(Some(key("worker_id", FLEET)))
            .update_expression("SET min_idle = :min_idle, standby_size = :size")
            .expression_attribute_values(":min_idle", n(standbys.min_idle))
            .expression_attribute_values(":size", s(standbys.size.as_str()))
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(())
    }

    /// The fleet's half of a worker's coming or going: its counter, which
    /// makes its limit hold under any race; and, for a decision by count, that
    /// nobody else has made one since `counted` was read.
    pub(super) fn fleet_update(
        &self,
        change: &WorkerChange,
        counted: Option<u64>,
    ) -> Option<TransactWriteItem> {
        let (step, limit) = match change {
            WorkerChange::Launch { max_workers, .. } => (1, *max_workers),
            WorkerChange::Close { .. } => (-1, None),
            WorkerChange::None | WorkerChange::Book { .. } | WorkerChange::Release { .. } => {
                return None;
            }
        };
        let mut update = Update::builder()
            .table_name(&self.tables.workers)
            .set_key(Some(key("worker_id", FLEET)))
            .expression_attribute_values(":one", n(step));
        let mut expression = "ADD live :one".to_owned();
        let mut conditions = Vec::new();
        match limit {
            None => {}
            Some(0) => conditions.push("attribute_exists(never)"),
            Some(max) => {
                conditions.push("(attribute_not_exists(live) OR live < :max)");
                update = update.expression_attribute_values(":max", n(max));
            }
        }
        if let Some(seen) = counted {
            expression.push_str(" SET counted = :next");
            update = update.expression_attribute_values(":next", n(seen + 1));
            if seen == 0 {
                conditions.push("attribute_not_exists(counted)");
            } else {
                conditions.push("counted = :seen");
                update = update.expression_attribute_values(":seen", n(seen));
            }
        }
        if !conditions.is_empty() {
            update = update.condition_expression(conditions.join(" AND "));
        }
        update
            .update_expression(expression)
            .build()
            .ok()
            .map(|update| TransactWriteItem::builder().update(update).build())
    }
}

fn fleet(item: &Item) -> Fleet {
    let size = string(item, "standby_size").and_then(WorkerSize::parse);
    let standbys = size
        .zip(number(item, "min_idle").filter(|min_idle| *min_idle > 0))
        .map(|(size, min_idle)| Standbys { min_idle, size });
    Fleet {
        counted: number(item, "counted").unwrap_or_default(),
        standbys,
    }
}
