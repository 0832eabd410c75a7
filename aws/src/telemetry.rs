//! Logs: one setup for every binary.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::environment::{EnvironmentError, optional};

/// The variable with the levels.
const VARIABLE: &str = "EZLIVE_LOG";

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
///
/// # Errors
/// [`EnvironmentError`] where the levels can't be read. Logs are sent all the
/// same, by the default ones: whoever calls says so and ends.
pub fn init(format: LogFormat) -> Result<(), EnvironmentError> {
    let read = levels(optional(VARIABLE).as_deref());
    let (levels, fault) = match read {
        Ok(levels) => (levels, Ok(())),
        Err(fault) => (default_levels(), Err(fault)),
    };
    let logs = tracing_subscriber::registry().with(without_metrics(levels, format));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => logs.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => logs.with(lines.compact().with_ansi(in_colour())).try_init(),
    };
    drop(set);
    fault
}

/// The levels that were set, or the default ones.
fn levels(set: Option<&str>) -> Result<Targets, EnvironmentError> {
    let Some(set) = set else {
        return Ok(default_levels());
    };
    set.parse().map_err(|error: ParseError| EnvironmentError {
        variable: VARIABLE,
        fault: format!("is no list of log levels, as info or info,worker=debug: {error}"),
    })
}

/// Without lines that are numbers where nobody makes metrics of them, whatever
/// was set.
fn without_metrics(levels: Targets, format: LogFormat) -> Targets {
    match format {
        LogFormat::Json => levels,
        LogFormat::Text => levels.with_target(METRICS, LevelFilter::OFF),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_cannot_be_read_name_the_variable() {
        let error = levels(Some("ezlive=debgu")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("EZLIVE_LOG"), "{text}");
        for right in [None, Some("debug"), Some("info,worker=debug")] {
            levels(right).unwrap();
        }
    }

    #[test]
    fn lines_for_metrics_are_in_json_alone() {
        let metrics = |set, format| {
            let levels = without_metrics(levels(set).unwrap(), format);
            levels.would_enable(METRICS, &tracing::Level::INFO)
        };
        for set in [None, Some("debug"), Some("ezlive_metrics=info")] {
            assert!(metrics(set, LogFormat::Json), "{set:?}");
            assert!(!metrics(set, LogFormat::Text), "{set:?}");
        }
    }
}
