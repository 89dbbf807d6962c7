//! Seeded simulations of senders and networks against the placing of packets, in virtual time.

use hansard_domain::{
    intake::Intake,
    reorder::Release,
    time::{MeetingTime, Span},
    timeline::{Discard, Header, Senders},
};
use std::collections::BTreeMap;

/// xorshift64*: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Clone, Copy)]
struct Sender {
    /// Against true time, parts per million.
    skew_ppm: f64,
    /// Of its wall clock, in µs.
    ntp_offset: i64,
    timestamp: u32,
    sequence: u16,
    packet_ms: u32,
    /// Speaks for the first of these seconds, is silent for the second (no packets), again and again.
    talk: Option<(i64, i64)>,
    reports: bool,
}

const SENDER: Sender = Sender {
    skew_ppm: 0.0,
    ntp_offset: 0,
    timestamp: 4_294_000_000,
    sequence: 65_000,
    packet_ms: 20,
    talk: None,
    reports: false,
};

#[derive(Clone, Copy)]
struct Network {
    delay_ms: f64,
    jitter_ms: f64,
    loss: f64,
    duplicate: f64,
}

const LAN: Network = Network { delay_ms: 0.2, jitter_ms: 0.3, loss: 0.0, duplicate: 0.0 };

enum Event {
    Packet { header: Header, made: i64 },
    Report { ntp: u64, timestamp: u32 },
}

/// Everything that reaches us from one sender until `seconds`, by arrival (µs). `made` is the true start of capture.
fn arrivals(sender: Sender, network: Network, seconds: i64, seed: u64) -> Vec<(i64, Event)> {
    let mut dice = Dice::new(seed);
    let rate = 48.0 * (1.0 + sender.skew_ppm / 1e6);
    let ticks = sender.packet_ms * 48;
    let mut out = Vec::new();
    let mut sequence = sender.sequence;
    let delay = |dice: &mut Dice| ((network.delay_ms + network.jitter_ms * dice.roll()) * 1000.0) as i64;
    for i in 0.. {
        // True time at which packet i's first and last samples are captured.
        let made = (f64::from(i * ticks) / rate * 1000.0) as i64;
        let whole = (f64::from((i + 1) * ticks) / rate * 1000.0) as i64;
        if made >= seconds * 1_000_000 {
            break;
        }
        let timestamp = sender.timestamp.wrapping_add(i * ticks);
        if sender.reports && (made / 5_000_000) != (whole / 5_000_000) {
            let ntp = 3_900_000_000_000_000 + made + sender.ntp_offset;
            let ntp = ((ntp as u64 / 1_000_000) << 32) | (((ntp as u64 % 1_000_000) << 32) / 1_000_000);
            out.push((made + delay(&mut dice), Event::Report { ntp, timestamp }));
        }
        if sender.talk.is_some_and(|(talk, silence)| (made / 1_000_000) % (talk + silence) >= talk) {
            continue;
        }
        let header = Header { sequence, timestamp, ticks };
        sequence = sequence.wrapping_add(1);
        if dice.roll() < network.loss {
            continue;
        }
        out.push((whole + delay(&mut dice), Event::Packet { header, made }));
        if dice.roll() < network.duplicate {
            out.push((whole + delay(&mut dice), Event::Packet { header, made }));
        }
    }
    out.sort_by_key(|(at, _)| *at);
    out
}

#[derive(Default)]
struct Outcome {
    /// (true start of capture, placed), in the order released.
    frames: Vec<(i64, Span)>,
    lost: u64,
    discarded: BTreeMap<Discard, u64>,
}

fn run(events: &[(i64, Event)]) -> Outcome {
    let mut intake = Intake::new(48_000);
    let mut outcome = Outcome::default();
    let mut made_of = BTreeMap::new();
    let mut id = 0;
    for (at, event) in events {
        let at = MeetingTime(*at);
        while let Some(due) = intake.next_timeout().filter(|due| *due <= at) {
            drain(&mut intake, due, &mut made_of, &mut outcome);
        }
        match event {
            Event::Report { ntp, timestamp } => {
                intake.sender_report(*ntp, *timestamp, at);
            }
            Event::Packet { header, made } => {
                id += 1;
                let kept = intake.on_packet(header, at).and_then(|placed| intake.keep(placed, id, at));
                match kept {
                    Ok(()) => drop(made_of.insert(id, *made)),
                    Err(discard) => *outcome.discarded.entry(discard).or_default() += 1,
                }
                drain(&mut intake, at, &mut made_of, &mut outcome);
            }
        }
    }
    while let Some(due) = intake.next_timeout() {
        drain(&mut intake, due, &mut made_of, &mut outcome);
    }
    assert!(made_of.is_empty(), "something was never released");
    outcome
}

fn drain(intake: &mut Intake, now: MeetingTime, made_of: &mut BTreeMap<u64, i64>, outcome: &mut Outcome) {
    while let Some(release) = intake.release(now) {
        match release {
            Release::Frame { id, span } => outcome.frames.push((made_of.remove(&id).expect("once"), span)),
            Release::Lost { packets, .. } => outcome.lost += u64::from(packets),
        }
    }
}

impl Outcome {
    /// Largest error of placing (µs) from `after` seconds on, against true capture plus the path's shortest delay.
    fn error(&self, network: Network, after: i64) -> i64 {
        let delay = (network.delay_ms * 1000.0) as i64;
        let late = self.frames.iter().filter(|(made, _)| *made >= after * 1_000_000);
        late.map(|(made, span)| (span.start.0 - made - delay).abs()).max().expect("frames")
    }

    fn assert_in_order(&self) {
        for pair in self.frames.windows(2) {
            assert!(pair[0].0 < pair[1].0, "order of capture");
            assert!(pair[0].1.end <= pair[1].1.start, "overlap {pair:?}");
        }
    }

    /// Frames that follow each other without a pause abut to the microsecond.
    fn assert_contiguous(&self, packet_ms: u32) {
        let length = i64::from(packet_ms) * 1000;
        for pair in self.frames.windows(2).filter(|pair| pair[1].0 - pair[0].0 < length + length / 2) {
            assert_eq!(pair[0].1.end, pair[1].1.start, "at {}", pair[0].0);
            let share = pair[0].1.length().0 as f64 / length as f64;
            assert!((0.975..=1.025).contains(&share), "{pair:?}");
        }
    }
}

#[test]
fn a_true_clock_stays_true_for_an_hour() {
    let outcome = run(&arrivals(SENDER, LAN, 3600, 1));
    assert_eq!(outcome.frames.len(), 180_000);
    assert!(outcome.error(LAN, 0) < 2_000);
    outcome.assert_in_order();
    outcome.assert_contiguous(20);
    // What is true is not bent at all.
    let bent = outcome.frames.iter().filter(|(_, span)| span.length().0 != 20_000).count();
    assert!(bent < 1_000, "{bent} frames bent");
}

#[test]
fn skewed_clocks_and_jitter_are_followed_for_an_hour() {
    for (seed, skew_ppm) in [-500.0, 60.0, 500.0].into_iter().enumerate() {
        for jitter_ms in [0.3, 150.0] {
            for reports in [false, true] {
                let network = Network { delay_ms: 10.0, jitter_ms, loss: 0.01, duplicate: 0.01 };
                let outcome = run(&arrivals(Sender { skew_ppm, reports, ..SENDER }, network, 3600, seed as u64));
                let error = outcome.error(network, 20);
                assert!(error < 12_000, "{skew_ppm} ppm, jitter {jitter_ms} ms, {reports}: {error} us off");
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
        let network = Network { delay_ms: 10.0, jitter_ms: 150.0, loss: 0.0, duplicate: 0.0 };
        let outcome = run(&arrivals(SENDER, network, 60, seed));
        let early = outcome.error(network, 0);
        assert!(early <= 150_000, "seed {seed}: {early}");
        assert!(outcome.error(network, 20) < 8_000, "seed {seed}: {}", outcome.error(network, 20));
    }
}

#[test]
fn pauses_of_minutes_keep_their_length() {
    for (seed, skew_ppm) in [(1, -500.0), (2, 0.0), (3, 500.0)] {
        for reports in [false, true] {
            let sender = Sender { skew_ppm, reports, talk: Some((30, 240)), ..SENDER };
            let network = Network { jitter_ms: 40.0, ..LAN };
            let outcome = run(&arrivals(sender, network, 3600, seed));
            outcome.assert_in_order();
            outcome.assert_contiguous(20);
            let error = outcome.error(network, 20);
            assert!(error < 45_000, "{skew_ppm} ppm, {reports}: {error} us off");
            assert_eq!((outcome.lost, outcome.discarded.len()), (0, 0), "a pause is not loss");
        }
    }
}

#[test]
fn talk_spurts_of_dtx_are_placed() {
    let sender = Sender { skew_ppm: 80.0, talk: Some((3, 2)), ..SENDER };
    let network = Network { jitter_ms: 60.0, loss: 0.02, ..LAN };
    let outcome = run(&arrivals(sender, network, 1200, 9));
    outcome.assert_in_order();
    outcome.assert_contiguous(20);
    assert!(outcome.error(network, 20) < 10_000, "{}", outcome.error(network, 20));
}

#[test]
fn streams_of_one_sender_align_and_senders_hours_off_do_not_matter() {
    const HOUR: i64 = 3_600_000_000;
    // Ana's screen has jitter that never lets its packets through early; her microphone has none. Bob is elsewhere.
    let ana = Sender { ntp_offset: 5 * HOUR, reports: true, ..SENDER };
    let screen = Sender { timestamp: 77, sequence: 9, packet_ms: 60, ..ana };
    let bob = Sender { ntp_offset: -9 * HOUR, reports: true, skew_ppm: 30.0, ..SENDER };
    let far = Network { delay_ms: 90.0, ..LAN };
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
    // Half a millisecond per second, both ways.
    assert!(outcome.error(LAN, 0) < 60_000, "{}", outcome.error(LAN, 0));
}

#[test]
fn anything_at_all_neither_panics_nor_goes_backwards() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut intake = Intake::new(if seed % 2 == 0 { 48_000 } else { 8_000 });
        let mut now = 0i64;
        let mut end = MeetingTime(i64::MIN);
        let (mut sequence, mut timestamp) = (dice.roll() * 65536.0, dice.roll() * 4294967296.0);
        for id in 0..2_000 {
            now += (dice.roll() * 40_000.0) as i64;
            match (dice.roll() * 40.0) as u32 {
                0 => sequence = dice.roll() * 65536.0,
                1 => timestamp = dice.roll() * 4294967296.0,
                2 => now += (dice.roll() * 100_000_000.0) as i64,
                3 => sequence -= dice.roll() * 5.0,
                4 => timestamp = 0.0,
                5 => drop(intake.sender_report((dice.roll() * 1e19) as u64, timestamp as u32, MeetingTime(now))),
                _ => {}
            }
            sequence += 1.0;
            timestamp += 960.0;
            let ticks = if dice.roll() < 0.05 { (dice.roll() * 6000.0) as u32 } else { 960 };
            let header = Header { sequence: sequence as i64 as u16, timestamp: timestamp as i64 as u32, ticks };
            let at = MeetingTime(now);
            if let Ok(placed) = intake.on_packet(&header, at) {
                assert!(placed.span.length().0 < 2_000_000, "seed {seed}: {placed:?}");
                if dice.roll() < 0.3 {
                    intake.refuse(placed, at);
                } else {
                    let _ = intake.keep(placed, id, at);
                }
            }
            while let Some(release) = intake.release(at) {
                let Release::Frame { span, .. } = release else { continue };
                assert!(span.start >= end && !span.is_empty(), "seed {seed}: {span:?} behind {end:?}");
                assert!(span.end.0 <= now + 1_510_000, "seed {seed}: {span:?} at {at:?}");
                end = span.end;
            }
        }
    }
}
