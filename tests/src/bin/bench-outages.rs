//! How soon a channel plays on after what can happen to it, and what of it is
//! missing: real processes, a real FFmpeg, a publisher that connects again
//! half a second after it was cut off, and a player that is never touched.
//!
//! `BENCH_TIMES` (10) of each, the outages in turn, `BENCH_AT_ONCE` (3) at a
//! time, each on a machine of its own: they are waiting more than working.
//! `BENCH_ONLY` names a part of those that count. Each channel must come out
//! whole: what one breaks ends the bench.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use tests::bench::figures::{median, say, seconds, table, worst};
use tests::bench::{setting, usage};
use tests::outage::{Outage, Recovery, SEGMENT};

// One thread: FFmpeg is tied to the one that starts it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let times: u32 = setting("BENCH_TIMES", 10)?;
    let at_once: usize = setting("BENCH_AT_ONCE", 3)?;
    let only: String = setting("BENCH_ONLY", String::new())?;
    let outages = Outage::ALL
        .into_iter()
        .filter(|outage| outage.as_str().contains(&only));
    let outages: Vec<_> = outages.collect();
    say(&format!(
        "load before: {}; {times} of each, {at_once} at a time\n",
        usage::load()?
    ))?;
    let mut recoveries: BTreeMap<&str, Vec<Recovery>> = BTreeMap::new();
    let turns = (0..times).flat_map(|_| outages.iter().copied());
    let mut happening = stream::iter(turns)
        .map(|outage| async move { anyhow::Ok((outage, outage.happen().await?)) })
        .buffer_unordered(at_once.max(1));
    while let Some((outage, recovery)) = happening.try_next().await? {
        recoveries
            .entry(outage.as_str())
            .or_default()
            .push(recovery);
    }
    let head = [
        "",
        "next segment, median s",
        "worst s",
        "segments lost, median",
        "worst",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for &outage in &outages {
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
