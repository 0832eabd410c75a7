//! Reads the members of one JSON object, whatever the case of their keys.

use std::ops::RangeInclusive;

use super::Seconds;
use super::bitrate;
use super::limits::{MAX_KEY, MAX_WORD};
use super::node::Node;
use super::report::{Report, shown, step};

/// What became of one member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Read<T> {
    /// Not there, or null.
    Absent,
    /// There and wrong; the report has it.
    Bad,
    /// There and right.
    Good(T),
}

impl<T> Read<T> {
    /// The value, or the default; `None` where a fault was reported.
    pub(super) fn or(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Bad => None,
            Self::Good(value) => Some(value),
        }
    }

    /// The value if there is one; the outer `None` where a fault was reported.
    pub(super) fn optional(self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Bad => None,
            Self::Good(value) => Some(Some(value)),
        }
    }

    /// The value if there is a good one.
    pub(super) fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }
}

/// One JSON object of the body.
pub(super) struct Section<'a> {
    at: String,
    known: &'static [&'static str],
    /// Known key, the client's spelling, value.
    members: Vec<(&'static str, &'a str, &'a Node)>,
}

impl<'a> Section<'a> {
    /// Opens the object at this pointer and reports keys that are unknown or
    /// given twice.
    pub(super) fn open(
        node: &'a Node,
        at: String,
        known: &'static [&'static str],
        report: &mut Report,
    ) -> Option<Self> {
        let Node::Object(written) = node else {
            report.fault(at, format!("must be an object, not {}", node.kind()));
            return None;
        };
        let mut section = Self {
            at,
            known,
            members: Vec::new(),
        };
        for (spelling, value) in written {
            section.admit(spelling, value, report);
        }
        Some(section)
    }

    /// An object that was not written: every member is absent.
    pub(super) fn empty(at: String, known: &'static [&'static str]) -> Self {
        Self {
            at,
            known,
            members: Vec::new(),
        }
    }

    fn admit(&mut self, spelling: &'a str, value: &'a Node, report: &mut Report) {
        if spelling.chars().count() > MAX_KEY {
            let detail = format!("has an unknown key that begins {}", shown(spelling));
            report.fault(&self.at, detail);
            return;
        }
        let known = self.known.iter().find(|k| k.eq_ignore_ascii_case(spelling));
        let Some(known) = known else {
            report.fault(step(&self.at, spelling), unknown_key(spelling, self.known));
            return;
        };
        match self.members.iter().find(|(key, ..)| key == known) {
            Some((_, first, _)) => {
                let detail = format!("is given twice: {} is the same key", shown(first));
                report.fault(step(&self.at, spelling), detail);
            }
            None => self.members.push((known, spelling, value)),
        }
    }

    /// The pointer to a member, in the client's spelling where it was written.
    pub(super) fn pointer(&self, key: &'static str) -> String {
        let written = self.members.iter().find(|(known, ..)| *known == key);
        step(&self.at, written.map_or(key, |(_, spelling, _)| spelling))
    }

    /// The value of a member that is there and not null.
    pub(super) fn value(&self, key: &'static str) -> Option<&'a Node> {
        let (.., value) = self.members.iter().find(|(known, ..)| *known == key)?;
        (**value != Node::Null).then_some(*value)
    }

    /// Reports a fault of one member.
    pub(super) fn fault<T>(
        &self,
        key: &'static str,
        report: &mut Report,
        detail: impl Into<String>,
    ) -> Read<T> {
        report.fault(self.pointer(key), detail);
        Read::Bad
    }

    /// Insists on a member.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        read: Read<T>,
        report: &mut Report,
    ) -> Option<T> {
        if matches!(read, Read::Absent) {
            self.fault::<T>(key, report, "is missing");
        }
        read.good()
    }

    /// A finite number.
    pub(super) fn number(&self, key: &'static str, report: &mut Report) -> Read<f64> {
        match self.value(key) {
            None => Read::Absent,
            Some(Node::Number(number)) => Read::Good(*number),
            Some(Node::Text(text)) if text.trim().parse::<f64>().is_ok() => {
                let detail = format!("must be a number: write {} without quotes", shown(text));
                self.fault(key, report, detail)
            }
            Some(other) => {
                let detail = format!("must be a number, not {}", other.kind());
                self.fault(key, report, detail)
            }
        }
    }

    /// A whole number in a range; the unit is for the fault's text.
    pub(super) fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<u32>,
        unit: &str,
        report: &mut Report,
    ) -> Read<u32> {
        let (low, high) = (*range.start(), *range.end());
        let Read::Good(number) = self.number(key, report) else {
            return self.value(key).map_or(Read::Absent, |_| Read::Bad);
        };
        if number.fract() != 0.0 || number < f64::from(low) || number > f64::from(high) {
            let detail = format!("must be a whole number from {low} to {high}{unit}");
            return self.fault(key, report, detail);
        }
        Read::Good(number as u32)
    }

    /// A length in seconds, to the millisecond; the range is in ms.
    pub(super) fn seconds(
        &self,
        key: &'static str,
        range: RangeInclusive<u32>,
        report: &mut Report,
    ) -> Read<Seconds> {
        let Read::Good(number) = self.number(key, report) else {
            return self.value(key).map_or(Read::Absent, |_| Read::Bad);
        };
        let millis = (number * 1000.0).round();
        if millis < f64::from(*range.start()) || millis > f64::from(*range.end()) {
            let (low, high) = (*range.start(), *range.end());
            let detail = format!(
                "must be from {} to {} seconds",
                f64::from(low) / 1000.0,
                f64::from(high) / 1000.0
            );
            return self.fault(key, report, detail);
        }
        if (number * 1000.0 - millis).abs() > 1e-6 {
            return self.fault(key, report, "must be whole milliseconds");
        }
        Read::Good(Seconds {
            millis: millis as u32,
        })
    }

    /// `true`, `false`, 0 or 1.
    pub(super) fn flag(&self, key: &'static str, report: &mut Report) -> Read<bool> {
        match self.value(key) {
            None => Read::Absent,
            Some(Node::Bool(flag)) => Read::Good(*flag),
            Some(Node::Number(number)) if *number == 0.0 || *number == 1.0 => {
                Read::Good(*number == 1.0)
            }
            Some(_) => self.fault(key, report, "must be true or false (or 1 or 0)"),
        }
    }

    /// Text of at most so many characters, none of them a control character.
    pub(super) fn text(
        &self,
        key: &'static str,
        longest: usize,
        report: &mut Report,
    ) -> Read<&'a str> {
        let text = match self.value(key) {
            None => return Read::Absent,
            Some(Node::Text(text)) => text,
            Some(other) => {
                let detail = format!("must be text, not {}", other.kind());
                return self.fault(key, report, detail);
            }
        };
        if text.chars().any(char::is_control) {
            return self.fault(key, report, "must not contain control characters");
        }
        if text.chars().count() > longest {
            let detail = format!("must not be longer than {longest} characters");
            return self.fault(key, report, detail);
        }
        Read::Good(text)
    }

    /// One of these words, whatever their case.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
        report: &mut Report,
    ) -> Read<T> {
        let Read::Good(text) = self.text(key, MAX_WORD, report) else {
            return self.value(key).map_or(Read::Absent, |_| Read::Bad);
        };
        match choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
        {
            Some((_, choice)) => Read::Good(*choice),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                let detail = format!("must be {}, not {}", one_of(&words), shown(text));
                self.fault(key, report, detail)
            }
        }
    }

    /// A bitrate or buffer size in a range, in bit/s or bit.
    pub(super) fn bitrate(
        &self,
        key: &'static str,
        range: RangeInclusive<u32>,
        report: &mut Report,
    ) -> Read<u32> {
        let Some(node) = self.value(key) else {
            return Read::Absent;
        };
        match bitrate::read(node, &range) {
            Ok(bits) => Read::Good(bits),
            Err(detail) => self.fault(key, report, detail),
        }
    }

    /// A list of at most so many items. A longer one is one fault: its items
    /// are not looked at.
    pub(super) fn list(
        &self,
        key: &'static str,
        most: usize,
        report: &mut Report,
    ) -> Read<&'a [Node]> {
        match self.value(key) {
            None => Read::Absent,
            Some(Node::List(items)) if items.len() <= most => Read::Good(items),
            Some(Node::List(items)) => {
                let detail = format!("has {} items; at most {most} are possible", items.len());
                self.fault(key, report, detail)
            }
            Some(other) => {
                let detail = format!("must be a list, not {}", other.kind());
                self.fault(key, report, detail)
            }
        }
    }
}

/// "a, b or c".
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

fn unknown_key(spelling: &str, known: &[&str]) -> String {
    const ALIKE: f64 = 0.5;
    let lower = spelling.to_lowercase();
    let nearest = known
        .iter()
        .map(|key| {
            let likeness = strsim::normalized_damerau_levenshtein(&lower, &key.to_lowercase());
            (likeness, *key)
        })
        .filter(|(likeness, key)| *likeness >= ALIKE && *key != super::parse::REFUSED)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((_, key)) => format!("is not a known key; did you mean {key}?"),
        None => {
            let offered: Vec<_> = known
                .iter()
                .filter(|key| **key != super::parse::REFUSED)
                .copied()
                .collect();
            format!("is not a known key; known here: {}", offered.join(", "))
        }
    }
}
