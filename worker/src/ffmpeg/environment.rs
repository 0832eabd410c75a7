//! What a child process gets of this process's environment.
//!
//! FFmpeg and FFprobe read what strangers send: they get what they need to
//! run, and none of the credentials, settings and proxies that are ours.

use std::ffi::OsStr;
use std::process::Command;

/// Variables that are passed on: how programs, libraries and fonts are found.
const KEPT: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"];
/// Beginnings of the names of others.
const KEPT_BEGINNINGS: [&str; 2] = ["LC_", "FONTCONFIG_"];

/// Leaves the command only what its program needs, whatever was set before,
/// and the proxy of its input, if it is to have one.
///
/// The proxy's URL has a password in it. A process's arguments are for all
/// users to read, its environment only for its own (proc(5)).
pub fn scrub(command: &mut Command, http_proxy: Option<&str>) {
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
    command.envs(http_proxy.map(|proxy| ("http_proxy", proxy)));
}

fn is_kept(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        KEPT.contains(&name) || KEPT_BEGINNINGS.iter().any(|start| name.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_program_needs_is_kept() {
        for name in ["PATH", "LC_ALL", "FONTCONFIG_FILE", "LD_LIBRARY_PATH"] {
            assert!(is_kept(name.as_ref()), "{name}");
        }
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "EZLIVE_TABLE_PREFIX",
            "http_proxy",
            "NO_PROXY",
            "FFREPORT",
            "LD_PRELOAD",
            "PATHS",
        ] {
            assert!(!is_kept(name.as_ref()), "{name}");
        }
    }
}
