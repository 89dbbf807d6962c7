//! The meeting's own clock. Three clocks are kept apart by type: `std::time::Instant` (now, only in
//! shells), RTP time (a sender's sample counter, [`crate::timeline`]) and [`MeetingTime`] (ours).
//! Wall time appears only at the edges.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    ops::{Add, Sub},
};

/// Microseconds since the meeting's `startTime`. Never pauses or jumps. Negative before the start
/// (a consent given before the meeting).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeetingTime(pub i64);

impl MeetingTime {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_ms(ms: i64) -> Self {
        Self(ms * 1000)
    }

    /// Milliseconds, rounded down.
    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl Add<Micros> for MeetingTime {
    type Output = Self;
    fn add(self, by: Micros) -> Self {
        Self(self.0.saturating_add(by.0))
    }
}

impl Sub<Micros> for MeetingTime {
    type Output = Self;
    fn sub(self, by: Micros) -> Self {
        Self(self.0.saturating_sub(by.0))
    }
}

impl Sub for MeetingTime {
    type Output = Micros;
    fn sub(self, other: Self) -> Micros {
        Micros(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for MeetingTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0 as f64 / 1e6)
    }
}

/// A signed length of time in microseconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms * 1000)
    }

    pub const fn from_secs(s: i64) -> Self {
        Self(s * 1_000_000)
    }

    /// Milliseconds, rounded down.
    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

/// A half-open span of capture time `[start, end)`: when the sound was made, as near as we can
/// tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub start: MeetingTime,
    pub end: MeetingTime,
}

impl Span {
    pub const fn new(start: MeetingTime, end: MeetingTime) -> Self {
        Self { start, end }
    }

    pub fn of(start: MeetingTime, length: Micros) -> Self {
        Self {
            start,
            end: start + length,
        }
    }

    pub fn length(self) -> Micros {
        self.end - self.start
    }

    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The smallest span that covers both.
    pub fn cover(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// How long spans are together.
pub fn total<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Micros {
    Micros(spans.into_iter().map(|span| span.length().0).sum())
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?}, {:?})", self.start, self.end)
    }
}
