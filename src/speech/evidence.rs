//! What voice and words say about an utterance: where it really is, and whether it sounds finished.

use crate::domain::{
    endpoint::Hint,
    time::{Micros, Span, total},
    transcript::{Hypothesis, Word, ends_sentence},
};

/// From the first voice to the last.
pub fn hull(voiced: &[Span], within: Span) -> Span {
    match (voiced.first(), voiced.last()) {
        (Some(first), Some(last)) => {
            Span::new(first.start.max(within.start), last.end.min(within.end))
        }
        _ => within,
    }
}

/// From the utterance's beginning to the end of its last word.
pub fn words_span(words: &[Word], whole: Span) -> Span {
    Span::new(
        whole.start,
        words.last().map_or(whole.end, |word| word.span.end),
    )
}

/// A stop that the decoder is so sure of ends a sentence; below [`MAYBE_STOP`] it is one of several
/// ways to go on. Decoders end whatever they hear with a stop, but are not sure of it in
/// mid-sentence.
const SURE_STOP: f32 = 0.75;
const MAYBE_STOP: f32 = 0.4;
/// Voice that is surely more than the beginning of a sentence.
const LONG: Micros = Micros::from_secs(2);

/// What the words so far sound like: a sentence that ended, or one that goes on.
pub fn hint(hypothesis: &Hypothesis, voiced: &[Span]) -> Option<Hint> {
    let last = hypothesis.words.last()?;
    let voiced = total(voiced);
    if ends_sentence(&last.text) {
        return match hypothesis.stop {
            SURE_STOP.. => Some(Hint::Complete),
            MAYBE_STOP.. => None,
            _ => Some(Hint::Open),
        };
    }
    let goes_on = last.text.ends_with([',', '、', '，', ';', ':', '-', '…']);
    (goes_on || voiced < LONG).then_some(Hint::Open)
}
