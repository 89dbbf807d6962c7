//! When voice begins, and when it has ended.

use crate::time::Micros;

/// Every threshold, with its reason.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Thresholds {
    /// Voice begins at this probability, and goes on above `exit`: hysteresis.
    pub onset: f32,
    pub exit: f32,
    /// Audio before the first voiced frame: 100 ms clips consonants, and the small model was
    /// measured with 250.
    pub pre_roll: Micros,
    /// Audio after the last voiced frame; longer tails invent closings.
    pub tail: Micros,
    /// Less voice than this is a click ("yes" has 150 ms and more).
    pub voiced_min: Micros,
    /// Silence until the speculative final, and while a decoder is free.
    pub guess_after: Micros,
    pub guess_early: Micros,
    /// Silence until the end: after a sentence, when unknown, in mid-clause.
    pub end_complete: Micros,
    pub end_unknown: Micros,
    pub end_open: Micros,
    /// From half of `longest` on, such a pause is an end.
    pub short_pause: Micros,
    /// The most that the model takes at once.
    pub longest: Micros,
    /// Without any audio for so long, time itself counts as silence (mute, DTX).
    pub patience: Micros,
}

impl Thresholds {
    /// The starting values of the design, for a model that takes `longest` at once.
    pub const fn new(longest: Micros) -> Self {
        Self {
            onset: 0.5,
            exit: 0.35,
            pre_roll: Micros::from_ms(250),
            tail: Micros::from_ms(190),
            voiced_min: Micros::from_ms(120),
            guess_after: Micros::from_ms(200),
            guess_early: Micros::from_ms(112),
            end_complete: Micros::from_ms(400),
            end_unknown: Micros::from_ms(600),
            end_open: Micros::from_ms(800),
            short_pause: Micros::from_ms(160),
            longest,
            patience: Micros::from_ms(300),
        }
    }

    /// The same where nobody waits for the words: a breath does not end a sentence then, which
    /// costs its context.
    pub const fn offline(longest: Micros) -> Self {
        Self {
            end_unknown: Micros::from_ms(1_200),
            ..Self::new(longest)
        }
    }
}
