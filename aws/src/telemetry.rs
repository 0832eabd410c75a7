//! Logs: one setup for every binary.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::environment::{EnvironmentError, optional};

/// The variable with the filter.
const VARIABLE: &str = "EZLIVE_LOG";
/// The filter where none is set.
const DEFAULT: &str = "info,aws_config=warn,hyper=warn";

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
///
/// # Errors
/// [`EnvironmentError`] where the filter can't be read. Logs are sent all the
/// same, by the default filter: whoever calls says so and ends.
pub fn init(format: LogFormat) -> Result<(), EnvironmentError> {
    let read = filter(optional(VARIABLE).as_deref(), format);
    let (filter, fault) = match read {
        Ok(filter) => (filter, Ok(())),
        Err(fault) => (EnvFilter::new(DEFAULT), Err(fault)),
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.compact().with_ansi(in_colour()).try_init(),
    };
    drop(set);
    fault
}

/// The filter that was set, or the default; without metrics where nobody makes
/// any of them, whatever was set.
fn filter(set: Option<&str>, format: LogFormat) -> Result<EnvFilter, EnvironmentError> {
    let fault = |error: ParseError| EnvironmentError {
        variable: VARIABLE,
        fault: format!("is no filter of log lines, as info or info,worker=debug: {error}"),
    };
    let filter = EnvFilter::builder()
        .parse(set.unwrap_or(DEFAULT))
        .map_err(fault)?;
    Ok(match format {
        LogFormat::Json => filter,
        LogFormat::Text => filter.add_directive(format!("{METRICS}=off").parse().map_err(fault)?),
    })
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
    fn a_filter_that_cannot_be_read_names_the_variable() {
        let error = filter(Some("ezlive=debgu"), LogFormat::Text).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("EZLIVE_LOG"), "{text}");
        for right in [None, Some("debug"), Some("info,worker=debug")] {
            filter(right, LogFormat::Json).unwrap();
        }
    }

    #[test]
    fn lines_for_metrics_are_in_json_alone() {
        let metrics = |set, format| {
            let shown = filter(set, format).unwrap().to_string();
            !shown.contains("ezlive_metrics=off")
        };
        for set in [None, Some("debug"), Some("ezlive_metrics=info")] {
            assert!(metrics(set, LogFormat::Json), "{set:?}");
            assert!(!metrics(set, LogFormat::Text), "{set:?}");
        }
    }
}
