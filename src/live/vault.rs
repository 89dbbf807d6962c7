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
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long a stored segment can still be cut from its spool file. A worker that cannot hear of withdrawals closes its gate
/// after 5 s, so this is ample.
const KEPT: Duration = Duration::from_secs(60);
/// Uploads of one meeting at a time.
const UPLOADS: usize = 4;
/// The longest wait for the ledger in one turn.
const FLUSH_MAX: Duration = Duration::from_millis(200);
/// Messages that may wait; a segment is sealed every few seconds per track.
const WAITING_MAX: usize = 1024;

enum Message {
    Sealed(Sealed),
    Drain(oneshot::Sender<()>),
}

#[derive(Default)]
struct Shared {
    doors: Notify,
    /// Something found no room and stays in the spool, for `recover`.
    missed: AtomicBool,
}

/// Where sealed segments go.
#[derive(Clone)]
pub struct Vault {
    messages: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

impl Vault {
    /// `false` when the vault is full: the segment stays in the spool for `recover`.
    pub fn put(&self, sealed: Sealed) -> bool {
        let taken = self.messages.try_send(Message::Sealed(sealed)).is_ok();
        if !taken {
            self.shared.missed.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// Doors changed: look again at what was sealed in the last minute. Never waits.
    pub fn recheck(&self) {
        self.shared.doors.notify_one();
    }

    /// Waits until everything that was ever put is stored and handed to the ledger, at most `limit`; `false` when not all
    /// of it is.
    pub async fn drain(&self, limit: Duration) -> bool {
        let (done, drained) = oneshot::channel();
        let drained = tokio::time::timeout(limit, async {
            self.messages.send(Message::Drain(done)).await.is_ok() && drained.await.is_ok()
        });
        drained.await.unwrap_or(false) && !self.shared.missed.load(Ordering::Relaxed)
    }
}

/// Starts the task; it ends when every [`Vault`] is dropped, or with `lost`.
pub fn start(objects: Objects, gate: Arc<Gate>, ledger: Ledger, holder: Holder, lost: CancellationToken) -> Vault {
    let (messages, rx) = mpsc::channel(WAITING_MAX);
    let shared = Arc::<Shared>::default();
    let keeper = Keeper {
        objects,
        gate,
        ledger,
        holder,
        shared: shared.clone(),
        next: 0,
        kept: BTreeMap::new(),
        waiting: VecDeque::new(),
        uploads: JoinSet::new(),
        drains: Vec::new(),
        replaced: Vec::new(),
    };
    tokio::spawn(async move {
        lost.run_until_cancelled(keeper.run(rx)).await;
    });
    Vault { messages, shared }
}

/// What became of a segment while it was on its way into storage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Its file was cut.
    Cut,
    /// Nothing of it may stay.
    Gone,
}

struct Kept {
    sealed: Sealed,
    /// What is in storage under this segment's row.
    stored: Option<Segment>,
    stored_at: Option<Instant>,
    cuts: u32,
    /// Waiting to be uploaded, or being uploaded under this key.
    busy: bool,
    key: String,
    meanwhile: Meanwhile,
}

struct Keeper {
    objects: Objects,
    gate: Arc<Gate>,
    ledger: Ledger,
    holder: Holder,
    shared: Arc<Shared>,
    next: u64,
    kept: BTreeMap<u64, Kept>,
    waiting: VecDeque<u64>,
    uploads: JoinSet<(u64, anyhow::Result<Segment>)>,
    drains: Vec<oneshot::Sender<()>>,
    /// Objects that a row may name until what is written now is committed.
    replaced: Vec<String>,
}

impl Keeper {
    async fn run(mut self, mut rx: mpsc::Receiver<Message>) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        let shared = self.shared.clone();
        let mut open = true;
        while open || !self.uploads.is_empty() || !self.waiting.is_empty() {
            tokio::select! {
                biased;
                () = shared.doors.notified() => self.recheck().await,
                Some(done) = self.uploads.join_next() => match done {
                    Ok((id, uploaded)) => self.uploaded(id, uploaded).await,
                    Err(error) => {
                        self.missed();
                        warn!(%error, "an upload stopped unexpectedly");
                    }
                },
                message = rx.recv(), if open => match message {
                    Some(Message::Sealed(sealed)) => self.take(sealed).await,
                    Some(Message::Drain(done)) => self.drains.push(done),
                    None => open = false,
                },
                _ = tick.tick() => {
                    self.bury().await;
                    self.forget().await;
                }
            }
            while self.uploads.len() < UPLOADS
                && let Some(id) = self.waiting.pop_front()
            {
                self.upload(id);
            }
            if self.uploads.is_empty() && self.waiting.is_empty() {
                for done in self.drains.drain(..) {
                    let _ = done.send(());
                }
            }
        }
        self.bury().await;
    }

    fn missed(&self) {
        self.shared.missed.store(true, Ordering::Relaxed);
    }

    /// A withdrawal may have come since it was sealed, so it is looked at before anything leaves.
    async fn take(&mut self, sealed: Sealed) {
        let id = self.next;
        self.next += 1;
        let kept = Kept {
            sealed,
            stored: None,
            stored_at: None,
            cuts: 0,
            busy: true,
            key: String::new(),
            meanwhile: Meanwhile::Nothing,
        };
        self.kept.insert(id, kept);
        self.waiting.push_back(id);
        self.check(id).await;
    }

    fn upload(&mut self, id: u64) {
        // Nothing of it may stay: it waited in vain.
        let Some(kept) = self.kept.get_mut(&id).filter(|kept| kept.meanwhile != Meanwhile::Gone) else {
            self.kept.remove(&id);
            return;
        };
        kept.meanwhile = Meanwhile::Nothing;
        kept.key = key(&self.holder, &kept.sealed, kept.cuts);
        let (objects, sealed, key) = (self.objects.clone(), kept.sealed.clone(), kept.key.clone());
        self.uploads.spawn(async move { (id, store(&objects, &sealed, key).await) });
    }

    /// In storage and verified: its row may say so, if consent still allows all of it.
    async fn uploaded(&mut self, id: u64, uploaded: anyhow::Result<Segment>) {
        let Some(kept) = self.kept.get_mut(&id) else { return };
        let segment = match (kept.meanwhile, uploaded) {
            (Meanwhile::Nothing, Ok(segment)) => segment,
            (Meanwhile::Nothing, Err(error)) => {
                // Only when it cannot ever work (the file is gone); the spool is `recover`'s.
                warn!(meeting = %self.holder.meeting, error = format!("{error:#}"), "a segment cannot be stored");
                self.kept.remove(&id);
                self.missed();
                return;
            }
            // What was uploaded is not what may be kept; no row ever named it.
            (meanwhile, _) => {
                let key = kept.key.clone();
                if meanwhile == Meanwhile::Cut {
                    self.waiting.push_back(id);
                } else {
                    self.kept.remove(&id);
                }
                self.delete(&key).await;
                return;
            }
        };
        // Asked right before the row: after it, a recheck finds the segment not busy.
        if self.gate.still::<Recording>(&kept.sealed.pass) != Verdict::Keep {
            self.check(id).await;
            if let Some(kept) = self.kept.get(&id)
                && kept.meanwhile == Meanwhile::Cut
            {
                self.waiting.push_back(id);
            } else {
                self.kept.remove(&id);
            }
            self.delete(&segment.object_key).await;
            return;
        }
        kept.busy = false;
        if self.ledger.write(Write::Segment(segment.clone())).is_err() {
            // It has no row, so its file must stay.
            warn!(meeting = %self.holder.meeting, "too much waits for Postgres; a segment stays in the spool");
            self.kept.remove(&id);
            self.missed();
            return;
        }
        kept.stored_at = Some(Instant::now());
        if let Some(before) = kept.stored.replace(segment) {
            self.replaced.push(before.object_key);
        }
    }

    async fn recheck(&mut self) {
        for id in self.kept.keys().copied().collect::<Vec<_>>() {
            self.check(id).await;
        }
    }

    /// Cuts a segment that reaches into a span no longer allowed, at once in the spool; it is stored anew under another key.
    async fn check(&mut self, id: u64) {
        let Some(kept) = self.kept.get_mut(&id) else { return };
        if kept.meanwhile == Meanwhile::Gone || self.gate.still::<Recording>(&kept.sealed.pass) == Verdict::Keep {
            return;
        }
        let (sealed, gate) = (kept.sealed.clone(), self.gate.clone());
        let path = sealed.path.clone();
        let cut = tokio::task::spawn_blocking(move || sealed.recheck(&gate)).await.context("cutting").flatten();
        kept.cuts += 1;
        match cut {
            Ok(Some(sealed)) => {
                kept.sealed = sealed;
                kept.meanwhile = Meanwhile::Cut;
                if !std::mem::replace(&mut kept.busy, true) {
                    self.waiting.push_back(id);
                }
            }
            other => {
                if let Err(error) = other {
                    // Rather none than too much.
                    warn!(error = format!("{error:#}"), "a segment could not be cut and is dropped whole");
                    let _ = tokio::fs::remove_file(&path).await;
                }
                kept.meanwhile = Meanwhile::Gone;
                let stored = kept.stored.take();
                if !kept.busy {
                    self.kept.remove(&id);
                }
                if let Some(stored) = stored {
                    self.replaced.push(stored.object_key.clone());
                    let _ = self.ledger.write(Write::RemoveSegment(stored));
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
            if self.ledger.flush(FLUSH_MAX).await
                && let Some(kept) = self.kept.remove(&id)
            {
                let _ = tokio::fs::remove_file(&kept.sealed.path).await;
            }
        }
    }

    /// Deletes objects that were replaced, once no row names them any more.
    async fn bury(&mut self) {
        if !self.replaced.is_empty() && self.ledger.flush(FLUSH_MAX).await {
            for key in std::mem::take(&mut self.replaced) {
                self.delete(&key).await;
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

/// Stores one segment under this key, for as long as it takes.
pub async fn store(objects: &Objects, sealed: &Sealed, key: String) -> anyhow::Result<Segment> {
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
                    lost: false,
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
