//! `hansard`: one binary, its command by its first argument.

use clap::Parser;
use hansard::{
    api::{asyncapi, docs},
    app::{
        self, Part, commands, jobs_command, ledger_command, spools_command, sweep_command,
        tier_command,
    },
    config::{Cli, Command, Deployment, LogFormat, Settings, Sources},
    doctor, speech,
};
use std::{io::IsTerminal, process::ExitCode};

fn main() -> ExitCode {
    // The decoder's process needs no runtime and no settings.
    let command = match Cli::parse().command {
        Command::Decoder { arguments } => return decoder(&arguments),
        command => command,
    };
    // What is recorded, said and agreed is for nobody else on this machine: files 0600, folders
    // 0700, whoever makes them.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(run(command));
    // What is still blocking (a graph, a disk) must not keep an ended process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match done {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

/// `--model PATH --states N [--gpu]`, as a worker starts it.
fn decoder(arguments: &[String]) -> ExitCode {
    let value = |name: &str| {
        arguments
            .iter()
            .skip_while(|argument| *argument != name)
            .nth(1)
    };
    match (
        value("--model"),
        value("--states").and_then(|states| states.parse().ok()),
    ) {
        (Some(model), Some(states)) => {
            let gpu = arguments.iter().any(|argument| argument == "--gpu");
            speech::child::main(model.as_ref(), states, gpu)
        }
        _ => failed(&anyhow::anyhow!(
            "the decoder is started by a worker, with --model and --states"
        )),
    }
}

#[allow(
    clippy::print_stderr,
    reason = "the one place where a command says why it failed"
)]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("hansard: {error:#}");
    ExitCode::FAILURE
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(whole) => {
            stay(
                Settings::resolve(Sources::whole(whole), Deployment::Standalone)?,
                Part::Serve,
            )
            .await?
        }
        Command::Api {
            base,
            front,
            stores,
        } => {
            let sources = Sources::new(base).front(front).stores(stores);
            stay(Settings::resolve(sources, Deployment::Shared)?, Part::Api).await?;
        }
        Command::Worker {
            base,
            stores,
            media,
        } => {
            let sources = Sources::new(base)
                .stores(stores)
                .media(media)
                .ops_port(9091);
            stay(
                Settings::resolve(sources, Deployment::Shared)?,
                Part::Worker,
            )
            .await?;
        }
        Command::Demo { demo, whole } => {
            let settings =
                Settings::resolve(Sources::whole(whole).apart("-demo"), Deployment::Standalone)?;
            // The terminal is for the play.
            log_to(
                &settings,
                std::sync::Mutex::new(app::demo::log_file(&settings)?),
                false,
            );
            app::demo::run(settings, demo).await?;
        }
        Command::Migrate { base, stores } => {
            commands::migrate(&settled(Sources::new(base).stores(stores))?).await?;
        }
        Command::Models { command, base } => {
            commands::models(&settled(Sources::new(base))?, command).await?
        }
        Command::Doctor { s3, whole } => {
            return Ok(doctor::run(&settled(Sources::whole(whole))?, s3).await);
        }
        Command::Openapi { openapi } => {
            let text = if openapi.signaling {
                asyncapi::text()
            } else {
                docs::text()
            };
            commands::openapi(openapi, &text)?;
        }
        Command::Key {
            command,
            base,
            stores,
        } => {
            commands::keys(&settled(Sources::new(base).stores(stores))?, command).await?;
        }
        Command::Consent {
            command,
            base,
            stores,
        } => {
            return commands::consents(&settled(Sources::new(base).stores(stores))?, command).await;
        }
        Command::Ledger {
            command,
            base,
            stores,
        } => {
            let settings = settled(Sources::new(base).stores(stores))?;
            return ledger_command::ledger(&settings, command).await;
        }
        Command::Spools {
            command,
            base,
            stores,
        } => {
            let settings = settled(Sources::new(base).stores(stores))?;
            return spools_command::spools(&settings, command).await;
        }
        Command::Jobs {
            command,
            base,
            stores,
        } => {
            jobs_command::jobs(&settled(Sources::new(base).stores(stores))?, command).await?;
        }
        Command::Tier {
            command,
            base,
            stores,
        } => {
            tier_command::tiers(&settled(Sources::new(base).stores(stores))?, command).await?;
        }
        Command::Sweep {
            sweep,
            base,
            stores,
        } => {
            let settings = settled(Sources::new(base).stores(stores))?;
            return sweep_command::sweep(&settings, sweep).await;
        }
        Command::Tenant {
            command,
            base,
            stores,
        } => {
            commands::tenants(&settled(Sources::new(base).stores(stores))?, command).await?;
        }
        Command::Decoder { .. } => unreachable!("answered before"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Settings of a one-shot command, with its log.
fn settled(sources: Sources) -> anyhow::Result<Settings> {
    let settings = Settings::resolve(sources, Deployment::Standalone)?;
    log(&settings);
    Ok(settings)
}

async fn stay(settings: Settings, part: Part) -> anyhow::Result<()> {
    log(&settings);
    for note in settings.notes.iter().filter(|note| !note.harmless) {
        tracing::warn!("{}: {}", note.found, note.mend);
    }
    // Before anybody can know that it runs: a signal that comes at once ends it in order, too.
    let mut told = std::pin::pin!(app::stop_signal()?);
    let running = tokio::select! {
        running = app::start(settings, part) => running?,
        () = &mut told => {
            tracing::info!("told to stop before it had started");
            return Ok(());
        }
    };
    running.announce();
    told.await;
    running.stop().await
}

/// Logs go to stderr; stdout is for what a command says.
fn log(settings: &Settings) {
    log_to(settings, std::io::stderr, std::io::stderr().is_terminal());
}

fn log_to(
    settings: &Settings,
    writer: impl for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
    colour: bool,
) {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter =
        EnvFilter::try_new(&settings.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // It would print what was said, with the message that came back.
    let quiet = "lapin::returned_messages=off".parse().expect("a directive");
    let filter = filter.add_directive(quiet);
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour);
    match settings.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
