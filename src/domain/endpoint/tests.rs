use super::*;

const FRAME_US: i64 = 16_000;

/// Frames from a line: a digit pair per character would be unreadable, so runs: (frames, voice,
/// level).
fn feed(endpoint: &mut Endpoint, from: &mut i64, runs: &[(usize, f32, f32)]) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for (frames, voice, level_db) in runs {
        for _ in 0..*frames {
            let span = Span::of(MeetingTime(*from), Micros(FRAME_US));
            *from += FRAME_US;
            decisions.extend(endpoint.frame(Frame {
                span,
                level_db: *level_db,
                voice: *voice,
            }));
        }
    }
    decisions
}

fn endpoint() -> Endpoint {
    Endpoint::new(Thresholds::new(Micros::from_secs(12)))
}

const SILENT: (usize, f32, f32) = (60, 0.02, -70.0);

fn ms(time: MeetingTime) -> i64 {
    time.as_ms()
}

#[test]
fn one_utterance_from_pre_roll_to_tail() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    let decisions = feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0), SILENT]);
    let [
        Decision::Opened { start, .. },
        Decision::Guess { span: guess, .. },
        Decision::Ended {
            span, voiced, why, ..
        },
    ] = &decisions[..]
    else {
        panic!("{decisions:?}")
    };
    assert_eq!(ms(*start), 960 - 250);
    assert_eq!((ms(span.start), ms(span.end)), (710, 1_920 + 190));
    assert_eq!(guess, span, "the speculation is the final");
    assert_eq!(
        voiced,
        &[Span::new(MeetingTime(960_000), MeetingTime(1_920_000))]
    );
    assert_eq!(*why, Why::Silence);
}

#[test]
fn clicks_open_nothing_or_are_dropped() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    let click = (2, 0.9, -20.0);
    assert!(
        feed(
            &mut endpoint,
            &mut at,
            &[SILENT, click, SILENT, click, SILENT]
        )
        .is_empty()
    );
    let decisions = feed(&mut endpoint, &mut at, &[(5, 0.9, -20.0), SILENT]);
    assert!(
        matches!(
            decisions[..],
            [Decision::Opened { .. }, Decision::Dropped { .. }]
        ),
        "{decisions:?}"
    );
}

#[test]
fn a_pause_inside_is_guessed_and_resumed() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    let voice = (60, 0.9, -20.0);
    let decisions = feed(
        &mut endpoint,
        &mut at,
        &[SILENT, voice, (20, 0.02, -60.0), voice, SILENT],
    );
    let kinds: Vec<_> = decisions.iter().map(std::mem::discriminant).collect();
    let expected = [
        Decision::Opened {
            utterance: 0,
            start: MeetingTime::ZERO,
        },
        Decision::Guess {
            utterance: 0,
            span: Span::new(MeetingTime::ZERO, MeetingTime::ZERO),
        },
        Decision::Resumed { utterance: 0 },
        Decision::Guess {
            utterance: 0,
            span: Span::new(MeetingTime::ZERO, MeetingTime::ZERO),
        },
    ];
    assert_eq!(
        kinds[..4],
        expected
            .iter()
            .map(std::mem::discriminant)
            .collect::<Vec<_>>()[..]
    );
    let Some(Decision::Ended { voiced, .. }) = decisions.last() else {
        panic!("{decisions:?}")
    };
    assert_eq!(voiced.len(), 2);
}

#[test]
fn a_free_decoder_is_asked_earlier_and_its_guess_stands() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    endpoint.guess_early(true);
    let voice = (60, 0.9, -20.0);
    let decisions = feed(&mut endpoint, &mut at, &[SILENT, voice, (7, 0.02, -60.0)]);
    let Some(Decision::Guess { span: guess, .. }) = decisions.last() else {
        panic!("{decisions:?}")
    };
    assert_eq!(ms(guess.end), 1_920 + 112, "as much as there is");
    let decisions = feed(&mut endpoint, &mut at, &[SILENT]);
    let [Decision::Ended { span, .. }] = &decisions[..] else {
        panic!("{decisions:?}")
    };
    assert_eq!(span, guess);

    // So short a pause says nothing about how its speaker pauses within sentences.
    let decisions = feed(
        &mut endpoint,
        &mut at,
        &[voice, (8, 0.02, -60.0), voice, SILENT],
    );
    let resumed = |decision: &Decision| matches!(decision, Decision::Resumed { .. });
    assert!(decisions.iter().any(resumed), "{decisions:?}");
    assert!(endpoint.pauses.is_empty());
}

#[test]
fn a_blip_in_the_trailing_silence_changes_nothing() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    let quiet = (16, 0.02, -60.0);
    let decisions = feed(
        &mut endpoint,
        &mut at,
        &[SILENT, (60, 0.9, -20.0), quiet, (1, 0.9, -30.0), SILENT],
    );
    assert_eq!(decisions.len(), 3, "{decisions:?}");
}

#[test]
fn the_wait_follows_the_hint() {
    for (hint, expected) in [
        (Some(Hint::Complete), 400),
        (None, 600),
        (Some(Hint::Open), 800),
    ] {
        let (mut endpoint, mut at) = (endpoint(), 0);
        feed(
            &mut endpoint,
            &mut at,
            &[SILENT, (60, 0.9, -20.0), (14, 0.02, -60.0)],
        );
        if let Some(hint) = hint {
            endpoint.hint(0, hint);
        }
        let voice_end = 1_920_000;
        while feed(&mut endpoint, &mut at, &[(1, 0.02, -60.0)]).is_empty() {}
        assert!(
            (at - voice_end - expected * 1_000).abs() <= FRAME_US,
            "{hint:?}: {}",
            at - voice_end
        );
    }
}

#[test]
fn silence_without_audio_ends_it() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0)]);
    let now = |ms: i64| MeetingTime(at + ms * 1_000);
    assert!(endpoint.tick(now(299)).is_empty());
    assert!(matches!(
        endpoint.tick(now(300))[..],
        [Decision::Guess { .. }]
    ));
    assert!(endpoint.tick(now(320)).is_empty());
    let decisions = endpoint.tick(now(610));
    let [Decision::Ended { span, .. }] = &decisions[..] else {
        panic!("{decisions:?}")
    };
    assert_eq!(span.end, MeetingTime(at), "only audio that is there");

    let (mut endpoint, mut at) = (self::endpoint(), 0);
    feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0)]);
    let decisions = endpoint.gap(Span::of(MeetingTime(at), Micros::from_ms(600)));
    assert!(
        matches!(decisions[..], [Decision::Ended { .. }]),
        "{decisions:?}"
    );
}

#[test]
fn continuous_speech_is_cut_without_losing_or_doubling_audio() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    // A dip every 3 s, never a pause.
    let mut runs = vec![SILENT];
    for _ in 0..20 {
        runs.extend([(180, 0.9, -20.0), (7, 0.5, -45.0)]);
    }
    runs.push(SILENT);
    let decisions = feed(&mut endpoint, &mut at, &runs);
    let ended: Vec<Span> = decisions
        .iter()
        .filter_map(|decision| match decision {
            Decision::Ended { span, .. } => Some(*span),
            _ => None,
        })
        .collect();
    assert!(ended.len() >= 5, "{ended:?}");
    for pair in ended.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    assert!(
        ended
            .iter()
            .all(|span| span.length() <= Micros::from_secs(12)),
        "{ended:?}"
    );
    // At the dips: the level there is low.
    for span in &ended[..ended.len() - 1] {
        let into = (span.end.0 - 60 * FRAME_US) % (187 * FRAME_US);
        assert!(into >= 180 * FRAME_US - 2 * FRAME_US, "{into}");
    }
}

#[test]
fn a_short_pause_ends_what_is_long() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    let decisions = feed(
        &mut endpoint,
        &mut at,
        &[
            SILENT,
            (400, 0.9, -20.0),
            (11, 0.02, -60.0),
            (60, 0.9, -20.0),
        ],
    );
    assert!(
        matches!(
            decisions[1],
            Decision::Ended {
                why: Why::Length,
                ..
            }
        ),
        "{decisions:?}"
    );
    let (Decision::Ended { span, .. }, Decision::Opened { start, .. }) =
        (&decisions[1], &decisions[2])
    else {
        panic!("{decisions:?}")
    };
    assert!(span.end <= *start);
}

#[test]
fn a_cut_ends_it_there_and_nothing_reaches_back() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0)]);
    let cut = MeetingTime(at - 100_000);
    let decisions = endpoint.cut(cut);
    let [
        Decision::Ended {
            span,
            voiced,
            why: Why::Broken,
            ..
        },
    ] = &decisions[..]
    else {
        panic!("{decisions:?}")
    };
    assert_eq!(span.end, cut);
    assert!(voiced.iter().all(|span| span.end <= cut));
    let decisions = feed(&mut endpoint, &mut at, &[(60, 0.9, -20.0)]);
    let [Decision::Opened { start, .. }] = &decisions[..] else {
        panic!("{decisions:?}")
    };
    assert!(*start >= cut);
}

#[test]
fn where_nobody_waits_a_breath_ends_no_sentence() {
    let ended = |settings: Thresholds| {
        let (mut endpoint, mut at) = (Endpoint::new(settings), 0);
        let voice = (60, 0.9, -20.0);
        // 720 ms of pause.
        let pieces = [SILENT, voice, (45, 0.02, -60.0), voice];
        let decisions = feed(&mut endpoint, &mut at, &pieces);
        let is_end = |one: &&Decision| matches!(one, Decision::Ended { .. });
        decisions.iter().filter(is_end).count()
    };
    let longest = Micros::from_secs(12);
    assert_eq!(ended(Thresholds::new(longest)), 1);
    assert_eq!(ended(Thresholds::offline(longest)), 0);
}

#[test]
fn who_pauses_within_sentences_gets_more_time_to_end_one() {
    let (mut endpoint, mut at) = (endpoint(), 0);
    // A pause of 380 ms that speech goes on after.
    feed(
        &mut endpoint,
        &mut at,
        &[
            SILENT,
            (60, 0.9, -20.0),
            (24, 0.02, -60.0),
            (60, 0.9, -20.0),
        ],
    );
    let voice_end = at;
    feed(&mut endpoint, &mut at, &[(14, 0.02, -60.0)]);
    endpoint.hint(0, Hint::Complete);
    while feed(&mut endpoint, &mut at, &[(1, 0.02, -60.0)]).is_empty() {}
    let waited = at - voice_end;
    assert!(
        (540_000..=610_000).contains(&waited),
        "half as long again as the pause: {waited}"
    );
}
