//! Logs: one setup for every binary.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

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

/// Sends logs to standard error; `EZLIVE_LOG` sets the filter (`info` where it
/// is not set). A second call changes nothing.
pub fn init(format: LogFormat) {
    let default = match format {
        LogFormat::Json => "info,aws_config=warn,hyper=warn".to_owned(),
        LogFormat::Text => format!("info,aws_config=warn,hyper=warn,{METRICS}=off"),
    };
    let filter = EnvFilter::try_from_env("EZLIVE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.compact().with_ansi(in_colour()).try_init(),
    };
    drop(set);
}

/// Whether people look on, and have not asked for no colours
/// (<https://no-color.org>).
fn in_colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}
