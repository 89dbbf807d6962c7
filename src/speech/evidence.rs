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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{time::MeetingTime, transcript::HeardWord};

    fn ms(from: i64, to: i64) -> Span {
        Span::new(MeetingTime::from_ms(from), MeetingTime::from_ms(to))
    }

    fn heard(line: &str, stop: f32) -> Hypothesis {
        let words = line.split_whitespace().map(|text| HeardWord {
            text: text.into(),
            spaced: true,
            confidence: 0.9,
        });
        Hypothesis {
            words: words.collect(),
            stop,
            ..Hypothesis::default()
        }
    }

    #[test]
    fn a_sentence_has_ended_where_the_decoder_is_sure_of_its_stop() {
        let long = [ms(0, 1_500), ms(1_700, 3_000)];
        for (line, stop, expected) in [
            ("We begin at nine.", 0.9, Some(Hint::Complete)),
            ("We begin at nine.", 0.6, None),
            ("We begin at nine.", 0.2, Some(Hint::Open)),
            ("We begin at nine,", 0.9, Some(Hint::Open)),
            ("We begin at nine", 0.0, None),
        ] {
            assert_eq!(hint(&heard(line, stop), &long), expected, "{line} {stop}");
        }
        let short = hint(&heard("We begin", 0.0), &[ms(0, 700)]);
        assert_eq!(short, Some(Hint::Open), "hardly the whole sentence");
        assert_eq!(hint(&heard("", 0.9), &long), None);
    }

    #[test]
    fn an_utterance_is_where_its_voice_is() {
        let within = ms(1_000, 5_000);
        assert_eq!(
            hull(&[ms(1_200, 2_000), ms(2_500, 4_000)], within),
            ms(1_200, 4_000)
        );
        assert_eq!(hull(&[ms(900, 5_100)], within), within);
        assert_eq!(hull(&[], within), within);
    }
}
