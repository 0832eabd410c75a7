//! The trace of a POST, in the lines of all who have to do with its job.

use std::time::Duration;

use tests::api::{Api, text};
use tests::machine::{Machine, small_channel};

/// All here takes a few seconds, and more on a busy machine.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn api_scheduler_and_worker_log_the_trace_of_the_post() -> anyhow::Result<()> {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let machine = Machine::start(&[]).await?;
    let api = Api::traced(&machine, &format!("00-{TRACE}-00f067aa0ba902b7-01"))?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let (id, trace) = (text(&job, "/id")?, text(&job, "/trace_id")?);
    assert_eq!(trace, TRACE);
    api.reaches(id, "running", SOON).await?;

    // Later calls are traces of their own, the job stays in its first one.
    let other = Api::of(&machine)?;
    other.wish(id, "stop").await?;
    let stopped = other.reaches(id, "stopped", SOON).await?;
    assert_eq!(text(&stopped, "/trace_id")?, TRACE);

    let log = machine.log()?;
    let traced = |of: &str, what: &str| {
        let mut lines = log.lines().filter(|line| line.contains(TRACE));
        lines.any(|line| line.contains(of) && line.contains(what))
    };
    for (of, what) in [
        ("functions::api", "created"),
        ("functions::scheduler", "launched a worker"),
        ("worker::attempt", "serving"),
        ("worker::attempt", "the attempt is over"),
    ] {
        assert!(traced(of, what), "no line of {of} with {what:?}:\n{log}");
    }
    Ok(())
}
