//! Ten people in one meeting, each sending a voice and pictures and receiving those of the nine
//! others: what is lost, what it adds to the delay, and what it costs, beside Debian's `janus` in
//! the same run.
//!
//! `material` is what they send, `connection` one who sends and receives, `ours` and `janus` bring
//! them together, `tally` knows what came of what was sent.

mod connection;
mod janus;
mod material;
mod ours;
mod tally;

use crate::{
    rig::{Alone, cpu_s, until},
    table::Table,
};
use anyhow::{Context, Result};
use connection::Connection;
use hansard_client::rest::Client;
use janus::Janus;
use material::{Material, VOICE_EVERY};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    ops::Range,
    process::Command,
    rc::Rc,
    time::{Duration, Instant},
};
use tally::{Kind, Outcome, Tally, Track};
use tokio::task::LocalSet;

const PEERS: usize = 10;
const MEASURED: Duration = Duration::from_secs(30);
/// From the first packet on, before it is measured: key frames, and what grows once.
const BEFORE: Duration = Duration::from_secs(5);
/// After it, for what is still under way.
const AFTER: Duration = Duration::from_secs(1);
/// Until everybody gets everything of everybody.
const TOGETHER_WITHIN: Duration = Duration::from_secs(30);
const FILES_WITHIN: Duration = Duration::from_secs(120);
const LOST_MAX: f64 = 0.01;
const DELAY_P99_MS: f64 = 20.0;
/// A recording may be shorter or longer than what was sent by this.
const LENGTH_MS: i64 = 100;

/// Whose server, and what it keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    /// Nobody has answered: everybody is heard, nothing is kept.
    Heard,
    Recorded,
    /// And transcribed.
    Captioned,
    Janus,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::Heard => "nothing kept",
            Self::Recorded => "recorded",
            Self::Captioned => "recorded and transcribed",
            Self::Janus => "janus, nothing kept",
        }
    }
}

/// What one run gave.
struct Run {
    all: Outcome,
    voices: Outcome,
    seconds: f64,
    /// Of the server and of the peers, in seconds of a core.
    cpu: [f64; 2],
    /// Recordings that are not as long as what was sent, or could not be made.
    broken: Vec<String>,
}

impl Run {
    /// Of the server, in microseconds.
    fn cost(&self) -> f64 {
        self.cpu[0] * 1e6 / self.all.came.max(1) as f64
    }

    fn tell(&self, of: Server, table: &mut Table) {
        let name = of.name();
        let line = |what: &str| format!("{name}: {what}");
        let (server, peers) = (self.cpu[0] / self.seconds, self.cpu[1] / self.seconds);
        table.told(
            line("packets sent on per second"),
            format!("{:.0}", self.all.came as f64 / self.seconds),
        );
        let delay = |fraction| self.all.delay_ms(fraction);
        if of == Server::Janus {
            table.told(line("lost"), format!("{:.3} %", self.all.lost() * 100.0));
            let figure = |fraction| format!("{:.2} ms", delay(fraction).unwrap_or(f64::NAN));
            table.told(
                line("added delay, p50 and p99"),
                format!("{}, {}", figure(0.5), figure(0.99)),
            );
        } else {
            table.at_most(
                line("lost"),
                Some(self.all.lost() * 100.0),
                LOST_MAX * 100.0,
                "%",
            );
            table.told(
                line("added delay, p50"),
                format!("{:.2} ms", delay(0.5).unwrap_or(f64::NAN)),
            );
            table.at_most(line("added delay, p99"), delay(0.99), DELAY_P99_MS, "ms");
            table.told(
                line("of voices, p99"),
                format!("{:.2} ms", self.voices.delay_ms(0.99).unwrap_or(f64::NAN)),
            );
        }
        if self.all.strange > 0 {
            table.told(
                line("packets that nobody sent"),
                self.all.strange.to_string(),
            );
        }
        table.told(
            line("cores of the server, of the peers"),
            format!("{server:.2}, {peers:.2}"),
        );
        table.told(
            line("the server's CPU per packet sent on"),
            format!("{:.1} µs", self.cost()),
        );
        if matches!(of, Server::Recorded | Server::Captioned) {
            table.none(
                line("recordings that are not as long as what was sent"),
                self.broken.len(),
            );
            for broken in self.broken.iter().take(3) {
                table.told(line("not whole"), broken.clone());
            }
        }
    }
}

pub async fn rooms() -> Result<Table> {
    let ip = own_address();
    let bits = tokio::task::block_in_place(Material::make)?.bits_a_second();
    let mut table = Table::new(
        "rooms",
        format!(
            "{PEERS} peers of this process in one meeting, each sending a bundled voice (Opus) and 640x360 VP8 of \
             {:.0} kbit/s and receiving the nine others, for {} s; server and peers on the same cores.",
            bits / 1_000.0,
            MEASURED.as_secs()
        ),
    );
    let mut servers = vec![Server::Heard];
    let skipped = if !janus::is_installed() {
        Some("skipped: Debian's package `janus` is not installed")
    } else if ip.is_loopback() {
        Some("skipped: janus needs an IPv4 address other than loopback's")
    } else {
        servers.push(Server::Janus);
        None
    };
    servers.extend([Server::Recorded, Server::Captioned]);
    let mut costs = Vec::new();
    for server in servers {
        let run = play(server, ip).await.context(server.name())?;
        println!(
            "{}: {} of {} came, p99 {:.2} ms, {:.1} µs per packet, cores {:.2} server {:.2} peers",
            server.name(),
            run.all.came,
            run.all.due,
            run.all.delay_ms(0.99).unwrap_or(f64::NAN),
            run.cost(),
            run.cpu[0] / run.seconds,
            run.cpu[1] / run.seconds,
        );
        costs.push((server, run.cost()));
        run.tell(server, &mut table);
    }
    let cost = |of: Server| {
        let known = costs.iter().find(|(server, _)| *server == of);
        known.map(|(_, cost)| *cost)
    };
    match (cost(Server::Heard), cost(Server::Janus), skipped) {
        (ours, Some(theirs), _) => table.at_most(
            "the server's CPU per packet sent on, beside janus, nothing kept",
            ours,
            theirs,
            "µs",
        ),
        (_, None, skipped) => table.told("janus", skipped.unwrap_or_default()),
    }
    Ok(table)
}

/// Of this machine, for servers that send to no loopback address.
fn own_address() -> IpAddr {
    let out = Command::new("hostname").arg("-I").output();
    let text = out.map(|out| out.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut addresses = text.split_whitespace().filter_map(|ip| ip.parse().ok());
    let own = addresses.find(|ip: &Ipv4Addr| !ip.is_loopback());
    own.unwrap_or(Ipv4Addr::LOCALHOST).into()
}

async fn play(server: Server, ip: IpAddr) -> Result<Run> {
    if server == Server::Janus {
        let janus = Janus::start().await?;
        return in_one_thread(move || async move {
            let tally = Rc::new(Tally::default());
            let connections = janus::join(&janus, PEERS, ip, &tally).await?;
            let (run, _) = measure(&connections, &tally, janus.pid()).await?;
            Ok(run)
        })
        .await;
    }
    let bind = ip.to_string();
    let alone = Alone::start(&["--rtp-bind", &bind]).await?;
    let (url, key) = (alone.server.url().to_owned(), alone.server.key().to_owned());
    let pid = alone.server.pid();
    let run = in_one_thread(move || async move {
        let client = Client::new(&url, &key)?;
        meet(&client, server, ip, pid).await
    })
    .await?;
    Ok(run)
}

/// In a thread of its own, without locks between the peers.
async fn in_one_thread<F: Future<Output = Result<Run>>>(
    run: impl FnOnce() -> F + Send + 'static,
) -> Result<Run> {
    let running = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, run())
    });
    running.await?
}

async fn meet(client: &Client, server: Server, ip: IpAddr, pid: u32) -> Result<Run> {
    let tally = Rc::new(Tally::default());
    let settings = json!({"aiEnabled": server == Server::Captioned});
    let consent = (server != Server::Heard).then_some("recording_ai");
    let joined = ours::join(client, PEERS, ip, settings, consent, &tally).await?;
    let (mut run, sent) = measure(&joined.connections, &tally, pid).await?;
    client.end(&joined.meeting).await?;
    if server == Server::Heard {
        return Ok(run);
    }
    let deadline = Instant::now() + FILES_WITHIN;
    let recordings = client
        .wait_recordings_ready(&joined.meeting, deadline)
        .await?;
    for (participant, sent) in joined.participants.iter().zip(sent) {
        let track = recordings
            .iter()
            .find(|of| of.participant_id.as_ref() == Some(participant));
        let Some(track) = track else {
            run.broken.push(format!("{participant} has no track"));
            continue;
        };
        let sent_ms = sent.as_millis() as i64;
        let lasts_ms = track.duration_ms.unwrap_or(0);
        if track.status != "ready"
            || (lasts_ms - sent_ms).abs() > LENGTH_MS
            || track.gaps.iter().any(|gap| gap.reason == "lost")
        {
            run.broken.push(format!(
                "{} of {lasts_ms} ms, {sent_ms} ms were sent, gaps {:?}",
                track.status, track.gaps
            ));
        }
    }
    Ok(run)
}

/// Plays to everybody and measures; how long each spoke.
async fn measure(
    connections: &[Connection],
    tally: &Rc<Tally>,
    server: u32,
) -> Result<(Run, Vec<Duration>)> {
    let material = Rc::new(Material::make()?);
    // They did not all press a key at once.
    let begins = Instant::now() + Duration::from_millis(100);
    for (peer, connection) in connections.iter().enumerate() {
        connection.play(
            &material,
            begins + Duration::from_micros(4_300) * peer as u32,
        );
    }
    until("everybody gets everything", TOGETHER_WITHIN, async || {
        Ok(tally.all_come(PEERS).then_some(()))
    })
    .await?;
    tokio::time::sleep(BEFORE).await;
    let pids = [server, std::process::id()];
    let (from, before) = (Instant::now(), pids.map(cpu_s));
    tokio::time::sleep(MEASURED).await;
    let (to, after) = (Instant::now(), pids.map(cpu_s));
    connections.iter().for_each(|of| of.stop(to));
    tokio::time::sleep(AFTER).await;
    let within: Range<Instant> = from..to;
    let run = Run {
        all: tally.outcome(PEERS, &within, &Kind::ALL),
        voices: tally.outcome(PEERS, &within, &[Kind::Voice]),
        seconds: (to - from).as_secs_f64(),
        cpu: [after[0] - before[0], after[1] - before[1]],
        broken: Vec::new(),
    };
    let spoke = (0..connections.len()).map(|sender| {
        let kind = Kind::Voice;
        VOICE_EVERY * tally.sent(Track { sender, kind }) as u32
    });
    Ok((run, spoke.collect()))
}
