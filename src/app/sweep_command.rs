//! `hansard sweep`: what is in the bucket and no row tells of.
#![allow(clippy::print_stdout, reason = "their output is what they are for")]

use super::commands::with_bucket;
use crate::{
    clock::Clock,
    config::{Settings, SweepFlags},
    domain::sweep::is_due,
    jobs::sweep::{Report, Sweep, SweepMode},
    ledger::Ledger,
    objects::Objects,
    store::Store,
};
use std::process::ExitCode;

const CONNECTIONS: u32 = 2;

/// The exit code is 1 when something kept it from deleting.
pub async fn sweep(settings: &Settings, flags: SweepFlags) -> anyhow::Result<ExitCode> {
    with_bucket(settings, CONNECTIONS, async |store, objects| {
        run(store, objects, flags).await
    })
    .await
}

async fn run(store: Store, objects: Objects, flags: SweepFlags) -> anyhow::Result<ExitCode> {
    let clock = Clock::default();
    store.sync_clock(&clock, 5).await?;
    let how = SweepMode {
        dry: flags.dry_run,
        any_number: flags.all,
        accepts: flags.mark,
        ledger_is_current: is_current(&Ledger::new(store.clone(), objects.clone())).await?,
    };
    let now = clock.now();
    let sweep = Sweep {
        store,
        objects,
        clock,
    };
    let report = sweep
        .run(how, |one| {
            if flags.dry_run {
                let seen = one.first_seen.format("%F %R");
                let goes = if is_due(one.first_seen, now) {
                    "goes"
                } else {
                    ""
                };
                println!("{seen}  {goes:<4}  {:>12}  {}", one.size_bytes, one.key);
            }
        })
        .await?;
    Ok(say(&report))
}

/// Whether each tenant's chain holds and the database has all of it.
async fn is_current(ledger: &Ledger) -> anyhow::Result<bool> {
    let (chains, heads) = (ledger.verify().await?, ledger.heads().await?);
    let known = |tenant| heads.get(tenant).map_or(0, |head| head.n);
    let all = chains.iter().all(|(tenant, chain)| {
        chain
            .as_ref()
            .is_ok_and(|entries| *entries == known(tenant))
    });
    Ok(all && heads.keys().all(|tenant| chains.contains_key(tenant)))
}

fn say(report: &Report) -> ExitCode {
    let Report {
        objects,
        others,
        unknown,
        unknown_bytes,
        due,
        deleted,
        uploads,
        aborted,
        held,
    } = report;
    println!("objects          {objects}, and {others} of other kinds");
    println!("without a row    {unknown} ({unknown_bytes} bytes), {due} of them for a day");
    println!("deleted          {deleted}");
    println!("broken uploads   {uploads}, {aborted} aborted");
    match held {
        None => ExitCode::SUCCESS,
        Some(held) => {
            println!("nothing is deleted: {held}\n  → {}", held.mend());
            ExitCode::FAILURE
        }
    }
}
