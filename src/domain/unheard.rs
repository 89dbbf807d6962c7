//! Words that may be missing from a transcript: what was said with consent to transcription while
//! nobody heard it out. They are looked for again after the end in what was recorded; what is not
//! found then is told.

use crate::{
    recording::{intersect, subtract},
    schedule::WAITING_MAX,
    time::{MeetingTime, Micros, Span},
    word::words,
};

/// From a claim until the ports listen again, at most.
pub const REOPENED: Micros = Micros::from_secs(1);
/// An utterance with its pauses, its decode and its commit: what a holder that was not behind had
/// in hand when it ended.
const IN_HAND: Micros = Micros::from_secs(30);
/// A word at the edge of a final belongs to it, whatever its time stamps say.
const EDGE: Micros = Micros::from_ms(300);
/// Shorter holes hold no word.
const WORD_MIN: Micros = Micros::from_ms(300);

words! {
    /// Why words are missing.
    pub enum Why(
        "reason for missing words",
        schema "TranscriptGapReason": "Why words are missing: `lost`: it was not received. `interrupted`: the process that heard it ended first. `undecoded`: too much waited for the decoder, or it failed."
    ) {
        /// Nothing of it was received: it did not arrive, or nobody listened.
        Lost = "lost",
        /// The process that heard it ended first.
        Interrupted = "interrupted",
        /// Too much waited for the decoder, or it failed.
        Undecoded = "undecoded",
    }
}

/// One holder of a meeting: from its claim to its last sign of life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    pub began: MeetingTime,
    pub alive: MeetingTime,
}

/// Where words of somebody may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing {
    /// What is told.
    pub span: Span,
    /// From here on it is looked for: a holder that was behind had more in hand.
    pub search: MeetingTime,
}

/// What the change from one holder to the next may have cost somebody, oldest first. `spoken` is
/// when the sound of this participant could be transcribed (a stream open, present, agreed, not
/// held); `finals` are where its words are.
pub fn interrupted(holdings: &[Holding], spoken: &[Span], finals: &[Span]) -> Vec<Missing> {
    let mut missing = Vec::new();
    for pair in holdings.windows(2) {
        let (one, next) = (pair[0], pair[1]);
        let end = next.began + REOPENED;
        let said = finals
            .iter()
            .map(|last| last.end)
            .filter(|last| *last <= next.began)
            .max();
        let from = (one.alive - IN_HAND)
            .max(one.began)
            .max(said.unwrap_or(one.began));
        let search = (one.alive - WAITING_MAX - IN_HAND).max(one.began);
        let spans = intersect(spoken, &[Span::new(from, end)]);
        missing.extend(spans.into_iter().enumerate().map(|(n, span)| Missing {
            span,
            search: if n == 0 { search } else { span.start },
        }));
    }
    missing
}

/// Where words are looked for: what may be heard of a span that has no final yet.
pub fn searched(search: Span, spoken: &[Span], finals: &[Span]) -> Vec<Span> {
    let told: Vec<Span> = finals
        .iter()
        .map(|span| Span::new(span.start - EDGE, span.end + EDGE))
        .collect();
    let mut left = subtract(&intersect(&[search], spoken), &told);
    left.retain(|span| span.length() >= WORD_MIN);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from_ms: i64, to_ms: i64) -> Span {
        Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms))
    }

    fn holding(began_ms: i64, alive_ms: i64) -> Holding {
        Holding {
            began: MeetingTime::from_ms(began_ms),
            alive: MeetingTime::from_ms(alive_ms),
        }
    }

    #[test]
    fn a_change_of_holders_costs_what_was_in_hand() {
        let holdings = [
            holding(0, 60_000),
            holding(64_000, 600_000),
            holding(601_000, 700_000),
        ];
        // From the last final on, but no further back than an utterance may be old.
        let finals = [
            span(1_000, 5_000),
            span(50_000, 54_300),
            span(70_000, 71_000),
        ];
        let missing = interrupted(&holdings, &[span(0, 1_000_000)], &finals);
        assert_eq!(
            missing,
            [
                Missing {
                    span: span(54_300, 65_000),
                    search: MeetingTime::ZERO
                },
                Missing {
                    span: span(570_000, 602_000),
                    search: MeetingTime::from_ms(270_000)
                },
            ]
        );
        assert_eq!(
            interrupted(&holdings[..1], &[span(0, 1_000_000)], &finals),
            []
        );
        // Only where the person could be heard at all.
        assert_eq!(
            interrupted(
                &holdings[..2],
                &[span(0, 56_000), span(58_000, 59_000)],
                &finals
            ),
            [
                Missing {
                    span: span(54_300, 56_000),
                    search: MeetingTime::ZERO
                },
                Missing {
                    span: span(58_000, 59_000),
                    search: MeetingTime::from_ms(58_000)
                },
            ]
        );
        assert_eq!(
            interrupted(&holdings[..2], &[span(66_000, 80_000)], &finals),
            []
        );
    }

    #[test]
    fn words_are_looked_for_where_none_are() {
        let spoken = [span(0, 20_000), span(30_000, 40_000)];
        let finals = [span(5_000, 9_000), span(9_700, 12_000)];
        assert_eq!(
            searched(span(1_000, 35_000), &spoken, &finals),
            [
                span(1_000, 4_700),
                span(12_300, 20_000),
                span(30_000, 35_000)
            ]
        );
    }
}
