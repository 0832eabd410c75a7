//! The input's part of the command line.

use super::{Args, Feed, Has};
use crate::spec::PullProtocol;

/// Containers that a live HTTP source comes in: HLS, what HLS is made of, and
/// progressive streams. No `concat`, no `dash`, no image or playlist formats.
const HTTP_FORMATS: &str = "hls,mpegts,mov,flv,matroska,aac,mp3,ac3,eac3,ogg,webvtt";

pub(super) fn push(args: &mut Args, has: Has, feed: &Feed) {
    // Two decoder threads are enough for any live input, and each further one
    // is a frame of delay.
    args.words("-threads 2");
    // The input's rate is known or doesn't matter: FFmpeg need not wait for
    // frames to guess it (measured over a pipe: 0.17 s to the first byte out,
    // 1.5 s without).
    args.words("-fpsprobesize 0");
    match feed {
        Feed::FlvPipe => {
            // With one track FFmpeg would look out for another for 5 s.
            if !(has.video && has.audio) {
                args.words("-analyzeduration 100000");
            }
            keep_video_graph(args, has);
            args.words("-f flv -i pipe:0");
        }
        Feed::Url { url, .. } => {
            push_url_options(args, has, url);
            args.pair("-i", url);
        }
    }
}

/// The protocols and formats are those the URL's own scheme needs, so that
/// neither a redirect nor a playlist leads to another; but for `tcp`, of which
/// they are made: that nothing leads to it is the worker's to see to.
pub(super) fn push_url_options(args: &mut Args, has: Has, url: &str) {
    match (protocol(url), scheme(url)) {
        (PullProtocol::Rtmp, scheme) => {
            args.words("-rw_timeout 10000000");
            args.words(match scheme {
                "rtmps" => "-protocol_whitelist rtmps,tls,tcp",
                _ => "-protocol_whitelist rtmp,tcp",
            });
            args.words("-format_whitelist flv,live_flv");
            keep_video_graph(args, has);
        }
        (PullProtocol::Srt, _) => {
            args.words("-rw_timeout 10000000 -protocol_whitelist srt");
            args.words("-format_whitelist mpegts");
        }
        (PullProtocol::Rtsp, _) => {
            args.words("-rtsp_transport tcp -timeout 10000000");
            args.words("-protocol_whitelist rtsp,rtp,tcp -format_whitelist rtsp");
        }
        (PullProtocol::Http, _) => {
            // Files and HLS arrive faster than they play. No reconnecting: a
            // server without ranges would be played from its beginning again
            // and again. A broken connection ends the run; the next connects.
            args.words("-re -rw_timeout 10000000");
            // Only what goes through the proxy: FFmpeg would take a segment
            // `httpproxy://10.0.0.1:80/` for HTTP and connect there itself,
            // and `https` is made of `tls` and `httpproxy`.
            args.words("-protocol_whitelist http,tcp,crypto");
            args.pair("-format_whitelist", HTTP_FORMATS);
        }
    }
}

/// A new resolution in mid-stream reaches the filters as it is, instead of
/// rebuilding them: frames go on without a gap.
fn keep_video_graph(args: &mut Args, has: Has) {
    if has.video {
        args.words("-reinit_filter:v 0");
    }
}

/// Whether the picture may be interlaced, as broadcast contributions are. RTMP
/// publishers send progressive pictures.
pub(super) fn may_be_interlaced(feed: &Feed) -> bool {
    match feed {
        Feed::FlvPipe => false,
        Feed::Url { url, .. } => protocol(url) != PullProtocol::Rtmp,
    }
}

pub(super) fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

fn protocol(url: &str) -> PullProtocol {
    PullProtocol::of_scheme(scheme(url)).unwrap_or(PullProtocol::Http)
}
