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

/// The text of the last pass as words. Tokens that are no text (time stamps, the end) count neither
/// for probability nor for the limit.
pub fn words(context: &WhisperContext, state: &WhisperState, tokens_max: u32) -> Done {
    let (end, first_stamp) = (context.token_eot(), context.token_beg());
    let mut words: Vec<Spelling> = Vec::new();
    let (mut tokens, mut log_prob, mut until, mut ended) = (0u32, 0.0, None, false);
    let mut stop = 0.0;
    for segment in state.as_iter() {
        for n in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(n) else {
                continue;
            };
            let data = token.token_data();
            ended = token.token_id() >= end;
            if token.token_id() > first_stamp {
                until = Some(i64::from(token.token_id() - first_stamp) * STAMP_US);
            }
            if token.token_id() >= end {
                continue;
            }
            tokens += 1;
            log_prob += data.plog;
            let Ok(bytes) = token.to_bytes() else {
                continue;
            };
            let spaced = bytes.first() == Some(&b' ');
            let is_word = String::from_utf8_lossy(bytes)
                .chars()
                .any(char::is_alphanumeric);
            stop = if is_word { 0.0 } else { data.p };
            let own = std::str::from_utf8(bytes)
                .is_ok_and(|text| text.chars().next().is_some_and(is_unspaced));
            match words.last_mut() {
                Some(word) if !spaced && !own => {
                    word.bytes.extend_from_slice(bytes);
                    word.probability += data.p;
                    word.tokens += 1;
                }
                _ => words.push(Spelling {
                    bytes: bytes.to_vec(),
                    spaced,
                    probability: data.p,
                    tokens: 1,
                }),
            }
        }
    }
    Done {
        words: words
            .into_iter()
            .map(|word| WireWord {
                t: String::from_utf8_lossy(&word.bytes).trim().to_owned(),
                s: word.spaced,
                p: (word.probability / word.tokens as f32).clamp(0.0, 1.0),
            })
            .filter(|word| !word.t.is_empty())
            .collect(),
        log_prob: log_prob / tokens.max(1) as f32,
        truncated: !ended && tokens >= tokens_max,
        stop,
        tokens,
        until_us: until,
        ..Done::default()
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
