//! What a pass of whisper.cpp left behind, as words and probabilities.

use crate::domain::transcript::language::{Sounds, sounds_like};
use crate::speech::protocol::{Done, WireWord};
use anyhow::anyhow;
use whisper_rs::{WhisperContext, WhisperState};

/// Microseconds between two time stamps.
const STAMP_US: i64 = 20_000;

/// A word while its tokens come.
struct Spelling {
    bytes: Vec<u8>,
    spaced: bool,
    probability: f32,
    tokens: u32,
}

/// One token as decoded.
struct Token<'a> {
    id: i32,
    /// Of its text; tokens that are no text have none that counts.
    bytes: &'a [u8],
    probability: f32,
    log_prob: f32,
}

/// The text of the last pass as words.
pub fn words(context: &WhisperContext, state: &WhisperState, tokens_max: u32) -> Done {
    let mut spelled = Spelled::new(context.token_eot(), context.token_beg());
    for segment in state.as_iter() {
        for n in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(n) else {
                continue;
            };
            let data = token.token_data();
            spelled.add(&Token {
                id: token.token_id(),
                bytes: token.to_bytes().unwrap_or_default(),
                probability: data.p,
                log_prob: data.plog,
            });
        }
    }
    spelled.done(tokens_max)
}

/// Words from tokens. Those that are no text (time stamps, the end) count neither for probability
/// nor for the limit.
struct Spelled {
    end: i32,
    first_stamp: i32,
    words: Vec<Spelling>,
    tokens: u32,
    log_prob: f32,
    until: Option<i64>,
    ended: bool,
    stop: f32,
}

impl Spelled {
    /// `end` and `first_stamp`: the ids of the end of the text and of the time stamp 0.00.
    fn new(end: i32, first_stamp: i32) -> Self {
        Self {
            end,
            first_stamp,
            words: Vec::new(),
            tokens: 0,
            log_prob: 0.0,
            until: None,
            ended: false,
            stop: 0.0,
        }
    }

    fn add(&mut self, token: &Token<'_>) {
        self.ended = token.id >= self.end;
        if token.id > self.first_stamp {
            self.until = Some(i64::from(token.id - self.first_stamp) * STAMP_US);
        }
        if self.ended {
            return;
        }
        self.tokens += 1;
        self.log_prob += token.log_prob;
        let is_word = String::from_utf8_lossy(token.bytes)
            .chars()
            .any(char::is_alphanumeric);
        self.stop = if is_word { 0.0 } else { token.probability };
        let spaced = token.bytes.first() == Some(&b' ');
        let own = std::str::from_utf8(token.bytes)
            .is_ok_and(|text| text.chars().next().is_some_and(is_unspaced));
        match self.words.last_mut() {
            Some(word) if !spaced && !own => {
                word.bytes.extend_from_slice(token.bytes);
                word.probability += token.probability;
                word.tokens += 1;
            }
            _ => self.words.push(Spelling {
                bytes: token.bytes.to_vec(),
                spaced,
                probability: token.probability,
                tokens: 1,
            }),
        }
    }

    fn done(self, tokens_max: u32) -> Done {
        let words = self.words.into_iter().map(|word| WireWord {
            t: String::from_utf8_lossy(&word.bytes).trim().to_owned(),
            s: word.spaced,
            p: (word.probability / word.tokens as f32).clamp(0.0, 1.0),
        });
        Done {
            words: words.filter(|word| !word.t.is_empty()).collect(),
            log_prob: self.log_prob / self.tokens.max(1) as f32,
            truncated: !self.ended && self.tokens >= tokens_max,
            stop: self.stop,
            tokens: self.tokens,
            until_us: self.until,
            ..Done::default()
        }
    }
}

/// The true no-speech probability and the language: one decoder step on start-of-transcript alone.
/// (What whisper.cpp 1.8.3 reports is computed from a row of logits that was never filled.)
pub fn probe(
    context: &WhisperContext,
    state: &mut WhisperState,
    among: &[String],
) -> anyhow::Result<(f32, Option<Sounds>)> {
    state
        .decode(&[context.token_sot()], 0, 1)
        .map_err(|error| anyhow!("whisper.cpp: {error}"))?;
    let logits = state
        .get_logits()
        .map_err(|error| anyhow!("whisper.cpp: {error}"))?;
    let no_speech = softmax(logits, context.token_nosp() as usize, 0..logits.len());
    if !context.is_multilingual() {
        return Ok((no_speech, None));
    }
    let first = context.token_lang(0) as usize;
    let count = whisper_rs::get_lang_max_id() as usize + 1;
    let all = first..first + count;
    let probabilities = (0..count).filter_map(|n| {
        let name = whisper_rs::get_lang_str(n as i32)?;
        Some((name, softmax(logits, first + n, all.clone())))
    });
    Ok((no_speech, sounds_like(probabilities, among)))
}

fn softmax(logits: &[f32], index: usize, among: std::ops::Range<usize>) -> f32 {
    let Some(among) = logits.get(among) else {
        return 0.0;
    };
    let Some(logit) = logits.get(index) else {
        return 0.0;
    };
    let max = among.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (logit - max).exp() / among.iter().map(|other| (other - max).exp()).sum::<f32>()
}

/// Letters of scripts that put no space between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i32 = 50_256;
    const FIRST_STAMP: i32 = 50_363;

    fn spell(tokens: &[(i32, &str, f32)], tokens_max: u32) -> Done {
        let mut spelled = Spelled::new(END, FIRST_STAMP);
        for (id, text, probability) in tokens {
            spelled.add(&Token {
                id: *id,
                bytes: text.as_bytes(),
                probability: *probability,
                log_prob: probability.ln(),
            });
        }
        spelled.done(tokens_max)
    }

    #[test]
    fn time_stamps_and_the_end_are_no_text() {
        let stamp = |ms: i32| FIRST_STAMP + ms / 20;
        let done = spell(
            &[
                (stamp(0), "", 0.1),
                (1, " Good", 0.9),
                (2, " mor", 0.8),
                (3, "ning", 0.6),
                (4, ".", 0.5),
                (stamp(1_500), "", 0.1),
                (END, "", 0.1),
            ],
            4,
        );
        let words: Vec<_> = done
            .words
            .iter()
            .map(|word| (&word.t[..], word.s))
            .collect();
        assert_eq!(words, [("Good", true), ("morning.", true)]);
        assert!((done.words[1].p - 1.9 / 3.0).abs() < 1e-5);
        assert_eq!((done.tokens, done.until_us), (4, Some(1_500_000)));
        let mean = (0.9f32.ln() + 0.8f32.ln() + 0.6f32.ln() + 0.5f32.ln()) / 4.0;
        assert!((done.log_prob - mean).abs() < 1e-5, "{}", done.log_prob);
        assert!(!done.truncated, "it came to its end within the limit");
        assert!((done.stop - 0.5).abs() < 1e-5);
    }

    #[test]
    fn a_text_that_stops_at_the_limit_is_cut_short() {
        let words = [(1, " one", 0.9), (2, " two", 0.9), (3, " three", 0.9)];
        assert!(spell(&words, 3).truncated);
        assert!(!spell(&words, 4).truncated);
        assert_eq!(spell(&words, 3).stop, 0.0, "no stop behind a word");
        let done = spell(&[(FIRST_STAMP, "", 0.9), (END, "", 0.9)], 3);
        assert!(done.words.is_empty() && !done.truncated && done.until_us.is_none());
    }

    #[test]
    fn scripts_without_spaces_have_a_word_for_each_token() {
        let tokens = [
            (1, "\u{4f60}", 0.9),
            (2, "\u{597d}", 0.9),
            (3, "\u{3002}", 0.9),
        ];
        let words: Vec<_> = spell(&tokens, 9)
            .words
            .into_iter()
            .map(|word| (word.t, word.s))
            .collect();
        assert_eq!(
            words,
            [
                ("\u{4f60}".into(), false),
                ("\u{597d}\u{3002}".into(), false)
            ]
        );
    }
}
