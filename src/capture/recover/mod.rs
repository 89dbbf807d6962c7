//! Takes up what a dead process left on this machine, and what a meeting could not store before it
//! ended here: segments in the spool, withdrawals in the journal.
//!
//! Only folders that nobody owns are touched ([`crate::media::live::disk`]), so a meeting that goes
//! on here beside is safe. Everything may run twice: a segment whose row is there is only deleted,
//! a withdrawal that is in the log changes nothing. What the log (and the journal) no longer allows
//! is cut away before anything is stored. A file is deleted once its row is committed, and one that
//! cannot be taken up now keeps no other waiting.

mod gone;
mod reblock;
mod taking;

use super::{
    Deps,
    commit::decision,
    journal,
    uploader::{PROBES_EACH, UPLOADS_EACH, Unstored},
};
use crate::{
    command,
    domain::{
        gate::Gate,
        id::{MeetingId, RecordingId, TenantId},
        meeting::MeetingStatus,
        time::MeetingTime,
    },
    media::live::{
        disk::Disk,
        segment::{self, Leftover},
    },
    published,
    queue::JobKind,
    store::{
        StoreError, capture, consent,
        effect::Effects,
        event, job, recording, redaction,
        spool::{self, Folder},
    },
};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use taking::Taking;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, info, info_span, warn};

/// How often the spool is looked through for what nobody owns.
const SWEEP: Duration = Duration::from_secs(30);
/// The same while something could not be taken up.
const SWEEP_SOON: Duration = Duration::from_secs(2);
/// Meetings at a time.
const MEETINGS: usize = 8;
/// How often it is noted that segments still lie here. Well below
/// [`crate::domain::limits::SPOOLED_FOR`].
const NOTE: Duration = Duration::from_secs(20);
/// Between two lines in the log about what waits.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What is logged of one meeting's spool.
fn span(meeting: MeetingId) -> Span {
    info_span!("meeting", id = %meeting)
}

/// Sweeps until `stop`.
pub async fn run(deps: Arc<Deps>, stop: CancellationToken) {
    let mut tasks: JoinSet<(MeetingId, anyhow::Result<usize>)> = JoinSet::new();
    let mut running = BTreeSet::new();
    let mut said: Option<Instant> = None;
    let mut look = Instant::now();
    loop {
        if look <= Instant::now() {
            look = Instant::now() + SWEEP;
            if let Err(error) = gone::forget(&deps).await {
                debug!(
                    error = format!("{error:#}"),
                    "the spool's rows wait for the database"
                );
            }
            let disk = deps.disk.clone();
            for meeting in tokio::task::spawn_blocking(move || meetings(&disk))
                .await
                .unwrap_or_default()
            {
                if running.len() < MEETINGS && running.insert(meeting) {
                    let deps = deps.clone();
                    tasks.spawn(
                        async move { (meeting, recover(&deps, meeting).await) }
                            .instrument(span(meeting)),
                    );
                } else {
                    // More may have come since its turn began.
                    look = Instant::now() + SWEEP_SOON;
                }
            }
        }
        let done = tokio::select! {
            () = stop.cancelled() => return,
            () = deps.disk.released() => {
                look = Instant::now();
                continue;
            }
            () = tokio::time::sleep_until(look.into()) => continue,
            Some(done) = tasks.join_next() => done,
        };
        let Ok((meeting, left)) = done else {
            // A panic, which is logged; whose turn it was is not known.
            running.clear();
            tasks.abort_all();
            continue;
        };
        running.remove(&meeting);
        if !matches!(left, Ok(0)) {
            look = look.min(Instant::now() + SWEEP_SOON);
        }
        if let Err(error) = left
            && said.is_none_or(|said| said.elapsed() >= SAID_EVERY)
        {
            said = Some(Instant::now());
            span(meeting).in_scope(|| {
                warn!(
                    error = format!("{error:#}"),
                    "the spool of a meeting waits to be taken up"
                );
            });
        }
    }
}

/// Who has a folder that nobody owns, or something in the journal.
fn meetings(disk: &Disk) -> BTreeSet<MeetingId> {
    let spool = disk.folder();
    let given_up = |meeting: &MeetingId| match segment::epochs(spool, *meeting) {
        Ok(epochs) => {
            epochs.is_empty() || epochs.iter().any(|epoch| !disk.is_owned(*meeting, *epoch))
        }
        Err(_) => false,
    };
    let folders = segment::leftover_meetings(spool).unwrap_or_default();
    folders
        .into_iter()
        .filter(given_up)
        .chain(journal::meetings(spool))
        .collect()
}

/// Answers with how many segments could not be taken up now.
async fn recover(deps: &Arc<Deps>, meeting: MeetingId) -> anyhow::Result<usize> {
    let (spool, disk) = (deps.spool.clone(), deps.disk.clone());
    // Listed first and asked for owners afterwards: a folder that is there and has no owner never
    // gets one again.
    let given_up = tokio::task::spawn_blocking(move || -> anyhow::Result<Vec<i64>> {
        let mut epochs = segment::epochs(&spool, meeting)?;
        epochs.retain(|epoch| !disk.is_owned(meeting, *epoch));
        Ok(epochs)
    });
    let given_up = given_up.await??;
    let removed = gone::remove(deps, meeting, &given_up).await?;
    let spool = deps.spool.clone();
    let left =
        tokio::task::spawn_blocking(move || -> anyhow::Result<BTreeMap<i64, Vec<Leftover>>> {
            given_up
                .into_iter()
                .map(|epoch| Ok((epoch, segment::leftovers(&spool, meeting, epoch)?)))
                .collect()
        });
    let left = left.await??;
    let watched = deps.head_watch.watches(meeting);
    let journalled = !watched && journal::meetings(&deps.spool).contains(&meeting);
    let segments: usize = left.values().map(Vec::len).sum();
    if segments == 0 && !journalled {
        if removed {
            // Whoever waits for this spool waits no longer.
            let none = left.keys().map(|epoch| (*epoch, 0)).collect();
            noted(deps, meeting, None, &none).await?;
        }
        return tidied(deps, meeting, &left).await.map(|()| 0);
    }
    let mut tx = deps.store.worker_tx().await?;
    let Some(loaded) = capture::load(&mut tx, meeting).await? else {
        warn!("the spool holds a meeting that this database does not know; it is left alone");
        return Ok(0);
    };
    // Before anything is stored: whoever sweeps up objects that no row names holds the head and
    // asks for these notes.
    event::lock(&mut tx, meeting).await?;
    for (epoch, left) in &left {
        capture::note_spooled(&mut tx, meeting, *epoch, left.len()).await?;
        let folder = Folder {
            meeting,
            epoch: *epoch,
        };
        spool::note(
            &mut tx,
            deps.spool_id,
            loaded.tenant,
            folder,
            Some(left.len()),
        )
        .await?;
    }
    tx.commit().await?;
    if !watched {
        replay_journal(deps, meeting).await?;
    }
    let (Some(start), true) = (loaded.start_time, segments > 0) else {
        return Ok(0);
    };
    if !deps.ledger.is_current() {
        // What was deleted is known before anything is brought into storage.
        return Ok(segments);
    }
    let gate = Arc::new(gate(deps, meeting, start).await?);
    let mut tx = deps.store.worker_tx().await?;
    let known = recording::segments(&mut tx, meeting).await?;
    let cuts = redaction::acting(&mut tx, meeting).await?;
    drop(tx);
    let known: BTreeMap<(RecordingId, i64, i32), recording::Segment> = known
        .into_iter()
        .map(|row| ((row.recording, row.epoch, row.n), row))
        .collect();
    let shared = Arc::new(Taking {
        deps: deps.clone(),
        loaded,
        meeting,
        gate,
        cuts,
        known,
        stored: AtomicUsize::new(0),
        blocks: tokio::sync::Mutex::default(),
    });

    let mut remaining: BTreeMap<i64, usize> = left
        .iter()
        .map(|(epoch, left)| (*epoch, left.len()))
        .collect();
    let mut queue = left
        .values()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .into_iter();
    let mut tasks: JoinSet<(i64, anyhow::Result<()>)> = JoinSet::new();
    let (mut failures, mut problem) = (0, None);
    let mut note = tokio::time::interval(NOTE);
    loop {
        // While storage is away a few try, and the rest is left for the next time.
        while tasks.len() < UPLOADS_EACH
            && (failures < PROBES_EACH || deps.uploader.blocked().is_none())
        {
            let Some(leftover) = queue.next() else { break };
            let (shared, epoch) = (shared.clone(), leftover.epoch);
            tasks.spawn(async move { (epoch, shared.take_up(leftover).await) }.in_current_span());
        }
        tokio::select! {
            done = tasks.join_next() => match done {
                None => break,
                Some(Ok((epoch, Ok(())))) => {
                    remaining.entry(epoch).and_modify(|left| *left -= 1);
                }
                Some(Ok((_, Err(error)))) => {
                    failures += 1;
                    problem.get_or_insert(error);
                }
                Some(Err(error)) => problem = Some(error.into()),
            },
            _ = note.tick() => noted(deps, meeting, Some(shared.loaded.tenant), &remaining).await?,
        }
    }
    noted(deps, meeting, Some(shared.loaded.tenant), &remaining).await?;
    tidied(deps, meeting, &left).await?;
    let stored = shared.stored.load(Ordering::Relaxed);
    if stored > 0 {
        info!(segments = stored, "took up what was left in the spool");
    }
    finish(deps, meeting).await?;
    match problem {
        // Storage says for itself that it is away.
        Some(error) if !error.is::<Unstored>() => Err(error),
        _ => Ok(remaining.values().sum()),
    }
}

async fn noted(
    deps: &Deps,
    meeting: MeetingId,
    tenant: Option<TenantId>,
    remaining: &BTreeMap<i64, usize>,
) -> anyhow::Result<()> {
    let mut tx = deps.store.worker_tx().await?;
    for (epoch, left) in remaining {
        capture::note_spooled(&mut tx, meeting, *epoch, *left).await?;
        if let Some(tenant) = tenant {
            let folder = Folder {
                meeting,
                epoch: *epoch,
            };
            spool::note(&mut tx, deps.spool_id, tenant, folder, Some(*left)).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Takes away folders in which nothing is left.
async fn tidied(
    deps: &Deps,
    meeting: MeetingId,
    left: &BTreeMap<i64, Vec<Leftover>>,
) -> anyhow::Result<()> {
    let (spool, epochs) = (deps.spool.clone(), left.keys().copied().collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || {
        epochs
            .into_iter()
            .try_for_each(|epoch| segment::tidy(&spool, meeting, epoch))
    })
    .await?
}

/// Journalled withdrawals become entries of the log.
async fn replay_journal(deps: &Deps, meeting: MeetingId) -> anyhow::Result<()> {
    let withdrawals = journal::read(&deps.spool, meeting)?;
    for withdrawal in &withdrawals {
        let mut tx = deps.store.worker_tx().await?;
        let said = match command::consent::record_acknowledged(&mut tx, &decision(withdrawal)).await
        {
            Ok(said) => said,
            Err(error) if error.is_unavailable() => return Err(error.into()),
            Err(error) => {
                // What is not of this database never will be, and the others must not wait for it.
                warn!(id = %withdrawal.id, %error, "a withdrawal in the journal was refused by the database");
                continue;
            }
        };
        tx.commit().await?;
        published::publish(&deps.queue, None, meeting, said.effects);
    }
    // What was written meanwhile stays for the next time.
    journal::remove(&deps.spool, meeting, &withdrawals)?;
    Ok(())
}

/// The meeting's gate as the log has it, with the journal's withdrawals.
async fn gate(deps: &Deps, meeting: MeetingId, start: DateTime<Utc>) -> anyhow::Result<Gate> {
    let mut tx = deps.store.worker_tx().await?;
    let log = consent::whole(&mut tx, meeting).await?;
    let gate = consent::replayed(&log, start);
    for withdrawal in journal::read(&deps.spool, meeting)? {
        let at = MeetingTime(
            (withdrawal.received_at - start)
                .num_microseconds()
                .unwrap_or(0),
        );
        gate.withdraw(
            withdrawal.id,
            withdrawal.participant,
            withdrawal.consent_type.uses(),
            at,
        );
    }
    Ok(gate)
}

/// A meeting that is over gets its files made (again) from what there is now, unless all of it is
/// in them: the spool of every meeting that just ended still holds what was stored in its last
/// minute.
async fn finish(deps: &Deps, meeting: MeetingId) -> anyhow::Result<()> {
    let mut tx = deps.store.worker_tx().await?;
    event::lock(&mut tx, meeting).await?;
    let over = job::is_done(&mut tx, JobKind::Capture, meeting).await?;
    let unmade = recording::is_unmerged(&mut tx, meeting).await?;
    if over && unmade && capture::status(&mut tx, meeting).await? == MeetingStatus::Ended {
        let tenant = capture::load(&mut tx, meeting)
            .await?
            .ok_or(StoreError::NotFound)?
            .tenant;
        let job = job::ensure(&mut tx, tenant, JobKind::Join, meeting, &json!({})).await?;
        tx.commit().await?;
        let effects = Effects {
            jobs: vec![(JobKind::Join, job)],
            ..Effects::default()
        };
        published::publish(&deps.queue, None, meeting, effects);
    }
    Ok(())
}
