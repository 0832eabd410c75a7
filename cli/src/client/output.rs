//! What people and scripts see: results on standard output, everything else
//! on standard error, colours where there is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tabwriter::TabWriter;

use super::failure::Failure;
use super::types::{Job, Pointed};

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GREEN: Style = AnsiColor::Green.on_default();
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
pub const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const BLUE: Style = AnsiColor::Blue.on_default();

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// JSON for scripts instead of text for people.
    pub json: bool,
}

impl Output {
    /// A line of the result.
    ///
    /// # Errors
    /// [`Failure::Output`], as all here that write to standard output.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// The result as one JSON document.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn document(&self, json: &Value) -> Result<(), Failure> {
        self.line(&format!("{json:#}"))
    }

    /// The result as JSON on one line, of a row of such lines.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn json_line(&self, json: &Value) -> Result<(), Failure> {
        self.line(&json.to_string())
    }

    /// A remark beside the result, on standard error.
    pub fn note(&self, text: &str) {
        // There is nowhere left to say that it can't be said.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// A job's or a dry run's warnings, on standard error.
    pub fn warnings(&self, warnings: Option<&[Pointed]>) {
        for warning in warnings.unwrap_or_default() {
            self.note(&format!(
                "{} {}",
                paint(YELLOW, "warning:"),
                clean(&warning.to_string())
            ));
        }
    }

    /// Why the command failed, on standard error; as JSON the problem
    /// document as the API sent it.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Interrupted(_) => {}
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Failure::Refused(problem) | Failure::NotFound(problem)
                if self.json && !problem.json.is_null() =>
            {
                self.note(&format!("{:#}", problem.json));
            }
            other => self.note(&format!(
                "{} {}",
                paint(RED, "error:"),
                clean(&other.to_string())
            )),
        }
    }

    /// A live line at the bottom of the terminal; nothing where standard
    /// error is none, or JSON is wanted.
    pub fn live_line(&self) -> LiveLine {
        if self.json || !io::stderr().is_terminal() {
            return LiveLine {
                bar: ProgressBar::hidden(),
                on: false,
            };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        LiveLine { bar, on: true }
    }
}

/// The live line; gone when dropped.
#[derive(Debug)]
pub struct LiveLine {
    bar: ProgressBar,
    on: bool,
}

impl LiveLine {
    /// Whether anybody sees it.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Shows another text.
    pub fn set(&self, text: &str) {
        self.bar.set_message(clean(text));
    }

    /// Writes above the line without disturbing it.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Rows in columns, the first row the header.
///
/// # Errors
/// Only where memory can't be written.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> io::Result<String> {
    let mut writer = TabWriter::new(Vec::new()).padding(2).ansi(true);
    let header: Vec<String> = header.iter().map(|name| paint(BOLD, name)).collect();
    for row in std::iter::once(&header).chain(rows) {
        writeln!(writer, "{}", row.join("\t"))?;
    }
    let text = writer
        .into_inner()
        .map_err(|error| io::Error::new(error.error().kind(), error.to_string()))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Ok(lines.join("\n"))
}

/// `text` in a style; the writers above drop it where it has no place.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A job's or worker's state in its colour.
pub fn state(name: &str) -> String {
    let style = match name {
        "streaming" | "booked" => GREEN,
        "running" | "idle" => CYAN,
        "created" | "assigned" | "stopping" | "draining" | "booting" => YELLOW,
        "paused" => BLUE,
        "failed" => RED,
        _ => DIM,
    };
    paint(style, &clean(name))
}

/// Text from outside, without what could steer a terminal.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// `2026-11-22T18:51:33.123Z` as `2026-11-22 18:51:33Z`; other text as it is.
pub fn moment(text: Option<&str>) -> String {
    let Some(text) = text else {
        return "-".to_owned();
    };
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| clean(text),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

/// Seconds as `1:02:03`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round();
    let (hours, minutes) = (
        (seconds / 3600.0).floor(),
        (seconds % 3600.0 / 60.0).floor(),
    );
    format!("{hours:.0}:{minutes:02.0}:{:02.0}", seconds % 60.0)
}

/// Bytes as `12.3 MB`: decimal units, as bitrates are.
pub fn bytes(bytes: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    units
        .into_iter()
        .find(|&(_, size)| bytes >= size)
        .map_or_else(
            || format!("{bytes} B"),
            |(unit, size)| {
                let tenths = u128::from(bytes) * 10 / u128::from(size);
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            },
        )
}

/// How a job is doing, on one line.
pub fn status_line(job: &Job) -> String {
    let mut parts = vec![job.state.clone()];
    if let Some(stats) = &job.stats {
        parts.extend(stats.fps.map(|fps| format!("{fps:.1} fps")));
        parts.extend(stats.speed.map(|speed| format!("{speed:.2}x")));
        let bitrate = stats.input.as_ref().and_then(|input| input.bitrate_kbps);
        parts.extend(bitrate.map(|kbps| format!("{kbps:.0} kbit/s in")));
        parts.extend(
            stats
                .dropped_frames
                .filter(|&n| n > 0)
                .map(|n| format!("{n} dropped")),
        );
        parts.extend(
            stats
                .last_segment_age_ms
                .map(|ms| format!("segment {:.1} s ago", ms / 1000.0)),
        );
        parts.extend(stats.up_seconds.map(|up| format!("up {}", duration(up))));
    }
    parts.join(" · ")
}
