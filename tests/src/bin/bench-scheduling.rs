//! What the placement of a job asks of DynamoDB, and how often schedulers meet
//! that place many at once: the real ones, on the embedded database in memory.
//!
//! `BENCH_PLACEMENTS` (100) jobs one after the other on small and large
//! fleets; then `BENCH_JOBS` (2,000) at once on `BENCH_WORKERS` (10,000), and
//! on no more workers than jobs. Every job must come out placed once, on a
//! worker of its own: what isn't so ends the bench.

use tests::bench::figures::{say, table};
use tests::bench::{setting, usage};
use tests::scheduling::{Placed, Rush};

/// Idle workers that placements are compared on.
const FLEETS: [usize; 3] = [10, 1_000, 10_000];
/// How many of them are kept warm: none, and some.
const KEPT_WARM: [u64; 2] = [0, 3];
/// The operations that a placement uses.
const OPERATIONS: [&str; 4] = ["Query", "GetItem", "BatchGetItem", "TransactWriteItems"];
/// Schedulers at once.
const SCHEDULERS: [usize; 3] = [1, 8, 64];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let placements = setting("BENCH_PLACEMENTS", 100)?;
    let jobs = setting("BENCH_JOBS", 2_000)?;
    let workers = setting("BENCH_WORKERS", 10_000)?;
    say(&format!("load before: {}", usage::load()?))?;
    say("\nOne placement on an idle worker, DynamoDB calls and capacity units (means)\n")?;
    cost(placements).await?;
    say(&format!("\n{jobs} jobs at once\n"))?;
    rush(jobs, workers).await
}

/// One scheduler, one job after the other.
async fn cost(placements: usize) -> anyhow::Result<()> {
    let [query, get, batch, transaction] = OPERATIONS;
    let head = [
        "idle workers",
        "kept warm",
        query,
        get,
        batch,
        transaction,
        "all calls",
        "read units",
        "write units",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for min_idle in KEPT_WARM {
        for workers in FLEETS {
            // Enough stay idle that none has to be launched.
            let jobs = placements.min(workers / 2);
            let rush = Rush {
                workers,
                jobs,
                schedulers: 1,
                min_idle,
            };
            let Placed { calls, .. } = rush.place().await?;
            let each = |total: f64| format!("{:.2}", total / jobs as f64);
            let [query, get, batch, transaction] = OPERATIONS.map(|name| calls.of(name) as f64);
            rows.push([
                workers.to_string(),
                min_idle.to_string(),
                each(query),
                each(get),
                each(batch),
                each(transaction),
                each(calls.total() as f64),
                each(calls.read_units),
                each(calls.write_units),
            ]);
        }
    }
    Ok(table(&rows)?)
}

/// Schedulers at once: with workers in plenty, and with just as many as jobs.
async fn rush(jobs: usize, workers: usize) -> anyhow::Result<()> {
    let head = [
        "idle workers",
        "schedulers",
        "placed once",
        "conflicts",
        "per placement",
        "calls per placement",
        "sent again",
        "launched",
        "placements/s",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for workers in [workers, jobs] {
        for schedulers in SCHEDULERS {
            let rush = Rush {
                workers,
                jobs,
                schedulers,
                min_idle: 0,
            };
            let placed = rush.place().await?;
            let conflicts = placed.calls.conflicts;
            rows.push([
                workers.to_string(),
                schedulers.to_string(),
                jobs.to_string(),
                conflicts.to_string(),
                format!("{:.4}", conflicts as f64 / jobs as f64),
                format!("{:.2}", placed.calls.total() as f64 / jobs as f64),
                placed.sent_again.to_string(),
                placed.launched.to_string(),
                format!("{:.0}", jobs as f64 / placed.took.as_secs_f64()),
            ]);
        }
    }
    Ok(table(&rows)?)
}
