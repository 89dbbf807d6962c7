//! When each packet leaves, and what the network does to it. Pure: the same seed gives the same
//! departures.

use super::{frame::Frame, opus};
use std::{ops::Range, time::Duration};

/// libopus's habits: silence is omitted after this many packets of it …
const DTX_AFTER: usize = 10;
/// … but for one packet in this many.
const DTX_KEEP_ALIVE: usize = 20;
/// How many packets overtake a reordered one, at most.
const REORDER_MAX: u32 = 4;

/// What a network does wrong. Fractions are of 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Impairments {
    pub seed: u64,
    pub loss: f64,
    /// Mean length of a loss in packets; 1 means that losses are independent.
    pub burst: f64,
    /// Packets that one to four later ones overtake.
    pub reorder: f64,
    /// Packets sent twice.
    pub duplicate: f64,
    /// Each packet is late by a random time up to this.
    pub jitter: Duration,
}

impl Default for Impairments {
    fn default() -> Self {
        Self {
            seed: 0,
            loss: 0.0,
            burst: 1.0,
            reorder: 0.0,
            duplicate: 0.0,
            jitter: Duration::ZERO,
        }
    }
}

/// What the sender itself leaves out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pauses {
    /// Discontinuous transmission: Opus packets without voice are omitted, as libopus does.
    pub dtx: bool,
    /// Media times in which nothing is sent at all.
    pub mute: Vec<Range<Duration>>,
}

/// One packet of the stream, before the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimedPacket {
    /// Which of the frames.
    pub frame: usize,
    /// Packets sent before it.
    pub number: u64,
    /// Ticks of media before it.
    pub tick: u64,
    /// The first after an omission, and the first of all.
    pub marker: bool,
}

/// A datagram to leave at `at` after time zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    pub at: Duration,
    /// Index into the stamped packets.
    pub packet: usize,
}

/// Numbers the frames, without those that are left out.
pub fn stamp(frames: &[Frame], clock_rate: u32, pauses: &Pauses) -> Vec<TimedPacket> {
    let (mut tick, mut silent, mut marker) = (0, 0, true);
    let mut packets = Vec::with_capacity(frames.len());
    for (index, frame) in frames.iter().enumerate() {
        let at = time(tick, clock_rate, 0.0);
        silent = if pauses.dtx && opus::silent(&frame.payload) {
            silent + 1
        } else {
            0
        };
        let omitted = silent > DTX_AFTER && !(silent - DTX_AFTER).is_multiple_of(DTX_KEEP_ALIVE);
        if omitted || pauses.mute.iter().any(|span| span.contains(&at)) {
            marker = true;
        } else {
            // A comfort packet inside a silence begins no talk spurt (RFC 3551 4.1).
            let marked = marker && silent <= DTX_AFTER;
            packets.push(TimedPacket {
                frame: index,
                number: packets.len() as u64,
                tick,
                marker: marked,
            });
            marker = marker && !marked;
        }
        tick += u64::from(frame.ticks);
    }
    packets
}

/// When a sender stands still and its counter with it: at which media time, and for how long. By
/// media time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stall {
    pub at: Duration,
    pub length: Duration,
}

/// How long a sender had stood still when it took the sample at this media time.
pub fn stalled(stalls: &[Stall], at: Duration) -> Duration {
    stalls
        .iter()
        .filter(|stall| stall.at <= at)
        .map(|stall| stall.length)
        .sum()
}

/// Each packet leaves when its last sample has been taken; then the network has its way.
pub fn depart(
    packets: &[TimedPacket],
    frames: &[Frame],
    clock_rate: u32,
    skew_ppm: f64,
    stalls: &[Stall],
    network: &Impairments,
) -> Vec<Departure> {
    let mut random = random(network.seed);
    // Two states, good and bad (Gilbert), so that the mean length and the fraction come out as
    // asked.
    let leave_bad = 1.0 / network.burst.max(1.0);
    let enter_bad = if network.loss < 1.0 {
        network.loss * leave_bad / (1.0 - network.loss)
    } else {
        1.0
    };
    let mut bad = false;
    let mut departures = Vec::with_capacity(packets.len());
    for (index, packet) in packets.iter().enumerate() {
        let ticks = u64::from(frames[packet.frame].ticks);
        let end = time(packet.tick + ticks, clock_rate, skew_ppm)
            + stalled(stalls, time(packet.tick, clock_rate, 0.0));
        // As many draws for every packet, so that switching one impairment on leaves the others as
        // they were.
        let [state, late, overtaken, by, twice] = [(); 5].map(|()| random.f64());
        bad = if network.burst <= 1.0 {
            state < network.loss
        } else if bad {
            state >= leave_bad
        } else {
            state < enter_bad
        };
        if bad {
            continue;
        }
        let mut at = end + network.jitter.mul_f64(late);
        if overtaken < network.reorder {
            let packets_late = 1 + (by * f64::from(REORDER_MAX)) as u32;
            at += time(ticks, clock_rate, skew_ppm).mul_f64(f64::from(packets_late) + 0.5);
        }
        departures.push(Departure { at, packet: index });
        if twice < network.duplicate {
            departures.push(Departure {
                at: at + Duration::from_millis(1),
                packet: index,
            });
        }
    }
    departures.sort_by_key(|departure| departure.at);
    departures
}

/// A generator of its own for each seed. `fastrand`'s sequences of neighbouring seeds resemble each
/// other (measured: correlation 0.25 of seeds 1 and 2), so the seed is scrambled first, by
/// SplitMix64's finaliser.
pub(super) fn random(seed: u64) -> fastrand::Rng {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    fastrand::Rng::with_seed(z ^ (z >> 31))
}

/// A media time as the world's: a sample clock that is fast by `skew_ppm` gets there sooner.
pub fn time(tick: u64, clock_rate: u32, skew_ppm: f64) -> Duration {
    Duration::from_secs_f64(tick as f64 / f64::from(clock_rate.max(1)) / (1.0 + skew_ppm * 1e-6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::bytes::Bytes;

    const VOICE: &[u8] = &[104, 0xff, 1, 2, 3];
    const SILENCE: &[u8] = &[248, 0xff, 0xfe];

    fn frames(parts: &[(&'static [u8], usize)]) -> Vec<Frame> {
        parts
            .iter()
            .flat_map(|&(payload, times)| {
                std::iter::repeat_n(
                    Frame {
                        payload: Bytes::from_static(payload),
                        ticks: 960,
                    },
                    times,
                )
            })
            .collect()
    }

    fn depart_with(count: usize, network: Impairments) -> Vec<Departure> {
        let frames = frames(&[(VOICE, count)]);
        depart(
            &stamp(&frames, 48_000, &Pauses::default()),
            &frames,
            48_000,
            0.0,
            &[],
            &network,
        )
    }

    #[test]
    fn a_packet_leaves_when_its_last_sample_is_there() {
        let departures = depart_with(50, Impairments::default());
        assert_eq!(departures[0].at, Duration::from_millis(20));
        assert_eq!(departures[49].at, Duration::from_secs(1));
        let frames = frames(&[(VOICE, 50_000)]);
        let packets = stamp(&frames, 48_000, &Pauses::default());
        for (skew_ppm, seconds) in [(100.0, 999.9), (-100.0, 1_000.1)] {
            let last = *depart(
                &packets,
                &frames,
                48_000,
                skew_ppm,
                &[],
                &Impairments::default(),
            )
            .last()
            .expect("departs");
            assert!(
                (last.at.as_secs_f64() - seconds).abs() < 1e-3,
                "{skew_ppm} ppm: {:?}",
                last.at
            );
        }
    }

    #[test]
    fn who_stands_still_sends_later_from_then_on() {
        let frames = frames(&[(VOICE, 50)]);
        let packets = stamp(&frames, 48_000, &Pauses::default());
        let stalls = [(400, 1_500), (600, 100)].map(|(at, length)| Stall {
            at: Duration::from_millis(at),
            length: Duration::from_millis(length),
        });
        let departures = depart(
            &packets,
            &frames,
            48_000,
            0.0,
            &stalls,
            &Impairments::default(),
        );
        let at: Vec<_> = [19, 20, 29, 30, 49]
            .map(|n: usize| departures[n].at.as_millis())
            .into();
        assert_eq!(at, [400, 1_920, 2_100, 2_220, 2_600]);
    }

    #[test]
    fn the_same_seed_gives_the_same_departures() {
        let network = Impairments {
            seed: 7,
            loss: 0.05,
            burst: 3.0,
            reorder: 0.02,
            duplicate: 0.02,
            jitter: Duration::from_millis(30),
        };
        assert_eq!(depart_with(1_000, network), depart_with(1_000, network));
        assert_ne!(
            depart_with(1_000, network),
            depart_with(1_000, Impairments { seed: 8, ..network })
        );
    }

    #[test]
    fn losses_are_as_many_and_as_long_as_asked() {
        for (loss, burst) in [(0.05, 1.0), (0.05, 4.0), (0.2, 2.0), (1.0, 1.0)] {
            let count = 100_000;
            let departures = depart_with(
                count,
                Impairments {
                    seed: 1,
                    loss,
                    burst,
                    ..Impairments::default()
                },
            );
            let lost = count - departures.len();
            let there: std::collections::HashSet<usize> = departures
                .iter()
                .map(|departure| departure.packet)
                .collect();
            let bursts = (0..count)
                .filter(|n| !there.contains(n) && (*n == 0 || there.contains(&(n - 1))))
                .count();
            assert!(
                (lost as f64 / count as f64 - loss).abs() < 0.02,
                "{loss} {burst}: {lost}"
            );
            if loss < 1.0 {
                let mean = lost as f64 / bursts as f64;
                assert!(
                    (mean / burst - 1.0).abs() < 0.3,
                    "{loss} {burst}: bursts of {mean}"
                );
            }
        }
    }

    #[test]
    fn reordered_packets_come_late_and_all_come() {
        let departures = depart_with(
            1_000,
            Impairments {
                seed: 2,
                reorder: 0.1,
                ..Impairments::default()
            },
        );
        assert_eq!(departures.len(), 1_000);
        let late = departures
            .windows(2)
            .filter(|pair| pair[1].packet < pair[0].packet)
            .count();
        assert!((50..=150).contains(&late), "{late}");
        let twice = depart_with(
            1_000,
            Impairments {
                seed: 2,
                duplicate: 0.1,
                ..Impairments::default()
            },
        );
        assert!((1_050..=1_150).contains(&twice.len()), "{}", twice.len());
    }

    #[test]
    fn discontinuous_transmission_keeps_time() {
        let frames = frames(&[(VOICE, 5), (SILENCE, 50), (VOICE, 5)]);
        let packets = stamp(
            &frames,
            48_000,
            &Pauses {
                dtx: true,
                mute: vec![],
            },
        );
        let sent: Vec<usize> = packets.iter().map(|packet| packet.frame).collect();
        // Ten of the silence, then one in twenty, then the voice again.
        assert_eq!(
            sent,
            (0..15).chain([34, 54]).chain(55..60).collect::<Vec<_>>()
        );
        for (n, packet) in packets.iter().enumerate() {
            assert_eq!(packet.number, n as u64);
            assert_eq!(packet.tick, packet.frame as u64 * 960);
        }
        let marked: Vec<usize> = packets
            .iter()
            .filter(|packet| packet.marker)
            .map(|packet| packet.frame)
            .collect();
        assert_eq!(marked, [0, 55]);
    }

    #[test]
    fn a_mute_sends_nothing() {
        let frames = frames(&[(VOICE, 100)]);
        let mute = vec![Duration::from_millis(200)..Duration::from_millis(1_000)];
        let packets = stamp(&frames, 48_000, &Pauses { dtx: false, mute });
        let sent: Vec<usize> = packets.iter().map(|packet| packet.frame).collect();
        assert_eq!(sent, (0..10).chain(50..100).collect::<Vec<_>>());
        assert!(packets[10].marker && packets[10].tick == 48_000 && packets[10].number == 10);
    }
}
