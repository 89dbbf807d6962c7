//! Puts packets back into order. Decides on ids; whoever calls holds the bytes.
//!
//! What is in order goes out at once. A hole waits, for as long as recent packets have shown to be
//! delayed (20-200 ms), then it is declared lost with its span. Consecutive numbers with a jump in
//! time are a pause of the sender, not loss.

use crate::{
    time::{MeetingTime, Micros, Span},
    timeline::{Discard, Placed},
};
use std::collections::{BTreeMap, VecDeque};

/// The wait for a missing packet, before anything is known of the path.
pub const WAIT_FIRST: Micros = Micros::from_ms(60);
pub const WAIT_MIN: Micros = Micros::from_ms(20);
pub const WAIT_MAX: Micros = Micros::from_ms(200);
/// More packets ahead of a hole than this, and the hole is given up: five seconds of 20 ms packets.
pub const HELD_MAX: usize = 256;
/// Delays are remembered for this many seconds.
const MEMORY_S: usize = 10;

/// What comes out, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release<P = u64> {
    Packet {
        packet: P,
        span: Span,
        /// The packet before it that came, let in or not, as far as one is known.
        before: Option<Span>,
    },
    /// So many packets never came, or too late; when what they held was captured.
    Lost { span: Span, packets: u32 },
}

/// What happened so far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    pub released: u64,
    pub lost: u64,
    pub late: u64,
    pub duplicate: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held<P> {
    what: What<P>,
    arrived: MeetingTime,
}

#[derive(Clone, Copy, Debug)]
enum What<P> {
    Packet(P, Span),
    /// Was not let in; its number only says that it is not missing.
    Refused(Span),
    /// Holds none of the stream's media.
    Other,
}

impl<P> What<P> {
    fn let_in(&self) -> Option<Span> {
        if let Self::Packet(_, span) = self {
            Some(*span)
        } else {
            None
        }
    }
}

/// One stream's buffer. `P` is what its packets are known by.
#[derive(Debug)]
pub struct Reorder<P = u64> {
    next: Option<i64>,
    held: BTreeMap<i64, Held<P>>,
    /// The last packet of media given out, if it was let in.
    before: Option<Span>,
    /// The same, let in or not.
    latest: Option<Span>,
    /// Packets given up since then that were not told, because nothing behind them said when they
    /// were.
    untold: i64,
    /// Where the last frame ended.
    until: Option<MeetingTime>,
    given_up: VecDeque<i64>,
    /// The longest delay of each recent second, newest last.
    delays: VecDeque<(i64, i64)>,
    counts: Counts,
}

impl<P> Default for Reorder<P> {
    fn default() -> Self {
        Self {
            next: None,
            held: BTreeMap::new(),
            before: None,
            latest: None,
            untold: 0,
            until: None,
            given_up: VecDeque::new(),
            delays: VecDeque::new(),
            counts: Counts::default(),
        }
    }
}

impl<P: Copy> Reorder<P> {
    /// Takes a packet that may come out again. Duplicates and what comes after its turn are
    /// refused.
    pub fn insert(
        &mut self,
        placed: Placed,
        packet: P,
        arrived: MeetingTime,
    ) -> Result<(), Discard> {
        self.remember(arrived, (arrived - placed.span.end).0);
        self.put(placed.sequence, What::Packet(packet, placed.span), arrived)
    }

    /// Notes that this packet came but was not let in, so that nobody waits for it.
    pub fn skip(&mut self, placed: Placed, arrived: MeetingTime) {
        self.remember(arrived, (arrived - placed.span.end).0);
        let _ = self.put(placed.sequence, What::Refused(placed.span), arrived);
    }

    /// Notes that the packet with this number holds none of the stream's media.
    pub fn pass(&mut self, sequence: i64, arrived: MeetingTime) {
        let _ = self.put(sequence, What::Other, arrived);
    }

    fn put(&mut self, sequence: i64, what: What<P>, arrived: MeetingTime) -> Result<(), Discard> {
        let next = *self.next.get_or_insert(sequence);
        if sequence < next {
            return Err(if self.given_up.contains(&sequence) {
                self.counts.late += 1;
                Discard::Late
            } else {
                self.counts.duplicate += 1;
                Discard::Duplicate
            });
        }
        if self.held.contains_key(&sequence) {
            self.counts.duplicate += 1;
            return Err(Discard::Duplicate);
        }
        if self.held.len() >= 2 * HELD_MAX {
            return Err(Discard::Full);
        }
        if what
            .let_in()
            .is_some_and(|span| !self.is_between(sequence, span.end))
        {
            self.counts.late += 1;
            return Err(Discard::Late);
        }
        self.held.insert(sequence, Held { what, arrived });
        Ok(())
    }

    /// Whether time rises with the numbers, as seen from the neighbours. Some senders' does not.
    fn is_between(&self, sequence: i64, end: MeetingTime) -> bool {
        let let_in = |(_, held): (&i64, &Held<P>)| held.what.let_in().map(|span| span.end);
        let before = self
            .held
            .range(..sequence)
            .rev()
            .find_map(let_in)
            .or(self.until);
        let after = self.held.range(sequence + 1..).find_map(let_in);
        before.is_none_or(|before| before < end) && after.is_none_or(|after| end < after)
    }

    /// The next thing whose turn it is; call until `None`. Spans never overlap and never go back.
    pub fn release(&mut self, now: MeetingTime) -> Option<Release<P>> {
        while let Some((&sequence, &held)) = self.held.first_key_value() {
            let next = self.next?;
            if sequence > next {
                if self.poll_timeout().is_some_and(|due| now < due) {
                    return None;
                }
                self.give_up(next, sequence);
            }
            if let Some(lost) = held.what.let_in().and_then(|span| self.lost_before(span)) {
                return Some(lost);
            }
            self.held.pop_first();
            self.next = Some(sequence + 1);
            match held.what {
                What::Packet(packet, span) => {
                    self.counts.released += 1;
                    // A packet may claim to be longer than its sender's step: then the next one
                    // begins where it ends.
                    let start = self.until.map_or(span.start, |until| until.max(span.start));
                    self.until = Some(span.end);
                    self.before = Some(span);
                    let before = self.latest.replace(span);
                    return Some(Release::Packet {
                        packet,
                        span: Span::new(start, span.end),
                        before,
                    });
                }
                // Between packets that were not let in, nothing is lost.
                What::Refused(span) => {
                    (self.before, self.latest, self.untold) = (None, Some(span), 0)
                }
                What::Other => {}
            }
        }
        None
    }

    fn give_up(&mut self, from: i64, to: i64) {
        self.next = Some(to);
        self.given_up.extend(from.max(to - HELD_MAX as i64)..to);
        while self.given_up.len() > HELD_MAX {
            self.given_up.pop_front();
        }
        self.counts.lost += (to - from) as u64;
        self.untold += to - from;
    }

    /// What was given up before a frame, once.
    fn lost_before(&mut self, frame: Span) -> Option<Release<P>> {
        let packets = std::mem::take(&mut self.untold);
        let before = self.before.filter(|_| packets > 0)?;
        let gap = Span::new(before.end, frame.start);
        let likely = before
            .length()
            .0
            .max(frame.length().0)
            .saturating_mul(packets);
        // A longer gap also holds a pause of the sender; speech begins behind it.
        let span = if gap.length().0 > likely + likely / 2 {
            Span::new(gap.end - Micros(likely), gap.end)
        } else {
            gap
        };
        (!span.is_empty()).then(|| Release::Lost {
            span,
            packets: packets.min(i64::from(u32::MAX)) as u32,
        })
    }

    /// When [`Reorder::release`] has something new to say without another packet.
    pub fn poll_timeout(&self) -> Option<MeetingTime> {
        let (first, held) = self.held.first_key_value()?;
        if self.next == Some(*first) || self.held.len() > HELD_MAX {
            return Some(held.arrived);
        }
        self.held
            .values()
            .map(|held| held.arrived)
            .min()
            .map(|arrived| arrived + self.wait())
    }

    /// How long a hole is waited for.
    pub fn wait(&self) -> Micros {
        let longest = Micros(
            self.delays
                .iter()
                .map(|(_, delay)| *delay)
                .max()
                .unwrap_or(0),
        ) + Micros::from_ms(5);
        let least = if self.delays.len() < 3 {
            WAIT_FIRST
        } else {
            WAIT_MIN
        };
        longest.clamp(least, WAIT_MAX)
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn remember(&mut self, arrived: MeetingTime, delay: i64) {
        let second = arrived.0.div_euclid(1_000_000);
        match self.delays.back_mut() {
            Some((last, longest)) if *last == second => *longest = delay.max(*longest),
            _ => self.delays.push_back((second, delay)),
        }
        while self.delays.len() > MEMORY_S {
            self.delays.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
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
}
