//! What a speaker said last, and in which language: what their next utterance is decoded with, live
//! and once more after the end.

use super::{STOPS, language};
use crate::{
    gate::{Gate, Pass, Transcription, Verdict},
    id::ParticipantId,
    time::{MeetingTime, Micros, Span},
};

/// What was said longer ago than this is of another subject.
const BEFORE_MAX: Micros = Micros::from_secs(30);

/// What one person said last: of a stream, or along a track.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Spoken {
    language: Option<String>,
    before: Option<Before>,
}

/// An utterance that was decoded to words: what comes next goes on from it.
#[derive(Clone, PartialEq, Debug)]
pub struct Before {
    pub text: String,
    /// Whether nothing was doubtful about it.
    pub is_sure: bool,
    /// The language that it was decoded in, ISO 639-1.
    pub language: String,
    /// The consent entry that allowed it.
    pub entry: i64,
    pub end: MeetingTime,
}

impl Spoken {
    /// Of somebody of whom only the language is known, if that.
    pub fn in_language(language: Option<String>) -> Self {
        Self {
            language,
            before: None,
        }
    }

    /// The language that they spoke last.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// What was said before an utterance that this entry allows, that starts there and is decoded
    /// in that language (`None`: in whatever it turns out to be).
    pub fn before(&self, entry: i64, start: MeetingTime, language: Option<&str>) -> Option<&str> {
        let before = self.before.as_ref()?;
        let leads = before.is_sure
            && before.entry == entry
            && start - before.end <= BEFORE_MAX
            && language.is_none_or(|language| language == before.language);
        leads.then_some(before.text.as_str())
    }

    /// An utterance was decoded to words, of so much voice. One without words is no context and
    /// takes none away.
    pub fn said(&mut self, utterance: Before, voiced: Micros) {
        if language::changes(self.language(), voiced) {
            self.language = Some(utterance.language.clone());
        }
        self.before = Some(utterance);
    }

    /// An utterance was decoded to something that is not believed: what was said before it does not
    /// lead to what comes after.
    pub fn doubted(&mut self) {
        self.before = None;
    }

    /// Whether the sentence before what begins at `start` has ended.
    pub fn has_ended(&self, start: MeetingTime) -> bool {
        let before = self.before.as_ref();
        before.is_none_or(|before| start - before.end > BEFORE_MAX || ends_sentence(&before.text))
    }

    /// Forgets what was said when its consent ended, or is held, at any time since: also behind the
    /// last sound that was heard, which may still wait for a decoder. Whether it did.
    pub fn check(&mut self, gate: &Gate, participant: ParticipantId) -> bool {
        let since = |before: &Before| Pass {
            participant,
            span: Span::new(before.end, MeetingTime::MAX),
            entry: before.entry,
            late: Micros(0),
        };
        let withdrawn = self
            .before
            .as_ref()
            .is_some_and(|before| gate.still::<Transcription>(&since(before)) != Verdict::Keep);
        if withdrawn {
            self.before = None;
        }
        withdrawn
    }
}

/// Whether text ends as a sentence does.
pub fn ends_sentence(text: &str) -> bool {
    text.ends_with(STOPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consent::{ConsentStatus, Use},
        gate::Entry,
        id::ConsentId,
    };
    use uuid::Uuid;

    const LONG: Micros = Micros::from_secs(3);
    const WORD: Micros = Micros::from_ms(400);

    fn ms(ms: i64) -> MeetingTime {
        MeetingTime::from_ms(ms)
    }

    /// An utterance under entry 4 that ends at 10 s.
    fn utterance(text: &str, language: &str) -> Before {
        Before {
            text: text.into(),
            is_sure: true,
            language: language.into(),
            entry: 4,
            end: ms(10_000),
        }
    }

    fn after(utterance: Before) -> Spoken {
        let mut spoken = Spoken::default();
        spoken.said(utterance, LONG);
        spoken
    }

    #[test]
    fn a_speaker_goes_on_in_the_language_of_before_and_a_short_word_is_no_change() {
        let mut spoken = Spoken::default();
        assert_eq!(spoken.language(), None);
        spoken.said(utterance("Ja.", "de"), WORD);
        assert_eq!(spoken.language(), Some("de"), "better than none");
        spoken.said(utterance("Okay.", "en"), WORD);
        assert_eq!(spoken.language(), Some("de"));
        spoken.said(utterance("And now in English.", "en"), LONG);
        assert_eq!(spoken.language(), Some("en"));
        spoken.doubted();
        assert_eq!(spoken.language(), Some("en"));
        let mut resumed = Spoken::in_language(Some("fr".into()));
        resumed.said(utterance("Okay.", "en"), WORD);
        assert_eq!(resumed.language(), Some("fr"));
    }

    #[test]
    fn what_was_said_leads_to_what_its_speaker_says_next_in_its_language_and_under_its_consent() {
        let next = ms(12_000);
        let spoken = after(utterance("and so on", "en"));
        assert_eq!(spoken.before(4, next, Some("en")), Some("and so on"));
        assert_eq!(spoken.before(4, next, None), Some("and so on"));
        assert_eq!(
            spoken.before(4, next, Some("de")),
            None,
            "of another language"
        );
        assert_eq!(spoken.before(5, next, Some("en")), None, "of another entry");
        assert_eq!(spoken.before(4, ms(40_001), Some("en")), None, "long ago");
        let unsure = Before {
            is_sure: false,
            ..utterance("and so on", "en")
        };
        assert_eq!(after(unsure).before(4, next, Some("en")), None);
        let mut doubted = spoken.clone();
        doubted.doubted();
        assert_eq!(doubted.before(4, next, Some("en")), None);
        let mut later = spoken;
        later.said(utterance("Your country.", "en"), LONG);
        assert_eq!(later.before(4, next, Some("en")), Some("Your country."));
    }

    #[test]
    fn a_sentence_goes_on_until_it_ends() {
        let next = ms(12_000);
        assert!(Spoken::default().has_ended(next));
        assert!(!after(utterance("and so on", "en")).has_ended(next));
        assert!(after(utterance("and so on", "en")).has_ended(ms(41_000)));
        assert!(after(utterance("So on.", "en")).has_ended(next));
    }

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
            at: ms(0),
        };
        gate.apply(&entry, ms(0));
        let mut spoken = after(utterance("So on.", "en"));
        assert!(!spoken.check(&gate, who));
        gate.withdraw(ConsentId(Uuid::from_u128(2)), who, &Use::ALL, ms(12_500));
        assert!(spoken.check(&gate, who));
        assert_eq!(spoken.before(4, ms(12_000), None), None);
        assert!(!spoken.check(&gate, who), "nothing is left");
        assert_eq!(spoken.language(), Some("en"));
    }
}
