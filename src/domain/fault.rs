//! Whose fault an error is, and what becomes of the work that met it.
//!
//! What is *away* comes back: the work waits, however long, and nothing is counted against it. What
//! is wrong with the *input* costs that piece of it. Only what is left is a failure of the work
//! itself, tried a few times and then shown to somebody.

use crate::{time::Micros, word::words};

words! {
    /// Something the work stands on that does not answer, or refuses everybody.
    pub enum Away(
        "thing to wait for",
        schema "WaitingFor": "What is away that a recording needs to be made: object storage, Postgres, or room on the worker's own disk."
    ) {
        Storage = "storage",
        Database = "database",
        /// This machine's own disk is full, or its descriptors are used up.
        Disk = "disk",
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The work's own: an attempt is counted.
    Ours,
    /// One piece of what the work was given is missing or broken.
    Theirs,
    Away(Away),
}

/// The wait before work is tried again for which something was away `waits` times before: from 1 s,
/// doubling, never above 15 s, so that it goes on well within a minute after healing. `jitter` as
/// in [`crate::retry::backoff`].
pub fn wait(waits: u32, jitter: f64) -> Micros {
    let full = Micros::from_secs(1)
        .0
        .saturating_mul(1 << waits.min(4))
        .min(Micros::from_secs(15).0);
    Micros(full - (full as f64 * 0.25 * jitter.clamp(0.0, 1.0)) as i64)
}

/// How often an object must have been missing before it is given up.
pub const MISSING_TIMES: i32 = 3;
/// At least this long between two times that count, so that a moment's trouble is one.
pub const MISSING_APART: Micros = Micros::from_secs(20);
/// The times must lie within this.
pub const MISSING_WITHIN: Micros = Micros::from_secs(600);

/// How often an object was missing so far, while the storage answered for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Missing {
    pub times: i32,
    /// How long ago the first and the last of these times were.
    pub first_ago: Micros,
    pub last_ago: Micros,
}

/// What one more time means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// Too soon after the last to count.
    Same,
    /// It counts as one more.
    Counts,
    /// Those before are too long ago: this is the first.
    First,
    /// It will not come: its span is lost.
    Lost,
}

impl Missing {
    /// The object is missing once more.
    pub fn again(self) -> Sighting {
        if self.times == 0 || self.first_ago > MISSING_WITHIN {
            Sighting::First
        } else if self.last_ago < MISSING_APART {
            Sighting::Same
        } else if self.times + 1 >= MISSING_TIMES {
            Sighting::Lost
        } else {
            Sighting::Counts
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_short_enough_to_go_on_within_a_minute() {
        assert_eq!(wait(0, 0.0), Micros::from_secs(1));
        assert_eq!(wait(60, 0.0), Micros::from_secs(15));
        assert!(wait(60, 0.99) > Micros::from_secs(11));
    }

    /// A day in simulated time, whenever in it the work began: it is tried all along, with nothing
    /// counted against it, and soon after healing.
    #[test]
    fn a_day_is_waited_for_and_over_within_a_quarter_of_a_minute() {
        let day = Micros::from_secs(24 * 3_600);
        for begun in 0..100 {
            let (mut now, mut waits) = (Micros(begun * 863_999_777 % day.0), 0_u32);
            let begin = now;
            while now < day {
                now = Micros(now.0 + wait(waits, f64::from(waits % 7) / 7.0).0);
                waits += 1;
            }
            assert!(now.0 - day.0 <= Micros::from_secs(15).0);
            assert!(
                i64::from(waits) >= (day.0 - begin.0) / Micros::from_secs(15).0,
                "{waits} tries"
            );
            assert!(
                i64::from(waits) <= (day.0 - begin.0) / Micros::from_secs(11).0 + 5,
                "{waits} tries"
            );
        }
        assert_eq!(wait(u32::MAX, 0.0), Micros::from_secs(15));
    }

    #[test]
    fn an_object_is_given_up_only_when_it_is_missing_again_and_again() {
        let missing = |times, first: i64, last: i64| Missing {
            times,
            first_ago: Micros::from_secs(first),
            last_ago: Micros::from_secs(last),
        };
        assert_eq!(Missing::default().again(), Sighting::First);
        assert_eq!(missing(1, 5, 5).again(), Sighting::Same);
        assert_eq!(missing(1, 25, 25).again(), Sighting::Counts);
        assert_eq!(missing(2, 50, 1).again(), Sighting::Same);
        assert_eq!(missing(2, 50, 25).again(), Sighting::Lost);
        assert_eq!(missing(2, 700, 25).again(), Sighting::First);
    }

    /// However the attempts fall: never given up before three times that lie apart, always within
    /// three that do.
    #[test]
    fn no_run_of_bad_luck_gives_up_early() {
        for step in [1, 7, 20, 60, 299, 601] {
            let (mut times, mut first, mut last, mut counted) = (0, 0, 0, Vec::new());
            for now in (0..10_000).step_by(step) {
                match missing_at(times, now - first, now - last).again() {
                    Sighting::Same => {}
                    Sighting::First => (times, first, last, counted) = (1, now, now, vec![now]),
                    Sighting::Counts => {
                        times += 1;
                        last = now;
                        counted.push(now);
                    }
                    Sighting::Lost => {
                        counted.push(now);
                        assert_eq!(counted.len(), 3);
                        assert!(
                            counted.windows(2).all(|two| two[1] - two[0] >= 20)
                                && now - counted[0] <= 600
                        );
                        break;
                    }
                }
            }
            assert_eq!(counted.len() == 3, step <= 300, "{step}: {counted:?}");
        }
    }

    fn missing_at(times: i32, first: i64, last: i64) -> Missing {
        Missing {
            times,
            first_ago: Micros::from_secs(first),
            last_ago: Micros::from_secs(last),
        }
    }
}
