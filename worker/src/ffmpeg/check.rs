//! Whether the FFmpeg at hand can do what plans ask of it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The oldest version taken. Plans use `-svtav1-params` (5.1) and
/// `-stats_period` (4.4), and are tested with this one.
pub const MIN_VERSION: Version = Version { major: 5, minor: 1 };

/// The encoders without which nothing runs.
pub const REQUIRED_ENCODERS: [&str; 2] = ["libx264", "aac"];
/// Those that only jobs with h265 or av1 need.
pub const OPTIONAL_ENCODERS: [&str; 2] = ["libx265", "libsvtav1"];

/// How long FFmpeg may take to say what it is.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A release of FFmpeg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// As 5 in 5.1.9.
    pub major: u32,
    /// As 1 in 5.1.9.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which FFmpeg a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The version in its own words, as `5.1.9-0+deb12u1`.
    pub text: String,
    /// The release; `None` for a build from a repository's head, which names
    /// none and is taken to be new enough.
    pub version: Option<Version>,
}

/// The `ffprobe` that came with this `ffmpeg`, a path or a name in `PATH`.
pub fn ffprobe_of(ffmpeg: impl AsRef<Path>) -> PathBuf {
    ffmpeg.as_ref().with_file_name("ffprobe")
}

/// Why an FFmpeg cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no such program.
    #[error(
        "{0:?} not found: install FFmpeg (apt-get install ffmpeg), or name the path of an ffmpeg \
         with an ffprobe beside it"
    )]
    NotFound(OsString),
    /// It cannot be executed.
    #[error("{program:?} cannot be executed ({error}): check the file and its permissions")]
    NotExecutable {
        /// The program.
        program: OsString,
        /// What the system says.
        error: io::Error,
    },
    /// It did not answer as FFmpeg does.
    #[error("{program:?} does not answer as FFmpeg does: check that the path names FFmpeg")]
    NotFfmpeg {
        /// The program.
        program: OsString,
    },
    /// It is too old.
    #[error("FFmpeg {found} is too old: {MIN_VERSION} or newer is needed; install a newer one")]
    TooOld {
        /// What it is.
        found: String,
    },
    /// It was built without encoders that every job needs.
    #[error("FFmpeg has no encoder {}: install a full build (apt-get install ffmpeg)", .0.join(", "))]
    MissingEncoders(Vec<&'static str>),
}

/// Asks an FFmpeg, by path or by its name in `PATH`, what it is and checks
/// that it will do.
///
/// # Errors
/// [`ToolError`]: it will not.
pub async fn check(program: impl AsRef<OsStr>) -> Result<(), ToolError> {
    let program = program.as_ref();
    release(program).await?;
    judge_encoders(&encoders(program).await?)
}

/// Which release a program of the family is (`ffmpeg`, `ffprobe`).
///
/// # Errors
/// [`ToolError`]: it is not there, is another program, or is too old.
pub async fn release(program: impl AsRef<OsStr>) -> Result<Release, ToolError> {
    let program = program.as_ref();
    judge_release(program, &ask(program, "-version").await?)
}

/// The names of an FFmpeg's encoders.
///
/// # Errors
/// [`ToolError`]: it is not there, or does not say.
pub async fn encoders(program: impl AsRef<OsStr>) -> Result<BTreeSet<String>, ToolError> {
    Ok(parse_encoders(&ask(program.as_ref(), "-encoders").await?))
}

/// What the answer to `-version` says.
fn judge_release(program: &OsStr, banner: &str) -> Result<Release, ToolError> {
    let Some(text) = version_text(banner).map(str::to_owned) else {
        return Err(ToolError::NotFfmpeg {
            program: program.to_owned(),
        });
    };
    let version = parse_version(&text);
    if version.is_some_and(|version| version < MIN_VERSION) {
        return Err(ToolError::TooOld { found: text });
    }
    Ok(Release { text, version })
}

/// Whether those are there that every job needs.
fn judge_encoders(encoders: &BTreeSet<String>) -> Result<(), ToolError> {
    let missing: Vec<_> = REQUIRED_ENCODERS
        .into_iter()
        .filter(|name| !encoders.contains(*name))
        .collect();
    if !missing.is_empty() {
        return Err(ToolError::MissingEncoders(missing));
    }
    Ok(())
}

/// What the program prints for an option.
async fn ask(program: &OsStr, option: &str) -> Result<String, ToolError> {
    let output = Command::new(program)
        .args(["-hide_banner", option])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(TIMEOUT, output).await {
        Ok(Ok(output)) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(ToolError::NotFound(program.to_owned()))
        }
        Ok(Err(error)) => Err(ToolError::NotExecutable {
            program: program.to_owned(),
            error,
        }),
        Ok(Ok(_)) | Err(_) => Err(ToolError::NotFfmpeg {
            program: program.to_owned(),
        }),
    }
}

/// The version in the first line: `ffmpeg version TEXT Copyright …`.
fn version_text(banner: &str) -> Option<&str> {
    let (program, rest) = banner.lines().next()?.split_once(" version ")?;
    let is_family = matches!(program, "ffmpeg" | "ffprobe");
    rest.split_whitespace().next().filter(|_| is_family)
}

/// The release in a version's text: `5.1.9-0+deb12u1`, `n6.0`, `7.1`; none in
/// `N-110223-gabcdef` or `git-2023-01-01`.
fn parse_version(text: &str) -> Option<Version> {
    let digits = text.strip_prefix('n').unwrap_or(text);
    let mut numbers = digits.split(|char: char| !char.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers
        .next()
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0);
    Some(Version { major, minor })
}

/// The names in `-encoders`: ` V....D libx264   libx264 H.264 …` below a line
/// of dashes.
fn parse_encoders(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("---"))
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_and_own_builds_are_read() {
        for (text, version) in [
            ("5.1.9-0+deb12u1", Some((5, 1))),
            ("n6.0", Some((6, 0))),
            ("7.1", Some((7, 1))),
            ("8", Some((8, 0))),
            ("4.4.2-0ubuntu0.22.04.1", Some((4, 4))),
            ("N-110223-gabcdef", None),
            ("git-2023-01-01-abc", None),
        ] {
            let version = version.map(|(major, minor)| Version { major, minor });
            assert_eq!(parse_version(text), version, "{text}");
        }
        assert_eq!(
            version_text("ffmpeg version n6.0 Copyright (c)\nbuilt"),
            Some("n6.0")
        );
        assert_eq!(version_text("ffprobe version 7.1 C"), Some("7.1"));
        assert_eq!(version_text("GNU bash, version 5"), None);
    }

    #[tokio::test]
    async fn the_installed_one_will_do() {
        check("ffmpeg").await.unwrap();
        let version = release("ffmpeg").await.unwrap().version;
        assert!(version.is_none_or(|version| version >= MIN_VERSION));
        let probe = release("ffprobe").await.unwrap();
        assert_eq!(probe.version, version);
        let encoders = encoders("ffmpeg").await.unwrap();
        assert!(encoders.contains("libx264") && !encoders.contains("libnope"));
    }

    #[tokio::test]
    async fn programs_that_are_not_ffmpeg_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = check(folder.path().join("nothing")).await.unwrap_err();
        assert!(
            missing.to_string().contains("apt-get install ffmpeg"),
            "{missing}"
        );
        let forbidden = check(folder.path()).await.unwrap_err();
        assert!(
            matches!(forbidden, ToolError::NotExecutable { .. }),
            "{forbidden}"
        );
        for other in ["true", "false"] {
            let other = check(other).await.unwrap_err();
            assert!(matches!(other, ToolError::NotFfmpeg { .. }), "{other}");
        }
    }

    #[test]
    fn old_and_lean_builds_are_refused_with_a_remedy() {
        let judge = |banner: &str| judge_release("ffmpeg".as_ref(), banner);
        let encoders = "Encoders:\n V..... = Video\n ------\n A..... aac   AAC\n";
        let old = judge("ffmpeg version 4.4.2-0ubuntu0 Copyright").unwrap_err();
        assert_eq!(
            old.to_string(),
            "FFmpeg 4.4.2-0ubuntu0 is too old: 5.1 or newer is needed; install a newer one"
        );
        let lean = judge_encoders(&parse_encoders(encoders)).unwrap_err();
        assert_eq!(
            lean.to_string(),
            "FFmpeg has no encoder libx264: install a full build (apt-get install ffmpeg)"
        );
        let full = parse_encoders(&format!("{encoders} V....D libx264   H.264\n"));
        judge_encoders(&full).unwrap();
        assert!(!full.contains("Video"), "{full:?}");
        let head = judge("ffmpeg version N-110223-gabc Copyright").unwrap();
        assert_eq!(head.version, None);
    }
}
