//! `--min-idle`: a worker is there before the job is.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use tests::api::{Api, text};
use tests::machine::{Machine, until};

use super::small_channel;

/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The workers in this state, or all that are open.
async fn workers(api: &Api, state: &str) -> anyhow::Result<BTreeSet<String>> {
    let (_, fleet) = api
        .send(Method::GET, &format!("/workers{state}"), None)
        .await?;
    let workers = fleet["workers"].as_array().into_iter().flatten();
    workers
        .map(|worker| Ok(text(worker, "/id")?.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_warm_worker_takes_the_job_and_another_one_its_place() -> anyhow::Result<()> {
    let machine = Machine::start(&["--min-idle", "1", "--idle-timeout", "0.5"]).await?;
    let api = Api::of(&machine)?;
    let idle = || async {
        let idle = workers(&api, "?state=idle").await?;
        Ok::<_, anyhow::Error>(idle.into_iter().next())
    };
    let standby = until("a standby", SOON, idle).await?;

    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    assert_eq!(text(&job, "/worker_id")?, standby);
    let next = until("the next standby", SOON, idle).await?;
    assert_ne!(next, standby);

    // Freed, the first one is idle too: one of the two is too many.
    api.wish(&id, "stop").await?;
    api.reaches(&id, "stopped", SOON).await?;
    let left = until("one of two to leave", SOON, || async {
        let open = workers(&api, "").await?;
        Ok((open.len() == 1).then_some(open))
    })
    .await?;
    assert!(left.is_subset(&BTreeSet::from([standby, next])));
    Ok(())
}
