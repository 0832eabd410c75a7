//! FFmpeg's standard error: its last lines, without secrets, and what they
//! say of why it ended.

use std::collections::VecDeque;

/// How many lines are kept.
const LINES: usize = 20;
/// How much of a line is kept, bytes.
const LINE: usize = 400;

/// The last lines, as they come in.
#[derive(Debug)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    /// The line under way, up to [`LINE`] bytes.
    partial: Vec<u8>,
    secrets: Vec<String>,
}

impl Tail {
    /// A tail that also hides these strings, wherever they stand.
    pub(super) fn new(secrets: Vec<String>) -> Self {
        // A short one would take words apart and hide nothing.
        let secrets = secrets
            .into_iter()
            .filter(|secret| secret.len() >= 4)
            .collect();
        Self {
            lines: VecDeque::new(),
            partial: Vec::new(),
            secrets,
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                // Room for a secret that begins within the limit to be whole.
                _ if self.partial.len() < 2 * LINE => self.partial.push(*byte),
                _ => {}
            }
        }
    }

    /// The lines, oldest first.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        self.end_line();
        self.lines.into()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.partial);
        let line: String = line.chars().filter(|char| !char.is_control()).collect();
        self.partial.clear();
        if line.trim().is_empty() {
            return;
        }
        let mut line = redact(&line, &self.secrets);
        line.truncate(line.floor_char_boundary(LINE));
        tracing::debug!(line, "ffmpeg");
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// The line with secrets hidden, and of every URL only scheme, host and port:
/// stream keys stand in paths, tokens and passphrases in queries.
fn redact(line: &str, secrets: &[String]) -> String {
    let mut line = line.to_owned();
    for secret in secrets {
        line = line.replace(secret.as_str(), "***");
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url.find(|char: char| char.is_whitespace() || "'\"<>".contains(char));
        let (url, after) = url.split_at(end.unwrap_or(url.len()));
        let (authority, tail) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        out.push_str(authority.rsplit('@').next().unwrap_or(authority));
        if tail.len() > 1 {
            out.push_str("/***");
            // FFmpeg puts the error after the URL and a colon.
            out.push_str(if tail.ends_with(':') { ":" } else { "" });
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Why FFmpeg failed, by what the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The command line asks for what this FFmpeg cannot do. It never will:
    /// the job fails.
    Spec,
    /// The input is not one that may be opened. The job fails.
    InputForbidden,
    /// The input could not be reached, or went away. Try again.
    Input,
    /// What came is not media, or not the tracks that were expected. Look at
    /// the input again.
    InputData,
    /// Memory, disk or descriptors are short. Try again, perhaps elsewhere.
    Resources,
    /// FFmpeg itself cannot be executed.
    Program,
    /// FFmpeg died by a signal that we did not send. Try again.
    Crash,
    /// No line says why. Try again.
    Unknown,
}

/// Marks in lines of FFmpeg 5.1 to 8, the telling ones first: where a line of
/// an earlier entry stands, the later ones are its consequences.
const MARKS: &[(FailureKind, &[&str])] = &[
    (
        FailureKind::InputForbidden,
        &["not on whitelist", "blacklisted"],
    ),
    (
        FailureKind::Resources,
        &[
            "Cannot allocate memory",
            "No space left on device",
            "Too many open files",
        ],
    ),
    (FailureKind::InputData, &["matches no streams"]),
    (
        FailureKind::Spec,
        &[
            "Unknown encoder",
            "Unrecognized option",
            "Option not found",
            "Error splitting the argument list",
            "Unable to parse option value",
            "Unable to parse \"",
            "Error setting option",
            "Error applying option",
            "No such filter",
            "Error initializing complex filters",
            "Unknown pixel format",
            "Error initializing output stream",
            "Error while opening encoder",
            "Error reinitializing filters",
            "Error opening output",
        ],
    ),
    (
        FailureKind::InputData,
        &[
            "Invalid data found when processing input",
            "could not find codec parameters",
            "Could not find codec parameters",
            "does not contain any stream",
        ],
    ),
    (
        FailureKind::Input,
        &[
            "Connection refused",
            "Connection reset",
            "Connection timed out",
            "Connection to ",
            "Operation timed out",
            "No route to host",
            "Network is unreachable",
            "Failed to resolve hostname",
            "Server returned",
            "HTTP error",
            "Cannot open connection",
            "Input/output error",
            "End of file",
            "Broken pipe",
            "Immediate exit requested",
            "Error opening input",
            "No such file or directory",
        ],
    ),
];

/// What the last lines say of a failure: its kind and the line that tells.
pub(super) fn classify(lines: &[String]) -> (FailureKind, String) {
    let telling = MARKS.iter().find_map(|(kind, marks)| {
        let line = lines
            .iter()
            .find(|line| marks.iter().any(|mark| line.contains(mark)))?;
        Some((*kind, line.as_str()))
    });
    let (kind, line) = telling.unwrap_or_else(|| {
        let last = lines.last().map(String::as_str);
        (FailureKind::Unknown, last.unwrap_or_default())
    });
    (kind, without_context(line).to_owned())
}

/// The line without what it begins with for FFmpeg's developers: the part
/// that writes it, and where that lies in memory, as `[srt @ 0x5648]`.
fn without_context(line: &str) -> &str {
    let mut line = line;
    while let Some((context, text)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && context.contains(" @ 0x")
    {
        line = text.trim_start();
    }
    line
}

/// What all that a program of FFmpeg's has said comes to, without secrets.
pub(crate) fn summary(said: &str, secrets: Vec<String>) -> String {
    let mut tail = Tail::new(secrets);
    tail.push(said.as_bytes());
    classify(&tail.into_lines()).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_scheme_host_and_port() {
        for (line, redacted) in [
            (
                "rtmp://user:pw@host:1935/live/key: Connection refused",
                "rtmp://host:1935/***: Connection refused",
            ),
            (
                "Opening 'https://h/x?token=abc' for reading",
                "Opening 'https://h/***' for reading",
            ),
            ("srt://[::1]:9000?passphrase=geheim", "srt://[::1]:9000/***"),
            (
                "tcp://127.0.0.1:9 failed, http://a:b@c",
                "tcp://127.0.0.1:9 failed, http://c",
            ),
            (
                "http://h/: Invalid argument",
                "http://h/***: Invalid argument",
            ),
            ("no url here: // ://", "no url here: // ://"),
        ] {
            assert_eq!(redact(line, &[]), redacted);
        }
        assert_eq!(
            redact("playpath s3cret!", &["s3cret".into()]),
            "playpath ***!"
        );
    }

    #[test]
    fn the_tail_is_bounded_and_readable() {
        let mut tail = Tail::new(vec!["geheim".into(), "".into()]);
        tail.push("ä".repeat(5000).as_bytes());
        for line in 0..30 {
            tail.push(format!("\r\n\x1b[31mline {line} geheim\n\n").as_bytes());
        }
        tail.push(b"cut \xff off");
        let lines = tail.into_lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], "[31mline 11 ***");
        assert_eq!(lines[LINES - 1], "cut \u{fffd} off");

        let mut tail = Tail::new(Vec::new());
        tail.push("ä".repeat(5000).as_bytes());
        let lines = tail.into_lines();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() <= LINE);
    }

    #[test]
    fn the_line_that_tells_decides() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for (text, kind, line) in [
            (
                "x264 [error]: invalid preset 'nope'\nError setting option preset to value nope.\nError initializing output stream 0:0 -- Error while opening encoder",
                FailureKind::Spec,
                1,
            ),
            (
                "Stream specifier ':a' in filtergraph description [0:a]anull[a] matches no streams.",
                FailureKind::InputData,
                0,
            ),
            (
                "[http @ 0x55] Protocol 'http' not on whitelist 'tcp'!\nhttp://h/***: Invalid argument",
                FailureKind::InputForbidden,
                0,
            ),
            (
                "[tcp @ 0x55] Failed to resolve hostname nosuch: Name or service not known\nhttp://nosuch/***: Input/output error",
                FailureKind::Input,
                1,
            ),
            (
                "[flv @ 0x5] something\npipe:0: could not find codec parameters",
                FailureKind::InputData,
                1,
            ),
            ("one\ntwo", FailureKind::Unknown, 1),
        ] {
            let all = lines(text);
            let (found, telling) = classify(&all);
            assert_eq!(found, kind, "{text}");
            assert!(all.iter().any(|line| line.ends_with(&telling)));
            if kind != FailureKind::Input {
                assert!(all[line].ends_with(&telling), "{telling}");
            }
            assert!(!telling.contains(" @ 0x"), "{telling}");
        }
        assert_eq!(classify(&[]), (FailureKind::Unknown, String::new()));
    }

    #[test]
    fn a_summary_names_the_cause_and_no_secret() {
        for (said, summarized) in [
            (
                "[http @ 0x55c0] HTTP error 404 Not Found\nhttp://h/key?a=b: Server returned 404",
                "HTTP error 404 Not Found",
            ),
            (
                "[srt @ 0x1] [x @ 0x2] Connection to srt://h:1?passphrase=geheim failed: geheim",
                "Connection to srt://h:1/*** failed: ***",
            ),
            ("[not a context] odd", "[not a context] odd"),
        ] {
            assert_eq!(summary(said, vec!["geheim".into()]), summarized);
        }
    }
}
