//! `hansard spools`: which machines may have sound that is not in storage, and that one is
//! destroyed.
#![allow(clippy::print_stdout, reason = "their output is what they are for")]

use super::commands::with_database;
use crate::{
    config::{Settings, SpoolsCommand},
    domain::wire_time::wire_time,
    store::{
        Store,
        spool::{self, Declared},
    },
};
use std::process::ExitCode;

pub async fn spools(settings: &Settings, command: SpoolsCommand) -> anyhow::Result<ExitCode> {
    with_database(settings, async |url| {
        // Policies hide rows from whoever the URL names; the workers' role sees all.
        let store = Store::open(url, 1)?;
        let done = run(&store, command).await;
        store.close().await;
        done
    })
    .await
}

async fn run(store: &Store, command: SpoolsCommand) -> anyhow::Result<ExitCode> {
    let mut tx = store.worker_tx().await?;
    let mut code = ExitCode::SUCCESS;
    match command {
        SpoolsCommand::List => {
            let found = spool::list(&mut tx).await?;
            if found.is_empty() {
                println!("no machine has anything that is not in storage");
            }
            for one in found {
                let (meetings, segments) = (one.meetings, one.segments);
                let seen = wire_time(one.noted_at);
                print!(
                    "{}  {meetings} meetings  {segments} segments  heard of {seen}",
                    one.spool
                );
                match one.destroyed_at.zip(one.destroyed_by) {
                    Some((at, by)) => println!("  destroyed {}: {by}", wire_time(at)),
                    None => println!(),
                }
            }
        }
        SpoolsCommand::Forget { spool, by } => {
            match spool::declare_destroyed(&mut tx, spool, by.trim()).await? {
                Declared::Destroyed(meetings) => {
                    println!("{spool}  nobody waits for what it had of {meetings} meetings");
                }
                Declared::Alive => {
                    code = ExitCode::FAILURE;
                    println!(
                        "{spool}  was heard of in the last two minutes: stop its worker first"
                    );
                }
                Declared::Unknown => {
                    code = ExitCode::FAILURE;
                    println!("there is no spool {spool}; `hansard spools list` shows them");
                }
            }
        }
    }
    tx.commit().await?;
    Ok(code)
}
