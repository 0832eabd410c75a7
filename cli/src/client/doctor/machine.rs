//! Ports and disk.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use url::{Host, Url};

use super::Check;

const GIB: u64 = 1 << 30;
/// Below this the playlists of a few channels may fill the disk.
const ENOUGH: u64 = 5 * GIB;
const TOO_LITTLE: u64 = GIB;
/// How many taken ports are named.
const NAMED: usize = 5;

/// Whether a URL leads to who listens at that address of this machine. Told by
/// the URL alone: another name may lead there, but is not known to.
pub fn leads_to(url: &Url, listen: SocketAddr) -> bool {
    let host = match url.host() {
        Some(Host::Ipv4(host)) => IpAddr::V4(host),
        Some(Host::Ipv6(host)) => IpAddr::V6(host),
        // Whichever of its addresses that is.
        Some(Host::Domain("localhost")) if listen.ip().is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        Some(Host::Domain("localhost")) => Ipv6Addr::LOCALHOST.into(),
        Some(Host::Domain(_)) | None => return false,
    };
    // `[::]` takes IPv4 too.
    let is_any = listen.ip().is_unspecified() && (listen.is_ipv6() || host.is_ipv4());
    url.port_or_known_default() == Some(listen.port())
        && (host == listen.ip() || (is_any && host.is_loopback()))
}

/// Whether `ezlive up` can listen; `is_ours` where it is what listens now.
pub fn listen_port(address: SocketAddr, is_ours: bool) -> Check {
    const NAME: &str = "API port";
    match TcpListener::bind(address) {
        Ok(_) => Check::ok(NAME, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_ours => {
            Check::ok(NAME, format!("{address} is in use by ezlive"))
        }
        Err(error) => Check::fault(
            NAME,
            format!("can't listen at {address}: {error}"),
            "End what listens there, or choose another: ezlive up --listen 127.0.0.1:PORT",
        ),
    }
}

/// How many ports there are to push to: one job needs one.
pub fn rtmp_ports(host: IpAddr, range: RangeInclusive<u16>) -> Check {
    const NAME: &str = "RTMP ports";
    const REMEDY: &str = "Choose others: ezlive up --rtmp-ports FIRST-LAST";
    let all = range.clone().count();
    let taken: Vec<String> = range
        .clone()
        .filter(|&port| TcpListener::bind((host, port)).is_err())
        .map(|port| port.to_string())
        .collect();
    let detail = format!(
        "{} of {all} free in {}-{}",
        all - taken.len(),
        range.start(),
        range.end()
    );
    match taken.len() {
        0 => Check::ok(NAME, detail),
        n if n == all => Check::fault(NAME, detail, REMEDY),
        n => {
            let more = if n > NAMED { " and more" } else { "" };
            let named = taken.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
            // Running jobs take some: no reason to worry.
            Check::ok(NAME, format!("{detail} (taken: {named}{more})"))
        }
    }
}

/// Whether the data folder can be written, and what room there is.
pub fn data_folder(folder: &Path) -> Check {
    const NAME: &str = "data folder";
    let shown = folder.display();
    let Some(existing) = nearest_existing(folder) else {
        return Check::fault(
            NAME,
            format!("{shown} can't be found"),
            "Name another: ezlive up --data DIR",
        );
    };
    if access(&existing, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let detail = format!("{} can't be written", existing.display());
        return Check::fault(
            NAME,
            detail,
            "Name another, or give this user the right to write it: ezlive up --data DIR",
        );
    }
    let stat = match statvfs(&existing) {
        Ok(stat) => stat,
        Err(error) => {
            return Check::fault(
                NAME,
                format!("{shown}: {error}"),
                "Name another: ezlive up --data DIR",
            );
        }
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let detail = format!("{shown} has {:.1} GiB free", free as f64 / GIB as f64);
    const REMEDY: &str = "Make room, or name another: ezlive up --data DIR";
    match free {
        free if free < TOO_LITTLE => Check::fault(NAME, detail, REMEDY),
        free if free < ENOUGH => Check::warning(NAME, detail, REMEDY),
        _ => Check::ok(NAME, detail),
    }
}

/// The folder, or the one in which it would be made.
fn nearest_existing(folder: &Path) -> Option<PathBuf> {
    std::path::absolute(folder)
        .ok()?
        .ancestors()
        .find(|folder| folder.is_dir())
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn taken_ports_are_counted_and_all_taken_is_a_fault() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let check = rtmp_ports(Ipv4Addr::LOCALHOST.into(), port..=port);
        assert_eq!(
            (check.status, check.detail),
            (Status::Fault, format!("0 of 1 free in {port}-{port}"))
        );
        drop(taken);
        assert_eq!(
            rtmp_ports(Ipv4Addr::LOCALHOST.into(), port..=port).status,
            Status::Ok
        );
    }

    #[test]
    fn a_taken_api_port_is_fine_if_ezlive_has_it() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(listen_port(address, true).status, Status::Ok);
        assert_eq!(listen_port(address, false).status, Status::Fault);
    }

    #[test]
    fn a_url_leads_to_the_address_that_it_names() {
        let leads =
            |url: &str, listen: &str| leads_to(&Url::parse(url).unwrap(), listen.parse().unwrap());
        for (url, listen) in [
            ("http://127.0.0.1:1080", "127.0.0.1:1080"),
            ("http://localhost:1080/", "127.0.0.1:1080"),
            ("http://localhost:1080/", "[::1]:1080"),
            ("http://[::1]:1080/", "[::1]:1080"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://localhost:1080", "0.0.0.0:1080"),
            ("http://127.0.0.1:1080", "0.0.0.0:1080"),
            ("http://127.0.0.1:1080", "[::]:1080"),
        ] {
            assert!(leads(url, listen), "{url} {listen}");
        }
        for (url, listen) in [
            ("http://127.0.0.1:1080", "127.0.0.1:1081"),
            ("http://127.0.0.2:1080", "127.0.0.1:1080"),
            ("http://[::1]:1080", "127.0.0.1:1080"),
            ("http://192.0.2.1:1080", "0.0.0.0:1080"),
            ("http://live.example:1080", "127.0.0.1:1080"),
            ("http://[::1]:1080", "0.0.0.0:1080"),
        ] {
            assert!(!leads(url, listen), "{url} {listen}");
        }
    }

    #[test]
    fn a_data_folder_that_is_still_to_be_made_is_judged_by_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let check = data_folder(&dir.path().join("a/b/c"));
        assert!(check.detail.contains("GiB free"), "{check:?}");
        // A file in the way of the folder.
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(
            nearest_existing(&dir.path().join("file/x")).as_deref(),
            Some(dir.path())
        );
    }
}
