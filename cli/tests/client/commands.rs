//! The client commands as people and scripts meet them: the real binary
//! against an API that says what the test wants.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use domain::event::{Event, EventKind};
use domain::job::{Reason, ReasonCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

fn temp_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn create_sends_the_file_as_it_is_and_shows_the_job() {
    let api = MockApi::start(|_| (201, streaming_job())).await;
    let spec = temp_file("{\"Input\": {\"Url\": \"rtmp://127.0.0.1:1935/live/app\"}}\n");
    let path = spec.path().to_str().unwrap();

    let ended = run(&api.url, &["create", path, "--idempotency-key", "k1"]).await;
    insta::assert_snapshot!(ended.shown());
    run(&api.url, &["create", path]).await;

    let seen = api.seen();
    assert_eq!(seen[0].call, "POST /jobs");
    assert_eq!(seen[0].body, std::fs::read_to_string(path).unwrap());
    assert_eq!(seen[0].headers["content-type"], "application/json");
    assert_eq!(seen[0].headers["idempotency-key"], "k1");
    let random = seen[1].headers["idempotency-key"].to_str().unwrap();
    assert_eq!(
        random.len(),
        36,
        "a key of its own makes it safe to send again: {random}"
    );
}

#[tokio::test]
async fn create_reads_standard_input() {
    let api = MockApi::start(|_| (201, job_in("created"))).await;
    let mut command = ezlive(&api.url, &["create", "-", "--json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{}").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        job_in("created")
    );
    assert_eq!(api.seen()[0].body, "{}");
}

#[tokio::test]
async fn what_is_no_json_is_not_sent() {
    let api = MockApi::start(|_| (201, job_in("created"))).await;
    let spec = temp_file("{\"Input\": {},\n}");
    let ended = run(&api.url, &["create", spec.path().to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .contains("is not JSON: key must be a string at line 2 column 1"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        run(&api.url, &["create", "/no/such/file"]).await.code,
        Some(2)
    );
    assert!(api.calls().is_empty());
}

#[tokio::test]
async fn a_refused_spec_is_a_list_of_faults() {
    let refusal = json!({
        "type": "about:blank", "title": "The spec is not valid", "status": 422, "detail": "it has 2 faults",
        "errors": [
            { "pointer": "/Output/Video_outputs/0/Framerate", "detail": "at most 60" },
            { "pointer": "", "detail": "\u{1b}[2Jno control characters reach the terminal" },
        ]
    });
    let answer = refusal.clone();
    let api = MockApi::start(move |_| (422, answer.clone())).await;
    let spec = temp_file("{}");
    let args = ["create", spec.path().to_str().unwrap()];
    insta::assert_snapshot!(run(&api.url, &args).await.shown());

    let ended = run(&api.url, &[args[0], args[1], "--json"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        serde_json::from_str::<Value>(&ended.stderr).unwrap(),
        refusal
    );
}

/// A job that goes one state further with each look.
async fn a_job_that_passes_through(states: &'static [&'static str]) -> MockApi {
    let looks = Arc::new(AtomicUsize::new(0));
    MockApi::start(move |seen| {
        if seen.call.starts_with("POST") {
            return (201, job_in("created"));
        }
        if seen.call.contains("/events") {
            let so_far = looks.load(Ordering::SeqCst).min(states.len());
            let from = |i: usize| i.checked_sub(1).map(|before| states[before]);
            let events: Vec<Event> = (0..so_far).map(|i| event(i as u64 + 1, 312 * i as u64, from(i), states[i])).collect();
            return history(&seen.call, &events);
        }
        let look = looks.fetch_add(1, Ordering::SeqCst).min(states.len() - 1);
        let mut job = job_in(states[look]);
        if look == states.len() - 1 {
            job["desired"] = json!("stop");
            job["reason"] = json!({ "code": "input_forbidden", "message": "the input redirects to a private address" });
        }
        (200, job)
    })
    .await
}

#[tokio::test]
async fn watch_prints_a_line_a_change_until_the_job_is_over() {
    let api =
        a_job_that_passes_through(&["created", "assigned", "running", "streaming", "stopped"])
            .await;
    let spec = temp_file("{}");
    insta::assert_snapshot!(
        run(
            &api.url,
            &["create", spec.path().to_str().unwrap(), "--watch"]
        )
        .await
        .shown()
    );
}

#[tokio::test]
async fn watch_of_a_job_that_fails_fails() {
    let api = a_job_that_passes_through(&["created", "assigned", "failed"]).await;
    insta::assert_snapshot!(run(&api.url, &["watch", JOB]).await.shown());

    let api = a_job_that_passes_through(&["created", "assigned", "failed"]).await;
    let ended = run(&api.url, &["watch", JOB, "--json"]).await;
    let to: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["to"].clone())
        .collect();
    assert_eq!(
        (ended.code, to),
        (
            Some(1),
            vec![json!("created"), json!("assigned"), json!("failed")]
        )
    );
}

#[tokio::test]
async fn list_is_a_table_and_says_what_it_leaves_out() {
    let api = MockApi::start(|seen| {
        let mut failed = job_in("failed");
        failed["id"] = json!(OTHER);
        failed["reason"] = json!({ "code": "no_capacity", "message": "the fleet is at its limit" });
        match seen.call.as_str() {
            "GET /jobs?limit=20" => (
                200,
                json!({ "jobs": [streaming_job(), failed], "next_cursor": "c2" }),
            ),
            "GET /jobs?limit=100" => (
                200,
                json!({ "jobs": [streaming_job()], "next_cursor": "c+2" }),
            ),
            "GET /jobs?limit=100&cursor=c%2B2" => {
                (200, json!({ "jobs": [failed], "next_cursor": null }))
            }
            "GET /jobs?limit=1&state=paused" => (200, json!({ "jobs": [], "next_cursor": null })),
            other => problem(400, "unexpected", other),
        }
    })
    .await;
    let one_page = MockApi::start(|_| {
        (
            200,
            json!({ "jobs": [streaming_job()], "next_cursor": "more" }),
        )
    })
    .await;
    let limited = run(&one_page.url, &["list", "--limit", "1"]).await;
    assert_eq!((limited.code, one_page.calls().len()), (Some(0), 1));

    let all = run(&api.url, &["list", "--all", "--json"]).await.json();
    assert_eq!(all["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(all["next_cursor"], Value::Null);
    insta::assert_snapshot!(run(&api.url, &["list", "--all"]).await.shown());
    insta::assert_snapshot!(limited.shown());
    let none = run(&api.url, &["list", "--state", "paused", "--limit", "1"]).await;
    assert_eq!(
        (none.code, none.stdout.as_str(), none.stderr.as_str()),
        (Some(0), "", "no jobs\n")
    );
}

#[tokio::test]
async fn get_shows_a_whole_job_by_a_part_of_its_id() {
    let api = MockApi::start(|seen| match seen.call.as_str() {
        "GET /jobs?limit=100" => (
            200,
            json!({ "jobs": [{ "id": JOB }, { "id": OTHER }], "next_cursor": null }),
        ),
        call if call == format!("GET /jobs/{JOB}") => (200, streaming_job()),
        other => problem(404, "No such job", other),
    })
    .await;
    insta::assert_snapshot!(run(&api.url, &["get", "5d7e0001"]).await.shown());
    assert_eq!(
        run(&api.url, &["get", JOB, "--json"]).await.json(),
        streaming_job()
    );

    let several = run(&api.url, &["get", "019a9a52"]).await;
    assert_eq!(several.code, Some(2));
    assert!(
        several.stderr.contains(OTHER) && several.stderr.contains(JOB),
        "{}",
        several.stderr
    );
    for nobody in ["ffff", "019a9a52-91d3-7000-8000-00000000ffff"] {
        let ended = run(&api.url, &["get", nobody]).await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(4), ""),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(run(&api.url, &["get", "../x"]).await.code, Some(2));
}

#[tokio::test]
async fn events_are_a_table_oldest_first() {
    let api = MockApi::start(|seen| {
        let mut trouble = event(2, 812, Some("streaming"), "streaming");
        trouble.kind = EventKind::Trouble;
        trouble.reason = Some(Reason::new(
            ReasonCode::StoreUnavailable,
            "the media store takes no segments at present",
        ));
        let mut lost = event(3, 9_001, Some("streaming"), "created");
        lost.reason = Some(Reason::new(
            ReasonCode::WorkerLost,
            "the worker's beat stopped",
        ));
        history(&seen.call, &[event(1, 0, None, "created"), trouble, lost])
    })
    .await;
    insta::assert_snapshot!(run(&api.url, &["events", JOB]).await.shown());
    let all = run(&api.url, &["events", JOB, "--json"]).await.json();
    assert_eq!(all["events"].as_array().unwrap().len(), 3);
    assert_eq!(all["next_cursor"], Value::Null);
}

/// A job that was in and out of its input so often.
fn long_history(events: u64) -> Vec<Event> {
    (1..=events)
        .map(|seq| match seq {
            1 => event(seq, 0, None, "created"),
            seq if seq % 2 == 0 => event(seq, seq, Some("running"), "streaming"),
            seq => event(seq, seq, Some("streaming"), "running"),
        })
        .collect()
}

#[tokio::test]
async fn a_history_of_many_pages_is_read_to_its_end() {
    let events = long_history(250);
    let api = MockApi::start(move |seen| history(&seen.call, &events)).await;
    let all = run(&api.url, &["events", JOB, "--json"]).await.json();
    let numbers: Vec<u64> = all["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=250).collect::<Vec<_>>());
    let pages = [0, 100, 200].map(|after| format!("GET /jobs/{JOB}/events?after={after}"));
    assert_eq!(api.calls(), pages);
}

/// What happens after the first hundred events is seen too, and what was seen
/// is not asked for again.
#[tokio::test]
async fn watch_goes_on_after_what_it_has_seen() {
    let looks = Arc::new(AtomicUsize::new(0));
    let api = MockApi::start(move |seen| {
        let is_over = looks.load(Ordering::SeqCst) > 1;
        if seen.call.contains("/events") {
            let mut events = long_history(150);
            if is_over {
                events.push(event(151, 151, Some("streaming"), "failed"));
            }
            return history(&seen.call, &events);
        }
        let job = match looks.fetch_add(1, Ordering::SeqCst) {
            0 => "streaming",
            _ => "failed",
        };
        (200, job_in(job))
    })
    .await;
    let ended = run(&api.url, &["watch", JOB, "--json"]).await;
    let numbers: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].clone())
        .collect();
    assert_eq!(
        (ended.code, numbers),
        (Some(1), vec![json!(150), json!(151)])
    );
    let parts: Vec<String> = api
        .calls()
        .into_iter()
        .filter(|call| call.contains("/events"))
        .collect();
    let expected = [0, 100, 150].map(|after| format!("GET /jobs/{JOB}/events?after={after}"));
    assert_eq!(parts, expected);
}

#[tokio::test]
async fn stop_waits_for_the_end_and_pause_for_the_pause() {
    let looks = Arc::new(AtomicUsize::new(0));
    let api = MockApi::start(move |seen| match seen.call.split(' ').next() {
        Some("PUT") => (202, job_in("stopping")),
        _ if looks.fetch_add(1, Ordering::SeqCst) < 2 => (200, job_in("stopping")),
        _ => {
            let mut job = job_in("stopped");
            job["desired"] = json!("stop");
            (200, job)
        }
    })
    .await;
    let ended = run(&api.url, &["stop", JOB]).await;
    assert_eq!(
        (ended.code, ended.stdout),
        (Some(0), format!("{JOB}  stopping\n"))
    );
    let ended = run(&api.url, &["stop", JOB, "--wait"]).await;
    assert_eq!(
        (ended.code, ended.stdout),
        (Some(0), format!("{JOB}  stopped\n"))
    );
    assert_eq!(api.calls()[0], format!("PUT /jobs/{JOB}/stop"));

    // It was stopped by somebody else in the meantime.
    let ended = run(&api.url, &["pause", JOB, "--wait"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("the job is stopped instead"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn delete_says_what_the_api_does() {
    let api = MockApi::start(|seen| match seen.call.as_str() {
        call if call.ends_with("?force=true&media=true") => (202, job_in("stopping")),
        call if call.ends_with("?media=true") => (202, job_in("failed")),
        call if call.starts_with("GET") => (200, job_in("failed")),
        call if call.contains("force") => (204, Value::Null),
        _ => problem(
            409,
            "The job is live",
            "stop it first, or delete it with ?force=true",
        ),
    })
    .await;
    insta::assert_snapshot!(run(&api.url, &["delete", JOB]).await.shown());
    let ended = run(&api.url, &["delete", JOB, "--force", "--media"]).await;
    assert_eq!(
        (ended.code, ended.stdout),
        (Some(0), format!("{JOB}  is being stopped, then deleted\n"))
    );
    assert_eq!(ended.stderr, "");
    let ended = run(&api.url, &["delete", JOB, "--media"]).await;
    assert_eq!(
        (ended.code, ended.stdout),
        (Some(0), format!("{JOB}  is being deleted\n"))
    );
    let ended = run(&api.url, &["delete", JOB, "--force"]).await;
    assert_eq!(
        (ended.code, ended.stdout),
        (Some(0), format!("{JOB}  deleted\n"))
    );
    assert_eq!(ended.stderr, "its media stays; `--media` removes it too\n");
    let ended = run(&api.url, &["delete", JOB, "--force", "--json"]).await;
    assert_eq!(ended.json()["deleted"], true);
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn nothing_is_said_of_the_media_of_a_job_that_never_ran() {
    let api = MockApi::start(|seen| {
        let mut job = job_in("stopped");
        job["attempt"] = json!(0);
        if seen.call.starts_with("GET") {
            (200, job)
        } else {
            (204, Value::Null)
        }
    })
    .await;
    let ended = run(&api.url, &["delete", JOB]).await;
    assert_eq!(
        (ended.code, ended.stdout, ended.stderr.as_str()),
        (Some(0), format!("{JOB}  deleted\n"), "")
    );
}

#[tokio::test]
async fn create_tells_what_comes_next_where_somebody_is_to_push() {
    let spec = temp_file("{}");
    for (input, is_pushed) in [
        (json!({ "url": "rtmp://127.0.0.1:1935/live/app" }), true),
        (json!({ "url": null }), true),
        (json!({ "url": "srt://origin.example:7000" }), false),
    ] {
        let mut job = job_in("created");
        job["spec"] = json!({ "input": input });
        let api = MockApi::start(move |_| (201, job.clone())).await;
        let ended = run(&api.url, &["create", spec.path().to_str().unwrap()]).await;
        let next = "next      ezlive publish 00005d7e0001, or ezlive get 00005d7e0001 for";
        assert_eq!(ended.stdout.contains(next), is_pushed, "{}", ended.stdout);
    }
}

/// Its last event is gone with it.
#[tokio::test]
async fn watch_of_a_job_that_is_deleted_ends_well() {
    for json in [false, true] {
        let looks = Arc::new(AtomicUsize::new(0));
        let api = MockApi::start(move |seen| match looks.fetch_add(1, Ordering::SeqCst) {
            0 => (200, job_in("streaming")),
            1 => history(&seen.call, &long_history(1)),
            _ => problem(404, "No such job", "it may have been deleted"),
        })
        .await;
        let args = ["watch", JOB, "--json"];
        let args = &args[..if json { 3 } else { 2 }];
        let ended = run(&api.url, args).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let last = ended.stdout.lines().last().unwrap();
        if json {
            let last: Value = serde_json::from_str(last).unwrap();
            assert_eq!(last, json!({ "id": JOB, "deleted": true }));
        } else {
            assert_eq!(last, "deleted");
        }
    }
    let api = MockApi::start(|seen| problem(404, "No such job", &seen.call)).await;
    assert_eq!(run(&api.url, &["watch", JOB]).await.code, Some(4));
}

/// As in `EZLIVE_URL= ezlive list`, or a unit file that leaves one open.
#[tokio::test]
async fn a_variable_that_is_set_to_nothing_is_unset() {
    let api = MockApi::start(|seen| match seen.headers.get("authorization") {
        None => (200, json!({ "jobs": [], "next_cursor": null })),
        Some(_) => problem(401, "Unauthorized", "a token that nobody gave"),
    })
    .await;
    let mut command = ezlive("", &["list", "--url", &api.url]);
    command.env("EZLIVE_TOKEN", "").env("EZLIVE_AUTH", "");
    let ended = end(command).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "no jobs\n"));
    let ended = end(ezlive("", &["plan", "/no/such/file"])).await;
    assert!(
        ended.stderr.contains("can't read /no/such/file"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn doctor_looks_for_the_api_where_it_is_to_listen() {
    let api = MockApi::start(|_| (200, json!({ "status": "ok" }))).await;
    let listen = api.url.strip_prefix("http://").unwrap();
    let doctor = |listen: &str| ezlive("", &["doctor", "--listen", listen, "--rtmp-ports", "1935"]);
    let ended = end(doctor(listen)).await;
    assert!(
        ended
            .stdout
            .contains(&format!("✓ API port: {listen} is in use by ezlive\n"))
            && ended
                .stdout
                .contains(&format!("✓ API: answers at {}\n", api.url)),
        "{}",
        ended.stdout
    );
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = free.local_addr().unwrap().to_string();
    let ended = end(doctor(&free)).await;
    assert!(
        ended
            .stdout
            .contains(&format!("! API: nothing at http://{free}"))
            && ended
                .stdout
                .contains(&format!("Start it: ezlive up --listen {free}")),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn plan_prints_the_command_for_a_shell() {
    let command = "ffmpeg -i pipe:0 -filter_complex '[0:v]fps=25,split=2[a][b]' -map '[a]'";
    let answer = json!({
        "spec": {}, "warnings": [{ "pointer": "/output", "detail": "odd" }],
        "ffmpeg": { "argv": ["-i", "pipe:0"], "command": command },
    });
    let api = MockApi::start(move |_| (200, answer.clone())).await;
    let spec = temp_file("{}");
    let ended = run(&api.url, &["plan", spec.path().to_str().unwrap()]).await;
    assert_eq!(
        (ended.code, ended.stdout, ended.stderr.as_str()),
        (Some(0), format!("{command}\n"), "warning: /output: odd\n")
    );
    assert_eq!(api.calls(), ["POST /jobs?dry_run=true"]);
}

#[tokio::test]
async fn workers_are_listed_shown_and_drained() {
    let api = MockApi::start(|seen| {
        let id = "4f0c1d2e-0000-4000-8000-0a1b2c3d4e5f";
        let worker = json!({ "id": id, "state": "booked", "size": "small", "job_id": JOB, "created_at": "2026-11-22T18:51:33Z" });
        match seen.call.as_str() {
            "GET /workers" => (200, json!({ "workers": [worker] })),
            call if call == format!("GET /workers/{id}") => (200, worker),
            call if call == format!("DELETE /workers/{id}") => (202, worker),
            other => problem(404, "No such worker", other),
        }
    })
    .await;
    insta::assert_snapshot!(run(&api.url, &["workers", "list"]).await.shown());
    assert_eq!(
        run(&api.url, &["workers", "get", "4f0c"]).await.json()["state"],
        "booked"
    );
    let ended = run(&api.url, &["workers", "drain", "4f0c"]).await;
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "4f0c1d2e-0000-4000-8000-0a1b2c3d4e5f  draining\n")
    );
}

#[tokio::test]
async fn nobody_or_somebody_else_at_the_url_is_exit_code_3() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let ended = run(&format!("http://user:pa55word@127.0.0.1:{port}"), &["list"]).await;
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.stderr.contains("Connection refused") && ended.stderr.contains("ezlive up"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("pa55word"), "{}", ended.stderr);

    for (status, body) in [
        (200, json!("hello")),
        (200, json!({ "items": [] })),
        (404, Value::Null),
    ] {
        let api = MockApi::start(move |_| (status, body.clone())).await;
        let ended = run(&api.url, &["list"]).await;
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains("is not ezlive"), "{}", ended.stderr);
    }
    assert_eq!(run("ftp://x", &["list"]).await.code, Some(2));
    assert_eq!(
        run("http://127.0.0.1:1", &["list", "--state", "odd"])
            .await
            .code,
        Some(2)
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for attempt in 0..2 {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"{}") {
                peer.read_buf(&mut bytes).await.unwrap();
            }
            requests.push(String::from_utf8(bytes).unwrap());
            if attempt == 1 {
                let body = job_in("created").to_string();
                let head = format!(
                    "HTTP/1.1 201 Created\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                peer.write_all(format!("{head}{body}").as_bytes())
                    .await
                    .unwrap();
            }
        }
        requests
    });
    let spec = temp_file("{}");
    let ended = run(&url, &["create", spec.path().to_str().unwrap(), "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let requests = server.await.unwrap();
    let key = |request: &str| {
        request
            .lines()
            .find(|line| line.starts_with("idempotency-key"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        key(&requests[0]),
        key(&requests[1]),
        "the second try makes no second job"
    );
}

/// 503 is how the API says that its database is away for a moment, 502 and 504
/// how what stands before it says so of the API.
#[tokio::test]
async fn an_api_that_is_unavailable_is_asked_again() {
    for status in [502, 503, 504] {
        let calls = Arc::new(AtomicUsize::new(0));
        let api = MockApi::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => problem(status, "Unavailable for a moment", "try again"),
            _ => (200, job_in("paused")),
        })
        .await;
        let ended = run(&api.url, &["pause", JOB]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(api.calls().len(), 3);
    }

    // Not for ever, and not where the API has a fault.
    for (status, calls) in [(503, 3), (500, 1)] {
        let api = MockApi::start(move |_| problem(status, "Odd", "it is so")).await;
        let ended = run(&api.url, &["get", JOB]).await;
        assert_eq!((ended.code, api.calls().len()), (Some(1), calls));
        assert!(ended.stderr.contains("Odd: it is so"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn an_api_that_names_the_time_is_asked_again_then_and_nobody_waits_for_long() {
    for (seconds, calls) in [(1, 2), (3600, 1)] {
        let looks = Arc::new(AtomicUsize::new(0));
        let api = MockApi::start(move |_| match looks.fetch_add(1, Ordering::SeqCst) {
            0 => {
                let (status, mut body) = problem(503, "Unavailable for a moment", "try again");
                body["retry_after"] = json!(seconds);
                (status, body)
            }
            _ => (200, job_in("paused")),
        })
        .await;
        let start = Instant::now();
        let ended = run(&api.url, &["get", JOB]).await;
        let expected = if calls == 2 { Some(0) } else { Some(1) };
        assert_eq!((ended.code, api.calls().len()), (expected, calls));
        if calls == 2 {
            assert!(start.elapsed() >= Duration::from_secs(seconds));
        }
    }
}

/// More in a row than a single call sits out.
#[tokio::test]
async fn commands_that_wait_sit_out_an_api_that_is_away() {
    for args in [
        &["stop", JOB, "--wait"][..],
        &["watch", JOB],
        &["publish", JOB],
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let api = MockApi::start(move |seen| {
            let mut over = job_in("stopped");
            over["desired"] = json!("stop");
            match calls.fetch_add(1, Ordering::SeqCst) {
                _ if seen.call.contains("/events") => history(&seen.call, &long_history(1)),
                0 => (200, job_in("stopping")),
                1..=6 => problem(503, "Unavailable for a moment", "try again"),
                _ => (200, over),
            }
        })
        .await;
        let ended = run(&api.url, args).await;
        let code = if args[0] == "publish" { 1 } else { 0 };
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.stderr);
        let away = ended.stderr.matches("the API does not answer; trying on");
        assert_eq!(away.count(), 1, "{args:?}: {}", ended.stderr);
        if args[0] == "publish" {
            assert!(
                ended.stderr.contains("the job is stopped"),
                "{}",
                ended.stderr
            );
        }
    }
}

/// The server is restarted: for a while nothing listens.
#[tokio::test]
async fn commands_that_wait_sit_out_a_restart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = ezlive(&format!("http://{address}"), &["publish", JOB]);
    let mut child = command.spawn().unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    drop(listener);
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        peer.read_buf(&mut bytes).await.unwrap();
    }
    let body = job_in("assigned").to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    peer.write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    drop(peer);

    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = stderr.next_line().await.unwrap() {
        said.push(line);
        if said.last().unwrap() == "the API does not answer; trying on" {
            break;
        }
    }
    let listener = TcpListener::bind(address).await.unwrap();
    MockApi::serve(listener, |_| (200, job_in("failed"))).await;
    while let Some(line) = stderr.next_line().await.unwrap() {
        said.push(line);
    }
    let code = child.wait().await.unwrap().code();
    assert_eq!(code, Some(1), "{said:?}");
    assert!(
        said.iter().any(|line| line.contains("the job is failed")),
        "{said:?}"
    );
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let api = MockApi::start(|seen| match seen.headers.get("authorization") {
        Some(value) if value == "Bearer t0ken" => (200, json!({ "jobs": [], "next_cursor": null })),
        _ => problem(401, "Unauthorized", "a bearer token is needed"),
    })
    .await;
    let mut command = ezlive(&api.url, &["list"]);
    command.env("EZLIVE_TOKEN", "t0ken");
    assert_eq!(end(command).await.code, Some(0));
    let refused = run(&api.url, &["list"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("EZLIVE_TOKEN"),
        "{}",
        refused.stderr
    );
    let mut help = ezlive(&api.url, &["list", "--help"]);
    help.env("EZLIVE_TOKEN", "t0ken");
    assert!(!end(help).await.stdout.contains("t0ken"));
}

#[tokio::test]
async fn a_closed_pipe_is_no_fault() {
    let api = MockApi::start(|_| {
        (
            200,
            json!({ "jobs": [streaming_job()], "next_cursor": null }),
        )
    })
    .await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = ezlive(&api.url, &["list"]);
    command.stdout(writer);
    let ended = end(command).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn help_teaches() {
    let ended = run("http://127.0.0.1:1080", &["--help"]).await;
    insta::assert_snapshot!(ended.shown());
    for command in [
        "create", "list", "get", "events", "watch", "stop", "delete", "plan", "publish", "workers",
        "doctor",
    ] {
        let ended = run("http://127.0.0.1:1080", &[command, "--help"]).await;
        assert!(
            ended
                .stdout
                .contains(&format!("Examples:\n  ezlive {command}"))
                || ended.stdout.contains(&format!("\n  ezlive {command} ")),
            "{}",
            ended.stdout
        );
    }
}

#[tokio::test]
async fn doctor_names_what_is_missing_with_the_remedy() {
    let api = MockApi::start(|_| (200, json!({ "status": "ok" }))).await;
    let empty = tempfile::tempdir().unwrap();
    let data = empty.path().join("data");
    let listen = format!("127.0.0.1:{}", api.url.rsplit(':').next().unwrap());
    let args = [
        "doctor",
        "--json",
        "--data",
        data.to_str().unwrap(),
        "--listen",
        &listen,
    ];

    let mut without = ezlive(&api.url, &args);
    without.env("PATH", empty.path());
    let ended = end(without).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report = ended.json();
    assert_eq!(report["ok"], false);
    let check = |name: &str| {
        report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == name)
            .cloned()
            .unwrap()
    };
    assert_eq!(check("ffmpeg")["status"], "fault");
    assert!(
        check("ffmpeg")["remedy"]
            .as_str()
            .unwrap()
            .contains("apt install ffmpeg")
    );
    for name in ["API", "API port", "RTMP ports", "data folder"] {
        assert_ne!(check(name)["status"], "fault", "{report:#}");
    }

    // That the API answers elsewhere is no reason for somebody else to have
    // the port.
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let program = empty.path().join("no-such-ffmpeg");
    let args = [
        "doctor",
        "--listen",
        &taken,
        "--ffmpeg",
        program.to_str().unwrap(),
    ];
    let foreign = run(&api.url, &args).await;
    assert!(
        foreign
            .stdout
            .contains(&format!("✗ API port: can't listen at {taken}"))
            && foreign.stdout.contains("no-such-ffmpeg is not found\n"),
        "{}",
        foreign.stdout
    );

    let gone = run(
        "http://127.0.0.1:9",
        &["doctor", "--data", data.to_str().unwrap()],
    )
    .await;
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stdout
            .contains("✗ API: no answer from http://127.0.0.1:9")
            && gone.stdout.contains("✓ ffprobe: "),
        "{}",
        gone.stdout
    );
}
