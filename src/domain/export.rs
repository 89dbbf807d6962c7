//! A transcript as captions (WebVTT, SRT) and as plain text.
//!
//! Captions belong to a file and count from where that begins: `zero_ms`. A cue that began earlier is cut to 0, one that
//! ended earlier is left out. Plain text counts from the start of the meeting and leaves nothing out.

use std::fmt::Write;

/// A final segment as it is exported. Times are milliseconds since the start of the meeting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cue<'a> {
    pub speaker: &'a str,
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: &'a str,
}

/// WebVTT, each cue with its voice.
pub fn vtt<'a>(cues: impl IntoIterator<Item = Cue<'a>>, zero_ms: i64) -> String {
    let mut vtt = "WEBVTT\n".to_owned();
    for (from, to, cue) in cues.into_iter().filter_map(|cue| within(cue, zero_ms)) {
        let (speaker, text) = (escape(&one_line(cue.speaker)), escape(&one_line(cue.text)));
        let times = format!("{} --> {}", clock(from, '.'), clock(to, '.'));
        write!(vtt, "\n{times}\n<v {speaker}>{text}</v>\n").expect("writing to a string never fails");
    }
    vtt
}

/// SRT, the speaker's name before the words: the format knows no voices.
pub fn srt<'a>(cues: impl IntoIterator<Item = Cue<'a>>, zero_ms: i64) -> String {
    let mut srt = String::new();
    for (n, (from, to, cue)) in (1..).zip(cues.into_iter().filter_map(|cue| within(cue, zero_ms))) {
        let times = format!("{} --> {}", clock(from, ','), clock(to, ','));
        let (speaker, text) = (one_line(cue.speaker), one_line(cue.text));
        write!(srt, "{n}\n{times}\n{speaker}: {text}\n\n").expect("writing to a string never fails");
    }
    srt
}

/// One line per segment: when, who, what.
pub fn txt<'a>(cues: impl IntoIterator<Item = Cue<'a>>) -> String {
    let mut txt = String::new();
    for cue in cues {
        let at = clock(cue.start_ms.max(0), '.');
        let (at, speaker, text) = (&at[..at.len() - 4], one_line(cue.speaker), one_line(cue.text));
        writeln!(txt, "[{at}] {speaker}: {text}").expect("writing to a string never fails");
    }
    txt
}

/// The cue's times in a file that begins at `zero_ms`; `None` when it ended before.
fn within(cue: Cue<'_>, zero_ms: i64) -> Option<(i64, i64, Cue<'_>)> {
    let (from, to) = ((cue.start_ms - zero_ms).max(0), cue.end_ms - zero_ms);
    // Both formats want a cue to last.
    (to > 0).then(|| (from, to.max(from + 1), cue))
}

fn clock(ms: i64, point: char) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}{point}{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

/// A line end within a cue could end it.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// So that words are never taken for a tag, nor `-->` for times.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_ms: i64, end_ms: i64, text: &'static str) -> Cue<'static> {
        Cue { speaker: "Ana", start_ms, end_ms, text }
    }

    fn cues() -> [Cue<'static>; 4] {
        [cue(0, 1000, "before"), cue(500, 1500, "across"), cue(2000, 3250, "after"), cue(3_723_004, 3_723_004, "late")]
    }

    #[test]
    fn captions_count_from_the_file_and_are_cut_to_it() {
        assert_eq!(
            vtt(cues(), 1000),
            "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\n<v Ana>across</v>\n\n00:00:01.000 --> 00:00:02.250\n\
             <v Ana>after</v>\n\n01:02:02.004 --> 01:02:02.005\n<v Ana>late</v>\n"
        );
        assert_eq!(
            srt(cues(), 1000),
            "1\n00:00:00,000 --> 00:00:00,500\nAna: across\n\n2\n00:00:01,000 --> 00:00:02,250\nAna: after\n\n\
             3\n01:02:02,004 --> 01:02:02,005\nAna: late\n\n"
        );
        assert_eq!(
            txt(cues()),
            "[00:00:00] Ana: before\n[00:00:00] Ana: across\n[00:00:02] Ana: after\n[01:02:03] Ana: late\n"
        );
    }

    #[test]
    fn nothing_said_is_still_a_file() {
        assert_eq!((vtt([], 0).as_str(), srt([], 0).as_str(), txt([]).as_str()), ("WEBVTT\n", "", ""));
    }

    #[test]
    fn words_and_names_stay_words_and_names() {
        let nasty = Cue { speaker: "A<b>\nc", start_ms: 0, end_ms: 1000, text: "one\n\n00:00 --> 00:01\r\n&amp; <i>" };
        assert_eq!(
            vtt([nasty.clone()], 0),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v A&lt;b&gt; c>one 00:00 --&gt; 00:01 &amp;amp; &lt;i&gt;</v>\n"
        );
        assert_eq!(txt([nasty]).lines().count(), 1);
    }
}
