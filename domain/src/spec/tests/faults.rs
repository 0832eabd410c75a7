//! What is wrong with a body, said so that a client can mend it.

use serde_json::{Value, json};

use super::*;

#[test]
fn malformed_json_is_one_fault_with_its_place() {
    for (body, place) in [
        (&b""[..], "line 1 column 0"),
        (b"{", "line 1 column 1"),
        (b"{\n  \"Input\": nope}", "line 2 column 13"),
        (b"{} {}", "line 1 column 4"),
        (b"\xff\xfe", "line 1 column 1"),
        (b"{\"a\": 1e999}", "line 1 column"),
    ] {
        let Faults(faults) = Spec::parse(body, &OperatorPolicy::default()).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].pointer, "");
        assert!(faults[0].detail.contains(place), "{:?}", faults[0]);
    }
    let deep = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
    assert_eq!(
        Spec::parse(&deep, &OperatorPolicy::default())
            .unwrap_err()
            .0
            .len(),
        1
    );
    for body in [json!(null), json!([]), json!("x"), json!(1)] {
        fault_at("", &body);
    }
}

#[test]
fn a_thousand_of_anything_is_not_a_thousand_faults() {
    let detail = fault_at(
        "/Output/Video_outputs",
        &with("/Output/Video_outputs", json!(vec![1; 1000])),
    );
    assert!(detail.contains("1000") && detail.contains("10"), "{detail}");
    fault_at(
        "/Output/Audio_outputs",
        &with("/Output/Audio_outputs", json!(vec![1; 6])),
    );
    let many: serde_json::Map<_, _> = (0..1000).map(|i| (format!("k{i}"), json!(1))).collect();
    assert_eq!(faults(&Value::Object(many)).len(), 51);
    let long = "x".repeat(60_000);
    let Faults(faults) = parse(&json!({"Output": {(long.clone()): 1}})).unwrap_err();
    assert!(
        faults
            .iter()
            .all(|f| f.pointer.len() + f.detail.len() < 200)
    );
}

#[test]
fn one_key_in_two_spellings_is_a_fault() {
    let twice = SAMPLE.replace(
        "\"Stream_type\": \"both\",",
        "\"Stream_type\": \"both\", \"stream_type\": \"hls\",",
    );
    let Faults(faults) = Spec::parse(twice.as_bytes(), &OperatorPolicy::default()).unwrap_err();
    assert_eq!(faults[0].pointer, "/Output/stream_type");
    assert!(faults[0].detail.contains("Stream_type"));
    let same = SAMPLE.replace("\"Input\": {", "\"Input\": {}, \"Input\": {");
    let Faults(faults) = Spec::parse(same.as_bytes(), &OperatorPolicy::default()).unwrap_err();
    assert_eq!(faults[0].pointer, "/Input");
}
