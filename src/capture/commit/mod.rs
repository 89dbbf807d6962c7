//! What a live meeting writes to Postgres, in order, by one task: lease row locked, effect stored,
//! committed, then told.
//!
//! With Postgres away it tries again until it is back, and whatever waits behind waits in order;
//! nothing final is told meanwhile. What waited is asked at the gate again before it is stored.
//! With the lease lost it stops for good. The queue is bounded ([`WAITING_MAX`]): at a few writes a
//! second it holds more than half an hour without Postgres. When it is full, segments stay in the
//! spool for `recover`, and a final becomes a retraction that says `lost`. Nobody waits in the
//! queue: each write has a number, and how far they are committed can be watched.

use super::{journal::Withdrawal, meeting::Fact};
use crate::{
    domain::{
        consent::Use,
        gate::{Gate, Transcription, Verdict},
        id::{MeetingId, ParticipantId, RecordingId, SegmentId, StreamId, TenantId},
        media_state::Media,
        retry,
        time::Span,
        transcript::Reason,
        unheard::{Missing, Why},
    },
    published,
    queue::Queue,
    store::{
        Store, StoreError, Tx,
        capture::{self, FinalSegment},
        consent::{self, Saying},
        effect::Effects,
        event, job,
        presence::{self, Removal},
        recording::{self, Segment, TrackKey},
        retract, stream, unheard,
    },
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

/// Writes that may wait.
const WAITING_MAX: u64 = 8192;
/// Withdrawals, and retractions of finals that found no room, beside them: small, and each a
/// promise or a word that was shown.
const RETRACTIONS_MAX: u64 = 8192;

/// One thing to store, and to tell once it is.
#[derive(Debug)]
pub enum Write {
    Track {
        id: RecordingId,
        key: TrackKey,
        start_ms: i64,
    },
    /// In storage and verified.
    Segment(Segment),
    /// Nothing of it may stay.
    RemoveSegment(Segment),
    Final(FinalSegment),
    Retracted {
        segment: SegmentId,
        reason: &'static str,
        /// Whose words, and when, if they were said and not understood.
        unheard: Option<(ParticipantId, Span)>,
    },
    /// `recording_state`.
    State(Value),
    /// The worker's own copy of a withdrawal; the `api` writes it too.
    Withdrawal(Withdrawal),
    StreamOpened {
        stream: StreamId,
        participant: ParticipantId,
        ip: String,
        port: u16,
    },
    StreamClosed {
        stream: StreamId,
        participant: ParticipantId,
        reason: String,
    },
    Latched {
        stream: StreamId,
        from: String,
        ssrc: u32,
        /// Another SSRC than before.
        anew: bool,
    },
    /// A stream's media came, stalled or came back.
    Media {
        stream: StreamId,
        participant: ParticipantId,
        media: Media,
    },
    Rollover {
        stream: StreamId,
        index: u64,
    },
    /// Sound of this span was sent and did not arrive, or nobody listened.
    Lost {
        recording: RecordingId,
        span: Span,
    },
    Leave {
        participant: ParticipantId,
        removed: bool,
    },
}

impl Write {
    /// How many writes may wait before this one, of so many in all. What can be had again gives way
    /// first.
    fn room(&self, waiting_max: u64) -> u64 {
        match self {
            Self::Rollover { .. } | Self::Latched { .. } => waiting_max / 4,
            Self::Retracted { .. } | Self::Withdrawal(_) => waiting_max + RETRACTIONS_MAX,
            _ => waiting_max,
        }
    }
}

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
                    reason: Reason::Lost.as_str(),
                    unheard: Some((segment.pass.participant, segment.pass.span)),
                };
                self.push(lost).map_err(|_| refused)
            }
            _ => Err(refused),
        }
    }

    fn push(&self, write: Write) -> Result<u64, Box<Write>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
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
        through.then(|| {
            !self
                .refused
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&number)
        })
    }

    /// Waits until everything written before is committed, at most `limit`; `false` when it is not.
    pub async fn flush(&self, limit: Duration) -> bool {
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
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
    tokio::spawn(async move {
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
                noted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(number);
            }
            tell.send_modify(|through| *through += 1);
        }
    });
    Commits {
        queue: tx,
        waiting_max,
        written: Arc::default(),
        through,
        refused,
    }
}

struct CommitTask {
    store: Store,
    queue: Queue,
    gate: Arc<Gate>,
    holder: Holder,
    facts: mpsc::Sender<Fact>,
    /// Tracks that turned out to exist under another id.
    same: BTreeMap<RecordingId, RecordingId>,
}

impl CommitTask {
    /// Answers whether it is committed.
    async fn write(&mut self, write: &Write, lost: &CancellationToken) -> bool {
        let mut failures = 0;
        loop {
            match self.commit(write).await {
                Ok(effects) => {
                    published::publish(&self.queue, self.holder.meeting, &effects);
                    return true;
                }
                Err(StoreError::Fenced) => {
                    warn!(meeting = %self.holder.meeting, epoch = self.holder.epoch, "the meeting was taken over; stopping");
                    lost.cancel();
                    return false;
                }
                Err(StoreError::Unavailable(error)) => {
                    debug!(%error, "Postgres is away; writing again later");
                    let wait = retry::backoff(failures.min(4), fastrand::f64());
                    tokio::time::sleep(Duration::from_micros(wait.0.unsigned_abs())).await;
                    failures += 1;
                }
                Err(error) => {
                    // Not a matter of time: one write is lost and said, the meeting goes on.
                    metrics::counter!("hansard_ledger_failed_total").increment(1);
                    warn!(meeting = %self.holder.meeting, %error, "a write was refused by the database");
                    return false;
                }
            }
        }
    }

    async fn commit(&mut self, write: &Write) -> Result<Effects, StoreError> {
        let Holder {
            tenant,
            meeting,
            owner,
            epoch,
            ..
        } = self.holder;
        let mut tx = self.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        job::fence(&mut tx, meeting, owner, epoch).await?;
        let mut effects = Effects::default();
        let events = &mut effects.events;
        let mut same = None;
        let mut before = None;
        match write {
            Write::Track { id, key, start_ms } => {
                let known =
                    recording::ensure_track(&mut tx, tenant, meeting, *id, key, *start_ms).await?;
                same = (known != *id).then_some((*id, known));
            }
            Write::Segment(segment) => {
                recording::add_segment(&mut tx, tenant, meeting, &self.known(segment)).await?;
            }
            Write::RemoveSegment(segment) => {
                recording::remove_segment(&mut tx, meeting, &self.known(segment)).await?;
            }
            // It may have waited long enough for a withdrawal to be heard of, here or by the log.
            // Words of a decode that reached past one are never kept, not even those before it.
            Write::Final(segment) if !self.may_stay(&mut tx, segment).await? => {
                let data = json!({"segmentId": segment.id, "reason": Reason::Withdrawn.as_str()});
                events.push(event::append(&mut tx, meeting, "transcript_retracted", data).await?);
            }
            Write::Final(segment) => {
                capture::transcript(&mut tx, tenant, meeting, segment.language.as_deref(), false)
                    .await?;
                if capture::add_final(&mut tx, tenant, meeting, segment).await? {
                    events.push(event::append_final(&mut tx, meeting, segment.id).await?);
                }
            }
            Write::Retracted {
                segment,
                reason,
                unheard,
            } => {
                if let Some((participant, span)) = *unheard {
                    let missing = Missing {
                        span,
                        search: span.start,
                    };
                    unheard::note(
                        &mut tx,
                        tenant,
                        meeting,
                        participant,
                        missing,
                        Why::Undecoded,
                    )
                    .await?;
                }
                let data = json!({"segmentId": segment, "reason": reason});
                events.push(event::append(&mut tx, meeting, "transcript_retracted", data).await?);
            }
            Write::State(data) => {
                events.push(event::append(&mut tx, meeting, "recording_state", data.clone()).await?)
            }
            Write::Withdrawal(withdrawal) => {
                let said = consent::say_acknowledged(&mut tx, &saying(withdrawal)).await?;
                effects = said.effects;
                before = said
                    .before
                    .filter(|_| said.entry.id != withdrawal.id)
                    .map(|before| (withdrawal.id, before.head));
            }
            Write::StreamOpened {
                stream,
                participant,
                ip,
                port,
            } => {
                stream::opened(&mut tx, meeting, *stream, ip, *port).await?;
                events.push(presence::updated(&mut tx, meeting, *participant).await?);
            }
            Write::StreamClosed {
                stream,
                participant,
                reason,
            } => {
                stream::closed(&mut tx, meeting, *stream, reason).await?;
                events.push(presence::updated(&mut tx, meeting, *participant).await?);
            }
            Write::Latched {
                stream,
                from,
                ssrc,
                anew,
            } => {
                stream::latched(&mut tx, meeting, *stream, from, *ssrc, *anew).await?;
            }
            Write::Media {
                stream,
                participant,
                media,
            } => {
                stream::media(&mut tx, meeting, *stream, media.as_str(), media.reason()).await?;
                events.push(presence::updated(&mut tx, meeting, *participant).await?);
            }
            Write::Rollover { stream, index } => {
                stream::rollover(&mut tx, meeting, *stream, *index).await?
            }
            Write::Lost { recording, span } => {
                let recording = self.same.get(recording).copied().unwrap_or(*recording);
                recording::add_lost(&mut tx, recording, *span).await?;
            }
            Write::Leave {
                participant,
                removed: false,
            } => {
                effects = presence::leave(&mut tx, meeting, *participant).await?;
            }
            // By what the log says now: what removed it may have been said before, and taken back
            // since.
            Write::Leave {
                participant,
                removed: true,
            } if presence::person(&mut tx, meeting, *participant)
                .await?
                .missing(&self.uses())
                .is_empty() => {}
            Write::Leave {
                participant,
                removed: true,
            } => {
                effects =
                    presence::remove(&mut tx, meeting, *participant, Removal::Required).await?;
            }
        }
        tx.commit().await?;
        self.same.extend(same);
        if let Some((id, head)) = before
            && self.facts.try_send(Fact::SaidBefore { id, head }).is_err()
        {
            // The gate stays shut for the participant until it says something else.
            warn!(%meeting, %id, "a repeated withdrawal could not be settled");
        }
        Ok(effects)
    }

    /// Whether the gate allows it still, and the log knows of nothing that the gate does not. Under
    /// the head's lock.
    async fn may_stay(&self, tx: &mut Tx, segment: &FinalSegment) -> Result<bool, StoreError> {
        Ok(
            self.gate.still::<Transcription>(&segment.pass) == Verdict::Keep
                && !retract::is_refused(
                    tx,
                    self.holder.meeting,
                    &segment.pass,
                    self.gate.applied(),
                )
                .await?,
        )
    }

    /// What the meeting turns on.
    fn uses(&self) -> Vec<Use> {
        Use::ALL
            .into_iter()
            .filter(|purpose| self.gate.uses(*purpose))
            .collect()
    }

    fn known(&self, segment: &Segment) -> Segment {
        let recording = self
            .same
            .get(&segment.recording)
            .copied()
            .unwrap_or(segment.recording);
        Segment {
            recording,
            ..segment.clone()
        }
    }
}

/// The entry that a withdrawal asks for.
pub fn saying(withdrawal: &Withdrawal) -> Saying {
    Saying {
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
