//! Taking one person out of what was recorded and said: asked for here, durably. Words go at once;
//! files are closed and made anew by their jobs, which leave out what acts. The job `redact` says
//! when nothing is left.

use super::{Refused, delete};
use crate::{
    domain::{
        consent::Use,
        correction::words_from,
        deletion::{Deletable, taken_along},
        event::{Event, RecordingReport, Retraction, words},
        id::{MeetingId, RecordingId, SegmentId, TenantId},
        job::JobKind,
        ledger,
        meeting::MeetingStatus,
        recording::{RecordingKind, RecordingStatus},
        recording_state::RecordingState,
        redaction::{RedactionState, SpokenSegment, may_wish, near, rest, spans, takes_all},
        time::{MeetingTime, Micros, Span},
        transcript::RetractionReason,
    },
    store::{
        Result, StoreError, capture, deletion,
        effect::Effects,
        event, hold, job, meeting as meetings, participant,
        recording::{self, Recording},
        redacted_file,
        redaction::{self, Asking, Before, Redaction},
        redaction_entry,
        spoken::{self, Part},
    },
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most events of one redaction that are published one by one; of more only the last, at which
/// sockets read the others from the store.
const PUBLISHED_MAX: usize = 32;
/// Packets at the edges of a file may be longer than their time stamps say.
const EDGE: Micros = Micros::from_ms(200);

/// Asks for it, and begins when nobody has to approve it and the meeting is over.
///
/// # Errors
/// [`Refused::NoParticipant`]; [`Refused::Held`]; `StoreError::TooMany`.
pub async fn ask(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    asking: &Asking,
) -> Result<(Uuid, Effects), Refused> {
    event::lock(conn, meeting).await?;
    if participant::get(conn, meeting, asking.participant)
        .await?
        .is_none()
    {
        return Err(Refused::NoParticipant);
    }
    if asking.approved
        && let Some(hold) = hold::current(conn, meeting).await?
    {
        return Err(Refused::Held(hold));
    }
    let redaction = redaction::ask(conn, tenant, meeting, asking).await?;
    let effects = if asking.approved {
        start(conn, &redaction).await?
    } else {
        Effects::default()
    };
    Ok((redaction.id, effects))
}

/// Asks, with a withdrawal, for all of somebody in the meeting for some purposes, by their own hand
/// or by whoever withdraws for them. One that was asked for so before and not declined is that one.
/// While the meeting is held it has to be approved. `by_hand`: now, where the participant wishes it
/// for itself, which has an end ([`may_wish`]).
///
/// # Errors
/// [`Refused::TooLate`]; [`Refused::NoParticipant`]; `StoreError::TooMany`.
pub async fn ask_with_withdrawal(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    asking: Asking,
    by_hand: Option<DateTime<Utc>>,
) -> Result<(Redaction, Effects), Refused> {
    event::lock(conn, meeting).await?;
    let held = hold::current(conn, meeting).await?.is_some();
    let asking = Asking {
        approved: asking.approved && !held,
        ..asking
    };
    let by = (asking.participant, asking.author.as_str());
    let (id, effects) = match redaction::by(conn, meeting, by, &asking.purposes).await? {
        Some(before) if before.state == RedactionState::Asked && asking.approved => {
            // It had to be approved when it was asked for.
            let approved = approve(conn, meeting, before.id, &asking.author).await?;
            (before.id, approved.unwrap_or_default())
        }
        Some(before) => return Ok((before, Effects::default())),
        None => {
            let ended = meetings::get(conn, meeting)
                .await?
                .and_then(|of| of.end_time);
            if by_hand.is_some_and(|now| !may_wish(ended, now)) {
                return Err(Refused::TooLate);
            }
            ask(conn, tenant, meeting, &asking).await?
        }
    };
    let asked = redaction::get(conn, meeting, id).await?;
    Ok((asked.ok_or(StoreError::NotFound)?, effects))
}

/// Approves one that was asked for; `None`: it is not `asked`.
///
/// # Errors
/// [`Refused::Held`].
pub async fn approve(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: Uuid,
    author: &str,
) -> Result<Option<Effects>, Refused> {
    event::lock(conn, meeting).await?;
    if let Some(hold) = hold::current(conn, meeting).await? {
        return Err(Refused::Held(hold));
    }
    let approved = RedactionState::Waiting;
    let decided = redaction::decide(conn, meeting, id, approved, author, None).await?;
    Ok(match decided {
        Some(redaction) => Some(start(conn, &redaction).await?),
        None => None,
    })
}

/// Declines one that was asked for; `false`: it is not `asked`.
pub async fn decline(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: Uuid,
    author: &str,
    reason: Option<&str>,
) -> Result<bool> {
    event::lock(conn, meeting).await?;
    let declined = RedactionState::Declined;
    let decided = redaction::decide(conn, meeting, id, declined, author, reason).await?;
    Ok(decided.is_some())
}

/// Takes in one that the ledger has and the rows do not, and begins with it as if it were asked for
/// now. One that has begun is left. Under the meeting's head.
pub async fn take_in(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    accepted: &ledger::Redaction,
    asked: &deletion::Asked,
) -> Result<Effects> {
    match redaction_entry::take_in(conn, tenant, meeting, accepted, asked).await? {
        Some(redaction) if !redaction.begun && redaction.state.acts() => {
            start(conn, &redaction).await
        }
        _ => Ok(Effects::default()),
    }
}

/// Whether nothing more of the meeting is recorded: it ended, and nobody closes it any more.
pub async fn is_over(conn: &mut PgConnection, meeting: MeetingId) -> Result<bool> {
    Ok(
        capture::status(conn, meeting).await? == MeetingStatus::Ended
            && !job::is_open(conn, JobKind::Capture, meeting).await?,
    )
}

async fn start(conn: &mut PgConnection, redaction: &Redaction) -> Result<Effects> {
    if is_over(conn, redaction.meeting).await? {
        return begin(conn, redaction).await;
    }
    let (kind, meeting) = (JobKind::Redact, redaction.meeting);
    let job = job::ensure_again(conn, redaction.tenant, kind, meeting).await?;
    Ok(Effects {
        jobs: vec![(kind, job)],
        ..Effects::default()
    })
}

/// Begins with one of a meeting that is over: its words go, its files are closed and are to be made
/// anew. Under the meeting's head.
pub async fn begin(conn: &mut PgConnection, redaction: &Redaction) -> Result<Effects> {
    let (meeting, tenant) = (redaction.meeting, redaction.tenant);
    // Whatever they make is of before.
    deletion::stop_jobs(conn, meeting).await?;
    let mut effects = Effects::default();
    let (mut files, mut objects) = (Vec::new(), Vec::new());
    if redaction.is_of_sound() {
        let all = recording::of_meeting(conn, meeting).await?;
        let ours = affected(conn, redaction, &all).await?;
        // A track that was deleted by itself is still heard in the mix.
        let only_in_mix = !all.iter().any(|one| is_theirs(one, redaction))
            && redacted_file::is_in_mix(conn, meeting, redaction.participant).await?;
        if !ours.is_empty() || only_in_mix {
            objects = redacted_file::holding(conn, meeting, redaction.participant).await?;
            let is_changed = |one: &&Recording| {
                one.kind == RecordingKind::Mix || ours.iter().any(|of| of.id == one.id)
            };
            files = all.iter().filter(is_changed).map(before).collect();
            effects.extend(sound(conn, redaction, &all, &ours).await?);
        }
    }
    let mut taken_back = 0;
    if redaction.purposes.contains(&Use::Transcription) {
        let said = said(conn, redaction).await?;
        taken_back = said.1;
        effects.extend(said.0);
        redaction::erase_answers(conn, tenant, meeting).await?;
    }
    let state = if !files.is_empty() && !redacted_file::archived(conn, meeting).await?.is_empty() {
        RedactionState::WaitingRestore
    } else {
        RedactionState::Running
    };
    redaction::begin(conn, redaction, state, &files, &objects, taken_back).await?;
    let job = job::ensure_again(conn, tenant, JobKind::Redact, meeting).await?;
    effects.jobs.push((JobKind::Redact, job));
    Ok(effects)
}

fn before(one: &Recording) -> Before {
    Before {
        id: one.id.0,
        kind: one.kind,
        sha256: one.sha256.clone(),
    }
}

/// The file, if there is one.
fn file(track: &Recording) -> Option<Span> {
    let length = Micros::from_ms(track.duration_ms?);
    Some(Span::of(MeetingTime::from_ms(track.start_ms), length))
}

fn is_theirs(track: &Recording, redaction: &Redaction) -> bool {
    track
        .key
        .as_ref()
        .is_some_and(|key| key.participant == redaction.participant)
}

/// The person's tracks that hold something of the span, or may.
async fn affected<'a>(
    conn: &mut PgConnection,
    redaction: &Redaction,
    all: &'a [Recording],
) -> Result<Vec<&'a Recording>> {
    let unmerged = recording::is_unmerged(conn, redaction.meeting).await?;
    let span = redaction.cut().span;
    let is_affected = |track: &&Recording| {
        let is_near = |file: Span| span.overlaps(Span::new(file.start - EDGE, file.end + EDGE));
        is_theirs(track, redaction)
            && (unmerged
                || track.status != RecordingStatus::Ready
                || file(track).is_none_or(is_near))
    };
    Ok(all.iter().filter(is_affected).collect())
}

/// Closes the files that change, and has them made anew or deleted.
async fn sound(
    conn: &mut PgConnection,
    redaction: &Redaction,
    all: &[Recording],
    ours: &[&Recording],
) -> Result<Effects> {
    let (meeting, tenant) = (redaction.meeting, redaction.tenant);
    let cuts = redaction::acting(conn, meeting).await?;
    let redacted = spans(&cuts, redaction.participant, Use::Recording);
    let always = Span::new(MeetingTime(i64::MIN), MeetingTime::MAX);
    // With all of somebody taken out, what still comes of a track must not come back either.
    let goes = |track: &&&Recording| {
        takes_all(always, &redacted)
            || track.status == RecordingStatus::Ready
                && file(track).is_some_and(|file| takes_all(file, &redacted))
    };
    let mut gone = Vec::new();
    let mut left: Vec<(RecordingId, RecordingKind)> =
        all.iter().map(|one| (one.id, one.kind)).collect();
    for track in ours.iter().filter(goes) {
        let along = taken_along(&left, track.id);
        left.retain(|(id, _)| !along.contains(id));
        gone.extend(along);
    }
    let mut effects = Effects::default();
    if !gone.is_empty() {
        let asked = deletion::Asked {
            author: redaction.author.clone(),
            reason: redaction.reason.clone(),
            at: redaction.asked_at,
            // It is written as the redaction is.
            ledger: None,
        };
        let plan = delete::Plan {
            what: Deletable::Recording,
            recordings: gone.clone(),
        };
        effects.extend(delete::carry_out(conn, tenant, meeting, &plan, &asked).await?);
    }
    let gone: BTreeSet<RecordingId> = gone.into_iter().collect();
    if left.is_empty() {
        return Ok(effects);
    }
    let is_closed = |one: &&Recording| {
        let is_ours = ours.iter().any(|of| of.id == one.id);
        (is_ours || one.kind == RecordingKind::Mix) && !gone.contains(&one.id)
    };
    let closed: Vec<RecordingId> = all.iter().filter(is_closed).map(|one| one.id).collect();
    redacted_file::close_files(conn, meeting, &closed).await?;
    // Else the job has them restored first.
    if redacted_file::archived(conn, meeting).await?.is_empty() {
        effects.extend(remake(conn, tenant, meeting).await?);
    }
    Ok(effects)
}

/// Has the meeting's files made anew, without what is taken out of them.
pub async fn remake(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<Effects> {
    let report = RecordingReport::idle(RecordingState::Finalising, None, 0);
    let told = event::append(conn, meeting, &Event::RecordingState(report)).await?;
    let mut effects = Effects::from(told);
    let join = job::ensure_again(conn, tenant, JobKind::Join, meeting).await?;
    effects.jobs.push((JobKind::Join, join));
    Ok(effects)
}

/// Takes back what was said near the span, and keeps the rest of such segments as finals of their
/// own. Answers how many were taken back.
async fn said(conn: &mut PgConnection, redaction: &Redaction) -> Result<(Effects, usize)> {
    let meeting = redaction.meeting;
    let near = near(&[redaction.cut().span]);
    let (mut gone, mut parts) = (Vec::new(), Vec::new());
    for segment in spoken::of(conn, meeting, redaction.participant).await? {
        let said = words_from(&segment.words);
        let span = Span::new(
            MeetingTime::from_ms(segment.start_ms),
            MeetingTime::from_ms(segment.end_ms),
        );
        let whole = SpokenSegment {
            span,
            text: &segment.text,
            words: &said,
            source: segment.source,
        };
        let Some(left) = rest(&whole, &near) else {
            continue;
        };
        for rest in left {
            let kept = &said[rest.words];
            let (Some(first), Some(last)) = (kept.first(), kept.last()) else {
                continue;
            };
            let part = Part {
                start_ms: first.span.start.as_ms(),
                end_ms: last.span.end.as_ms(),
                text: rest.text,
                words: words(kept),
            };
            parts.push(spoken::add_part(conn, meeting, segment.id, &part).await?);
        }
        gone.push(segment.id);
    }
    spoken::erase(conn, meeting, &gone).await?;
    let mut effects = Effects::default();
    for segment in &gone {
        let taken_back = Event::TranscriptRetracted(Retraction {
            segment_id: SegmentId(*segment),
            reason: RetractionReason::Redacted,
        });
        effects
            .events
            .push(event::append(conn, meeting, &taken_back).await?);
    }
    for part in parts {
        let told = event::append_final(conn, meeting, SegmentId(part)).await?;
        effects.events.push(told);
    }
    if effects.events.len() > PUBLISHED_MAX {
        effects.events.drain(..effects.events.len() - 1);
    }
    Ok((effects, gone.len()))
}
