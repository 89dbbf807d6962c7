//! Many sockets on one meeting, and crowds that mean harm beside one.

use crate::{
    rig::{Alone, resident_mib, until, without_ai},
    support::crowd::{self, UpgradeLoad},
    table::Table,
};
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use hansard_client::{
    meeting::Meeting,
    rest::Client,
    scenario::{PlayOptions, perform},
    signal::{Entry, Signal},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const SOCKETS: usize = 3_000;
const JOINING_AT_ONCE: usize = 16;
const EVENTS: usize = 20;
const TOLD_WITHIN: Duration = Duration::from_secs(20);
const KIB_PER_SOCKET: f64 = 20.0;
const SILENT: usize = 3_000;
const UPGRADES_A_SECOND: u32 = 2_000;

pub async fn sockets() -> Result<Vec<Table>> {
    hansard::descriptor::raise();
    Ok(vec![one_meeting().await?, beside().await?])
}

fn url(client: &Client) -> String {
    client.signal_url()
}

/// What a socket costs, and how far apart an event reaches them all.
async fn one_meeting() -> Result<Table> {
    let mut table = Table::new(
        "sockets",
        format!("{SOCKETS} sockets on one meeting, clients on the same cores."),
    );
    let alone = Alone::start(&[
        "--connections-per-address",
        "0",
        "--requests-per-address",
        "0",
    ])
    .await?;
    let (client, pid) = (alone.client(), alone.server.pid());
    let host = client.create_user("host@example.org", "Host").await?;
    let meeting = client.create_meeting(&host, without_ai()).await?;
    let id = meeting["id"].as_str().context("no id")?.to_owned();
    let entry = Entry::Observer {
        api_key: client.api_key().into(),
        meeting_id: id.clone(),
    };
    // What the first of anything costs is nobody's share.
    let warm: Vec<_> = join_many(&client, &entry, 50).await?;
    drop(warm);
    until("the first are gone", TOLD_WITHIN, async || {
        let open = crate::rig::metric(&alone.server, "hansard_signal_sockets").await?;
        Ok((open == 0.0).then_some(()))
    })
    .await?;
    let before = resident_mib(pid);
    let begun = Instant::now();
    let mut joined = join_many(&client, &entry, SOCKETS).await?;
    table.told(
        "joined",
        format!("{} in {:.1} s", joined.len(), begun.elapsed().as_secs_f64()),
    );
    let each = (resident_mib(pid) - before) * 1_024.0 / joined.len() as f64;
    table.at_most(
        "resident memory of the server, per socket",
        Some(each),
        KIB_PER_SOCKET,
        "KiB",
    );
    let (mut apart, mut missing) = (Vec::new(), 0);
    for n in 0..EVENTS {
        let user = client
            .create_user(&format!("guest-{n}@example.org"), "Guest")
            .await?;
        let guest = client.join(&id, &user).await?;
        client
            .consent(&guest.token, &id, "recording", "accepted")
            .await?;
        let guest = guest.participant_id;
        let deadline = Instant::now() + TOLD_WITHIN;
        let told = joined.iter_mut().map(|signal| {
            let guest = guest.as_str();
            async move {
                let mut is_it = |event: &hansard_client::signal::Event| {
                    event.kind() == "consent_updated" && names(event.data(), guest)
                };
                signal
                    .wait_for(deadline, &mut is_it)
                    .await
                    .ok()
                    .map(|event| event.received)
            }
        });
        let told: Vec<_> = futures_util::stream::iter(told)
            .buffer_unordered(SOCKETS)
            .collect()
            .await;
        let received: Vec<Instant> = told.iter().flatten().copied().collect();
        missing += told.len() - received.len();
        let first = *received.iter().min().context("nobody was told")?;
        apart.extend(received.iter().map(|at| (*at - first).as_secs_f64()));
    }
    table.none("events that a socket did not get", missing);
    apart.sort_by(f64::total_cmp);
    let p = |fraction: f64| apart.get((apart.len() as f64 * fraction) as usize).copied();
    table.told(
        "after the first socket an event reaches the others, p50",
        format!("{:.3} s", p(0.5).unwrap_or(0.0)),
    );
    table.at_most("p99", p(0.99), 0.5, "s");
    let after = resident_mib(pid);
    table.told(
        "resident memory of the server before, with all, after the events",
        {
            format!(
                "{before:.0} MiB, {:.0} MiB, {after:.0} MiB",
                before + each * joined.len() as f64 / 1_024.0
            )
        },
    );
    Ok(table)
}

fn names(data: &Value, participant: &str) -> bool {
    data.to_string().contains(participant)
}

async fn join_many(client: &Client, entry: &Entry, many: usize) -> Result<Vec<Signal>> {
    let url = url(client);
    let joins = (0..many).map(|_| Signal::connect(&url, entry, None));
    let joined: Vec<_> = futures_util::stream::iter(joins)
        .buffer_unordered(JOINING_AT_ONCE)
        .collect()
        .await;
    joined.into_iter().collect()
}

/// Captions and sound of a meeting while 3,000 connections say nothing and sockets are asked for at
/// a high rate, from another address.
async fn beside() -> Result<Table> {
    let mut table = Table::new(
        "crowds",
        format!(
            "`planning` while {SILENT} connections that never ask anything are held open from 127.0.0.2 and {UPGRADES_A_SECOND} sockets \
             a second are asked for from there."
        ),
    );
    let planning = Meeting::test_set("planning")?;
    let alone = Alone::start(&[]).await?;
    let staging = PlayOptions {
        ready_within: Duration::from_secs(120),
        ..PlayOptions::new(alone.client())
    };
    let calm = perform(&planning, &staging).await?;
    let address: SocketAddr = alone
        .server
        .url()
        .strip_prefix("http://")
        .context("an address")?
        .parse()?;
    let mut silent = JoinSet::new();
    silent.spawn(async move {
        let mut held = Vec::new();
        let until = Instant::now() + Duration::from_secs(90);
        // Those that are let go of come again.
        while Instant::now() < until {
            held.retain(|stream: &tokio::net::TcpStream| stream.try_read(&mut [0; 1]).is_err());
            while held.len() < SILENT {
                match crowd::connect(address).await {
                    Ok(stream) => held.push(stream),
                    Err(_) => break,
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let load = UpgradeLoad::start(
        address,
        UPGRADES_A_SECOND,
        planning.duration + Duration::from_secs(10),
    );
    let harmed = perform(&planning, &staging).await?;
    let (answered, took) = load.stop().await;
    silent.shutdown().await;
    table.told(
        "sockets answered or refused",
        format!("{:.0} a second", answered as f64 / took.as_secs_f64()),
    );
    let (calm, score) = (calm.score(&planning), harmed.score(&planning));
    let lost = |recordings: &[hansard_client::rest::Recording]| {
        recordings
            .iter()
            .flat_map(|recording| &recording.gaps)
            .filter(|gap| gap.reason == "lost")
            .count()
    };
    table.none("gaps that are `lost`", lost(&harmed.recordings));
    table.judge(
        "word error rate of the finals",
        format!("{:.2} %", score.errors.rate() * 100.0),
        format!("as without: {:.2} %", calm.errors.rate() * 100.0),
        score.errors.rate() <= calm.errors.rate(),
    );
    let shown = |value: Option<f64>| value.map_or("none".into(), |value| format!("{value:.2} s"));
    table.told(
        "final after the end of speech, p50, without",
        shown(calm.final_p(0.5)),
    );
    table.at_most(
        "final after the end of speech, p50",
        score.final_p(0.5),
        1.0,
        "s",
    );
    table.at_most(
        "final after the end of speech, p95",
        score.final_p(0.95),
        1.6,
        "s",
    );
    ensure!(!harmed.recordings.is_empty(), "no recording");
    Ok(table)
}
