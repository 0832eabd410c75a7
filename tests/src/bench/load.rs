//! Load on an API, bounded in time and in number.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use reqwest::{Client, Method, StatusCode};
use tokio::time::Instant;

/// One kind of call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What it is called in the figures.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// Absolute.
    pub url: String,
    /// JSON.
    pub body: Option<&'static str>,
    /// What every answer must be.
    pub expected: StatusCode,
}

/// How much load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// So many connections, each with one call at a time.
    pub connections: usize,
    /// For so long.
    pub time: Duration,
    /// But no more than so many calls on each connection.
    pub most_calls: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// How long each call took, to the last byte of its answer; seconds.
    pub latencies: Vec<f64>,
    /// All connections together.
    pub calls_per_second: f64,
}

/// Calls again and again.
///
/// # Errors
/// An answer was not as expected.
pub async fn run(call: &Call, load: Load) -> anyhow::Result<Answers> {
    let began = Instant::now();
    let connections = (0..load.connections).map(|_| connection(call, load, began + load.time));
    let latencies = try_join_all(connections).await?.concat();
    let calls_per_second = latencies.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Answers {
        latencies,
        calls_per_second,
    })
}

async fn connection(call: &Call, load: Load, until: Instant) -> anyhow::Result<Vec<f64>> {
    // A client of its own is a connection of its own, kept open.
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let mut latencies = Vec::new();
    while latencies.len() < load.most_calls && Instant::now() < until {
        let began = Instant::now();
        let mut request = client.request(call.method.clone(), &call.url);
        if let Some(body) = call.body {
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let answer = request.send().await.context(call.name)?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(
            status == call.expected,
            "{}: {status} {}",
            call.name,
            String::from_utf8_lossy(&body)
        );
        latencies.push(began.elapsed().as_secs_f64());
    }
    Ok(latencies)
}
