use super::*;

fn said(speaker: &str, start_ms: i64, end_ms: i64, text: &str) -> ExportSegment {
    ExportSegment {
        participant: ParticipantId(uuid::Uuid::from_u128(
            speaker
                .bytes()
                .fold(0, |id: u128, byte| id.wrapping_mul(31) + u128::from(byte)),
        )),
        speaker: speaker.into(),
        start_ms,
        end_ms,
        text: text.into(),
        words: Vec::new(),
        translation: None,
    }
}

fn timed(speaker: &str, start_ms: i64, each_ms: i64, text: &str) -> ExportSegment {
    let words: Vec<ExportWord> = (0..)
        .zip(text.split(' '))
        .map(|(n, word)| ExportWord {
            text: word.into(),
            start_ms: start_ms + n * each_ms,
            end_ms: start_ms + (n + 1) * each_ms,
        })
        .collect();
    let end_ms = start_ms + words.len() as i64 * each_ms;
    ExportSegment {
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
        said("A", 0, 900, "Gone."),
        said("A", 1_000, 3_000, "Cut."),
        said("A", 5_000, 5_100, "Short."),
    ];
    let cues = cues(&segments, 2_000, false);
    let times: Vec<_> = cues.iter().map(|cue| (cue.start_ms, cue.end_ms)).collect();
    assert_eq!(times, [(0, 1_000), (3_000, 4_000)]);
    assert!(txt(&segments).contains("Gone."));
}

#[test]
fn scripts_without_spaces_stay_without() {
    let words = ["今日", "は"].iter().zip(0..).map(|(word, n)| ExportWord {
        text: (*word).into(),
        start_ms: n * 500,
        end_ms: n * 500 + 500,
    });
    let segment = ExportSegment {
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

#[test]
fn a_sentence_that_goes_on_is_one_paragraph() {
    for (first, pause, second, joined) in [
        ("We need", 2_000, "consent.", true),
        ("We need", 2_001, "consent.", false),
        ("We need", 300, "Ana to agree.", true),
        // A full stop that the pause invented.
        ("We need.", 300, "consent from everybody.", true),
        ("We need consent.", 300, "Everybody's.", false),
        ("Is that so?", 300, "yes, it is.", true),
        ("She said \u{201c}no.\u{201d}", 300, "And left.", false),
        ("We waited …", 300, "Nobody came.", false),
        ("هل تسمع؟", 300, "نعم.", false),
        ("In 2026", 300, "3 of them.", true),
        ("That was 2026.", 300, "3 of them came.", false),
    ] {
        let segments = [
            said("Ana", 0, 1_000, first),
            said("Ana", 1_000 + pause, 2_000 + pause, second),
        ];
        let both = format!("{first} {second}");
        assert_eq!(
            txt(&segments).lines().count(),
            if joined { 1 } else { 2 },
            "{both}"
        );
        assert_eq!(txt(&segments).contains(&both), joined, "{both}");
        let captions = srt(&segments, 0);
        assert_eq!(
            captions.contains(&format!("Ana: {both}")),
            joined,
            "{captions}"
        );
        assert_eq!(captions.matches("Ana:").count(), if joined { 1 } else { 2 });
    }
    // What is left out is not gone on with: the first ended before the file began.
    let segments = [
        said("Ana", 0, 900, "We need"),
        said("Ana", 1_000, 2_000, "consent."),
    ];
    assert_eq!(
        srt(&segments, 950),
        "1\n00:00:00,050 --> 00:00:01,050\nAna: consent.\n"
    );
}

#[test]
fn what_others_say_between_stays_apart_and_namesakes_are_two() {
    let mut other = said("Ana", 1_100, 1_400, "hm");
    other.participant = ParticipantId(uuid::Uuid::from_u128(7));
    let segments = [
        said("Ana", 0, 1_000, "We need"),
        other,
        said("Bo", 1_200, 1_500, "Yes."),
        said("Ana", 1_600, 2_600, "consent."),
    ];
    assert_eq!(
        txt(&segments),
        "[00:00:00] Ana: We need consent.\n[00:00:01] Ana: hm\n[00:00:01] Bo: Yes.\n"
    );
}

#[test]
fn a_joined_sentence_keeps_to_the_rules_of_cues_and_its_words_to_their_times() {
    let each = [
        "so the next step is",
        "that everybody in the room",
        "has to agree to it first",
    ];
    let segments: Vec<ExportSegment> = each
        .iter()
        .zip(0i64..)
        .map(|(text, n)| timed("Ana", n * 4_000, 500, text))
        .collect();
    let cues = cues(&segments, 0, true);
    for cue in &cues {
        assert!(cue.lines.len() <= LINES && cue.end_ms - cue.start_ms <= SHOWN_MS_MAX);
        assert!(
            cue.lines
                .iter()
                .all(|line| line.chars().count() <= LINE_CHARS)
        );
    }
    let shown: Vec<String> = cues.iter().flat_map(|cue| cue.lines.clone()).collect();
    assert_eq!(shown.join(" "), format!("Ana: {}", each.join(" ")));
    // The second cue begins with its first word.
    let before = cues[0].lines.join(" ").split(' ').count() - 1;
    let starts: Vec<i64> = segments
        .iter()
        .flat_map(|said| &said.words)
        .map(|word| word.start_ms)
        .collect();
    assert_eq!(cues[1].start_ms, starts[before]);

    // Who never ends a sentence has paragraphs all the same.
    let endless: Vec<ExportSegment> = (0..40)
        .map(|n| said("Ana", n * 2_000, n * 2_000 + 1_900, "and"))
        .collect();
    assert_eq!(txt(&endless).lines().count(), 3);
    // No space is invented where none is written.
    let segments = [said("Ana", 0, 900, "今日"), said("Ana", 1_000, 2_000, "は")];
    assert!(txt(&segments).ends_with("今日は\n") && vtt(&segments, 0).contains(">今日は<"));
}

#[test]
fn a_translation_stands_beside_what_was_said() {
    let translated = |said: ExportSegment, text: &str| ExportSegment {
        translation: Some(Translated {
            language: "en".into(),
            text: text.into(),
        }),
        ..said
    };
    let segments = [
        translated(said("Ana", 0, 2_000, "Wir brauchen"), "We need"),
        translated(said("Ana", 2_500, 4_000, "Zustimmung."), "consent."),
        said("Bo", 5_000, 6_000, "Yes."),
    ];
    assert_eq!(
        txt(&segments),
        "[00:00:00] Ana: Wir brauchen Zustimmung.\n[00:00:00] Ana (en): We need consent.\n\
         [00:00:05] Bo: Yes.\n"
    );
    assert_eq!(
        vtt(&segments[..2], 0),
        "WEBVTT\n\n00:00:00.000 --> 00:00:04.000\n<v Ana>Wir brauchen Zustimmung.</v>\n\n\
         00:00:00.000 --> 00:00:04.000\n<v Ana><lang en>We need consent.</lang></v>\n"
    );
    let captions = srt(&segments, 0);
    assert!(
        captions.contains("Ana: Wir brauchen Zustimmung."),
        "{captions}"
    );
    assert!(
        captions.contains("2\n00:00:00,000 --> 00:00:04,000\nAna: We need consent."),
        "{captions}"
    );
}
