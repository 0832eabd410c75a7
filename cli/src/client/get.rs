//! `ezlive get` and `ezlive events`.

use clap::Args;

use super::api::ApiClient;
use super::failure::Failure;
use super::help;
use super::output::{self, Output};
use super::resolve;
use super::types::{Event, InputStats, Job, Stats};

/// Arguments of `ezlive get`.
#[derive(Debug, Args)]
#[command(after_help = help::GET)]
pub struct GetArgs {
    /// The job: its id, or the start or end of it
    job: String,
}

/// Arguments of `ezlive events`.
#[derive(Debug, Args)]
#[command(after_help = help::EVENTS)]
pub struct EventsArgs {
    /// The job: its id, or the start or end of it
    job: String,
}

/// Shows a job.
///
/// # Errors
/// What the API says.
pub async fn run(api: &ApiClient, output: &Output, args: &GetArgs) -> Result<(), Failure> {
    let id = resolve::job(api, &args.job).await?;
    let answer = api.job(&id).await?;
    if output.json {
        return output.document(&answer.json);
    }
    print_job(output, &answer.body)
}

/// Shows a job's history, oldest first.
///
/// # Errors
/// What the API says.
pub async fn events(api: &ApiClient, output: &Output, args: &EventsArgs) -> Result<(), Failure> {
    let id = resolve::job(api, &args.job).await?;
    let answer = api.events(&id, 0).await?;
    if output.json {
        return output.document(&answer.json);
    }
    let rows: Vec<Vec<String>> = answer.body.iter().map(event_row).collect();
    output.line(&output::table(
        &["AT (UTC)", "WHAT", "ATTEMPT", "WORKER", "WHY"],
        &rows,
    )?)
}

fn event_row(event: &Event) -> Vec<String> {
    let at = event
        .at
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        or_dash(at),
        what_happened(event),
        or_dash(event.attempt.map(|attempt| attempt.to_string())),
        or_dash(event.worker_id.as_deref().map(short)),
        why(event),
    ]
}

/// `created → assigned`, or the kind of event where no state changed. Trouble
/// without a reason is over.
pub fn what_happened(event: &Event) -> String {
    match (event.from.as_deref(), event.to.as_deref()) {
        (Some(from), Some(to)) if from != to => {
            format!("{} → {}", output::state(from), output::state(to))
        }
        (None, Some(to)) => output::state(to),
        _ if event.kind.as_deref() == Some("trouble") && event.reason.is_none() => {
            "out of trouble".to_owned()
        }
        _ => output::clean(event.kind.as_deref().unwrap_or("?")),
    }
}

/// The reason of an event, on one line.
pub fn why(event: &Event) -> String {
    let reason = event.reason.as_ref().map(ToString::to_string);
    output::clean(&reason.unwrap_or_default()).replace(['\n', '\t'], " ")
}

/// The end of an id, enough to tell a few apart; every command takes it.
pub fn short(id: &str) -> String {
    let id = output::clean(id);
    id.char_indices()
        .rev()
        .nth(11)
        .map_or(id.as_str(), |(start, _)| &id[start..])
        .to_owned()
}

fn print_job(output: &Output, job: &Job) -> Result<(), Failure> {
    let field = |name: &str, value: &str| output.line(&format!("{name:<10}{value}"));
    field("job", &output::clean(&job.id))?;
    let wanted = job
        .desired
        .as_deref()
        .map(|desired| format!(" (wanted: {})", output::clean(desired)));
    field(
        "state",
        &format!(
            "{}{}",
            output::state(&job.state),
            wanted.unwrap_or_default()
        ),
    )?;
    if let Some(reason) = &job.reason {
        field("reason", &output::clean(&reason.to_string()))?;
    }
    if let Some(worker) = &job.worker_id {
        field(
            "worker",
            &format!(
                "{}, attempt {}",
                output::clean(worker),
                job.attempt.unwrap_or_default()
            ),
        )?;
    }
    if let Some(ingest) = &job.ingest {
        field("ingest", &output::clean(&ingest.url))?;
        field("key", &output::clean(&ingest.stream_key))?;
    }
    print_playback(output, job)?;
    if let Some(stats) = &job.stats {
        print_stats(output, stats)?;
    }
    field("created", &output::moment(job.created_at.as_deref()))?;
    field("updated", &output::moment(job.updated_at.as_deref()))?;
    if let Some(trace) = &job.trace_id {
        field("trace", &output::clean(trace))?;
    }
    output.warnings(job.warnings.as_deref());
    Ok(())
}

/// Where the job plays.
///
/// # Errors
/// [`Failure::Output`].
pub fn print_playback(output: &Output, job: &Job) -> Result<(), Failure> {
    let playback = job.playback.clone().unwrap_or_default();
    for (name, url) in [("hls", playback.hls), ("dash", playback.dash)] {
        if let Some(url) = url {
            output.line(&format!("{name:<10}{}", output::clean(&url)))?;
        }
    }
    Ok(())
}

fn print_stats(output: &Output, stats: &Stats) -> Result<(), Failure> {
    let taken = stats
        .bytes_ingested
        .filter(|&bytes| bytes > 0)
        .map(|bytes| format!("{} taken", output::bytes(bytes)));
    let input: Vec<String> = stats
        .input
        .as_ref()
        .map(describe_input)
        .filter(|input| !input.is_empty())
        .into_iter()
        .chain(taken)
        .collect();
    if !input.is_empty() {
        output.line(&format!("input     {}", input.join(" · ")))?;
    }
    let parts = [
        stats.fps.map(|fps| format!("{fps:.1} fps")),
        stats.speed.map(|speed| format!("{speed:.2}x")),
        stats
            .dropped_frames
            .map(|frames| format!("{frames} frames dropped")),
        stats.runs.map(|runs| format!("run {runs}")),
        stats
            .last_segment_age_ms
            .map(|age| format!("segment {:.1} s ago", age / 1000.0)),
        stats
            .up_seconds
            .map(|up| format!("up {}", output::duration(up))),
        stats
            .active_seconds
            .map(|active| format!("with input {}", output::duration(active))),
    ];
    let text: Vec<String> = parts.into_iter().flatten().collect();
    if text.is_empty() {
        Ok(())
    } else {
        output.line(&format!("output    {}", text.join(" · ")))
    }
}

fn describe_input(input: &InputStats) -> String {
    let video = input.video.as_ref().map(|video| {
        let size = video
            .width
            .zip(video.height)
            .map(|(width, height)| format!(" {width}x{height}"));
        let fps = video.fps.map(|fps| format!(" {fps:.2} fps"));
        [video.codec.clone(), size, fps]
            .into_iter()
            .flatten()
            .collect::<String>()
    });
    let audio = input.audio.as_ref().map(|audio| {
        let rate = audio.sample_rate.map(|rate| format!(" {rate} Hz"));
        let channels = audio.channels.map(|channels| format!(" {channels} ch"));
        [audio.codec.clone(), rate, channels]
            .into_iter()
            .flatten()
            .collect::<String>()
    });
    let bitrate = input.bitrate_kbps.map(|kbps| format!("{kbps:.0} kbit/s"));
    output::clean(
        &[video, audio, bitrate]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" · "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_without_a_reason_is_over() {
        let event = |reason| -> Event {
            serde_json::from_value(serde_json::json!({
                "type": "trouble", "from": "streaming", "to": "streaming", "reason": reason,
            }))
            .unwrap()
        };
        let away = event(Some(serde_json::json!({
            "code": "store_unavailable", "message": "the media store takes no segments at present",
        })));
        assert_eq!(what_happened(&away), "trouble");
        assert_eq!(what_happened(&event(None)), "out of trouble");
    }
}
