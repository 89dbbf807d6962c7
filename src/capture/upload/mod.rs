//! Sealed segments on their way into storage: stored and verified first, their row after, and cut
//! again when a withdrawal turns out to reach into them.
//!
//! A segment's spool file stays until its row is committed, and for [`KEPT`] after it was stored
//! ([`KEPT_SCARCE`] while the spool has little room), because a withdrawal that was received
//! elsewhere may be heard of late; then it goes into a block with those around it (`block`), and is
//! deleted. With storage away uploads are tried again
//! for as long as the meeting runs, and what is left then stays in the spool for `recover`.

mod block;

use super::{
    commit::{Commits, Holder, Write},
    uploader::{self, Unstored, Uploader, Waiting},
};
use crate::{
    domain::gate::{Gate, Recording, Verdict},
    media::live::{disk::OwnedFolder, segment::Sealed},
    store::recording::Segment,
};
use anyhow::Context;
use block::Blocks;
use std::{
    collections::{BTreeMap, VecDeque},
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
use tracing::{Instrument, warn};

/// How long a stored segment can still be cut from its spool file. A worker that cannot hear of
/// withdrawals closes its gate after 5 s, so this is ample.
const KEPT: Duration = Duration::from_secs(60);
/// How long its file stays at most to go into a block: the block fills in five minutes, and may
/// wait as long again for somebody who speaks no more.
const KEPT_FOR_BLOCK: Duration = Duration::from_secs(12 * 60);
/// The same while the spool has little room: new sound comes before the chance to cut stored sound,
/// which the mix job cuts, too.
const KEPT_SCARCE: Duration = Duration::from_secs(10);
/// Messages that may wait; a segment is sealed every few seconds per track.
const WAITING_MAX: usize = 1024;
/// Segments looked after at a time: 20 streams for an hour. More stay in the spool for `recover`.
const KEPT_MAX: usize = 20_000;
/// With storage or the inventory away for this long, nobody waits for it at a meeting's end.
const AWAY_MIN: Duration = Duration::from_secs(2);

enum Message {
    Sealed(Sealed),
    Drain(oneshot::Sender<()>),
    Close(oneshot::Sender<Arc<OwnedFolder>>),
}

#[derive(Default)]
struct Shared {
    recheck: Notify,
    /// Something found no room and stays in the spool, for `recover`.
    missed: AtomicBool,
}

/// Where sealed segments go.
#[derive(Clone)]
pub struct Uploads {
    messages: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    uploader: Uploader,
}

impl Uploads {
    /// `false` when the queue is full: the segment stays in the spool for `recover`.
    pub fn put(&self, sealed: Sealed) -> bool {
        let taken = self.messages.try_send(Message::Sealed(sealed)).is_ok();
        if !taken {
            self.missed();
        }
        taken
    }

    /// A segment stays in the spool.
    pub fn missed(&self) {
        self.shared.missed.store(true, Ordering::Relaxed);
    }

    /// Consent changed: asks the gate again about what was sealed in the last minute. Never waits.
    pub fn recheck(&self) {
        self.shared.recheck.notify_one();
    }

    /// Waits until everything that was ever put is stored and handed to [`Commits`], at most
    /// `limit`, and not for a storage that is away; `false` when not all of it is.
    pub async fn drain(&self, limit: Duration) -> bool {
        let (done, drained) = oneshot::channel();
        let drained = async {
            self.messages.send(Message::Drain(done)).await.is_ok() && drained.await.is_ok()
        };
        let away = async {
            while self.uploader.blocked().is_none_or(|away| away < AWAY_MIN) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let drained = tokio::select! {
            drained = tokio::time::timeout(limit, drained) => drained.unwrap_or(false),
            () = away => false,
        };
        drained && !self.shared.missed.load(Ordering::Relaxed)
    }

    /// Ends the task: deletes the files of what is in storage with its row committed. The rest is
    /// anybody's once what this answers with is dropped.
    pub async fn close(self) -> Option<Arc<OwnedFolder>> {
        let (done, closed) = oneshot::channel();
        self.messages.send(Message::Close(done)).await.ok()?;
        closed.await.ok()
    }
}

/// Starts the task; it ends by [`Uploads::close`], when every [`Uploads`] is dropped, or with
/// `lost`. The folder is owned until then.
pub fn start(
    uploader: Uploader,
    gate: Arc<Gate>,
    commits: Commits,
    holder: Holder,
    owned: Arc<OwnedFolder>,
    lost: CancellationToken,
) -> Uploads {
    let (messages, rx) = mpsc::channel(WAITING_MAX);
    let shared = Arc::<Shared>::default();
    let keeper = Keeper {
        uploader: uploader.clone(),
        gate,
        commits,
        holder,
        owned,
        shared: shared.clone(),
        next: 0,
        kept: BTreeMap::new(),
        waiting: VecDeque::new(),
        uploads: JoinSet::new(),
        drains: Vec::new(),
        replaced: Vec::new(),
        blocks: Blocks::default(),
    };
    tokio::spawn(
        async move {
            lost.run_until_cancelled(keeper.run(rx)).await;
        }
        .in_current_span(),
    );
    Uploads {
        messages,
        shared,
        uploader,
    }
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
    /// The number of the row's write.
    written: u64,
    /// Until it is stored.
    waits: Option<Waiting>,
    cuts: u32,
    /// Waiting to be uploaded, or being uploaded as this object.
    busy: bool,
    key: String,
    meanwhile: Meanwhile,
}

struct Keeper {
    uploader: Uploader,
    gate: Arc<Gate>,
    commits: Commits,
    holder: Holder,
    owned: Arc<OwnedFolder>,
    shared: Arc<Shared>,
    next: u64,
    kept: BTreeMap<u64, Kept>,
    waiting: VecDeque<u64>,
    uploads: JoinSet<(u64, Result<Segment, Unstored>)>,
    drains: Vec<oneshot::Sender<()>>,
    /// Objects that a row may name until the write of this number is committed.
    replaced: Vec<(u64, String)>,
    blocks: Blocks,
}

impl Keeper {
    async fn run(mut self, mut rx: mpsc::Receiver<Message>) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                biased;
                () = shared.recheck.notified() => self.recheck().await,
                Some(done) = self.uploads.join_next() => match done {
                    Ok((id, uploaded)) => self.uploaded(id, uploaded).await,
                    Err(error) => {
                        self.missed();
                        warn!(%error, "an upload stopped unexpectedly");
                    }
                },
                Some(step) = self.blocks.next() => self.stepped(step),
                message = rx.recv() => match message {
                    Some(Message::Sealed(sealed)) => self.take(sealed).await,
                    Some(Message::Drain(done)) => self.drains.push(done),
                    Some(Message::Close(done)) => {
                        self.delete_replaced();
                        self.forget(Duration::ZERO).await;
                        let _ = done.send(self.owned);
                        return;
                    }
                    None => return,
                },
                _ = tick.tick() => {
                    self.delete_replaced();
                    let scarce = self.owned.disk().is_scarce();
                    self.forget(if scarce { KEPT_SCARCE } else { KEPT }).await;
                    self.gather();
                }
            }
            let room = self.uploader.room_each();
            while self.uploads.len() < room
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
    }

    fn missed(&self) {
        self.shared.missed.store(true, Ordering::Relaxed);
    }

    /// A withdrawal may have come since it was sealed, so it is looked at before anything leaves.
    async fn take(&mut self, sealed: Sealed) {
        if self.kept.len() >= KEPT_MAX {
            self.missed();
            return;
        }
        let id = self.next;
        self.next += 1;
        let kept = Kept {
            sealed,
            stored: None,
            stored_at: None,
            written: 0,
            waits: Some(self.uploader.expect(Duration::ZERO)),
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
        let Some(kept) = self
            .kept
            .get_mut(&id)
            .filter(|kept| kept.meanwhile != Meanwhile::Gone)
        else {
            self.kept.remove(&id);
            return;
        };
        kept.meanwhile = Meanwhile::Nothing;
        let object = uploader::object(&self.holder, &kept.sealed, kept.cuts);
        kept.key.clone_from(&object.key);
        let (uploader, sealed) = (self.uploader.clone(), kept.sealed.clone());
        self.uploads
            .spawn(async move { (id, uploader.store(&sealed, &object).await) }.in_current_span());
    }

    /// In storage and verified: its row may say so, if consent still allows all of it.
    async fn uploaded(&mut self, id: u64, uploaded: Result<Segment, Unstored>) {
        let Some(kept) = self.kept.get_mut(&id) else {
            return;
        };
        let segment = match (kept.meanwhile, uploaded) {
            (Meanwhile::Nothing, Ok(segment)) => segment,
            (Meanwhile::Nothing, Err(error)) => {
                // Its file is gone, and with it the sound.
                warn!(%error, "a segment cannot be stored");
                let (recording, span) = (kept.sealed.track.recording, kept.sealed.pass.span);
                self.kept.remove(&id);
                let _ = self.commits.write(Write::Lost { recording, span });
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
                self.uploader.delete(self.holder.meeting, key);
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
            self.uploader
                .delete(self.holder.meeting, segment.object_key);
            return;
        }
        kept.busy = false;
        kept.waits = None;
        let Ok(written) = self.commits.write(Write::Segment(segment.clone())) else {
            // It has no row, so its file must stay.
            self.kept.remove(&id);
            self.missed();
            return;
        };
        kept.written = written;
        kept.stored_at = Some(Instant::now());
        if let Some(before) = kept.stored.replace(segment) {
            self.replaced.push((written, before.object_key));
        }
    }

    async fn recheck(&mut self) {
        for id in self.kept.keys().copied().collect::<Vec<_>>() {
            self.check(id).await;
        }
    }

    /// Cuts a segment that reaches into a span no longer allowed, at once in the spool; it is
    /// stored anew under another key.
    async fn check(&mut self, id: u64) {
        let Some(kept) = self.kept.get_mut(&id) else {
            return;
        };
        if kept.meanwhile == Meanwhile::Gone
            || self.gate.still::<Recording>(&kept.sealed.pass) == Verdict::Keep
        {
            return;
        }
        let (sealed, gate) = (kept.sealed.clone(), self.gate.clone());
        let path = sealed.path.clone();
        let cut = tokio::task::spawn_blocking(move || sealed.recheck(&gate))
            .await
            .context("cutting")
            .flatten();
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
                    warn!(
                        error = format!("{error:#}"),
                        "a segment could not be cut and is dropped whole"
                    );
                    let _ = tokio::fs::remove_file(&path).await;
                }
                kept.meanwhile = Meanwhile::Gone;
                let stored = kept.stored.take();
                if !kept.busy {
                    self.kept.remove(&id);
                }
                if let Some(stored) = stored {
                    let key = stored.object_key.clone();
                    // Without a write the row stays, and the mix is cut by the log.
                    if let Ok(written) = self.commits.write(Write::RemoveSegment(stored)) {
                        self.replaced.push((written, key));
                    }
                }
            }
        }
    }

    /// Deletes spool files whose segment has been in storage for so long, one by one, once its row
    /// is committed: until then the spool is the only record of it. Waits for nobody.
    async fn forget(&mut self, kept_for: Duration) {
        let stored = |id: u64, kept: &Kept| {
            let waits_for_block = kept_for == KEPT && self.blocks.wants(id);
            let kept_for = if waits_for_block {
                KEPT_FOR_BLOCK
            } else {
                kept_for
            };
            !kept.busy
                && kept.stored_at.is_some_and(|at| at.elapsed() >= kept_for)
                && (kept_for == Duration::ZERO || !self.blocks.is_making(id))
        };
        let old: Vec<(u64, bool)> = self
            .kept
            .iter()
            .filter(|(id, kept)| stored(**id, kept))
            .filter_map(|(id, kept)| Some((*id, self.commits.is_committed(kept.written)?)))
            .collect();
        for (id, committed) in old {
            let Some(kept) = self.kept.remove(&id) else {
                continue;
            };
            self.blocks.forget(id);
            if committed {
                let _ = tokio::fs::remove_file(&kept.sealed.path).await;
            } else {
                self.missed();
            }
        }
    }

    /// Deletes objects that were replaced, once no row names them any more.
    fn delete_replaced(&mut self) {
        let waiting = std::mem::take(&mut self.replaced);
        let (through, waiting): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(written, _)| self.commits.is_committed(*written).is_some());
        self.replaced = waiting;
        for (written, key) in through {
            if self.commits.is_committed(written) == Some(true) {
                self.uploader.delete(self.holder.meeting, key);
            }
        }
    }
}
