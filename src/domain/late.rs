//! How much later than its place sound may have been made.
//!
//! Its place on the timeline is an estimate. A path may have held a packet up, and then the place
//! is right; or the sender's counter stood still, which shows only a while later, and until then
//! its sound is placed before it was made. Which of the two it is nobody knows when a withdrawal
//! has to cut, so that what did not come in time is cut by when it came.

use crate::time::{MeetingTime, Micros, Span};
use std::collections::VecDeque;

/// What comes this much later than its place comes in time.
const IN_TIME: Micros = Micros::from_ms(25);
/// What does not is told in steps of this up to [`STEPS_END`], then by doubling.
const STEP: Micros = Micros::from_ms(20);
const STEPS_END: Micros = Micros::from_ms(100);
/// How long [`LateSpans`] remembers: longer than any utterance.
const KEPT: Micros = Micros::from_secs(120);

/// How much later than its place a packet may have been made. Zero for what came in time, else
/// rounded up to one of few.
pub fn late(span: Span, arrived: MeetingTime) -> Micros {
    let by = arrived - span.end;
    if by <= IN_TIME {
        return Micros(0);
    }
    if by <= STEPS_END {
        return Micros((by.0 + STEP.0 - 1) / STEP.0 * STEP.0);
    }
    let mut rounded = STEPS_END;
    while rounded < by {
        rounded = Micros(rounded.0.saturating_mul(2));
    }
    rounded
}

/// What of one stream's sound was late, for those who know it by its time only.
#[derive(Clone, Default, Debug)]
pub struct LateSpans(VecDeque<(Span, Micros)>);

impl LateSpans {
    /// Sound comes, in order.
    pub fn add(&mut self, span: Span, late: Micros) {
        while self
            .0
            .front()
            .is_some_and(|(old, _)| span.start - old.end > KEPT)
        {
            self.0.pop_front();
        }
        match self.0.back_mut() {
            _ if late.0 == 0 => {}
            Some((last, of)) if *of == late && span.start <= last.end => *last = last.cover(span),
            _ => self.0.push_back((span, late)),
        }
    }

    /// The most that any of it in this span was.
    pub fn within(&self, span: Span) -> Micros {
        self.0
            .iter()
            .filter(|(of, _)| of.overlaps(span))
            .map(|(_, late)| *late)
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, to: i64) -> Span {
        Span::new(MeetingTime::from_ms(from), MeetingTime::from_ms(to))
    }

    #[test]
    fn what_did_not_come_in_time_is_rounded_up() {
        let rounded = |by: i64| late(span(980, 1_000), MeetingTime::from_ms(1_000 + by)).as_ms();
        for (by, expect) in [
            (-500, 0),
            (25, 0),
            (26, 40),
            (41, 60),
            (100, 100),
            (101, 200),
            (1_500, 1_600),
            (9_000, 12_800),
        ] {
            assert_eq!(rounded(by), expect, "{by}");
        }
        // What was rounded stays what it is.
        assert_eq!(rounded(1_600), 1_600);
        assert!(late(span(0, 20), MeetingTime::MAX) > Micros::from_secs(1_000_000));
    }

    #[test]
    fn a_span_is_as_late_as_anything_in_it() {
        let mut lates = LateSpans::default();
        for (from, late) in [
            (0, 0),
            (20, 100),
            (40, 100),
            (60, 1_600),
            (80, 0),
            (100, 100),
        ] {
            lates.add(span(from, from + 20), Micros::from_ms(late));
        }
        for (from, to, expect) in [
            (0, 20, 0),
            (0, 21, 100),
            (30, 60, 100),
            (59, 61, 1_600),
            (80, 100, 0),
            (85, 300, 100),
        ] {
            assert_eq!(lates.within(span(from, to)).as_ms(), expect, "{from}..{to}");
        }
        lates.add(span(200_000, 200_020), Micros(0));
        assert_eq!(lates.within(span(0, 300_000)), Micros(0));
    }
}
