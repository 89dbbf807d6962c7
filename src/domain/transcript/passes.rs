//! Which passes of the decoder an utterance is worth, and which of them is believed.

use super::{Doubt, Hypothesis, bare, doubt, has_letters, said};
use crate::time::Micros;

/// Voice below this may as well be a click: letters decoded of it are dropped without a word.
pub const VOICE_WORTH_A_WORD: Micros = Micros::from_ms(300);
/// Tokens of text that a second of speech takes in the languages that Whisper's vocabulary was made
/// for: about 4, and as many again for fast speakers and figures.
const TOKENS_PER_SECOND: u32 = 7;
/// Nobody who says the same twice does it with more letters a second (32 is the limit of all
/// speech, fast speakers reach 18).
const LETTERS_PER_SECOND_TWICE: f64 = 15.0;
/// Fewer words are said twice by people, too.
const PHRASE_WORDS_MIN: usize = 3;
/// Tokens that an utterance of no length may have.
const TOKENS_FIXED: u32 = 12;

/// The window of a pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Window {
    /// As short as the audio allows.
    Short,
    /// In a short one decoders take single short words for silence, and begin to loop. This one
    /// costs a third of the full one.
    Wide,
    /// The full one and a little chance: Whisper's own way out of loops.
    Full,
}

/// The window of another pass, if the audio is worth one, given the best so far. `tried`: the
/// widest so far. `thorough`: also when letters were heard and yet most likely nothing was said,
/// and a third time where the second is doubted, too.
pub fn again(
    best: &Hypothesis,
    voiced: Micros,
    (tried, passes): (Window, u32),
    thorough: bool,
) -> Option<Window> {
    let doubt = doubt(best, voiced)?;
    if doubt.is_empty() {
        let worth = thorough && tried == Window::Short && heard_letters(best, voiced);
        return worth.then_some(Window::Wide);
    }
    if passes > u32::from(thorough) + 1 {
        return None;
    }
    match tried {
        Window::Short => Some(Window::Wide),
        Window::Wide => Some(Window::Full),
        Window::Full => None,
    }
}

/// How many of the words were said, where a decoder says the whole utterance again and again (the
/// last time perhaps not to its end): those of the first time, if nobody can have said them all in
/// this time; else all.
pub fn said_once(words: &[impl AsRef<str>], voiced: Micros) -> usize {
    let bare: Vec<String> = words.iter().map(|word| bare(word.as_ref())).collect();
    let letters: usize = bare.iter().map(|word| word.chars().count()).sum();
    if (letters as f64) <= LETTERS_PER_SECOND_TWICE * voiced.0 as f64 / 1e6 {
        return words.len();
    }
    let again = |n: &usize| {
        bare.iter()
            .zip(bare.iter().cycle().skip(*n))
            .take(bare.len() - n)
    };
    (PHRASE_WORDS_MIN..=words.len() / 2)
        .find(|n| again(n).all(|(first, second)| first == second))
        .unwrap_or(words.len())
}

/// Whether letters were decoded from enough voice that dropping them has to be told.
pub fn heard_letters(hypothesis: &Hypothesis, voiced: Micros) -> bool {
    voiced >= VOICE_WORTH_A_WORD
        && said(&hypothesis.words)
            .iter()
            .any(|word| has_letters(&word.text))
}

/// Whether the second pass is believed rather than the first, which was doubted.
pub fn is_better(first: &Hypothesis, second: &Hypothesis, voiced: Micros) -> bool {
    match doubt(second, voiced) {
        None => true,
        // Of two that are doubted, the more probable one; the limit of tokens most likely stopped a
        // loop.
        Some(doubt) => {
            !doubt.is_empty() && !second.truncated && second.log_prob > first.log_prob
                || doubt == Doubt::CutShort && second.words.len() > first.words.len()
        }
    }
}

/// The most tokens of text that so much audio can take: by script, because Whisper's vocabulary
/// has whole words of some and only bytes of others (Hindi and Tamil take about 12 tokens for a
/// second of speech, Thai about 10). A second pass gets more room than the first.
pub fn tokens_max(language: &str, audio: Micros, second: bool) -> u32 {
    let rate = match language {
        // Three bytes a letter, hardly a token of more than one.
        "hi" | "mr" | "ne" | "sa" | "bn" | "as" | "gu" | "pa" | "ta" | "te" | "kn" | "ml"
        | "si" | "my" | "km" | "lo" | "bo" | "am" | "ka" | "hy" => 20,
        "th" | "sd" | "ur" | "ps" | "fa" | "he" | "yi" | "mn" | "kk" => 16,
        "zh" | "yue" | "ja" | "ko" | "ar" | "el" | "ru" | "uk" | "be" | "bg" | "sr" | "mk"
        | "tg" | "ba" | "tt" | "vi" => 12,
        _ => TOKENS_PER_SECOND,
    };
    let rate = if second { rate * 3 / 2 } else { rate };
    TOKENS_FIXED + (u64::from(rate) * audio.0.max(0).unsigned_abs()).div_ceil(1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::HeardWord;

    fn heard(line: &str, no_speech: f32, log_prob: f32) -> Hypothesis {
        Hypothesis {
            words: line
                .split_whitespace()
                .map(|word| HeardWord {
                    text: word.into(),
                    spaced: true,
                    confidence: 0.8,
                })
                .collect(),
            no_speech,
            log_prob,
            ..Hypothesis::default()
        }
    }

    const SECOND: Micros = Micros::from_secs(1);

    #[test]
    fn a_doubted_pass_gets_a_wider_window_and_a_loop_the_full_one_after_that() {
        let loops = heard("we can do it we can do it we can do it", 0.0, -0.1);
        let (short, wide, full) = (Window::Short, Window::Wide, Window::Full);
        assert_eq!(again(&loops, SECOND, (short, 1), false), Some(wide));
        assert_eq!(again(&loops, SECOND, (wide, 2), true), Some(full));
        assert_eq!(again(&loops, SECOND, (wide, 2), false), None, "under load");
        assert_eq!(again(&loops, SECOND, (wide, 1), false), Some(full), "long");
        assert_eq!(again(&loops, SECOND, (full, 2), true), None);
        let dropped = heard("Okay.", 0.4, -1.2);
        assert_eq!(again(&dropped, SECOND, (short, 1), true), Some(wide));
        assert_eq!(again(&dropped, SECOND, (wide, 2), true), None);
        assert_eq!(again(&dropped, SECOND, (short, 1), false), None, "load");
        let click = Micros::from_ms(250);
        assert_eq!(again(&dropped, click, (short, 1), true), None);
        for certain in [
            heard("[music]", 0.9, -0.1),
            heard("Good morning.", 0.0, -0.1),
        ] {
            assert_eq!(again(&certain, SECOND, (short, 1), true), None);
        }
    }

    #[test]
    fn the_second_pass_is_believed_when_it_is_not_doubted_or_doubted_less() {
        let dropped = heard("Okay.", 0.4, -1.2);
        assert!(is_better(&dropped, &heard("Okay.", 0.1, -0.5), SECOND));
        assert!(!is_better(&dropped, &heard("Okay.", 0.7, -1.0), SECOND));
        let loops = heard("we can do it we can do it we can do it", 0.0, -0.5);
        let other = heard("so we can so we can so we can", 0.0, -0.3);
        assert!(is_better(&loops, &other, SECOND));
        let cut = Hypothesis {
            truncated: true,
            ..other
        };
        assert!(!is_better(&loops, &cut, SECOND));
    }

    #[test]
    fn an_utterance_that_the_decoder_repeats_is_taken_once() {
        let of = |line: &str, voiced_ms| {
            let words: Vec<&str> = line.split(' ').collect();
            said_once(&words, Micros::from_ms(voiced_ms))
        };
        assert_eq!(
            of("Are there any questions? Are there any questions?", 1_730),
            4
        );
        assert_eq!(
            of("Ready to start now. Ready to start now. Ready to", 1_500),
            4,
            "the limit of tokens cut the last one"
        );
        assert_eq!(of("I don't know. I don't know.", 1_800), 6, "a person can");
        assert_eq!(
            of("Are there any questions? Are there any answers?", 1_730),
            8
        );
        assert_eq!(of("No. No. No. No.", 300), 4);
        assert_eq!(of("Hello everyone!", 100), 2);
    }

    #[test]
    fn every_script_has_room_for_a_fast_speaker() {
        let seconds = Micros::from_secs(10);
        for (language, needs) in [
            ("en", 60),
            ("hi", 150),
            ("ta", 150),
            ("th", 130),
            ("ru", 90),
        ] {
            let first = tokens_max(language, seconds, false);
            assert!(first >= needs, "{language}: {first}");
            assert!(tokens_max(language, seconds, true) > first);
        }
        assert!(tokens_max("en", Micros(0), false) >= 8);
    }
}
