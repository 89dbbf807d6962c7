//! Senders' counters that stand still or count by another clock.

use crate::sender::{LAN, Network, Outcome, SENDER, Sender, arrivals, run};

const WIFI: Network = Network {
    delay_ms: 5.0,
    jitter_ms: 40.0,
    loss: 0.01,
    duplicate: 0.005,
    outage: None,
};
const ROUGH: Network = Network {
    delay_ms: 20.0,
    jitter_ms: 150.0,
    loss: 0.03,
    duplicate: 0.01,
    outage: None,
};

/// Six each, some seconds apart.
const SECOND_AND_A_HALF: [(i64, i64); 6] = stalls(1_500_000);
const STALLS: [[(i64, i64); 6]; 8] = [
    stalls(40_000),
    stalls(100_000),
    stalls(300_000),
    stalls(700_000),
    SECOND_AND_A_HALF,
    stalls(2_500_000),
    stalls(10_000_000),
    [
        (7_000_000, 60_000),
        (19_000_000, 3_000_000),
        (34_000_000, 90_000),
        (41_000_000, 1_900_000),
        (52_000_000, 150_000),
        (60_000_000, 60_000_000),
    ],
];

const fn stalls(length: i64) -> [(i64, i64); 6] {
    let mut all = [(0, length); 6];
    let mut n = 0;
    while n < 6 {
        all[n].0 = 6_000_000 + n as i64 * (9_000_000 + length);
        n += 1;
    }
    all
}

/// What placing may be off (µs): more where the path itself says less.
fn most(network: Network) -> i64 {
    if network.jitter_ms > 100.0 {
        90_000
    } else {
        60_000
    }
}

/// Whether `made` lies within five seconds behind one of them.
fn is_near(made: i64, stalls: &[(i64, i64)]) -> bool {
    stalls
        .iter()
        .any(|(from, length)| (*from..from + length + 5_000_000).contains(&made))
}

/// The largest error outside of the five seconds behind each stall.
fn error(outcome: &Outcome, sender: Sender, network: Network) -> i64 {
    let delay = (network.delay_ms * 1000.0) as i64;
    let judged = outcome
        .frames
        .iter()
        .filter(|(made, _)| *made > 3_000_000 && !is_near(*made, sender.stalls));
    judged
        .map(|(made, span)| (span.start.0 - made - delay).abs())
        .max()
        .expect("frames")
}

#[test]
fn behind_a_counter_that_stood_still_all_is_in_its_place_within_five_seconds() {
    let mut seed = 0;
    for stalls in &STALLS {
        for network in [LAN, WIFI, ROUGH] {
            for reports in [false, true] {
                for (packet_ms, skew_ppm) in [(20, 0.0), (20, 300.0), (60, -300.0), (10, 0.0)] {
                    seed += 1;
                    let sender = Sender {
                        stalls,
                        reports,
                        packet_ms,
                        skew_ppm,
                        ..SENDER
                    };
                    let outcome = run(&arrivals(sender, network, 150, seed));
                    outcome.assert_in_order();
                    let error = error(&outcome, sender, network);
                    let told = format!(
                        "{} ms, jitter {} ms, reports {reports}, packets of {packet_ms} ms, {skew_ppm} ppm, seed {seed}",
                        stalls[0].1 / 1000,
                        network.jitter_ms
                    );
                    assert!(error < most(network), "{told}: {error} us off");
                    let dropped: u64 = outcome.discarded.values().sum();
                    let duplicates = (outcome.frames.len() / 50) as u64;
                    assert!(
                        dropped <= 6 * 4 + duplicates,
                        "{told}: {:?}",
                        outcome.discarded
                    );
                }
            }
        }
    }
}

#[test]
fn behind_an_outage_of_the_network_all_keep_their_places() {
    for (length, speed) in [
        (100, 50),
        (700, 50),
        (1_500, 50),
        (1_500, 4),
        (1_500, 2),
        (1_900, 3),
        (4_000, 50),
        (4_000, 2),
    ] {
        for base in [LAN, WIFI] {
            for seed in 0..4 {
                let network = Network {
                    outage: Some((20_000_000, length * 1_000, speed)),
                    ..base
                };
                let outcome = run(&arrivals(SENDER, network, 60, seed));
                outcome.assert_in_order();
                let delay = (network.delay_ms * 1000.0) as i64;
                let late = outcome.frames.iter().filter(|(made, _)| *made > 3_000_000);
                let error = late
                    .map(|(made, span)| (span.start.0 - made - delay).abs())
                    .max()
                    .expect("frames");
                assert!(
                    error < 45_000,
                    "{length} ms, {speed} times as fast, {}: {error} us off",
                    base.jitter_ms
                );
            }
        }
    }
}

#[test]
fn a_counter_of_another_clock_is_read_by_the_packets_own_lengths() {
    for ticks_per_ms in [8, 12, 16, 24, 44, 96] {
        for (network, talk) in [
            (LAN, None),
            (WIFI, None),
            (ROUGH, None),
            (WIFI, Some((2, 3))),
        ] {
            for (packet_ms, reports) in [(20, false), (60, true)] {
                for seed in 0..4 {
                    let sender = Sender {
                        ticks_per_ms,
                        packet_ms,
                        reports,
                        talk,
                        ..SENDER
                    };
                    let outcome = run(&arrivals(sender, network, 60, seed));
                    outcome.assert_in_order();
                    let (error, heard) = (outcome.error(network, 5), outcome.frames.len());
                    let told = format!(
                        "{ticks_per_ms} kHz, jitter {} ms, {packet_ms} ms, {talk:?}",
                        network.jitter_ms
                    );
                    assert!(error < most(network), "{told}, seed {seed}: {error} us off");
                    let whole =
                        60_000 / packet_ms as usize * if talk.is_some() { 2 } else { 5 } / 5;
                    assert!(
                        heard * 100 > whole * 90,
                        "{told}, seed {seed}: {heard} of {whole}"
                    );
                }
            }
        }
    }
}
