//! Simulated senders and networks, and what came of their packets.

use hansard_domain::{
    framing::PacketFrame,
    intake::{Intake, Output},
    time::{MeetingTime, Span},
    timeline::{Discard, Header},
};
use std::collections::BTreeMap;

/// xorshift64*: the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Clone, Copy)]
pub struct Sender {
    /// Against true time, parts per million.
    pub skew_ppm: f64,
    /// Of its wall clock, in µs.
    pub ntp_offset: i64,
    pub timestamp: u32,
    pub sequence: u16,
    pub packet_ms: u32,
    /// Speaks for the first of these seconds, is silent for the second (no packets), again and
    /// again.
    pub talk: Option<(i64, i64)>,
    pub reports: bool,
    /// When the sender stands still with its counter, and how long (true time, µs), by time.
    pub stalls: &'static [(i64, i64)],
    /// Ticks by which the counter moves in a millisecond; 48 is right.
    pub ticks_per_ms: u32,
}

pub const SENDER: Sender = Sender {
    skew_ppm: 0.0,
    ntp_offset: 0,
    timestamp: 4_294_000_000,
    sequence: 65_000,
    packet_ms: 20,
    talk: None,
    reports: false,
    stalls: &[],
    ticks_per_ms: 48,
};

#[derive(Clone, Copy)]
pub struct Network {
    pub delay_ms: f64,
    pub jitter_ms: f64,
    pub loss: f64,
    pub duplicate: f64,
    /// When it lets nothing through, for how long, and how many times faster than they were made
    /// packets come then.
    pub outage: Option<(i64, i64, i64)>,
}

pub const LAN: Network = Network {
    delay_ms: 0.2,
    jitter_ms: 0.3,
    loss: 0.0,
    duplicate: 0.0,
    outage: None,
};

pub enum Event {
    Packet { header: Header, made: i64 },
    Report { ntp: u64, timestamp: u32 },
}

/// Everything that reaches us from one sender until `seconds`, by arrival (µs). `made` is the true
/// start of capture.
pub fn arrivals(sender: Sender, network: Network, seconds: i64, seed: u64) -> Vec<(i64, Event)> {
    let mut random = Random::new(seed);
    let rate = 48.0 * (1.0 + sender.skew_ppm / 1e6);
    let ticks = sender.packet_ms * 48;
    let mut out = Vec::new();
    let mut sequence = sender.sequence;
    let delay = |random: &mut Random| {
        ((network.delay_ms + network.jitter_ms * random.fraction()) * 1000.0) as i64
    };
    for i in 0.. {
        // True time at which packet i's first and last samples are captured.
        let after = |count: u32| {
            let ran = (f64::from(count * ticks) / rate * 1000.0) as i64;
            sender.stalls.iter().fold(
                ran,
                |at, (from, length)| if at >= *from { at + length } else { at },
            )
        };
        let made = after(i);
        let whole = made + i64::from(sender.packet_ms) * 1_000;
        if made >= seconds * 1_000_000 {
            break;
        }
        let timestamp = sender
            .timestamp
            .wrapping_add(i * sender.packet_ms * sender.ticks_per_ms);
        if sender.reports && (made / 5_000_000) != (after(i + 1) / 5_000_000) {
            let ntp = 3_900_000_000_000_000 + made + sender.ntp_offset;
            let ntp =
                ((ntp as u64 / 1_000_000) << 32) | (((ntp as u64 % 1_000_000) << 32) / 1_000_000);
            out.push((made + delay(&mut random), Event::Report { ntp, timestamp }));
        }
        if sender
            .talk
            .is_some_and(|(talk, silence)| (made / 1_000_000) % (talk + silence) >= talk)
        {
            continue;
        }
        let header = Header {
            sequence,
            timestamp,
            ticks,
        };
        sequence = sequence.wrapping_add(1);
        if random.fraction() < network.loss {
            continue;
        }
        let sent = match network.outage {
            Some((from, length, speed)) if whole > from => {
                whole.max(from + length + (whole - from) / speed)
            }
            _ => whole,
        };
        out.push((sent + delay(&mut random), Event::Packet { header, made }));
        if random.fraction() < network.duplicate {
            out.push((whole + delay(&mut random), Event::Packet { header, made }));
        }
    }
    out.sort_by_key(|(at, _)| *at);
    out
}

#[derive(Default)]
pub struct Outcome {
    /// (true start of capture, placed), in the order released.
    pub frames: Vec<(i64, Span)>,
    pub lost: u64,
    pub discarded: BTreeMap<Discard, u64>,
}

pub fn run(events: &[(i64, Event)]) -> Outcome {
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
                let kept = intake
                    .on_packet(header, at)
                    .and_then(|placed| intake.keep(placed, id, at));
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

fn drain(
    intake: &mut Intake,
    now: MeetingTime,
    made_of: &mut BTreeMap<u64, i64>,
    outcome: &mut Outcome,
) {
    while let Some(release) = intake.release(now) {
        match release {
            Output::Frame(PacketFrame { id, span, .. }) => outcome
                .frames
                .push((made_of.remove(&id).expect("once"), span)),
            Output::Lost { packets, .. } => outcome.lost += u64::from(packets),
        }
    }
}

impl Outcome {
    /// Largest error of placing (µs) from `after` seconds on, against true capture plus the path's
    /// shortest delay.
    pub fn error(&self, network: Network, after: i64) -> i64 {
        let delay = (network.delay_ms * 1000.0) as i64;
        let late = self
            .frames
            .iter()
            .filter(|(made, _)| *made >= after * 1_000_000);
        late.map(|(made, span)| (span.start.0 - made - delay).abs())
            .max()
            .expect("frames")
    }

    pub fn assert_in_order(&self) {
        for pair in self.frames.windows(2) {
            assert!(pair[0].0 < pair[1].0, "order of capture");
            assert!(pair[0].1.end <= pair[1].1.start, "overlap {pair:?}");
        }
    }

    /// Frames that follow each other without a pause abut to the microsecond.
    pub fn assert_contiguous(&self, packet_ms: u32) {
        let length = i64::from(packet_ms) * 1000;
        for pair in self
            .frames
            .windows(2)
            .filter(|pair| pair[1].0 - pair[0].0 < length + length / 2)
        {
            assert_eq!(pair[0].1.end, pair[1].1.start, "at {}", pair[0].0);
            let share = pair[0].1.length().0 as f64 / length as f64;
            assert!((0.975..=1.025).contains(&share), "{pair:?}");
        }
    }
}
