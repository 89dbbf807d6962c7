//! Sealed segments on their way into storage: stored and verified first, their row after, and cut again when a withdrawal
//! turns out to reach into them.
//!
//! A segment's spool file stays for [`KEPT`] after it was stored, because a withdrawal that was received elsewhere may be heard
//! of late; then it is deleted. With storage away uploads are tried again for as long as the meeting runs, and what is left
//! then stays in the spool for `recover`.

use super::ledger::{Holder, Ledger, Write};
use crate::{
    domain::{
        gate::{Gate, Recording, Verdict},
        retry,
        tiering::Tier,
    },
    media::segment::Sealed,
    objects::Objects,
    store::recording::Segment,
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long a stored segment can still be cut from its spool file. A worker that cannot hear of withdrawals closes its gate
/// after 5 s, so this is ample.
const KEPT: Duration = Duration::from_secs(60);
/// Uploads of one meeting at a time.
const UPLOADS: usize = 4;
/// Messages that may wait; a segment is sealed every few seconds per track.
const WAITING_MAX: usize = 1024;

enum Message {
    Sealed(Sealed),
    Recheck,
    Drain(oneshot::Sender<()>),
}

/// Where sealed segments go.
#[derive(Clone)]
pub struct Vault(mpsc::Sender<Message>);

impl Vault {
    /// `false` when the vault is full: the segment stays in the spool for `recover`.
    pub fn put(&self, sealed: Sealed) -> bool {
        self.0.try_send(Message::Sealed(sealed)).is_ok()
    }

    /// Doors changed: look again at what was sealed in the last minute.
    pub async fn recheck(&self) {
        let _ = self.0.send(Message::Recheck).await;
    }

    /// Waits until everything put before is stored and handed to the ledger, at most `limit`.
    pub async fn drain(&self, limit: Duration) -> bool {
        let (done, drained) = oneshot::channel();
        tokio::time::timeout(limit, async { self.0.send(Message::Drain(done)).await.is_ok() && drained.await.is_ok() })
            .await
            .unwrap_or(false)
    }
}

/// Starts the task; it ends when every [`Vault`] is dropped, or with `lost`.
pub fn start(objects: Objects, gate: Arc<Gate>, ledger: Ledger, holder: Holder, lost: CancellationToken) -> Vault {
    let (tx, rx) = mpsc::channel(WAITING_MAX);
    let keeper = Keeper {
        objects,
        gate,
        ledger,
        holder,
        next: 0,
        kept: BTreeMap::new(),
        waiting: Vec::new(),
        uploads: JoinSet::new(),
        drains: Vec::new(),
    };
    tokio::spawn(async move {
        lost.run_until_cancelled(keeper.run(rx)).await;
    });
    Vault(tx)
}

struct Kept {
    sealed: Sealed,
    /// What is in storage under this segment's row.
    stored: Option<Segment>,
    stored_at: Option<Instant>,
    cuts: u32,
    busy: bool,
}

struct Keeper {
    objects: Objects,
    gate: Arc<Gate>,
    ledger: Ledger,
    holder: Holder,
    next: u64,
    kept: BTreeMap<u64, Kept>,
    waiting: Vec<u64>,
    uploads: JoinSet<(u64, anyhow::Result<Segment>)>,
    drains: Vec<oneshot::Sender<()>>,
}

impl Keeper {
    async fn run(mut self, mut rx: mpsc::Receiver<Message>) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        let mut open = true;
        while open || !self.uploads.is_empty() || !self.waiting.is_empty() {
            tokio::select! {
                message = rx.recv(), if open => match message {
                    Some(Message::Sealed(sealed)) => {
                        let kept = Kept { sealed, stored: None, stored_at: None, cuts: 0, busy: true };
                        self.kept.insert(self.next, kept);
                        self.waiting.push(self.next);
                        self.next += 1;
                    }
                    Some(Message::Recheck) => self.recheck().await,
                    Some(Message::Drain(done)) => self.drains.push(done),
                    None => open = false,
                },
                Some(done) = self.uploads.join_next() => match done {
                    Ok((id, Ok(segment))) => self.stored(id, segment).await,
                    Ok((id, Err(error))) => {
                        // Only when it cannot ever work (the file is gone); the spool is `recover`'s.
                        warn!(meeting = %self.holder.meeting, error = format!("{error:#}"), "a segment cannot be stored");
                        self.kept.remove(&id);
                    }
                    Err(error) => warn!(%error, "an upload stopped unexpectedly"),
                },
                _ = tick.tick() => self.forget().await,
            }
            while self.uploads.len() < UPLOADS && !self.waiting.is_empty() {
                let id = self.waiting.remove(0);
                self.upload(id);
            }
            if self.uploads.is_empty() && self.waiting.is_empty() {
                for done in self.drains.drain(..) {
                    let _ = done.send(());
                }
            }
        }
    }

    fn upload(&mut self, id: u64) {
        let Some(kept) = self.kept.get_mut(&id) else { return };
        kept.busy = true;
        let (objects, sealed, holder, cuts) =
            (self.objects.clone(), kept.sealed.clone(), self.holder.clone(), kept.cuts);
        self.uploads.spawn(async move { (id, store(&objects, &sealed, &holder, cuts).await) });
    }

    /// In storage and verified: its row may say so, if consent still allows it.
    async fn stored(&mut self, id: u64, segment: Segment) {
        let Some(kept) = self.kept.get_mut(&id) else { return };
        kept.busy = false;
        let replaced = kept.stored.replace(segment.clone());
        kept.stored_at = Some(Instant::now());
        if self.ledger.write(Write::Segment(segment)).is_err() {
            debug!("the ledger is full; the segment stays in the spool");
        }
        if let Some(replaced) = replaced.filter(|old| {
            Some(&old.object_key) != self.kept.get(&id).and_then(|k| k.stored.as_ref()).map(|s| &s.object_key)
        }) {
            self.delete(&replaced.object_key).await;
        }
        self.check(id).await;
    }

    async fn recheck(&mut self) {
        for id in self.kept.iter().filter(|(_, kept)| !kept.busy).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.check(id).await;
        }
    }

    /// Cuts a segment that reaches into a span no longer allowed, and stores it anew under another key.
    async fn check(&mut self, id: u64) {
        let Some(kept) = self.kept.get_mut(&id) else { return };
        if self.gate.still::<Recording>(&kept.sealed.pass) == Verdict::Keep {
            return;
        }
        kept.cuts += 1;
        let (sealed, gate) = (kept.sealed.clone(), self.gate.clone());
        let path = sealed.path.clone();
        let cut = tokio::task::spawn_blocking(move || sealed.recheck(&gate)).await.context("cutting").flatten();
        match cut {
            Ok(Some(sealed)) => {
                kept.sealed = sealed;
                kept.busy = true;
                self.waiting.push(id);
            }
            other => {
                if let Err(error) = other {
                    // Rather none than too much.
                    warn!(error = format!("{error:#}"), "a segment could not be cut and is dropped whole");
                    let _ = tokio::fs::remove_file(&path).await;
                }
                let stored = kept.stored.take();
                self.kept.remove(&id);
                if let Some(stored) = stored {
                    let key = stored.object_key.clone();
                    let _ = self.ledger.write(Write::RemoveSegment(stored));
                    self.delete(&key).await;
                }
            }
        }
    }

    /// Deletes spool files whose segment is safe in storage.
    async fn forget(&mut self) {
        let old: Vec<u64> = self
            .kept
            .iter()
            .filter(|(_, kept)| !kept.busy && kept.stored_at.is_some_and(|at| at.elapsed() > KEPT))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            // Its row must be committed before the file goes: until then the spool is the only record of it.
            if self.ledger.flush(Duration::from_millis(200)).await
                && let Some(kept) = self.kept.remove(&id)
            {
                let _ = tokio::fs::remove_file(&kept.sealed.path).await;
            }
        }
    }

    async fn delete(&self, key: &str) {
        if let Err(error) = self.objects.delete(key).await {
            warn!(%error, "an object that no row names could not be deleted");
        }
    }
}

/// The key of a live segment. Contains the epoch, so that two holders can never write the same object.
pub fn key(holder: &Holder, sealed: &Sealed, cuts: u32) -> String {
    let cut = if cuts == 0 { String::new() } else { format!("-c{cuts}") };
    format!(
        "live/{}/{}/{}/{}/{}-{}{cut}.mkv",
        holder.tenant, holder.meeting, sealed.epoch, sealed.track.recording, sealed.name.n, sealed.name.entry
    )
}

/// Stores one segment, for as long as it takes.
pub async fn store(objects: &Objects, sealed: &Sealed, holder: &Holder, cuts: u32) -> anyhow::Result<Segment> {
    let key = key(holder, sealed, cuts);
    let path: PathBuf = sealed.path.clone();
    let mut failures = 0;
    loop {
        match objects.put_file(&key, &path, "audio/x-matroska", Tier::Hot).await {
            Ok(stored) => {
                return Ok(Segment {
                    recording: sealed.track.recording,
                    epoch: sealed.epoch,
                    n: i32::try_from(sealed.name.n).context("segment number")?,
                    span: sealed.pass.span,
                    consent_entry: sealed.pass.entry,
                    object_key: key,
                    size_bytes: i64::try_from(stored.size_bytes).context("segment size")?,
                    sha256: stored.sha256,
                    merged: false,
                });
            }
            Err(error) if error.is_transient() => {
                metrics::counter!("hansard_upload_retries_total").increment(1);
                let wait = retry::backoff(failures, fastrand::f64());
                tokio::time::sleep(Duration::from_micros(wait.0.unsigned_abs())).await;
                failures += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
