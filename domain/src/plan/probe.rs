//! The input's part of a command line of FFprobe.

use super::{Args, Feed, source};

/// What FFprobe is told of an input, so that the same protocols and formats
/// hold for it as for the run: options, then the URL.
pub fn probe_args(feed: &Feed) -> Vec<String> {
    let Feed::Url { url, .. } = feed else {
        return Vec::new();
    };
    let mut args = Args::default();
    source::push_url_options(&mut args, url);
    // Only a run reads at the pace of the media.
    args.0.retain(|arg| arg != "-re");
    args.pair("-i", url);
    args.0
}
