//! FFmpeg: there, new enough, with the encoders.

use std::collections::BTreeSet;

use worker::ffmpeg::{OPTIONAL_ENCODERS, REQUIRED_ENCODERS, Release, ToolError, encoders, release};

use super::Check;

const INSTALL: &str = "Install FFmpeg 5.1 or newer: apt install ffmpeg";

/// What there is of FFmpeg, by its path or its name on the path, and of what
/// comes with it.
pub async fn checks(ffmpeg: &str) -> Vec<Check> {
    let mut checks = vec![judge_release("ffmpeg", release(ffmpeg).await)];
    if let Ok(names) = encoders(ffmpeg).await {
        checks.push(judge_encoders(&names));
    }
    checks.push(judge_release("ffprobe", release("ffprobe").await));
    checks
}

fn judge_release(program: &'static str, found: Result<Release, ToolError>) -> Check {
    match found {
        Ok(Release {
            text,
            version: Some(_),
        }) => Check::ok(program, text),
        Ok(Release {
            text,
            version: None,
        }) => Check::warning(
            program,
            format!("can't tell how old {text:?} is"),
            "Use a released FFmpeg, 5.1 or newer.",
        ),
        Err(ToolError::NotFound(name)) => {
            let place = if name == program { " on the path" } else { "" };
            let name = name.to_string_lossy();
            Check::fault(program, format!("{name} is not found{place}"), INSTALL)
        }
        Err(ToolError::TooOld { found }) => {
            Check::fault(program, format!("{found} is too old"), INSTALL)
        }
        Err(other) => Check::fault(program, other.to_string(), INSTALL),
    }
}

fn judge_encoders(there: &BTreeSet<String>) -> Check {
    const NAME: &str = "encoders";
    let missing = |wanted: &[&str]| {
        let missing = wanted.iter().filter(|name| !there.contains(**name));
        let missing: Vec<_> = missing.copied().collect();
        (!missing.is_empty()).then(|| format!("{} missing", missing.join(", ")))
    };
    if let Some(missing) = missing(&REQUIRED_ENCODERS) {
        return Check::fault(
            NAME,
            missing,
            "Install a full build of FFmpeg: apt install ffmpeg",
        );
    }
    if let Some(missing) = missing(&OPTIONAL_ENCODERS) {
        return Check::warning(
            NAME,
            missing,
            "Jobs with h264 work; for the others install a full build of FFmpeg.",
        );
    }
    let all = REQUIRED_ENCODERS.into_iter().chain(OPTIONAL_ENCODERS);
    Check::ok(NAME, all.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_release_is_judged_by_what_is_known_of_it() {
        let found = |version| {
            Ok(Release {
                text: "as it says".to_owned(),
                version,
            })
        };
        let released = worker::ffmpeg::Version { major: 7, minor: 1 };
        let too_old = ToolError::TooOld {
            found: "4.4.2".to_owned(),
        };
        for (found, status) in [
            (found(Some(released)), Status::Ok),
            (found(None), Status::Warning),
            (Err(too_old), Status::Fault),
            (Err(ToolError::NotFound("ffmpeg".into())), Status::Fault),
        ] {
            assert_eq!(judge_release("ffmpeg", found).status, status);
        }
    }

    #[test]
    fn encoders_are_looked_for_by_their_whole_name() {
        let names = |list: &str| list.split(' ').map(str::to_owned).collect();
        let full = "libx264 libx265 libsvtav1 aac";
        assert_eq!(judge_encoders(&names(full)).status, Status::Ok);
        let lean = judge_encoders(&names("libx264 hevc_qsv libsvtav1 aac"));
        assert_eq!(
            (lean.status, lean.detail.as_str()),
            (Status::Warning, "libx265 missing")
        );
        let without = judge_encoders(&names("libx264rgb libx265 libsvtav1 aac"));
        assert_eq!(
            (without.status, without.detail.as_str()),
            (Status::Fault, "libx264 missing")
        );
    }
}
