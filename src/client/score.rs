//! How good the captions of a played meeting were: words against the script, and how long after
//! them.
//!
//! Each speaker's finals, in the order of time, are aligned with that speaker's utterances word by
//! word ([`crate::wer`]). A final *has words of* an utterance when a word of it was heard
//! right (or, when none was, stands for one). Latency counts from the end of the sound, with
//! packets sent when their samples were taken, so it contains everything: packetising, network,
//! endpointing, decoding, storing, telling.

use super::{
    caption::{Caption, restated},
    meeting::Utterance,
};
use crate::wer::{self, Errors};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Instant,
};

/// Of one meeting, or pooled over several.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Over the finals of everybody who did not decline.
    pub errors: Errors,
    pub finals: usize,
    pub partials: usize,
    /// Per final: its receipt after the end of the last utterance that it has words of, in seconds.
    pub final_latency_s: Vec<f64>,
    /// Per utterance: the receipt of the first partial or final that shows its last word, after its
    /// end, in seconds.
    pub last_word_latency_s: Vec<f64>,
    /// Per utterance: the receipt of the first text of it, right or wrong, after its first sound,
    /// in seconds.
    pub first_text_latency_s: Vec<f64>,
    /// UTF-16 units of all partials, and how many of them were called stable.
    pub shown_chars: usize,
    pub stable_chars: usize,
    /// Finals with words of more than one utterance.
    pub merged: usize,
    /// Utterances with words in more than one final.
    pub split: usize,
    /// Finals with words of no utterance.
    pub stray: usize,
    /// Utterances whose last word no final has.
    pub unseen: usize,
    /// Finals that took back what a partial had called stable.
    pub restated: usize,
    /// Words in captions, partials too, of those who declined. Anything but 0 is a broken promise.
    pub declined_words: usize,
}

impl Score {
    pub fn final_p(&self, fraction: f64) -> Option<f64> {
        percentile(&self.final_latency_s, fraction)
    }

    pub fn first_text_p(&self, fraction: f64) -> Option<f64> {
        percentile(&self.first_text_latency_s, fraction)
    }

    /// Of what partials showed, the share that was stable.
    pub fn stable_share(&self) -> f64 {
        self.stable_chars as f64 / self.shown_chars.max(1) as f64
    }

    pub fn last_word_p(&self, fraction: f64) -> Option<f64> {
        percentile(&self.last_word_latency_s, fraction)
    }
}

impl std::ops::Add for Score {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self.final_latency_s.extend(other.final_latency_s);
        self.last_word_latency_s.extend(other.last_word_latency_s);
        self.first_text_latency_s.extend(other.first_text_latency_s);
        Self {
            errors: self.errors + other.errors,
            finals: self.finals + other.finals,
            partials: self.partials + other.partials,
            shown_chars: self.shown_chars + other.shown_chars,
            stable_chars: self.stable_chars + other.stable_chars,
            merged: self.merged + other.merged,
            split: self.split + other.split,
            stray: self.stray + other.stray,
            unseen: self.unseen + other.unseen,
            restated: self.restated + other.restated,
            declined_words: self.declined_words + other.declined_words,
            ..self
        }
    }
}

impl std::iter::Sum for Score {
    fn sum<I: Iterator<Item = Self>>(scores: I) -> Self {
        scores.fold(Self::default(), std::ops::Add::add)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds =
            |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2} s"));
        let errors = self.errors;
        writeln!(
            f,
            "word error rate      {:.1} % ({} of {} words: {} substituted, {} inserted, {} deleted)",
            errors.rate() * 100.0,
            errors.wrong(),
            errors.reference,
            errors.substituted,
            errors.inserted,
            errors.deleted
        )?;
        writeln!(
            f,
            "final after speech   p50 {}, p95 {} ({} finals; {} merged, {} split, {} stray)",
            seconds(self.final_p(0.5)),
            seconds(self.final_p(0.95)),
            self.finals,
            self.merged,
            self.split,
            self.stray
        )?;
        writeln!(
            f,
            "last word on screen  p50 {}, p95 {} ({} partials; {} last words missed, {} finals restated)",
            seconds(self.last_word_p(0.5)),
            seconds(self.last_word_p(0.95)),
            self.partials,
            self.unseen,
            self.restated
        )?;
        write!(f, "words of decliners   {}", self.declined_words)
    }
}

/// Scores what one client received, in the order of receipt. `zero` is when the script began.
pub fn score(
    utterances: &[Utterance],
    declined: &[String],
    zero: Instant,
    captions: &[Caption],
) -> Score {
    let partials = || captions.iter().filter(|caption| !caption.last);
    let said_nothing = |caption: &&Caption| declined.contains(&caption.speaker);
    let mut score = Score {
        finals: captions.iter().filter(|caption| caption.last).count(),
        partials: captions.iter().filter(|caption| !caption.last).count(),
        restated: restated(captions),
        shown_chars: partials()
            .map(|caption| caption.text.encode_utf16().count())
            .sum(),
        stable_chars: partials().map(|caption| caption.stable_chars).sum(),
        declined_words: captions
            .iter()
            .filter(said_nothing)
            .map(|caption| wer::words(&caption.text).len())
            .sum(),
        ..Score::default()
    };
    let speakers: BTreeSet<&str> = utterances
        .iter()
        .map(|utterance| utterance.speaker.as_str())
        .chain(captions.iter().map(|caption| caption.speaker.as_str()))
        .filter(|speaker| !declined.iter().any(|name| name == speaker))
        .collect();
    for speaker in speakers {
        let said: Vec<&Utterance> = utterances
            .iter()
            .filter(|utterance| utterance.speaker == speaker)
            .collect();
        let seen: Vec<&Caption> = captions
            .iter()
            .filter(|caption| caption.speaker == speaker)
            .collect();
        one_speaker(&said, &seen, zero, &mut score);
    }
    score
}

/// A word and the index of the utterance or final that it is in.
type Placed = (Vec<String>, Vec<usize>);

fn placed<'a>(texts: impl Iterator<Item = &'a str>) -> Placed {
    texts
        .enumerate()
        .flat_map(|(index, text)| wer::words(text).into_iter().map(move |word| (word, index)))
        .unzip()
}

fn one_speaker(said: &[&Utterance], seen: &[&Caption], zero: Instant, score: &mut Score) {
    let mut finals: Vec<&Caption> = seen
        .iter()
        .copied()
        .filter(|caption| caption.last)
        .collect();
    finals.sort_by_key(|caption| (caption.start_ms, caption.end_ms));
    let (reference, utterance_of) = placed(said.iter().map(|utterance| utterance.text.as_str()));
    let (heard, final_of) = placed(finals.iter().map(|caption| caption.text.as_str()));
    let pairs = wer::align(&reference, &heard);

    let right = |&(r, h): &(usize, usize)| reference[r] == heard[h];
    let both: Vec<(usize, usize)> = pairs.iter().filter_map(|&(r, h)| Some((r?, h?))).collect();
    let substituted = both.iter().filter(|pair| !right(pair)).count();
    score.errors = score.errors
        + Errors {
            substituted,
            inserted: heard.len() - both.len(),
            deleted: reference.len() - both.len(),
            reference: reference.len(),
        };

    // Which utterances each final has words of.
    let mut has: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for &(r, h) in both.iter().filter(|pair| right(pair)) {
        has.entry(final_of[h]).or_default().insert(utterance_of[r]);
    }
    for &(r, h) in &both {
        has.entry(final_of[h])
            .or_insert_with(|| BTreeSet::from([utterance_of[r]]));
    }
    for (index, caption) in finals.iter().enumerate() {
        match has.get(&index).and_then(|utterances| utterances.last()) {
            Some(&last) => {
                score
                    .final_latency_s
                    .push(after(zero, said[last].end_ms, caption.received))
            }
            None => score.stray += 1,
        }
    }
    score.merged += has
        .values()
        .filter(|utterances| utterances.len() > 1)
        .count();
    score.split += (0..said.len())
        .filter(|n| {
            has.values()
                .filter(|utterances| utterances.contains(n))
                .count()
                > 1
        })
        .count();

    // When anything of each utterance was first seen: the first text of its segment, or, where the
    // segment has words of an earlier one, its first word.
    for (n, utterance) in said.iter().enumerate() {
        let Some(&(_, h)) = both.iter().find(|(r, _)| utterance_of[*r] == n) else {
            continue;
        };
        let caption = finals[final_of[h]];
        let begins = has
            .get(&final_of[h])
            .and_then(|utterances| utterances.first())
            == Some(&n);
        let position = (0..h).filter(|&word| final_of[word] == final_of[h]).count();
        let whole = wer::words(&caption.text);
        let first = seen
            .iter()
            .filter(|shown| {
                shown.segment_id == caption.segment_id
                    && (begins || shows(&whole, position, &shown.text))
            })
            .map(|shown| shown.received)
            .min();
        if let Some(first) = first {
            score
                .first_text_latency_s
                .push(after(zero, utterance.start_ms, first));
        }
    }

    // When each utterance's last word was first seen.
    for (n, utterance) in said.iter().enumerate() {
        let Some(last) = utterance_of.iter().rposition(|&of| of == n) else {
            continue;
        };
        let Some(&(_, h)) = both.iter().find(|(r, _)| *r == last) else {
            score.unseen += 1;
            continue;
        };
        let caption = finals[final_of[h]];
        let position = (0..h).filter(|&word| final_of[word] == final_of[h]).count();
        let whole = wer::words(&caption.text);
        let first = seen
            .iter()
            .filter(|shown| {
                shown.segment_id == caption.segment_id && shows(&whole, position, &shown.text)
            })
            .map(|shown| shown.received)
            .min();
        if let Some(first) = first {
            score
                .last_word_latency_s
                .push(after(zero, utterance.end_ms, first));
        }
    }
}

/// Whether a partial's text shows the word at `position` of the final's words.
fn shows(whole: &[String], position: usize, partial: &str) -> bool {
    // Aligned from the end backwards, so that a word that comes twice counts as its first
    // occurrence.
    let reversed = |words: &[String]| words.iter().rev().cloned().collect::<Vec<_>>();
    let (whole, partial) = (reversed(whole), reversed(&wer::words(partial)));
    let position = whole.len() - 1 - position;
    wer::align(&whole, &partial)
        .into_iter()
        .any(|pair| match pair {
            (Some(w), Some(p)) => w == position && whole[w] == partial[p],
            _ => false,
        })
}

/// Seconds from a time of the script to an instant; negative when that was before.
fn after(zero: Instant, at_ms: i64, received: Instant) -> f64 {
    let since = received.saturating_duration_since(zero).as_secs_f64()
        - zero.saturating_duration_since(received).as_secs_f64();
    since - at_ms as f64 / 1_000.0
}

/// By the nearest rank; `None` without values.
pub fn percentile(values: &[f64], fraction: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (fraction * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn utterance(speaker: &str, text: &str, start_ms: i64, end_ms: i64) -> Utterance {
        Utterance {
            speaker: speaker.into(),
            text: text.into(),
            start_ms,
            end_ms,
            language: None,
        }
    }

    fn caption(
        zero: Instant,
        segment: &str,
        speaker: &str,
        text: &str,
        last: bool,
        at_ms: u64,
    ) -> Caption {
        Caption {
            received: zero + Duration::from_millis(at_ms),
            participant_id: speaker.into(),
            speaker: speaker.into(),
            segment_id: segment.into(),
            revision: at_ms as i64,
            last,
            start_ms: at_ms as i64,
            end_ms: at_ms as i64,
            text: text.into(),
            stable_chars: 0,
            words: Vec::new(),
        }
    }

    fn script() -> Vec<Utterance> {
        vec![
            utterance("Ana", "Good morning, Ben.", 1_000, 2_000),
            utterance("Ben", "No.", 2_100, 2_400),
            utterance("Ana", "The cat saw the cat.", 3_000, 5_000),
            utterance("Ana", "We will see.", 5_500, 6_500),
        ]
    }

    fn near(values: &[f64], expected: &[f64]) {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let close = values.len() == expected.len()
            && values
                .iter()
                .zip(expected)
                .all(|(v, e)| (v - e).abs() < 1e-6);
        assert!(close, "{values:?}, not {expected:?}");
    }

    #[test]
    fn a_good_meeting() {
        let zero = Instant::now();
        let captions = [
            caption(zero, "1", "Ana", "good mor", false, 1_800),
            caption(zero, "1", "Ana", "good morning Ben", false, 2_200),
            caption(zero, "1", "Ana", "Good morning Ben.", true, 2_700),
            // The cat that ends the utterance is the second one.
            caption(zero, "2", "Ana", "the cat", false, 4_000),
            caption(zero, "2", "Ana", "the cat saw the cat", false, 5_400),
            caption(zero, "2", "Ana", "The cat saw the cat.", true, 5_800),
            caption(zero, "3", "Ana", "We will see.", true, 7_500),
        ];
        let score = score(&script(), &["Ben".into()], zero, &captions);
        assert_eq!((score.errors.wrong(), score.errors.reference), (0, 11));
        assert_eq!(
            (
                score.finals,
                score.partials,
                score.declined_words,
                score.unseen
            ),
            (3, 4, 0, 0)
        );
        assert_eq!((score.merged, score.split, score.stray), (0, 0, 0));
        near(&score.final_latency_s, &[0.7, 0.8, 1.0]);
        near(&score.last_word_latency_s, &[0.2, 0.4, 1.0]);
    }

    #[test]
    fn merged_split_stray_and_missed() {
        let zero = Instant::now();
        let captions = [
            caption(zero, "1", "Ana", "Good evening Ben, the cat", true, 4_500),
            caption(zero, "2", "Ana", "saw the", true, 5_600),
            caption(zero, "3", "Ana", "We will see.", true, 7_000),
            caption(zero, "4", "Ana", "Thank you.", true, 9_000),
            caption(zero, "5", "Ben", "no no", false, 2_500),
        ];
        let score = score(&script(), &["Ben".into()], zero, &captions);
        let Errors {
            substituted,
            inserted,
            deleted,
            reference,
        } = score.errors;
        assert_eq!((substituted, inserted, deleted, reference), (1, 2, 1, 11));
        assert_eq!(
            (score.merged, score.split, score.stray, score.unseen),
            (1, 1, 1, 1)
        );
        assert_eq!(score.declined_words, 2);
        // The first ends with words of an utterance that was still being said.
        near(&score.final_latency_s, &[-0.5, 0.5, 0.6]);
        near(&score.last_word_latency_s, &[0.5, 2.5]);
    }

    #[test]
    fn nothing_said_is_all_deleted_and_words_from_nowhere_all_inserted() {
        let zero = Instant::now();
        let nothing = score(&script(), &[], zero, &[]);
        assert_eq!(
            (
                nothing.errors.deleted,
                nothing.errors.reference,
                nothing.unseen
            ),
            (12, 12, 4)
        );
        assert_eq!((nothing.final_p(0.5), nothing.errors.rate()), (None, 1.0));
        let ghost = score(
            &[],
            &[],
            zero,
            &[caption(zero, "1", "Eve", "thank you", true, 1)],
        );
        assert_eq!(
            (ghost.errors.inserted, ghost.errors.reference, ghost.stray),
            (2, 0, 1)
        );
        let both = nothing + ghost;
        assert_eq!(
            (both.errors.wrong(), both.errors.reference, both.finals),
            (14, 12, 1)
        );
    }

    #[test]
    fn percentiles() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        for (fraction, expected) in [(0.0, 1.0), (0.5, 10.0), (0.95, 19.0), (1.0, 20.0)] {
            assert_eq!(percentile(&values, fraction), Some(expected), "{fraction}");
        }
        assert_eq!(percentile(&[3.0], 0.95), Some(3.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
