//! What FFmpeg may read of an HLS playlist (RFC 8216).
//!
//! FFmpeg's protocols are `http`, `crypto` and, as `http` is made of it,
//! `tcp`; all but `tcp` go through the proxy. Its HLS reader refuses segments
//! and keys by `tcp`, but not playlists: a variant `tcp://10.0.0.1:80/` would
//! have it connect there. So the proxy looks at every playlist, and
//! [`Watch`] sees to it that there is none in anything else.

use super::marked::marked;

/// With which every playlist begins (RFC 8216, section 4.3.1.1). Nothing that
/// lacks it is read as one by FFmpeg.
pub const TAG: &[u8] = b"#EXTM3U";
/// The longest playlist, bytes: a day of segments has a few million.
pub const MAX: usize = 8 * 1024 * 1024;

/// The playlist as FFmpeg may read it, with `https` URLs [`marked`].
///
/// # Errors
/// The host of a `tcp` URL in it, or what stands in its place.
pub fn rewrite(playlist: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(playlist);
    // FFmpeg takes backslashes out of what is in quotes.
    let read = text.replace('\\', "").to_ascii_lowercase();
    if let Some((_, target)) = read.split_once("tcp:") {
        let target = target.trim_start_matches('/');
        let host = target.split(|c: char| c.is_whitespace() || "/?:\"".contains(c));
        return Err(host.take(1).collect());
    }
    let lines = text.split_inclusive(['\n', '\r']);
    Ok(lines
        .map(|line| match line.starts_with('#') {
            true => mark_attribute(line),
            false => marked(line),
        })
        .collect())
}

/// A tag's line, its `URI` marked.
fn mark_attribute(line: &str) -> String {
    for before in ["URI=\"", "URI="] {
        if let Some((start, uri)) = line.split_once(before) {
            return format!("{start}{before}{}", marked(uri));
        }
    }
    line.to_owned()
}

/// Looks for the beginning of a playlist anywhere in a stream: FFmpeg skips
/// ID3 tags and more on its way to one.
#[derive(Debug, Default)]
pub struct Watch(usize);

impl Watch {
    /// Whether the stream may go on after these bytes.
    pub fn passes(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| {
            self.0 = match *byte {
                byte if TAG.get(self.0) == Some(&byte) => self.0 + 1,
                byte if byte == TAG[0] => 1,
                _ => 0,
            };
            self.0 < TAG.len()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn https_is_marked_wherever_a_url_stands() {
        let playlist = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,URI=\"https://a.example/a.m3u8\",NAME=\"https://b\"\r\n\
            #EXT-X-KEY:METHOD=AES-128,URI=https://k.example/k\n\
            #EXTINF:4,https://title.example\n\
            https://s.example/s.ts?u=https://other.example\n\
            http://p.example/p.ts\nrelative.ts";
        let expected = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,URI=\"http://_https.a.example/a.m3u8\",NAME=\"https://b\"\r\n\
            #EXT-X-KEY:METHOD=AES-128,URI=http://_https.k.example/k\n\
            #EXTINF:4,https://title.example\n\
            http://_https.s.example/s.ts?u=https://other.example\n\
            http://p.example/p.ts\nrelative.ts";
        assert_eq!(rewrite(playlist.as_bytes()).as_deref(), Ok(expected));
    }

    #[test]
    fn tcp_is_found_however_it_is_written() {
        for line in [
            "tcp://10.0.0.1:80/a.m3u8",
            "tcp:10.0.0.1:80",
            "crypto+tcp://10.0.0.1",
            "#EXT-X-MEDIA:TYPE=AUDIO,URI=\"tcp://10.0.0.1/\"",
            "#EXT-X-MEDIA:TYPE=AUDIO,URI=\"t\\c\\p\\://10.0.0.1\"",
            "#EXT-X-MEDIA:TYPE=AUDIO,URI=tcp:/10.0.0.1?listen",
        ] {
            let playlist = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{line}\n");
            let refused = rewrite(playlist.as_bytes());
            assert_eq!(refused, Err("10.0.0.1".to_owned()), "{line}");
        }
    }

    #[test]
    fn a_playlist_inside_is_found_across_pieces() {
        let mut watch = Watch::default();
        assert!(watch.passes(b"ID3\x04 #EXT#EXTM3") && !watch.passes(b"U\n"));
    }

    proptest! {
        #[test]
        fn a_playlist_is_found_behind_anything(before in "[#EXTM3U]{0,20}") {
            let stream = format!("{before}#EXTM3U");
            prop_assert!(!Watch::default().passes(stream.as_bytes()));
        }

        #[test]
        fn any_playlist_is_rewritten(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = rewrite(&bytes);
        }
    }
}
