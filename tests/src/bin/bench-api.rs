//! How many calls the API of `ezlive up` takes over loopback, and how long
//! they take.
//!
//! `BENCH_ROUNDS` (3) rounds of each kind of call in turn, over four
//! connections that call without a pause; client and server share the
//! machine. `GET /health` does nothing, so it is what HTTP itself and the
//! client cost: the floor that the others are compared to.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use tests::api::{Api, text};
use tests::bench::figures::{median, quantile, say, table};
use tests::bench::load::{self, Answers, Call, Load};
use tests::bench::{setting, usage};
use tests::machine::{HANGS, Machine, SAMPLE};

/// Bounded in number too: every job that is made stays.
const LOAD: Load = Load {
    connections: 4,
    time: Duration::from_secs(4),
    most_calls: 10_000,
};

// One thread, as FFmpeg is tied to the one that starts it, and the other
// processor is the server's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let rounds = setting("BENCH_ROUNDS", 3)?;
    // One job has the worker; all others wait.
    let machine = Machine::start(&["--max-workers", "1"]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&serde_json::from_str(SAMPLE)?).await?;
    let id = text(&job, "/id")?;
    api.reaches(id, "running", HANGS).await?;
    let load_before = usage::load()?;
    let calls = calls(machine.url(), id);
    let mut all: Vec<Vec<Answers>> = vec![Vec::new(); calls.len()];
    for _ in 0..rounds {
        for (call, answers) in calls.iter().zip(&mut all) {
            answers.push(load::run(call, LOAD).await?);
        }
    }
    say(&format!(
        "load before: {load_before}; {rounds} rounds, {} connections over loopback\n",
        LOAD.connections
    ))?;
    let mut rows =
        vec![["", "calls/s", "of the floor", "median", "p99", "worst"].map(str::to_owned)];
    for (call, answers) in calls.iter().zip(&all) {
        rows.push(row(call.name, answers, &all[0]));
    }
    Ok(table(&rows)?)
}

fn calls(url: &str, id: &str) -> Vec<Call> {
    let call = |name, method, path: &str, body, expected| Call {
        name,
        method,
        url: format!("{url}{path}"),
        body,
        expected,
    };
    let get = |name, path: &str| call(name, Method::GET, path, None, StatusCode::OK);
    let post = |name, path: &str, expected| call(name, Method::POST, path, Some(SAMPLE), expected);
    vec![
        get("GET /health", "/health"),
        get("GET /jobs/{id}", &format!("/jobs/{id}")),
        get("GET /jobs, 20 of them", "/jobs?limit=20"),
        post("POST /jobs, dry run", "/jobs?dry_run=true", StatusCode::OK),
        post("POST /jobs", "/jobs", StatusCode::CREATED),
    ]
}

/// Rates are compared within a round, as the machine's load changes.
fn row(name: &str, answers: &[Answers], floor: &[Answers]) -> [String; 6] {
    let rate = |answers: &Answers| answers.calls_per_second;
    let rates: Vec<f64> = answers.iter().map(rate).collect();
    let pairs = answers.iter().zip(floor);
    let shares: Vec<f64> = pairs.map(|(own, floor)| rate(own) / rate(floor)).collect();
    let latencies: Vec<f64> = answers.iter().flat_map(|a| a.latencies.clone()).collect();
    let latency = |share| format!("{:.2} ms", quantile(&latencies, share) * 1000.0);
    [
        name.to_owned(),
        format!("{:.0}", median(&rates)),
        format!("{:.2}", median(&shares)),
        latency(0.5),
        latency(0.99),
        latency(1.0),
    ]
}
