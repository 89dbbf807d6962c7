use super::*;

fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

fn packet(sequence: i64) -> Placed {
    Placed {
        sequence,
        span: Span::new(ms(20 * sequence), ms(20 * sequence + 20)),
    }
}

/// Packets by (number, arrival in ms); what comes out by (when, number or `-lost`).
fn check(packets: &[(i64, i64)], expect: &[(i64, i64)]) -> Reorder {
    let mut reorder = Reorder::<u64>::default();
    let mut out = Vec::new();
    let drain = |reorder: &mut Reorder, at: i64, out: &mut Vec<(i64, i64)>| {
        while let Some(release) = reorder.release(ms(at)) {
            out.push(match release {
                Release::Packet {
                    packet: id, span, ..
                } => {
                    assert_eq!(span, packet(id as i64).span);
                    (at, id as i64)
                }
                Release::Lost { packets, .. } => (at, -i64::from(packets)),
            });
        }
    };
    for &(sequence, at) in packets {
        while let Some(due) = reorder.poll_timeout().filter(|due| *due <= ms(at)) {
            drain(&mut reorder, due.as_ms(), &mut out);
        }
        let _ = reorder.insert(packet(sequence), sequence as u64, ms(at));
        drain(&mut reorder, at, &mut out);
    }
    while let Some(due) = reorder.poll_timeout() {
        drain(&mut reorder, due.as_ms(), &mut out);
    }
    assert_eq!(out, expect);
    reorder
}

#[test]
fn in_order_goes_out_at_once() {
    check(
        &[(7, 160), (8, 180), (9, 200)],
        &[(160, 7), (180, 8), (200, 9)],
    );
}

#[test]
fn out_of_order_waits_for_its_turn() {
    check(
        &[(1, 40), (3, 80), (2, 90), (4, 100)],
        &[(40, 1), (90, 2), (90, 3), (100, 4)],
    );
}

#[test]
fn a_hole_is_given_up_after_the_wait() {
    let reorder = check(
        &[(1, 40), (3, 80), (4, 100), (5, 120), (2, 150), (6, 160)],
        &[(40, 1), (140, -1), (140, 3), (140, 4), (140, 5), (160, 6)],
    );
    assert_eq!(
        reorder.counts(),
        Counts {
            released: 5,
            lost: 1,
            late: 1,
            duplicate: 0
        }
    );
}

#[test]
fn duplicates_go_out_once() {
    let reorder = check(
        &[(1, 40), (1, 41), (3, 80), (3, 81), (2, 82)],
        &[(40, 1), (82, 2), (82, 3)],
    );
    assert_eq!(reorder.counts().duplicate, 2);
}

#[test]
fn the_wait_follows_the_path() {
    let mut reorder = Reorder::<u64>::default();
    for (second, delay, expect) in [
        (0, 0, 60),
        (1, 0, 60),
        (2, 0, 20),
        (3, 90, 95),
        (4, 900, 200),
        (20, 1, 200),
    ] {
        reorder.remember(ms(1000 * second), 1000 * delay);
        assert_eq!(reorder.wait(), Micros::from_ms(expect), "second {second}");
    }
    for second in 21..31 {
        reorder.remember(ms(1000 * second), 0);
    }
    assert_eq!(reorder.wait(), WAIT_MIN);
}

#[test]
fn what_came_too_late_makes_the_next_hole_wait_for_minutes() {
    let mut reorder = Reorder::<u64>::default();
    let mut released = 0;
    let mut give = |reorder: &mut Reorder, sequence: i64, at: i64| {
        let _ = reorder.insert(packet(sequence), sequence as u64, ms(at));
        while let Some(release) = reorder.release(ms(at)) {
            released += usize::from(matches!(release, Release::Packet { .. }));
        }
        released
    };
    // Each 1,000th packet is lost and comes 70 ms later, by request.
    for sequence in 0..15_000 {
        let at = 20 * sequence + 20;
        if sequence % 1_000 != 500 {
            give(&mut reorder, sequence, at);
        }
        if sequence % 1_000 == 503 {
            give(&mut reorder, sequence - 3, at + 10);
        }
    }
    let counts = reorder.counts();
    assert_eq!((counts.lost, counts.late), (1, 1));
    // Nothing is late for five minutes.
    for sequence in 15_000..30_001 {
        give(&mut reorder, sequence, 20 * sequence + 20);
    }
    assert_eq!(reorder.wait(), WAIT_MIN);
}

#[test]
fn what_was_not_let_in_is_not_missing() {
    let mut reorder = Reorder::<u64>::default();
    for sequence in [1, 2, 5] {
        reorder.skip(packet(sequence), ms(20 * sequence + 20));
    }
    reorder.insert(packet(6), 6, ms(140)).expect("new");
    let all: Vec<_> = std::iter::from_fn(|| reorder.release(ms(500))).collect();
    assert_eq!(
        all,
        [Release::Packet {
            packet: 6,
            span: packet(6).span,
            before: Some(packet(5).span)
        }]
    );
    assert_eq!(reorder.counts().lost, 2);
}

#[test]
fn a_pause_of_the_sender_is_not_loss() {
    let mut reorder = Reorder::<u64>::default();
    let span = |from| Span::new(ms(from), ms(from + 20));
    reorder
        .insert(
            Placed {
                sequence: 1,
                span: span(0),
            },
            1,
            ms(20),
        )
        .expect("new");
    reorder
        .insert(
            Placed {
                sequence: 2,
                span: span(400),
            },
            2,
            ms(420),
        )
        .expect("new");
    reorder
        .insert(
            Placed {
                sequence: 4,
                span: span(900),
            },
            4,
            ms(920),
        )
        .expect("new");
    let all: Vec<_> = std::iter::from_fn(|| reorder.release(ms(2000))).collect();
    assert_eq!(
        all,
        [
            Release::Packet {
                packet: 1,
                span: span(0),
                before: None
            },
            Release::Packet {
                packet: 2,
                span: span(400),
                before: Some(span(0))
            },
            Release::Lost {
                span: span(880),
                packets: 1
            },
            Release::Packet {
                packet: 4,
                span: span(900),
                before: Some(span(400))
            },
        ]
    );
}

#[test]
fn packets_without_media_are_neither_missing_nor_media() {
    let mut reorder = Reorder::<u64>::default();
    reorder.insert(packet(1), 1, ms(40)).expect("new");
    reorder.pass(2, ms(45));
    reorder.pass(4, ms(60));
    let at = |span: Span| Placed { sequence: 5, span };
    reorder
        .insert(at(Span::new(ms(60), ms(80))), 5, ms(80))
        .expect("new");
    let all: Vec<_> = std::iter::from_fn(|| reorder.release(ms(500))).collect();
    assert_eq!(
        all,
        [
            Release::Packet {
                packet: 1,
                span: packet(1).span,
                before: None
            },
            // One of five numbers is missing, between two frames with a hole of one.
            Release::Lost {
                span: Span::new(ms(40), ms(60)),
                packets: 1
            },
            Release::Packet {
                packet: 5,
                span: Span::new(ms(60), ms(80)),
                before: Some(packet(1).span)
            },
        ]
    );
    assert_eq!(reorder.counts().lost, 1);
}

#[test]
fn spans_neither_overlap_nor_go_back() {
    let mut reorder = Reorder::<u64>::default();
    let place = |sequence, from, to| Placed {
        sequence,
        span: Span::new(ms(from), ms(to)),
    };
    for (placed, taken) in [
        (place(1, 0, 120), true),
        (place(2, 20, 140), true),
        (place(4, 60, 180), true),
        (place(3, 200, 220), false),
        (place(5, 100, 170), false),
    ] {
        assert_eq!(
            reorder
                .insert(placed, placed.sequence as u64, ms(220))
                .is_ok(),
            taken,
            "{placed:?}"
        );
    }
    let frames: Vec<_> = std::iter::from_fn(|| reorder.release(ms(900)))
        .filter_map(|release| {
            if let Release::Packet { span, .. } = release {
                Some(span)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        frames,
        [
            Span::new(ms(0), ms(120)),
            Span::new(ms(120), ms(140)),
            Span::new(ms(140), ms(180))
        ]
    );
}

#[test]
fn it_is_bounded() {
    let mut reorder = Reorder::<u64>::default();
    reorder.insert(packet(0), 0, ms(20)).expect("new");
    let refused = (2..2_000)
        .filter(|i| reorder.insert(packet(*i), *i as u64, ms(20)).is_err())
        .count();
    assert!(refused > 0 && reorder.held.len() <= 2 * HELD_MAX);
    assert!(reorder.release(ms(20)).is_some());
    assert!(matches!(
        reorder.release(ms(20)),
        Some(Release::Lost { packets: 1, .. })
    ));
}
