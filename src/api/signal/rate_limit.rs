//! How fast one socket may talk. Told the time; reads no clock.

use std::time::{Duration, Instant};

/// Messages per second in the long run.
const RATE: f64 = 20.0;
/// Messages at once after a silence.
const BURST: f64 = 40.0;
/// Candidates are counted apart: a client with many interfaces sends them all at once.
const CANDIDATE_RATE: f64 = 50.0;
const CANDIDATE_BURST: f64 = 250.0;

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    rate: f64,
    burst: f64,
    at: Instant,
}

impl Bucket {
    fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self {
            tokens: burst,
            rate,
            burst,
            at: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now
            .saturating_duration_since(self.at)
            .min(Duration::from_secs(60))
            .as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// One socket's allowance.
#[derive(Debug)]
pub struct MessageRate {
    messages: Bucket,
    candidates: Bucket,
}

impl MessageRate {
    pub fn new(now: Instant) -> Self {
        Self {
            messages: Bucket::new(RATE, BURST, now),
            candidates: Bucket::new(CANDIDATE_RATE, CANDIDATE_BURST, now),
        }
    }

    /// Whether one more is within the allowance.
    pub fn admits(&mut self, candidate: bool, now: Instant) -> bool {
        if candidate {
            self.candidates.take(now)
        } else {
            self.messages.take(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &mut MessageRate, n: usize, candidate: bool, now: Instant) -> usize {
        (0..n).filter(|_| rate.admits(candidate, now)).count()
    }

    #[test]
    fn lets_a_burst_through_and_then_the_rate() {
        let now = Instant::now();
        let mut rate = MessageRate::new(now);
        assert_eq!(taken(&mut rate, 100, false, now), 40);
        assert_eq!(
            taken(&mut rate, 100, false, now + Duration::from_secs(1)),
            20
        );
        assert_eq!(
            taken(&mut rate, 100, false, now + Duration::from_secs(600)),
            40
        );
        assert_eq!(taken(&mut rate, 300, true, now), 250, "candidates apart");
        assert_eq!(
            taken(&mut rate, 1, false, now),
            0,
            "a clock that goes back gives nothing"
        );
    }
}
