//! Corrections of finals: whose counts, what a text becomes when words in it are replaced, and
//! where the words of a new text lie in time.
//!
//! A withdrawal beats an edit, an edit beats a refinement: what was withdrawn has no row to
//! correct, and what a person edited is not refined.

use crate::{
    time::{MeetingTime, Span},
    transcript::{HeardWord, Word, bare, place},
    word::words,
};
use serde_json::Value;

/// Versions of one segment that are kept. More is a program that corrects in a loop.
pub const VERSIONS_MAX: i64 = 100;
/// The longest text of a segment, in characters: nobody says more in one utterance.
pub const TEXT_CHARS_MAX: usize = 5_000;
/// Segments that one request may change.
pub const REPLACED_MAX: usize = 1_000;

words! {
    /// Where a version of a segment's text comes from.
    pub enum TextSource(
        "source of a text",
        schema "TextSource": "Where a segment's text comes from."
    ) {
        /// Transcribed while it was said, or found in the recording where nobody had listened.
        Live = "live",
        /// Transcribed once more after the end.
        Refine = "refine",
        /// Written by a person.
        Edit = "edit",
    }
}

/// The newest version of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Current {
    pub revision: i32,
    pub source: TextSource,
    pub author: Option<String>,
    pub text: String,
}

/// Why a segment is not corrected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is another revision by now than the correction was made from.
    Stale { current: i32 },
    /// A person edited it: it is not refined.
    Edited { current: i32 },
}

/// Whether a correction that was made from revision `base` makes a new version (`true`) or says
/// what the newest one says. The same correction sent twice changes nothing the second time.
///
/// # Errors
/// The [`Refusal`].
pub fn decide(
    current: &Current,
    base: i32,
    source: TextSource,
    author: Option<&str>,
    text: &str,
) -> Result<bool, Refusal> {
    let revision = current.revision;
    let same = current.text == text;
    let repeated = same
        && revision == base.saturating_add(1)
        && current.source == source
        && current.author.as_deref() == author;
    match (current.source, source) {
        (TextSource::Edit, TextSource::Refine) => Err(Refusal::Edited { current: revision }),
        // What was refined to nothing keeps the text that it has.
        (_, TextSource::Refine) if text.is_empty() => Ok(false),
        _ if repeated => Ok(false),
        _ if revision != base => Err(Refusal::Stale { current: revision }),
        _ => Ok(!same),
    }
}

/// One line with single spaces, as segments have it.
pub fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What to look for in texts, and what to put in its place.
#[derive(Clone, Debug)]
pub struct Replacing<'a> {
    pub find: &'a str,
    pub replace: &'a str,
    pub match_case: bool,
    /// Only where no letter, digit or apostrophe of the same word is next to it.
    pub whole_word: bool,
}

impl Replacing<'_> {
    /// The text with every occurrence replaced, left to right, as one line; and how many there
    /// were. `None` without one.
    pub fn apply(&self, text: &str) -> Option<(String, usize)> {
        let fold = |text: &str| -> Vec<(char, usize, usize)> {
            let mut folded = Vec::with_capacity(text.len());
            for (at, c) in text.char_indices() {
                let end = at + c.len_utf8();
                if self.match_case {
                    folded.push((c, at, end));
                } else {
                    folded.extend(c.to_lowercase().map(|c| (c, at, end)));
                }
            }
            folded
        };
        let (hay, needle) = (fold(text), fold(self.find));
        if needle.is_empty() {
            return None;
        }
        let (mut out, mut kept, mut count, mut n) = (String::new(), 0, 0, 0);
        while n + needle.len() <= hay.len() {
            let found = &hay[n..n + needle.len()];
            let (from, to) = (found[0].1, found[needle.len() - 1].2);
            // A letter that is several in lower case is matched as a whole or not at all.
            let whole_letters = (n == 0 || hay[n - 1].1 != from)
                && hay.get(n + needle.len()).is_none_or(|next| next.2 != to);
            let same = found.iter().zip(&needle).all(|(a, b)| a.0 == b.0);
            if same && whole_letters && (!self.whole_word || stands_alone(text, from, to)) {
                out.push_str(&text[kept..from]);
                out.push_str(self.replace);
                (kept, count, n) = (to, count + 1, n + needle.len());
            } else {
                n += 1;
            }
        }
        out.push_str(&text[kept..]);
        (count > 0).then(|| (line(&out), count))
    }
}

/// Whether `text[from..to]` is not part of a longer word. An edge that is no letter or digit itself
/// (`C++`) needs no boundary.
fn stands_alone(text: &str, from: usize, to: usize) -> bool {
    let is_apostrophe = |c: char| matches!(c, '\'' | '’');
    let goes_on = |edge: Option<char>, beyond: &mut dyn Iterator<Item = char>| {
        let letter = char::is_alphanumeric;
        if !edge.is_some_and(letter) {
            return false;
        }
        match beyond.next() {
            Some(c) if is_apostrophe(c) => beyond.next().is_some_and(letter),
            next => next.is_some_and(letter),
        }
    };
    let found = &text[from..to];
    !goes_on(found.chars().next(), &mut text[..from].chars().rev())
        && !goes_on(found.chars().next_back(), &mut text[to..].chars())
}

/// The words of an edited text with their times. Words that stayed keep theirs; those between share
/// the time of the words that they replace, by their length. A word that a person wrote has
/// confidence 1.
pub fn place_anew(text: &str, within: Span, before: &[Word]) -> Vec<Word> {
    let written = split(text);
    let mut stayed = common(&written, before);
    // A word that was put between two that leave no time shares that of its neighbour.
    let room = |from: Option<(usize, usize)>, to: Option<(usize, usize)>| {
        let start = from.map_or(within.start, |(_, old)| before[old].span.end);
        let end = to.map_or(within.end, |(_, old)| before[old].span.start);
        end > start
    };
    let mut at = 0;
    while at <= stayed.len() {
        let from = at.checked_sub(1).map(|n| stayed[n]);
        let to = stayed.get(at).copied();
        let between = to.map_or(written.len(), |(new, _)| new) - from.map_or(0, |(new, _)| new + 1);
        if between > 0 && !room(from, to) && !stayed.is_empty() {
            stayed.remove(at.saturating_sub(1));
            at = at.saturating_sub(1);
        } else {
            at += 1;
        }
    }
    let mut placed = Vec::with_capacity(written.len());
    let (mut new, mut old) = (0, 0usize);
    for (to_new, to_old) in stayed
        .iter()
        .copied()
        .chain([(written.len(), before.len())])
    {
        let start = old
            .checked_sub(1)
            .map_or(within.start, |n| before[n].span.end);
        let end = before.get(to_old).map_or(within.end, |w| w.span.start);
        let voiced: Vec<Span> = before[old..to_old].iter().map(|word| word.span).collect();
        placed.extend(place(
            &written[new..to_new],
            &voiced,
            Span::new(start, end.max(start)),
        ));
        if let (Some(word), Some(stays)) = (written.get(to_new), before.get(to_old)) {
            placed.push(Word {
                text: word.text.clone(),
                spaced: word.spaced,
                ..stays.clone()
            });
        }
        (new, old) = (to_new + 1, to_old + 1);
    }
    placed
}

/// Words as a person wrote them. Where words are written without spaces each letter is one.
fn split(text: &str) -> Vec<HeardWord> {
    let mut words: Vec<HeardWord> = Vec::new();
    for part in text.split_whitespace() {
        let mut spaced = true;
        let mut alone = false;
        for c in part.chars() {
            let unspaced = is_cjk(c);
            match words.last_mut().filter(|_| !spaced) {
                Some(word) if !unspaced && (!alone || !c.is_alphanumeric()) => word.text.push(c),
                _ => words.push(HeardWord {
                    text: c.to_string(),
                    spaced,
                    confidence: 1.0,
                }),
            }
            alone = unspaced || alone && !c.is_alphanumeric();
            spaced = false;
        }
    }
    words
}

/// Chinese characters and kana: written without spaces, and each can stand alone. (Thai and others
/// have no spaces either, but their letters cannot be parted anywhere.)
pub(crate) fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Which words are in both, as (written, before) in rising order: a longest common subsequence, by
/// letters alone.
fn common(written: &[HeardWord], before: &[Word]) -> Vec<(usize, usize)> {
    let of = |text: &str| {
        let bare = bare(text);
        if bare.is_empty() {
            text.to_owned()
        } else {
            bare
        }
    };
    let new: Vec<String> = written.iter().map(|word| of(&word.text)).collect();
    let old: Vec<String> = before.iter().map(|word| of(&word.text)).collect();
    // How much the rest of both has in common, from each place on.
    let mut rest = vec![vec![0u32; old.len() + 1]; new.len() + 1];
    for n in (0..new.len()).rev() {
        for o in (0..old.len()).rev() {
            rest[n][o] = if new[n] == old[o] {
                rest[n + 1][o + 1] + 1
            } else {
                rest[n + 1][o].max(rest[n][o + 1])
            };
        }
    }
    let (mut n, mut o, mut pairs) = (0, 0, Vec::new());
    while n < new.len() && o < old.len() {
        if new[n] == old[o] {
            pairs.push((n, o));
            (n, o) = (n + 1, o + 1);
        } else if rest[n + 1][o] >= rest[n][o + 1] {
            n += 1;
        } else {
            o += 1;
        }
    }
    pairs
}

/// Words as rows and events have them ([`crate::event::words`]). What is no word is left out: the
/// text stands without it.
pub fn words_from(value: &Value) -> Vec<Word> {
    let word = |value: &Value| {
        Some(Word {
            text: value["text"].as_str()?.to_owned(),
            spaced: true,
            span: Span::new(
                MeetingTime::from_ms(value["startMs"].as_i64()?),
                MeetingTime::from_ms(value["endMs"].as_i64()?),
            ),
            confidence: value["confidence"].as_f64()? as f32,
        })
    };
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(word)
        .collect()
}

#[cfg(test)]
mod tests;
