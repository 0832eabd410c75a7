//! The client commands: each is a few calls of the API and what a person, or
//! a script, wants to see of the answers.

pub(crate) mod api;
mod create;
mod doctor;
mod failure;
mod get;
pub mod help;
mod list;
mod looks;
mod manage;
pub(crate) mod output;
mod plan;
mod publish;
mod resolve;
mod signals;
mod types;
mod watch;
mod workers;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use clap::builder::{OsStr, Resettable};
use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use api::{ApiClient, Auth, Signer};
use failure::Failure;
use output::Output;

/// What every client command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// Where the API is [default: http://127.0.0.1:1080]
    #[arg(
        long,
        global = true,
        env = "EZLIVE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = api_url
    )]
    pub url: Option<Url>,
    /// The API's bearer token; better given as EZLIVE_TOKEN, where process lists don't show it
    #[arg(
        long,
        global = true,
        env = "EZLIVE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<String>,
    /// How calls show who makes them: by the bearer token, or signed as AWS wants it (SigV4)
    #[arg(
        long,
        global = true,
        env = "EZLIVE_AUTH",
        value_enum,
        default_value = "bearer",
        value_name = "HOW"
    )]
    pub auth: AuthKind,
    /// Print the API's JSON instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours; so does a NO_COLOR in the environment, or output that is no terminal
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl GlobalArgs {
    /// A command line that takes variables of [`GlobalArgs`] that are set to
    /// nothing for unset, as scripts mean it.
    pub fn without_empty_variables(mut command: clap::Command) -> clap::Command {
        let variables = [
            ("url", "EZLIVE_URL"),
            ("token", "EZLIVE_TOKEN"),
            ("auth", "EZLIVE_AUTH"),
        ];
        for (id, name) in variables {
            if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
                command = command.mut_arg(id, |arg| arg.env(Resettable::<OsStr>::Reset));
            }
        }
        command
    }
}

/// Where this machine reaches what listens at this address.
pub fn local_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// How calls show who makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthKind {
    /// By `--token`, where there is one.
    Bearer,
    /// By a signature with the AWS credentials of the environment or of `aws configure`.
    Iam,
}

/// A command of the client.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a job from a file
    Create(create::CreateArgs),
    /// List jobs, newest first
    List(list::ListArgs),
    /// Show a job
    Get(get::GetArgs),
    /// Show what has happened to a job
    Events(get::EventsArgs),
    /// Follow a job until it ends
    Watch(watch::WatchArgs),
    /// Stop a job: its worker is freed and its playlists end
    Stop(manage::ChangeArgs),
    /// Pause a job: worker, ingest address and playlists are kept
    Pause(manage::ChangeArgs),
    /// Resume a paused or stopped job
    Resume(manage::ChangeArgs),
    /// Delete a stopped or failed job
    Delete(manage::DeleteArgs),
    /// Check a spec and print the FFmpeg command it would run
    Plan(plan::PlanArgs),
    /// Push a file, or a test picture with a clock, to a job
    Publish(publish::PublishArgs),
    /// See the workers
    #[command(subcommand)]
    Workers(workers::WorkersCommand),
    /// Check that this machine has what ezlive needs
    Doctor(doctor::DoctorArgs),
}

/// Runs a command and says how it went.
pub fn run(global: &GlobalArgs, command: Command) -> ExitCode {
    if global.no_color {
        anstream::ColorChoice::Never.write_global();
    }
    let output = Output { json: global.json };
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(dispatch(global, &output, command)));
    match result {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

async fn dispatch(
    global: &GlobalArgs,
    output: &Output,
    command: Command,
) -> Result<ExitCode, Failure> {
    // Fails only where it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = match (&global.url, &command) {
        (Some(url), _) => url.clone(),
        // What it asks about is what `ezlive up` would do there.
        (None, Command::Doctor(args)) => default_url(&args.usual_url())?,
        (None, _) => default_url(api::DEFAULT_URL)?,
    };
    let auth = match global.auth {
        AuthKind::Bearer => Auth::Bearer(global.token.clone()),
        AuthKind::Iam => Auth::Iam(Signer::from_environment(&url).await?),
    };
    let api = ApiClient::new(url, auth)?;
    let command = match command {
        // It has a child to end, so it sees to signals itself.
        Command::Publish(args) => return publish::run(&api, output, &args).await,
        Command::Doctor(args) => {
            return doctor::run(&api, global.url.is_some(), output, &args).await;
        }
        other => simple(&api, output, other),
    };
    tokio::select! {
        done = command => done.map(|()| ExitCode::SUCCESS),
        signal = signals::next() => Err(Failure::Interrupted(signal?)),
    }
}

async fn simple(api: &ApiClient, output: &Output, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(api, output, &args).await,
        Command::List(args) => list::run(api, output, &args).await,
        Command::Get(args) => get::run(api, output, &args).await,
        Command::Events(args) => get::events(api, output, &args).await,
        Command::Watch(args) => watch::run(api, output, &args).await,
        Command::Stop(args) => manage::change(api, output, &args, manage::Change::Stop).await,
        Command::Pause(args) => manage::change(api, output, &args, manage::Change::Pause).await,
        Command::Resume(args) => manage::change(api, output, &args, manage::Change::Resume).await,
        Command::Delete(args) => manage::delete(api, output, &args).await,
        Command::Plan(args) => plan::run(api, output, &args).await,
        Command::Workers(command) => workers::run(api, output, &command).await,
        Command::Publish(_) | Command::Doctor(_) => Ok(()),
    }
}

fn default_url(text: &str) -> Result<Url, Failure> {
    api_url(text).map_err(Failure::Usage)
}

fn api_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; write it as http://HOST:PORT"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(format!("{other}: is neither http: nor https:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_where_it_listens() {
        for (listen, url) in [
            ("127.0.0.1:1080", api::DEFAULT_URL),
            ("127.0.0.1:1180", "http://127.0.0.1:1180"),
            ("0.0.0.0:1180", "http://127.0.0.1:1180"),
            ("[::]:1180", "http://[::1]:1180"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()), url);
        }
    }
}
