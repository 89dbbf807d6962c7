//! A caption's revisions, and which of its words stay as they are shown.
//!
//! A word becomes stable when several passes agree on it ([`votes_needed`], after LocalAgreement-2,
//! Macháček et al. 2023), or when one is certain of it that heard more after it. What is stable
//! keeps the form in which it was shown: passes that hear the same words with other commas or
//! capitals do not change it, and neither does the final.

use super::{Word, bare, letters, text};
use crate::{
    time::{MeetingTime, Micros},
    word::words,
};
use std::collections::VecDeque;

/// A word that ends later than this before the end of what was heard may still change: it is never
/// stable.
const UNSETTLED: Micros = Micros::from_ms(400);
/// A word that the decoder gives at least this probability needs fewer passes to agree on it.
const SURE: f32 = 0.7;
/// And with this one, and so much heard behind it, the first pass will do.
const CERTAIN: f32 = 0.9;
const FAR_BEHIND: Micros = Micros::from_ms(1_000);

/// How much surer the last pass must be of other words than those that are stable.
const SURER: f32 = 0.1;

/// How many passes in a row must hear a word in its place before it is stable; `behind`: what was
/// heard after it.
fn votes_needed(confidence: f32, behind: Micros) -> u32 {
    match confidence {
        CERTAIN.. if behind >= FAR_BEHIND => 1,
        SURE.. => 2,
        _ => 4,
    }
}

/// Not final; replaces the revision before.
#[derive(Clone, PartialEq, Debug)]
pub struct Partial {
    pub revision: u32,
    pub text: String,
    /// UTF-16 units of `text` that later partials will not change.
    pub stable_chars: u32,
    pub words: Vec<Word>,
}

words! {
    /// Why a segment that was shown is taken back.
    pub enum RetractionReason(
        "reason for a retraction",
        schema "RetractionReason": "Why a segment that was shown is taken back."
    ) {
        /// Nothing was said after all.
        Empty = "empty",
        /// Consent was withdrawn.
        Withdrawn = "withdrawn",
        /// The decoder failed on it, or there was no room left for it.
        Lost = "lost",
        /// It was taken out afterwards.
        Redacted = "redacted",
    }
}

/// How a segment ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Ending {
    Final {
        revision: u32,
        text: String,
        words: Vec<Word>,
    },
    Retracted {
        revision: u32,
        reason: RetractionReason,
    },
    /// Nobody ever saw it and there is nothing to say.
    Unseen,
}

/// One caption, from its first hypothesis to its final or its retraction.
#[derive(Clone, Default, Debug)]
pub struct Segment {
    revision: u32,
    /// The words of the last partial told, and how many passes in a row heard each there.
    shown: Vec<(Word, u32)>,
    /// How many of them are stable.
    stable: usize,
    /// It begins a sentence: its first letter is a capital, in every revision.
    begins: bool,
    /// Letters were decoded of enough voice that dropping them is told.
    letters: bool,
    ended: bool,
}

impl Segment {
    /// Whether a client may be showing it.
    pub fn is_shown(&self) -> bool {
        self.revision > 0 && !self.ended
    }

    /// It begins a sentence, as far as is known. Decoders write the same words with a capital or
    /// without, by how finished they sound.
    pub fn begins_sentence(&mut self) {
        if self.revision == 0 {
            self.begins = true;
        }
    }

    /// A pass over the audio up to `heard_until`; `None` when it changes nothing that a client can
    /// see. With `more` the speaker was in the middle of something: the last word is held back, it
    /// is most likely cut off.
    pub fn partial(
        &mut self,
        mut words: Vec<Word>,
        heard_until: MeetingTime,
        more: bool,
    ) -> Option<Partial> {
        if self.ended {
            return None;
        }
        if more
            && words
                .last()
                .is_some_and(|word| word.span.end + Micros::from_ms(200) > heard_until)
        {
            words.pop();
        }
        let words = self.keep_stable(words);
        if words.is_empty() {
            return None;
        }
        let mut agrees = true;
        let voted: Vec<(Word, u32)> = words
            .iter()
            .enumerate()
            .map(|(n, word)| {
                let before = self.shown.get(n);
                agrees &= before.is_some_and(|(before, _)| bare(&before.text) == bare(&word.text));
                let votes = before.filter(|_| agrees).map_or(0, |(_, votes)| *votes);
                (word.clone(), votes + 1)
            })
            .collect();
        let agreed = voted
            .iter()
            .enumerate()
            .take_while(|(n, (now, votes))| {
                let before = self.shown.get(*n).filter(|_| *votes > 1);
                let confidence = before.map_or(now.confidence, |(before, _)| {
                    now.confidence.min(before.confidence)
                });
                let behind = heard_until - now.span.end;
                behind >= UNSETTLED && *votes >= votes_needed(confidence, behind)
            })
            .count();
        let stable = self.stable.max(agreed);
        let same = self.shown.len() == words.len()
            && self
                .shown
                .iter()
                .zip(&words)
                .all(|((a, _), b)| a.text == b.text);
        self.shown = voted;
        if same && stable == self.stable {
            return None;
        }
        self.revision += 1;
        self.stable = stable;
        let stable_chars = text(&words[..stable]).encode_utf16().count() as u32;
        Some(Partial {
            revision: self.revision,
            text: text(&words),
            stable_chars,
            words,
        })
    }

    fn stable_words(&self) -> Vec<&Word> {
        let stable = self.shown[..self.stable].iter();
        stable.map(|(word, _)| word).collect()
    }

    /// The last pass heard more of the utterance than those before, but what several agreed on
    /// stays unless it is surer of something else.
    fn last_words(&self, words: Vec<Word>) -> Vec<Word> {
        let stable = self.stable_words();
        let instead = nearest_prefix(&stable, &words);
        if mean_confidence(words[..instead].iter()) > mean_confidence(stable) + SURER {
            return self.with_form(words);
        }
        self.keep_stable(words)
    }

    /// Puts the stable words in place of those that this pass heard instead.
    fn keep_stable(&self, words: Vec<Word>) -> Vec<Word> {
        let stable = self.stable_words();
        let words = self.with_form(words);
        if stable.len() <= words.len() && stable.iter().zip(&words).all(|(a, b)| a.text == b.text) {
            return words;
        }
        let instead = nearest_prefix(&stable, &words);
        let mut earliest = stable
            .last()
            .map_or(MeetingTime(i64::MIN), |word| word.span.end);
        let mut kept: Vec<Word> = stable.into_iter().cloned().collect();
        for mut word in words.into_iter().skip(instead) {
            word.span.start = word.span.start.max(earliest);
            word.span.end = word.span.end.max(word.span.start);
            earliest = word.span.end;
            kept.push(word);
        }
        kept
    }

    /// The same words in the form in which clients saw them: where a pass hears the stable words
    /// again, their commas, capitals and hyphens stay; a sentence begins with a capital.
    fn with_form(&self, mut words: Vec<Word>) -> Vec<Word> {
        if self.begins
            && let Some(first) = words.first_mut()
        {
            first.text = capitalised(&first.text);
        }
        let stable = &self.shown[..self.stable];
        let same = stable
            .iter()
            .zip(&words)
            .take_while(|((shown, _), word)| bare(&shown.text) == bare(&word.text))
            .count();
        for (word, (shown, _)) in words.iter_mut().zip(&stable[..same]) {
            word.text.clone_from(&shown.text);
        }
        // "42-line" for "42 line": the same letters in other words.
        let rest: String = stable[same..]
            .iter()
            .map(|(word, _)| letters(&word.text))
            .collect();
        let count = words[same..]
            .iter()
            .scan(String::new(), |so_far, word| {
                so_far.push_str(&letters(&word.text));
                (so_far.len() <= rest.len()).then(|| *so_far == rest)
            })
            .position(|is_all| is_all);
        if let (false, Some(count)) = (rest.is_empty(), count) {
            let stable = stable[same..].iter().map(|(word, _)| word.clone());
            words.splice(same..=same + count, stable);
        }
        words
    }

    /// Ends it with what was said until `heard_until`; nothing said ends it empty. A second ending
    /// is a no-op.
    ///
    /// Partials may have heard further, where the audio was then cut: at a pause, whose other side
    /// is the next caption's, or at the receipt of a withdrawal, from where nothing may stay. Of
    /// their stable words those stay that end before it.
    pub fn finish(&mut self, words: Vec<Word>, heard_until: MeetingTime) -> Ending {
        if words.is_empty() {
            return self.retract(RetractionReason::Empty);
        }
        self.stable = self.shown[..self.stable]
            .iter()
            .take_while(|(word, _)| word.span.end <= heard_until)
            .count();
        let words = self.last_words(words);
        if std::mem::replace(&mut self.ended, true) {
            return Ending::Unseen;
        }
        self.revision += 1;
        Ending::Final {
            revision: self.revision,
            text: text(&words),
            words,
        }
    }

    /// Words were decoded; if it ends empty, they are dropped.
    pub fn heard_letters(&mut self) {
        self.letters = true;
    }

    /// Takes it back; told when somebody may have seen it, and when words were dropped or lost.
    pub fn retract(&mut self, reason: RetractionReason) -> Ending {
        let is_told = match reason {
            RetractionReason::Lost => true,
            RetractionReason::Empty => self.revision > 0 || self.letters,
            RetractionReason::Withdrawn | RetractionReason::Redacted => self.revision > 0,
        };
        if std::mem::replace(&mut self.ended, true) || !is_told {
            return Ending::Unseen;
        }
        self.revision += 1;
        Ending::Retracted {
            revision: self.revision,
            reason,
        }
    }
}

/// 1 for no words.
fn mean_confidence<'a>(words: impl IntoIterator<Item = &'a Word>) -> f32 {
    let (sum, count) = words.into_iter().fold((0.0, 0.0), |(sum, count), word| {
        (sum + word.confidence, count + 1.0)
    });
    if count == 0.0 { 1.0 } else { sum / count }
}

/// With its first letter as a capital.
fn capitalised(word: &str) -> String {
    let Some(at) = word.find(char::is_alphanumeric) else {
        return word.to_owned();
    };
    let (before, rest) = word.split_at(at);
    let mut letters = rest.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    format!("{before}{first}{}", letters.as_str())
}

/// How many of `words` say what `stable` says: the prefix with the smallest edit distance to it.
fn nearest_prefix(stable: &[&Word], words: &[Word]) -> usize {
    let mut row: VecDeque<usize> = (0..=words.len()).collect();
    for (s, said) in stable.iter().enumerate() {
        let mut next = VecDeque::with_capacity(row.len());
        next.push_back(s + 1);
        for (w, word) in words.iter().enumerate() {
            let swap = row[w] + usize::from(bare(&said.text) != bare(&word.text));
            next.push_back(swap.min(row[w + 1] + 1).min(next[w] + 1));
        }
        row = next;
    }
    (0..=words.len())
        .min_by_key(|&n| (row[n], n.abs_diff(stable.len())))
        .unwrap_or(0)
}
