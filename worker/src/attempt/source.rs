//! Where the input comes from: a publisher that pushes, an origin that we
//! play from over RTMP, or a URL that FFmpeg opens itself.

use std::time::Duration;

use domain::job::{Ingest, Job, Reason, ReasonCode};
use domain::spec::{PullProtocol, PullUrl, PushUrl, Source as SpecSource};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::Instrument;

use super::reason;
use crate::backoff::Backoff;
use crate::config::WorkerConfig;
use crate::ingest::address::AddressPolicy;
use crate::ingest::rtmp::client::{self, ClientError};
use crate::ingest::rtmp::server::{Limits, RtmpServer, bind};
use crate::ingest::{End, Event};
use domain::ids::StreamKey;

/// The pauses between two tries to play from an origin.
const PULL_PAUSES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(8));
/// Events between the puller and the session; more wait in TCP.
const EVENTS: usize = 16;

/// An open source.
pub enum Source {
    /// RTMP, pushed or pulled: tags for FFmpeg's standard input.
    Tags(Tags),
    /// FFmpeg opens the URL itself, behind our checks.
    Url(PullUrl),
}

/// A source of RTMP tags.
pub struct Tags {
    /// What comes, over however many connections.
    pub events: mpsc::Receiver<Event>,
    /// Where it listens; `None` where we pull.
    listening: Option<Listening>,
    /// What the source can't do without help from a person.
    pub trouble: watch::Receiver<Option<Reason>>,
    _serving: Serving,
}

/// Where publishers are listened for.
#[derive(Debug, Clone)]
pub struct Listening {
    port: u16,
    app: String,
}

impl Listening {
    /// What publishers are told, who reach this worker at this host.
    pub fn ingest(&self, host: &str) -> Ingest {
        Ingest {
            protocol: "rtmp".to_owned(),
            url: format!("rtmp://{host}:{}/{}", self.port, self.app),
            port: self.port,
        }
    }
}

enum Serving {
    Push { _server: RtmpServer },
    Pull(AbortHandle),
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Self::Pull(task) = self {
            task.abort();
        }
    }
}

impl Source {
    /// Opens the job's source.
    ///
    /// # Errors
    /// No ingest port is free.
    pub async fn open(
        job: &Job,
        config: &WorkerConfig,
        key: watch::Receiver<StreamKey>,
    ) -> Result<Self, Reason> {
        match &job.spec.input.source {
            SpecSource::Push { url } => listen(url, job.ingest_port, config, key).await,
            SpecSource::Pull { url } if url.protocol() == PullProtocol::Rtmp => {
                Ok(Self::Tags(play(url.clone(), config)))
            }
            SpecSource::Pull { url } => Ok(Self::Url(url.clone())),
        }
    }

    /// Where it listens, where that is how the input comes.
    pub fn listening(&self) -> Option<Listening> {
        match self {
            Self::Tags(tags) => tags.listening.clone(),
            Self::Url(_) => None,
        }
    }
}

/// Over which an input's bitrate is taken: what FFmpeg fetches itself comes in
/// pieces of some seconds.
pub fn bitrate_window(source: &SpecSource) -> Duration {
    match source {
        SpecSource::Pull { url } if url.protocol() != PullProtocol::Rtmp => Duration::from_secs(10),
        SpecSource::Push { .. } | SpecSource::Pull { .. } => Duration::from_secs(2),
    }
}

/// The checks that every connection we make passes.
pub fn address_policy(config: &WorkerConfig) -> AddressPolicy {
    let policy = config.policy.clone();
    AddressPolicy::new(move |address| policy.permits(address))
}

async fn listen(
    url: &PushUrl,
    last_port: Option<u16>,
    config: &WorkerConfig,
    key: watch::Receiver<StreamKey>,
) -> Result<Source, Reason> {
    // The port it had, the one it wished for, then any.
    let preferred = [last_port, Some(url.port)].into_iter().flatten();
    let preferred = preferred.filter(|port| config.rtmp_ports.contains(port));
    let ports = preferred.chain(config.rtmp_ports.clone());
    let listener = bind(config.rtmp_address, ports)
        .await
        .map_err(|error| reason(ReasonCode::NoIngestPort, error.to_string()))?;
    let port = listener
        .local_addr()
        .map_err(|error| reason(ReasonCode::NoIngestPort, error.to_string()))?
        .port();
    let app = url.app.clone();
    let (server, events) = RtmpServer::start(listener, key, Limits::default());
    let (_, trouble) = watch::channel(None);
    Ok(Source::Tags(Tags {
        events,
        listening: Some(Listening { port, app }),
        trouble,
        _serving: Serving::Push { _server: server },
    }))
}

/// Plays from the origin, again and again.
fn play(url: PullUrl, config: &WorkerConfig) -> Tags {
    let (sender, events) = mpsc::channel(EVENTS);
    let (trouble_sender, trouble) = watch::channel(None);
    let policy = address_policy(config);
    let timing = config.timing;
    let playing = async move {
        let mut backoff = PULL_PAUSES;
        loop {
            match client::play(url.url(), &policy).await {
                Ok((_pull, mut played)) => {
                    backoff.reset();
                    trouble_sender.send_replace(None);
                    while let Some(event) = played.recv().await {
                        if sender.send(event).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(origin = url.redacted(), %error, "the origin can't be played");
                    let forbidden = matches!(&error, ClientError::Address(e) if e.is_forbidden());
                    let code = if forbidden {
                        ReasonCode::InputForbidden
                    } else {
                        ReasonCode::InputUnreachable
                    };
                    trouble_sender.send_replace(Some(reason(code, error.to_string())));
                }
            }
            tokio::time::sleep(timing.paced(backoff.pause())).await;
        }
    };
    let task = tokio::spawn(playing.in_current_span());
    Tags {
        events,
        listening: None,
        trouble,
        _serving: Serving::Pull(task.abort_handle()),
    }
}

/// How a connection's end reads in the history.
pub fn end_text(end: End, pushed: bool) -> &'static str {
    match (end, pushed) {
        (End::Clean, true) => "the publisher stopped",
        (End::Lost, true) => "the publisher's connection was lost",
        (End::KeyRotated, _) => "the stream key was rotated",
        (End::Clean, false) => "the origin stopped",
        (End::Lost, false) => "the connection to the origin was lost",
    }
}
