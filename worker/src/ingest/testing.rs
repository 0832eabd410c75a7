//! The real FFmpeg, and certificates, for tests.

use std::process::Stdio;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::process::{Child, Command};

/// FFmpeg, killed when dropped.
pub fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The options of a test picture and tone in H.264 and AAC, in real time.
pub fn test_input(size: &str, sample_rate: u32) -> Vec<String> {
    let picture = format!("testsrc2=size={size}:rate=25");
    let tone = format!("sine=frequency=440:sample_rate={sample_rate}");
    let options = [
        "-re", "-f", "lavfi", "-i", &picture, "-re", "-f", "lavfi", "-i", &tone,
    ];
    let encoders = "-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac -ac 2";
    options
        .into_iter()
        .chain(encoders.split(' '))
        .map(str::to_owned)
        .collect()
}

/// FFmpeg publishing a test picture to this URL.
pub fn publisher(url: &str, size: &str, sample_rate: u32, more: &[&str]) -> Child {
    ffmpeg()
        .args(test_input(size, sample_rate))
        .args(more)
        .args(["-f", "flv", url])
        .spawn()
        .expect("ffmpeg is installed")
}

/// A server's configuration and that of a client who trusts it.
pub fn certificate(name: &str) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}
