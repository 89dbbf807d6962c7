//! How often something may happen for each of many: the generic cell rate algorithm (ITU-T I.371),
//! one instant per key.

use std::collections::BTreeMap;

/// So many at once, and from then on so many a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// 0: no limit.
    pub per_second: u32,
    pub burst: u32,
}

impl Rate {
    /// Between two at the steady rate, in microseconds.
    fn period_us(self) -> u64 {
        1_000_000 / u64::from(self.per_second.max(1))
    }
}

/// Keys that are remembered; past these the ones that used up nothing are forgotten, then all.
const KEYS_MAX: usize = 50_000;

/// Counts by key. The time is microseconds since any fixed instant.
#[derive(Debug)]
pub struct Rates<Key> {
    /// When each key's allowance is whole again.
    whole_at: BTreeMap<Key, u64>,
}

impl<Key> Default for Rates<Key> {
    fn default() -> Self {
        Self {
            whole_at: BTreeMap::new(),
        }
    }
}

impl<Key: Ord> Rates<Key> {
    /// Counts one.
    ///
    /// # Errors
    /// How long to wait, in microseconds, when it is one too many; that one is not counted.
    pub fn take(&mut self, key: Key, rate: Rate, now_us: u64) -> Result<(), u64> {
        if rate.per_second == 0 {
            return Ok(());
        }
        if self.whole_at.len() >= KEYS_MAX && !self.whole_at.contains_key(&key) {
            self.whole_at.retain(|_, whole_at| *whole_at > now_us);
            if self.whole_at.len() >= KEYS_MAX {
                // Better nobody is held back for a moment than everybody.
                self.whole_at.clear();
            }
        }
        let whole_at = self.whole_at.entry(key).or_insert(now_us);
        let next = (*whole_at).max(now_us) + rate.period_us();
        let latest = now_us + rate.period_us() * u64::from(rate.burst.max(1));
        if next > latest {
            return Err(next - latest);
        }
        *whole_at = next;
        Ok(())
    }

    pub fn keys(&self) -> usize {
        self.whole_at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate {
            per_second: 10,
            burst: 30,
        };
        let mut rates = Rates::default();
        let taken = |rates: &mut Rates<char>, key, tries: u32, now| {
            (0..tries)
                .filter(|_| rates.take(key, rate, now).is_ok())
                .count()
        };
        assert_eq!(taken(&mut rates, 'a', 100, 5 * SECOND), 30);
        assert_eq!(taken(&mut rates, 'b', 10, 5 * SECOND), 10);
        assert_eq!(rates.take('a', rate, 5 * SECOND), Err(SECOND / 10));
        assert_eq!(taken(&mut rates, 'a', 100, 6 * SECOND), 10);
        assert_eq!(taken(&mut rates, 'a', 100, 60 * SECOND), 30);
        assert_eq!(taken(&mut rates, 'b', 100, 60 * SECOND), 30);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut rates = Rates::default();
        for _ in 0..1000 {
            assert_eq!(
                rates.take(
                    'a',
                    Rate {
                        per_second: 0,
                        burst: 0
                    },
                    0
                ),
                Ok(())
            );
        }
        assert_eq!(rates.keys(), 0);
    }

    #[test]
    fn many_keys_take_no_more_room_than_is_allowed() {
        let rate = Rate {
            per_second: 10,
            burst: 5,
        };
        let mut rates = Rates::default();
        for key in 0..3 * KEYS_MAX as u64 {
            assert_eq!(rates.take(key, rate, key), Ok(()));
            assert!(rates.keys() <= KEYS_MAX);
        }
    }
}
