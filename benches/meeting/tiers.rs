//! How fast files move between storage tiers.

use crate::{
    rig::until,
    support::{
        old_files::{Free, OldFiles},
        place::Place,
        postgres,
    },
    table::Table,
};
use anyhow::Result;
use hansard::domain::tiering::Tier;
use std::time::{Duration, Instant};

const MEETINGS: usize = 25;
const FILES: usize = 20;
const BYTES: usize = 64 << 10;
const MOVED_MAX: Duration = Duration::from_secs(900);

pub async fn moves() -> Result<Table> {
    let mut table = Table::new(
        "tiers",
        "500 files of 25 meetings, 64 KiB each, to the next tier by one worker.",
    );
    let place = Place::new().await;
    let database = postgres::database().await;
    let free = Free::new(&database);
    let server = free.serve(&place);
    let size = (MEETINGS, FILES, BYTES);
    let old = OldFiles::make(&place, &database, &server.client(), size).await;
    for (days, tier, round_trip_ms) in [(31, Tier::Warm, 0), (60, Tier::Cold, 80)] {
        place.faults.delay(Duration::from_millis(round_trip_ms));
        let before = place.faults.seen().len();
        let begun = Instant::now();
        old.age(days).await;
        until("all have moved", MOVED_MAX, async || {
            Ok(old.are_all_in(tier).await.then_some(()))
        })
        .await?;
        let rate = old.files.len() as f64 / begun.elapsed().as_secs_f64();
        table.told(
            format!("moves a second, S3 {round_trip_ms} ms away"),
            format!("{rate:.0}"),
        );
        let asked = (place.faults.seen().len() - before) as f64 / old.files.len() as f64;
        table.told(
            format!("requests for each, S3 {round_trip_ms} ms away"),
            format!("{asked:.1}"),
        );
    }
    server.terminate();
    Ok(table)
}
