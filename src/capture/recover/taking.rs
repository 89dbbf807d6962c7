//! Takes up one segment: cut to what the gate allows, stored, its row written, its file deleted.

use super::reblock::{self, Rest};
use crate::{
    capture::{
        Deps,
        commit::Holder,
        uploader::{self, Unstored},
    },
    domain::{
        consent::Use,
        gate::{Gate, Pass, Recording, Verdict},
        id::{MeetingId, RecordingId},
        recording::{SEGMENT_LENGTH, SegmentState},
        redaction::{self, Cut},
        time::Span,
    },
    media::live::segment::{self, Leftover, Sealed},
    store::{
        StoreError,
        block::{self, Block},
        capture, event, new_id, recording,
    },
};
use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tracing::warn;

/// So often a file may be unreadable before it is given up.
const TRIES_MAX: u32 = 3;

/// What taking up a meeting's segments needs.
pub(super) struct Taking {
    pub deps: Arc<Deps>,
    pub loaded: capture::Loaded,
    pub meeting: MeetingId,
    pub gate: Arc<Gate>,
    /// What was taken out of the meeting meanwhile.
    pub cuts: Vec<Cut>,
    /// The rows there are.
    pub known: BTreeMap<(RecordingId, i64, i32), recording::Segment>,
    pub stored: AtomicUsize,
    /// Held by whoever writes a block without what is cut of it.
    pub blocks: tokio::sync::Mutex<()>,
}

impl Taking {
    /// Stores a segment unless it is there, and again when what is there reaches past a withdrawal:
    /// its worker may have died before it could cut it. Its file is gone afterwards.
    pub async fn take_up(&self, leftover: Leftover) -> anyhow::Result<()> {
        let path = leftover.path.clone();
        let sealed_at = std::fs::metadata(&path)
            .and_then(|about| about.modified())
            .ok();
        let age = sealed_at
            .and_then(|at| at.elapsed().ok())
            .unwrap_or_default();
        let _waits = self.deps.uploader.expect(age);
        let n = i32::try_from(leftover.name.n).context("segment number")?;
        let known = self
            .known
            .get(&(leftover.track.recording, leftover.epoch, n));
        let participant = leftover.track.participant;
        let keeps = |row: &recording::Segment| {
            let pass = Pass {
                participant,
                span: row.span,
                entry: row.consent_entry,
                late: row.late,
            };
            row.state == SegmentState::Merged
                || self.gate.still::<Recording>(&pass) == Verdict::Keep
        };
        if !known.is_some_and(keeps) {
            let (gate, again) = (self.gate.clone(), leftover.clone());
            let redacted = redaction::spans(&self.cuts, participant, Use::Recording);
            let repairing = move || again.repair_without(&gate, &redacted);
            let cut = match tokio::task::spawn_blocking(repairing).await? {
                Ok(cut) => cut,
                Err(error) => return self.unreadable(&leftover, error).await,
            };
            let _alone = match known.filter(|known| known.place.is_some()) {
                Some(_) => Some(self.blocks.lock().await),
                None => None,
            };
            let rest = match known {
                Some(before) => {
                    let of = (self.loaded.tenant, self.meeting);
                    reblock::without(&self.deps, of, before, participant).await?
                }
                None => Rest::default(),
            };
            let is_cut = cut.is_some();
            let kept = match cut {
                Some(sealed) => self.store(sealed, known, rest.block.as_ref()).await?,
                None => false,
            };
            self.stored.fetch_add(usize::from(kept), Ordering::Relaxed);
            if let Some(before) = known {
                if !kept {
                    let mut tx = self.deps.store.worker_tx().await?;
                    event::lock(&mut tx, self.meeting).await?;
                    recording::remove_segment(&mut tx, self.meeting, before).await?;
                    // With its recording deleted, the block goes, too.
                    if let Some(block) = rest.block.as_ref().filter(|_| !is_cut) {
                        block::place(&mut tx, self.meeting, block).await?;
                    }
                    tx.commit().await?;
                }
                self.deps
                    .uploader
                    .delete(self.meeting, before.object_key.clone());
            }
            self.deps
                .uploader
                .delete_all(self.meeting, rest.before.into_iter().collect());
        }
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A file that cannot be read although there is nothing wrong with disk and descriptors is put
    /// aside when that was so [`TRIES_MAX`] times, so that nobody waits for it. It costs its own
    /// span, as far as its neighbours tell.
    async fn unreadable(&self, leftover: &Leftover, error: anyhow::Error) -> anyhow::Result<()> {
        let path = leftover.path.clone();
        let well = tokio::task::spawn_blocking(move || segment::can_write_beside(&path)).await?;
        let tries = {
            let mut unreadable = self.deps.unreadable.lock();
            let tries = unreadable.entry(leftover.path.clone()).or_default();
            *tries += u32::from(well);
            *tries
        };
        if tries < TRIES_MAX {
            return Err(error.context(format!("{} cannot be read", leftover.path.display())));
        }
        segment::put_aside(&leftover.path)?;
        warn!(path = %leftover.path.display(), error = format!("{error:#}"), "a segment is broken and is put aside");
        let n = i32::try_from(leftover.name.n).context("segment number")?;
        let near = |n: i32| {
            self.known
                .get(&(leftover.track.recording, leftover.epoch, n))
                .map(|row| row.span)
        };
        let (before, after) = (
            near(n - 1).map(|span| span.end),
            near(n + 1).map(|span| span.start),
        );
        let start = before.or(after.map(|after| after - SEGMENT_LENGTH));
        let end = after.or(before.map(|before| before + SEGMENT_LENGTH));
        if let (Some(start), Some(end)) = (start, end) {
            let mut tx = self.deps.store.worker_tx().await?;
            recording::add_lost(&mut tx, leftover.track.recording, Span::new(start, end)).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Puts a segment into storage, and its row into the place of the one before; `rest` is the
    /// block that the one before was in, without it. `false`: its recording is deleted, so nothing
    /// of it is kept.
    async fn store(
        &self,
        sealed: Sealed,
        before: Option<&recording::Segment>,
        rest: Option<&Block>,
    ) -> anyhow::Result<bool> {
        let Self {
            deps,
            loaded,
            meeting,
            ..
        } = self;
        let (meeting, spool) = (*meeting, deps.spool.clone());
        let holder = Holder {
            tenant: loaded.tenant,
            meeting,
            owner: new_id(),
            epoch: sealed.epoch,
            spool,
        };
        // Never under the key that a row names.
        let object = (0..)
            .map(|cuts| uploader::object(&holder, &sealed, cuts))
            .find(|object| before.is_none_or(|before| before.object_key != object.key));
        let object = object.context("a free key")?;
        let mut segment = match deps.uploader.try_store(&sealed, &object).await {
            Err(Unstored::Deleted) => return Ok(false),
            stored => stored?,
        };
        let mut tx = deps.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        let track = recording::TrackKey {
            participant: sealed.track.participant,
            source: sealed.track.source,
            codec: sealed.track.codec,
        };
        let start_ms = sealed.pass.span.start.as_ms();
        segment.recording = recording::ensure_track(
            &mut tx,
            loaded.tenant,
            meeting,
            sealed.track.recording,
            &track,
            start_ms,
        )
        .await?;
        match recording::add_segment(&mut tx, loaded.tenant, meeting, &segment).await {
            Err(StoreError::Going) => {
                let deleted = recording::is_deleted(&mut tx, meeting, segment.recording).await?;
                tx.commit().await?;
                deps.uploader.delete(meeting, object.key.clone());
                if !deleted {
                    bail!("{} is being deleted", object.key);
                }
                Ok(false)
            }
            added => {
                added?;
                if let Some(block) = rest {
                    block::place(&mut tx, meeting, block).await?;
                }
                tx.commit().await?;
                Ok(true)
            }
        }
    }
}
