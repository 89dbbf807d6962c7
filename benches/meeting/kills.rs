//! `kill -9` at random moments of one meeting, whose sender never stops.

use crate::{
    rig::{self, MeetingClock, files, until},
    sound::{self, RATE},
    support::Scratch,
    table::Table,
};
use anyhow::{Context, Result};
use hansard::embed::postgres::Postgres;
use hansard_client::{
    rest::audio_stream,
    sender::{Frame, Sender, SenderConfig},
    tone,
};
use sqlx::{Connection, PgConnection, Row};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const HZ: f64 = 700.0;
/// The sender plays this again and again.
const LOOP: Duration = Duration::from_secs(10);
const LOOPS_MAX: usize = 90;
/// What the open segment may lose.
const LOSS_MS: f64 = 1_000.0;
/// A Matroska file's time stamps are whole milliseconds, and the length of a segment's last packet
/// is not in it.
const STAMP_MS: f64 = 25.0;
/// After a start, until the next kill.
const UPTIME_MS: std::ops::Range<u64> = 500..8_000;

pub async fn kills(times: usize) -> Result<Table> {
    let data = Scratch::new();
    let hum = tone::opus(
        &tone::sine(HZ, 0.3, LOOP, RATE),
        tone::OpusSettings::default(),
    )?;
    let frames: Vec<Frame> = std::iter::repeat_n(hum, LOOPS_MAX).flatten().collect();
    let mut server = rig::serve(data.path(), &[])?;
    let client = server.client();
    let user = client.create_user("ana@example.org", "Ana").await?;
    let meeting = client.create_meeting(&user, rig::without_ai()).await?;
    let id = meeting["id"].as_str().context("an id")?.to_owned();
    let joined = client.join(&id, &user).await?;
    client
        .consent(&joined.consent_token, &id, "recording", "accepted")
        .await?;
    let sender = Sender::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), SenderConfig::opus("ana")).await?;
    let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
    let stream = client.create_stream(&id, request).await?;
    let clock = MeetingClock::of(&client, &id).await?;
    let stop = CancellationToken::new();
    let _stop_on_error = stop.clone().drop_guard();
    let sending = {
        let (stop, to) = (stop.clone(), stream.address());
        tokio::spawn(async move { sender.run(to, &frames, Instant::now(), &stop).await })
    };

    let mut random = fastrand::Rng::with_seed(30);
    let mut seen = Seen::default();
    let (mut worst_open, mut worst_told, mut worst_back): (f64, f64, f64) = (0.0, 0.0, 0.0);
    let (mut open, mut deaf, mut held) = (0, 0, 0);
    let mut last_epoch = 0;
    for n in 0..times {
        tokio::time::sleep(Duration::from_millis(random.u64(UPTIME_MS))).await;
        let mut conn = database(data.path()).await?;
        let epoch = newest_epoch(&mut conn, &id).await?;
        conn.close().await?;
        let killed = Instant::now();
        server.kill();
        let killed_ms = clock.ms(killed);
        // What lies there now, as the dead process left it.
        let left = spool(data.path(), &id, &mut seen)?;
        let listening = left.is_some_and(|last| killed_ms - last < 4_000.0);
        if let Some(last) = left.filter(|_| listening) {
            open += 1;
            worst_open = worst_open.max(killed_ms - last);
        } else {
            deaf += 1;
        }
        server = rig::serve(data.path(), &[])?;
        let mut conn = database(data.path()).await?;
        let client = server.client();
        if listening {
            // Listed, stored and played: what the dead process had open, too.
            let told = until(
                "the open segment is listed",
                Duration::from_secs(20),
                async || {
                    let last = listed_until(&mut conn, &id, killed_ms).await?;
                    Ok(last.filter(|last| left.is_none_or(|left| left - last < STAMP_MS)))
                },
            )
            .await;
            match told {
                Ok(last) => worst_told = worst_told.max(killed_ms - last),
                Err(_) => worst_told = f64::INFINITY,
            }
        }
        let back = until(
            "the meeting records again",
            Duration::from_secs(30),
            async || {
                // A segment that the next holder writes; recovery touches those of the ones before.
                let now = newest_epoch(&mut conn, &id).await?;
                let folder = data.path().join("spool").join(&id).join(now.to_string());
                let segments = files(&folder)
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|end| end == "mkv"));
                let written = segments
                    .filter_map(|path| Some(path.metadata().ok()?.len()))
                    .any(|length| length > 0);
                let present = client.participants(&id).await?[0]["present"] == true;
                Ok((now > epoch && present && written).then(|| killed.elapsed()))
            },
        )
        .await?;
        // Where the killed process held the meeting itself; one killed before it claimed leaves its
        // predecessor's lease.
        if epoch > last_epoch {
            held += 1;
            worst_back = worst_back.max(back.as_secs_f64());
        }
        last_epoch = epoch;
        check(&mut conn, data.path(), &id, &mut seen).await?;
        conn.close().await?;
        println!(
            "kill {} of {times}: {} segments checked, {} bad",
            n + 1,
            seen.rows.len(),
            seen.bad.len()
        );
    }

    let client = server.client();
    let mut conn = database(data.path()).await?;
    check(&mut conn, data.path(), &id, &mut seen).await?;
    conn.close().await?;
    client.end(&id).await?;
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + Duration::from_secs(120))
        .await?;
    stop.cancel();
    let _ = sending.await;
    let mut unplayable = 0;
    for recording in &recordings {
        let path = data.path().join("downloaded");
        std::fs::write(&path, client.download(&recording.id).await?)?;
        unplayable += usize::from(!plays(&path));
    }
    server.terminate();

    let mut table = Table::new(
        "kills",
        format!(
            "`kill -9` of `serve` at {times} random moments of one meeting whose sender never stops, and a restart each time."
        ),
    );
    table.told("segments listed and checked", seen.rows.len().to_string());
    table.none("listed, but not in storage or not playing", seen.bad.len());
    for bad in seen.bad.iter().take(3) {
        table.told("bad", bad.clone());
    }
    table.none("files in the spool that do not play", seen.broken);
    table.at_most(
        "most that an open segment lost, in the spool",
        Some(worst_open / 1_000.0),
        LOSS_MS / 1_000.0,
        "s",
    );
    table.at_most(
        "the same, listed and stored after the restart",
        Some(worst_told / 1_000.0),
        LOSS_MS / 1_000.0,
        "s",
    );
    table.told(
        "kills with a segment open; while nothing was recorded yet",
        format!("{open}; {deaf}"),
    );
    table.told(
        "slowest from the kill of the meeting's holder to the next one's recording",
        format!("{worst_back:.1} s ({held} kills)"),
    );
    let ready = recordings
        .iter()
        .filter(|recording| recording.status == "ready")
        .count();
    table.judge(
        "recordings at the end",
        format!("{ready} ready"),
        "track and mix",
        ready == 2 && recordings.len() == 2,
    );
    table.none("of these not playing", unplayable);
    Ok(table)
}

/// What was looked at.
#[derive(Default)]
struct Seen {
    /// By epoch and number.
    rows: BTreeSet<(i64, i32)>,
    bad: Vec<String>,
    broken: usize,
}

/// Whether a file plays and has the tone in it.
fn plays(path: &Path) -> bool {
    let Ok(samples) = sound::ffmpeg(path) else {
        return false;
    };
    tone::amplitudes(&samples, RATE, HZ)
        .into_iter()
        .any(|amplitude| tone::dbfs(amplitude) > -30.0)
        || samples.len() < RATE as usize / 5
}

/// Plays what is in the spool: the meeting's time up to which the newest of it goes.
fn spool(data: &Path, meeting: &str, seen: &mut Seen) -> Result<Option<f64>> {
    let mut last: Option<f64> = None;
    for path in files(&data.join("spool").join(meeting)) {
        if path.extension().is_some_and(|end| end == "mkv")
            && let Some(end) = sound::last_packet_ms(&path)?
        {
            seen.broken += usize::from(!plays(&path));
            last = Some(last.map_or(end, |last| last.max(end)));
        }
    }
    Ok(last)
}

async fn database(data: &Path) -> Result<PgConnection> {
    let url = Postgres::running_url(&data.join("postgres")).context("its Postgres does not run")?;
    Ok(PgConnection::connect(&url).await?)
}

/// The epoch of the meeting's last holder.
async fn newest_epoch(conn: &mut PgConnection, meeting: &str) -> Result<i64> {
    let epoch: Option<i64> =
        sqlx::query_scalar("select max(epoch) from capture_epochs where meeting_id = $1")
            .bind(Uuid::parse_str(meeting)?)
            .fetch_one(conn)
            .await?;
    Ok(epoch.unwrap_or(0))
}

/// The end of the last segment listed that began before the kill.
async fn listed_until(
    conn: &mut PgConnection,
    meeting: &str,
    killed_ms: f64,
) -> Result<Option<f64>> {
    let end_us: Option<i64> = sqlx::query_scalar(
        "select max(end_us) from recording_segments where meeting_id = $1 and start_us < $2",
    )
    .bind(Uuid::parse_str(meeting)?)
    .bind((killed_ms * 1_000.0) as i64)
    .fetch_one(conn)
    .await?;
    Ok(end_us.map(|us| us as f64 / 1_000.0))
}

/// Every segment that is listed and was not looked at yet.
async fn check(conn: &mut PgConnection, data: &Path, meeting: &str, seen: &mut Seen) -> Result<()> {
    let rows =
        sqlx::query("select epoch, n, object_key from recording_segments where meeting_id = $1")
            .bind(Uuid::parse_str(meeting)?)
            .fetch_all(conn)
            .await?;
    for row in rows {
        let (epoch, n, key): (i64, i32, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if seen.rows.insert((epoch, n)) {
            let path = data.join("s3/data/hansard").join(&key);
            if !path.exists() {
                seen.bad.push(format!("{key} is not in storage"));
            } else if !plays(&path) {
                seen.bad.push(format!("{key} does not play"));
            }
        }
    }
    Ok(())
}
