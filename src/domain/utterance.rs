//! What consent does to the utterances of one stream: whether sound joins what was heard before it,
//! and where a withdrawal cuts what was heard.

use crate::{
    gate::{Gate, Pass, Transcription, Verdict},
    late::LateSpans,
    time::{MeetingTime, Micros, Span},
};

/// A hole up to this is a correction of the clock.
pub const HOLE_MIN: Micros = Micros::from_ms(10);

/// How sound stands to what was heard of its stream before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joins {
    /// It goes on with it.
    On,
    /// Another consent entry allows it: what was before is cut where this begins. Sound of two
    /// entries never joins.
    OtherEntry,
    /// Transcription was held in the hole before it: what was before is cut where it ended, and no
    /// pre-roll reaches across to this.
    Held,
}

/// `entry`: of the sound before, if any was. `needs_from`: from where sound before this one is
/// still needed; `until`: where it ended. `lates` knows the sound of `pass` already.
pub fn joins(
    gate: &Gate,
    entry: Option<i64>,
    needs_from: MeetingTime,
    until: Option<MeetingTime>,
    pass: &Pass,
    lates: &LateSpans,
) -> Joins {
    let start = pass.span.start;
    if entry != Some(pass.entry) {
        return Joins::OtherEntry;
    }
    if until.is_none_or(|until| start - until < HOLE_MIN) {
        return Joins::On;
    }
    let span = Span::new(needs_from.min(start), start);
    let hole = Pass {
        span,
        late: lates.within(span),
        ..*pass
    };
    match gate.still::<Transcription>(&hole) {
        Verdict::Keep => Joins::On,
        Verdict::Cut(_) | Verdict::Drop => Joins::Held,
    }
}

/// Where what was heard is cut now; `None`: all of it stays.
pub fn cut(gate: &Gate, heard: &Pass) -> Option<MeetingTime> {
    match gate.still::<Transcription>(heard) {
        Verdict::Keep => None,
        Verdict::Cut(at) => Some(at),
        Verdict::Drop => Some(heard.span.start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consent::{ConsentStatus, Use},
        gate::Entry,
        id::{ConsentId, ParticipantId},
    };
    use uuid::Uuid;

    const WHO: ParticipantId = ParticipantId(Uuid::from_u128(1));

    fn ms(ms: i64) -> MeetingTime {
        MeetingTime::from_ms(ms)
    }

    fn agreed() -> Gate {
        let gate = Gate::new(&Use::ALL);
        let entry = Entry {
            entry: 1,
            id: ConsentId(Uuid::from_u128(1)),
            participant: WHO,
            uses: Use::ALL.to_vec(),
            status: ConsentStatus::Accepted,
            at: ms(0),
        };
        gate.apply(&entry, ms(0));
        gate
    }

    fn pass(entry: i64, from_ms: i64, to_ms: i64) -> Pass {
        Pass {
            participant: WHO,
            span: Span::new(ms(from_ms), ms(to_ms)),
            entry,
            late: Micros(0),
        }
    }

    #[test]
    fn sound_of_two_entries_never_joins_and_none_reaches_across_a_hold() {
        let gate = agreed();
        let lates = LateSpans::default();
        let of = |entry, until: Option<i64>, pass: &Pass| {
            joins(&gate, entry, ms(500), until.map(ms), pass, &lates)
        };
        assert_eq!(of(None, None, &pass(1, 1_000, 1_020)), Joins::OtherEntry);
        assert_eq!(
            of(Some(2), Some(1_000), &pass(1, 1_000, 1_020)),
            Joins::OtherEntry
        );
        // On, also over a hole in which nothing was held.
        assert_eq!(of(Some(1), Some(1_000), &pass(1, 1_000, 1_020)), Joins::On);
        assert_eq!(of(Some(1), Some(1_000), &pass(1, 3_000, 3_020)), Joins::On);
        gate.hold(Use::Transcription, ms(4_000));
        gate.release(Use::Transcription, ms(5_000));
        assert_eq!(
            of(Some(1), Some(4_000), &pass(1, 5_000, 5_020)),
            Joins::Held
        );
        // Without a hole the gate has seen all of it.
        assert_eq!(of(Some(1), Some(5_020), &pass(1, 5_025, 5_045)), Joins::On);
    }

    #[test]
    fn a_withdrawal_cuts_at_its_receipt_and_not_before_what_was_heard() {
        let gate = agreed();
        assert_eq!(cut(&gate, &pass(1, 1_000, 3_000)), None);
        gate.withdraw(ConsentId(Uuid::from_u128(2)), WHO, &Use::ALL, ms(2_000));
        assert_eq!(cut(&gate, &pass(1, 1_000, 3_000)), Some(ms(2_000)));
        assert_eq!(cut(&gate, &pass(1, 2_500, 3_000)), Some(ms(2_500)));
        assert_eq!(cut(&gate, &pass(1, 1_000, 1_900)), None);
    }
}
