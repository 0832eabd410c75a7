//! What the command line takes, and what it says to what it doesn't.

use std::net::IpAddr;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    up: UpArgs,
}

fn parse(args: &[&str]) -> Result<UpArgs, String> {
    let args = std::iter::once(&"up").chain(args);
    Command::try_parse_from(args)
        .map(|command| command.up)
        .map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let args = parse(&[]).unwrap();
    assert_eq!(args.listen, "127.0.0.1:1080".parse().unwrap());
    assert_eq!(args.rtmp_ports, 1935..=1999);
    assert_eq!(args.timing(), Timing::default());
    assert_eq!(args.idle_timeout, Duration::from_secs(300));
}

#[test]
fn ports_are_a_range_or_one() {
    let ports = |text| parse(&["--rtmp-ports", text]).map(|args| args.rtmp_ports);
    assert_eq!(ports("1935-1937"), Ok(1935..=1937));
    assert_eq!(ports("1935"), Ok(1935..=1935));
    for wrong in [
        "",
        "0-9",
        "9-",
        "-9",
        "1999-1935",
        "1935-65536",
        "a-b",
        "1-2-3",
    ] {
        assert!(ports(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_machine_without_workers_is_refused() {
    assert!(parse(&["--max-workers", "0"]).is_err());
}

#[test]
fn a_lease_is_neither_too_short_nor_too_long() {
    let lease = |text| parse(&["--lease", text]).map(|args| args.lease.as_secs_f64());
    for good in ["1", "2.5", "60"] {
        assert_eq!(lease(good), Ok(good.parse().unwrap()));
    }
    for wrong in ["0", "0.9", "60.1", "1e300", "NaN", "inf", "8s", ""] {
        assert!(lease(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn times_that_no_clock_can_count_are_refused() {
    for wrong in ["-1", "NaN", "inf", "1e30", "soon"] {
        let idle = parse(&[&format!("--idle-timeout={wrong}")]);
        assert!(idle.is_err(), "{wrong}");
    }
}

/// `EZLIVE_TOKEN=` in a unit file must not open the server to everybody.
#[test]
fn an_empty_token_is_refused() {
    assert!(parse(&["--token", ""]).is_err());
    assert_eq!(
        parse(&["--token", "t"]).unwrap().token.as_deref(),
        Some("t")
    );
}

#[test]
fn networks_are_checked_where_they_are_given() {
    let networks = |text| parse(&["--allow-pull-from", text]);
    let policy = networks("10.0.0.0/8,127.0.0.0/8")
        .unwrap()
        .policy()
        .unwrap();
    assert!(policy.permits("10.1.2.3".parse().unwrap()));
    assert!(!policy.permits("192.168.1.1".parse().unwrap()));
    for wrong in ["10.0.0.0/33", "lan", "10.0.0.0/8;127.0.0.0/8"] {
        assert!(networks(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn publishers_are_told_a_host_they_can_write() {
    let host = |args: &[&str]| parse(args).unwrap().ingest_host();
    assert_eq!(host(&[]), "127.0.0.1");
    assert_eq!(host(&["--listen", "[::1]:1080"]), "[::1]");
    assert_eq!(host(&["--public-host", "live.example"]), "live.example");
    let everywhere = host(&["--listen", "0.0.0.0:1080"]);
    assert!(everywhere.parse::<IpAddr>().is_ok(), "{everywhere}");
}

#[test]
fn players_are_told_the_public_url() {
    let playback = |args: &[&str]| parse(args).map(|args| args.playback());
    assert_eq!(playback(&[]).unwrap(), Playback::FromHost);
    for given in ["https://live.example", "https://live.example/"] {
        let told = Playback::Fixed("https://live.example/live".to_owned());
        assert_eq!(playback(&["--public-url", given]).unwrap(), told);
    }
    for wrong in [
        "live.example",
        "ftp://live.example",
        "https://a/?b",
        "https://u:p@a.example",
    ] {
        assert!(playback(&["--public-url", wrong]).is_err(), "{wrong}");
    }
}
