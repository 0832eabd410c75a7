//! `ezlive up` from outside, as clients, publishers and players see it: the
//! real programs, the real FFmpeg, over HTTP and RTMP.

mod channel;
mod draining;
mod errors;
mod media;
mod pull;
mod reconnect;
mod restart;
mod standby;
mod tracing;
mod tracks;

use serde_json::Value;
use tests::api::text;

/// Where a publisher pushes to: a secret.
fn push_url(job: &Value) -> anyhow::Result<String> {
    let (url, key) = (text(job, "/ingest/url")?, text(job, "/ingest/stream_key")?);
    Ok(format!("{url}/{key}"))
}
