//! How FFmpeg begins and ends.

use std::time::Duration;

use domain::input::InputInfo;
use domain::job::{Change, Reason, ReasonCode};
use domain::plan::probe_args;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::pressure::Pressure;
use super::{Outcome, Pulled, Session, Told};
use crate::attempt::run::{self, ActiveRun, OutputFault, Pull, RunSetup};
use crate::attempt::source::{Source, address_policy};
use crate::ffmpeg::{EndCause, FailureKind, RunEnd, ffprobe_of};
use crate::ingest::pull::probe::{ProbeError, Probed};
use crate::ingest::pull::{self, PullError};
use crate::publisher::Publisher;
use crate::segmenter::SegmentError;

/// How long an input that FFmpeg opens may take to show what it carries.
const PROBE: Duration = Duration::from_secs(15);
/// A run as long as this had an input: the next one need not wait.
pub(super) const LASTING: Duration = Duration::from_secs(10);

impl Session<'_> {
    /// Starts a run on this input.
    pub(super) fn start_run(
        &mut self,
        input: InputInfo,
        pull: Option<Pull>,
        publisher: &Publisher,
    ) -> Option<Outcome> {
        self.runs += 1;
        self.pressure = Pressure::default();
        let setup = RunSetup {
            spec: &self.job.spec,
            input,
            number: self.runs,
            pull,
            publisher: publisher.intake(),
        };
        match ActiveRun::start(&self.member.config, setup) {
            Ok(run) => {
                self.run = Some(run);
                None
            }
            Err(error) => {
                self.try_again(Reason::new(ReasonCode::TranscoderFailed, error.to_string()))
            }
        }
    }

    /// A pause or deadline, at the pace of this worker.
    pub(super) fn paced(&self, normal: Duration) -> Duration {
        self.member.config.timing.paced(normal)
    }

    /// Ends a run in order, beside the loop, and keeps what it added up to.
    pub(super) fn finish(&mut self, run: ActiveRun) {
        self.waiting = None;
        self.totals.dropped_frames += run.progress().dropped;
        self.finishing = Some(run.finish().boxed());
    }

    /// FFmpeg has ended by itself.
    pub(super) async fn run_ended(&mut self, end: RunEnd) -> Option<Outcome> {
        let run = self.run.take()?;
        self.waiting = None;
        self.reconnect_by = None;
        self.totals.dropped_frames += run.progress().dropped;
        if let Some(forbidden) = run.was_forbidden() {
            return Some(Self::led_astray(&forbidden));
        }
        if run.age() >= self.paced(LASTING) {
            self.input_failures.succeeded();
        }
        let has_ended = matches!(end.cause, EndCause::InputEnded);
        self.live_input_ended |= has_ended && run.is_endless();
        let was_played = has_ended && run.was_played();
        let (pulled, alias) = (run.is_pulled(), run.alias());
        let fault = run.take_rest().await;
        tracing::warn!(cause = ?end.cause, exit = ?end.exit, stderr = ?end.stderr, "FFmpeg ended");
        if was_played {
            return Some(input_ended());
        }
        let text = alias.lift(run::end_text(&end, fault.as_ref()));
        let kind = match &end.cause {
            EndCause::Failed { kind, .. } => Some(*kind),
            _ => None,
        };
        match kind {
            Some(FailureKind::Spec) => Some(failed(ReasonCode::SpecRejected, text)),
            Some(FailureKind::Program) => Some(failed(ReasonCode::TranscoderFailed, text)),
            Some(FailureKind::InputForbidden) => Some(failed(ReasonCode::InputForbidden, text)),
            Some(FailureKind::Input) => self.wait_for_input(ReasonCode::InputUnreachable, text),
            // It may be mended, as a publisher's would; not for ever.
            Some(FailureKind::InputData) if pulled => {
                self.try_again(Reason::new(ReasonCode::InputUnsupported, text))
            }
            // What it fetches itself is not ours to judge: it costs nothing of
            // the budget.
            _ if pulled && is_of_input(&end.cause) => {
                self.wait_for_input(ReasonCode::InputLost, text)
            }
            // A track of the input has stopped: it is looked at again.
            _ if matches!(fault, Some(OutputFault::Cut(SegmentError::Starved { .. }))) => {
                self.wait_for_input(ReasonCode::InputLost, text)
            }
            _ => self.try_again(Reason::new(ReasonCode::TranscoderFailed, text)),
        }
    }

    /// The input is not there: that costs nothing of the budget.
    fn wait_for_input(&mut self, code: ReasonCode, text: String) -> Option<Outcome> {
        let pause = self.input_failures.failed();
        self.sniff_after(self.paced(pause));
        self.in_trouble(Reason::new(code, text))
    }

    /// Another run, after a pause, unless it has come to nothing too often.
    fn try_again(&mut self, reason: Reason) -> Option<Outcome> {
        let pause = self.failures.failed();
        let pause = self.paced(pause);
        if self.failures.is_spent() {
            return Some(Outcome::Failed { reason });
        }
        self.sniff_after(pause);
        self.tell(Change::EndRun { reason }, Told::Running);
        None
    }

    /// Something keeps the input from coming in. Told once, not at each try.
    pub(super) fn in_trouble(&mut self, reason: Reason) -> Option<Outcome> {
        // Of an FFprobe that can't be executed nothing else will come.
        let is_final = [ReasonCode::InputForbidden, ReasonCode::TranscoderFailed];
        if is_final.contains(&reason.code) {
            return Some(Outcome::Failed { reason });
        }
        if self.told == Told::Paused {
            return None;
        }
        if self.told == Told::Streaming || self.last_trouble != Some(reason.code) {
            self.last_trouble = Some(reason.code);
            self.tell(Change::EndRun { reason }, Told::Running);
        }
        None
    }

    /// The URL led FFmpeg where it must not go.
    pub(super) fn led_astray(host: &str) -> Outcome {
        Outcome::Failed {
            reason: forbidden_input(host),
        }
    }

    /// Gets an input ready that FFmpeg opens itself, when it is time to.
    pub(super) fn next_pull(&self, source: &Source) -> Option<BoxFuture<'static, Pulled>> {
        let Source::Url(url) = source else {
            return None;
        };
        let may_begin = self.run.is_none() && self.finishing.is_none() && self.told != Told::Paused;
        if !may_begin || Instant::now() < self.not_before {
            return None;
        }
        let (url, policy) = (url.url().clone(), address_policy(&self.member.config));
        let received = self.received.clone();
        let config = &self.member.config;
        let ffprobe = config.tie.command(ffprobe_of(&config.ffmpeg));
        let limit = self.paced(PROBE);
        let pull = async move {
            let prepared = pull::prepare(&url, &policy, &received).await;
            let prepared = prepared.map_err(|error| {
                let forbidden = matches!(&error, PullError::Address(e) if e.is_forbidden());
                let code = if forbidden {
                    ReasonCode::InputForbidden
                } else {
                    ReasonCode::InputUnreachable
                };
                Reason::new(code, error.to_string())
            })?;
            let arguments = probe_args(prepared.feed());
            let probed = tokio::select! {
                probed = pull::probe::probe(ffprobe.into(), &arguments, prepared.http_proxy(), limit) => {
                    probed.map_err(|error| {
                        if let ProbeError::Program { said } = error {
                            return Reason::new(ReasonCode::TranscoderFailed, said);
                        }
                        let text = match prepared.unreached() {
                            Some(why) => format!("the input could not be opened: {why}"),
                            None => prepared.alias().lift(error.text(prepared.secrets())),
                        };
                        Reason::new(ReasonCode::InputUnreachable, text)
                    })
                }
                forbidden = prepared.forbidden() => Err(forbidden_input(&forbidden.host)),
            };
            // Refused, the probe fails as well: the refusal is why.
            match (probed, prepared.was_forbidden()) {
                (Err(_), Some(forbidden)) => Err(forbidden_input(&forbidden.host)),
                (probed, _) => Ok((prepared, probed?)),
            }
        };
        Some(pull.boxed())
    }

    pub(super) fn pulled(&mut self, pulled: Pulled, publisher: &Publisher) -> Option<Outcome> {
        if self.told == Told::Paused {
            return None;
        }
        match pulled {
            // The stream that was live has become its recording.
            Ok((
                _,
                Probed {
                    length: Some(_), ..
                },
            )) if self.live_input_ended => Some(input_ended()),
            Ok((prepared, Probed { input, length })) => {
                self.published_before_input = publisher.status().borrow().published_segments;
                self.start_run(input, Some(Pull { prepared, length }), publisher)
            }
            Err(reason) => {
                let pause = self.input_failures.failed();
                self.not_before = Instant::now() + self.paced(pause);
                self.in_trouble(reason)
            }
        }
    }
}

/// Whether it is the input that ended a run which FFmpeg fetched it for.
fn is_of_input(cause: &EndCause) -> bool {
    matches!(
        cause,
        EndCause::InputEnded | EndCause::Silent { .. } | EndCause::Stalled { .. }
    )
}

/// The input has been played to its end, and nothing more is to come.
fn input_ended() -> Outcome {
    let message = "the input was played to its end; resume plays it again";
    Outcome::Stopped {
        reason: Some(Reason::new(ReasonCode::InputEnded, message)),
    }
}

/// A run that was to end has.
pub(super) fn note_end(end: &RunEnd) {
    tracing::info!(cause = ?end.cause, "the run is over");
}

fn forbidden_input(host: &str) -> Reason {
    let text = format!("the input leads to {host}, which is not allowed");
    Reason::new(ReasonCode::InputForbidden, text)
}

fn failed(code: ReasonCode, text: String) -> Outcome {
    Outcome::Failed {
        reason: Reason::new(code, text),
    }
}
