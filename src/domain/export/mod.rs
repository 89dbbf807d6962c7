//! Transcripts as files: WebVTT, SubRip and plain text, from final segments.
//!
//! Cues follow the usual rules for subtitles: at most two lines of 42 characters, shown for one to
//! seven seconds, broken behind a sentence or a comma where there is one. `zero_ms` is the file's
//! time 0 on the meeting's timeline: a cue that began earlier is cut to it, one that ended earlier
//! is left out.
//!
//! A sentence that its speaker went on with after a short pause is one cue or paragraph, though the
//! pause made two segments of it. A translation stands beside what was said: in cues of its own,
//! and in a line of its own.

use crate::{correction::is_cjk, id::ParticipantId, transcript::STOPS};
use std::{collections::BTreeMap, fmt::Write as _};

/// Characters in a line, and lines in a cue.
const LINE_CHARS: usize = 42;
const LINES: usize = 2;
/// How long a cue is shown, in milliseconds.
const SHOWN_MS_MIN: i64 = 1_000;
const SHOWN_MS_MAX: i64 = 7_000;
/// The longest pause, in milliseconds, after which a sentence goes on.
const GOES_ON_MS_MAX: i64 = 2_000;
/// What is joined is no longer than this, in milliseconds: who sets no full stops says a paragraph
/// in this time.
const JOINED_MS_MAX: i64 = 30_000;
/// What may stand behind the end of a sentence.
const QUOTES: [char; 10] = ['"', '\'', '”', '’', '»', '«', ')', ']', '」', '』'];
/// Characters of a name that stand before the text in SubRip.
const NAME_CHARS: usize = 20;

/// A final segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportSegment {
    pub participant: ParticipantId,
    /// Its name.
    pub speaker: String,
    /// Milliseconds of MeetingTime.
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    /// With their times; where they are missing or are not the text's, the text's own words share
    /// its time.
    pub words: Vec<ExportWord>,
    pub translation: Option<Translated>,
}

/// What a segment says in another language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translated {
    /// ISO 639-1.
    pub language: String,
    pub text: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportWord {
    pub text: String,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// WebVTT (W3C). Speakers are voice spans.
pub fn vtt(segments: &[ExportSegment], zero_ms: i64) -> String {
    let mut out = String::from("WEBVTT\n");
    for cue in cues(segments, zero_ms, false) {
        let (start, end) = (clock(cue.start_ms, '.'), clock(cue.end_ms, '.'));
        let name = vtt_escape(&plain(&cue.speaker));
        let mut text = vtt_escape(&cue.lines.join("\n"));
        if let Some(language) = &cue.translated_to {
            text = format!("<lang {}>{text}</lang>", vtt_escape(&plain(language)));
        }
        let _ = write!(out, "\n{start} --> {end}\n<v {name}>{text}</v>\n");
    }
    out
}

/// SubRip. A speaker's name stands before the first cue of what it said.
pub fn srt(segments: &[ExportSegment], zero_ms: i64) -> String {
    let mut out = String::new();
    for (n, cue) in (1..).zip(cues(segments, zero_ms, true)) {
        let (start, end) = (clock(cue.start_ms, ','), clock(cue.end_ms, ','));
        // SubRip knows no escapes: players read `<` as the begin of a tag and `-->` as a time.
        let text = cue
            .lines
            .join("\n")
            .replace("-->", "→")
            .replace('<', "‹")
            .replace('>', "›");
        let _ = write!(
            out,
            "{}{n}\n{start} --> {end}\n{text}\n",
            if n == 1 { "" } else { "\n" }
        );
    }
    out
}

/// Plain text: a line for each paragraph, with its time since the meeting's start.
pub fn txt(segments: &[ExportSegment]) -> String {
    let paragraphs = paragraphs(segments.iter());
    paragraphs.iter().fold(String::new(), |mut out, paragraph| {
        let first = paragraph[0];
        let time = clock(first.start_ms.max(0), '.');
        let (time, speaker) = (&time[..8], plain(&first.speaker));
        let text = together(paragraph.iter().map(|said| said.text.as_str()));
        let _ = writeln!(out, "[{time}] {speaker}: {text}");
        if let Some((language, parts)) = translated(paragraph) {
            let text = together(parts.iter().map(|said| said.text.as_str()));
            let _ = writeln!(out, "[{time}] {speaker} ({}): {text}", plain(&language));
        }
        out
    })
}

/// Parts of a paragraph as one line.
fn together<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.fold(String::new(), |mut text, part| {
        let more = plain(part);
        if is_spaced(&text, &more) {
            text.push(' ');
        }
        text.push_str(&more);
        text
    })
}

/// The translated parts of a paragraph as if they had been said, and in which language; `None`
/// where none is.
fn translated(paragraph: &[&ExportSegment]) -> Option<(String, Vec<ExportSegment>)> {
    let language = paragraph
        .iter()
        .find_map(|said| said.translation.as_ref())?
        .language
        .clone();
    let parts = paragraph.iter().filter_map(|said| {
        let translation = said.translation.as_ref()?;
        Some(ExportSegment {
            text: translation.text.clone(),
            words: Vec::new(),
            translation: None,
            ..(*said).clone()
        })
    });
    Some((language, parts.collect()))
}

/// Segments by time, those that one sentence goes on through together. Never empty ones.
fn paragraphs<'a>(
    segments: impl Iterator<Item = &'a ExportSegment>,
) -> Vec<Vec<&'a ExportSegment>> {
    let mut segments: Vec<&ExportSegment> = segments
        .filter(|said| !said.text.trim().is_empty())
        .collect();
    segments.sort_by_key(|said| (said.start_ms, said.end_ms));
    let mut paragraphs: Vec<Vec<&ExportSegment>> = Vec::new();
    // Where each speaker's latest paragraph is.
    let mut latest: BTreeMap<ParticipantId, usize> = BTreeMap::new();
    for said in segments {
        let open = latest
            .get(&said.participant)
            .map(|n| &mut paragraphs[*n])
            .filter(|paragraph| goes_on(paragraph, said));
        match open {
            Some(paragraph) => paragraph.push(said),
            None => {
                latest.insert(said.participant, paragraphs.len());
                paragraphs.push(vec![said]);
            }
        }
    }
    paragraphs
}

/// Whether the sentence at the end of a paragraph goes on in `next`: no stop ends it, or what
/// follows begins in lower case, as no sentence does.
fn goes_on(paragraph: &[&ExportSegment], next: &ExportSegment) -> bool {
    let (Some(first), Some(last)) = (paragraph.first(), paragraph.last()) else {
        return false;
    };
    let soon = next.start_ms - last.end_ms <= GOES_ON_MS_MAX;
    let short = next.end_ms - first.start_ms <= JOINED_MS_MAX;
    let stopped = last
        .text
        .trim_end_matches(|c: char| c.is_whitespace() || QUOTES.contains(&c))
        .ends_with(|c| c == '…' || STOPS.contains(&c));
    let lower = next
        .text
        .chars()
        .find(|c| c.is_alphanumeric())
        .is_some_and(char::is_lowercase);
    soon && short && (!stopped || lower)
}

/// Whether a space stands between two parts of a text.
fn is_spaced(before: &str, behind: &str) -> bool {
    match (before.chars().next_back(), behind.chars().next()) {
        (Some(last), Some(first)) => !(is_cjk(last) && is_cjk(first)),
        _ => false,
    }
}

struct Cue {
    participant: ParticipantId,
    speaker: String,
    /// The language, of a translation.
    translated_to: Option<String>,
    start_ms: i64,
    end_ms: i64,
    lines: Vec<String>,
}

fn cues(segments: &[ExportSegment], zero_ms: i64, named: bool) -> Vec<Cue> {
    // What ended before the file began is left out, and begins no cue that goes on in it.
    let shown = segments.iter().filter(|said| said.end_ms > zero_ms);
    let mut cues: Vec<Cue> = paragraphs(shown)
        .iter()
        .flat_map(|paragraph| {
            let mut cues = split(paragraph, named);
            if let Some((language, parts)) = translated(paragraph) {
                let parts: Vec<&ExportSegment> = parts.iter().collect();
                cues.extend(split(&parts, named).into_iter().map(|cue| Cue {
                    translated_to: Some(language.clone()),
                    ..cue
                }));
            }
            cues
        })
        .collect();
    // Stable: what was said before its translation.
    cues.sort_by_key(|cue| cue.start_ms);
    cues.retain(|cue| cue.end_ms > zero_ms);
    for cue in &mut cues {
        cue.start_ms = (cue.start_ms - zero_ms).max(0);
        cue.end_ms -= zero_ms;
    }
    // Short ones are shown a little longer, up to the same speaker's next.
    for n in 0..cues.len() {
        let next = cues[n + 1..]
            .iter()
            .find(|cue| {
                cue.participant == cues[n].participant && cue.translated_to == cues[n].translated_to
            })
            .map(|cue| cue.start_ms);
        let wanted = (cues[n].start_ms + SHOWN_MS_MIN).min(next.unwrap_or(i64::MAX));
        cues[n].end_ms = cues[n]
            .end_ms
            .max(wanted)
            .min(cues[n].start_ms + SHOWN_MS_MAX)
            .max(cues[n].start_ms + 1);
    }
    cues
}

/// A word of the text as it is shown.
#[derive(Clone)]
struct Token {
    text: String,
    spaced: bool,
    start_ms: i64,
    end_ms: i64,
}

/// A paragraph as cues.
fn split(paragraph: &[&ExportSegment], named: bool) -> Vec<Cue> {
    let first = paragraph[0];
    let name: String = plain(&first.speaker);
    let prefix = match (named, name.chars().count() > NAME_CHARS) {
        (false, _) => String::new(),
        (true, false) => format!("{name}:"),
        (true, true) => format!(
            "{}…:",
            name.chars().take(NAME_CHARS - 1).collect::<String>()
        ),
    };
    let mut tokens: Vec<Token> = Vec::new();
    for said in paragraph {
        let mut more = tokens_of(said);
        if let (Some(last), Some(first)) = (tokens.last(), more.first_mut()) {
            first.spaced = is_spaced(&last.text, &first.text);
        }
        tokens.extend(more);
    }
    let mut cues = Vec::new();
    let mut from = 0;
    while from < tokens.len() {
        let prefix = if from == 0 { prefix.as_str() } else { "" };
        let mut to = from + 1;
        while to < tokens.len()
            && tokens[to].end_ms - tokens[from].start_ms <= SHOWN_MS_MAX
            && wrap(prefix, &tokens[from..=to]).len() <= LINES
        {
            to += 1;
        }
        if to < tokens.len() {
            // Rather behind a sentence, else a comma, if that leaves enough.
            let least = from + (to - from).div_ceil(2);
            let behind = |ends: &[char]| {
                (least..to)
                    .rev()
                    .find(|&n| tokens[n - 1].text.ends_with(ends))
            };
            to = behind(&['.', '?', '!', '。', '？', '！'])
                .or_else(|| behind(&[',', ';', ':', '、', '，']))
                .unwrap_or(to);
        }
        cues.push(Cue {
            participant: first.participant,
            speaker: first.speaker.clone(),
            translated_to: None,
            start_ms: tokens[from].start_ms,
            end_ms: tokens[to - 1].end_ms,
            lines: wrap(prefix, &tokens[from..to]),
        });
        from = to;
    }
    cues
}

/// Breaks words into lines, greedily.
fn wrap(prefix: &str, tokens: &[Token]) -> Vec<String> {
    let mut lines = vec![prefix.to_owned()];
    for token in tokens {
        let line = lines.last_mut().expect("never empty");
        let space = usize::from(!line.is_empty() && (token.spaced || line == prefix));
        if line.is_empty()
            || line.chars().count() + space + token.text.chars().count() <= LINE_CHARS
        {
            if space == 1 {
                line.push(' ');
            }
            line.push_str(&token.text);
        } else {
            lines.push(token.text.clone());
        }
    }
    lines
}

/// The segment's words with their times, none longer than a line.
fn tokens_of(said: &ExportSegment) -> Vec<Token> {
    let text = plain(&said.text);
    let timed = along(&text, said).unwrap_or_else(|| shared(&text, said));
    timed
        .into_iter()
        .flat_map(|token| {
            let letters: Vec<char> = token.text.chars().collect();
            let pieces = letters.chunks(LINE_CHARS).count() as i64;
            let length = token.end_ms - token.start_ms;
            letters
                .chunks(LINE_CHARS)
                .zip(0i64..)
                .map(|(piece, n)| Token {
                    text: piece.iter().collect(),
                    spaced: token.spaced && n == 0,
                    start_ms: token.start_ms + length * n / pieces,
                    end_ms: token.start_ms + length * (n + 1) / pieces,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The timed words found in the text, one after the other; `None` when they are not the text's.
fn along(text: &str, said: &ExportSegment) -> Option<Vec<Token>> {
    let mut rest = text;
    let mut found = Vec::with_capacity(said.words.len());
    for word in &said.words {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed.strip_prefix(plain(&word.text).as_str())?;
        found.push(Token {
            text: plain(&word.text),
            spaced,
            start_ms: word.start_ms.clamp(said.start_ms, said.end_ms),
            end_ms: word.end_ms.clamp(said.start_ms, said.end_ms),
        });
    }
    (rest.trim().is_empty() && !found.is_empty()).then_some(found)
}

/// The text's own words, sharing its time by their length.
fn shared(text: &str, said: &ExportSegment) -> Vec<Token> {
    let total = text.chars().count().max(1) as i64;
    let length = (said.end_ms - said.start_ms).max(0);
    let mut at = 0;
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| {
            let from = at;
            at = (at + word.chars().count() as i64 + 1).min(total);
            Token {
                text: word.to_owned(),
                spaced: true,
                start_ms: said.start_ms + length * from / total,
                end_ms: said.start_ms + length * at / total,
            }
        })
        .collect()
}

/// One line without control characters.
fn plain(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn vtt_escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `hh:mm:ss` and milliseconds behind `point`.
fn clock(ms: i64, point: char) -> String {
    let (s, ms) = (ms / 1_000, ms % 1_000);
    format!(
        "{:02}:{:02}:{:02}{point}{ms:03}",
        s / 3_600,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests;
