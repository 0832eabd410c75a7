//! The input's part of the command line.

use super::{Args, Feed, Has};

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
            // A new resolution in mid-stream reaches the filters as it is,
            // instead of rebuilding them: frames go on without a gap.
            if has.video {
                args.words("-reinit_filter:v 0");
            }
            args.words("-f flv -i pipe:0");
        }
        Feed::Url { url, .. } => {
            push_url_options(args, url);
            args.pair("-i", url);
        }
    }
}

/// The protocols and formats are those the URL's own scheme needs, so that
/// neither a redirect nor a playlist leads to another; but for `tcp`, of which
/// they are made: that nothing leads to it is the worker's to see to.
pub(super) fn push_url_options(args: &mut Args, url: &str) {
    match scheme(url) {
        "srt" => {
            args.words("-rw_timeout 10000000 -protocol_whitelist srt");
            args.words("-format_whitelist mpegts");
        }
        "rtsp" => {
            args.words("-rtsp_transport tcp -timeout 10000000");
            args.words("-protocol_whitelist rtsp,rtp,tcp -format_whitelist rtsp");
        }
        _ => {
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

/// Whether the picture may be interlaced, as broadcast contributions are. What
/// comes over RTMP is progressive.
pub(super) fn may_be_interlaced(feed: &Feed) -> bool {
    match feed {
        Feed::FlvPipe => false,
        Feed::Url { .. } => true,
    }
}

pub(super) fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}
