//! Seeded simulations of senders and networks against the placing of packets, in virtual time.

mod counter;
mod sender;

use hansard_domain::{
    framing::PacketFrame,
    intake::{Intake, Output},
    time::MeetingTime,
    timeline::{Header, Senders},
};
use sender::{Event, LAN, Network, Random, SENDER, Sender, arrivals, run};

#[test]
fn a_true_clock_stays_true_for_an_hour() {
    let outcome = run(&arrivals(SENDER, LAN, 3600, 1));
    assert_eq!(outcome.frames.len(), 180_000);
    assert!(outcome.error(LAN, 0) < 2_000);
    outcome.assert_in_order();
    outcome.assert_contiguous(20);
    // What is true is not bent at all.
    let bent = outcome
        .frames
        .iter()
        .filter(|(_, span)| span.length().0 != 20_000)
        .count();
    assert!(bent < 1_000, "{bent} frames bent");
}

#[test]
fn skewed_clocks_and_jitter_are_followed_for_an_hour() {
    for (seed, skew_ppm) in [-500.0, 60.0, 500.0].into_iter().enumerate() {
        for jitter_ms in [0.3, 150.0] {
            for reports in [false, true] {
                let network = Network {
                    delay_ms: 10.0,
                    jitter_ms,
                    loss: 0.01,
                    duplicate: 0.01,
                    ..LAN
                };
                let outcome = run(&arrivals(
                    Sender {
                        skew_ppm,
                        reports,
                        ..SENDER
                    },
                    network,
                    3600,
                    seed as u64,
                ));
                let error = outcome.error(network, 20);
                assert!(
                    error < 12_000,
                    "{skew_ppm} ppm, jitter {jitter_ms} ms, {reports}: {error} us off"
                );
                outcome.assert_in_order();
                outcome.assert_contiguous(20);
                let lost = outcome.lost as f64 / 180_000.0;
                assert!((0.005..0.02).contains(&lost), "{lost} lost");
            }
        }
    }
}

#[test]
fn the_first_seconds_of_a_jittery_stream_are_within_the_jitter() {
    for seed in 0..20 {
        let network = Network {
            delay_ms: 10.0,
            jitter_ms: 150.0,
            ..LAN
        };
        let outcome = run(&arrivals(SENDER, network, 60, seed));
        let early = outcome.error(network, 0);
        assert!(early <= 150_000, "seed {seed}: {early}");
        assert!(
            outcome.error(network, 20) < 8_000,
            "seed {seed}: {}",
            outcome.error(network, 20)
        );
    }
}

#[test]
fn pauses_of_minutes_keep_their_length() {
    for (seed, skew_ppm) in [(1, -500.0), (2, 0.0), (3, 500.0)] {
        for reports in [false, true] {
            let sender = Sender {
                skew_ppm,
                reports,
                talk: Some((30, 240)),
                ..SENDER
            };
            let network = Network {
                jitter_ms: 40.0,
                ..LAN
            };
            let outcome = run(&arrivals(sender, network, 3600, seed));
            outcome.assert_in_order();
            outcome.assert_contiguous(20);
            let error = outcome.error(network, 20);
            assert!(error < 45_000, "{skew_ppm} ppm, {reports}: {error} us off");
            assert_eq!(
                (outcome.lost, outcome.discarded.len()),
                (0, 0),
                "a pause is not loss"
            );
        }
    }
}

#[test]
fn talk_spurts_of_dtx_are_placed() {
    let sender = Sender {
        skew_ppm: 80.0,
        talk: Some((3, 2)),
        ..SENDER
    };
    let network = Network {
        jitter_ms: 60.0,
        loss: 0.02,
        ..LAN
    };
    let outcome = run(&arrivals(sender, network, 1200, 9));
    outcome.assert_in_order();
    outcome.assert_contiguous(20);
    assert!(
        outcome.error(network, 20) < 10_000,
        "{}",
        outcome.error(network, 20)
    );
}

#[test]
fn streams_of_one_sender_align_and_senders_hours_off_do_not_matter() {
    const HOUR: i64 = 3_600_000_000;
    // Ana's screen has jitter that never lets its packets through early; her microphone has none.
    // Bob is elsewhere.
    let ana = Sender {
        ntp_offset: 5 * HOUR,
        reports: true,
        ..SENDER
    };
    let screen = Sender {
        timestamp: 77,
        sequence: 9,
        packet_ms: 60,
        ..ana
    };
    let bob = Sender {
        ntp_offset: -9 * HOUR,
        reports: true,
        skew_ppm: 30.0,
        ..SENDER
    };
    let far = Network {
        delay_ms: 90.0,
        ..LAN
    };
    let streams = [
        ("ana", arrivals(ana, LAN, 120, 1)),
        ("ana", arrivals(screen, far, 120, 2)),
        ("bob", arrivals(bob, LAN, 120, 3)),
    ];

    let mut intakes = [(); 3].map(|()| Intake::new(48_000));
    let mut senders = Senders::default();
    let mut errors = [0i64; 3];
    let mut all: Vec<_> = streams
        .iter()
        .enumerate()
        .flat_map(|(n, (who, events))| events.iter().map(move |e| (e.0, n, *who, &e.1)))
        .collect();
    all.sort_by_key(|(at, n, ..)| (*at, *n));
    for (at, n, who, event) in all {
        let at = MeetingTime(at);
        match event {
            Event::Report { ntp, timestamp } => {
                if let Some(own) = intakes[n].sender_report(*ntp, *timestamp, at) {
                    let by = senders.align(who, n, own, at);
                    intakes[n].align(by);
                }
            }
            Event::Packet { header, made } => {
                let placed = intakes[n].on_packet(header, at).expect("a calm network");
                if at > MeetingTime::from_ms(40_000) {
                    errors[n] = errors[n].max((placed.span.start.0 - made).abs());
                }
            }
        }
    }
    assert!(errors.iter().all(|error| *error < 5_000), "{errors:?}");
}

#[test]
fn a_network_that_becomes_slower_and_quicker_again_is_followed_gently() {
    let mut events = arrivals(SENDER, LAN, 300, 5);
    for (at, _) in &mut events {
        *at += match *at / 1_000_000 {
            100..200 => 80_000,
            _ => 0,
        };
    }
    events.sort_by_key(|(at, _)| *at);
    let outcome = run(&events);
    outcome.assert_in_order();
    outcome.assert_contiguous(20);
    // From here it looks as a counter that stood still, so that it is placed where it arrives;
    // never further off than that.
    assert!(outcome.error(LAN, 0) < 83_000, "{}", outcome.error(LAN, 0));
    let again = outcome
        .frames
        .iter()
        .filter(|(made, _)| *made > 206_000_000);
    let error = again
        .map(|(made, span)| (span.start.0 - made - 200).abs())
        .max()
        .expect("frames");
    assert!(error < 30_000, "{error}");
}

#[test]
fn anything_at_all_neither_panics_nor_goes_backwards() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut intake = Intake::new(if seed % 2 == 0 { 48_000 } else { 8_000 });
        let mut now = 0i64;
        let mut end = MeetingTime(i64::MIN);
        let (mut sequence, mut timestamp) = (
            random.fraction() * 65536.0,
            random.fraction() * 4294967296.0,
        );
        for id in 0..2_000 {
            now += (random.fraction() * 40_000.0) as i64;
            match (random.fraction() * 40.0) as u32 {
                0 => sequence = random.fraction() * 65536.0,
                1 => timestamp = random.fraction() * 4294967296.0,
                2 => now += (random.fraction() * 100_000_000.0) as i64,
                3 => sequence -= random.fraction() * 5.0,
                4 => timestamp = 0.0,
                5 => drop(intake.sender_report(
                    (random.fraction() * 1e19) as u64,
                    timestamp as u32,
                    MeetingTime(now),
                )),
                _ => {}
            }
            sequence += 1.0;
            timestamp += 960.0;
            let ticks = if random.fraction() < 0.05 {
                (random.fraction() * 6000.0) as u32
            } else {
                960
            };
            let header = Header {
                sequence: sequence as i64 as u16,
                timestamp: timestamp as i64 as u32,
                ticks,
            };
            let at = MeetingTime(now);
            if let Ok(placed) = intake.on_packet(&header, at) {
                assert!(
                    placed.span.length().0 < 2_000_000,
                    "seed {seed}: {placed:?}"
                );
                if random.fraction() < 0.3 {
                    intake.refuse(placed, at);
                } else {
                    let _ = intake.keep(placed, id, at);
                }
            }
            while let Some(release) = intake.release(at) {
                let Output::Frame(PacketFrame { span, .. }) = release else {
                    continue;
                };
                assert!(
                    span.start >= end && !span.is_empty(),
                    "seed {seed}: {span:?} behind {end:?}"
                );
                assert!(
                    span.end.0 <= now + 1_510_000,
                    "seed {seed}: {span:?} at {at:?}"
                );
                end = span.end;
            }
        }
    }
}
