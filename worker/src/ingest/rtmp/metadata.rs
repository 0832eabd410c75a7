//! `onMetaData` (Adobe Flash Video File Format 10.1, annex E.5).

use std::collections::HashMap;

use rml_rtmp::rml_amf0::Amf0Value;

use crate::ingest::{Metadata, is_frame_rate};

/// Finds the metadata in a data message: `onMetaData` as servers send it, or
/// wrapped in `@setDataFrame` as publishers do.
pub fn read(values: &[Amf0Value]) -> Option<Metadata> {
    let values = match values {
        [Amf0Value::Utf8String(name), rest @ ..] if name == "@setDataFrame" => rest,
        all => all,
    };
    match values {
        [
            Amf0Value::Utf8String(name),
            Amf0Value::Object(properties),
            ..,
        ] if name == "onMetaData" => Some(from_properties(properties)),
        _ => None,
    }
}

fn from_properties(properties: &HashMap<String, Amf0Value>) -> Metadata {
    let number = |name: &str| match properties.get(name) {
        Some(Amf0Value::Number(value)) if value.is_finite() && *value > 0.0 => Some(*value),
        _ => None,
    };
    // Beyond 16 bit it is a slip of the publisher.
    let pixels = |name: &str| number(name).filter(|n| *n <= 65_535.0).map(|n| n as u32);
    // A codec is a number, a FourCC as number, or its name as text; audio
    // codec 0 is PCM.
    let has = |name: &str| {
        matches!(
            properties.get(name),
            Some(Amf0Value::Number(_) | Amf0Value::Utf8String(_))
        )
    };
    Metadata {
        has_video: has("videocodecid"),
        has_audio: has("audiocodecid"),
        width: pixels("width"),
        height: pixels("height"),
        framerate: number("framerate")
            .or_else(|| number("fps"))
            .filter(|fps| is_frame_rate(*fps)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Amf0Value {
        Amf0Value::Utf8String(value.into())
    }

    #[test]
    fn both_wrappings_are_read() {
        let object = Amf0Value::Object(HashMap::from([
            ("width".into(), Amf0Value::Number(1280.0)),
            ("height".into(), Amf0Value::Number(720.0)),
            ("framerate".into(), Amf0Value::Number(29.97)),
            ("videocodecid".into(), text("avc1")),
            ("audiocodecid".into(), Amf0Value::Number(10.0)),
        ]));
        let expected = Metadata {
            has_video: true,
            has_audio: true,
            width: Some(1280),
            height: Some(720),
            framerate: Some(29.97),
        };
        let plain = [text("onMetaData"), object.clone()];
        assert_eq!(read(&plain), Some(expected.clone()));
        let wrapped = [text("@setDataFrame"), text("onMetaData"), object];
        assert_eq!(read(&wrapped), Some(expected));
    }

    #[test]
    fn nonsense_numbers_count_as_absent() {
        let object = Amf0Value::Object(HashMap::from([
            ("width".into(), Amf0Value::Number(f64::NAN)),
            ("height".into(), Amf0Value::Number(-3.0)),
            ("framerate".into(), Amf0Value::Number(301.0)),
        ]));
        assert_eq!(
            read(&[text("onMetaData"), object]),
            Some(Metadata::default())
        );
        assert_eq!(read(&[text("onTextData")]), None);
        assert_eq!(read(&[]), None);
    }
}
