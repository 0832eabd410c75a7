//! What the demo needs to know of HLS playlists.

use anyhow::{Context, bail};
use tests::api::Api;
use url::Url;

/// What a media playlist has.
#[derive(Debug, Clone, Copy)]
pub struct Playlist {
    /// Segments in its window.
    pub segments: u64,
    /// How long they are together, in seconds.
    pub seconds: f64,
    /// The sequence number that the next one will have.
    pub next_sequence: u64,
}

impl Playlist {
    /// Reads one.
    pub async fn fetch(api: &Api, url: &str) -> anyhow::Result<Self> {
        let Some(body) = api.fetch(url).await? else {
            bail!("{url} is named, and not there");
        };
        Self::parse(&String::from_utf8(body)?).with_context(|| format!("{url} can't be read"))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let values =
            |tag: &'static str| text.lines().filter_map(move |line| line.strip_prefix(tag));
        let mut playlist = Self {
            segments: 0,
            seconds: 0.0,
            next_sequence: values("#EXT-X-MEDIA-SEQUENCE:")
                .next()
                .unwrap_or("0")
                .parse()?,
        };
        for duration in values("#EXTINF:") {
            playlist.segments += 1;
            playlist.next_sequence += 1;
            playlist.seconds += duration.trim_end_matches(',').parse::<f64>()?;
        }
        Ok(playlist)
    }
}

/// The media playlists that a multivariant one names, by name and absolute
/// URL; none as long as it is not there.
pub async fn media_playlists(api: &Api, master: &str) -> anyhow::Result<Vec<(String, String)>> {
    let Some(body) = api.fetch(master).await? else {
        return Ok(Vec::new());
    };
    let body = String::from_utf8(body)?;
    let base: Url = master.parse()?;
    let names = body
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            None => Some(line),
            Some(tag) => tag.split_once("URI=\"")?.1.split('"').next(),
        });
    names
        .map(|name| Ok((name.to_owned(), base.join(name)?.to_string())))
        .collect()
}
