//! Storage classes and restores: what can be read when. Decisions without IO.

use chrono::{DateTime, Duration, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

pub const STANDARD: &str = "STANDARD";

/// Those that S3 has for one's own use.
const CLASSES: [&str; 8] = [
    STANDARD,
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
/// Those that are read after a restore only.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// The longest restore that we keep; more is a mistake.
pub const DAYS_MAX: i32 = 36_500;

pub fn is_class(class: &str) -> bool {
    CLASSES.contains(&class)
}

pub fn is_archive(class: &str) -> bool {
    ARCHIVES.contains(&class)
}

/// A restore that was asked for, as it stands beside its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Restore {
    pub ready: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Its class is read at any time.
    Open,
    Archived,
    /// Asked for, and not yet readable.
    Running,
    Restored {
        until: DateTime<Utc>,
    },
}

/// How an object of this class can be read at `now`.
pub fn state(class: &str, restore: Option<Restore>, now: DateTime<Utc>) -> State {
    match restore {
        _ if !is_archive(class) => State::Open,
        Some(restore) if now < restore.ready => State::Running,
        Some(restore) if now < restore.until => State::Restored {
            until: restore.until,
        },
        _ => State::Archived,
    }
}

impl State {
    pub fn is_readable(self) -> bool {
        matches!(self, Self::Open | Self::Restored { .. })
    }

    /// `x-amz-restore`, where there is anything to say.
    pub fn header(self) -> Option<String> {
        match self {
            Self::Open | Self::Archived => None,
            Self::Running => Some("ongoing-request=\"true\"".to_owned()),
            Self::Restored { until } => Some(format!(
                "ongoing-request=\"false\", expiry-date=\"{}\"",
                until.format("%a, %d %b %Y %H:%M:%S GMT")
            )),
        }
    }
}

/// What a request for a restore does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It is being restored, or its end moves: what is to be written down.
    Take { restore: Restore, is_new: bool },
    /// One is running.
    Busy,
    /// There is nothing to restore.
    Unfit,
}

/// A restore for so many days, readable after `delay`. As in S3 it ends at midnight (UTC) after
/// those days, and asking again sets a new end, counted from now.
pub fn ask(state: State, days: i32, delay: Duration, now: DateTime<Utc>) -> Asked {
    let (ready, is_new) = match state {
        State::Open => return Asked::Unfit,
        State::Running => return Asked::Busy,
        State::Archived => (now + delay, true),
        State::Restored { .. } => (now, false),
    };
    Asked::Take {
        restore: Restore {
            ready,
            until: midnight_after(ready + Duration::days(days.clamp(1, DAYS_MAX).into())),
        },
        is_new,
    }
}

fn midnight_after(at: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = at.with_time(NaiveTime::MIN).single().unwrap_or(at);
    if midnight < at {
        midnight + Duration::days(1)
    } else {
        midnight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn only_archives_need_a_restore() {
        let now = at("2026-03-01T10:00:00Z");
        for class in CLASSES {
            assert_eq!(
                state(class, None, now).is_readable(),
                !is_archive(class),
                "{class}"
            );
        }
        assert_eq!(
            ask(state("GLACIER_IR", None, now), 1, Duration::zero(), now),
            Asked::Unfit
        );
        assert!(!is_class("OUTPOSTS") && !is_class("hot"));
    }

    #[test]
    fn a_restore_begins_after_its_delay_and_ends() {
        let now = at("2026-03-01T10:00:00Z");
        let Asked::Take {
            restore,
            is_new: true,
        } = ask(State::Archived, 2, Duration::hours(12), now)
        else {
            panic!("it is taken")
        };
        let seen = |time: &str| state("DEEP_ARCHIVE", Some(restore), at(time));
        assert_eq!(seen("2026-03-01T21:59:59Z"), State::Running);
        assert!(!seen("2026-03-01T21:59:59Z").is_readable());
        assert_eq!(
            seen("2026-03-01T21:59:59Z").header().as_deref(),
            Some("ongoing-request=\"true\"")
        );
        let until = at("2026-03-04T00:00:00Z");
        assert_eq!(seen("2026-03-01T22:00:00Z"), State::Restored { until });
        assert_eq!(
            seen("2026-03-03T23:59:59Z").header().as_deref(),
            Some("ongoing-request=\"false\", expiry-date=\"Wed, 04 Mar 2026 00:00:00 GMT\"")
        );
        assert_eq!(seen("2026-03-04T00:00:00Z"), State::Archived);
    }

    #[test]
    fn asking_again_moves_the_end_and_needs_no_delay() {
        let now = at("2026-03-01T10:00:00Z");
        assert_eq!(ask(State::Running, 2, Duration::zero(), now), Asked::Busy);
        let until = at("2026-03-02T00:00:00Z");
        let Asked::Take {
            restore,
            is_new: false,
        } = ask(State::Restored { until }, 5, Duration::hours(12), now)
        else {
            panic!("it is taken")
        };
        assert_eq!(
            (restore.ready, restore.until),
            (now, at("2026-03-07T00:00:00Z"))
        );
    }
}
