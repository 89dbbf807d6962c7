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
/// The delay of what came after its turn is remembered for so long: where it was asked for once
/// more, the next hole is filled as late as this one would have been.
const LATE_MEMORY: Micros = Micros::from_ms(300_000);

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
    /// The longest delay of what came too late but would have been waited for, and when the last
    /// of it came.
    late: Option<(Micros, MeetingTime)>,
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
            late: None,
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
        let delay = arrived - placed.span.end;
        self.remember(arrived, delay.0);
        let put = self.put(placed.sequence, What::Packet(packet, placed.span), arrived);
        if put == Err(Discard::Late) && delay <= WAIT_MAX {
            let before = self.late.map_or(delay, |(before, _)| before);
            self.late = Some((before.max(delay), arrived));
        }
        if self
            .late
            .is_some_and(|(_, last)| arrived - last >= LATE_MEMORY)
        {
            self.late = None;
        }
        put
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
        let recent = self.delays.iter().map(|(_, delay)| Micros(*delay)).max();
        let late = self.late.map(|(delay, _)| delay);
        let longest = recent.max(late).unwrap_or_default() + Micros::from_ms(5);
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
mod tests;
