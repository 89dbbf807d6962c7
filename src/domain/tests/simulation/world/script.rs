//! What happens in a seed: who is there, what they say and send, and what fails.

use super::{Event, FRAME, Sender, World};
use crate::random::Random;
use hansard_domain::{
    consent::{ConsentStatus, Use},
    id::StreamId,
    limits::UNREACHABLE_AFTER,
    settings::ConsentPolicy,
    source::Terms,
    timeline::Header,
};
use std::net::SocketAddr;
use uuid::Uuid;

/// Nothing happens in the last seconds, so that everything has arrived and the outcome can be
/// judged.
const QUIET: i64 = 4_000_000;

/// The longest that a sender stands still.
const STALL_MAX: i64 = 1_600_000;

/// What varies between seeds.
pub struct Plan {
    pub seed: u64,
    pub(super) people: usize,
    pub(super) policy: ConsentPolicy,
    pub(super) uses: Vec<Use>,
    pub(super) length: i64,
    /// How long a commit, a read, a message may take (µs).
    pub(super) commit: i64,
    pub(super) read: i64,
    pub(super) message: i64,
    pub(super) lost_messages: f64,
    pub(super) faults: bool,
    /// Neither Postgres nor the queue answers for longer than a meeting may go on by itself.
    pub(super) unreachable: bool,
}

impl Plan {
    pub fn fraction(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let policy = random.one(&[
            ConsentPolicy::Exclude,
            ConsentPolicy::Exclude,
            ConsentPolicy::All,
            ConsentPolicy::Required,
        ]);
        let uses = match random.within(0, 8) {
            0 => vec![Use::Recording],
            1 => vec![Use::Transcription],
            _ => Use::ALL.to_vec(),
        };
        Self {
            seed,
            people: random.within(1, 5) as usize,
            policy,
            uses,
            length: random.within(8, 16) * 1_000_000,
            commit: random.one(&[10_000, 100_000, 900_000]),
            read: random.one(&[5_000, 60_000, 500_000]),
            message: random.one(&[2_000, 100_000, 2_000_000]),
            lost_messages: random.one(&[0.0, 0.3, 1.0]),
            faults: random.chance(0.6),
            unreachable: false,
        }
    }

    /// The same, with nothing that answers instead of the other faults.
    pub fn unreachable(self) -> Self {
        Self {
            unreachable: true,
            length: 16_000_000,
            ..self
        }
    }
}

impl World {
    pub(super) fn plan_ahead(&mut self, random: &mut Random) {
        let busy = self.plan.length - QUIET;
        self.at(0, Event::Restart);
        for who in 0..self.people.len() {
            let mut at = random.within(0, 1_500_000);
            for _ in 0..random.within(1, 7) {
                let uses = match random.within(0, 4) {
                    0 => vec![Use::Recording],
                    1 => vec![Use::Transcription],
                    _ => Use::ALL.to_vec(),
                };
                let status = random.one(&[
                    ConsentStatus::Accepted,
                    ConsentStatus::Accepted,
                    ConsentStatus::Withdrawn,
                    ConsentStatus::Declined,
                ]);
                self.at(at, Event::Say { who, uses, status });
                // Now and then in the same breath as the one before.
                at += if random.chance(0.3) {
                    random.within(0, 60_000)
                } else {
                    random.within(60_000, 3_000_000)
                };
                if at > busy {
                    break;
                }
            }
            for _ in 0..random.within(1, 3) {
                let from = random.within(0, 2_500_000);
                let stream = self.senders.len();
                let id = StreamId(Uuid::from_u128(100 + stream as u128));
                let delay = random.one(&[300, 5_000, 40_000]);
                self.senders.push(self.sender(who, id, delay));
                self.at(from, Event::Connect { stream });
                self.speak(stream, from, random);
                if random.chance(0.2) {
                    self.at(random.within(from, busy), Event::Hang { stream });
                }
            }
            if random.chance(0.2) {
                self.at(random.within(2_000_000, busy), Event::Leave { who });
            }
        }
        if self.plan.unreachable {
            let from = random.within(1_000_000, 4_000_000);
            let until = from + UNREACHABLE_AFTER.0 + random.within(500_000, 2_500_000);
            for event in [Event::Postgres as fn(bool) -> Event, Event::Queue] {
                self.at(from, event(false));
                self.at(until, event(true));
            }
        }
        if self.plan.unreachable || !self.plan.faults {
            return;
        }
        for event in [Event::Postgres as fn(bool) -> Event, Event::Queue] {
            if random.chance(0.6) {
                let from = random.within(500_000, busy - 500_000);
                self.at(from, event(false));
                self.at(random.within(from, busy), event(true));
            }
        }
        for _ in 0..random.within(0, 3) {
            let at = random.within(500_000, busy - 300_000);
            self.at(at, Event::Crash);
            self.at(random.within(at, busy), Event::Restart);
        }
    }

    /// A sender with an address of its own on the one host, that may go on from another.
    fn sender(&self, who: usize, id: StreamId, delay: i64) -> Sender {
        let n = self.senders.len();
        let mut apart = Random::new(self.plan.seed ^ 0x5678 ^ n as u64);
        let at = |port: usize| SocketAddr::from(([127, 0, 0, 1], port as u16));
        let moves = apart.chance(0.3).then(|| {
            (
                apart.within(1_000_000, self.plan.length - QUIET),
                at(6_000 + n),
            )
        });
        let terms = Terms {
            ssrc: Some(7),
            relatch: apart.chance(0.5),
            ..Terms::default()
        };
        Sender {
            who,
            id,
            delay,
            from: at(5_000 + n),
            moves,
            terms,
            latched: None,
            since: 0,
            open: false,
            connected: false,
        }
    }

    /// When a sender stands still with its counter, and for how long: its sound is made later from
    /// then on, and nothing says so at first.
    fn stalls(&self, from: i64, random: &mut Random) -> Vec<(i64, i64)> {
        let last = self.plan.length - QUIET - STALL_MAX;
        let mut stalls = Vec::new();
        while random.chance(0.4) && last > from {
            stalls.push((
                random.within(from, last),
                random.one(&[60_000, 120_000, 700_000, STALL_MAX]),
            ));
        }
        stalls.sort_unstable();
        stalls
    }

    /// All packets of a sender, as they reach us.
    fn speak(&mut self, stream: usize, from: i64, random: &mut Random) {
        let delay = self.senders[stream].delay;
        let jitter = random.one(&[200, 3_000, 40_000]);
        let (loss, twice) = (random.one(&[0.0, 0.03]), random.one(&[0.0, 0.02]));
        let skew = 1.0 + random.one(&[0.0, 0.0, 200e-6, -200e-6]);
        let (timestamp, sequence) = (
            (random.fraction() * 4e9) as u32,
            (random.fraction() * 6e4) as u16,
        );
        let pause = random.within(1, 20);
        // Drawn apart, so that the seeds stay what they were.
        let mut apart = Random::new(self.plan.seed ^ 0x9876 ^ stream as u64);
        let fec = apart.chance(0.5);
        let stalls = self.stalls(from, &mut apart);
        let stray = apart.chance(0.2).then_some(0).filter(|to| *to != stream);
        // Some count by another clock than they say.
        let step = if apart.chance(0.1) {
            apart.one(&[160.0, 320.0, 480.0])
        } else {
            960.0
        };
        let mut number = 0u16;
        let mut made_before = from + delay;
        for n in 0..((self.plan.length - from) / FRAME) {
            let header = Header {
                sequence: sequence.wrapping_add(number),
                timestamp: timestamp.wrapping_add((n as f64 * step * skew) as u32),
                ticks: 960,
            };
            // Silence now and then, without packets.
            if (n / 50) % 20 == pause {
                continue;
            }
            number = number.wrapping_add(1);
            let made = stalls.iter().fold(from + n * FRAME, |at, (when, length)| {
                at + length * i64::from(at >= *when)
            });
            let repeats = (fec && apart.chance(0.7)).then_some(made_before);
            for _ in 0..1 + usize::from(random.chance(twice)) {
                if !random.chance(loss) {
                    let at = made + FRAME + delay + (random.fraction() * jitter as f64) as i64;
                    self.at(
                        at,
                        Event::Packet {
                            stream,
                            header,
                            made: (made + delay, repeats),
                        },
                    );
                    // Where the address may move, whoever speaks up in a silence is taken for the
                    // stream's own.
                    if let Some(to) = stray.filter(|to| !self.senders[*to].terms.relatch) {
                        self.at(at + 1, Event::Stray { to, stream, header });
                    }
                }
            }
            made_before = made + delay;
        }
    }
}
