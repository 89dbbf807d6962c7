//! What goes wrong, when, and whether the process is started again meanwhile: every cell by what
//! its files hold and what clients were told.
//!
//! One run of a fault serves three meetings at once: one is in the middle, one ends while the fault
//! lasts, and one begins then.

mod fault;
mod verdict;

use crate::{
    sound,
    support::{
        Scratch,
        disk::SmallDisk,
        faults::Faults,
        place::spooled,
        postgres::Cluster,
        rabbitmq::RabbitMq,
        s3::Bucket,
        server::Server,
        tone_meeting::{ToneMeeting, Voice, later},
    },
    table::Table,
};
use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Utc};
use fault::{Fault, Restart};
use futures_util::FutureExt;
use hansard_client::rest::Client;
use sqlx::{Connection, PgConnection};
use std::{
    fs::File,
    net::TcpListener,
    panic::AssertUnwindSafe,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, task::JoinHandle};
use verdict::{Cell, Moment, NOTHING_MS, Played};

/// Before anything goes wrong.
const BEFORE: Duration = Duration::from_secs(5);
/// How long it lasts.
const LASTS: Duration = Duration::from_secs(9);
/// After it, before the meetings end.
const AFTER: Duration = Duration::from_secs(5);
/// Files are waited for so long, to say how long they took.
const FILES_MAX: Duration = Duration::from_secs(150);
/// From the start of a process, or from room on the disk, to the next segment; and the second
/// before a crash.
const AGAIN_MS: i64 = 4_200;
/// The room of a data folder without Postgres and objects in it.
const DISK_MIB: u32 = 64;

/// Of the runs with a store that is far away.
const STREAMS: usize = 20;

/// What all runs share.
pub struct World {
    cluster: Cluster,
    rabbit: Mutex<RabbitMq>,
    bucket: Bucket,
    faults: Faults,
}

/// A data folder and a database of its own for `serve`, always at the same address.
pub struct Site {
    disk: SmallDisk,
    log: Scratch,
    listen: String,
    environment: Vec<(String, String)>,
}

impl Site {
    async fn new(world: &World) -> Result<Arc<Self>> {
        let disk = SmallDisk::new(DISK_MIB);
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = &world.bucket.settings;
        let own = [
            ("S3_ENDPOINT", world.faults.endpoint.clone()),
            ("S3_PUBLIC_ENDPOINT", settings.endpoint.clone()),
            ("S3_BUCKET", settings.bucket.clone()),
            ("S3_ACCESS_KEY_ID", settings.access_key_id.clone()),
            ("S3_SECRET_ACCESS_KEY", settings.secret_access_key.clone()),
            ("DATABASE_URL", world.cluster.database().await),
            ("AMQP_URL", world.rabbit.lock().await.url()),
            (disk.environment().0, disk.environment().1.to_owned()),
        ];
        let environment = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(Arc::new(Self {
            disk,
            log: Scratch::new(),
            listen: format!("127.0.0.1:{port}"),
            environment,
        }))
    }

    fn database(&self) -> &str {
        let of = self
            .environment
            .iter()
            .find(|(name, _)| name == "DATABASE_URL");
        of.map_or("", |(_, url)| url)
    }

    /// Starts it, and waits until it is ready, which may take as long as something is away.
    fn serve(&self) -> Server {
        let environment: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log.path().join("log"));
        let log = log.map_or_else(|_| Stdio::null(), Stdio::from);
        let arguments = ["--listen", &self.listen, "--grace-seconds", "5"];
        Server::start_logging("serve", self.disk.path(), &arguments, &environment, log)
    }

    async fn start(self: &Arc<Self>) -> Result<Server> {
        let site = self.clone();
        Ok(tokio::task::spawn_blocking(move || site.serve()).await?)
    }
}

/// The matrix. Without `all` those cells that differ most.
pub async fn matrix(all: bool, only: &str) -> Result<Table> {
    let title = "What goes wrong × when × whether the process is started again meanwhile: meetings of two who hum and one \
                 who hums and declined. Every 100 ms of a hum are in the file or told as lost.";
    let mut table = Table::new("matrix", title);
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    let rabbit = Mutex::new(RabbitMq::start().await);
    let world = World {
        cluster: Cluster::start().await,
        rabbit,
        bucket,
        faults,
    };
    for (fault, restart) in fault::runs(all || !only.is_empty()) {
        let name = format!("{fault}, {restart}");
        if !name.contains(only) {
            continue;
        }
        println!("{name} …");
        let cells = AssertUnwindSafe(run(&world, fault, restart))
            .catch_unwind()
            .await;
        match cells.unwrap_or_else(|_| Err(anyhow!("something that must work did not; see above")))
        {
            Ok(cells) => cells.iter().for_each(|cell| cell.tell(&mut table)),
            Err(error) => {
                println!("{error:#}");
                table.judge(name, format!("{error:#}"), "", false);
                world.faults.delay(Duration::ZERO);
                world.faults.heal();
                if matches!(fault, Fault::PostgresAway | Fault::BrokerAway) {
                    // What would come now says nothing.
                    break;
                }
            }
        }
    }
    for down in [1, 5, 60] {
        let name = format!("{STREAMS} streams, {down} s down, S3 300 ms away");
        if (all || !only.is_empty()) && name.contains(only) {
            println!("{name} …");
            far_away(&world, &name, Duration::from_secs(down), &mut table).await?;
        }
    }
    Ok(table)
}

/// A meeting of two who hum and one who declined.
async fn gather(client: &Client) -> (ToneMeeting, Voice) {
    let mut tones = ToneMeeting::begin(client, 2).await;
    let declined = tones.add_declining(client).await;
    (tones, declined)
}

/// Ends a meeting and waits for its files: when its sound ended, and when they were there.
async fn ended(client: &Client, tones: &mut ToneMeeting) -> Ended {
    let until = tones.end(client).await;
    let at = Instant::now();
    (
        until,
        at,
        verdict::ready(client, &tones.meeting, FILES_MAX).await,
    )
}

/// One run: three cells.
async fn run(world: &World, fault: Fault, restart: Restart) -> Result<Vec<Cell>> {
    let site = Site::new(world).await?;
    let mut server = Some(site.start().await?);
    let client = server.as_ref().context("it runs")?.client();
    let (mut middle, middle_declined) = gather(&client).await;
    let (ending, ending_declined) = gather(&client).await;
    tokio::time::sleep(BEFORE).await;

    let ends = |server: &Option<Server>| server.is_none().then(Utc::now);
    let ending_meeting = ending.meeting.clone();
    let end = Ending {
        client: client.clone(),
        tones: ending,
    };
    let (early, late) = if fault.is_an_end() {
        (Some(end), None)
    } else {
        (None, Some(end))
    };
    let early = early.map(Ending::begin);
    if early.is_some() {
        // While its files are made.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let stop = (fault == Fault::Term || restart == Restart::Term).then(Utc::now);
    let began = Utc::now();
    fault.begin(world, &site, &mut server).await?;
    let ending = early
        .or(late.map(Ending::begin))
        .context("one of the two")?;
    if restart != Restart::None {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let restart_at = stop.map(|_| Utc::now());
    restart.end(&mut server).await?;
    let down = ends(&server);
    let newcomer = {
        let client = client.clone();
        tokio::spawn(async move { gather(&client).await })
    };

    // It starts while it lasts; without Postgres it is ready only afterwards.
    let mut starting = match server {
        None => {
            let site = site.clone();
            Some(tokio::spawn(async move { site.start().await }))
        }
        Some(_) => None,
    };
    let begun = Instant::now();
    let lasts = if fault.is_an_end() {
        Duration::from_secs(1)
    } else {
        LASTS
    };
    let (mut degraded, mut started) = (false, None);
    while begun.elapsed() < lasts {
        if let Some(task) = starting.take_if(|task| task.is_finished()) {
            let running = task.await??;
            started = Some(Utc::now());
            if fault == Fault::DiskFull {
                // Also what the end of the one before has freed.
                site.disk.fill(&running);
            }
            server = Some(running);
        }
        if let (Some(server), Some(reason)) = (&server, fault.degraded()) {
            degraded |= server.degraded().await.iter().any(|one| one == reason);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let waiting = match fault.is_of_storage() && restart == Restart::None {
        true => client
            .get(&format!("/v1/meetings/{ending_meeting}/recordings"))
            .await
            .ok(),
        false => None,
    };
    fault.heal(world, &site, server.as_ref()).await;
    let healed = Utc::now();
    if let Some(task) = starting {
        server = Some(task.await??);
        started = Some(Utc::now());
    }
    let running = server.context("it runs")?;
    let back = Instant::now();
    tokio::time::sleep(AFTER).await;

    let (mut newcomers, newcomers_declined) = newcomer.await?;
    let ((until, at, files), new) =
        tokio::join!(ended(&client, &mut middle), ended(&client, &mut newcomers));
    let (ending, end) = ending.await?;
    let since = |at: Instant, files: Option<Instant>| {
        files.map(|files| files.saturating_duration_since(at.max(back)))
    };
    // SIGTERM ends meetings.
    let until_of = |until: DateTime<Utc>| match (stop, restart_at) {
        (Some(_), Some(at)) if restart == Restart::Term => until.min(at),
        (Some(at), _) if fault == Fault::Term => until.min(at),
        _ => until,
    };
    let played = [
        Played {
            moment: Moment::Before,
            tones: newcomers,
            declined: newcomers_declined,
            until: new.0,
            ready: since(new.1, new.2),
        },
        Played {
            moment: Moment::Middle,
            tones: middle,
            declined: middle_declined,
            until: until_of(until),
            ready: since(at, files),
        },
        Played {
            moment: Moment::End,
            tones: ending,
            declined: ending_declined,
            until: until_of(end.0),
            ready: since(end.1, end.2),
        },
    ];
    let allowed = |moment: Moment| match (down, started) {
        _ if fault == Fault::DiskFull => {
            (started.unwrap_or(healed).max(healed) - began).num_milliseconds() + AGAIN_MS
        }
        // Who comes afterwards, and whose meeting ended in order.
        _ if moment == Moment::Before || stop.is_some() => NOTHING_MS,
        (Some(down), Some(started)) => (started - down).num_milliseconds() + AGAIN_MS,
        _ => NOTHING_MS,
    };
    let mut cells = Vec::new();
    let what = if fault.is_an_end() {
        fault.to_string()
    } else {
        format!("{fault}, {restart}")
    };
    for played in played {
        let allowed = allowed(played.moment);
        cells
            .push(verdict::judge(&client, played, &what, allowed, fault == Fault::DiskFull).await?);
    }
    if fault.degraded().is_some()
        && !degraded
        && !(fault == Fault::PostgresAway && restart != Restart::None)
    {
        cells[1].wrong("/readyz did not say so");
    }
    if let Some(waiting) = waiting {
        let list = waiting["data"].as_array().cloned().unwrap_or_default();
        let waits = |one: &serde_json::Value| {
            one["status"] == "processing" && one["waitingFor"] == "storage"
        };
        // An upload that is never answered ends by its time limit, and the meeting after that.
        let unended =
            |one: &serde_json::Value| fault == Fault::S3Swallows && one["status"] == "recording";
        if list.is_empty() || !list.iter().all(|one| waits(one) || unended(one)) {
            cells[2].wrong("its recordings did not say that they wait");
        }
    }
    let asked = Instant::now();
    while !running.degraded().await.is_empty() && asked.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for reason in running.degraded().await {
        cells[1].wrong(&format!("/readyz still says {reason}"));
    }
    running.stop();
    let left = spooled(site.disk.path());
    if left > 0 {
        cells[1].wrong(&format!("{left} segments stay in the spool"));
    }
    Ok(cells)
}

/// A meeting that ends.
struct Ending {
    client: Client,
    tones: ToneMeeting,
}

type Ended = (DateTime<Utc>, Instant, Option<Instant>);

impl Ending {
    fn begin(mut self) -> JoinHandle<(ToneMeeting, Ended)> {
        tokio::spawn(async move {
            let ended = ended(&self.client, &mut self.tones).await;
            (self.tones, ended)
        })
    }
}

/// `kill -9` with 20 streams and a store that is far away: what is listed plays, the open segment
/// loses a second at most.
async fn far_away(world: &World, name: &str, down: Duration, table: &mut Table) -> Result<()> {
    let site = Site::new(world).await?;
    world.faults.delay(Duration::from_millis(300));
    let server = site.start().await?;
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, STREAMS).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    server.kill();
    let killed = Utc::now();
    tokio::time::sleep(down).await;
    let server = site.start().await?;
    let started = Utc::now();
    let asked = Instant::now();
    // Longer than the spool needs to be taken up, and than any sweep of it.
    while spooled(site.disk.path()) > 4 * STREAMS && asked.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (listed, broken) = listed(world, &site, &tones.meeting).await?;
    let (_, ended_at, files) = ended(&client, &mut tones).await;
    let ready = files.map(|files| files.saturating_duration_since(ended_at));
    table.judge(
        format!("{name}: segments listed, not there or not playing"),
        format!("{listed}, {broken}"),
        "0",
        broken == 0 && listed > STREAMS,
    );
    let Some(ready) = ready else {
        table.judge(format!("{name}: files"), "none", "ready", false);
        return Ok(());
    };
    let files = tones.files(&client, Duration::from_secs(60)).await;
    let (mut open, mut again, mut told): (i64, i64, i64) = (0, 0, 0);
    for voice in &tones.voices {
        let gaps = &files.track(voice).gaps;
        let [gap] = &gaps[..] else {
            table.judge(
                format!("{name}: gaps of a track"),
                format!("{gaps:?}"),
                "one, lost",
                false,
            );
            continue;
        };
        if gap.reason != "lost" {
            told += 1;
        }
        open = open.max(files.ms(killed) - gap.start_ms);
        again = again.max(gap.end_ms - files.ms(started));
        let mut holes = files.silent(voice, later(killed, 1_000 - 5_000), later(killed, -1_200));
        holes.extend(files.silent(voice, later(started, 2_500), later(started, 6_000)));
        // In the mix the five of one pitch are one tone, which their phases may put out.
        holes.retain(|(kind, _)| kind == "track");
        if !holes.is_empty() {
            println!("  {name}: silent at {} Hz: {holes:?}", voice.hz);
        }
        told += i64::from(!holes.is_empty());
    }
    table.at_most(
        format!("{name}: most that an open segment lost"),
        Some(open as f64 / 1_000.0),
        1.0,
        "s",
    );
    table.at_most(
        format!("{name}: recording again after the start"),
        Some(again as f64 / 1_000.0),
        2.0,
        "s",
    );
    table.none(
        format!("{name}: tracks with something else missing, or not told as lost"),
        told as usize,
    );
    table.at_most(
        format!("{name}: files after the end"),
        Some(ready.as_secs_f64()),
        60.0,
        "s",
    );
    world.faults.delay(Duration::ZERO);
    server.stop();
    Ok(())
}

/// Segments that have a row, and those of them that are not in storage or do not play.
async fn listed(world: &World, site: &Site, meeting: &str) -> Result<(usize, usize)> {
    let mut conn = PgConnection::connect(site.database()).await?;
    let keys: Vec<String> =
        sqlx::query_scalar("select object_key from recording_segments where meeting_id = $1")
            .bind(uuid::Uuid::parse_str(meeting)?)
            .fetch_all(&mut conn)
            .await?;
    let folder = world
        .bucket
        .scratch
        .path()
        .join("data")
        .join(&world.bucket.settings.bucket);
    let plays =
        |key: &&String| sound::ffmpeg(&folder.join(key)).is_ok_and(|samples| !samples.is_empty());
    let broken = keys.len() - keys.iter().filter(plays).count();
    Ok((keys.len(), broken))
}
