//! The only place that reads a clock.
//!
//! Wall time is Postgres's: a process maps its monotonic clock to `clock_timestamp()` by one round
//! trip (again when that took too long), and keeps the last mapping while Postgres is away. A step
//! of the machine's own wall clock changes nothing.

use crate::domain::time::MeetingTime;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::RwLock;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest round trip from which a mapping is taken; half of it is the error.
pub const ROUND_TRIP_MAX: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
struct Mapping {
    at: Instant,
    wall: DateTime<Utc>,
    /// By Postgres, not by the machine's own clock.
    synced: bool,
}

/// Shared by everything in the process. Until the first [`Clock::set`] it follows the machine's own
/// wall clock as read once at start.
#[derive(Clone, Debug)]
pub struct Clock(Arc<RwLock<Mapping>>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(Mapping {
            at: Instant::now(),
            wall: Utc::now(),
            synced: false,
        })))
    }
}

impl Clock {
    /// Takes a mapping: Postgres said `wall` between `asked` and `answered`. Refused (`false`) when
    /// that took longer than [`ROUND_TRIP_MAX`].
    pub fn set(&self, asked: Instant, answered: Instant, wall: DateTime<Utc>) -> bool {
        let round_trip = answered.saturating_duration_since(asked);
        if round_trip > ROUND_TRIP_MAX {
            return false;
        }
        self.take(asked, round_trip, wall);
        true
    }

    /// Takes a mapping however long it took, unless there is one already: half a slow round trip is
    /// nearer to the truth than a machine's own clock may be. Answers whether it did.
    pub fn set_roughly(&self, asked: Instant, answered: Instant, wall: DateTime<Utc>) -> bool {
        let synced = self.0.read().synced;
        if !synced {
            self.take(asked, answered.saturating_duration_since(asked), wall);
        }
        !synced
    }

    fn take(&self, asked: Instant, round_trip: Duration, wall: DateTime<Utc>) {
        *self.0.write() = Mapping {
            at: asked + round_trip / 2,
            wall,
            synced: true,
        };
    }

    /// Now, on Postgres's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.wall(Instant::now())
    }

    /// A monotonic instant on Postgres's clock.
    pub fn wall(&self, at: Instant) -> DateTime<Utc> {
        let mapping = *self.0.read();
        let micros = if at >= mapping.at {
            at.duration_since(mapping.at).as_micros() as i64
        } else {
            -(mapping.at.duration_since(at).as_micros() as i64)
        };
        mapping.wall + TimeDelta::microseconds(micros)
    }

    /// A fixed mapping for one meeting, so that a later correction of the clock never makes its
    /// timeline jump.
    pub fn meeting(&self, start: DateTime<Utc>) -> MeetingClock {
        let now = Instant::now();
        MeetingClock {
            start,
            at: now,
            offset: MeetingTime((self.wall(now) - start).num_microseconds().unwrap_or(0)),
        }
    }
}

/// MeetingTime for one meeting in this process; never jumps.
#[derive(Clone, Copy, Debug)]
pub struct MeetingClock {
    start: DateTime<Utc>,
    at: Instant,
    offset: MeetingTime,
}

impl MeetingClock {
    pub fn now(&self) -> MeetingTime {
        self.at(Instant::now())
    }

    pub fn at(&self, at: Instant) -> MeetingTime {
        let after = at.saturating_duration_since(self.at).as_micros() as i64;
        let before = self.at.saturating_duration_since(at).as_micros() as i64;
        MeetingTime(self.offset.0 + after - before)
    }

    /// A wall time of Postgres's clock as MeetingTime.
    pub fn of_wall(&self, wall: DateTime<Utc>) -> MeetingTime {
        MeetingTime((wall - self.start).num_microseconds().unwrap_or(0))
    }

    /// MeetingTime as wall time.
    pub fn to_wall(&self, time: MeetingTime) -> DateTime<Utc> {
        self.start + TimeDelta::microseconds(time.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_trip_is_refused_and_a_quick_one_taken() {
        let clock = Clock::default();
        let asked = Instant::now();
        let wall = Utc::now() + TimeDelta::hours(5);
        assert!(!clock.set(asked, asked + Duration::from_millis(21), wall));
        assert!(clock.now() < wall - TimeDelta::hours(4));
        assert!(clock.set(asked, asked + Duration::from_millis(10), wall));
        assert_eq!(clock.wall(asked + Duration::from_millis(5)), wall);
    }

    #[test]
    fn a_slow_one_is_better_than_none() {
        let clock = Clock::default();
        let asked = Instant::now();
        let wall = Utc::now() + TimeDelta::hours(5);
        assert!(clock.set_roughly(asked, asked + Duration::from_millis(400), wall));
        assert_eq!(clock.wall(asked + Duration::from_millis(200)), wall);
        assert!(!clock.set_roughly(
            asked,
            asked + Duration::from_millis(300),
            wall + TimeDelta::hours(1)
        ));
        assert_eq!(clock.wall(asked + Duration::from_millis(200)), wall);
    }

    #[test]
    fn a_meetings_time_does_not_follow_later_corrections() {
        let clock = Clock::default();
        let start = clock.now();
        let meeting = clock.meeting(start);
        let now = Instant::now();
        let before = meeting.at(now);
        clock.set(now, now, Utc::now() + TimeDelta::days(1));
        assert_eq!(meeting.at(now), before);
        assert_eq!(meeting.of_wall(meeting.to_wall(before)), before);
    }
}
