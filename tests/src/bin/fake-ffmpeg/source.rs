//! How far the input has come.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::Instant;

/// Where media time comes from.
pub enum Source {
    /// The clock, so many times faster than it goes.
    Paced { begin: Instant, speed: f64 },
    /// The timestamps of FLV on standard input.
    Flv {
        stdin: pipe::Receiver,
        header_read: bool,
        first: Option<u32>,
        latest: u32,
    },
}

impl Source {
    pub fn paced(speed: f64) -> Self {
        Self::Paced {
            begin: Instant::now(),
            speed,
        }
    }

    pub fn flv() -> io::Result<Self> {
        let stdin = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        Ok(Self::Flv {
            stdin,
            header_read: false,
            first: None,
            latest: 0,
        })
    }

    /// How far the input has come, seconds.
    pub fn time(&self) -> f64 {
        match self {
            Self::Paced { begin, speed } => begin.elapsed().as_secs_f64() * speed,
            Self::Flv { first, latest, .. } => first.map_or(0.0, |first| {
                f64::from(latest.saturating_sub(first)) / 1000.0
            }),
        }
    }

    /// Waits until the input has come to a media time; false where it ended
    /// before. An error where it isn't FLV.
    pub async fn reach(&mut self, time: f64) -> anyhow::Result<bool> {
        if let Self::Paced { begin, speed } = self {
            tokio::time::sleep_until(*begin + Duration::from_secs_f64(time / *speed)).await;
            return Ok(true);
        }
        while self.time() < time {
            if !self.read_tag().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the next FLV tag; false at the end of the input.
    async fn read_tag(&mut self) -> anyhow::Result<bool> {
        let Self::Flv {
            stdin,
            header_read,
            first,
            latest,
        } = self
        else {
            return Ok(false);
        };
        if !*header_read {
            // Signature, version, flags, header size; a size of no tag before.
            let mut header = [0; 13];
            if stdin.read_exact(&mut header).await.is_err() || &header[..3] != b"FLV" {
                anyhow::bail!("pipe:0: Invalid data found when processing input");
            }
            *header_read = true;
        }
        let mut tag = [0; 11];
        if stdin.read_exact(&mut tag).await.is_err() {
            return Ok(false);
        }
        // The body, and the size of this tag after it.
        let size = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]) + 4;
        let mut body = (&mut *stdin).take(u64::from(size));
        if tokio::io::copy(&mut body, &mut tokio::io::sink()).await? < u64::from(size) {
            return Ok(false);
        }
        const SCRIPT_DATA: u8 = 18;
        if tag[0] != SCRIPT_DATA {
            let time = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
            first.get_or_insert(time);
            *latest = time.max(*latest);
        }
        Ok(true)
    }
}
