//! `ezlive up` from outside, as clients, publishers and players see it: the
//! real programs, the real FFmpeg, over HTTP and RTMP.

mod channel;
mod errors;
mod media;
mod pull;
mod reconnect;
mod restart;
mod standby;
mod viewer;

use serde_json::{Value, json};
use tests::api::text;
use tests::machine::sample_with;

/// A channel that costs little and shows changes soon: small pictures,
/// segments of two seconds.
fn small_channel(change: impl FnOnce(&mut Value)) -> anyhow::Result<Value> {
    sample_with(|job| {
        let output = &mut job["Output"];
        output["Segment_duration"] = json!(2);
        for (rendition, (width, height)) in [(320, 180), (256, 144)].into_iter().enumerate() {
            let video = &mut output["Video_outputs"][rendition];
            video["Width"] = json!(width);
            video["Height"] = json!(height);
            video["Preset"] = json!("veryfast");
            video["Gop_size"] = json!(1);
        }
        change(job);
    })
}

/// Where a publisher pushes to: a secret.
fn push_url(job: &Value) -> anyhow::Result<String> {
    let (url, key) = (text(job, "/ingest/url")?, text(job, "/ingest/stream_key")?);
    Ok(format!("{url}/{key}"))
}

/// Now, in milliseconds since 1970.
fn now() -> u64 {
    jiff::Timestamp::now()
        .as_millisecond()
        .try_into()
        .unwrap_or_default()
}
