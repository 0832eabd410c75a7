//! The mark that says who wrote a playlist.

use std::fmt;

/// Attempt and revision of the timeline that a playlist was derived from.
///
/// It stands in every playlist as a comment: it tells a writer whose condition
/// failed whose body it met, and it makes every body unique. The latter
/// matters as an S3 ETag is a hash of the content: a playlist written again
/// with the same bytes would keep its ETag, and a stale `If-Match` would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The fencing token.
    pub attempt: u64,
    /// The timeline's revision.
    pub revision: u64,
}

impl Stamp {
    /// The stamp of a playlist or MPD; `None` where it has none.
    pub fn find(body: &str) -> Option<Self> {
        let (_, rest) = body.split_once("ezlive attempt=")?;
        let mut words = rest.split_whitespace();
        let attempt = words.next()?.parse().ok()?;
        let revision = words.next()?.strip_prefix("revision=")?.parse().ok()?;
        Some(Self { attempt, revision })
    }

    /// Whether a writer that has met this stamp, where it was to replace
    /// something older by `next`, must write no more: a higher attempt has
    /// been here, or this attempt itself further on.
    pub fn fences(self, next: Self) -> bool {
        self.attempt > next.attempt || self >= next
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ezlive attempt={} revision={}",
            self.attempt, self.revision
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_either_kind_of_comment_and_nowhere_else() {
        let stamp = Stamp {
            attempt: 3,
            revision: 18,
        };
        assert_eq!(
            Stamp::find(&format!("#EXTM3U\n# {stamp}\n#EXTINF:4,\n")),
            Some(stamp)
        );
        assert_eq!(
            Stamp::find(&format!("<MPD><!-- {stamp} --></MPD>")),
            Some(stamp)
        );
        for other in [
            "",
            "#EXTM3U\n",
            "ezlive attempt=x revision=1",
            "ezlive attempt=1 rev",
        ] {
            assert_eq!(Stamp::find(other), None, "{other}");
        }
    }
}
