//! Who may come into a meeting, and whose consent is missing: what the policies `exclude`, `all`
//! and `required` ask. Told the facts, answers with a decision.

use crate::{
    consent::Use,
    participant::{Answers, Person, Removal},
    settings::ConsentPolicy,
};
use chrono::{DateTime, Utc};

/// What a meeting asks of those who come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    pub ended: bool,
    pub policy: ConsentPolicy,
    /// The uses that the meeting turns on.
    pub uses: Vec<Use>,
}

/// What the store has of a participant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParticipantRecord {
    pub present: bool,
    pub removed: Option<Removal>,
    /// Join and resume tokens minted before this are void.
    pub tokens_from: Option<DateTime<Utc>>,
    pub consent: Answers,
}

impl From<&Person> for ParticipantRecord {
    fn from(person: &Person) -> Self {
        Self {
            present: person.present,
            removed: person.removed,
            tokens_from: person.tokens_from,
            consent: person.consent,
        }
    }
}

/// How somebody comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryBy {
    /// `join_room` with a join token minted then.
    Join(DateTime<Utc>),
    /// `join_room` with a resume token minted then: only while present.
    Resume(DateTime<Utc>),
    /// The first stream asked for on its behalf.
    Stream,
}

/// Why somebody may not come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Barred {
    Ended,
    /// Removed, or with a token from before a removal.
    Removed,
    /// A resume token of somebody who is no longer present.
    Absent,
    /// Policy `required`, and these were not accepted.
    ConsentRequired(Vec<Use>),
}

/// Which of `uses` were not accepted, in the same order.
pub fn missing(uses: &[Use], consent: &Answers) -> Vec<Use> {
    let missing = uses.iter().copied();
    missing
        .filter(|purpose| !consent.accepts(*purpose))
        .collect()
}

/// `consentRequired[]`: what is to be accepted before somebody may be present.
pub fn required(terms: &Terms, consent: &Answers) -> Vec<Use> {
    match terms.policy {
        ConsentPolicy::Required => missing(&terms.uses, consent),
        ConsentPolicy::Exclude | ConsentPolicy::All => Vec::new(),
    }
}

/// Whether a join or resume token minted then still stands.
pub fn token_stands(of: &ParticipantRecord, minted: DateTime<Utc>) -> bool {
    of.removed != Some(Removal::Request) && of.tokens_from.is_none_or(|from| minted >= from)
}

/// Whether tokens are minted for somebody who asks to join over REST. Consent may follow.
///
/// # Errors
/// Why not.
pub fn may_join(terms: &Terms, removed: Option<Removal>) -> Result<(), Barred> {
    if terms.ended {
        Err(Barred::Ended)
    } else if removed == Some(Removal::Request) {
        Err(Barred::Removed)
    } else {
        Ok(())
    }
}

/// Whether somebody becomes, or stays, present.
///
/// # Errors
/// Why not.
pub fn enter(terms: &Terms, of: &ParticipantRecord, by: EntryBy) -> Result<(), Barred> {
    if terms.ended {
        return Err(Barred::Ended);
    }
    let stands = match by {
        EntryBy::Join(minted) | EntryBy::Resume(minted) => token_stands(of, minted),
        // Who was removed for want of consent comes back with consent, by joining again.
        EntryBy::Stream => of.removed != Some(Removal::Request),
    };
    if !stands {
        return Err(Barred::Removed);
    }
    if matches!(by, EntryBy::Resume(_)) && !of.present {
        return Err(Barred::Absent);
    }
    let required = required(terms, &of.consent);
    if !required.is_empty() {
        return Err(Barred::ConsentRequired(required));
    }
    if by == EntryBy::Stream && of.removed.is_some() {
        return Err(Barred::Removed);
    }
    Ok(())
}

/// Whether refusing these uses removes who refuses: policy `required`, while the meeting runs.
pub fn removes(terms: &Terms, refused: &[Use]) -> bool {
    terms.policy == ConsentPolicy::Required
        && !terms.ended
        && refused.iter().any(|purpose| terms.uses.contains(purpose))
}

/// Whether a use is held for everybody: policy `all`, while one who is present has not accepted it.
pub fn holds<P>(
    policy: ConsentPolicy,
    purpose: Use,
    present: impl IntoIterator<Item = P>,
    accepts: impl Fn(&P, Use) -> bool,
) -> bool {
    policy.holds_everybody() && present.into_iter().any(|who| !accepts(&who, purpose))
}

/// Whether the others hear and see somebody who is present, live: under `required` only who
/// accepted all of `uses`. Under the other policies everybody: who declined is left out of files,
/// and does not fall silent.
pub fn heard(policy: ConsentPolicy, uses: &[Use], accepts: impl Fn(Use) -> bool) -> bool {
    policy != ConsentPolicy::Required || uses.iter().all(|purpose| accepts(*purpose))
}

/// `waitingFor[]`: who of those present holds a use for everybody.
pub fn awaited<P>(
    policy: ConsentPolicy,
    uses: &[Use],
    present: impl IntoIterator<Item = P>,
    accepts: impl Fn(&P, Use) -> bool,
) -> Vec<P> {
    if !policy.holds_everybody() {
        return Vec::new();
    }
    let present = present.into_iter();
    present
        .filter(|who| uses.iter().any(|purpose| !accepts(who, *purpose)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::ConsentStatus::{self, Accepted, Declined, Withdrawn};
    use ConsentPolicy::{All, Exclude, Required};
    use Use::{Recording, Transcription};

    const BOTH: &[Use] = &[Recording, Transcription];

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(s, 0).expect("a time")
    }

    fn terms(policy: ConsentPolicy) -> Terms {
        Terms {
            ended: false,
            policy,
            uses: BOTH.to_vec(),
        }
    }

    fn only_words() -> Terms {
        Terms {
            uses: vec![Transcription],
            ..terms(Required)
        }
    }

    fn over(policy: ConsentPolicy) -> Terms {
        Terms {
            ended: true,
            ..terms(policy)
        }
    }

    fn somebody(
        recording: Option<ConsentStatus>,
        transcription: Option<ConsentStatus>,
    ) -> ParticipantRecord {
        ParticipantRecord {
            present: false,
            removed: None,
            tokens_from: None,
            consent: Answers {
                recording,
                transcription,
            },
        }
    }

    const WAYS: [EntryBy; 3] = [
        EntryBy::Join(DateTime::UNIX_EPOCH),
        EntryBy::Resume(DateTime::UNIX_EPOCH),
        EntryBy::Stream,
    ];

    #[test]
    fn who_declined_is_heard_live_unless_consent_is_required() {
        for (policy, accepted, heard_live) in [
            (Exclude, &[][..], true),
            (All, &[], true),
            (Required, &[], false),
            (Required, &[Recording], false),
            (Required, BOTH, true),
        ] {
            let heard_now = heard(policy, BOTH, |purpose| accepted.contains(&purpose));
            assert_eq!(heard_now, heard_live, "{policy} {accepted:?}");
        }
    }

    #[test]
    fn exclude_and_all_let_in_whoever_has_not_agreed() {
        for policy in [Exclude, All] {
            for said in [None, Some(Declined), Some(Withdrawn), Some(Accepted)] {
                let mut who = somebody(said, None);
                who.present = true;
                for by in WAYS {
                    assert_eq!(enter(&terms(policy), &who, by), Ok(()));
                }
                assert_eq!(required(&terms(policy), &who.consent), []);
            }
        }
    }

    #[test]
    fn required_asks_for_every_use_that_the_meeting_turns_on_and_no_other() {
        for (recording, transcription, both, words) in [
            (
                None,
                None,
                vec![Recording, Transcription],
                vec![Transcription],
            ),
            (
                Some(Accepted),
                None,
                vec![Transcription],
                vec![Transcription],
            ),
            (Some(Declined), Some(Accepted), vec![Recording], vec![]),
            (
                Some(Accepted),
                Some(Withdrawn),
                vec![Transcription],
                vec![Transcription],
            ),
            (Some(Accepted), Some(Accepted), vec![], vec![]),
        ] {
            let mut who = somebody(recording, transcription);
            who.present = true;
            for (terms, wanted) in [(terms(Required), both), (only_words(), words)] {
                for by in WAYS {
                    let outcome = if wanted.is_empty() {
                        Ok(())
                    } else {
                        Err(Barred::ConsentRequired(wanted.clone()))
                    };
                    assert_eq!(enter(&terms, &who, by), outcome);
                }
                // Tokens are given all the same: agreeing takes one.
                assert_eq!(may_join(&terms, None), Ok(()));
                assert_eq!(required(&terms, &who.consent), wanted);
            }
        }
    }

    #[test]
    fn only_required_removes_who_refuses_and_only_for_what_is_on_and_while_it_runs() {
        assert!(removes(&terms(Required), &[Transcription]));
        assert!(!removes(&terms(Exclude), BOTH) && !removes(&terms(All), BOTH));
        assert!(!removes(&only_words(), &[Recording]) && removes(&only_words(), BOTH));
        assert!(!removes(&over(Required), BOTH));
    }

    #[test]
    fn a_removal_voids_tokens_and_keeps_out_by_its_kind() {
        let agreed = somebody(Some(Accepted), Some(Accepted));
        let by_host = ParticipantRecord {
            removed: Some(Removal::Request),
            tokens_from: Some(at(10)),
            ..agreed
        };
        let by_policy = ParticipantRecord {
            removed: Some(Removal::Required),
            tokens_from: Some(at(10)),
            ..agreed
        };
        let (old, new) = (EntryBy::Join(at(9)), EntryBy::Join(at(10)));
        for by in [old, new, EntryBy::Stream] {
            assert_eq!(enter(&terms(Exclude), &by_host, by), Err(Barred::Removed));
        }
        let required = &terms(Required);
        assert_eq!(enter(required, &by_policy, old), Err(Barred::Removed));
        assert_eq!(enter(required, &by_policy, new), Ok(()));
        assert_eq!(
            enter(required, &by_policy, EntryBy::Stream),
            Err(Barred::Removed),
            "a stream does not stand for joining again"
        );
        assert_eq!(
            may_join(required, Some(Removal::Request)),
            Err(Barred::Removed)
        );
        assert_eq!(may_join(required, Some(Removal::Required)), Ok(()));
        // Readmitted: the old tokens stay void.
        let readmitted = ParticipantRecord {
            removed: None,
            ..by_host
        };
        assert_eq!(enter(required, &readmitted, old), Err(Barred::Removed));
        assert_eq!(enter(required, &readmitted, new), Ok(()));
    }

    #[test]
    fn what_is_missing_is_told_before_the_removal_that_it_caused() {
        let who = ParticipantRecord {
            removed: Some(Removal::Required),
            ..somebody(Some(Accepted), Some(Withdrawn))
        };
        assert_eq!(
            enter(&terms(Required), &who, EntryBy::Stream),
            Err(Barred::ConsentRequired(vec![Transcription]))
        );
    }

    #[test]
    fn who_is_away_does_not_resume_and_nobody_enters_what_is_over() {
        let away = somebody(None, None);
        let resume = EntryBy::Resume(at(1));
        assert_eq!(enter(&terms(Exclude), &away, resume), Err(Barred::Absent));
        for by in WAYS {
            let outcome = enter(&over(Exclude), &away, by);
            assert_eq!(outcome, Err(Barred::Ended));
        }
        assert_eq!(may_join(&over(Exclude), None), Err(Barred::Ended));
    }

    #[test]
    fn only_all_holds_a_use_for_everybody_and_awaits_those_who_have_not_agreed() {
        // Who agreed to what.
        let accepts = |who: &u8, purpose| match who {
            1 => true,
            2 => purpose == Recording,
            _ => false,
        };
        for policy in [Exclude, Required] {
            assert!(!holds(policy, Recording, [1, 3], accepts));
            assert!(awaited(policy, BOTH, [1, 2, 3], accepts).is_empty());
        }
        assert!(!holds(All, Recording, [1, 2], accepts));
        assert!(holds(All, Transcription, [1, 2], accepts));
        assert!(!holds(All, Recording, [], accepts), "nobody is there");
        assert_eq!(awaited(All, BOTH, [1, 2, 3], accepts), [2, 3]);
        assert_eq!(awaited(All, &[Recording], [1, 2, 3], accepts), [3]);
    }
}
