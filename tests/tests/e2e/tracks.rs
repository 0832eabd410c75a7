//! Publishers whose tracks come and go in mid-connection.

use std::time::Duration;

use serde_json::Value;
use tests::api::{Api, text};
use tests::machine::{Machine, small_channel, until};
use tests::publisher::Publisher;

/// Two seconds of segments, three of silence, and a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// What the job says of its input's sound, once it streams in this run.
async fn sound_of_run(api: &Api, id: &str, run: u64) -> anyhow::Result<Value> {
    until("the run streams", SOON, || async {
        let job = api.job(id).await?;
        let streams = job["state"] == "streaming" && job["stats"]["runs"] == run;
        Ok((streams && !job["stats"]["input"].is_null())
            .then(|| job["stats"]["input"]["audio"].clone()))
    })
    .await
}

/// A picture of a minute, with sound that is announced and configured from the
/// beginning, but heard from the eighteenth second to the thirty-eighth only.
async fn make(file: &str) -> anyhow::Result<()> {
    let options = "-v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=60 \
        -f lavfi -i sine=duration=20 -af asetpts=PTS+18/TB \
        -c:v libx264 -preset ultrafast -g 25 -c:a aac -max_interleave_delta 100000000 -f flv";
    let mut ffmpeg = tokio::process::Command::new("ffmpeg");
    ffmpeg.args(options.split_whitespace()).arg(file);
    anyhow::ensure!(ffmpeg.kill_on_drop(true).status().await?.success());
    Ok(())
}

#[tokio::test]
async fn sound_that_comes_late_and_then_stops_leaves_the_channel_on_air() -> anyhow::Result<()> {
    let machine = Machine::start(&[]).await?;
    let api = Api::of(&machine)?;
    let job = api.create(&small_channel(|_| {})?).await?;
    let id = text(&job, "/id")?.to_owned();
    let job = api.reaches(&id, "running", SOON).await?;
    let folder = tempfile::tempdir()?;
    let programme = folder.path().join("programme.flv").display().to_string();
    make(&programme).await?;
    let push = format!("-re -i {programme} -c copy -max_interleave_delta 200000");
    let push: Vec<_> = push.split(' ').map(str::to_owned).collect();
    let _publisher = Publisher::start_with(&job, &push)?;

    assert!(sound_of_run(&api, &id, 1).await?.is_null());
    assert_eq!(sound_of_run(&api, &id, 2).await?["codec"], "aac");
    assert!(sound_of_run(&api, &id, 3).await?.is_null());
    let told = |message: &str, events: &[Value]| {
        let mut messages = events
            .iter()
            .map(|event| event["reason"]["message"].as_str());
        messages.any(|said| said.is_some_and(|said| said.contains(message)))
    };
    let events = api.events(&id).await?;
    assert!(told("has sound now", &events), "{events:?}");
    assert!(told("sound has stopped", &events), "{events:?}");
    Ok(())
}
