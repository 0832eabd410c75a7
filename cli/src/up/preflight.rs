//! What must be there before anything starts: each lack is one clear line
//! with its remedy.

use std::fs::DirBuilder;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use super::UpArgs;

/// Checks arguments, FFmpeg, ports and the data folder.
///
/// # Errors
/// What is lacking, with its remedy.
pub async fn check(args: &UpArgs) -> anyhow::Result<()> {
    if !args.listen.ip().is_loopback() && args.token.is_none() {
        bail!(
            "--listen {} can be reached from other machines: give a secret by --token or EZLIVE_TOKEN",
            args.listen
        );
    }
    if args.min_idle > args.max_workers {
        bail!(
            "--min-idle {} is more than there may be workers: give --max-workers {} or more",
            args.min_idle,
            args.min_idle
        );
    }
    worker::ffmpeg::check(&args.ffmpeg).await?;
    // Pulled inputs are looked at with it.
    worker::ffmpeg::release(worker::ffmpeg::ffprobe_of(&args.ffmpeg)).await?;
    // The records in it hold stream keys.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.data)
        .and_then(|()| std::fs::create_dir_all(args.media_folder()))
        .with_context(|| {
            format!(
                "the data folder {} can't be written; give another by --data DIR",
                args.data.display()
            )
        })?;
    any_rtmp_port(args).await
}

/// The address the API is served on.
///
/// # Errors
/// It is taken, or not this machine's.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} can't be listened on; stop what uses it, or give another by --listen")
    })
}

/// Only that there is one: each worker finds its own when it takes a job.
async fn any_rtmp_port(args: &UpArgs) -> anyhow::Result<()> {
    let ip: IpAddr = args.listen.ip();
    for port in args.rtmp_ports.clone() {
        if TcpListener::bind((ip, port)).await.is_ok() {
            return Ok(());
        }
    }
    bail!(
        "none of the RTMP ports {}-{} is free; give others by --rtmp-ports",
        args.rtmp_ports.start(),
        args.rtmp_ports.end()
    )
}
