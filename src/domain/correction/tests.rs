use super::*;
use crate::event;

fn current(revision: i32, source: TextSource, text: &str) -> Current {
    Current {
        revision,
        source,
        author: (source == TextSource::Edit).then(|| "user:a".to_owned()),
        text: text.into(),
    }
}

#[test]
fn an_edit_beats_a_refinement_and_an_old_base_is_refused() {
    use TextSource::{Edit, Live, Refine};
    for (current, base, source, author, text, expected) in [
        (
            current(3, Live, "a"),
            3,
            Edit,
            Some("user:a"),
            "b",
            Ok(true),
        ),
        (current(3, Live, "a"), 3, Refine, None, "b", Ok(true)),
        (
            current(3, Refine, "a"),
            3,
            Edit,
            Some("user:a"),
            "b",
            Ok(true),
        ),
        (
            current(3, Edit, "a"),
            3,
            Edit,
            Some("user:b"),
            "b",
            Ok(true),
        ),
        // Only a person may take all words away.
        (current(3, Live, "a"), 3, Refine, None, "", Ok(false)),
        (current(3, Live, "a"), 3, Edit, Some("user:a"), "", Ok(true)),
        // Nothing new.
        (
            current(3, Live, "a"),
            3,
            Edit,
            Some("user:a"),
            "a",
            Ok(false),
        ),
        // A repeated request, a job that runs again.
        (
            current(4, Edit, "b"),
            3,
            Edit,
            Some("user:a"),
            "b",
            Ok(false),
        ),
        (current(4, Refine, "b"), 3, Refine, None, "b", Ok(false)),
        // Somebody else wrote the same: it says so.
        (
            current(4, Edit, "b"),
            3,
            Edit,
            Some("user:b"),
            "b",
            Err(Refusal::Stale { current: 4 }),
        ),
        (
            current(5, Live, "b"),
            3,
            Edit,
            Some("user:a"),
            "b",
            Err(Refusal::Stale { current: 5 }),
        ),
        (
            current(3, Live, "a"),
            4,
            Edit,
            Some("user:a"),
            "b",
            Err(Refusal::Stale { current: 3 }),
        ),
        (
            current(4, Edit, "a"),
            4,
            Refine,
            None,
            "b",
            Err(Refusal::Edited { current: 4 }),
        ),
        (
            current(4, Edit, "a"),
            3,
            Refine,
            None,
            "a",
            Err(Refusal::Edited { current: 4 }),
        ),
    ] {
        assert_eq!(
            decide(&current, base, source, author, text),
            expected,
            "{current:?} {base} {source} {text}"
        );
    }
}

#[test]
fn finds_by_case_and_by_whole_words() {
    for (text, find, replace, match_case, whole_word, expected) in [
        (
            "Anna and anna",
            "anna",
            "Ana",
            false,
            false,
            Some(("Ana and Ana", 2)),
        ),
        (
            "Anna and anna",
            "anna",
            "Ana",
            true,
            false,
            Some(("Anna and Ana", 1)),
        ),
        (
            "Susanna, Anna.",
            "Anna",
            "Ana",
            false,
            true,
            Some(("Susanna, Ana.", 1)),
        ),
        ("Susanna", "Anna", "Ana", false, true, None),
        ("don't do it", "don", "Don", false, true, None),
        (
            "'don' he said",
            "don",
            "Don",
            false,
            true,
            Some(("'Don' he said", 1)),
        ),
        (
            "C++11 in C++",
            "c++",
            "Rust",
            false,
            true,
            Some(("Rust11 in Rust", 2)),
        ),
        ("aaaa", "aa", "b", true, false, Some(("bb", 2))),
        ("um so um", "um", "", false, true, Some(("so", 2))),
        ("um", "um", "", false, true, Some(("", 1))),
        ("İstanbul", "i", "x", false, false, None),
        (
            "İstanbul",
            "İSTANBUL",
            "Ankara",
            false,
            true,
            Some(("Ankara", 1)),
        ),
        (
            "STRASSE straße",
            "straße",
            "Weg",
            false,
            true,
            Some(("STRASSE Weg", 1)),
        ),
        (
            "今日は良い",
            "良い",
            "悪い",
            false,
            false,
            Some(("今日は悪い", 1)),
        ),
        ("nothing", "", "x", false, false, None),
    ] {
        let replacing = Replacing {
            find,
            replace,
            match_case,
            whole_word,
        };
        assert_eq!(
            replacing.apply(text),
            expected.map(|(text, n)| (text.to_owned(), n)),
            "{find} in {text}"
        );
    }
}

fn said(words: &[(&str, i64, i64)]) -> Vec<Word> {
    words
        .iter()
        .map(|(text, start, end)| Word {
            text: (*text).into(),
            spaced: true,
            span: Span::new(MeetingTime::from_ms(*start), MeetingTime::from_ms(*end)),
            confidence: 0.5,
        })
        .collect()
}

fn within(start: i64, end: i64) -> Span {
    Span::new(MeetingTime::from_ms(start), MeetingTime::from_ms(end))
}

/// Text, start, end in milliseconds, and whether the confidence is the decoder's.
fn shown(words: &[Word]) -> Vec<(&str, i64, i64, bool)> {
    words
        .iter()
        .map(|word| {
            (
                word.text.as_str(),
                word.span.start.as_ms(),
                word.span.end.as_ms(),
                word.confidence < 1.0,
            )
        })
        .collect()
}

#[test]
fn words_that_stay_keep_their_times_and_others_share_what_they_replace() {
    let before = said(&[
        ("so", 1_000, 1_200),
        ("the", 1_300, 1_400),
        ("necks", 1_500, 1_900),
        ("tep.", 1_900, 2_300),
    ]);
    let placed = place_anew("So, the next step.", within(1_000, 2_400), &before);
    assert_eq!(
        shown(&placed),
        [
            ("So,", 1_000, 1_200, true),
            ("the", 1_300, 1_400, true),
            ("next", 1_500, 1_900, false),
            ("step.", 1_900, 2_300, false),
        ]
    );
    // Put between two words that leave no time: it shares its neighbour's.
    let before = said(&[("one", 0, 400), ("three", 400, 800)]);
    let placed = place_anew("one two three", within(0, 800), &before);
    assert_eq!(
        shown(&placed),
        [
            ("one", 0, 200, false),
            ("two", 200, 400, false),
            ("three", 400, 800, true),
        ]
    );
    // Taken away: what stays, stays where it was.
    let placed = place_anew("three", within(0, 800), &before);
    assert_eq!(shown(&placed), [("three", 400, 800, true)]);
    assert!(place_anew("", within(0, 800), &before).is_empty());
}

#[test]
fn without_earlier_words_a_text_fills_its_span_and_all_stays_in_order() {
    let placed = place_anew("今日は、良い day", within(0, 7_000), &[]);
    let texts: Vec<&str> = placed.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["今", "日", "は、", "良", "い", "day"]);
    assert_eq!(
        crate::transcript::text(&placed),
        "今日は、良い day",
        "spaces are where they were written"
    );
    let before = said(&[("a", 0, 100), ("b", 100, 100), ("c", 100, 900)]);
    for text in [
        "a x b y c z",
        "z a b c",
        "c b a",
        "x",
        "a a a a a",
        "b c d e f g",
    ] {
        let placed = place_anew(text, within(0, 900), &before);
        assert_eq!(crate::transcript::text(&placed), text);
        let mut last = MeetingTime::ZERO;
        for word in &placed {
            assert!(
                word.span.start >= last && word.span.end >= word.span.start,
                "{placed:?}"
            );
            last = word.span.end;
        }
        assert!(last <= MeetingTime::from_ms(900), "{placed:?}");
    }
}

#[test]
fn words_read_back_as_they_are_written() {
    let before = said(&[("so", 1_000, 1_200), ("it", 1_300, 1_400)]);
    assert_eq!(words_from(&event::words(&before)), before);
    assert!(words_from(&serde_json::json!([{"text": "no times"}])).is_empty());
    assert!(words_from(&Value::Null).is_empty());
}
