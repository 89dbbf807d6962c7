//! An utterance on its way to its final.

use crate::{
    domain::{
        gate::{Gate, Pass, Transcription, Verdict},
        id::{ParticipantId, SegmentId},
        time::{MeetingTime, Micros, Span},
        transcript::{Hypothesis, Segment},
    },
    speech::{dispatch::Dispatch, evidence::ends_sentence, protocol::Language},
};
use std::{sync::Arc, time::Instant};

/// An utterance from its onset until its final is told.
pub(super) struct Utterance {
    pub segment: Segment,
    /// Made when there is something to show.
    pub id: Option<SegmentId>,
    /// What its partials sounded like.
    pub language: Option<String>,
    /// The consent entry that allowed its audio.
    pub entry: i64,
    pub span: Span,
    pub voiced: Vec<Span>,
    /// The partial waiting or running.
    pub partial: Option<u64>,
    /// How far into the voice the last partial asked for went.
    pub asked_until: MeetingTime,
    /// How far the last one shown went.
    pub shown_until: MeetingTime,
    pub guess: Option<Guess>,
    pub ended: Option<Ended>,
    pub withdrawn: bool,
}

/// The latest final of a speaker: what comes next goes on from it.
pub(super) struct Before {
    pub text: String,
    /// Whether nothing was doubtful about it.
    pub is_sure: bool,
    /// ISO 639-1; empty from a model of one language.
    pub language: String,
    /// The consent entry that allowed it.
    pub entry: i64,
    pub end: MeetingTime,
}

/// What was said longer ago than this is of another subject.
const BEFORE_MAX: Micros = Micros::from_secs(30);

impl Before {
    /// Whether it may help to decode what begins at `start` under this consent entry.
    pub fn leads_to(&self, entry: i64, start: MeetingTime, language: &Language) -> bool {
        let same = match language {
            Language::Fixed { name } | Language::Last { name } => *name == self.language,
            Language::Unknown => true,
        };
        same && self.is_sure && self.entry == entry && start - self.end <= BEFORE_MAX
    }

    /// Whether its consent ended, or is held, at any time since: also behind the last sound that
    /// was heard, which may still wait for a decoder.
    pub fn is_withdrawn(&self, gate: &Gate, participant: ParticipantId) -> bool {
        let since = Pass {
            participant,
            span: Span::new(self.end, MeetingTime::MAX),
            entry: self.entry,
            late: Micros(0),
        };
        gate.still::<Transcription>(&since) != Verdict::Keep
    }

    /// Whether the sentence before what begins at `start` has ended.
    pub fn ended(before: Option<&Self>, start: MeetingTime) -> bool {
        before.is_none_or(|before| start - before.end > BEFORE_MAX || ends_sentence(&before.text))
    }
}

pub(super) struct Guess {
    pub job: u64,
    pub span: Span,
    pub result: Option<Result<Hypothesis, ()>>,
}

pub(super) struct Ended {
    pub job: Option<u64>,
    pub pcm: Arc<[f32]>,
    pub at: Instant,
}

impl Utterance {
    pub fn drop_partial(&mut self, dispatch: &mut Dispatch) {
        if let Some(job) = self.partial.take() {
            dispatch.cancel(job);
        }
    }

    /// Every job that is out for it is of no more use.
    pub fn stop_all(&mut self, dispatch: &mut Dispatch) {
        self.drop_partial(dispatch);
        if let Some(guess) = self.guess.take() {
            dispatch.cancel(guess.job);
        }
        if let Some(job) = self.ended.as_mut().and_then(|ended| ended.job.take()) {
            dispatch.cancel(job);
        }
    }

    pub fn stop(mut self, dispatch: &mut Dispatch) {
        self.stop_all(dispatch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        consent::{ConsentStatus, Use},
        gate::Entry,
        id::ConsentId,
    };
    use uuid::Uuid;

    #[test]
    fn a_withdrawal_behind_the_last_sound_takes_the_context_away() {
        let who = ParticipantId(Uuid::from_u128(1));
        let gate = Gate::new(&Use::ALL);
        let entry = Entry {
            entry: 4,
            id: ConsentId(Uuid::from_u128(1)),
            participant: who,
            uses: Use::ALL.to_vec(),
            status: ConsentStatus::Accepted,
            at: MeetingTime::from_ms(0),
        };
        gate.apply(&entry, MeetingTime::from_ms(0));
        let before = Before {
            text: "So on.".into(),
            is_sure: true,
            language: "en".into(),
            entry: 4,
            end: MeetingTime::from_ms(10_000),
        };
        assert!(!before.is_withdrawn(&gate, who));
        let receipt = MeetingTime::from_ms(12_500);
        gate.withdraw(ConsentId(Uuid::from_u128(2)), who, &Use::ALL, receipt);
        assert!(before.is_withdrawn(&gate, who));
    }

    #[test]
    fn a_final_leads_to_what_its_speaker_says_next_under_the_same_consent() {
        let final_of = |is_sure, text: &str| Before {
            text: text.into(),
            is_sure,
            language: "en".into(),
            entry: 4,
            end: MeetingTime::from_ms(10_000),
        };
        let before = final_of(true, "and so on");
        let next = MeetingTime::from_ms(12_000);
        let (last, other) = ("en".to_owned(), "de".to_owned());
        let last = Language::Last { name: last };
        assert!(before.leads_to(4, next, &last));
        assert!(before.leads_to(4, next, &Language::Unknown));
        assert!(!before.leads_to(5, next, &last), "another consent entry");
        assert!(!before.leads_to(4, next, &Language::Fixed { name: other }));
        assert!(!before.leads_to(4, MeetingTime::from_ms(41_000), &last));
        assert!(!final_of(false, "and so on").leads_to(4, next, &last));

        assert!(Before::ended(None, next));
        assert!(!Before::ended(Some(&before), next));
        assert!(Before::ended(Some(&final_of(true, "So on.")), next));
        assert!(Before::ended(Some(&before), MeetingTime::from_ms(41_000)));
    }
}
