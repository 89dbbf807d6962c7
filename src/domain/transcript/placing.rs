//! When each word was said.

use super::{HeardWord, Word, bare, ends_sentence};
use crate::time::{Micros, Span, total};

/// A sentence that ends so near a pause, in voiced time, ends there: nobody pauses a word later.
const PAUSED_NEAR: Micros = Micros::from_ms(500);
/// Shorter ones are within words.
const PAUSE_MIN: Micros = Micros::from_ms(200);

/// Gives words their times: their letters spread over the voiced parts of the utterance, sentences
/// up to the pauses behind them. (Whisper's own token times are poor near silences, whisper.cpp
/// #1776; the voice detector's are exact.) Never outside `within`, never backwards.
pub fn place(words: &[HeardWord], voiced: &[Span], within: Span) -> Vec<Word> {
    let mut spans: Vec<Span> = voiced
        .iter()
        .map(|span| Span::new(span.start.max(within.start), span.end.min(within.end)))
        .filter(|span| !span.is_empty())
        .collect();
    if spans.is_empty() {
        spans.push(within);
    }
    let shares: Vec<i64> = words
        .iter()
        .scan(0, |share, word| {
            *share += 1 + bare(&word.text).chars().count() as i64;
            Some(*share)
        })
        .collect();
    let knots = knots(words, &shares, &spans);
    // A share of the letters as an instant; at a pause a start means the far side and an end the
    // near one.
    let at = |share: i64, starts: bool| {
        let mut left = voiced_at(&knots, share);
        for span in &spans {
            let length = span.length().0;
            if left < length || left == length && !starts {
                return span.start + Micros(left);
            }
            left -= length;
        }
        spans.last().map_or(within.end, |span| span.end)
    };
    let mut before = 0;
    let mut earliest = within.start;
    words
        .iter()
        .zip(&shares)
        .map(|(word, share)| {
            let start = at(before, true).max(earliest);
            let end = at(*share, false).max(start);
            (before, earliest) = (*share, end);
            Word {
                text: word.text.clone(),
                spaced: word.spaced,
                span: Span::new(start, end),
                confidence: word.confidence,
            }
        })
        .collect()
}

/// Where letters and voiced time are known to meet: shares of the letters, and voiced microseconds.
fn knots(words: &[HeardWord], shares: &[i64], spans: &[Span]) -> Vec<(i64, i64)> {
    let (whole, weight) = (
        total(spans).0,
        shares.last().copied().unwrap_or_default().max(1),
    );
    let mut knots = vec![(0, 0)];
    let mut heard = 0;
    for pair in spans.windows(2) {
        heard += pair[0].length().0;
        if pair[1].start - pair[0].end < PAUSE_MIN {
            continue;
        }
        let far = |share: i64| (voiced_at(&[(0, 0), (weight, whole)], share) - heard).abs();
        let last = knots.last().map_or(0, |(share, _)| *share);
        let ends = words
            .iter()
            .zip(shares)
            .filter(|(word, share)| ends_sentence(&word.text) && (last + 1..weight).contains(share))
            .map(|(_, share)| *share);
        if let Some(share) = ends
            .min_by_key(|share| far(*share))
            .filter(|share| far(*share) <= PAUSED_NEAR.0)
        {
            knots.push((share, heard));
        }
    }
    knots.push((weight, whole));
    knots
}

/// The voiced time of a share, on the lines between knots.
fn voiced_at(knots: &[(i64, i64)], share: i64) -> i64 {
    let line = knots.windows(2).find(|pair| share <= pair[1].0);
    let Some([(from, begin), (to, end)]) = line else {
        return knots.last().map_or(0, |(_, end)| *end);
    };
    let part = i128::from(end - begin) * i128::from(share - from) / i128::from((to - from).max(1));
    begin + part as i64
}
