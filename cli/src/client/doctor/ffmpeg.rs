//! FFmpeg: there, new enough, with the encoders.

use tokio::process::Command;

use super::Check;

/// The oldest FFmpeg that is known to do all that the worker asks for.
const OLDEST: (u32, u32) = (5, 1);
const INSTALL: &str = "Install FFmpeg 5.1 or newer: apt install ffmpeg";
/// The encoders, and whether nothing works without them.
const ENCODERS: [(&str, bool); 4] = [
    ("libx264", true),
    ("aac", true),
    ("libx265", false),
    ("libsvtav1", false),
];

/// What there is of FFmpeg on the path.
pub async fn checks() -> Vec<Check> {
    let mut checks = vec![version("ffmpeg").await];
    if let Some(list) = run("ffmpeg", &["-hide_banner", "-encoders"]).await {
        checks.push(encoders(&list));
    }
    checks.push(version("ffprobe").await);
    checks
}

async fn version(program: &'static str) -> Check {
    let Some(text) = run(program, &["-version"]).await else {
        return Check::fault(program, "not found on the path", INSTALL);
    };
    judge_version(program, &text)
}

fn judge_version(program: &'static str, text: &str) -> Check {
    let first = text.lines().next().unwrap_or_default();
    let version = first.split_whitespace().nth(2).unwrap_or_default();
    // Builds from the repository are called n9.0.2 or N-12345-gabcdef.
    let mut numbers = version
        .trim_start_matches('n')
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    match numbers
        .next()
        .map(|major| (major, numbers.next().unwrap_or_default()))
    {
        Some(found) if found >= OLDEST => Check::ok(program, version),
        Some(_) => Check::fault(program, format!("{version} is too old"), INSTALL),
        None => Check::warning(
            program,
            format!("can't tell how old {version:?} is"),
            "Use a released FFmpeg, 5.1 or newer.",
        ),
    }
}

fn encoders(list: &str) -> Check {
    const NAME: &str = "encoders";
    let has = |name: &str| {
        list.lines()
            .any(|line| line.split_whitespace().nth(1) == Some(name))
    };
    let names = |keep: &dyn Fn(&str, bool) -> bool| {
        ENCODERS
            .iter()
            .filter(|(name, needed)| keep(name, *needed))
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let needed = names(&|name, needed| needed && !has(name));
    let nice = names(&|name, needed| !needed && !has(name));
    if !needed.is_empty() {
        return Check::fault(
            NAME,
            format!("{needed} missing"),
            "Install a full build of FFmpeg: apt install ffmpeg",
        );
    }
    if !nice.is_empty() {
        return Check::warning(
            NAME,
            format!("{nice} missing"),
            "Jobs with h264 work; for the others install a full build of FFmpeg.",
        );
    }
    Check::ok(NAME, names(&|_, _| true))
}

async fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn versions_are_judged_as_builders_write_them() {
        for (text, status) in [
            ("ffmpeg version 5.1.9-0+deb12u1 Copyright", Status::Ok),
            (
                "ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright",
                Status::Ok,
            ),
            ("ffmpeg version 7.1 Copyright", Status::Ok),
            ("ffmpeg version 6 Copyright", Status::Ok),
            (
                "ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright",
                Status::Fault,
            ),
            ("ffmpeg version 5.0.1 Copyright", Status::Fault),
            ("ffmpeg version N-109542-gabcdef Copyright", Status::Warning),
            ("", Status::Warning),
        ] {
            assert_eq!(judge_version("ffmpeg", text).status, status, "{text}");
        }
    }

    #[test]
    fn encoders_are_looked_for_by_their_whole_name() {
        let full = " V....D libx264   x\n V....D libx265 x\n V..... libsvtav1 x\n A....D aac x\n";
        assert_eq!(encoders(full).status, Status::Ok);
        assert_eq!(
            encoders(&full.replace("libx265", "hevc_qsv")).status,
            Status::Warning
        );
        let without = encoders(&full.replace("libx264 ", "libx264rgb "));
        assert_eq!(
            (without.status, without.detail.as_str()),
            (Status::Fault, "libx264 missing")
        );
    }
}
