//! What a live meeting writes to Postgres, in order, by one task: lease row locked, effect stored,
//! committed, then told.
//!
//! With Postgres away it tries again until it is back, and whatever waits behind waits in order;
//! nothing final is told meanwhile. What waited is asked at the gate again before it is stored.
//! With the lease lost it stops for good. The queue is bounded ([`WAITING_MAX`]): at a few writes a
//! second it holds more than half an hour without Postgres. When it is full, segments stay in the
//! spool for `recover`, and a final becomes a retraction that says `lost`. Nobody waits in the
//! queue: each write has a number, and how far they are committed can be watched.

mod task;
mod write;

pub use write::Write;

use super::{fact::Fact, journal::Withdrawal};
use crate::{
    domain::{
        gate::Gate,
        id::{MeetingId, TenantId},
        transcript::RetractionReason,
    },
    queue::Queue,
    store::{Store, consent::ConsentDecision},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use task::CommitTask;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

/// Writes that may wait.
const WAITING_MAX: u64 = 8192;
/// Withdrawals, and retractions of finals that found no room, beside them: small, and each a
/// promise or a word that was shown.
const RETRACTIONS_MAX: u64 = 8192;

/// Where the loop puts its writes.
#[derive(Clone)]
pub struct Commits {
    queue: mpsc::Sender<Write>,
    waiting_max: u64,
    /// How many were ever written. Locked while one is put into the queue, so that numbers follow
    /// its order.
    written: Arc<Mutex<u64>>,
    /// How many of them are through.
    through: watch::Receiver<u64>,
    /// Numbers of those that the database refused.
    refused: Arc<Mutex<BTreeSet<u64>>>,
}

impl Commits {
    /// Answers with the write's number. `Err` gives it back: the queue is full, or the lease is
    /// lost. A final that finds no room is taken back instead: it was shown, so that is told once
    /// Postgres is there again.
    pub fn write(&self, write: Write) -> Result<u64, Box<Write>> {
        let refused = match self.push(write) {
            Ok(number) => return Ok(number),
            Err(refused) => refused,
        };
        metrics::counter!("hansard_ledger_refused_total").increment(1);
        match &*refused {
            Write::Final(segment) => {
                metrics::counter!("hansard_finals_lost_total").increment(1);
                let lost = Write::Retracted {
                    segment: segment.id,
                    reason: RetractionReason::Lost,
                    unheard: Some((segment.pass.participant, segment.pass.span)),
                };
                self.push(lost).map_err(|_| refused)
            }
            _ => Err(refused),
        }
    }

    fn push(&self, write: Write) -> Result<u64, Box<Write>> {
        let mut written = self.written.lock();
        if *written - *self.through.borrow() >= write.room(self.waiting_max) {
            return Err(Box::new(write));
        }
        match self.queue.try_send(write) {
            Ok(()) => {
                *written += 1;
                Ok(*written)
            }
            Err(
                mpsc::error::TrySendError::Full(write) | mpsc::error::TrySendError::Closed(write),
            ) => Err(Box::new(write)),
        }
    }

    /// Whether the write of this number is committed; `None` while it waits, `Some(false)` when the
    /// database refused it.
    pub fn is_committed(&self, number: u64) -> Option<bool> {
        let through = *self.through.borrow() >= number;
        through.then(|| !self.refused.lock().contains(&number))
    }

    /// The same, once it is through; `None` when it never will be.
    pub async fn committed(&self, number: u64) -> Option<bool> {
        let mut through = self.through.clone();
        through.wait_for(|through| *through >= number).await.ok()?;
        self.is_committed(number)
    }

    /// Waits until everything written before is committed, at most `limit`; `false` when it is not.
    pub async fn flush(&self, limit: Duration) -> bool {
        let written = *self.written.lock();
        let mut through = self.through.clone();
        let all =
            tokio::time::timeout(limit, through.wait_for(|through| *through >= written)).await;
        all.is_ok_and(|all| all.is_ok())
    }
}

/// Whose writes these are.
#[derive(Clone, Debug)]
pub struct Holder {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub owner: Uuid,
    pub epoch: i64,
    pub spool: PathBuf,
}

/// Starts the task. It ends when every [`Commits`] is dropped and everything is written, or when
/// `lost` is cancelled, by the caller or by itself on finding the lease taken.
pub fn start(
    store: Store,
    queue: Queue,
    gate: Arc<Gate>,
    holder: Holder,
    facts: mpsc::Sender<Fact>,
    lost: CancellationToken,
) -> Commits {
    bounded(store, queue, gate, holder, facts, lost, WAITING_MAX)
}

/// The same with room for so many writes.
pub fn bounded(
    store: Store,
    queue: Queue,
    gate: Arc<Gate>,
    holder: Holder,
    facts: mpsc::Sender<Fact>,
    lost: CancellationToken,
    waiting_max: u64,
) -> Commits {
    let (tx, mut rx) = mpsc::channel((waiting_max + RETRACTIONS_MAX) as usize);
    let (tell, through) = watch::channel(0);
    let refused = Arc::<Mutex<BTreeSet<u64>>>::default();
    let noted = refused.clone();
    let committing = async move {
        let mut task = CommitTask {
            store,
            queue,
            gate,
            holder,
            facts,
            same: BTreeMap::new(),
        };
        while let Some(Some(write)) = lost.run_until_cancelled(rx.recv()).await {
            let Some(committed) = lost.run_until_cancelled(task.write(&write, &lost)).await else {
                break;
            };
            // Not through, but over.
            if lost.is_cancelled() {
                break;
            }
            if !committed {
                let number = *tell.borrow() + 1;
                noted.lock().insert(number);
            }
            tell.send_modify(|through| *through += 1);
        }
    };
    tokio::spawn(committing.in_current_span());
    Commits {
        queue: tx,
        waiting_max,
        written: Arc::default(),
        through,
        refused,
    }
}

/// The entry that a withdrawal asks for.
pub fn decision(withdrawal: &Withdrawal) -> ConsentDecision {
    ConsentDecision {
        meeting: withdrawal.meeting,
        participant: withdrawal.participant,
        id: withdrawal.id,
        consent_type: withdrawal.consent_type,
        status: withdrawal.status,
        actor: withdrawal.actor.clone(),
        statement: withdrawal.statement.clone(),
        timestamp: withdrawal.received_at,
        once: withdrawal.once.clone(),
    }
}
