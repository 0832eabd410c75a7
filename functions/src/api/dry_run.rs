//! What would be made of a spec, without making it.

use domain::input::{InputAudio, InputInfo, InputVideo};
use domain::plan::{Feed, plan};
use domain::spec::{OperatorPolicy, PullProtocol, Source, Spec, Warning};
use serde::Serialize;
use utoipa::ToSchema;

/// A valid spec and what it comes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// The spec with every default filled in.
    spec: Spec,
    /// What its client should think about.
    warnings: Vec<Warning>,
    /// What a worker would run, on an input of 720p H.264 and AAC. RTMP, pushed
    /// or pulled, comes by standard input; of what FFmpeg fetches itself the
    /// worker's proxy or relay takes the place of the URL's host.
    ffmpeg: FfmpegCommand,
}

/// A run of FFmpeg.
#[derive(Debug, Serialize, ToSchema)]
pub struct FfmpegCommand {
    /// The arguments after the program's name.
    argv: Vec<String>,
    /// The same as a line for a shell.
    command: String,
}

impl DryRun {
    /// The plan for this spec.
    ///
    /// # Errors
    /// [`shlex::QuoteError`] where an argument holds NUL; no valid spec has one.
    pub fn of(spec: Spec, policy: &OperatorPolicy) -> Result<Self, shlex::QuoteError> {
        let feed = match &spec.input.source {
            Source::Push { .. } => Feed::FlvPipe,
            Source::Pull { url } if url.protocol() == PullProtocol::Rtmp => Feed::FlvPipe,
            Source::Pull { url } => Feed::Url {
                url: url.url().to_string(),
                http_proxy: None,
            },
        };
        let argv = plan(&spec, &assumed_input(), &feed).argv;
        let words = std::iter::once("ffmpeg").chain(argv.iter().map(String::as_str));
        let command = shlex::try_join(words)?;
        Ok(Self {
            warnings: spec
                .warnings()
                .into_iter()
                .chain(policy.warning(&spec))
                .collect(),
            spec,
            ffmpeg: FfmpegCommand { argv, command },
        })
    }
}

/// What a common encoder sends; the worker sniffs the real input.
fn assumed_input() -> InputInfo {
    InputInfo {
        video: Some(InputVideo {
            codec: "h264".to_owned(),
            width: 1280,
            height: 720,
            fps: Some(30.0),
        }),
        audio: Some(InputAudio {
            codec: "aac".to_owned(),
            sample_rate: 48_000,
            channels: 2,
        }),
    }
}
