//! Resident memory.

use crate::{
    offline::{self, Offline},
    rig::{Alone, decoder_of, resident_mib},
    sound,
    table::Table,
};
use anyhow::{Context, Result};
use hansard_client::{
    meeting::Meeting,
    scenario::{PlayOptions, perform},
};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Of each meeting; its people speak all the while.
const PLAYED: Duration = Duration::from_secs(16);
const CROWDS: [usize; 3] = [1, 4, 8];
const STATES: [usize; 3] = [1, 2, 4];

pub async fn memory() -> Result<Table> {
    let mut table = Table::new(
        "memory",
        "Resident memory while meetings of `planning` go on, and of the decoder by its states.",
    );
    let alone = Alone::start(&["--capacity", "100"]).await?;
    let pid = alone.server.pid();
    let decoder = decoder_of(pid).context("no decoder")?;
    let idle = resident_mib(pid);
    let show = |table: &mut Table, meetings: usize, server: f64, decoder: f64| {
        let what = format!("`serve` with {meetings} meetings of three; its decoder");
        table.told(what, format!("{server:.0} MiB; {decoder:.0} MiB"));
    };
    show(&mut table, 0, idle, resident_mib(decoder));
    let planning = Meeting::test_set("planning")?;
    let mut last = idle;
    for meetings in CROWDS {
        let stop = CancellationToken::new();
        let mut playing = JoinSet::new();
        for _ in 0..meetings {
            let staging = PlayOptions {
                stop: stop.clone(),
                ..PlayOptions::new(alone.client())
            };
            let planning = planning.clone();
            playing.spawn(async move { perform(&planning, &staging).await });
        }
        tokio::time::sleep(PLAYED).await;
        last = resident_mib(pid);
        show(&mut table, meetings, last, resident_mib(decoder));
        stop.cancel();
        while let Some(played) = playing.join_next().await {
            played??;
        }
    }
    let most = CROWDS.iter().copied().max().unwrap_or(1);
    table.told(
        "per meeting",
        format!("{:.1} MiB", (last - idle) / most as f64),
    );
    show(&mut table, 0, resident_mib(pid), resident_mib(decoder));
    alone.server.terminate();

    let pcm = sound::voice("planning", "Alice", offline::RATE)?;
    for states in STATES {
        let mut offline = Offline::start(states).await?;
        // Each state makes its buffers at its first decode.
        for _ in 0..states {
            offline.submit(offline::cut(&pcm, 800, 8_000))?;
        }
        for _ in 0..states {
            offline.outcome().await?;
        }
        let pid = offline.decoder.status().pid.context("no decoder")?;
        table.told(
            format!("a decoder with {states} states"),
            format!("{:.0} MiB", resident_mib(pid)),
        );
    }
    Ok(table)
}
