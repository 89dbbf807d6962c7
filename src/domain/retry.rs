//! How long to wait before trying again.

use crate::{limits::JOB_ATTEMPTS, time::Micros};

/// The wait before attempt `n + 1` after `n` failures: doubling from 200 ms, never above 30 s.
/// `jitter` is a random number in `[0, 1)`; the wait is shortened by up to a quarter of itself so
/// that crowds spread out.
pub fn backoff(failures: u32, jitter: f64) -> Micros {
    let full = Micros::from_ms(200)
        .0
        .saturating_mul(1 << failures.min(8))
        .min(Micros::from_secs(30).0);
    Micros(full - (full as f64 * 0.25 * jitter.clamp(0.0, 1.0)) as i64)
}

/// What becomes of a job that failed for the `attempts`-th time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    After(Micros),
    /// It failed too often; it stays visible and can be retried by hand.
    GiveUp,
}

pub fn next(attempts: i32, jitter: f64) -> Next {
    if attempts >= JOB_ATTEMPTS {
        return Next::GiveUp;
    }
    // A job is costlier than a call: start at 1 s.
    Next::After(Micros(backoff(attempts.max(1) as u32 + 2, jitter).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        assert_eq!(backoff(0, 0.0), Micros::from_ms(200));
        assert_eq!(backoff(3, 0.0), Micros::from_ms(1600));
        assert_eq!(backoff(60, 0.0), Micros::from_secs(30));
        assert!(backoff(3, 0.99) >= Micros::from_ms(1200));
    }

    #[test]
    fn the_fifth_failure_is_final() {
        assert!(matches!(next(4, 0.5), Next::After(_)));
        assert_eq!(next(5, 0.5), Next::GiveUp);
    }
}
