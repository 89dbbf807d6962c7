//! One write at a time: lease row locked, effect stored, committed, then published.

use super::{Holder, Write, decision};
use crate::{
    capture::fact::Fact,
    command,
    domain::{
        admission,
        consent::Use,
        event::{Event, Retraction},
        gate::{Gate, Pass, Transcription, Verdict},
        id::RecordingId,
        participant::Removal,
        retry,
        transcript::RetractionReason,
        unheard::{Missing, TranscriptGapReason},
    },
    published,
    queue::Queue,
    store::{
        Store, StoreError, Tx,
        block::{self, Block},
        capture,
        effect::Effects,
        event, lease, presence,
        recording::{self, Segment},
        retract, stream, unheard,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Writes one after the other.
pub(super) struct CommitTask {
    pub store: Store,
    pub queue: Queue,
    pub gate: Arc<Gate>,
    pub holder: Holder,
    pub facts: mpsc::Sender<Fact>,
    /// Tracks that turned out to exist under another id.
    pub same: BTreeMap<RecordingId, RecordingId>,
}

impl CommitTask {
    /// Answers whether it is committed.
    pub async fn write(&mut self, write: &Write, lost: &CancellationToken) -> bool {
        let mut failures = 0;
        loop {
            match self.commit(write).await {
                Ok(effects) => {
                    published::publish(&self.queue, None, self.holder.meeting, effects);
                    return true;
                }
                Err(StoreError::Fenced) => {
                    warn!("the meeting was taken over; stopping");
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
                    warn!(%error, "a write was refused by the database");
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
        lease::fence(&mut tx, meeting, owner, epoch).await?;
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
            Write::Block(block) => {
                block::place(&mut tx, meeting, &self.known_block(block)).await?;
            }
            Write::RemoveSegment(segment) => {
                recording::remove_segment(&mut tx, meeting, &self.known(segment)).await?;
            }
            // It may have waited long enough for a withdrawal to be heard of, here or by the log.
            // Words of a decode that reached past one are never kept, not even those before it.
            Write::Final(segment) if !self.may_stay(&mut tx, &segment.pass).await? => {
                let gone = Event::TranscriptRetracted(Retraction {
                    segment_id: segment.id,
                    reason: RetractionReason::Withdrawn,
                });
                events.push(event::append(&mut tx, meeting, &gone).await?);
            }
            Write::Final(segment) => {
                capture::transcript(&mut tx, tenant, meeting, segment.language.as_deref(), false)
                    .await?;
                if capture::add_final(&mut tx, tenant, meeting, segment).await? {
                    events.push(event::append_final(&mut tx, meeting, segment.id).await?);
                }
            }
            // Words of a withdrawal that came since; their final is retracted with it.
            Write::Translated(translation)
                if !self.may_stay(&mut tx, &translation.pass).await? => {}
            // Without its final, or with a newer version of it, there is nothing that it
            // translates.
            Write::Translated(translation) => {
                effects =
                    command::translate::translate(&mut tx, meeting, &translation.told()).await?;
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
                        TranscriptGapReason::Undecoded,
                    )
                    .await?;
                }
                let gone = Event::TranscriptRetracted(Retraction {
                    segment_id: *segment,
                    reason: *reason,
                });
                events.push(event::append(&mut tx, meeting, &gone).await?);
            }
            Write::State(state) => {
                let state = Event::RecordingState(state.clone());
                events.push(event::append(&mut tx, meeting, &state).await?);
            }
            Write::Withdrawal(withdrawal) => {
                let said =
                    command::consent::record_acknowledged(&mut tx, &decision(withdrawal)).await?;
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
            Write::PeerStreamOpened {
                stream,
                participant,
            } => {
                stream::opened_by_peer(&mut tx, meeting, *stream).await?;
                events.push(presence::updated(&mut tx, meeting, *participant).await?);
            }
            Write::StreamClosed {
                stream,
                participant,
                reason,
            } => {
                stream::closed(&mut tx, meeting, *stream, *reason).await?;
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
                stream::media(&mut tx, meeting, *stream, *media).await?;
                events.push(presence::updated(&mut tx, meeting, *participant).await?);
            }
            Write::Rollover { stream, index } => {
                stream::rollover(&mut tx, meeting, *stream, *index).await?
            }
            Write::Lost { recording, span } => {
                recording::add_lost(&mut tx, self.track(*recording), *span).await?;
            }
            Write::Leave {
                participant,
                removed: false,
            } => {
                effects = command::leave::leave(&mut tx, meeting, *participant).await?;
            }
            // By what the log says now: what removed it may have been said before, and taken back
            // since.
            Write::Leave {
                participant,
                removed: true,
            } if admission::missing(
                &self.uses(),
                &presence::person(&mut tx, meeting, *participant)
                    .await?
                    .consent,
            )
            .is_empty() => {}
            Write::Leave {
                participant,
                removed: true,
            } => {
                effects =
                    command::remove::remove(&mut tx, meeting, *participant, Removal::Required)
                        .await?;
            }
        }
        tx.commit().await?;
        self.same.extend(same);
        if let Some((id, head)) = before
            && self.facts.try_send(Fact::SaidBefore { id, head }).is_err()
        {
            // The gate stays shut for the participant until it says something else.
            warn!(%id, "a repeated withdrawal could not be settled");
        }
        Ok(effects)
    }

    /// Whether the gate allows it still, and the log knows of nothing that the gate does not. Under
    /// the head's lock.
    async fn may_stay(&self, tx: &mut Tx, pass: &Pass) -> Result<bool, StoreError> {
        let (meeting, applied) = (self.holder.meeting, self.gate.applied());
        Ok(self.gate.still::<Transcription>(pass) == Verdict::Keep
            && !retract::is_refused(tx, meeting, pass, applied).await?)
    }

    /// What the meeting turns on.
    fn uses(&self) -> Vec<Use> {
        Use::ALL
            .into_iter()
            .filter(|purpose| self.gate.uses(*purpose))
            .collect()
    }

    /// The id that the store knows this track by.
    fn track(&self, recording: RecordingId) -> RecordingId {
        self.same.get(&recording).copied().unwrap_or(recording)
    }

    fn known(&self, segment: &Segment) -> Segment {
        Segment {
            recording: self.track(segment.recording),
            ..segment.clone()
        }
    }

    fn known_block(&self, block: &Block) -> Block {
        Block {
            recording: self.track(block.recording),
            ..block.clone()
        }
    }
}
