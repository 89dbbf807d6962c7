//! `hansard tier`: what would move between storage tiers, and what that saves.
#![allow(clippy::print_stdout, reason = "their output is what they are for")]

use super::commands::with_database;
use crate::{
    clock::Clock,
    config::{Settings, TierCommand},
    domain::{id::TenantId, tenant_settings::TenantSettings, tiering::Tier, tiering::plan},
    jobs::tier::planned,
    store::{Store, tenant, tier},
};
use anyhow::bail;
use std::collections::BTreeMap;

/// Files that are read at a time.
const FILES_EACH: i64 = 1000;
const GB: f64 = 1_073_741_824.0;

/// Files that go one way.
#[derive(Clone, Copy, Default)]
struct Sum {
    files: u64,
    bytes: u64,
    costs: f64,
    saves: f64,
}

impl Sum {
    fn add(&mut self, bytes: u64, costs: f64, saves: f64) {
        self.files += 1;
        self.bytes += bytes;
        self.costs += costs;
        self.saves += saves;
    }
}

pub async fn tiers(settings: &Settings, command: TierCommand) -> anyhow::Result<()> {
    let TierCommand::Plan { tenant } = command;
    with_database(settings, async |url| {
        let store = Store::open(url, 2)?;
        let clock = Clock::default();
        store.sync_clock(&clock, 5).await?;
        let ways = ways(settings, &store, &clock, tenant.as_deref()).await;
        store.close().await;
        print(&ways?);
        Ok(())
    })
    .await
}

/// Of each tenant's name, what goes from where to where, and what stays.
type Ways = BTreeMap<(String, Tier, Option<Tier>), Sum>;

async fn ways(
    settings: &Settings,
    store: &Store,
    clock: &Clock,
    name: Option<&str>,
) -> anyhow::Result<Ways> {
    let mut tx = store.worker_tx().await?;
    let tenants = tenant::list(&mut tx).await?;
    let only = match name {
        None => None,
        Some(name) => match tenants.iter().find(|(_, known)| known == name) {
            Some((id, _)) => Some(*id),
            None => bail!("there is no tenant {name}; `hansard tenant list` shows them"),
        },
    };
    let names: BTreeMap<TenantId, String> = tenants.into_iter().collect();
    let mut known: BTreeMap<TenantId, TenantSettings> = BTreeMap::new();
    let (mut ways, mut after, now) = (Ways::new(), String::new(), clock.now());
    loop {
        let files = tier::all_files(&mut tx, only, &after, FILES_EACH).await?;
        let Some((_, last)) = files.last() else { break };
        after.clone_from(&last.key);
        for (of, file) in &files {
            let days = match known.get(of) {
                Some(settings) => settings.tier_days,
                None => {
                    let settings = tenant::settings(&mut tx, *of).await?;
                    known.insert(*of, settings);
                    settings.tier_days
                }
            };
            let file = planned(file, &settings.tariff);
            let decision = plan::decide(&file, &days, &settings.tariff, now);
            let name = names.get(of).cloned().unwrap_or_default();
            let saves = if decision.to.is_some() {
                decision.saves()
            } else {
                0.0
            };
            ways.entry((name, file.tier, decision.to)).or_default().add(
                file.size_bytes,
                decision.costs,
                saves,
            );
        }
    }
    tx.commit().await?;
    Ok(ways)
}

fn print(ways: &Ways) {
    println!(
        "{:<20} {:>8} {:>10}  {:<16} {:>12} {:>12}",
        "tenant", "files", "GB", "move", "saves", "costs"
    );
    let mut all = Sum::default();
    for ((tenant, from, to), sum) in ways {
        let way = match to {
            Some(to) => format!("{from} → {to}"),
            None => format!("{from} stays"),
        };
        let gb = sum.bytes as f64 / GB;
        println!(
            "{tenant:<20} {:>8} {gb:>10.3}  {way:<16} {:>12.4} {:>12.4}",
            sum.files, sum.saves, sum.costs
        );
        all.files += sum.files;
        all.bytes += sum.bytes;
        all.costs += sum.costs;
        all.saves += sum.saves;
    }
    println!(
        "{:<20} {:>8} {:>10.3}  {:<16} {:>12.4} {:>12.4}",
        "",
        all.files,
        all.bytes as f64 / GB,
        "",
        all.saves,
        all.costs
    );
    println!(
        "saves: by moving now what moves, until it is deleted or for {} years. costs: the whole bill of the same time, \
         with the moves that are still to come, if nobody fetches anything. In the currency of --tier-prices.",
        plan::HORIZON.num_days() / 365
    );
}
