//! The numbers of a stream that is sent on (RFC 3550 5.1, RFC 7667 3.7): whoever receives it sees
//! one sender, whichever of the streams behind it is sent at the time.
//!
//! Within one sender all distances stay: a packet that did not reach us is a hole for the receiver,
//! too, which then conceals it or asks for it. From one sender to the next the numbers go on
//! without a hole, and the time stamps by the time that passed.

use crate::time::Micros;

/// Steps larger than this are a restart of the sender (RFC 3550 A.1).
const DROPOUT_MAX: i64 = 3_000;
/// What numbers begin below: the receiver's rollover counter begins at 0, and nobody tells it
/// otherwise.
const FIRST_BELOW: u16 = 1 << 15;

/// What a packet is numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renumbered {
    /// With the rollovers above the 16 bits that are sent.
    pub sequence: u64,
    pub timestamp: u32,
    /// The first of a sender.
    pub first: bool,
}

/// One stream that is sent on. `S` tells senders apart.
#[derive(Clone, Debug)]
pub struct Rewriter<S> {
    sender: Option<Sender<S>>,
    /// The highest number that was given, and its time.
    last: Option<Last>,
    first_sequence: u16,
    first_timestamp: u32,
}

#[derive(Clone, Debug)]
struct Sender<S> {
    who: S,
    /// The lowest number that is this sender's.
    from: i64,
    highest: i64,
    /// What is added to its numbers.
    shift: i64,
    shift_ticks: u32,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: i64,
    timestamp: u32,
    at: Micros,
}

impl<S: PartialEq> Rewriter<S> {
    /// `sequence` and `timestamp` are random (RFC 3550 5.1).
    pub fn new(sequence: u16, timestamp: u32) -> Self {
        Self {
            sender: None,
            last: None,
            first_sequence: sequence % FIRST_BELOW,
            first_timestamp: timestamp,
        }
    }

    /// The numbers of a packet that came at `at`. `None`: it is older than what the sender began
    /// with.
    pub fn packet(
        &mut self,
        who: S,
        sequence: u16,
        timestamp: u32,
        clock_rate: u32,
        at: Micros,
    ) -> Option<Renumbered> {
        let known = self.sender.as_mut().filter(|sender| sender.who == who);
        let extended = known
            .as_ref()
            .map(|sender| (sender.extend(sequence), sender.highest));
        let first = extended.is_none_or(|(of, highest)| (of - highest).abs() > DROPOUT_MAX);
        let (sender, number) = match (known, extended) {
            (Some(sender), Some((number, _))) if !first => (sender, number),
            _ => {
                let number = i64::from(sequence);
                let (next, next_timestamp) = match self.last {
                    None => (self.first_sequence.into(), self.first_timestamp),
                    Some(last) => (last.sequence + 1, last.after(clock_rate, at)),
                };
                let sender = self.sender.insert(Sender {
                    who,
                    from: number,
                    highest: number,
                    shift: next - number,
                    shift_ticks: next_timestamp.wrapping_sub(timestamp),
                });
                (sender, number)
            }
        };
        if number < sender.from {
            return None;
        }
        sender.highest = sender.highest.max(number);
        let (sequence, timestamp) = (
            number + sender.shift,
            timestamp.wrapping_add(sender.shift_ticks),
        );
        if self.last.is_none_or(|last| sequence > last.sequence) {
            self.last = Some(Last {
                sequence,
                timestamp,
                at,
            });
        }
        let sequence = u64::try_from(sequence).ok()?;
        Some(Renumbered {
            sequence,
            timestamp,
            first,
        })
    }

    /// A number of this sender is used up by something that is not sent on: no hole is left for it.
    /// It counts when it is the next one; an older one stays a hole.
    pub fn skip(&mut self, who: &S, sequence: u16) {
        if let Some(sender) = self.sender.as_mut().filter(|sender| sender.who == *who)
            && sender.extend(sequence) == sender.highest + 1
        {
            sender.highest += 1;
            sender.shift -= 1;
            // What came before it has its numbers already.
            sender.from = sender.highest + 1;
        }
    }
}

impl<S> Sender<S> {
    /// A number of 16 bits near the highest one.
    fn extend(&self, sequence: u16) -> i64 {
        let step = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest + i64::from(step)
    }
}

impl Last {
    /// The time stamp of what comes at `at`, on this stream's clock; at least one tick later.
    fn after(self, clock_rate: u32, at: Micros) -> u32 {
        let passed = (at - self.at).0.max(0);
        let ticks = passed * i64::from(clock_rate) / 1_000_000;
        self.timestamp.wrapping_add((ticks as u32).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn ms(n: i64) -> Micros {
        Micros::from_ms(n)
    }

    /// The 16 bits that are sent, and the time stamp.
    fn sent(
        rewriter: &mut Rewriter<char>,
        who: char,
        sequence: u16,
        timestamp: u32,
        at: i64,
    ) -> (u64, u32) {
        let sent = rewriter
            .packet(who, sequence, timestamp, RATE, ms(at))
            .expect("not too old");
        (sent.sequence, sent.timestamp)
    }

    #[test]
    fn holes_and_order_of_one_sender_stay_over_the_rollover() {
        let mut rewriter = Rewriter::new(40_000, 7);
        let begin = 40_000 % u64::from(FIRST_BELOW);
        let mut numbers = Vec::new();
        for (n, sequence) in [65_534, 65_535, 1, 0, 2, 5].into_iter().enumerate() {
            let at = n as i64 * 20;
            let (number, _) = sent(
                &mut rewriter,
                'a',
                sequence,
                u32::from(sequence.wrapping_sub(65_534)) * 960,
                at,
            );
            numbers.push(number - begin);
        }
        assert_eq!(numbers, [0, 1, 3, 2, 4, 7]);
        let again = sent(&mut rewriter, 'a', 5, 7 * 960, 160);
        assert_eq!(
            again,
            (begin + 7, 7 + 7 * 960),
            "a repetition is the same packet"
        );
    }

    #[test]
    fn the_next_sender_goes_on_by_the_time_that_passed() {
        let mut rewriter = Rewriter::new(10, 1_000);
        assert_eq!(sent(&mut rewriter, 'a', 500, 77, 0), (10, 1_000));
        assert_eq!(sent(&mut rewriter, 'a', 501, 77 + 960, 20), (11, 1_960));
        // Half a second later, another stream of the same participant.
        let b = rewriter
            .packet('b', 9, 4_000_000_000, RATE, ms(520))
            .expect("sent on");
        assert_eq!(
            (b.sequence, b.timestamp, b.first),
            (12, 1_960 + 24_000, true)
        );
        let next = rewriter
            .packet('b', 10, 4_000_000_960, RATE, ms(540))
            .expect("sent on");
        assert_eq!(
            (next.sequence, next.timestamp, next.first),
            (13, 1_960 + 24_960, false)
        );
        // What it sent before what came first would be older than the other's last.
        assert_eq!(rewriter.packet('b', 8, 3_999_999_040, RATE, ms(541)), None);
    }

    #[test]
    fn discontinuous_transmission_keeps_its_silence() {
        let mut rewriter = Rewriter::new(0, 0);
        sent(&mut rewriter, 'a', 1, 0, 0);
        // 400 ms of silence: the next number, and the time stamp of when it was said.
        assert_eq!(sent(&mut rewriter, 'a', 2, 19_200, 400), (1, 19_200));
    }

    #[test]
    fn a_sender_that_begins_anew_leaves_no_hole() {
        let mut rewriter = Rewriter::new(0, 0);
        sent(&mut rewriter, 'a', 1, 0, 0);
        let anew = rewriter
            .packet('a', 30_000, 9, RATE, ms(20))
            .expect("sent on");
        assert_eq!((anew.sequence, anew.timestamp, anew.first), (1, 960, true));
    }

    #[test]
    fn numbers_of_what_is_not_sent_on_are_closed_up() {
        let mut rewriter = Rewriter::new(0, 0);
        sent(&mut rewriter, 'a', 1, 0, 0);
        rewriter.skip(&'a', 2);
        rewriter.skip(&'b', 3);
        assert_eq!(sent(&mut rewriter, 'a', 3, 1_920, 40), (1, 1_920));
        // Late, and its number is used: a hole as any other.
        rewriter.skip(&'a', 2);
        assert_eq!(sent(&mut rewriter, 'a', 4, 2_880, 60), (2, 2_880));
    }
}
