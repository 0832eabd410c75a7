//! What the worker says of an environment that it can't work in.

use std::process::{Command, Output};

fn worker(variables: &[(&str, &str)]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_worker"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
}

#[test]
fn a_missing_variable_is_named() {
    let output = worker(&[]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("EZLIVE_WORKER_ID is not set"), "{said}");
    assert!(said.starts_with('{'), "JSON unless asked otherwise: {said}");
}

#[test]
fn an_unknown_log_format_is_refused() {
    let output = worker(&[("EZLIVE_LOG_FORMAT", "pretty")]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("EZLIVE_LOG_FORMAT must be json or text"),
        "{said}"
    );
}
