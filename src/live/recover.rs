//! Takes up what a dead process left on this machine: segments in the spool, withdrawals in the journal.
//!
//! Everything may run twice: a segment whose row is there is only deleted, a withdrawal that is in the log changes nothing.
//! What the log (and the journal) no longer allows is cut away before anything is stored.

use super::{
    Deps, journal,
    ledger::{Holder, saying},
    vault,
};
use crate::{
    domain::{
        consent::Use,
        gate::{Entry, Gate, Pass, Recording, Verdict},
        id::MeetingId,
        time::MeetingTime,
    },
    media::segment::{self, Leftover, Sealed},
    queue::JobKind,
    store::{StoreError, capture, consent, event, job, new_id, recording},
    told,
};
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::{collections::BTreeSet, path::Path, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the spool is looked through for what no running meeting owns.
const SWEEP: Duration = Duration::from_secs(30);

/// Sweeps until `stop`. The first sweep must begin before meetings are claimed here ([`dead`] makes its list), because then
/// everything in the spool is a dead process's.
pub async fn run(deps: std::sync::Arc<Deps>, mut dead: Vec<Leftover>, stop: CancellationToken) {
    loop {
        for meeting in meetings(&deps.spool) {
            let watched = deps.sentinel.watches(meeting);
            let left = if watched {
                dead.iter().filter(|left| left.track.meeting == meeting).cloned().collect()
            } else {
                segment::leftovers(&deps.spool, meeting).unwrap_or_default()
            };
            match stop.run_until_cancelled(recover(&deps, meeting, left, watched)).await {
                None => return,
                Some(Ok(())) => dead.retain(|left| left.track.meeting != meeting),
                Some(Err(error)) => {
                    warn!(%meeting, error = format!("{error:#}"), "the spool of a meeting waits to be taken up");
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_none() {
            return;
        }
    }
}

/// What lies in the spool now.
pub fn dead(spool: &Path) -> Vec<Leftover> {
    meetings(spool).into_iter().flat_map(|meeting| segment::leftovers(spool, meeting).unwrap_or_default()).collect()
}

fn meetings(spool: &Path) -> BTreeSet<MeetingId> {
    segment::leftover_meetings(spool).unwrap_or_default().into_iter().chain(journal::meetings(spool)).collect()
}

async fn recover(deps: &Deps, meeting: MeetingId, left: Vec<Leftover>, watched: bool) -> anyhow::Result<()> {
    let mut tx = deps.store.worker_tx().await?;
    let Some(loaded) = capture::load(&mut tx, meeting).await? else {
        warn!(%meeting, "the spool holds a meeting that this database does not know; it is left alone");
        return Ok(());
    };
    drop(tx);
    if !watched {
        say(deps, meeting).await?;
    }
    let (Some(start), false) = (loaded.start_time, left.is_empty()) else { return Ok(()) };
    let gate = gate(deps, meeting, start).await?;
    let mut taken = 0;
    for leftover in left {
        taken += usize::from(take_up(deps, &loaded, meeting, leftover, &gate).await?);
    }
    if !watched {
        let folder = deps.spool.join(meeting.to_string());
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    }
    if taken == 0 {
        return Ok(());
    }
    info!(%meeting, segments = taken, "took up what was left in the spool");
    finish(deps, meeting).await
}

/// Journalled withdrawals become entries of the log.
async fn say(deps: &Deps, meeting: MeetingId) -> anyhow::Result<()> {
    let withdrawals = journal::read(&deps.spool, meeting)?;
    for withdrawal in &withdrawals {
        let mut tx = deps.store.worker_tx().await?;
        let said = match consent::say_acknowledged(&mut tx, &saying(withdrawal)).await {
            Ok(said) => said,
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(error) => {
                // What is not of this database never will be, and the others must not wait for it.
                warn!(%meeting, id = %withdrawal.id, %error, "a withdrawal in the journal was refused by the database");
                continue;
            }
        };
        tx.commit().await?;
        told::publish(&deps.queue, meeting, &said.effects);
    }
    // What was written meanwhile stays for the next time.
    journal::remove(&deps.spool, meeting, &withdrawals)?;
    Ok(())
}

/// The meeting's gate as the log has it, with the journal's withdrawals.
async fn gate(deps: &Deps, meeting: MeetingId, start: DateTime<Utc>) -> anyhow::Result<Gate> {
    let mut tx = deps.store.worker_tx().await?;
    let log = consent::whole(&mut tx, meeting).await?;
    let gate = replayed(&log, start);
    for withdrawal in journal::read(&deps.spool, meeting)? {
        let at = MeetingTime((withdrawal.received_at - start).num_microseconds().unwrap_or(0));
        gate.withdraw(withdrawal.id, withdrawal.participant, withdrawal.consent_type.uses(), at);
    }
    Ok(gate)
}

/// A gate with a log played through, every grant from its own time stamp on.
pub fn replayed(log: &[consent::Entry], start: DateTime<Utc>) -> Gate {
    let gate = Gate::new(&Use::ALL);
    let entries: Vec<Entry> = log
        .iter()
        .map(|entry| Entry {
            entry: entry.entry,
            id: entry.id,
            participant: entry.participant,
            uses: entry.purposes.clone(),
            status: entry.status,
            at: MeetingTime((entry.acts_at - start).num_microseconds().unwrap_or(i64::MAX)),
        })
        .collect();
    gate.replay(&entries);
    gate
}

/// Stores a segment unless it is there, and again when what is there reaches past a withdrawal: its worker may have died
/// before it could cut it. Answers whether something was stored.
async fn take_up(
    deps: &Deps,
    loaded: &capture::Loaded,
    meeting: MeetingId,
    leftover: Leftover,
    gate: &Gate,
) -> anyhow::Result<bool> {
    let path = leftover.path.clone();
    let n = i32::try_from(leftover.name.n).context("segment number")?;
    let mut tx = deps.store.worker_tx().await?;
    let known = recording::segments(&mut tx, meeting)
        .await?
        .into_iter()
        .find(|row| (row.recording, row.epoch, row.n) == (leftover.track.recording, leftover.epoch, n));
    drop(tx);
    let participant = leftover.track.participant;
    let keeps = |row: &recording::Segment| {
        let pass = Pass { participant, span: row.span, entry: row.consent_entry };
        row.merged || gate.still::<Recording>(&pass) == Verdict::Keep
    };
    let stored = known.as_ref().is_some_and(keeps);
    if !stored {
        let cut = tokio::task::block_in_place(|| leftover.repair(gate))?;
        let segment = match cut {
            Some(sealed) => Some(store(deps, loaded, meeting, sealed, known.as_ref()).await?),
            None => None,
        };
        if let Some(before) = &known {
            if segment.is_none() {
                let mut tx = deps.store.worker_tx().await?;
                recording::remove_segment(&mut tx, meeting, before).await?;
                tx.commit().await?;
            }
            deps.objects.delete(&before.object_key).await.context("deleting a segment that was cut")?;
        }
        if segment.is_none() {
            return Ok(false);
        }
    }
    match tokio::fs::remove_file(&path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(!stored),
    }
}

/// Puts a segment into storage, and its row into the place of the one before.
async fn store(
    deps: &Deps,
    loaded: &capture::Loaded,
    meeting: MeetingId,
    sealed: Sealed,
    before: Option<&recording::Segment>,
) -> anyhow::Result<recording::Segment> {
    let holder =
        Holder { tenant: loaded.tenant, meeting, owner: new_id(), epoch: sealed.epoch, spool: deps.spool.clone() };
    // Never under the key that a row names.
    let key =
        (0..).map(|cuts| vault::key(&holder, &sealed, cuts)).find(|key| before.is_none_or(|b| b.object_key != *key));
    let mut segment = vault::store(&deps.objects, &sealed, key.context("a free key")?).await?;
    let mut tx = deps.store.worker_tx().await?;
    event::lock(&mut tx, meeting).await?;
    let track = recording::TrackKey {
        participant: sealed.track.participant,
        source: sealed.track.source.as_str().into(),
        codec: sealed.track.codec.as_str().into(),
    };
    let start_ms = sealed.pass.span.start.as_ms();
    segment.recording =
        recording::ensure_track(&mut tx, loaded.tenant, meeting, sealed.track.recording, &track, start_ms).await?;
    recording::add_segment(&mut tx, loaded.tenant, meeting, &segment).await?;
    tx.commit().await?;
    Ok(segment)
}

/// A meeting that is over gets its files made (again) from what there is now, unless all of it is in them: the spool of every
/// meeting that just ended still holds what was stored in its last minute.
async fn finish(deps: &Deps, meeting: MeetingId) -> anyhow::Result<()> {
    let mut tx = deps.store.worker_tx().await?;
    event::lock(&mut tx, meeting).await?;
    let over = job::is_done(&mut tx, meeting, JobKind::Capture.as_str()).await?;
    let unmade = recording::segments(&mut tx, meeting).await?.iter().any(|segment| !segment.merged);
    if over && unmade && capture::status(&mut tx, meeting).await? == "ended" {
        let tenant = capture::load(&mut tx, meeting).await?.ok_or(StoreError::NotFound)?.tenant;
        job::ensure(&mut tx, tenant, meeting, JobKind::Mix.as_str(), &json!({})).await?;
    }
    tx.commit().await?;
    Ok(())
}
