//! Logs: one setup for every binary.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::optional;

/// The target of lines that are numbers for metrics: only where they are made
/// of the log, so not in [`LogFormat::Text`].
pub const METRICS: &str = "ezlive_metrics";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for CloudWatch.
    Json,
    /// For people.
    Text,
}

/// Sends logs to standard error; `EZLIVE_LOG` sets the levels, by target, as
/// `info,aws=debug` (`info` where it is not set). A second call changes nothing.
///
/// Levels by target alone: filters by the fields of spans would bring regular
/// expressions into every program, 60 KB of each function's zip.
pub fn init(format: LogFormat) {
    let default = match format {
        LogFormat::Json => default_levels(),
        LogFormat::Text => default_levels().with_target(METRICS, LevelFilter::OFF),
    };
    let levels = optional("EZLIVE_LOG").and_then(|levels| levels.parse().ok());
    let logs = tracing_subscriber::registry().with(levels.unwrap_or(default));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => logs.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => logs.with(lines.compact().with_ansi(in_colour())).try_init(),
    };
    drop(set);
}

fn default_levels() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("aws_config", LevelFilter::WARN)
        .with_target("hyper", LevelFilter::WARN)
}

/// Whether people look on, and have not asked for no colours
/// (<https://no-color.org>).
fn in_colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}
