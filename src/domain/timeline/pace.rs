//! Whether a counter counts by the clock that was said: its steps, held against the packets' own
//! lengths.
//!
//! A packet plays for as long as it says itself, and the next one's time stamp is that much
//! further. Where steps are always *less*, packets would overlap: the counter counts by another
//! clock. Where they are more, it may be a pause; but not if the packets arrive at the pace of
//! their own lengths. Looked at are packets of one length with few missing between them, newest to
//! newest, so that loss and reordering say nothing.

use super::Header;
use crate::time::MeetingTime;

/// Pairs of packets with the same wrong step after which a counter is another one.
const LESS: u32 = 5;
const MORE: u32 = 10;
/// From here on packets with too large a step are not placed until that is clear: they would be
/// ahead of time.
const MORE_UNSURE: u32 = 3;
/// Pairs in a row without one that makes sense after which a counter is unreadable: two seconds of
/// 20 ms packets.
const UNREADABLE: u32 = 100;
/// Numbers between two packets that are compared, at most.
const APART: i16 = 8;
/// A step further than this beyond what passed makes no sense (µs).
const BEYOND: i64 = 1_000_000;

/// Ticks of the counter per second, as a fraction: `ticks` in `per` seconds. `said` is what was
/// negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    said: i64,
    ticks: i64,
    per: i64,
}

impl Rate {
    fn said(rate: u32) -> Self {
        let said = i64::from(rate.max(1));
        Self {
            said,
            ticks: said,
            per: 1,
        }
    }

    /// A counter that moves by `step` where the packet plays for `length` ticks of the rate that
    /// was said.
    fn measured(self, step: i64, length: i64) -> Self {
        let (ticks, per) = (self.said * step, length);
        let divisor = gcd(ticks, per);
        Self {
            ticks: ticks / divisor,
            per: per / divisor,
            ..self
        }
    }

    /// How long that many ticks of the counter take, in µs, rounded down.
    pub fn micros(self, counted: i64) -> i64 {
        let micros = i128::from(counted) * 1_000_000 * i128::from(self.per);
        micros
            .div_euclid(i128::from(self.ticks))
            .clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// What the counter moves by in so many ticks of the rate that was said.
    pub fn counted(self, length: i64) -> i64 {
        (length * self.ticks + self.said * self.per / 2) / (self.said * self.per)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// What a packet says of its counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paced {
    Steady,
    /// Its step may be wrong; it would be placed ahead of time.
    Unsure,
    /// From this packet on the counter is read by another rate.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    header: Header,
    arrived: MeetingTime,
}

/// Pairs with the same wrong step, in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    rate: Rate,
    pairs: u32,
    since: MeetingTime,
    /// By the packets' own lengths, and by the counter as it is read now (µs).
    own: i64,
    counted: i64,
}

/// One stream's counter.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate: Rate,
    before: Option<Seen>,
    run: Option<Run>,
    senseless: u32,
}

impl Pace {
    pub fn new(clock_rate: u32) -> Self {
        Self {
            rate: Rate::said(clock_rate),
            before: None,
            run: None,
            senseless: 0,
        }
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    pub fn other_rate(&self) -> Option<i64> {
        (self.rate != Rate::said(u32::try_from(self.rate.said).unwrap_or(u32::MAX)))
            .then_some(self.rate.ticks / self.rate.per)
    }

    pub fn is_unreadable(&self) -> bool {
        self.senseless >= UNREADABLE
    }

    /// A packet that holds none of the stream's media; what lies on either side of it is not
    /// compared.
    pub fn skip(&mut self) {
        self.before = None;
    }

    /// A packet, in order of arrival.
    pub fn observe(&mut self, header: &Header, arrived: MeetingTime) -> Paced {
        let Some(before) = self.before else {
            self.before = Some(Seen {
                header: *header,
                arrived,
            });
            return Paced::Steady;
        };
        let number = header.sequence.wrapping_sub(before.header.sequence) as i16;
        if (-100..=0).contains(&number) {
            return Paced::Steady;
        }
        self.before = Some(Seen {
            header: *header,
            arrived,
        });
        let alike = number == 1 || (number <= APART && before.header.ticks == header.ticks);
        if !(1..=APART).contains(&number) || !alike || before.header.ticks == 0 || header.ticks == 0
        {
            return Paced::Steady;
        }
        let step = i64::from(header.timestamp.wrapping_sub(before.header.timestamp) as i32);
        let length = i64::from(before.header.ticks) * i64::from(number);
        let due = self.rate.counted(length).max(1);
        let passed = (arrived - before.arrived).0;
        let counted = self.rate.micros(step);
        let about = |a: i64, b: i64| (a - b).abs() * 50 <= b;
        if about(step, due) {
            (self.run, self.senseless) = (None, 0);
            return Paced::Steady;
        }
        let pause = step > due && counted - passed <= BEYOND;
        self.senseless = if pause {
            0
        } else {
            self.senseless.saturating_add(1)
        };
        if step <= 0 {
            self.run = None;
            return Paced::Steady;
        }
        let own = length * 1_000_000 / self.rate.said;
        let run = match self.run {
            Some(run)
                if about(
                    self.rate.measured(step, length).micros(1 << 20),
                    run.rate.micros(1 << 20),
                ) =>
            {
                Run {
                    pairs: run.pairs + 1,
                    own: run.own + own,
                    counted: run.counted + counted,
                    ..run
                }
            }
            _ => Run {
                rate: self.rate.measured(step, length),
                pairs: 1,
                since: before.arrived,
                own,
                counted,
            },
        };
        self.run = Some(run);
        let took = (arrived - run.since).0;
        let middle = (run.own + run.counted) / 2;
        let other = if step < due {
            run.pairs >= LESS && took > middle
        } else {
            let its_own = took < middle && took > run.own / 2;
            if its_own && (MORE_UNSURE..MORE).contains(&run.pairs) {
                return Paced::Unsure;
            }
            its_own && run.pairs >= MORE
        };
        if !other {
            return Paced::Steady;
        }
        self.rate = run.rate;
        (self.run, self.senseless) = (None, 0);
        Paced::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of `length` ticks by steps of `step`, every `every` ms; after how many another rate
    /// was found, and which.
    fn check(
        clock_rate: u32,
        length: u32,
        steps: &[u32],
        every: i64,
        expect: Option<(usize, i64)>,
    ) {
        let mut pace = Pace::new(clock_rate);
        let mut timestamp = 4_294_960_000u32;
        let found = (0..400usize).find_map(|n| {
            let header = Header {
                sequence: 65_500u16.wrapping_add(n as u16),
                timestamp,
                ticks: length,
            };
            timestamp = timestamp.wrapping_add(steps[n % steps.len()]);
            let paced = pace.observe(&header, MeetingTime::from_ms(every * n as i64));
            (paced == Paced::Other).then(|| (n, pace.other_rate().expect("another")))
        });
        assert_eq!(found, expect, "{length} by {steps:?}");
    }

    #[test]
    fn another_clock_is_found_by_the_packets_own_lengths() {
        check(48_000, 960, &[160], 20, Some((5, 8_000)));
        check(48_000, 960, &[320], 20, Some((5, 16_000)));
        check(48_000, 2_880, &[1_440], 60, Some((5, 24_000)));
        check(48_000, 960, &[882], 20, Some((5, 44_100)));
        check(48_000, 960, &[1], 20, Some((5, 50)));
        check(48_000, 960, &[1_800], 20, Some((10, 90_000)));
        check(8_000, 160, &[320], 20, Some((10, 16_000)));
        check(8_000, 160, &[960], 20, Some((10, 48_000)));
    }

    #[test]
    fn pauses_and_odd_steps_are_not_another_clock() {
        check(48_000, 960, &[960], 20, None);
        check(48_000, 960, &[19_200], 400, None);
        check(48_000, 960, &[960, 960, 320], 20, None);
        check(48_000, 960, &[0, 1_920], 20, None);
        check(48_000, 960, &[0], 20, None);
        // Packets that claim to be longer than they can be.
        check(48_000, 5_760, &[960], 20, None);
    }

    #[test]
    fn a_counter_whose_steps_mean_nothing_is_unreadable() {
        for (steps, unreadable) in [
            (&[0u32][..], true),
            (&[3_000_000_000, 17, 2_000_000_000, 4_000_000_000][..], true),
            (&[960][..], false),
            (&[0, 960][..], false),
            (&[1_920][..], false),
        ] {
            let mut pace = Pace::new(48_000);
            let mut timestamp = 0u32;
            for n in 0..150u16 {
                timestamp = timestamp.wrapping_add(steps[usize::from(n) % steps.len()]);
                pace.observe(
                    &Header {
                        sequence: n,
                        timestamp,
                        ticks: 960,
                    },
                    MeetingTime::from_ms(40 * i64::from(n)),
                );
            }
            assert_eq!(pace.is_unreadable(), unreadable, "{steps:?}");
        }
    }
}
