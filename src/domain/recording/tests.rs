use super::*;
use GapReason::{Left, Lost, Muted, NoConsent, Paused, Redacted};

fn span(from_ms: i64, to_ms: i64) -> Span {
    Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms))
}

fn gap(start_ms: i64, end_ms: i64, reason: GapReason) -> Gap {
    Gap {
        start_ms,
        end_ms,
        reason,
    }
}

fn frames(cutter: &mut Cutter, from_ms: i64, to_ms: i64, entry: i64) -> Vec<(i64, Put)> {
    (from_ms..to_ms)
        .step_by(20)
        .filter_map(|ms| Some((ms, cutter.put(span(ms, ms + 20), entry, Micros(0), 1)?)))
        .filter(|(_, put)| put.seal || put.start.is_some())
        .collect()
}

#[test]
fn cuts_by_length_and_consent_and_silence() {
    let mut cutter = Cutter::new(3);
    let name = |n, entry| {
        Some(SegmentName {
            n,
            entry,
            late: Micros(0),
        })
    };
    assert_eq!(
        frames(&mut cutter, 100, 5_000, 1),
        [
            (
                100,
                Put {
                    seal: false,
                    start: name(3, 1),
                    channels: 1
                }
            ),
            (
                4_100,
                Put {
                    seal: true,
                    start: name(4, 1),
                    channels: 1
                }
            )
        ]
    );
    assert_eq!(
        frames(&mut cutter, 5_000, 5_100, 7),
        [(
            5_000,
            Put {
                seal: true,
                start: name(5, 7),
                channels: 1
            }
        )]
    );
    assert!(!cutter.is_idle(MeetingTime::from_ms(7_099)));
    assert!(cutter.is_idle(MeetingTime::from_ms(7_100)));
    assert_eq!(
        cutter.seal(),
        Some((
            SegmentName {
                n: 5,
                entry: 7,
                late: Micros(0)
            },
            span(5_000, 5_100)
        ))
    );
    assert_eq!(cutter.seal(), None);
    assert!(!cutter.is_idle(MeetingTime::MAX));
}

#[test]
fn drops_what_is_late_or_before_the_meeting() {
    let mut cutter = Cutter::new(0);
    assert_eq!(cutter.put(span(-20, 0), 1, Micros(0), 1), None);
    assert_eq!(
        cutter.put(span(0, 20), 1, Micros(0), 1),
        Some(Put {
            seal: false,
            start: Some(SegmentName {
                n: 0,
                entry: 1,
                late: Micros(0)
            }),
            channels: 1
        })
    );
    assert_eq!(cutter.put(span(0, 20), 1, Micros(0), 1), None);
    assert_eq!(
        cutter.put(span(20, 40), 1, Micros(0), 1),
        Some(Put {
            seal: false,
            start: None,
            channels: 1
        })
    );
}

#[test]
fn packets_that_go_to_and_fro_between_mono_and_stereo_cost_one_cut() {
    let mut cutter = Cutter::new(0);
    let mut cuts = Vec::new();
    for n in 0..500i64 {
        let put = cutter
            .put(span(20 * n, 20 * n + 20), 1, Micros(0), 1 + (n % 2) as u8)
            .expect("rising");
        cuts.extend(put.start.map(|_| (20 * n, put.channels)));
    }
    assert_eq!(cuts, [(0, 1), (20, 2), (4_020, 2), (8_020, 2)]);
}

#[test]
fn tries_again_a_while_after_a_failure() {
    let mut cutter = Cutter::new(0);
    assert!(cutter.put(span(0, 20), 1, Micros(0), 1).is_some());
    assert!(cutter.fail(MeetingTime::from_ms(20)).is_some());
    assert_eq!(cutter.put(span(1_000, 1_020), 1, Micros(0), 1), None);
    assert!(
        cutter.is_pausing(MeetingTime::from_ms(1_000))
            && !cutter.is_pausing(MeetingTime::from_ms(1_020))
    );
    let put = Put {
        seal: false,
        start: Some(SegmentName {
            n: 1,
            entry: 1,
            late: Micros(0),
        }),
        channels: 1,
    };
    assert_eq!(cutter.put(span(1_020, 1_040), 1, Micros(0), 1), Some(put));
}

#[test]
fn names_read_back() {
    for (late, file) in [(0, "12-3.mkv"), (1_600, "12-3-1600.mkv")] {
        let name = SegmentName {
            n: 12,
            entry: 3,
            late: Micros::from_ms(late),
        };
        assert_eq!(
            (name.file().as_str(), SegmentName::parse(file)),
            (file, Some(name))
        );
    }
    for other in [
        "track.json",
        "1.mkv",
        "a-1.mkv",
        "1-2.mkv.part",
        "1--.mkv",
        "1-2-.mkv",
        "1-2-3-4.mkv",
    ] {
        assert_eq!(SegmentName::parse(other), None, "{other}");
    }
}

#[test]
fn every_hole_has_one_reason() {
    let why = Circumstances {
        present: vec![span(0, 20_000), span(30_000, 60_000)],
        agreed: vec![span(0, 40_000), span(45_000, 60_000)],
        paused: vec![span(50_000, 52_000), span(41_000, 42_000)],
        lost: vec![span(54_000, 54_500), span(55_000, 55_060)],
        unheard: Vec::new(),
        redacted: Vec::new(),
    };
    let recorded = [
        span(1_000, 5_000),
        span(5_500, 10_000),
        span(12_000, 20_000),
        span(30_000, 40_000),
        span(45_000, 50_000),
        span(52_000, 54_000),
        span(54_500, 55_000),
        span(55_060, 60_000),
    ];
    assert_eq!(
        gaps(span(1_000, 60_000), &recorded, &why),
        [
            gap(10_000, 12_000, Muted),
            gap(20_000, 30_000, Left),
            gap(40_000, 45_000, NoConsent),
            gap(50_000, 52_000, Paused),
            gap(54_000, 54_500, Lost),
        ]
    );
    assert_eq!(
        gaps(span(0, 100), &[span(0, 100)], &Circumstances::default()),
        []
    );
}

#[test]
fn who_was_cut_off_lost_everything_until_it_is_heard_again() {
    let why = Circumstances {
        present: vec![span(0, 40_000)],
        agreed: vec![span(0, 60_000)],
        unheard: vec![span(10_000, 14_000)],
        ..Circumstances::default()
    };
    // In mid-sentence, with some of what was said after the holder's last sign of life; back only
    // at 20 s.
    let recorded = [span(0, 10_400), span(20_000, 40_000)];
    assert_eq!(
        gaps(span(0, 40_000), &recorded, &why),
        [gap(10_400, 20_000, Lost)]
    );
    // Its last segment lies with a dead process.
    let recorded = [span(0, 5_500), span(20_000, 40_000)];
    assert_eq!(
        gaps(span(0, 40_000), &recorded, &why),
        [gap(5_500, 20_000, Lost)]
    );
    // Silent for a while before: silence of its own around the time in which nobody listened.
    let recorded = [span(0, 2_000), span(20_000, 40_000)];
    assert_eq!(
        gaps(span(0, 40_000), &recorded, &why),
        [
            gap(2_000, 10_000, Muted),
            gap(10_000, 14_000, Lost),
            gap(14_000, 20_000, Muted)
        ]
    );
    // Gone before it was heard again.
    let recorded = [span(0, 10_400), span(50_000, 60_000)];
    assert_eq!(
        gaps(span(0, 60_000), &recorded, &why)[0],
        gap(10_400, 40_000, Lost)
    );
}

#[test]
fn what_a_crash_cost_at_the_end_is_told_behind_the_end() {
    let why = Circumstances {
        present: vec![span(0, 18_000)],
        agreed: vec![span(0, 60_000)],
        unheard: vec![span(10_000, 20_000)],
        ..Circumstances::default()
    };
    // In mid-sentence; the meeting was over when somebody listened again.
    assert_eq!(
        gaps(span(0, 10_400), &[span(0, 10_400)], &why),
        [gap(10_400, 18_000, Lost)]
    );
    // Silent for a while before, or heard again: nothing was lost there.
    assert_eq!(gaps(span(0, 2_000), &[span(0, 2_000)], &why), []);
    assert_eq!(
        gaps(span(0, 30_000), &[span(0, 30_000)], &why),
        [],
        "everything came"
    );
    // Consent was taken back meanwhile.
    let why = Circumstances {
        agreed: vec![span(0, 12_000)],
        ..why
    };
    assert_eq!(
        gaps(span(0, 10_400), &[span(0, 10_400)], &why),
        [gap(10_400, 12_000, Lost)]
    );
}

#[test]
fn what_was_taken_out_is_told_where_the_sender_could_have_been_heard() {
    let why = Circumstances {
        present: vec![span(0, 20_000), span(30_000, 60_000)],
        agreed: vec![span(0, 45_000)],
        lost: vec![span(14_000, 18_000)],
        redacted: vec![span(10_000, 16_000), span(25_000, 50_000)],
        ..Circumstances::default()
    };
    // A packet more than the span went at either end.
    let recorded = [span(0, 9_980), span(18_000, 20_000), span(50_000, 60_000)];
    assert_eq!(
        gaps(span(0, 60_000), &recorded, &why),
        [
            gap(10_000, 16_000, Redacted),
            gap(16_000, 18_000, Lost),
            gap(20_000, 30_000, Left),
            gap(30_000, 45_000, Redacted),
            gap(45_000, 50_000, NoConsent),
        ]
    );
    let both = [
        (span(0, 60_000), vec![gap(10_000, 16_000, Redacted)]),
        (span(0, 60_000), vec![gap(12_000, 30_000, Redacted)]),
    ];
    assert_eq!(
        gaps_of_mix(span(0, 60_000), &both),
        [gap(12_000, 16_000, Redacted)]
    );
}

#[test]
fn a_mix_lists_what_is_common_to_the_tracks_then_running() {
    let tracks = [
        (
            span(0, 30_000),
            vec![
                gap(5_000, 9_000, Paused),
                gap(20_000, 22_000, Lost),
                gap(12_000, 14_000, Lost),
            ],
        ),
        (
            span(2_000, 40_000),
            vec![gap(6_000, 10_000, Paused), gap(11_000, 15_000, Left)],
        ),
        (span(25_000, 40_000), vec![]),
    ];
    assert_eq!(
        gaps_of_mix(span(0, 40_000), &tracks),
        [gap(6_000, 9_000, Paused), gap(12_000, 14_000, Lost)]
    );
    assert_eq!(gaps_of_mix(span(0, 10), &[]), []);
}

#[test]
fn spans_add_and_subtract() {
    assert_eq!(
        union(&[span(5, 6), span(0, 2), span(2, 3), span(4, 4)]),
        [span(0, 3), span(5, 6)]
    );
    assert_eq!(
        intersect(&[span(0, 10)], &[span(2, 3), span(8, 12)]),
        [span(2, 3), span(8, 10)]
    );
    assert_eq!(
        subtract(&[span(0, 10), span(20, 30)], &[span(2, 3), span(8, 22)]),
        [span(0, 2), span(3, 8), span(22, 30)]
    );
    assert_eq!(subtract(&[span(0, 10)], &[span(0, 10)]), []);
}

/// A segment knows how late any of it may be; that costs a cut where it grows, and none where it
/// stays or falls.
#[test]
fn what_may_be_late_is_in_segments_that_say_so() {
    let mut cutter = Cutter::new(0);
    let late = |ms: i64| match ms {
        1_000..2_000 => 200,
        2_000..3_600 => 1_600,
        20_000.. => [0, 100][(ms / 20 % 2) as usize],
        _ => 0,
    };
    let mut segments: Vec<(i64, i64)> = Vec::new();
    for ms in (0..40_000).step_by(20) {
        let put = cutter
            .put(span(ms, ms + 20), 1, Micros::from_ms(late(ms)), 1)
            .expect("rising");
        segments.extend(put.start.map(|name| (ms, name.late.as_ms())));
        assert!(segments.last().expect("one is open").1 >= late(ms), "{ms}");
    }
    let begins: Vec<i64> = segments.iter().map(|(ms, _)| *ms).collect();
    let by_length = |from: i64, to: i64| (from..to).step_by(4_000);
    let expected: Vec<i64> = [0, 1_000]
        .into_iter()
        .chain(by_length(2_000, 20_000))
        .collect();
    assert_eq!(begins[..expected.len()], expected);
    assert_eq!(
        segments[..5]
            .iter()
            .map(|(_, late)| *late)
            .collect::<Vec<_>>(),
        [0, 200, 1_600, 1_600, 0]
    );
    // A path that holds every other packet up costs one cut.
    assert!(segments.len() <= expected.len() + 6, "{segments:?}");
}
