use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The speech decoder's own process; started by the others, not by people.
    #[command(hide = true)]
    Decoder {
        #[arg(long)]
        model: PathBuf,
        #[arg(long, default_value_t = 1)]
        states: usize,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Decoder { model, states } => hansard::speech::child::main(&model, states),
    }
}
