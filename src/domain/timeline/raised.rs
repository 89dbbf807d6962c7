//! Whether packets have become later for good: a counter that stood still.
//!
//! Told by how much each packet is later than the stream's shortest delay. Jitter always lets some
//! packet through in time, and behind a stall of the network packets come faster than they were
//! made until they are in time again. A counter that stood still does neither: from then on *all*
//! packets are later, and by no less as time goes on.

/// Below this a packet is in time (µs). What a counter stood still for less is found by the
/// ordinary window.
const IN_TIME: i64 = 25_000;
/// Lateness that falls by more than this from one half to the next is made up for: a network that
/// catches up (µs).
const FALLS: i64 = 20_000;
/// The two halves that are compared, each (µs): longer than a busy machine or a busy path holds
/// everything up.
const HALF: i64 = 750_000;
/// Packets in each half, at least.
const PACKETS: i64 = 4;
/// The chance that the least of `n` delays, which are `mean` above their least on average, is above
/// `t` is about exp(−n·t / 2·mean): one in three thousand at this many `mean / n`. A mistake is
/// undone by the next packet in time.
const SURE: i64 = 16;

#[derive(Clone, Copy, Debug)]
struct Half {
    since: i64,
    least: i64,
    sum: i64,
    count: i64,
}

impl Half {
    fn new(arrived: i64, late: i64) -> Self {
        Self {
            since: arrived,
            least: late,
            sum: late,
            count: 1,
        }
    }

    fn add(&mut self, late: i64) {
        self.least = self.least.min(late);
        self.sum += late;
        self.count += 1;
    }

    fn is_full(&self, arrived: i64) -> bool {
        self.count >= PACKETS && arrived - self.since >= HALF
    }

    /// How much of the least of both may be chance.
    fn chance(&self, other: &Self) -> i64 {
        let (sum, count) = (self.sum + other.sum, self.count + other.count);
        SURE * (sum / count - self.least.min(other.least)) / count
    }
}

/// One stream's watch.
#[derive(Clone, Copy, Default, Debug)]
pub struct Raised {
    first: Option<Half>,
    second: Option<Half>,
}

impl Raised {
    /// A packet that arrived at `arrived` is `late` behind the shortest delay. Answers by how much
    /// the counter stood still, once that is clear.
    pub fn observe(&mut self, arrived: i64, late: i64) -> Option<i64> {
        if late < IN_TIME {
            *self = Self::default();
            return None;
        }
        let Some(first) = &mut self.first else {
            self.first = Some(Half::new(arrived, late));
            return None;
        };
        let Some(second) = &mut self.second else {
            if first.is_full(arrived) {
                self.second = Some(Half::new(arrived, late));
            } else {
                first.add(late);
            }
            return None;
        };
        second.add(late);
        if !second.is_full(arrived) {
            return None;
        }
        let (first, second) = (*first, *second);
        let by = first.least.min(second.least);
        // Fallen by chance, it only takes another half.
        let falls = first.least - second.least > FALLS;
        if falls || by <= first.chance(&second) {
            *self = Self {
                first: Some(second),
                second: None,
            };
            return None;
        }
        *self = Self::default();
        Some(by)
    }

    /// Whether packets are late and it is not clear yet why.
    pub fn is_open(&self) -> bool {
        self.first.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 20 ms whose lateness at `ms` is `late`, for three seconds: when it was clear, and
    /// by how much (ms).
    fn check(late: impl Fn(i64) -> i64, expect: Option<(i64, i64)>) {
        let mut raised = Raised::default();
        let found = (0..150).map(|n| 20 * n).find_map(|ms| {
            let by = raised.observe(ms * 1_000, late(ms) * 1_000)?;
            Some((ms, by / 1_000))
        });
        assert_eq!(found, expect);
    }

    #[test]
    fn a_counter_that_stood_still_is_later_and_stays_so() {
        check(|_| 1_500, Some((1_520, 1_500)));
        check(|_| 100, Some((1_520, 100)));
        check(|ms| 40 + ms * 7 % 11, Some((1_520, 40)));
        check(|_| 24, None);
    }

    #[test]
    fn what_catches_up_did_not_stand_still() {
        check(|ms| (1_500 - ms * 3).max(0), None);
        check(|ms| (1_500 - ms / 5).max(0), None);
        check(|ms| if ms < 1_400 { 700 } else { 0 }, None);
    }

    #[test]
    fn jitter_lets_somebody_through_in_time() {
        check(|ms| (ms * 7_919) % 151, None);
        check(|ms| if ms % 300 == 0 { 5 } else { 140 }, None);
    }
}
