//! How soon a channel plays on after what can happen to it, and what of it is
//! missing: real processes, a real FFmpeg, a publisher that connects again
//! half a second after it was cut off, and a player that is never touched.
//!
//! `BENCH_TIMES` (10) of each, the outages in turn; `BENCH_ONLY` names a part
//! of those that count. Each channel must come out whole: what one breaks
//! ends the bench.

use std::collections::BTreeMap;

use tests::bench::figures::{median, say, seconds, table, worst};
use tests::bench::{setting, usage};
use tests::outage::{Outage, Recovery, SEGMENT};

// One thread: FFmpeg is tied to the one that starts it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let times: u32 = setting("BENCH_TIMES", 10)?;
    let only: String = setting("BENCH_ONLY", String::new())?;
    let outages = Outage::ALL
        .into_iter()
        .filter(|outage| outage.as_str().contains(&only));
    let outages: Vec<_> = outages.collect();
    say(&format!(
        "load before: {}; {times} of each\n",
        usage::load()?
    ))?;
    let mut recoveries: BTreeMap<&str, Vec<Recovery>> = BTreeMap::new();
    for _ in 0..times {
        for outage in &outages {
            let recovery = outage.happen().await?;
            recoveries
                .entry(outage.as_str())
                .or_default()
                .push(recovery);
        }
    }
    let head = [
        "",
        "next segment, median s",
        "worst s",
        "segments lost, median",
        "worst",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for outage in outages {
        let of_it = recoveries.remove(outage.as_str()).unwrap_or_default();
        rows.push(row(outage, &of_it));
    }
    Ok(table(&rows)?)
}

fn row(outage: Outage, recoveries: &[Recovery]) -> [String; 5] {
    let next: Vec<_> = recoveries.iter().map(|one| one.next_segment).collect();
    let missing: Vec<_> = recoveries.iter().map(|one| one.missing).collect();
    let next = seconds(&next);
    let lost: Vec<_> = seconds(&missing)
        .into_iter()
        .map(|seconds| seconds / SEGMENT.as_secs_f64())
        .collect();
    [
        outage.as_str().to_owned(),
        format!("{:.1}", median(&next)),
        format!("{:.1}", worst(&next)),
        format!("{:.1}", median(&lost)),
        format!("{:.1}", worst(&lost)),
    ]
}
