//! How tests tell `fake-ffmpeg` what to do.
//!
//! The program stands in for FFmpeg where a test needs hundreds of runs, or
//! faults that the real one shows rarely: it takes a plan's arguments, writes
//! a valid fragmented MP4 with the tracks they name, reports its progress, and
//! fails as a [`Script`] says. Its output depends on arguments, script and
//! input alone.
//!
//! A run takes its script from the environment variable [`SCRIPT`]; where
//! [`RUNS`] names a folder made by [`queue`], the runs take those in turn, and
//! [`SCRIPT`] only after the last.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// The environment variable with the script of every run.
pub const SCRIPT: &str = "FAKE_FFMPEG";
/// The environment variable with the folder of scripts, one a run.
pub const RUNS: &str = "FAKE_FFMPEG_RUNS";

/// What a run does.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// How many times faster than real time; media that is fed goes at the
    /// pace of its timestamps' arrival instead.
    pub speed: f64,
    /// How long it takes to write its first byte.
    pub delay: Duration,
    /// Bytes of a picture's fragment.
    pub fragment_bytes: usize,
    /// SIGINT and SIGTERM, and the end of its input, do nothing.
    pub deaf: bool,
    /// What goes wrong, and after how many rounds of fragments.
    pub fault: Option<(Fault, u64)>,
}

impl Default for Script {
    /// Real time, nothing goes wrong.
    fn default() -> Self {
        Self {
            speed: 1.0,
            delay: Duration::ZERO,
            fragment_bytes: 1000,
            deaf: false,
            fault: None,
        }
    }
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Dies by SIGABRT.
    Crash,
    /// Loses its input: says so and exits with code 1.
    Error,
    /// Says that the encoder is unknown and exits with code 1.
    Spec,
    /// Its input ends: exits with code 0.
    End,
    /// As [`Self::End`], but without the end of the fragment under way.
    Truncate,
    /// Does nothing any more, and reads nothing.
    Hang,
    /// Writes noise in place of a fragment, then hangs.
    Garbage,
    /// The time of the next fragments starts again at zero.
    TimeBack,
    /// No sound comes any more.
    Silence,
    /// Media goes on, progress is not reported any more.
    NoProgress,
}

/// Every fault by its name in a script.
pub const FAULTS: [(&str, Fault); 10] = [
    ("crash", Fault::Crash),
    ("error", Fault::Error),
    ("spec", Fault::Spec),
    ("end", Fault::End),
    ("truncate", Fault::Truncate),
    ("hang", Fault::Hang),
    ("garbage", Fault::Garbage),
    ("time-back", Fault::TimeBack),
    ("silence", Fault::Silence),
    ("no-progress", Fault::NoProgress),
];

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "speed={} delay_ms={} fragment_bytes={} deaf={}",
            self.speed,
            self.delay.as_millis(),
            self.fragment_bytes,
            self.deaf
        )?;
        if let Some((fault, after)) = self.fault {
            let name = FAULTS
                .iter()
                .find(|(_, known)| *known == fault)
                .map_or("", |(name, _)| name);
            write!(f, " fault={name}@{after}")?;
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = anyhow::Error;

    /// Reads `key=value` pairs; what is missing is as by default.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut script = Self::default();
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("speed", value)) => script.speed = value.parse()?,
                Some(("delay_ms", value)) => script.delay = Duration::from_millis(value.parse()?),
                Some(("fragment_bytes", value)) => script.fragment_bytes = value.parse()?,
                Some(("deaf", value)) => script.deaf = value.parse()?,
                Some(("fault", value)) => {
                    let (name, after) = value.split_once('@').unwrap_or((value, "0"));
                    let Some((_, fault)) = FAULTS.iter().find(|(known, _)| *known == name) else {
                        anyhow::bail!("no fault {name:?}");
                    };
                    script.fault = Some((*fault, after.parse()?));
                }
                _ => anyhow::bail!("not a setting: {word:?}"),
            }
        }
        Ok(script)
    }
}

/// Puts scripts into an empty folder for [`RUNS`]. The file `N` becomes
/// `N.taken` when the run N, counted from 0, starts.
pub fn queue(folder: &Path, scripts: &[Script]) -> io::Result<()> {
    for (run, script) in scripts.iter().enumerate() {
        std::fs::write(folder.join(run.to_string()), script.to_string())?;
    }
    Ok(())
}

/// Takes the next script out of a folder made by [`queue`]; `None` after the
/// last. Runs that start at the same time get different ones.
pub fn take(folder: &Path) -> anyhow::Result<Option<Script>> {
    for run in 0u64.. {
        let taken = folder.join(format!("{run}.taken"));
        if taken.exists() {
            continue;
        }
        match std::fs::rename(folder.join(run.to_string()), &taken) {
            Ok(()) => return Ok(Some(std::fs::read_to_string(taken)?.parse()?)),
            // Another took it between the two lines above.
            Err(_) if taken.exists() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_read_as_they_are_written() {
        for (_, fault) in FAULTS {
            let script = Script {
                speed: 250.5,
                delay: Duration::from_millis(20),
                fragment_bytes: 7,
                deaf: true,
                fault: Some((fault, 12)),
            };
            assert_eq!(script.to_string().parse::<Script>().unwrap(), script);
        }
        assert_eq!("".parse::<Script>().unwrap(), Script::default());
        assert!("fault=nothing".parse::<Script>().is_err());
        assert!("speed".parse::<Script>().is_err());
    }

    #[test]
    fn runs_take_their_scripts_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let script = |speed| Script {
            speed,
            ..Script::default()
        };
        queue(folder.path(), &[script(1.0), script(2.0)]).unwrap();
        assert_eq!(take(folder.path()).unwrap(), Some(script(1.0)));
        assert_eq!(take(folder.path()).unwrap(), Some(script(2.0)));
        assert_eq!(take(folder.path()).unwrap(), None);
        assert!(folder.path().join("1.taken").exists());
    }
}
