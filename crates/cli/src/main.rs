//! The `orchestrator` binary: wiring, prompts, output. What it does is in the libraries.

mod api;
mod chat;
mod cli;
mod config;
mod convex;
mod credentials;
mod directory;
mod doctor;
mod exit;
mod health;
mod lists;
mod machine;
mod opencode;
mod out;
mod places;
mod running;
mod settings;
mod sign_in;
mod signals;
mod up;
mod way;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::out::Out;
use crate::settings::Settings;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before anything else: the supervisor has no threads or files but its own.
    if let Command::Supervise { arguments } = cli.command {
        return opencode_driver::supervisor::main(arguments);
    }
    let out = Out::new(cli.common.json);
    let ended = run(cli, out).unwrap_or_else(|failure| {
        out.fail(&failure);
        failure.exit
    });
    ended.into()
}

fn run(cli: Cli, out: Out) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            if out.is_json() {
                out.value(&serde_json::json!({ "version": version, "wireVersion": protocol::wire::WIRE_VERSION }))?;
            } else {
                out.line(&format!("orchestrator {version}"))?;
            }
            return Ok(Exit::Done);
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "orchestrator", &mut script);
            out.piece(&String::from_utf8_lossy(&script))?;
            return Ok(Exit::Done);
        }
        Command::Up(_)
        | Command::Hub(_)
        | Command::Machine(_)
        | Command::Chat(_)
        | Command::Machines(_)
        | Command::Workers(_)
        | Command::Sessions(_)
        | Command::Directory(_)
        | Command::Link(_)
        | Command::Login(_)
        | Command::Password(_)
        | Command::Doctor(_)
        | Command::Convex(_)
        | Command::Config(_)
        | Command::Supervise { .. } => {}
    }
    let settings = Settings::read(cli.flags()?, |name| std::env::var_os(name))?;
    log(&settings, cli.common.verbose)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("No threads could be started: {error}."),
            )
        })?;
    let ended = runtime.block_on(dispatch(cli.command, &settings, out));
    // What is left waits for a terminal or a browser that nobody listens to any more.
    runtime.shutdown_background();
    ended
}

async fn dispatch(command: Command, settings: &Settings, out: Out) -> Result<Exit, Failure> {
    match command {
        Command::Up(args) => up::run(settings, &args, out).await,
        Command::Hub(_) => up::hub_only(settings, out).await,
        Command::Machine(args) => machine::run(settings, &args, out).await,
        Command::Chat(args) => chat::run(settings, args, out).await,
        Command::Machines(args) => lists::machines(settings, args, out).await,
        Command::Workers(args) => lists::workers(settings, args, out).await,
        Command::Sessions(args) => lists::sessions(settings, args, out).await,
        Command::Directory(command) => directory::run(settings, command, out).await,
        Command::Link(args) => sign_in::link(settings, args.page.as_deref(), out).await,
        Command::Login(_) => sign_in::login(settings, out).await,
        Command::Password(_) => sign_in::password(settings, out).await,
        Command::Doctor(args) => doctor::run(settings, args.machine.as_deref(), out).await,
        Command::Convex(args) => convex::run(settings, &args, out),
        Command::Config(_) => config::show(settings, out),
        // Done before the settings are read.
        Command::Version | Command::Completions { .. } | Command::Supervise { .. } => {
            Ok(Exit::Done)
        }
    }
}

fn log(settings: &Settings, verbose: u8) -> Result<(), Failure> {
    use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
    use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
    let wanted = match verbose {
        0 => settings.log(),
        1 => "info",
        _ => "debug,hyper=info,h2=info,rustls=info",
    };
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        settings.wrong(
            settings::Key::Log,
            &format!("it can't be understood ({error})"),
        )
    })?;
    // What they call an error passes by itself; it is for those who want to know more than errors.
    let tells_more = filter
        .max_level_hint()
        .is_none_or(|most| most > LevelFilter::ERROR);
    let shows = filter_fn(move |event| {
        !keeps_secrets_badly(event.target())
            || (tells_more && *event.level() <= tracing::Level::WARN)
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_filter(shows),
        )
        .init();
    Ok(())
}

/// Whether a library writes arguments, results or tokens into its log, whatever level was asked of it.
fn keeps_secrets_badly(target: &str) -> bool {
    const CRATES: &[&str] = &[
        "convex",
        "convex_logs",
        "convex_sync_types",
        "tokio_tungstenite",
        "tungstenite",
    ];
    CRATES.contains(&target.split("::").next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_log_tokens_are_known() {
        for bad in [
            "convex",
            "convex::base_client",
            "convex_logs",
            "tungstenite::protocol::frame",
        ] {
            assert!(keeps_secrets_badly(bad), "{bad}");
        }
        for good in [
            "transport_convex::client",
            "orchestrator::convex",
            "agent::run",
            "hub",
        ] {
            assert!(!keeps_secrets_badly(good), "{good}");
        }
    }
}
