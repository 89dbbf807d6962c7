use super::*;

const TICKS: u32 = 960;

fn header(sequence: u16, timestamp: u32) -> Header {
    Header {
        sequence,
        timestamp,
        ticks: TICKS,
    }
}

fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

fn span(from: i64, to: i64) -> Span {
    Span::new(ms(from), ms(to))
}

/// A stream whose n-th packet, sent at `20 n` ms, was accepted up to `n`.
fn running(n: u16) -> Timeline {
    let mut timeline = Timeline::new(48_000);
    for i in 0..n {
        let placed = timeline
            .place(&header(i, u32::from(i) * TICKS), ms(20 * i64::from(i) + 20))
            .expect("in order");
        assert_eq!(placed.span, span(20 * i64::from(i), 20 * i64::from(i) + 20));
    }
    timeline
}

#[test]
fn a_packet_ends_when_it_arrives_and_the_next_abuts() {
    running(500);
}

#[test]
fn numbers_and_time_stamps_wrap() {
    let mut timeline = Timeline::new(48_000);
    for i in 0..100u32 {
        let at = ms(20 * i64::from(i) + 20);
        let placed = timeline
            .place(
                &header(
                    65_500u16.wrapping_add(i as u16),
                    (u32::MAX - 10 * TICKS).wrapping_add(i * TICKS),
                ),
                at,
            )
            .expect("in order");
        assert_eq!(placed.sequence, 65_500 + i64::from(i));
        assert_eq!(placed.span.end, at);
    }
}

#[test]
fn a_late_packet_keeps_its_own_place() {
    let mut timeline = running(100);
    timeline
        .place(&header(101, 101 * TICKS), ms(2040))
        .expect("ahead");
    let late = timeline
        .place(&header(100, 100 * TICKS), ms(2060))
        .expect("late");
    assert_eq!((late.sequence, late.span), (100, span(2000, 2020)));
}

#[test]
fn silence_with_a_running_counter_is_silence() {
    let mut timeline = running(100);
    let after = timeline
        .place(&header(100, 100 * TICKS + 48_000 * 300), ms(2020 + 300_000))
        .expect("in order");
    assert_eq!(after.span, span(302_000, 302_020));
}

#[test]
fn one_stray_packet_is_dropped_and_changes_nothing() {
    let mut timeline = running(100);
    for (sequence, timestamp) in [(100, 0), (100, 4_000_000_000), (40_000, 100 * TICKS)] {
        assert_eq!(
            timeline.place(&header(sequence, timestamp), ms(2015)),
            Err(Discard::Jump)
        );
    }
    let next = timeline
        .place(&header(101, 101 * TICKS), ms(2040))
        .expect("goes on");
    assert_eq!((next.sequence, next.span), (101, span(2020, 2040)));
}

#[test]
fn a_counter_that_jumps_is_placed_by_its_arrival() {
    for (sequence, timestamp) in [
        (100, 0x7000_0000),
        (100, 0),
        (30_000, 0xf000_0000),
        (100, 101 * TICKS + 48_000),
    ] {
        let mut timeline = running(100);
        let first = timeline.place(&header(sequence, timestamp), ms(2020));
        assert_eq!(first, Err(Discard::Jump), "{sequence} {timestamp}");
        let second = timeline
            .place(
                &header(sequence + 1, timestamp.wrapping_add(TICKS)),
                ms(2040),
            )
            .expect("confirmed");
        assert_eq!(second.span, span(2020, 2040), "{sequence} {timestamp}");
        let third = timeline
            .place(
                &header(sequence + 2, timestamp.wrapping_add(2 * TICKS)),
                ms(2060),
            )
            .expect("goes on");
        assert_eq!(
            (third.sequence, third.span),
            (second.sequence + 1, span(2040, 2060))
        );
    }
}

#[test]
fn a_counter_that_stood_still_goes_on_at_its_arrival() {
    let mut timeline = running(100);
    let mut placed = Vec::new();
    for i in 100..110u16 {
        let at = ms(60_000 + 20 * i64::from(i) + 20);
        placed.extend(
            timeline
                .place(&header(i, u32::from(i) * TICKS), at)
                .map(|packet| (packet.span.end, at)),
        );
    }
    assert!(placed.len() >= 7, "{placed:?}");
    assert!(placed.iter().all(|(end, at)| end == at), "{placed:?}");
}

#[test]
fn behind_a_stall_of_the_network_all_keep_their_places() {
    let mut timeline = running(100);
    let mut lost = 0;
    for i in 100..400u16 {
        let due = 20 * i64::from(i) + 20;
        match timeline.place(
            &header(i, u32::from(i) * TICKS),
            ms(due.max(6000 + i64::from(i) / 100)),
        ) {
            Ok(placed) => assert_eq!(placed.span, span(due - 20, due)),
            Err(_) => lost += 1,
        }
    }
    assert!(lost <= 5, "{lost} lost");
}

#[test]
fn packets_of_another_length_abut() {
    let mut timeline = running(100);
    let mut timestamp = 100 * TICKS;
    let mut end = ms(2000);
    for (i, ticks) in [2880, 2880, 480, 480, 480, 960, 5760]
        .into_iter()
        .enumerate()
    {
        let header = Header {
            sequence: 100 + i as u16,
            timestamp,
            ticks,
        };
        timestamp += ticks;
        let placed = timeline
            .place(&header, ms(i64::from(timestamp) / 48))
            .expect("in order");
        assert_eq!(placed.span, Span::new(end, ms(i64::from(timestamp) / 48)));
        end = placed.span.end;
    }
}

#[test]
fn streams_of_one_sender_follow_the_quickest() {
    let mut senders = Senders::default();
    let at = |s: i64| MeetingTime(s * 1_000_000);
    assert_eq!(
        senders.align("ana", 1, Micros::from_ms(50), at(0)),
        Micros(0)
    );
    assert_eq!(
        senders.align("ana", 2, Micros::from_ms(20), at(1)),
        Micros(0)
    );
    assert_eq!(
        senders.align("ana", 1, Micros::from_ms(51), at(5)),
        Micros::from_ms(-31)
    );
    assert_eq!(
        senders.align("bob", 3, Micros::from_ms(90), at(5)),
        Micros(0)
    );
    assert_eq!(
        senders.align("ana", 4, Micros::from_secs(7200), at(6)),
        Micros(0),
        "another clock"
    );
    senders.remove(2);
    assert_eq!(
        senders.align("ana", 1, Micros::from_ms(51), at(9)),
        Micros(0)
    );
}

/// A sender that kept what it had until the connection stood sends seconds of it at once.
#[test]
fn what_goes_on_after_a_long_burst_at_the_beginning_is_placed() {
    for burst in [60, 100, 130, 200, 400_u16] {
        let mut timeline = Timeline::new(48_000);
        let mut placed = 0;
        for i in 0..burst {
            let packet = header(i, u32::from(i) * TICKS);
            placed += u32::from(timeline.place(&packet, ms(20)).is_ok());
        }
        assert!(placed >= 50, "{burst}: {placed}");
        let mut followed = Vec::new();
        for i in 0..500_u16 {
            let number = burst + i;
            let arrived = ms(40 + 20 * i64::from(i));
            let packet = header(number, u32::from(number) * TICKS);
            if let Ok(placed) = timeline.place(&packet, arrived) {
                followed.push(placed.span);
                let ahead = (placed.span.end - arrived).0;
                assert!(ahead <= AHEAD_MAX, "{burst}: {ahead}");
            }
        }
        assert!(followed.len() > 400, "{burst}: {}", followed.len());
    }
}
