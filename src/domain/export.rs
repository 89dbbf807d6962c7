//! Transcripts as files: WebVTT, SubRip and plain text, from final segments.
//!
//! Cues follow the usual rules for subtitles: at most two lines of 42 characters, shown for one to
//! seven seconds, broken behind a sentence or a comma where there is one. `zero_ms` is the file's
//! time 0 on the meeting's timeline: a cue that began earlier is cut to it, one that ended earlier
//! is left out.

use std::fmt::Write as _;

/// Characters in a line, and lines in a cue.
const LINE_CHARS: usize = 42;
const LINES: usize = 2;
/// How long a cue is shown, in milliseconds.
const SHOWN_MS_MIN: i64 = 1_000;
const SHOWN_MS_MAX: i64 = 7_000;
/// Characters of a name that stand before the text in SubRip.
const NAME_CHARS: usize = 20;

/// A final segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    pub speaker: String,
    /// Milliseconds of MeetingTime.
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    /// With their times; where they are missing or are not the text's, the text's own words share
    /// its time.
    pub words: Vec<SaidWord>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaidWord {
    pub text: String,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// WebVTT (W3C). Speakers are voice spans.
pub fn vtt(segments: &[Said], zero_ms: i64) -> String {
    let mut out = String::from("WEBVTT\n");
    for cue in cues(segments, zero_ms, false) {
        let (start, end) = (clock(cue.start_ms, '.'), clock(cue.end_ms, '.'));
        let name = vtt_escape(&plain(&cue.speaker));
        let text = vtt_escape(&cue.lines.join("\n"));
        let _ = write!(out, "\n{start} --> {end}\n<v {name}>{text}</v>\n");
    }
    out
}

/// SubRip. A speaker's name stands before the first cue of a segment.
pub fn srt(segments: &[Said], zero_ms: i64) -> String {
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

/// Plain text: one line per segment, with its time since the meeting's start.
pub fn txt(segments: &[Said]) -> String {
    let spoken = |said: &&Said| !said.text.trim().is_empty();
    let mut segments: Vec<&Said> = segments.iter().filter(spoken).collect();
    segments.sort_by_key(|said| (said.start_ms, said.end_ms));
    segments.into_iter().fold(String::new(), |mut out, said| {
        let time = clock(said.start_ms.max(0), '.');
        let _ = writeln!(
            out,
            "[{}] {}: {}",
            &time[..8],
            plain(&said.speaker),
            plain(&said.text)
        );
        out
    })
}

struct Cue {
    speaker: String,
    start_ms: i64,
    end_ms: i64,
    lines: Vec<String>,
}

fn cues(segments: &[Said], zero_ms: i64, named: bool) -> Vec<Cue> {
    let mut cues: Vec<Cue> = segments
        .iter()
        .flat_map(|said| split(said, named))
        .collect();
    cues.sort_by_key(|cue| (cue.start_ms, cue.end_ms));
    cues.retain(|cue| cue.end_ms > zero_ms);
    for cue in &mut cues {
        cue.start_ms = (cue.start_ms - zero_ms).max(0);
        cue.end_ms -= zero_ms;
    }
    // Short ones are shown a little longer, up to the same speaker's next.
    for n in 0..cues.len() {
        let next = cues[n + 1..]
            .iter()
            .find(|cue| cue.speaker == cues[n].speaker)
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

/// One segment as cues.
fn split(said: &Said, named: bool) -> Vec<Cue> {
    let name: String = plain(&said.speaker);
    let prefix = match (named, name.chars().count() > NAME_CHARS) {
        (false, _) => String::new(),
        (true, false) => format!("{name}:"),
        (true, true) => format!(
            "{}…:",
            name.chars().take(NAME_CHARS - 1).collect::<String>()
        ),
    };
    let tokens = tokens(said);
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
            speaker: said.speaker.clone(),
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
fn tokens(said: &Said) -> Vec<Token> {
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
fn along(text: &str, said: &Said) -> Option<Vec<Token>> {
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
fn shared(text: &str, said: &Said) -> Vec<Token> {
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
mod tests {
    use super::*;

    fn said(speaker: &str, start_ms: i64, end_ms: i64, text: &str) -> Said {
        Said {
            speaker: speaker.into(),
            start_ms,
            end_ms,
            text: text.into(),
            words: Vec::new(),
        }
    }

    fn timed(speaker: &str, start_ms: i64, each_ms: i64, text: &str) -> Said {
        let words: Vec<SaidWord> = (0..)
            .zip(text.split(' '))
            .map(|(n, word)| SaidWord {
                text: word.into(),
                start_ms: start_ms + n * each_ms,
                end_ms: start_ms + (n + 1) * each_ms,
            })
            .collect();
        let end_ms = start_ms + words.len() as i64 * each_ms;
        Said {
            words,
            ..said(speaker, start_ms, end_ms, text)
        }
    }

    #[test]
    fn the_three_formats() {
        let segments = [
            said("Ana", 61_230, 63_410, "So the next step."),
            said("Bo & Co", 64_000, 66_000, "a < b -->\nc"),
        ];
        assert_eq!(
            vtt(&segments, 0),
            "WEBVTT\n\n00:01:01.230 --> 00:01:03.410\n<v Ana>So the next step.</v>\n\n\
             00:01:04.000 --> 00:01:06.000\n<v Bo &amp; Co>a &lt; b --&gt; c</v>\n"
        );
        assert_eq!(
            srt(&segments, 0),
            "1\n00:01:01,230 --> 00:01:03,410\nAna: So the next step.\n\n\
             2\n00:01:04,000 --> 00:01:06,000\nBo & Co: a ‹ b → c\n"
        );
        assert_eq!(
            txt(&segments),
            "[00:01:01] Ana: So the next step.\n[00:01:04] Bo & Co: a < b --> c\n"
        );
        assert_eq!(vtt(&[], 0), "WEBVTT\n");
        assert_eq!(srt(&[], 0) + &txt(&[]), "");
    }

    #[test]
    fn cues_keep_to_the_rules() {
        let line = "We need consent from every user before we share the data, and that includes the recordings. \
                    The latency went down by thirty percent last week, which is a great result for everybody here. \
                    Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft is one word.";
        for segment in [
            timed("Ana", 0, 400, line),
            timed("Ana", 0, 90, line),
            said("Ana", 0, 30_000, line),
        ] {
            for named in [false, true] {
                let cues = cues(std::slice::from_ref(&segment), 0, named);
                assert!(cues.len() > 3);
                for cue in &cues {
                    assert!(cue.lines.len() <= LINES, "{:?}", cue.lines);
                    assert!(
                        cue.lines
                            .iter()
                            .all(|line| line.chars().count() <= LINE_CHARS),
                        "{:?}",
                        cue.lines
                    );
                    assert!(cue.end_ms > cue.start_ms && cue.end_ms - cue.start_ms <= SHOWN_MS_MAX);
                }
                assert!(
                    cues.windows(2)
                        .all(|pair| pair[0].end_ms <= pair[1].start_ms)
                );
                let shown: String = cues
                    .iter()
                    .flat_map(|cue| &cue.lines)
                    .flat_map(|l| l.chars())
                    .collect();
                let bare = |text: &str| text.replace([' ', '\n'], "");
                assert_eq!(
                    bare(&shown),
                    bare(if named { "Ana:" } else { "" }) + &bare(line),
                    "nothing lost"
                );
            }
        }
    }

    #[test]
    fn breaks_behind_a_sentence() {
        let line = "We need consent from every user before we share it. The latency went down by thirty percent again.";
        let cues = cues(&[timed("Ana", 0, 300, line)], 0, false);
        assert_eq!(
            cues[0].lines.join(" "),
            "We need consent from every user before we share it."
        );
    }

    #[test]
    fn time_zero_cuts_and_leaves_out() {
        let segments = [
            said("A", 0, 900, "gone"),
            said("A", 1_000, 3_000, "cut"),
            said("A", 5_000, 5_100, "short"),
        ];
        let cues = cues(&segments, 2_000, false);
        let times: Vec<_> = cues.iter().map(|cue| (cue.start_ms, cue.end_ms)).collect();
        assert_eq!(times, [(0, 1_000), (3_000, 4_000)]);
        assert!(txt(&segments).contains("gone"));
    }

    #[test]
    fn scripts_without_spaces_stay_without() {
        let words = ["今日", "は"].iter().zip(0..).map(|(word, n)| SaidWord {
            text: (*word).into(),
            start_ms: n * 500,
            end_ms: n * 500 + 500,
        });
        let segment = Said {
            words: words.collect(),
            ..said("A", 0, 1_000, "今日は")
        };
        assert!(vtt(&[segment], 0).contains("<v A>今日は</v>"));
    }

    #[test]
    fn speakers_may_overlap_and_names_are_shortened() {
        let long = "Ana-Maria of the Very Long Name and Sons";
        let segments = [said(long, 0, 4_000, "Yes."), said("Bob", 100, 600, "No.")];
        let text = srt(&segments, 0);
        assert!(text.contains("Ana-Maria of the Ve…: Yes."), "{text}");
        assert!(
            text.contains("00:00:00,100 --> 00:00:01,100\nBob: No."),
            "{text}"
        );
    }
}
