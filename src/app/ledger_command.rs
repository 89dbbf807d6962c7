//! `hansard ledger`: the ledger in the bucket, and the database that may be behind it.
#![allow(clippy::print_stdout, reason = "their output is what they are for")]

use super::commands::with_bucket;
use crate::{
    config::{LedgerCommand, Settings},
    ledger::Ledger,
};
use std::process::ExitCode;

/// Connections: several tenants are looked at side by side.
const CONNECTIONS: u32 = 8;

pub async fn ledger(settings: &Settings, command: LedgerCommand) -> anyhow::Result<ExitCode> {
    with_bucket(settings, CONNECTIONS, async |store, objects| {
        run(&Ledger::new(store, objects), command).await
    })
    .await
}

async fn run(ledger: &Ledger, command: LedgerCommand) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    match command {
        LedgerCommand::Replay { accept_breaks } => {
            let caught = ledger.catch_up_all(accept_breaks).await?;
            for (tenant, broken) in &caught.breaks {
                println!("{tenant}  accepted: {broken}");
            }
            for key in &caught.missing {
                println!("{}  the bucket does not have {key}", key.tenant);
            }
            println!("{} entries carried out", caught.replayed);
        }
        LedgerCommand::Verify => {
            let (chains, heads) = (ledger.verify().await?, ledger.heads().await?);
            if chains.is_empty() {
                println!(
                    "no tenant has a ledger: nothing was ever deleted, redacted, erased or held"
                );
            }
            for (tenant, chain) in chains {
                match chain {
                    Ok(entries) => {
                        let known = heads.get(&tenant).map_or(0, |head| head.n);
                        println!("{tenant}  holds, {entries} entries, {known} in the database");
                        if known < entries {
                            println!("{tenant}  `hansard ledger replay` carries out the rest");
                            code = ExitCode::FAILURE;
                        }
                    }
                    Err(broken) => {
                        code = ExitCode::FAILURE;
                        println!("{tenant}  BROKEN: {broken}");
                    }
                }
            }
        }
    }
    Ok(code)
}
