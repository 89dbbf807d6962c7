//! Taking one person, or a span of one, out of what was recorded and said: what goes with it, and
//! what is told of it afterwards.

use crate::{
    consent::Use,
    correction::TextSource,
    id::{MeetingId, ParticipantId},
    recording::{RecordingKind, subtract, union},
    time::{MeetingTime, Micros, Span},
    transcript::{Word, text},
    word::words,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::ops::Range;
use uuid::Uuid;

/// Words this near to the span go, too: their times are the decoder's guess.
pub const NEAR: Micros = Micros::from_ms(500);
/// Containers keep whole milliseconds.
const ROUNDED: Micros = Micros::from_ms(1);
/// Redactions of one meeting. More is a program that asks in a loop.
pub const REDACTIONS_MAX: i64 = 1_000;
/// For so long after the end of a meeting its participants may have themselves taken out of it, by
/// their own hand. Afterwards it takes whoever runs it.
pub const OWN_WISH_MAX: TimeDelta = TimeDelta::days(30);
/// The longest that a meeting may be, for `fromMs` and `toMs`: a year.
pub const MEETING_MS_MAX: i64 = 366 * 24 * 3_600_000;

/// Whether participants of a meeting that ended then may still have themselves taken out.
pub fn may_wish(ended: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    ended.is_none_or(|ended| now - ended <= OWN_WISH_MAX)
}

words! {
    /// What has become of a redaction.
    pub enum RedactionState(
        "state of a redaction",
        schema "RedactionState": "`asked`: it waits for approval. `waiting`: it runs when the meeting is over. `waiting_restore`: files are archived, and it goes on when they are restored."
    ) {
        Asked = "asked",
        Declined = "declined",
        Waiting = "waiting",
        Running = "running",
        WaitingRestore = "waiting_restore",
        Done = "done",
    }
}

impl RedactionState {
    /// Whether what it takes out is left out of everything that is made from now on.
    pub const fn acts(self) -> bool {
        !matches!(self, Self::Asked | Self::Declined)
    }
}

words! {
    /// What has become of the erasure of a person in one meeting.
    pub enum ErasureState(
        "state of an erasure",
        schema "ErasureState": "As of a redaction. `blocked`: the meeting has a legal hold, and it goes on when that is lifted."
    ) {
        Waiting = "waiting",
        Blocked = "blocked",
        Running = "running",
        WaitingRestore = "waiting_restore",
        Done = "done",
    }
}

/// How far the erasure of a person is in a meeting: as its redaction, if that was asked for.
pub const fn erasure_state(redaction: Option<RedactionState>, held: bool) -> ErasureState {
    match redaction {
        Some(RedactionState::Running) => ErasureState::Running,
        Some(RedactionState::WaitingRestore) => ErasureState::WaitingRestore,
        Some(RedactionState::Done) => ErasureState::Done,
        None if held => ErasureState::Blocked,
        // Nobody has to approve it.
        Some(RedactionState::Waiting | RedactionState::Asked | RedactionState::Declined) | None => {
            ErasureState::Waiting
        }
    }
}

/// What is known of a meeting while a redaction of it is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// The meeting, or its capture, is not over.
    pub live: bool,
    /// Files that have to be read and are archived.
    pub archived: usize,
    /// Tracks or the mix are still to be made.
    pub making: bool,
    /// Objects that hold what is to go and are still there.
    pub left: usize,
}

/// How far a redaction that was approved is.
pub const fn state(progress: Progress) -> RedactionState {
    match progress {
        Progress { live: true, .. } => RedactionState::Waiting,
        Progress { archived: 1.., .. } => RedactionState::WaitingRestore,
        Progress {
            making: false,
            left: 0,
            ..
        } => RedactionState::Done,
        _ => RedactionState::Running,
    }
}

/// The span between these times of the meeting: `None` is from its beginning, or to its end.
pub fn span(from_ms: Option<i64>, to_ms: Option<i64>) -> Span {
    Span::new(
        from_ms.map_or(MeetingTime(i64::MIN), MeetingTime::from_ms),
        to_ms.map_or(MeetingTime::MAX, MeetingTime::from_ms),
    )
}

/// What is taken out of one participant's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    pub participant: ParticipantId,
    pub purposes: Vec<Use>,
    pub span: Span,
}

/// What is taken out of this participant's for this purpose; sorted and apart.
pub fn spans(cuts: &[Cut], participant: ParticipantId, purpose: Use) -> Vec<Span> {
    let of = cuts
        .iter()
        .filter(|cut| cut.participant == participant && cut.purposes.contains(&purpose));
    union(&of.map(|cut| cut.span).collect::<Vec<_>>())
}

/// Whether a packet goes with the sorted, separate `redacted`: it holds sound of them, by its
/// place, by its coder's `delay`, or because it `repeats` so much of what was before it.
pub fn goes(packet: Span, delay: Micros, repeats: Option<Micros>, redacted: &[Span]) -> bool {
    let back = delay + repeats.unwrap_or_default() + ROUNDED;
    let reach = Span::new(packet.start - back, packet.end + ROUNDED);
    let next = redacted.partition_point(|span| span.end <= reach.start);
    redacted.get(next).is_some_and(|span| span.overlaps(reach))
}

/// Whether nothing of a file would be left.
pub fn takes_all(file: Span, redacted: &[Span]) -> bool {
    subtract(&[file], redacted).is_empty()
}

/// The spans with what is near to them, in which words go.
pub fn near(redacted: &[Span]) -> Vec<Span> {
    let wider = |span: &Span| Span::new(span.start - NEAR, span.end + NEAR);
    union(&redacted.iter().map(wider).collect::<Vec<_>>())
}

/// The newest version of a segment of a transcript.
#[derive(Clone, Copy, Debug)]
pub struct SpokenSegment<'a> {
    pub span: Span,
    pub text: &'a str,
    pub words: &'a [Word],
    pub source: TextSource,
}

/// Consecutive words of a segment that stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemainingWords {
    pub words: Range<usize>,
    pub text: String,
}

/// What stays of a segment when what was said in `near` ([`near`]) goes. `None`: all of it, as it
/// is. Of an edited one nothing does: nobody knows when its words were said.
pub fn rest(said: &SpokenSegment<'_>, near: &[Span]) -> Option<Vec<RemainingWords>> {
    let is_near = |span: Span| {
        // A word may have been given no time at all.
        let span = Span::new(span.start, span.end.max(span.start + Micros(1)));
        near.iter().any(|near| near.overlaps(span))
    };
    if said.words.is_empty() || said.source == TextSource::Edit {
        return is_near(said.span).then(Vec::new);
    }
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (n, word) in said.words.iter().enumerate() {
        match runs.last_mut() {
            _ if is_near(word.span) => {}
            Some(run) if run.end == n => run.end = n + 1,
            _ => runs.push(n..n + 1),
        }
    }
    if runs.iter().any(|run| run.len() == said.words.len()) {
        return None;
    }
    let places = places(said);
    let rest = runs.into_iter().map(|run| {
        let text = match &places {
            Some(places) => {
                let (first, last) = (&places[run.start], &places[run.end - 1]);
                said.text[first.start..last.end].to_owned()
            }
            None => text(&said.words[run.clone()]),
        };
        RemainingWords { words: run, text }
    });
    Some(rest.collect())
}

/// Where each word stands in the text; `None` when the text is not these words with spaces or
/// nothing between them.
fn places(said: &SpokenSegment<'_>) -> Option<Vec<Range<usize>>> {
    let mut at = 0;
    let mut places = Vec::with_capacity(said.words.len());
    for word in said.words {
        let rest = &said.text[at..];
        let start = at + (rest.len() - rest.trim_start().len());
        let end = start + word.text.len();
        if !said.text[start..].starts_with(&word.text) {
            return None;
        }
        places.push(start..end);
        at = end;
    }
    said.text[at..].trim().is_empty().then_some(places)
}

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedactedFile {
    pub id: Uuid,
    pub kind: RecordingKind,
    /// SHA-256 of the file before; `None`: there was none yet.
    pub before: Option<String>,
    /// And after; `None`: it is deleted.
    pub after: Option<String>,
}

/// An object that is gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GoneObject {
    pub key: String,
    pub sha256: Option<String>,
}

/// What a redaction did; signed as this JSON.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub id: Uuid,
    pub meeting_id: MeetingId,
    pub participant_id: ParticipantId,
    pub purposes: Vec<Use>,
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    /// `api_key:<id>` or `user:<id>`.
    pub asked_by: String,
    #[serde(serialize_with = "crate::wire_time::as_wire_time")]
    pub asked_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::wire_time::as_wire_time")]
    pub completed_at: DateTime<Utc>,
    pub recordings: Vec<RedactedFile>,
    pub objects: Vec<GoneObject>,
    /// Segments of the transcript that were taken back.
    pub segments: i32,
    /// Segments that lie in spools of machines that are away.
    pub spools_outstanding: i64,
    /// Spools that were declared destroyed with what they had of the meeting.
    pub spools_destroyed: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(from: i64, to: i64) -> Span {
        Span::new(MeetingTime::from_ms(from), MeetingTime::from_ms(to))
    }

    #[test]
    fn a_packet_goes_with_what_it_touches_or_repeats() {
        let redacted = [ms(1_000, 2_000), ms(5_000, 5_010)];
        let opus = Micros(6_500);
        let repeats = Some(Micros::from_ms(20));
        for (at, repeats, goes_opus, goes_pcm) in [
            (960, None, false, false),
            (979, None, false, false),
            (980, None, true, true), // rounded
            (981, None, true, true),
            (1_500, None, true, true),
            (1_990, None, true, true),
            (2_000, None, true, true), // rounded
            (2_002, None, true, false),
            (2_008, None, false, false),
            (2_008, repeats, true, true),
            (2_020, repeats, true, true),
            (2_028, repeats, false, false),
            (5_000, None, true, true),
            (5_012, None, true, false),
        ] {
            let packet = ms(at, at + 20);
            assert_eq!(goes(packet, opus, repeats, &redacted), goes_opus, "{at}");
            assert_eq!(
                goes(packet, Micros(0), repeats, &redacted),
                goes_pcm,
                "{at}"
            );
        }
        assert!(!goes(ms(0, 20), opus, None, &[]));
        assert!(goes(ms(0, 20), opus, None, &[span(None, None)]));
    }

    #[test]
    fn spans_are_of_one_person_and_purpose() {
        let who = |n| ParticipantId(Uuid::from_u128(n));
        let cut = |n, purposes: &[Use], span| Cut {
            participant: who(n),
            purposes: purposes.to_vec(),
            span,
        };
        let cuts = [
            cut(1, &[Use::Recording], ms(4_000, 6_000)),
            cut(1, &Use::ALL, ms(1_000, 2_000)),
            cut(1, &[Use::Recording], ms(1_500, 3_000)),
            cut(2, &Use::ALL, span(Some(9_000), None)),
        ];
        assert_eq!(
            spans(&cuts, who(1), Use::Recording),
            [ms(1_000, 3_000), ms(4_000, 6_000)]
        );
        assert_eq!(spans(&cuts, who(1), Use::Transcription), [ms(1_000, 2_000)]);
        assert_eq!(
            spans(&cuts, who(2), Use::Recording),
            [Span::new(MeetingTime::from_ms(9_000), MeetingTime::MAX)]
        );
        assert_eq!(spans(&cuts, who(3), Use::Recording), []);
        assert!(takes_all(
            ms(4_200, 5_000),
            &spans(&cuts, who(1), Use::Recording)
        ));
        assert!(!takes_all(
            ms(2_900, 5_000),
            &spans(&cuts, who(1), Use::Recording)
        ));
        assert!(takes_all(ms(0, 90_000), &[span(None, None)]));
    }

    fn word(text: &str, from: i64, to: i64) -> Word {
        Word {
            text: text.to_owned(),
            spaced: true,
            span: ms(from, to),
            confidence: 0.9,
        }
    }

    fn texts(rest: &Option<Vec<RemainingWords>>) -> Vec<&str> {
        let rest = rest.as_deref().expect("something goes");
        rest.iter().map(|rest| rest.text.as_str()).collect()
    }

    #[test]
    fn words_near_the_span_go_and_the_others_stay_as_they_were_written() {
        let words = [
            word("One,", 0, 400),
            word("two", 1_000, 1_400),
            word("three;", 2_000, 2_400),
            word("four", 3_000, 3_400),
            word("five.", 4_000, 4_400),
        ];
        let said = SpokenSegment {
            span: ms(0, 4_400),
            text: "One, two  three; four five.",
            words: &words,
            source: TextSource::Live,
        };
        let of = |from, to| rest(&said, &near(&[ms(from, to)]));
        assert_eq!(texts(&of(1_950, 2_350)), ["One, two", "four five."]);
        assert_eq!(of(1_950, 2_350).expect("goes")[1].words, 3..5);
        // 500 ms to either side.
        assert_eq!(texts(&of(1_900, 2_499)), ["One, two", "four five."]);
        assert_eq!(texts(&of(1_899, 2_501)), ["One,", "five."]);
        assert_eq!(texts(&of(-5_000, 600)), ["three; four five."]);
        assert_eq!(of(0, 4_000), Some(Vec::new()));
        assert_eq!(of(5_000, 6_000), None);
        assert_eq!(of(-3_000, -501), None);
        // Nobody knows when the words of these were said.
        let edited = SpokenSegment {
            source: TextSource::Edit,
            ..said
        };
        assert_eq!(rest(&edited, &near(&[ms(0, 10)])), Some(Vec::new()));
        assert_eq!(rest(&edited, &near(&[ms(9_000, 9_010)])), None);
        let bare = SpokenSegment { words: &[], ..said };
        assert_eq!(rest(&bare, &near(&[ms(0, 10)])), Some(Vec::new()));
        // Written without spaces, and a text that is not its words.
        let unspaced = [word("今日", 0, 400), word("は", 3_000, 3_400)];
        let said = SpokenSegment {
            text: "今日は",
            words: &unspaced,
            ..said
        };
        assert_eq!(texts(&rest(&said, &near(&[ms(0, 10)]))), ["は"]);
        let other = SpokenSegment {
            text: "Today, then",
            ..said
        };
        assert_eq!(texts(&rest(&other, &near(&[ms(0, 10)]))), ["は"]);
        // A word without a length.
        let short = [word("a", 1_000, 1_000), word("b", 9_000, 9_000)];
        let said = SpokenSegment {
            text: "a b",
            words: &short,
            ..said
        };
        assert_eq!(texts(&rest(&said, &near(&[ms(900, 950)]))), ["b"]);
    }

    #[test]
    fn an_erasure_is_as_far_as_its_redaction_and_blocked_by_a_hold_before() {
        use RedactionState::{Done, Running, Waiting};
        for (redaction, held, expected) in [
            (None, false, ErasureState::Waiting),
            (None, true, ErasureState::Blocked),
            (Some(Waiting), false, ErasureState::Waiting),
            (Some(Running), false, ErasureState::Running),
            // Held since.
            (Some(Done), true, ErasureState::Done),
        ] {
            assert_eq!(erasure_state(redaction, held), expected, "{redaction:?}");
        }
    }

    #[test]
    fn a_wish_of_ones_own_is_for_thirty_days() {
        let ended = DateTime::UNIX_EPOCH;
        let end = ended + TimeDelta::days(30);
        for (ended, now, may) in [
            (None, end + TimeDelta::days(900), true),
            (Some(ended), ended, true),
            (Some(ended), end, true),
            (Some(ended), end + TimeDelta::milliseconds(1), false),
        ] {
            assert_eq!(may_wish(ended, now), may, "{ended:?} {now}");
        }
    }

    #[test]
    fn it_is_done_when_nothing_is_to_be_made_or_deleted() {
        use RedactionState::{Done, Running, Waiting, WaitingRestore};
        let progress = |live, archived, making, left| Progress {
            live,
            archived,
            making,
            left,
        };
        for (progress, expected) in [
            (progress(true, 3, true, 9), Waiting),
            (progress(false, 3, true, 9), WaitingRestore),
            (progress(false, 0, true, 0), Running),
            (progress(false, 0, false, 1), Running),
            (progress(false, 0, false, 0), Done),
        ] {
            assert_eq!(state(progress), expected, "{progress:?}");
        }
        assert!(!RedactionState::Asked.acts() && !RedactionState::Declined.acts());
        assert!(Waiting.acts() && Done.acts());
    }
}
