//! What is transcribed once more after the end, without hurry, is given to the segments that there
//! are: each keeps its id and its span, and gets the words that belong to it. What was never heard
//! becomes a segment of its own.
//!
//! Words are aligned with those of the live text, by what they are and when they were said. All of
//! it is of one person; sound of two consent entries is decoded apart.

use crate::{
    id::SegmentId,
    recording::{intersect, union},
    time::{MeetingTime, Micros, Span},
    transcript::{Spoken, Word, ends_sentence, letters},
    word::words,
};

words! {
    /// Whether a meeting's transcript was transcribed once more after the end.
    pub enum Refinement(
        "state of a refinement",
        schema "Refinement": "Whether the transcript was transcribed once more after the end, with `settings.refineModel`."
    ) {
        Pending = "pending",
        Running = "running",
        Done = "done",
        /// It stays as it was heard live; `hansard jobs list` says why.
        Failed = "failed",
    }
}

/// A word this near to a segment belongs to it, whatever its time says: times of words are shares
/// of the voice that was found.
const EDGE: Micros = Micros::from_ms(400);
/// Voice of less than this between segments is no word that somebody missed.
const NEW_MIN: Micros = Micros::from_ms(300);
/// A segment of which less than this share was decoded again keeps what it has.
const COVERED_MIN: f64 = 0.9;
/// What alignment charges for a word without a partner, for two that differ, and at most for the
/// distance of two in time.
const ALONE: i64 = 10;
const DIFFERENT: i64 = 12;
const FAR_MAX: i64 = 9;
/// So far apart in time costs one.
const FAR: Micros = Micros::from_ms(250);

/// A final as it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Final {
    pub id: SegmentId,
    pub revision: i32,
    pub span: Span,
    /// ISO 639-1, where it is known.
    pub language: Option<String>,
    /// Each with its place in time.
    pub words: Vec<(String, Span)>,
}

/// A stretch of one person's sound that was decoded again.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    pub span: Span,
    /// `None`: what was heard is doubtful, and says nothing.
    pub words: Option<Vec<Word>>,
}

/// What to write.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Refined {
    /// The new words of segments, with the revision that they were made from. A segment that would
    /// have none is not among them: it keeps its text. Each word lies within its segment.
    pub corrected: Vec<(SegmentId, i32, Vec<Word>)>,
    /// What nobody heard while it was said, each with where it was found in what was decoded.
    pub new: Vec<(usize, Vec<Word>)>,
}

/// The stretches of time that can be looked at apart: neither a segment nor something decoded
/// reaches across their edges.
pub fn blocks(finals: &[Final], decoded: &[Span]) -> Vec<Span> {
    let finals = finals.iter().map(|one| one.span);
    union(&finals.chain(decoded.iter().copied()).collect::<Vec<_>>())
}

/// What somebody said before they go on from there, as far as it is known of what is written: the
/// language, and no text, of which nothing says under which consent entry it was heard.
pub fn spoken_before(finals: &[Final], from: MeetingTime) -> Spoken {
    let mut before = finals.iter().rev().filter(|one| one.span.end <= from);
    Spoken::in_language(before.find_map(|one| one.language.clone()))
}

/// Gives the words of what was decoded to the segments. Both by time, and of one block.
pub fn assign(finals: &[Final], decoded: &[Decoded]) -> Refined {
    let live: Vec<(usize, String, MeetingTime)> = finals
        .iter()
        .enumerate()
        .flat_map(|(n, one)| one.words.iter().map(move |word| (n, word)))
        .map(|(n, (text, span))| (n, letters(text), middle(*span)))
        .collect();
    let heard: Vec<(usize, &Word)> = decoded
        .iter()
        .enumerate()
        .flat_map(|(n, one)| one.words.iter().flatten().map(move |word| (n, word)))
        .collect();
    let partners = align(
        &live
            .iter()
            .map(|(_, text, at)| (text.as_str(), *at))
            .collect::<Vec<_>>(),
        &heard
            .iter()
            .map(|(_, word)| (letters(&word.text), middle(word.span)))
            .collect::<Vec<_>>(),
    );
    // The segment of each word; of one without a partner it lies between those of its neighbours.
    let mut places: Vec<Option<usize>> = partners
        .iter()
        .map(|partner| partner.map(|at| live[at].0))
        .collect();
    let mut after: Vec<Option<usize>> = vec![None; places.len()];
    let mut next = None;
    for n in (0..places.len()).rev() {
        after[n] = next;
        next = places[n].or(next);
    }
    let mut before = None;
    for n in 0..places.len() {
        if places[n].is_none() {
            let range = before.unwrap_or(0)..after[n].map_or(finals.len(), |last| last + 1);
            places[n] = home(finals, range, before, after[n], heard[n].1.span);
        }
        before = places[n].or(before);
    }
    begin_sentences(&heard, &partners, &mut places);
    let sure: Vec<Span> = decoded
        .iter()
        .filter(|one| one.words.is_some())
        .map(|one| one.span)
        .collect();
    let mut refined = Refined::default();
    for (n, one) in finals.iter().enumerate() {
        let words: Vec<Word> = heard
            .iter()
            .zip(&places)
            .filter(|(_, place)| **place == Some(n))
            .map(|((_, word), _)| Word {
                span: clamped(word.span, one.span),
                ..(*word).clone()
            })
            .collect();
        if !words.is_empty() && is_covered(one.span, &sure) {
            refined.corrected.push((one.id, one.revision, words));
        }
    }
    for (n, (of, word)) in heard.iter().enumerate() {
        if places[n].is_some() {
            continue;
        }
        let follows = n > 0 && places[n - 1].is_none();
        match refined.new.last_mut() {
            Some((last, words)) if follows && last == of => words.push((*word).clone()),
            _ => refined.new.push((*of, vec![(*word).clone()])),
        }
    }
    refined.new.retain(|(_, words)| {
        let ends = words.first().zip(words.last());
        ends.is_some_and(|(first, last)| last.span.end - first.span.start >= NEW_MIN)
    });
    refined
}

/// A sentence that nobody heard is not begun in the segment before it: across a pause, times of
/// words are too uncertain to say on which side of it they were said.
fn begin_sentences(
    heard: &[(usize, &Word)],
    partners: &[Option<usize>],
    places: &mut [Option<usize>],
) {
    for last in 0..heard.len().saturating_sub(1) {
        let goes_on = places[last].is_some()
            && places[last + 1].is_none()
            && heard[last].0 == heard[last + 1].0;
        if !goes_on {
            continue;
        }
        let mut alone = (0..=last).rev().take_while(|n| partners[*n].is_none());
        let begins = |n: &usize| {
            *n > 0 && heard[*n - 1].0 == heard[*n].0 && ends_sentence(&heard[*n - 1].1.text)
        };
        if let Some(first) = alone.find(begins) {
            places[first..=last].fill(None);
        }
    }
}

/// The segment of a word that no live word stands for; `None`: nobody heard it. `range`: those it
/// can be in, with `before` and `after` the segments of the words around it.
fn home(
    finals: &[Final],
    range: std::ops::Range<usize>,
    before: Option<usize>,
    after: Option<usize>,
    span: Span,
) -> Option<usize> {
    if before.is_some() && before == after {
        return before;
    }
    let distance = |n: &usize| {
        let of = finals[*n].span;
        let at = middle(span);
        (of.start - at).0.max((at - of.end).0).max(0)
    };
    range
        .min_by_key(distance)
        .filter(|n| distance(n) <= EDGE.0 || finals[*n].span.overlaps(span))
}

fn is_covered(span: Span, by: &[Span]) -> bool {
    let covered: i64 = intersect(&[span], &union(by))
        .iter()
        .map(|span| span.length().0)
        .sum();
    covered as f64 >= span.length().0 as f64 * COVERED_MIN
}

fn clamped(span: Span, within: Span) -> Span {
    let at = |time: MeetingTime| time.max(within.start).min(within.end);
    Span::new(at(span.start), at(span.end))
}

fn middle(span: Span) -> MeetingTime {
    MeetingTime(span.start.0.midpoint(span.end.0))
}

/// The partner among `live` of each of `heard`, in order, at the least cost (Needleman and Wunsch,
/// 1970).
fn align(live: &[(&str, MeetingTime)], heard: &[(String, MeetingTime)]) -> Vec<Option<usize>> {
    let (rows, columns) = (heard.len() + 1, live.len() + 1);
    let pair = |n: usize, m: usize| {
        let ((text, at), (said, when)) = (live[m], &heard[n]);
        let far = ((at - *when).0.abs() / FAR.0).min(FAR_MAX);
        far + if text == said { 0 } else { DIFFERENT }
    };
    let mut cost = vec![0; rows * columns];
    for n in 0..rows {
        for m in 0..columns {
            cost[n * columns + m] = match (n, m) {
                (0, m) => m as i64 * ALONE,
                (n, 0) => n as i64 * ALONE,
                _ => (cost[(n - 1) * columns + m - 1] + pair(n - 1, m - 1))
                    .min(cost[(n - 1) * columns + m] + ALONE)
                    .min(cost[n * columns + m - 1] + ALONE),
            };
        }
    }
    let mut partners = vec![None; heard.len()];
    let (mut n, mut m) = (heard.len(), live.len());
    while n > 0 && m > 0 {
        let here = cost[n * columns + m];
        if here == cost[(n - 1) * columns + m - 1] + pair(n - 1, m - 1) {
            (n, m) = (n - 1, m - 1);
            partners[n] = Some(m);
        } else if here == cost[(n - 1) * columns + m] + ALONE {
            n -= 1;
        } else {
            m -= 1;
        }
    }
    partners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::text;
    use uuid::Uuid;

    fn ms(ms: i64) -> MeetingTime {
        MeetingTime::from_ms(ms)
    }

    fn span(from_ms: i64, to_ms: i64) -> Span {
        Span::new(ms(from_ms), ms(to_ms))
    }

    /// Words of a text, evenly over a span.
    fn spread(text: &str, from_ms: i64, to_ms: i64) -> Vec<(String, Span)> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let step = (to_ms - from_ms) / words.len().max(1) as i64;
        let at = |n: usize| from_ms + n as i64 * step;
        words
            .iter()
            .enumerate()
            .map(|(n, word)| ((*word).to_owned(), span(at(n), at(n + 1))))
            .collect()
    }

    fn live(n: u128, text: &str, from_ms: i64, to_ms: i64) -> Final {
        Final {
            id: SegmentId(Uuid::from_u128(n)),
            revision: 1,
            span: span(from_ms, to_ms),
            language: Some("en".into()),
            words: spread(text, from_ms, to_ms),
        }
    }

    fn decoded(text: &str, from_ms: i64, to_ms: i64) -> Decoded {
        let words = spread(text, from_ms, to_ms)
            .into_iter()
            .map(|(text, span)| Word {
                text,
                spaced: true,
                span,
                confidence: 0.9,
            })
            .collect();
        Decoded {
            span: span(from_ms - 250, to_ms + 200),
            words: Some(words),
        }
    }

    fn corrected(refined: &Refined) -> Vec<(u128, String)> {
        let of = |(id, _, words): &(SegmentId, i32, Vec<Word>)| (id.0.as_u128(), text(words));
        refined.corrected.iter().map(of).collect()
    }

    fn new(refined: &Refined) -> Vec<String> {
        refined.new.iter().map(|(_, words)| text(words)).collect()
    }

    #[test]
    fn words_go_to_the_segments_that_they_were_said_in() {
        // One stretch where the live text was cut in two, in mid-sentence, and misheard.
        let finals = [
            live(1, "Ask not what your country.", 1_000, 3_000),
            live(2, "can do for ewe", 3_500, 5_000),
        ];
        let refined = assign(
            &finals,
            &[decoded(
                "ask not what your country can do for you",
                1_000,
                5_000,
            )],
        );
        assert_eq!(
            corrected(&refined),
            [
                (1, "ask not what your country".to_owned()),
                (2, "can do for you".to_owned())
            ]
        );
        assert_eq!(new(&refined), [""; 0]);
        assert_eq!(refined.corrected[0].1, 1, "what it was made from");
    }

    #[test]
    fn a_word_too_many_stays_where_its_neighbours_are() {
        let finals = [
            live(1, "we ship it on", 0, 2_000),
            live(2, "thank you", 6_000, 7_000),
        ];
        let refined = assign(
            &finals,
            &[
                decoded("we will ship it on Monday", 0, 2_200),
                decoded("thank you", 6_000, 7_000),
            ],
        );
        assert_eq!(
            corrected(&refined),
            [
                (1, "we will ship it on Monday".to_owned()),
                (2, "thank you".to_owned())
            ]
        );
    }

    #[test]
    fn words_keep_how_sure_they_are_and_when_they_were_said_within_their_segment() {
        let finals = [live(1, "ship it", 1_000, 2_000)];
        let refined = assign(&finals, &[decoded("we ship it now", 800, 2_400)]);
        let [(_, _, words)] = refined.corrected.as_slice() else {
            panic!("one segment");
        };
        let times: Vec<Span> = words.iter().map(|word| word.span).collect();
        assert_eq!(
            times,
            [
                span(1_000, 1_200),
                span(1_200, 1_600),
                span(1_600, 2_000),
                span(2_000, 2_000)
            ]
        );
        assert!(words.iter().all(|word| word.confidence == 0.9));
    }

    #[test]
    fn what_nobody_heard_becomes_new_and_what_is_heard_no_more_stays() {
        let finals = [
            live(1, "good morning", 0, 1_000),
            live(2, "yes", 20_000, 20_400),
        ];
        let refined = assign(
            &finals,
            &[
                decoded("good morning", 0, 1_000),
                decoded("the database was slow", 8_000, 10_000),
                decoded("again", 14_000, 14_200),
                Decoded {
                    span: span(19_900, 20_500),
                    words: Some(Vec::new()),
                },
            ],
        );
        assert_eq!(corrected(&refined), [(1, "good morning".to_owned())]);
        // A blip is no word.
        assert_eq!(new(&refined), ["the database was slow"]);
        assert_eq!(refined.new[0].0, 1);
    }

    #[test]
    fn a_sentence_that_nobody_heard_does_not_begin_in_the_segment_before() {
        // As if there were no pause after the first: its words take less time than they did.
        let finals = [live(1, "it stopped at nine.", 0, 3_000)];
        let both = "it stopped at nine. about two hundred users";
        let refined = assign(&finals, &[decoded(both, 0, 5_600)]);
        assert_eq!(corrected(&refined), [(1, "it stopped at nine.".to_owned())]);
        assert_eq!(new(&refined), ["about two hundred users"]);
        // A sentence that ends there has only been heard in part.
        let both = "it stopped at nine today. two hundred users";
        let refined = assign(&finals, &[decoded(both, 0, 5_600)]);
        assert_eq!(
            corrected(&refined),
            [(1, "it stopped at nine today.".to_owned())]
        );
    }

    #[test]
    fn a_segment_that_was_not_decoded_whole_keeps_what_it_has() {
        let finals = [live(1, "one two three four", 0, 4_000)];
        let half = decoded("one two", 0, 2_000);
        assert_eq!(assign(&finals, std::slice::from_ref(&half)).corrected, []);
        // Nor one of which a part is doubtful.
        let doubtful = Decoded {
            span: span(2_000, 4_200),
            words: None,
        };
        assert_eq!(assign(&finals, &[half.clone(), doubtful]).corrected, []);
        let rest = decoded("three for", 2_000, 4_000);
        assert_eq!(
            corrected(&assign(&finals, &[half, rest])),
            [(1, "one two three for".to_owned())]
        );
    }

    #[test]
    fn the_same_word_twice_goes_to_where_it_was_said() {
        let finals = [live(1, "no", 0, 400), live(2, "no", 9_000, 9_400)];
        let refined = assign(&finals, &[decoded("no", 9_000, 9_400)]);
        assert_eq!(corrected(&refined), [(2, "no".to_owned())]);
    }

    #[test]
    fn who_goes_on_does_so_in_the_language_of_before() {
        let mut finals = [
            live(1, "guten Tag", 0, 2_000),
            live(2, "hm", 3_000, 3_400),
            live(3, "hello", 6_000, 8_000),
        ];
        finals[0].language = Some("de".into());
        finals[1].language = None;
        let before = |at| spoken_before(&finals, ms(at)).language().map(str::to_owned);
        assert_eq!(before(0), None);
        assert_eq!(before(5_000).as_deref(), Some("de"));
        assert_eq!(before(7_000).as_deref(), Some("de"), "of what is over");
        assert_eq!(before(8_000).as_deref(), Some("en"));
    }

    #[test]
    fn blocks_end_where_nothing_reaches_across() {
        let finals = [live(1, "a", 0, 1_000), live(2, "b", 4_000, 6_000)];
        assert_eq!(
            blocks(&finals, &[span(900, 2_000), span(5_900, 7_000)]),
            [span(0, 2_000), span(4_000, 7_000)]
        );
        assert_eq!(blocks(&[], &[]), []);
    }
}
