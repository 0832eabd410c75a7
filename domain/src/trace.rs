//! The trace that a job's creation belongs to: it is on every line that is
//! logged about the job, wherever it is logged.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A trace's id as W3C Trace Context and OpenTelemetry write it: 32
/// hexadecimal digits. X-Ray writes the same as `1-` 8 digits `-` 24 digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
pub struct TraceId(String);

impl TraceId {
    /// A new one, for a call that brings none.
    pub fn generate() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// That of a `traceparent` header (W3C Trace Context, section 3.2).
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut fields = header.split('-');
        let (version, trace) = (fields.next()?, fields.next()?);
        let (parent, flags) = (fields.next()?, fields.next()?);
        let known = version == "00" && fields.next().is_none();
        let later = is_hex(version, 2) && version != "00" && version != "ff";
        let whole = is_hex(parent, 16) && is_hex(flags, 2);
        ((known || later) && whole).then(|| Self::from_digits(trace.to_owned()))?
    }

    /// That of an `X-Amzn-Trace-Id` header
    /// (`Root=1-5759e988-bd862e3fe1be46a994272793;Parent=…;Sampled=1`).
    pub fn from_xray(header: &str) -> Option<Self> {
        let root = header
            .split(';')
            .find_map(|field| field.trim().strip_prefix("Root="))?;
        let (seconds, rest) = root.strip_prefix("1-")?.split_once('-')?;
        let whole = is_hex(seconds, 8) && is_hex(rest, 24);
        whole.then(|| Self::from_digits(format!("{seconds}{rest}")))?
    }

    fn from_digits(digits: String) -> Option<Self> {
        let some = digits.bytes().any(|digit| digit != b'0');
        (is_hex(&digits, 32) && some).then_some(Self(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    let digits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == length && text.bytes().all(digits)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn both_headers_name_the_same_trace() {
        let parent = format!("00-{ID}-00f067aa0ba902b7-01");
        let xray = "Self=1-1-2; Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=53995c3f42cd8ad8;Sampled=1";
        for trace in [
            TraceId::from_traceparent(&parent),
            TraceId::from_traceparent(&format!("01-{ID}-00f067aa0ba902b7-01-more")),
            TraceId::from_xray(xray),
        ] {
            assert_eq!(trace.unwrap().as_str(), ID);
        }
    }

    #[test]
    fn what_is_no_trace_is_none() {
        for header in [
            "",
            "00",
            ID,
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47\"}-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceId::from_traceparent(header), None, "{header}");
        }
        for header in [
            "",
            "Root=",
            "Root=1-4bf92f35",
            "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736",
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e473\n",
            "Parent=53995c3f42cd8ad8",
        ] {
            assert_eq!(TraceId::from_xray(header), None, "{header}");
        }
    }

    #[test]
    fn one_that_is_made_can_be_told_on() {
        let made = TraceId::generate();
        let header = format!("00-{made}-00f067aa0ba902b7-00");
        assert_eq!(TraceId::from_traceparent(&header), Some(made));
    }
}
