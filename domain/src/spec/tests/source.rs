//! Where a job's input may come from.

use serde_json::json;

use super::*;

fn source(url: &str, policy: &OperatorPolicy) -> Result<Source, String> {
    let body = with("/Input/Url", json!(url));
    match Spec::from_value(&body, policy) {
        Ok(spec) => Ok(spec.input.source),
        Err(Faults(faults)) => {
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].pointer, "/Input/Url");
            Err(faults[0].detail.clone())
        }
    }
}

#[test]
fn rtmp_to_this_machine_is_a_push() {
    let policy = OperatorPolicy::default();
    for (url, port, app, stream) in [
        ("", 1935, "live", None),
        ("rtmp://127.0.0.1:1935/live/app", 1935, "live", Some("app")),
        ("rtmp://127.9.9.9/live", 1935, "live", None),
        (
            "rtmp://0.0.0.0:1940/show/one/two",
            1940,
            "show",
            Some("one/two"),
        ),
        ("rtmp://[::1]/", 1935, "live", None),
        ("rtmp://[::]:2000", 2000, "live", None),
        ("RTMP://LocalHost/x/y", 1935, "x", Some("y")),
    ] {
        let Ok(Source::Push { url: push }) = source(url, &policy) else {
            panic!("{url} is no push");
        };
        assert_eq!(
            (push.port, push.app.as_str(), push.stream.as_deref()),
            (port, app, stream)
        );
    }
    for url in [
        "rtmp://127.0.0.1:0/live",
        "rtmp://127.0.0.1/live/%0a",
        "rtmp://127.0.0.1/-i/x",
        "rtmp://127.0.0.1/live/../x y",
        "rtmp://u:p@127.0.0.1/live",
        "rtmp://127.0.0.1/live?k=v",
        "rtmp://127.0.0.1:99999/live",
    ] {
        source(url, &policy).unwrap_err();
    }
}

#[test]
fn pulled_urls_lead_to_the_public_internet_only() {
    let policy = OperatorPolicy::default();
    for url in [
        "http://127.0.0.1/a",
        "http://2130706433/a",
        "http://0177.0.0.1/a",
        "http://0x7f.1/a",
        "http://127.1/a",
        "http://[::1]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://[::127.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://[2002:7f00:1::]/a",
        "http://localhost/a",
        "http://LOCALHOST./a",
        "http://a.localhost/a",
        "http://127.0.0.1./a",
        "http://１２７.0.0.1/a",
        "http://%31%32%37.0.0.1/a",
        "http://0/a",
        "http://169.254.170.2/v2/credentials",
        "https://169.254.169.254/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[ff02::1]/",
        "http://user@127.0.0.1/",
        "http://example.com\\@127.0.0.1:x/",
        "rtmp://2130706433/live/x",
        "rtmp://0177.0.0.1/live/x",
        "rtmp://0x7f000001/live/x",
        "rtmp://[::ffff:127.0.0.1]/live/x",
        "rtmp://127.0.0.1./live/x",
        "rtmp://127.1/live/x",
        "rtmp://%31%32%37.0.0.1/live",
        "rtmps://127.0.0.1/live/x",
        "rtmp://10.0.0.1/live/x",
        "rtmp://169.254.169.254/live/x",
        "rtsp://127.0.0.1/x",
        "srt://127.0.0.1:9000",
        "srt://localhost:9000",
        "file:///etc/passwd",
        "concat:a|b",
        "data:text/plain,x",
        "ftp://example.com/",
        "udp://239.0.0.1:1234",
        "gopher://example.com/",
        "pipe:0",
        "-i",
        "--help",
        "/etc/passwd",
        "example.com/live",
        "http://",
        "rtmp:///live",
        "srt://:9000",
        "http://exa mple.com/",
        "http://example.com/\n",
        "http://example.com:0/",
        "http://example.com:25/",
        "https://example.com:81/",
        "rtsp://example.com:22/",
        "srt://example.com:53",
        "rtmp://example.com:445/live/x",
        "rtmp://example.com",
        "rtmp://example.com/",
        "rtmp://example.com/live",
        "rtmp://example.com/live/",
        "rtmps://example.com/live?key=x",
        "rtmp://example.com:99999/x",
        "subfile,,start,0,end,9,,:http://example.com",
    ] {
        source(url, &policy).unwrap_err();
    }
    source(&format!("http://example.com/{}", "x".repeat(2048)), &policy).unwrap_err();
    for url in [
        "rtmp://example.com/live/x",
        "rtmps://example.com:443/live/x",
        "rtmp://example.com/app/instance/x?key=y",
        "rtmp://example.com:80/live/x",
        "http://example.com:443/a.ts",
        "http://example.com:8080/a.ts",
        "rtsp://cam:pw@example.com/s?channel=1",
        "https://example.com/live/index.m3u8?token=a",
        "http://1.1.1.1/a.ts",
        "srt://example.com:9000?mode=caller&streamid=a&passphrase=0123456789&latency=120000&pbkeylen=16",
    ] {
        assert!(
            matches!(source(url, &policy), Ok(Source::Pull { .. })),
            "{url}"
        );
    }
}

#[test]
fn what_was_accepted_once_stays_readable() {
    for url in ["rtmp://example.com/live", "http://example.com:25/a.ts"] {
        let stored = with("/Input/Url", json!(url));
        serde_json::from_value::<Spec>(stored).unwrap();
    }
}

#[test]
fn the_operator_may_allow_private_sources() {
    let policy = OperatorPolicy::default()
        .allow_networks("127.0.0.0/8,10.0.0.0/8")
        .unwrap();
    for url in [
        "http://127.0.0.1:8080/a.m3u8",
        "srt://localhost:9000",
        "rtmp://10.1.2.3/live/x",
    ] {
        assert!(
            matches!(source(url, &policy), Ok(Source::Pull { .. })),
            "{url}"
        );
    }
    assert!(matches!(
        source("rtmp://127.0.0.1/live", &policy),
        Ok(Source::Push { .. })
    ));
    source("http://169.254.169.254/", &policy).unwrap_err();
}

#[test]
fn srt_takes_few_parameters() {
    let policy = OperatorPolicy::default();
    for query in [
        "mode=listener",
        "mode=rendezvous",
        "passphrase=short",
        "pbkeylen=7",
        "latency=-1",
        "latency=x",
        "localport=1",
        "transtype=file",
        "linger=9",
        "mode=caller&mode=listener",
        "streamid=a&streamid=b",
        "Mode=listener",
    ] {
        source(&format!("srt://example.com:9000?{query}"), &policy).unwrap_err();
    }
    source("srt://example.com", &policy).unwrap_err();
    let body = with("/Input/Url", json!("srt://example.com:9000?latency=200"));
    assert!(
        parse(&body).unwrap().warnings()[0]
            .detail
            .contains("microseconds")
    );
}

#[test]
fn secrets_of_a_url_are_not_shown() {
    let policy = OperatorPolicy::default();
    for (url, redacted) in [
        ("rtsp://cam:pw@example.com/s?key=1", "rtsp://example.com/s"),
        (
            "rtmp://u:p@example.com:1936/live/streamkey",
            "rtmp://example.com:1936/live/…",
        ),
        (
            "https://example.com/a.m3u8?token=1#x",
            "https://example.com/a.m3u8",
        ),
        (
            "https://example.com/live/0123456789abcdef/a.m3u8",
            "https://example.com/live/…",
        ),
        (
            "srt://example.com:9000?passphrase=0123456789",
            "srt://example.com:9000",
        ),
    ] {
        let Ok(Source::Pull { url }) = source(url, &policy) else {
            panic!("{url}")
        };
        assert_eq!(url.redacted(), redacted);
        assert_eq!(format!("{url}"), redacted);
        assert_eq!(format!("{url:?}"), format!("PullUrl({redacted})"));
    }
}
