//! One caption from its first guess to its end: revisions, the stable prefix, and what is not worth
//! saying.
//!
//! A [`Segment`] is told hypotheses in the order of their audio and answers with what clients may
//! be told. It ends exactly once, with a final or (if anything was ever shown) with a retraction.
//! The stable prefix comes from the agreement of two passes (LocalAgreement-2, Macháček et al.
//! 2023); it only marks, the final is always one decode of the whole utterance.

pub mod language;
mod passes;
mod placing;
mod segment;
mod spoken;

pub use passes::{
    VOICE_WORTH_A_WORD, Window, again, heard_letters, is_better, said_once, tokens_max,
};
pub use placing::place;
pub use segment::{Ending, Partial, RetractionReason, Segment};
pub use spoken::{Before, Spoken, ends_sentence};

use crate::time::{Micros, Span};

/// True no-speech probability above which short or unsure text is nothing said.
const NO_SPEECH: f32 = 0.6;
/// More likely than not nobody spoke: a loop then has nothing true at its root, and a few words are
/// what models trained on subtitles say when they hear nothing ("Thank you.", "Bye.").
const NOBODY: f32 = 0.5;
/// Above this, text that the decoder all but invented.
const MAYBE_NO_SPEECH: f32 = 0.2;
const INVENTING: f32 = -1.0;
/// Who speaks says more words than this in a second of voice: slow readers say 2. (Of 20 s of noise
/// that the voice detector takes for a voice, base makes up to 14 words, or a sentence again and
/// again, with a no-speech probability of 0.75 to 0.9 and a log probability of -0.4.)
const WORDS_PER_SECOND_MIN: f64 = 1.2;
/// Above this, text is nothing said unless a lot of voice stood behind it.
const SURELY_NO_SPEECH: f32 = 0.9;
/// Mean log probability per token below which the decoder was guessing.
const GUESSING: f32 = -0.8;
/// Nobody speaks so many letters a second.
const LETTERS_PER_SECOND_MAX: f64 = 32.0;
/// The longest phrase whose repetition is looked for, in words.
const LOOP_WORDS_MAX: usize = 40;
/// A decoder that stamps the end of what it heard so long before the end of the voice has left
/// something out.
const LEFT_OUT: Micros = Micros::from_ms(1_500);

/// A word as decoded, without a time.
#[derive(Clone, PartialEq, Debug)]
pub struct HeardWord {
    pub text: String,
    /// Whether a space stands before it (not in Chinese, Japanese, Thai).
    pub spaced: bool,
    /// Mean probability of its tokens, 0 to 1.
    pub confidence: f32,
}

/// One pass of the decoder over some audio.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Hypothesis {
    pub words: Vec<HeardWord>,
    /// Probability that the audio holds no speech, from the first prediction after
    /// start-of-transcript.
    pub no_speech: f32,
    /// Mean log probability per token.
    pub log_prob: f32,
    /// The limit of tokens stopped it: most likely a loop.
    pub truncated: bool,
    /// Probability of the punctuation that ends it; 0 where it ends without.
    pub stop: f32,
    /// The language that it was decoded in, ISO 639-1.
    pub used: String,
    /// What the audio sounds like; none from a model of one language.
    pub sounds: Option<language::Sounds>,
    /// How much audio there was, and up to where the decoder's last time stamp says that it has
    /// words; none from a decoder without time stamps.
    pub until: Option<(Micros, Micros)>,
}

/// A word with its place on the meeting's timeline.
#[derive(Clone, PartialEq, Debug)]
pub struct Word {
    pub text: String,
    pub spaced: bool,
    pub span: Span,
    pub confidence: f32,
}

/// Words as one line.
pub fn text<'a>(words: impl IntoIterator<Item = &'a Word>) -> String {
    let mut text = String::new();
    for word in words {
        if word.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    text
}

/// Why a hypothesis is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// Nothing but punctuation, brackets or music notes.
    NoLetters,
    /// The model itself says that nobody spoke.
    NoSpeech,
    /// A few words over little evidence that anybody spoke.
    Weak,
    /// The same words again and again.
    Repetition,
    /// More letters than anybody can say in that time.
    Rate,
    /// Stopped by the limit of tokens.
    Truncated,
    /// The words end long before the voice does.
    CutShort,
}

impl Doubt {
    /// Whether the utterance is empty; otherwise another pass may do better.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::NoLetters | Self::NoSpeech | Self::Weak)
    }
}

/// A few words of which the decoder is not sure need a model that is rather sure that somebody
/// spoke. (Short answers by synthetic voices have a mean probability of 0.4 and a no-speech
/// probability below 0.3.)
const FEW_WORDS: usize = 4;
const UNSURE: f32 = 0.6;
const WEAK_NO_SPEECH: f32 = 0.3;

/// Looks for reasons not to believe a hypothesis about audio with so much voice in it.
pub fn doubt(hypothesis: &Hypothesis, voiced: Micros) -> Option<Doubt> {
    let words = said(&hypothesis.words);
    if !words.iter().any(|word| has_letters(&word.text)) {
        return Some(Doubt::NoLetters);
    }
    let seconds = voiced.0 as f64 / 1e6;
    let unsure = hypothesis.log_prob < GUESSING;
    let whole: Vec<String> = words.iter().map(|word| bare(&word.text)).collect();
    let looped = loops(&whole).is_some();
    let few = (untangle(words.clone()).len() as f64) < WORDS_PER_SECOND_MIN * seconds;
    if hypothesis.no_speech > NO_SPEECH && (unsure || looped || few || seconds < 1.5)
        || hypothesis.no_speech > NOBODY && looped
        || hypothesis.no_speech > SURELY_NO_SPEECH && seconds < 4.0
        || hypothesis.no_speech > MAYBE_NO_SPEECH && hypothesis.log_prob < INVENTING
    {
        return Some(Doubt::NoSpeech);
    }
    let mean = words.iter().map(|word| word.confidence).sum::<f32>() / words.len() as f32;
    let enough = if mean < UNSURE {
        WEAK_NO_SPEECH
    } else {
        NOBODY
    };
    if words.len() <= FEW_WORDS && hypothesis.no_speech > enough {
        return Some(Doubt::Weak);
    }
    if looped || whole.iter().any(|word| stutters(word)) {
        return Some(Doubt::Repetition);
    }
    if hypothesis.truncated {
        return Some(Doubt::Truncated);
    }
    if hypothesis
        .until
        .is_some_and(|(audio, until)| audio - until > LEFT_OUT)
    {
        return Some(Doubt::CutShort);
    }
    let letters: usize = whole.iter().map(|word| word.chars().count()).sum();
    (letters as f64 > LETTERS_PER_SECOND_MAX * (seconds + 0.5)).then_some(Doubt::Rate)
}

/// What somebody said: without sound descriptions in brackets and music notes.
pub fn said(words: &[HeardWord]) -> Vec<HeardWord> {
    let mut depth = 0usize;
    let mut kept = Vec::with_capacity(words.len());
    for word in words {
        let before = depth;
        for c in word.text.chars() {
            match c {
                '[' | '(' => depth += 1,
                ']' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let bracketed = before > 0 || depth > 0 || word.text.contains(['[', ']', '(', ')']);
        if !bracketed && !word.text.contains(['♪', '♫']) {
            kept.push(word.clone());
        }
    }
    kept
}

/// What is kept of a whole utterance's decode, given why it is not believed.
pub fn kept(words: &[HeardWord], doubt: Option<Doubt>) -> Vec<HeardWord> {
    match doubt {
        Some(doubt) if doubt.is_empty() => Vec::new(),
        Some(_) => untangle(said(words)),
        None => said(words),
    }
}

/// Takes loops out: what came again and again stays once, a word that is a loop goes.
pub fn untangle(words: Vec<HeardWord>) -> Vec<HeardWord> {
    let mut words = words;
    words.retain(|word| !stutters(&word.text));
    while let Some((at, n, times)) = loops(
        &words
            .iter()
            .map(|word| bare(&word.text))
            .collect::<Vec<_>>(),
    ) {
        words.drain(at + n..at + n * times);
    }
    words
}

/// The first phrase that repeats too often: where, how many words, how many times. The longer it
/// is, the less often somebody says it twice on purpose.
fn loops(words: &[String]) -> Option<(usize, usize, usize)> {
    for n in 1..=LOOP_WORDS_MAX.min(words.len() / 2) {
        let often = match n {
            1 => 6,
            2..=3 => 4,
            4..=8 => 3,
            _ => 2,
        };
        for at in 0..=words.len() - n {
            let phrase = &words[at..at + n];
            let times = words[at..]
                .chunks_exact(n)
                .take_while(|chunk| *chunk == phrase)
                .count();
            if times >= often {
                return Some((at, n, times));
            }
        }
    }
    None
}

/// Whether a long word is the same few letters again and again ("1.5-1.5-1.5-…").
fn stutters(word: &str) -> bool {
    const PERIOD_MAX: usize = 8;
    const LETTERS_MIN: usize = 20;
    let letters: Vec<char> = word.chars().collect();
    (1..=PERIOD_MAX).any(|n| {
        let again = letters.iter().zip(letters.iter().skip(n));
        let mut run = 0;
        again.fold(0, |longest: usize, (a, b)| {
            run = if a == b { run + 1 } else { 0 };
            longest.max(run)
        }) >= LETTERS_MIN.max(3 * n)
    })
}

pub(crate) fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase()
}

/// The letters and digits of a text, in lower case, without what is between them.
pub(crate) fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// What ends a sentence.
pub const STOPS: [char; 8] = ['.', '?', '!', '。', '？', '！', '।', '؟'];

fn has_letters(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests;
