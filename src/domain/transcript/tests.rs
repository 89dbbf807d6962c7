use super::*;
use crate::time::MeetingTime;

fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

fn span(from: i64, to: i64) -> Span {
    Span::new(ms(from), ms(to))
}

fn heard(line: &str) -> Vec<HeardWord> {
    line.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| HeardWord {
            text: word.into(),
            spaced: true,
            confidence: 0.8,
        })
        .collect()
}

fn hypothesis(line: &str) -> Hypothesis {
    Hypothesis {
        words: heard(line),
        no_speech: 0.001,
        log_prob: -0.1,
        ..Hypothesis::default()
    }
}

fn words(line: &str, until: i64) -> Vec<Word> {
    place(&heard(line), &[span(0, until)], span(0, until))
}

#[test]
fn believes_speech_and_doubts_noise() {
    let second = Micros::from_secs(1);
    for (line, no_speech, log_prob, expected) in [
        ("Good morning everyone.", 0.001, -0.1, None),
        ("Yes.", 0.2, -0.3, None),
        ("?", 0.8, -1.5, Some(Doubt::NoLetters)),
        ("[BLANK_AUDIO]", 0.0, 0.0, Some(Doubt::NoLetters)),
        ("(soft music playing)", 0.0, 0.0, Some(Doubt::NoLetters)),
        ("the", 0.8, -1.5, Some(Doubt::NoSpeech)),
        ("the", 0.8, -0.2, Some(Doubt::NoSpeech)),
        ("the", 0.3, -1.2, Some(Doubt::NoSpeech)),
        (
            "no no no no no no no no",
            0.0,
            -0.1,
            Some(Doubt::Repetition),
        ),
        ("no no no", 0.0, -0.1, None),
        (
            "1.5x4.5x4.5x4.5x4.5x4.5x4.5x4.5",
            0.0,
            -0.1,
            Some(Doubt::Repetition),
        ),
        ("2001:db8:85a3:0000:0000:8a2e:0370", 0.0, -0.1, None),
        (
            "we can do it we can do it we can do it",
            0.0,
            -0.1,
            Some(Doubt::Repetition),
        ),
        ("Thank you.", 0.001, -0.1, None),
        ("Thank you.", 0.45, -0.3, None),
        ("Thank you.", 0.55, -0.3, Some(Doubt::Weak)),
        ("It is Monday.", 0.55, -0.3, Some(Doubt::Weak)),
        ("On Monday we begin anew.", 0.55, -0.3, None),
        (
            "incomprehensibilities internationalization counterrevolutionaries",
            0.0,
            -0.1,
            Some(Doubt::Rate),
        ),
    ] {
        let hypothesis = Hypothesis {
            no_speech,
            log_prob,
            ..hypothesis(line)
        };
        assert_eq!(doubt(&hypothesis, second), expected, "{line}");
    }
    let short = |no_speech| {
        let mut unsure = hypothesis("Okay.");
        unsure.words[0].confidence = 0.4;
        doubt(
            &Hypothesis {
                no_speech,
                ..unsure
            },
            Micros::from_ms(400),
        )
    };
    assert_eq!((short(0.25), short(0.35)), (None, Some(Doubt::Weak)));
    let hum = Hypothesis {
        no_speech: 0.85,
        log_prob: -0.5,
        ..hypothesis("Why our.")
    };
    assert_eq!(
        doubt(&hum, Micros::from_secs(7)),
        Some(Doubt::NoSpeech),
        "two words in seven seconds"
    );
    let tangled = Hypothesis {
        no_speech: 0.7,
        log_prob: -0.5,
        ..hypothesis("one tbh one tbh one tbh one tbh")
    };
    assert_eq!(
        doubt(&tangled, Micros::from_secs(7)),
        Some(Doubt::NoSpeech),
        "two words in seven seconds, four times"
    );
    // What base makes of noise.
    let next = "I'm going to the next station.";
    let noise = |line: &str, log_prob| Hypothesis {
        no_speech: 0.75,
        log_prob,
        ..hypothesis(line)
    };
    assert_eq!(
        doubt(&noise(&[next; 5].join(" "), -0.4), Micros::from_ms(4_500)),
        Some(Doubt::NoSpeech),
        "a sentence again and again, where most likely nobody spoke"
    );
    let fourteen = format!("{next} And what is it that you would see there?");
    assert_eq!(
        [4, 16].map(|seconds| doubt(&noise(&fourteen, -0.4), Micros::from_secs(seconds))),
        [None, Some(Doubt::NoSpeech)],
        "fifteen words in four seconds are speech, in sixteen they are not"
    );
    let loop_of = |no_speech| Hypothesis {
        no_speech,
        ..noise(&[next; 5].join(" "), -0.76)
    };
    assert_eq!(
        [0.3, 0.53].map(|no_speech| doubt(&loop_of(no_speech), Micros::from_secs(4))),
        [Some(Doubt::Repetition), Some(Doubt::NoSpeech)],
        "what a loop repeats was said, if somebody spoke"
    );
    let long = "unless to be rather cold hearted and rather selfish is to be ill disposed";
    assert_eq!(
        doubt(&hypothesis(&format!("{long} {long}")), Micros::from_secs(6)),
        Some(Doubt::Repetition),
        "fourteen words are said twice by no one"
    );
    let ends_early = Hypothesis {
        until: Some((Micros::from_secs(6), Micros::from_secs(2))),
        ..hypothesis("and so on")
    };
    assert_eq!(
        doubt(&ends_early, Micros::from_secs(5)),
        Some(Doubt::CutShort)
    );
    let cut = Hypothesis {
        truncated: true,
        ..hypothesis("and so on")
    };
    assert_eq!(doubt(&cut, second), Some(Doubt::Truncated));
}

#[test]
fn untangles_loops() {
    let line = "so the next step the next step the next step the next step is done";
    let left: Vec<String> = untangle(heard(line))
        .into_iter()
        .map(|word| word.text)
        .collect();
    assert_eq!(left.join(" "), "so the next step is done");
}

#[test]
fn places_words_on_the_voiced_parts() {
    let within = span(0, 3000);
    let placed = place(
        &heard("one two"),
        &[span(200, 600), span(2000, 2400)],
        within,
    );
    assert_eq!(placed[0].span, span(200, 600));
    assert_eq!(placed[1].span, span(2000, 2400));
    let placed = place(
        &heard("a b c d"),
        &[span(-500, 400), span(2900, 9000)],
        within,
    );
    let mut last = within.start;
    for word in &placed {
        assert!(
            word.span.start >= last
                && word.span.end >= word.span.start
                && word.span.end <= within.end
        );
        last = word.span.end;
    }
    assert_eq!(place(&heard("x"), &[], within)[0].span, within);
}

#[test]
fn a_sentence_ends_at_the_pause_behind_it() {
    // By letters alone the pause would be behind "About".
    let line = "The production database stopped this morning at nine. About two hundred users.";
    let voiced = [span(0, 2_800), span(3_570, 4_600)];
    let placed = place(&heard(line), &voiced, span(0, 4_600));
    let at = |word: &str| {
        placed
            .iter()
            .find(|of| of.text == word)
            .expect("a word")
            .span
    };
    assert_eq!(at("nine.").end, span(0, 2_800).end);
    assert_eq!(at("About").start, span(3_570, 4_600).start);
    // A pause in mid-sentence, or a stop far from any, changes nothing.
    let line = "Yes. The production database stopped this morning at nine about two hundred users";
    let by_letters = place(&heard(&line.replace('.', "")), &voiced, span(0, 4_600));
    let placed = place(&heard(line), &voiced, span(0, 4_600));
    let spans = |of: &[Word]| of.iter().map(|word| word.span).collect::<Vec<_>>();
    assert_eq!(spans(&placed), spans(&by_letters));
}

#[test]
fn the_stable_prefix_neither_shrinks_nor_changes() {
    let mut segment = Segment::default();
    let first = segment
        .partial(words("so the next step", 2000), ms(2000), false)
        .expect("shown");
    assert_eq!((first.revision, first.stable_chars), (1, 0));
    let second = segment
        .partial(words("so the next step is to", 3000), ms(3000), false)
        .expect("shown");
    assert_eq!(
        (second.revision, second.text.as_str()),
        (2, "so the next step is to")
    );
    assert_eq!(second.stable_chars, "so the next step".len() as u32);
    // A pass that hears it otherwise changes only what is not stable.
    let third = segment
        .partial(words("Sew the next step is two", 4000), ms(4000), false)
        .expect("shown");
    assert_eq!(third.text, "so the next step is two");
    assert!(third.stable_chars >= second.stable_chars);
    // Nothing new to see.
    let again = segment.partial(words("so the next step is two", 4000), ms(4000), false);
    assert!(again.is_none_or(|partial| partial.stable_chars > third.stable_chars));
    // One that heard less keeps the stable part.
    let shorter = segment
        .partial(words("so", 4100), ms(4100), false)
        .expect("changed");
    assert!(shorter.text.starts_with("so the next step"));
}

#[test]
fn a_final_keeps_the_form_of_what_was_stable() {
    let mut segment = Segment::default();
    segment.begins_sentence();
    segment.partial(words("the first 42-line bible of", 3000), ms(3000), false);
    let partial = segment
        .partial(
            words("the first, 42-line Bible of about", 3500),
            ms(4500),
            false,
        )
        .expect("shown");
    let stable: String = partial
        .text
        .chars()
        .take(partial.stable_chars as usize)
        .collect();
    assert_eq!(stable, "The first, 42-line Bible of");
    let Ending::Final {
        text,
        words: placed,
        ..
    } = segment.finish(
        words("the first 42 line bible, of about 1455.", 5000),
        ms(5000),
    )
    else {
        panic!("no final");
    };
    assert_eq!(text, "The first, 42-line Bible of about 1455.");
    assert!(
        placed
            .windows(2)
            .all(|pair| pair[0].span.start <= pair[1].span.start)
    );
}

#[test]
fn a_final_has_other_words_than_were_stable_only_where_it_is_surer() {
    let with = |line: &str, confidence: f32| {
        let mut words = words(line, 3000);
        for word in &mut words {
            word.confidence = confidence;
        }
        words
    };
    let last = |confidence| {
        let mut segment = Segment::default();
        segment.partial(with("we met in march already", 0.75), ms(3500), false);
        segment.partial(with("we met in march already yes", 0.75), ms(4500), false);
        match segment.finish(with("We met in May already yes", confidence), ms(4500)) {
            Ending::Final { text, .. } => text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(last(0.7), "we met in march already yes");
    assert_eq!(last(0.9), "we met in May already yes");
}

#[test]
fn a_final_holds_no_word_from_behind_its_end() {
    let mut segment = Segment::default();
    let line = "we meet on monday and my number is two one seven";
    segment.partial(words(line, 4000), ms(5000), false);
    let shown = segment.partial(words(line, 4000), ms(5100), false);
    assert_eq!(
        shown.map(|partial| partial.stable_chars as usize),
        Some(line.len())
    );
    // A withdrawal, or a pause to cut at, came behind "monday".
    let ending = segment.finish(words("we meet on Monday.", 1700), ms(1700));
    let Ending::Final { text, words, .. } = ending else {
        panic!("no final");
    };
    assert_eq!(text, "we meet on monday");
    assert!(words.iter().all(|word| word.span.end <= ms(1700)));
}

#[test]
fn a_word_that_the_decoder_is_unsure_of_needs_more_passes() {
    let unsure = |line: &str| {
        let mut words = words(line, 2000);
        words[1].confidence = 0.4;
        words
    };
    let mut segment = Segment::default();
    let mut stable = Vec::new();
    for (n, line) in [
        "in basil today",
        "in basil today we",
        "in basil today we go",
        "in basil today we go on",
    ]
    .into_iter()
    .enumerate()
    {
        let partial = segment.partial(unsure(line), ms(4000 + n as i64), false);
        stable.push(partial.expect("changes").stable_chars);
    }
    assert_eq!(stable[..3], [0, 2, 2]);
    assert!(stable[3] >= 14, "{stable:?}");
}

#[test]
fn a_word_that_the_decoder_is_certain_of_is_stable_once_more_was_heard_after_it() {
    let certain = |confidence| {
        let mut words = words("so the next step", 2000);
        for word in &mut words[..3] {
            word.confidence = confidence;
        }
        let partial = Segment::default().partial(words, ms(2100), false);
        partial.expect("shown").stable_chars
    };
    assert_eq!(
        certain(0.92),
        "so the".len() as u32,
        "the third is too near"
    );
    assert_eq!(certain(0.8), 0);
}

#[test]
fn stable_chars_count_utf_16_units() {
    let mut segment = Segment::default();
    segment.partial(words("🙂 é eins", 1000), ms(5000), false);
    let partial = segment
        .partial(words("🙂 é eins zwei", 1000), ms(5000), false)
        .expect("shown");
    assert_eq!(partial.stable_chars, 2 + 1 + 1 + 1 + 4);
}

#[test]
fn the_word_being_spoken_is_held_back() {
    let mut segment = Segment::default();
    let partial = segment
        .partial(words("one two thr", 1000), ms(1000), true)
        .expect("shown");
    assert_eq!(partial.text, "one two");
    assert!(
        segment
            .partial(words("one", 1000), ms(1000), true)
            .is_none(),
        "nothing left to show"
    );
}

#[test]
fn ends_exactly_once() {
    let mut unseen = Segment::default();
    assert_eq!(unseen.finish(Vec::new(), ms(500)), Ending::Unseen);

    let mut shown = Segment::default();
    shown.partial(words("hello there", 900), ms(1500), false);
    assert!(shown.is_shown());
    assert_eq!(
        shown.finish(Vec::new(), ms(500)),
        Ending::Retracted {
            revision: 2,
            reason: RetractionReason::Empty
        }
    );
    assert_eq!(shown.finish(words("hello", 500), ms(500)), Ending::Unseen);
    assert_eq!(shown.partial(words("hello", 500), ms(500), false), None);

    let mut said = Segment::default();
    said.partial(words("hello there", 900), ms(1500), false);
    assert!(matches!(
        said.finish(words("Hello there.", 900), ms(900)),
        Ending::Final { revision: 2, .. }
    ));
    assert_eq!(said.retract(RetractionReason::Withdrawn), Ending::Unseen);

    let mut dropped = Segment::default();
    dropped.heard_letters();
    assert_eq!(
        dropped.finish(Vec::new(), ms(500)),
        Ending::Retracted {
            revision: 1,
            reason: RetractionReason::Empty
        },
        "words do not vanish without a word"
    );
    let mut withdrawn = Segment::default();
    withdrawn.heard_letters();
    assert_eq!(
        withdrawn.retract(RetractionReason::Withdrawn),
        Ending::Unseen
    );

    let mut lost = Segment::default();
    assert_eq!(
        lost.retract(RetractionReason::Lost),
        Ending::Retracted {
            revision: 1,
            reason: RetractionReason::Lost
        }
    );
}
