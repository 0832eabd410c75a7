//! A stand-in for FFmpeg that tests put on the path: see `tests::fake`.

mod args;
mod media;
mod source;

use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;

use nix::sys::signal::{Signal, raise};
use tests::fake::{self, Fault, Script};
use tokio::signal::unix::{SignalKind, signal};

use args::{Input, Order};
use media::Muxer;
use source::Source;
use worker::ffmpeg::shim;

/// What FFmpeg exits with after SIGINT or SIGTERM.
const INTERRUPTED: i32 = 255;

fn main() -> anyhow::Result<()> {
    shim::run_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = |option: &str| args.iter().any(|arg| arg == option);
    let mut stdout = io::stdout();
    if asked("-version") {
        writeln!(stdout, "ffmpeg version 7.1-fake Copyright (c) nobody")?;
        return Ok(());
    }
    if asked("-encoders") {
        writeln!(stdout, "Encoders:\n V..... = Video\n ------")?;
        for name in ["libx264", "libx265", "libsvtav1", "aac"] {
            writeln!(stdout, " V..... {name}   fake")?;
        }
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(run(&args)).unwrap_or_else(|error| {
        // Without a standard error there is still the exit code.
        let _ = writeln!(io::stderr(), "{error:#}");
        1
    });
    std::process::exit(code)
}

fn script() -> anyhow::Result<Script> {
    if let Some(folder) = std::env::var_os(fake::RUNS)
        && let Some(script) = fake::take(Path::new(&folder))?
    {
        return Ok(script);
    }
    std::env::var(fake::SCRIPT).unwrap_or_default().parse()
}

async fn run(args: &[String]) -> anyhow::Result<i32> {
    let script = script()?;
    let order = args::order(args)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let deaf = script.deaf;
    let told_to_end = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !deaf {
                return;
            }
        }
    };
    let mut fake = Fake::new(script, order)?;
    fake.play(told_to_end).await
}

/// A run under way.
struct Fake {
    script: Script,
    source: Source,
    muxer: Muxer,
    stdout: io::Stdout,
    progress: Option<File>,
    rounds: u64,
}

impl Fake {
    fn new(script: Script, order: Order) -> anyhow::Result<Self> {
        Ok(Self {
            source: match order.input {
                Input::Pipe => Source::flv()?,
                Input::Endless => Source::paced(script.speed),
            },
            progress: match order.progress {
                true => Some(File::options().write(true).open("/dev/fd/3")?),
                false => None,
            },
            muxer: Muxer::new(order, script.fragment_bytes),
            script,
            stdout: io::stdout(),
            rounds: 0,
        })
    }

    /// Gives the exit code.
    async fn play(&mut self, told_to_end: impl Future<Output = ()>) -> anyhow::Result<i32> {
        let mut told_to_end = pin!(told_to_end);
        tokio::select! {
            () = tokio::time::sleep(self.script.delay) => {}
            () = &mut told_to_end => return Ok(INTERRUPTED),
        }
        let mut started = false;
        loop {
            if let Some((fault, after)) = self.script.fault
                && self.rounds == after
                && let Some(code) = self.fail(fault, &mut told_to_end).await?
            {
                return Ok(code);
            }
            if !started {
                started = true;
                let init = self.muxer.init()?;
                self.write(&init)?;
            }
            let end = self.muxer.round_end_time();
            let reached = tokio::select! {
                reached = self.source.reach(end) => reached?,
                () = &mut told_to_end => {
                    self.last_round()?;
                    return Ok(INTERRUPTED);
                }
            };
            if reached {
                let fragments = self.muxer.round(end)?;
                self.write(&fragments)?;
                self.report("continue")?;
                self.rounds += 1;
            } else {
                self.last_round()?;
                if self.script.deaf {
                    told_to_end.await;
                }
                return Ok(0);
            }
        }
    }

    /// What the encoder still holds when the run ends in order.
    fn last_round(&mut self) -> anyhow::Result<()> {
        let fragments = self.muxer.round(self.source.time())?;
        self.write(&fragments)?;
        self.report("end")
    }

    /// Lets the fault happen; gives the exit code where it is the end.
    async fn fail(
        &mut self,
        fault: Fault,
        told_to_end: &mut (impl Future<Output = ()> + Unpin),
    ) -> anyhow::Result<Option<i32>> {
        match fault {
            Fault::Crash => raise(Signal::SIGABRT)?,
            Fault::Error => anyhow::bail!("rtmp://fake/live/key: Input/output error"),
            Fault::Spec => anyhow::bail!("Unknown encoder 'libfake'"),
            Fault::End => return Ok(Some(0)),
            Fault::Truncate => {
                let fragments = self.muxer.round(self.muxer.round_end_time())?;
                self.write(&fragments[..fragments.len() / 2])?;
                return Ok(Some(0));
            }
            Fault::Hang => {
                told_to_end.await;
                return Ok(Some(INTERRUPTED));
            }
            Fault::Garbage => {
                let noise: Vec<u8> = (0..65536u32)
                    .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
                    .collect();
                self.write(&noise)?;
                told_to_end.await;
                return Ok(Some(INTERRUPTED));
            }
            Fault::TimeBack => self.muxer.time_back(),
            Fault::Silence => self.muxer.silent = true,
            Fault::NoProgress => self.progress = None,
        }
        Ok(None)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)?;
        self.stdout.flush()
    }

    fn report(&mut self, state: &str) -> anyhow::Result<()> {
        if let Some(progress) = &mut self.progress {
            let micros = (self.muxer.time() * 1e6).round();
            write!(
                progress,
                "frame={}\nfps=25.00\nout_time_us={micros}\ndup_frames=0\ndrop_frames=0\n\
                 speed=1x\nprogress={state}\n",
                self.muxer.frames()
            )?;
        }
        Ok(())
    }
}
