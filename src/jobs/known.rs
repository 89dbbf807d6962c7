//! What the store has of a meeting whose files are made: its consent log as a gate, who was there,
//! and what of each track may be kept.

use crate::{
    domain::{
        consent::Use,
        gate::Gate,
        hold::{Person, held, taken_back},
        id::{MeetingId, ParticipantId},
        recording::{Circumstances, Gap, GapReason, RecordingKind, RecordingStatus, subtract},
        redaction::{self, Cut},
        settings::{ConsentPolicy, RecordingMode},
        time::{MeetingTime, Micros, Span},
    },
    store::{
        Store, Tx, attendance,
        capture::{self, Loaded},
        consent,
        recording::{self, Recording, Segment, TrackKey},
        redaction as redactions,
    },
};
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// From a claim until the ports listen again, at most.
const REOPENED: Micros = Micros::from_secs(1);

pub(super) struct Known {
    pub meeting: Loaded,
    pub segments: Vec<Segment>,
    /// The last entry of the consent log.
    pub entry: i64,
    gate: Gate,
    visits: Vec<(ParticipantId, Span)>,
    paused: Vec<Span>,
    unheard: Vec<Span>,
    /// Held for everybody by a withdrawal of one.
    held: Vec<Span>,
    /// Taken out of what there is.
    cuts: Vec<Cut>,
}

impl Known {
    /// `Err`: so many segments are still in a spool. They come first: else the first file told of
    /// would have holes.
    pub async fn read(store: &Store, meeting: MeetingId) -> anyhow::Result<Result<Self, i64>> {
        let mut tx = store.worker_tx().await?;
        let spooled = capture::spooled(&mut tx, meeting).await?;
        if spooled > 0 {
            return Ok(Err(spooled));
        }
        let whole = capture::load(&mut tx, meeting)
            .await?
            .context("the meeting is gone")?;
        let start = whole.start_time.context("the meeting never began")?;
        let log = consent::whole(&mut tx, meeting).await?;
        let segments = recording::segments(&mut tx, meeting).await?;
        let visits = attendance::of_meeting(&mut tx, meeting).await?;
        let paused = attendance::paused(&mut tx, meeting).await?;
        let unheard = attendance::unheard(&mut tx, meeting).await?;
        let cuts = redactions::acting(&mut tx, meeting).await?;
        drop(tx);
        let gate = consent::replayed(&log, start);
        let on = |time: DateTime<Utc>| MeetingTime((time - start).num_microseconds().unwrap_or(0));
        // Whoever recorded may not have heard of it: what is here of the others goes, too.
        let held = if whole.settings.consent_policy.holds_everybody() {
            taken_back(&people(&visits, start, &gate, Use::Recording))
        } else {
            Vec::new()
        };
        let mut paused: Vec<Span> = paused
            .into_iter()
            .map(|(from, until)| Span::new(on(from), until.map_or(MeetingTime::MAX, on)))
            .collect();
        paused.extend(&held);
        Ok(Ok(Self {
            segments,
            entry: log.iter().map(|entry| entry.entry).max().unwrap_or(0),
            gate,
            visits: visits
                .iter()
                .map(|visit| {
                    let span = Span::new(
                        on(visit.joined_at),
                        visit.left_at.map_or(MeetingTime::MAX, on),
                    );
                    (visit.participant, span)
                })
                .collect(),
            paused,
            unheard: unheard
                .into_iter()
                .map(|(from, until)| Span::new(on(from), on(until) + REOPENED))
                .collect(),
            held,
            cuts,
            meeting: whole,
        }))
    }

    /// Why a track of this participant may have gaps.
    pub fn circumstances(&self, participant: ParticipantId, gaps: &Value) -> Circumstances {
        Circumstances {
            present: self
                .visits
                .iter()
                .filter(|(of, _)| *of == participant)
                .map(|(_, span)| *span)
                .collect(),
            agreed: subtract(&self.gate.allowed(participant, Use::Recording), &self.held),
            paused: self.paused.clone(),
            lost: lost(gaps),
            unheard: self.unheard.clone(),
            redacted: self.redacted(participant, Use::Recording),
        }
    }

    /// What is taken out of this participant's for this purpose; sorted and apart.
    pub fn redacted(&self, participant: ParticipantId, purpose: Use) -> Vec<Span> {
        redaction::spans(&self.cuts, participant, purpose)
    }

    /// Whether anybody's sound is taken out: the mix keeps its loudness and its place then.
    pub fn is_redacted(&self) -> bool {
        let mut cuts = self.cuts.iter();
        cuts.any(|cut| cut.purposes.contains(&Use::Recording))
    }

    /// When this participant's words may be looked for, of when it `spoken`.
    pub fn may_be_transcribed(&self, participant: ParticipantId, spoken: &[Span]) -> Vec<Span> {
        let redacted = self.redacted(participant, Use::Transcription);
        subtract(spoken, &redaction::near(&redacted))
    }

    /// The tracks that there are, whose, and of what.
    pub fn tracks(&self) -> impl Iterator<Item = (&Recording, &TrackKey)> {
        self.meeting
            .recordings
            .iter()
            .filter(|one| one.kind == RecordingKind::Track && one.status == RecordingStatus::Ready)
            .filter_map(|one| Some((one, one.key.as_ref()?)))
    }

    /// When sound of this participant was kept, had it sent any.
    pub fn stored(&self, participant: ParticipantId) -> Vec<Span> {
        let is = |status: RecordingStatus| {
            self.meeting.recordings.iter().any(|one| {
                one.kind == RecordingKind::Track
                    && one.status == status
                    && one
                        .key
                        .as_ref()
                        .is_some_and(|key| key.participant == participant)
            })
        };
        let is_gone = is(RecordingStatus::Failed) && !is(RecordingStatus::Ready);
        if is_gone || self.meeting.settings.recording == RecordingMode::Off {
            return Vec::new();
        }
        let Circumstances {
            agreed,
            paused,
            redacted,
            ..
        } = self.circumstances(participant, &Value::Null);
        subtract(&subtract(&agreed, &paused), &redacted)
    }

    /// What its own entry allows of a segment.
    pub fn allowed(&self, participant: ParticipantId, segment: &Segment) -> Vec<Span> {
        let allowed = self.gate.allowed_by(
            participant,
            Use::Recording,
            segment.consent_entry,
            segment.late,
        );
        let held: Vec<Span> = self
            .held
            .iter()
            .map(|span| Span::new(span.start - segment.late, span.end))
            .collect();
        subtract(&allowed, &held)
    }
}

/// When everybody was present, and when it agreed.
fn people(
    visits: &[attendance::Visit],
    start: DateTime<Utc>,
    gate: &Gate,
    purpose: Use,
) -> Vec<Person> {
    let on = |time: DateTime<Utc>| MeetingTime((time - start).num_microseconds().unwrap_or(0));
    let mut present: BTreeMap<ParticipantId, Vec<Span>> = BTreeMap::new();
    for visit in visits {
        let span = Span::new(
            on(visit.joined_at),
            visit.left_at.map_or(MeetingTime::MAX, on),
        );
        present.entry(visit.participant).or_default().push(span);
    }
    present
        .into_iter()
        .map(|(participant, present)| (present, gate.allowed(participant, purpose)))
        .collect()
}

/// The meeting's gate for transcription as the log has it now, with what the policy held.
pub(super) async fn transcription(
    tx: &mut Tx,
    meeting: MeetingId,
    start: DateTime<Utc>,
    policy: ConsentPolicy,
) -> anyhow::Result<Gate> {
    let log = consent::whole(tx, meeting).await?;
    let gate = consent::replayed(&log, start);
    if !policy.holds_everybody() {
        return Ok(gate);
    }
    let visits = attendance::of_meeting(tx, meeting).await?;
    for span in held(&people(&visits, start, &gate, Use::Transcription)) {
        gate.hold(Use::Transcription, span.start);
        gate.release(Use::Transcription, span.end);
    }
    Ok(gate)
}

/// The spans noted as lost while the track was recorded.
fn lost(gaps: &Value) -> Vec<Span> {
    let gaps: Vec<Gap> = serde_json::from_value(gaps.clone()).unwrap_or_default();
    gaps.into_iter()
        .filter(|gap| gap.reason == GapReason::Lost)
        .map(|gap| {
            Span::new(
                MeetingTime::from_ms(gap.start_ms),
                MeetingTime::from_ms(gap.end_ms),
            )
        })
        .collect()
}
