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
    pub enum TranscriptGapReason(
        "reason for missing words",
        schema "TranscriptGapReason": "Why words are missing: `lost`: it was not received. `interrupted`: the process that heard it ended first. `undecoded`: too much waited for the decoder, or it failed. `not_stored`: nobody heard it while it was said, and its sound was not kept."
    ) {
        /// Nothing of it was received: it did not arrive, or nobody listened.
        Lost = "lost",
        /// The process that heard it ended first.
        Interrupted = "interrupted",
        /// Too much waited for the decoder, or it failed.
        Undecoded = "undecoded",
        /// Nobody heard it while it was said, and its sound was not kept: there is nothing to look
        /// for it in.
        NotStored = "not_stored",
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

/// What is there of somebody after the end.
#[derive(Clone, Copy, Debug)]
pub struct KeptSound<'a> {
    /// When it agreed to transcription and nothing held that.
    pub spoken: &'a [Span],
    /// When its sound was kept, had it sent any: it agreed to recording, too, and its tracks are
    /// there.
    pub stored: &'a [Span],
    /// Where its words are.
    pub finals: &'a [Span],
}

/// What becomes of a place where words are missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fill {
    /// To be transcribed from the tracks: kept under both purposes, and without words so far.
    pub transcribe: Vec<Span>,
    /// Told as [`TranscriptGapReason::NotStored`].
    pub not_stored: Vec<Span>,
}

/// Decides what is transcribed after the end and what is told as missing for good. Sound of two
/// consent entries is kept apart where it is admitted.
pub fn fill(missing: Missing, kept: KeptSound) -> Fill {
    let search = Span::new(missing.search.min(missing.span.start), missing.span.end);
    let mut transcribe = intersect(&searched(search, kept.spoken, kept.finals), kept.stored);
    transcribe.retain(|span| span.length() >= WORD_MIN);
    let mut not_stored = subtract(
        &searched(missing.span, kept.spoken, kept.finals),
        kept.stored,
    );
    not_stored.retain(|span| span.length() >= WORD_MIN);
    Fill {
        transcribe,
        not_stored,
    }
}

/// So much sound is transcribed before what was found of it is stored, or more, until somebody
/// takes a breath.
const PORTION: Micros = Micros::from_secs(30);
const PORTION_MAX: Micros = Micros::from_secs(90);
/// Softer than this nobody speaks (root mean square).
const QUIET: f32 = 0.003;

/// Whether a portion of this length may end behind a piece of this loudness.
pub fn ends_portion(length: Micros, loudness: f32) -> bool {
    length >= PORTION && loudness < QUIET || length >= PORTION_MAX
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

    #[test]
    fn what_was_kept_under_both_purposes_is_transcribed_and_the_rest_is_told() {
        let missing = Missing {
            span: span(10_000, 40_000),
            search: MeetingTime::from_ms(5_000),
        };
        let whole = [span(0, 60_000)];
        let all = KeptSound {
            spoken: &whole,
            stored: &whole,
            finals: &[],
        };
        let only = |transcribe: Vec<Span>, not_stored: Vec<Span>| Fill {
            transcribe,
            not_stored,
        };
        // What a holder that was behind had in hand is looked for, too.
        assert_eq!(fill(missing, all), only(vec![span(5_000, 40_000)], vec![]));
        // Not recorded at all, for part of it, and never transcribed.
        assert_eq!(
            fill(missing, KeptSound { stored: &[], ..all }),
            only(vec![], vec![span(10_000, 40_000)])
        );
        let stored = [span(0, 20_000), span(30_000, 30_200)];
        assert_eq!(
            fill(
                missing,
                KeptSound {
                    stored: &stored,
                    ..all
                }
            ),
            only(
                vec![span(5_000, 20_000)],
                vec![span(20_000, 30_000), span(30_200, 40_000)]
            )
        );
        assert_eq!(
            fill(missing, KeptSound { spoken: &[], ..all }),
            only(vec![], vec![])
        );
        // Where words are, none are missing.
        let finals = [span(6_000, 12_000), span(39_000, 39_900)];
        assert_eq!(
            fill(
                missing,
                KeptSound {
                    stored: &stored,
                    finals: &finals,
                    ..all
                }
            ),
            only(
                vec![span(5_000, 5_700), span(12_300, 20_000)],
                vec![span(20_000, 30_000), span(30_200, 38_700)]
            )
        );
    }

    #[test]
    fn a_portion_ends_at_a_pause_or_when_there_is_none() {
        let ends = |s, loudness| ends_portion(Micros::from_secs(s), loudness);
        assert!(!ends(29, 0.0) && ends(30, 0.0));
        assert!(!ends(60, 0.1) && ends(90, 0.1));
    }
}
