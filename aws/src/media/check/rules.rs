//! The rules, fed with what is seen of one store.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::timeline::{Stamp, TIMELINE, Timeline};
use jiff::Timestamp;

use super::manifest::{Manifest, MediaPlaylist};

/// What has been seen of a store, and every breach of a rule so far. Paths
/// are whole: `{job}/…`, behind any prefix.
#[derive(Debug, Default)]
pub struct Rules {
    objects: BTreeMap<String, u64>,
    manifests: BTreeMap<String, Seen>,
    named: BTreeMap<String, Named>,
    /// Per job: the highest attempt whose own segments a playlist has named.
    publishing: BTreeMap<String, u64>,
    /// The folders of channels that were deleted with their media. What goes
    /// or comes there is free of the rules: nobody is to play it, and what a
    /// writer creates too late it takes back.
    deleted: BTreeSet<String>,
    violations: Vec<String>,
}

#[derive(Debug)]
struct Seen {
    manifest: Manifest,
    stamp: Option<Stamp>,
    body: u64,
    names: BTreeSet<String>,
}

/// What the playlists have said of one object.
#[derive(Debug, Default)]
struct Named {
    own: f64,
    longest_playlist: f64,
    left: Option<Timestamp>,
}

impl Rules {
    /// Every breach so far, in words.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The segments and inits that playlists name at present.
    pub fn named_now(&self) -> impl Iterator<Item = &str> {
        self.named
            .iter()
            .filter(|(_, named)| named.left.is_none())
            .map(|(path, _)| path.as_str())
    }

    /// The newest version seen of a playlist.
    pub fn manifest(&self, path: &str) -> Option<&Manifest> {
        self.manifests.get(path).map(|seen| &seen.manifest)
    }

    /// An object has been written, or was found.
    pub fn put(&mut self, path: &str, body: &[u8], now: Timestamp) {
        let hash = hash(body);
        let named = self
            .named
            .get(path)
            .is_some_and(|named| named.left.is_none());
        if let Some(before) = self.objects.insert(path.to_owned(), hash)
            && before != hash
            && named
        {
            self.breach(format!("{path} changed while a playlist names it"));
        }
        if let Some(folder) = path.strip_suffix(TIMELINE)
            && Timeline::from_json(body).is_ok_and(|timeline| timeline.is_deleted())
        {
            self.deleted.insert(folder.to_owned());
        }
        if self.is_of_a_deleted_channel(path) {
            return;
        }
        if path.ends_with(".m3u8") || path.ends_with(".mpd") {
            match std::str::from_utf8(body) {
                Ok(text) => self.put_manifest(path, text, hash, now),
                Err(_) => self.breach(format!("{path} is no text")),
            }
        }
    }

    /// An object has been deleted.
    pub fn delete(&mut self, path: &str, now: Timestamp) {
        self.objects.remove(path);
        if self.is_of_a_deleted_channel(path) {
            self.manifests.remove(path);
            self.named.remove(path);
            return;
        }
        let Some(named) = self.named.get(path) else {
            return;
        };
        let must = named.own + named.longest_playlist;
        match named.left {
            None => self.breach(format!("{path} deleted while a playlist names it")),
            Some(left) => {
                let kept = now.duration_since(left).as_secs_f64();
                // EXTINF has microseconds; sums of them have a rounding error.
                if kept + 1e-3 < must {
                    self.breach(format!("{path} deleted after {kept} s of {must} s"));
                }
            }
        }
    }

    fn is_of_a_deleted_channel(&self, path: &str) -> bool {
        self.deleted.iter().any(|folder| path.starts_with(folder))
    }

    /// An object was looked for and is there, whatever is in it.
    pub fn found(&mut self, path: &str) {
        self.objects.entry(path.to_owned()).or_insert(0);
    }

    /// An object that a playlist names was looked for and is not there.
    pub fn missing(&mut self, path: &str) {
        self.breach(format!("{path} is named and missing"));
    }

    fn breach(&mut self, text: String) {
        self.violations.push(text);
    }

    fn put_manifest(&mut self, path: &str, text: &str, body: u64, now: Timestamp) {
        let manifest = match Manifest::parse(path, text) {
            Ok(manifest) => manifest,
            Err(error) => return self.breach(format!("{path} can't be read: {error}")),
        };
        let (folder, _) = path.rsplit_once('/').unwrap_or(("", path));
        let stamp = Stamp::find(text);
        self.check_fence(path, folder, stamp, body);
        let names = self.names(folder, &manifest);
        for name in &names {
            if !self.objects.contains_key(name) {
                self.breach(format!("{path} names {name}, which is not there"));
            }
        }
        if let (Manifest::Media(new), Some(Manifest::Media(old))) = (&manifest, self.manifest(path))
        {
            let breaches = transition(old, new);
            self.violations.extend(
                breaches
                    .into_iter()
                    .map(|breach| format!("{path}: {breach}")),
            );
        }
        if let Manifest::Media(new) = &manifest {
            self.note_lengths(folder, new);
            for segment in &new.segments {
                if segment.duration.round() > new.target_duration {
                    self.breach(format!(
                        "{path}: {} exceeds the target duration",
                        segment.uri
                    ));
                }
            }
        }
        self.note_publishing(folder, stamp, &names);
        self.manifests.insert(
            path.to_owned(),
            Seen {
                manifest,
                stamp,
                body,
                names,
            },
        );
        self.note_left(now);
    }

    /// Per playlist the writers' stamps only go up; and once an attempt has
    /// published a segment, no lower one writes anything.
    fn check_fence(&mut self, path: &str, folder: &str, stamp: Option<Stamp>, body: u64) {
        let Some(stamp) = stamp else {
            return self.breach(format!("{path} has no stamp"));
        };
        if let Some(seen) = self.manifests.get(path)
            && let Some(before) = seen.stamp
            && (before > stamp || (before == stamp && seen.body != body))
        {
            self.breach(format!("{path}: {stamp} after {before}"));
        }
        let holder = self.publishing.get(folder).copied().unwrap_or(0);
        if stamp.attempt < holder {
            self.breach(format!(
                "{path}: {stamp} after attempt {holder} has published"
            ));
        }
    }

    fn note_publishing(&mut self, folder: &str, stamp: Option<Stamp>, names: &BTreeSet<String>) {
        let Some(attempt) = stamp.map(|stamp| stamp.attempt) else {
            return;
        };
        let own = format!("{folder}/{attempt}/");
        if names.iter().any(|name| name.starts_with(&own)) {
            let holder = self.publishing.entry(folder.to_owned()).or_default();
            *holder = attempt.max(*holder);
        }
    }

    fn names(&self, folder: &str, manifest: &Manifest) -> BTreeSet<String> {
        let uris = match manifest {
            Manifest::Media(playlist) => playlist.named().into_iter().map(|(uri, _)| uri).collect(),
            Manifest::Multivariant(uris) | Manifest::Mpd(uris) => uris.clone(),
        };
        uris.into_iter()
            .map(|uri| format!("{folder}/{uri}"))
            .collect()
    }

    fn note_lengths(&mut self, folder: &str, playlist: &MediaPlaylist) {
        let length = playlist.duration();
        for (uri, own) in playlist.named() {
            let named = self.named.entry(format!("{folder}/{uri}")).or_default();
            named.own = own;
            named.longest_playlist = named.longest_playlist.max(length);
        }
    }

    /// What no playlist names any more has left now.
    fn note_left(&mut self, now: Timestamp) {
        let present: BTreeSet<&String> = self
            .manifests
            .values()
            .flat_map(|seen| &seen.names)
            .collect();
        for (path, named) in &mut self.named {
            named.left = match present.contains(path) {
                true => None,
                false => named.left.or(Some(now)),
            };
        }
    }
}

/// What RFC 8216bis section 6.2 says of a playlist and its next version, of
/// which some in between may not have been seen.
fn transition(old: &MediaPlaylist, new: &MediaPlaylist) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut breach = |text: String| breaches.push(text);
    if new.media_sequence < old.media_sequence {
        breach(format!(
            "media sequence {} after {}",
            new.media_sequence, old.media_sequence
        ));
    }
    if new.next_sequence() < old.next_sequence() {
        breach(format!(
            "ends with {} after {}",
            new.next_sequence(),
            old.next_sequence()
        ));
    }
    let emptied = new.media_sequence >= old.next_sequence();
    if new.target_duration != old.target_duration && !emptied {
        breach("another target duration".to_owned());
    }
    if old.ended && !emptied && *new != *old {
        breach("changed after its end".to_owned());
    }
    let removed = new.media_sequence.saturating_sub(old.media_sequence) as usize;
    let kept = old.segments.get(removed..).unwrap_or_default();
    if !kept
        .iter()
        .zip(&new.segments)
        .all(|(before, after)| before.same_as(after))
    {
        breach("a segment is not what it was".to_owned());
    }
    let gone = &old.segments[..removed.min(old.segments.len())];
    let tags = gone.iter().filter(|segment| segment.discontinuity).count() as u64;
    let expected = old.discontinuity_sequence + tags;
    let found = new.discontinuity_sequence;
    // Segments that came and went unseen may have had tags of their own.
    let unseen = removed > old.segments.len();
    if found < expected || (found > expected && !unseen) {
        breach(format!(
            "discontinuity sequence {found} instead of {expected}"
        ));
    }
    if !new.ended && removed > 0 && !emptied && new.duration() < 3.0 * new.target_duration {
        breach(format!("only {} s left", new.duration()));
    }
    breaches
}

fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playlist(sequence: u64, discontinuity: u64, uris: &[&str]) -> String {
        let head = format!(
            "#EXTM3U\n# ezlive attempt=1 revision={sequence}\n#EXT-X-TARGETDURATION:4\n\
             #EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}\n"
        );
        let segment = |uri: &&str| match uri.strip_prefix('!') {
            Some(uri) => format!("#EXT-X-DISCONTINUITY\n#EXTINF:4.0,\n{uri}\n"),
            None => format!("#EXTINF:4.0,\n{uri}\n"),
        };
        head + &uris.iter().map(segment).collect::<String>()
    }

    fn breaches(versions: &[String], and_then: impl FnOnce(&mut Rules)) -> Vec<String> {
        let mut rules = Rules::default();
        let now = Timestamp::UNIX_EPOCH;
        for name in ["a", "b", "c", "d", "e"] {
            rules.put(&format!("job/{name}"), name.as_bytes(), now);
        }
        for version in versions {
            rules.put("job/v.m3u8", version.as_bytes(), now);
        }
        and_then(&mut rules);
        rules.violations().to_vec()
    }

    #[test]
    fn a_proper_history_has_no_breach() {
        let versions = [
            playlist(0, 0, &["a", "!b", "c"]),
            playlist(1, 0, &["!b", "c", "d"]),
            playlist(2, 1, &["c", "d", "e"]),
        ];
        assert_eq!(breaches(&versions, |_| {}), Vec::<String>::new());
    }

    #[test]
    fn every_rule_can_be_broken() {
        let broken = [
            (
                vec![playlist(0, 0, &["a", "x"])],
                "job/x, which is not there",
            ),
            (
                vec![playlist(1, 0, &["a", "b"]), playlist(0, 0, &["a", "b"])],
                "media sequence 0",
            ),
            (
                vec![playlist(0, 0, &["a", "b"]), playlist(0, 0, &["a"])],
                "ends with 1",
            ),
            (
                vec![playlist(0, 0, &["a", "b"]), playlist(0, 0, &["b", "a"])],
                "not what it was",
            ),
            (
                vec![
                    playlist(0, 0, &["!a", "b", "c", "d"]),
                    playlist(1, 0, &["b", "c", "d", "e"]),
                ],
                "discontinuity sequence 0 instead of 1",
            ),
            (
                vec![playlist(0, 0, &["a", "b"]), playlist(1, 0, &["b", "c"])],
                "only 8 s left",
            ),
            (
                vec![playlist(0, 0, &["a"]).replace("4.0,", "4.5,")],
                "exceeds the target",
            ),
            (
                vec![
                    playlist(0, 0, &["a"]) + "#EXT-X-ENDLIST\n",
                    playlist(0, 0, &["a", "b"]).replace("revision=0", "revision=1"),
                ],
                "changed after its end",
            ),
            (
                vec![
                    playlist(0, 0, &["a"]).replace("attempt=1", "attempt=2"),
                    playlist(0, 0, &["a"]),
                ],
                "attempt=1 revision=0 after ezlive attempt=2",
            ),
        ];
        for (versions, expected) in broken {
            let found = breaches(&versions, |_| {});
            assert!(
                found.iter().any(|breach| breach.contains(expected)),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    fn deletions_too_soon_are_breaches() {
        let versions = [
            playlist(0, 0, &["a", "b", "c", "d"]),
            playlist(1, 0, &["b", "c", "d", "e"]),
        ];
        let at = |second| Timestamp::from_second(second).unwrap();
        let named = breaches(&versions, |rules| rules.delete("job/b", at(100)));
        assert!(named[0].contains("while a playlist names it"), "{named:?}");
        let soon = breaches(&versions, |rules| rules.delete("job/a", at(19)));
        assert!(soon[0].contains("deleted after 19 s of 20 s"), "{soon:?}");
        assert!(breaches(&versions, |rules| rules.delete("job/a", at(20))).is_empty());
    }
}
