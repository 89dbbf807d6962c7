//! Storage that is far away, and storage that comes back.

use crate::{
    rig::until,
    support::{
        place::Place,
        postgres,
        stored::{StoredMeeting, fetched},
        tone_meeting::ToneMeeting,
    },
    table::Table,
};
use anyhow::Result;
use std::time::{Duration, Instant};

const ROUND_TRIP: Duration = Duration::from_millis(80);
const TRACKS: i64 = 4;
/// Of four seconds: an hour.
const SEGMENTS: i64 = 900;
const FETCHED_MAX_S: f64 = 20.0;
const FILES_MAX: Duration = Duration::from_secs(900);

const PEOPLE: usize = 40;
const AWAY: Duration = Duration::from_secs(40);
const SEGMENTS_A_SECOND: f64 = 50.0;

pub async fn far() -> Result<Table> {
    let mut table = Table::new(
        "far",
        "An hour of four tracks in 3,600 segments, all but the last minute in blocks, S3 80 ms away; then 40 people for 40 s while S3 refuses, and 80 ms away again.",
    );
    hour(&mut table).await?;
    backlog(&mut table).await?;
    Ok(table)
}

async fn hour(table: &mut Table) -> Result<()> {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::make(&place, &database, &client, TRACKS, SEGMENTS).await;
    let objects = stored.gather_blocks(&place).await;
    place.faults.delay(ROUND_TRIP);
    stored.finalise().await;
    let begun = Instant::now();
    until("all are fetched", FILES_MAX, async || {
        Ok((fetched(&place) >= objects).then_some(()))
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    table.at_most(
        "until all segments are fetched and joined into tracks",
        Some(took),
        FETCHED_MAX_S,
        "s",
    );
    let recordings = client
        .wait_recordings_ready(&stored.meeting, Instant::now() + FILES_MAX)
        .await?;
    table.at_most(
        "until all files are ready, with an hour's mix rendered",
        Some(begun.elapsed().as_secs_f64()),
        FETCHED_MAX_S,
        "s",
    );
    let whole = |ms: Option<i64>| ms.is_some_and(|ms| (ms - stored.length_ms()).abs() < 100);
    let wrong = recordings
        .iter()
        .filter(|one| !whole(one.duration_ms) || !one.gaps.is_empty())
        .count();
    table.none("files that are not whole", wrong);
    server.terminate();
    Ok(())
}

async fn backlog(table: &mut Table) -> Result<()> {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    place.faults.refuse();
    let mut tones = ToneMeeting::begin(&client, PEOPLE).await;
    tokio::time::sleep(AWAY).await;
    tones.fall_silent().await;
    let waiting = place.spooled();
    place.faults.delay(ROUND_TRIP);
    place.faults.heal();
    let healed = Instant::now();
    let mut first = None;
    until("all are stored", FILES_MAX, async || {
        let stored = place.bucket.objects.list("live/", 10_000).await?.len();
        if stored > 0 {
            first.get_or_insert((Instant::now(), stored));
        }
        Ok((stored >= waiting).then_some(()))
    })
    .await?;
    table.told("segments that waited", waiting.to_string());
    if let Some((at, stored)) = first {
        let rate = (waiting - stored) as f64 / at.elapsed().as_secs_f64();
        table.judge(
            "stored per second, from the first on",
            format!("{rate:.0}"),
            "≥ 50",
            rate >= SEGMENTS_A_SECOND,
        );
    }
    let most = 60.0 + waiting as f64 / SEGMENTS_A_SECOND;
    table.at_most(
        "from healing until all are stored",
        Some(healed.elapsed().as_secs_f64()),
        most.floor(),
        "s",
    );
    tones.end(&client).await;
    let ended = Instant::now();
    let recordings = client
        .wait_recordings_ready(&tones.meeting, ended + FILES_MAX)
        .await?;
    table.told(
        "from the end until the files of 40 are ready",
        format!("{:.1} s", ended.elapsed().as_secs_f64()),
    );
    table.none(
        "files with a gap",
        recordings.iter().filter(|one| !one.gaps.is_empty()).count(),
    );
    server.terminate();
    Ok(())
}
