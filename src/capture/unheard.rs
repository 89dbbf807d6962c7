//! Where words may be missing, written down as the meeting ends: what the changes of its holder
//! cost, and what speech could not keep up with. `jobs/transcript` looks for them again in what was
//! recorded.

use super::commit::Holder;
use crate::{
    domain::{
        consent::Use,
        id::ParticipantId,
        recording::intersect,
        time::{MeetingTime, Micros, Span},
        unheard::{Holding, Missing, TranscriptGapReason, interrupted},
    },
    store::{Result, Tx, attendance, consent, unheard},
};
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};

/// Words that somebody said and nobody heard, as far as this holder knows. A span without a
/// beginning goes back to the participant's last final.
#[derive(Clone, Copy, Debug)]
pub struct Unheard {
    pub participant: ParticipantId,
    pub from: Option<MeetingTime>,
    pub until: MeetingTime,
}

/// Notes what is missing in the transaction that ends the meeting; answers whether anything is, now
/// or from before.
pub async fn note(
    tx: &mut Tx,
    holder: &Holder,
    start: DateTime<Utc>,
    known: &[Unheard],
) -> Result<bool> {
    let (tenant, meeting) = (holder.tenant, holder.meeting);
    let on = |time: DateTime<Utc>| MeetingTime((time - start).num_microseconds().unwrap_or(0));
    let holdings: Vec<Holding> = unheard::holdings(tx, meeting)
        .await?
        .into_iter()
        .map(|(_, began, alive)| Holding {
            began: on(began),
            alive: on(alive),
        })
        .collect();
    let mut missing: Vec<(ParticipantId, Missing, TranscriptGapReason)> = Vec::new();
    let finals = unheard::finals(tx, meeting).await?;
    let said = |participant: &ParticipantId| finals.get(participant).map_or(&[][..], Vec::as_slice);
    if holdings.len() > 1 {
        let gate = consent::replayed(&consent::whole(tx, meeting).await?, start);
        let mut present: BTreeMap<ParticipantId, Vec<Span>> = BTreeMap::new();
        for visit in attendance::of_meeting(tx, meeting).await? {
            let span = Span::new(
                on(visit.joined_at),
                visit.left_at.map_or(MeetingTime::MAX, on),
            );
            present.entry(visit.participant).or_default().push(span);
        }
        let mut streams: BTreeMap<ParticipantId, Vec<Span>> = BTreeMap::new();
        for (participant, from, until) in unheard::streams(tx, meeting).await? {
            streams
                .entry(participant)
                .or_default()
                .push(Span::new(on(from), until.map_or(MeetingTime::MAX, on)));
        }
        for (participant, streams) in streams {
            let agreed = gate.allowed(participant, Use::Transcription);
            let there = present.get(&participant).map_or(&[][..], Vec::as_slice);
            let spoken = intersect(&intersect(&streams, there), &agreed);
            let lost = interrupted(&holdings, &spoken, said(&participant));
            missing.extend(
                lost.into_iter()
                    .map(|lost| (participant, lost, TranscriptGapReason::Interrupted)),
            );
        }
    }
    for Unheard {
        participant,
        from,
        until,
    } in known
    {
        let began = holdings
            .last()
            .map_or(MeetingTime::ZERO, |holding| holding.began);
        let last = said(participant)
            .iter()
            .map(|span| span.end)
            .filter(|end| end < until)
            .max()
            .unwrap_or(began);
        let span = Span::new(from.unwrap_or(last), *until);
        missing.push((
            *participant,
            Missing {
                span,
                search: span.start,
            },
            TranscriptGapReason::Undecoded,
        ));
    }
    for (participant, missing, why) in &missing {
        unheard::note(tx, tenant, meeting, *participant, *missing, *why).await?;
    }
    Ok(!missing.is_empty() || !unheard::of_meeting(tx, meeting).await?.is_empty())
}

/// Spans of one participant that are kept apart; beyond, the last one grows.
const SPANS_MAX: usize = 256;
/// Spans this near to each other are told as one.
const JOIN_MAX: Micros = Micros::from_secs(1);

/// Sound and words that found no room on their way, on whichever thread. Clones share them.
#[derive(Clone, Default)]
pub struct Overflow(Arc<Mutex<BTreeMap<ParticipantId, Vec<Span>>>>);

impl Overflow {
    pub fn lost(&self, participant: ParticipantId, span: Span) {
        let mut lost = self.lock();
        let spans = lost.entry(participant).or_default();
        let full = spans.len() >= SPANS_MAX;
        match spans.last_mut() {
            Some(last) if full || span.start - last.end < JOIN_MAX => *last = last.cover(span),
            _ => spans.push(span),
        }
    }

    pub fn take(&self) -> Vec<Unheard> {
        let of = |(participant, spans): (ParticipantId, Vec<Span>)| {
            spans.into_iter().map(move |span| Unheard {
                participant,
                from: Some(span.start),
                until: span.end,
            })
        };
        std::mem::take(&mut *self.lock())
            .into_iter()
            .flat_map(of)
            .collect()
    }
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ParticipantId, Vec<Span>>> {
        self.0.lock()
    }
}
