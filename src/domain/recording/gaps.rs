//! What is missing in a finished file, and why.

use super::SEGMENT_LENGTH;
use crate::{
    time::{MeetingTime, Micros, Span},
    word::words,
};
use serde::{Deserialize, Serialize};

/// Holes up to here are concealed by the decoder and not told: six 20 ms packets, which is what
/// Opus can bridge.
pub const CONCEAL_MAX: Micros = Micros::from_ms(120);
/// A silent sender is told as `muted` from here on; less is a breath, or the 400 ms beat of Opus
/// DTX.
pub const MUTED_MIN: Micros = Micros::from_ms(1000);
/// Other holes are told from here on: two packets, so that rounding does not show.
pub const GAP_MIN: Micros = Micros::from_ms(40);

words! {
    /// Why something is not in a file.
    pub enum GapReason(
        "reason for a gap",
        schema "GapReason": "Why something is not in a file: `no_consent` the participant had not agreed, `paused` it had, and others had not, `redacted` it was taken out afterwards."
    ) {
        /// Nothing was sent.
        Muted = "muted",
        /// The participant was not in the meeting.
        Left = "left",
        /// The participant had not agreed.
        NoConsent = "no_consent",
        /// The participant had agreed, but recording was paused for everybody.
        Paused = "paused",
        /// It was sent and did not arrive, or nobody listened.
        Lost = "lost",
        /// It was taken out afterwards.
        Redacted = "redacted",
    }
}

/// Whose last sample is this close before the end of listening was sending then: a segment may
/// still lie with a dead process, and its last sign of life and the last packet that it could store
/// are each a second old.
const SENDING_WITHIN: Micros = Micros(SEGMENT_LENGTH.0 + 3_000_000);

/// A hole in a file, in milliseconds of MeetingTime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    pub start_ms: i64,
    pub end_ms: i64,
    pub reason: GapReason,
}

impl Gap {
    pub const fn span(self) -> Span {
        Span::new(
            MeetingTime::from_ms(self.start_ms),
            MeetingTime::from_ms(self.end_ms),
        )
    }
}

/// What is known of one participant's meeting, to tell holes by. Spans may overlap; order does not
/// matter.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Circumstances {
    /// When the participant was in the meeting. Empty: always.
    pub present: Vec<Span>,
    /// When the participant's consent to recording stood, pauses left out of account.
    pub agreed: Vec<Span>,
    /// When recording was paused for everybody.
    pub paused: Vec<Span>,
    /// When packets are known to be lost.
    pub lost: Vec<Span>,
    /// When nobody listened: between two holders of the meeting.
    pub unheard: Vec<Span>,
    /// What is taken out of it afterwards.
    pub redacted: Vec<Span>,
}

impl Circumstances {
    /// What of a track's holes was lost. Whoever was sending when nobody listened any more lost
    /// everything until the first packet that came again: a sender may have to learn of another
    /// address first.
    fn lost(&self, holes: &[Span]) -> Vec<Span> {
        let mut lost = self.lost.clone();
        for unheard in &self.unheard {
            lost.push(*unheard);
            let cut_off = |hole: &&Span| {
                hole.overlaps(*unheard) && hole.start >= unheard.start - SENDING_WITHIN
            };
            lost.extend(holes.iter().filter(cut_off));
        }
        lost
    }

    /// What was lost behind the end of a track: its sender was cut off, and when somebody listened
    /// again the meeting, or the sender's stay, was over.
    fn lost_behind(&self, end: MeetingTime, present: &[Span]) -> Vec<Span> {
        let cut_off = |unheard: &&Span| end >= unheard.start - SENDING_WITHIN && end < unheard.end;
        let behind: Vec<Span> = self
            .unheard
            .iter()
            .filter(cut_off)
            .map(|unheard| Span::new(end, unheard.end))
            .collect();
        let behind = intersect(&intersect(&behind, present), &self.agreed);
        subtract(&behind, &self.paused)
    }
}

/// The holes of a track: `file` is its whole span, `recorded` what is in it. Where several reasons
/// hold, the first of left, not agreed, paused, redacted, lost is told; where none does, the sender
/// was mute. What a crash cost behind the end of the file is told, too.
pub fn gaps(file: Span, recorded: &[Span], why: &Circumstances) -> Vec<Gap> {
    let always = [Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)];
    let present = if why.present.is_empty() {
        &always[..]
    } else {
        &why.present
    };
    let mut rest = subtract(&[file], recorded);
    let lost = why.lost(&rest);
    let mut found = Vec::new();
    let mut tell = |rest: &mut Vec<Span>, inside: Vec<Span>, reason, shortest: Micros| {
        found.extend(
            inside
                .iter()
                .filter(|span| span.length() >= shortest)
                .map(|span| (*span, reason)),
        );
        *rest = subtract(rest, &inside);
    };
    let left = subtract(&rest, present);
    tell(&mut rest, left, GapReason::Left, GAP_MIN);
    let no_consent = subtract(&rest, &why.agreed);
    tell(&mut rest, no_consent, GapReason::NoConsent, GAP_MIN);
    let paused = intersect(&rest, &why.paused);
    tell(&mut rest, paused, GapReason::Paused, GAP_MIN);
    let redacted = intersect(&rest, &why.redacted);
    tell(&mut rest, redacted, GapReason::Redacted, GAP_MIN);
    let lost = intersect(&rest, &lost);
    tell(&mut rest, lost, GapReason::Lost, CONCEAL_MAX + Micros(1));
    found.extend(
        rest.iter()
            .filter(|span| span.length() >= MUTED_MIN)
            .map(|span| (*span, GapReason::Muted)),
    );
    found.extend(
        why.lost_behind(file.end, present)
            .into_iter()
            .filter(|span| span.length() > CONCEAL_MAX)
            .map(|span| (span, GapReason::Lost)),
    );
    listed(found)
}

/// The holes of a mix: where every track then running is paused, lost, or redacted. A track
/// whose participant had left or had not agreed is not running there.
pub fn gaps_of_mix(mix: Span, tracks: &[(Span, Vec<Gap>)]) -> Vec<Gap> {
    let holes = |gaps: &[Gap], reasons: &[GapReason]| -> Vec<Span> {
        gaps.iter()
            .filter(|gap| reasons.contains(&gap.reason))
            .map(|gap| gap.span())
            .collect()
    };
    let mut found = Vec::new();
    for reason in [GapReason::Paused, GapReason::Lost, GapReason::Redacted] {
        let mut common = vec![mix];
        let mut somebody = Vec::new();
        for (file, gaps) in tracks {
            let running = subtract(
                &[*file],
                &holes(gaps, &[GapReason::Left, GapReason::NoConsent]),
            );
            let heard = subtract(&running, &holes(gaps, &[reason]));
            common = subtract(&common, &heard);
            somebody.extend(running);
        }
        found.extend(
            intersect(&common, &union(&somebody))
                .into_iter()
                .map(|span| (span, reason)),
        );
    }
    listed(found)
}

fn listed(mut found: Vec<(Span, GapReason)>) -> Vec<Gap> {
    found.sort_by_key(|(span, _)| span.start);
    found
        .into_iter()
        .map(|(span, reason)| Gap {
            start_ms: span.start.as_ms(),
            end_ms: span.end.as_ms(),
            reason,
        })
        .collect()
}

/// The spans sorted, those that touch or overlap joined, empty ones left out.
pub fn union(spans: &[Span]) -> Vec<Span> {
    let mut sorted: Vec<Span> = spans
        .iter()
        .copied()
        .filter(|span| !span.is_empty())
        .collect();
    sorted.sort_by_key(|span| (span.start, span.end));
    let mut joined: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What lies in both.
pub fn intersect(a: &[Span], b: &[Span]) -> Vec<Span> {
    let (a, b) = (union(a), union(b));
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let span = Span::new(x.start.max(y.start), x.end.min(y.end));
        if !span.is_empty() {
            both.push(span);
        }
        if x.end < y.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}

/// What lies in `from` and not in `what`.
pub fn subtract(from: &[Span], what: &[Span]) -> Vec<Span> {
    let what = union(what);
    let mut rest = Vec::new();
    let mut first = 0;
    for mut span in union(from) {
        while what.get(first).is_some_and(|hole| hole.end <= span.start) {
            first += 1;
        }
        for hole in &what[first..] {
            if hole.start >= span.end {
                break;
            }
            if hole.start > span.start {
                rest.push(Span::new(span.start, hole.start));
            }
            span.start = span.start.max(hole.end);
        }
        if !span.is_empty() {
            rest.push(span);
        }
    }
    rest
}
