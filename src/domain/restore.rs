//! Restores from the archive: what was asked for, what the store says, and what clients are told.

use crate::{tiering::needs_restore, word::words};
use chrono::{DateTime, TimeDelta, Utc};

/// The most days that a restore is asked for.
pub const DAYS_MAX: u16 = 365;

words! {
    /// How soon an archived file is to be readable; the slower is the cheaper.
    #[derive(Default)]
    pub enum RestoreSpeed(
        "speed of a restore",
        schema "RestoreSpeed": "How soon the file is readable: `bulk` costs less and takes longer."
    ) {
        #[default]
        Standard = "standard",
        Bulk = "bulk",
    }
}

words! {
    /// How a file in the archive stands.
    pub enum RestoreState(
        "state of a restore",
        schema "RestoreState": "`none`: nobody asked, or its time is over. `running`: it will be readable. `restored`: it is readable until `until`."
    ) {
        None = "none",
        Running = "running",
        Restored = "restored",
    }
}

/// A recording's restore as its row has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restore {
    /// Somebody asked, and it is not readable yet.
    pub is_running: bool,
    /// When what is restored is archived again.
    pub until: Option<DateTime<Utc>>,
}

impl Restore {
    /// As clients are told at `now`: a restore that was extended stays readable meanwhile.
    pub fn state(&self, now: DateTime<Utc>) -> RestoreState {
        match self.until {
            Some(until) if now < until => RestoreState::Restored,
            _ if self.is_running => RestoreState::Running,
            _ => RestoreState::None,
        }
    }

    pub fn is_readable(&self, now: DateTime<Utc>) -> bool {
        self.state(now) == RestoreState::Restored
    }

    /// Whether somebody who asks for it until `end` asks for more than there is.
    pub fn is_shorter_than(&self, end: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        !self.is_readable(now) || self.until.is_some_and(|until| until < end)
    }
}

/// What the store says of an object's restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Its class is read at any time.
    Open,
    /// Archived, and nothing is under way.
    Archived,
    Running,
    Restored {
        until: DateTime<Utc>,
    },
}

impl Seen {
    /// Reads a class and the header `x-amz-restore`: `ongoing-request="false",
    /// expiry-date="Wed, 04 Mar 2026 00:00:00 GMT"`.
    pub fn read(class: &str, header: Option<&str>) -> Self {
        if !needs_restore(class) {
            return Self::Open;
        }
        let Some(header) = header else {
            return Self::Archived;
        };
        let value = |name: &str| {
            let (_, rest) = header.split_once(name)?;
            rest.strip_prefix("=\"")?.split('"').next()
        };
        let until = value("expiry-date")
            .and_then(|text| DateTime::parse_from_rfc2822(text).ok())
            .map(|until| until.to_utc());
        match (value("ongoing-request"), until) {
            (Some("true"), _) => Self::Running,
            (_, Some(until)) => Self::Restored { until },
            _ => Self::Archived,
        }
    }
}

/// When an archived file will be readable, as the makers of the classes estimate it.
pub fn ready_by(class: &str, speed: RestoreSpeed, now: DateTime<Utc>) -> DateTime<Utc> {
    let hours = match (class, speed) {
        ("GLACIER", RestoreSpeed::Standard) => 5,
        ("GLACIER", RestoreSpeed::Bulk) => 12,
        (_, RestoreSpeed::Standard) => 12,
        (_, RestoreSpeed::Bulk) => 48,
    };
    now + TimeDelta::hours(hours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn what_the_store_says_is_read() {
        let until = at("2026-03-04T00:00:00Z");
        let restored = "ongoing-request=\"false\", expiry-date=\"Wed, 04 Mar 2026 00:00:00 GMT\"";
        for (class, header, seen) in [
            ("STANDARD", None, Seen::Open),
            ("GLACIER_IR", Some(restored), Seen::Open),
            ("DEEP_ARCHIVE", None, Seen::Archived),
            ("GLACIER", Some("ongoing-request=\"true\""), Seen::Running),
            ("DEEP_ARCHIVE", Some(restored), Seen::Restored { until }),
            (
                "DEEP_ARCHIVE",
                Some("ongoing-request=\"false\""),
                Seen::Archived,
            ),
            ("DEEP_ARCHIVE", Some("nonsense"), Seen::Archived),
        ] {
            assert_eq!(Seen::read(class, header), seen, "{class} {header:?}");
        }
    }

    #[test]
    fn clients_are_told_what_they_can_read() {
        let (now, later) = (at("2026-03-01T00:00:00Z"), at("2026-03-04T00:00:00Z"));
        let restore = |is_running, until| Restore { is_running, until };
        for (restore, then, state) in [
            (Restore::default(), now, RestoreState::None),
            (restore(true, None), now, RestoreState::Running),
            (restore(false, Some(later)), now, RestoreState::Restored),
            (restore(false, Some(later)), later, RestoreState::None),
            // Extended while it is readable, and after it was.
            (restore(true, Some(later)), now, RestoreState::Restored),
            (restore(true, Some(later)), later, RestoreState::Running),
        ] {
            assert_eq!(restore.state(then), state, "{restore:?}");
            assert_eq!(restore.is_readable(then), state == RestoreState::Restored);
        }
    }

    #[test]
    fn who_asks_for_less_than_there_is_changes_nothing() {
        let (now, later) = (at("2026-03-01T00:00:00Z"), at("2026-03-04T00:00:00Z"));
        let day = TimeDelta::days(1);
        let stands = Restore {
            is_running: false,
            until: Some(later),
        };
        assert!(!stands.is_shorter_than(later, now));
        assert!(!stands.is_shorter_than(later - day, now));
        assert!(stands.is_shorter_than(later + day, now));
        // What is over, or not readable yet, is less than anything.
        assert!(stands.is_shorter_than(later - day, later));
        assert!(Restore::default().is_shorter_than(now + day, now));
    }

    #[test]
    fn a_cheaper_restore_takes_longer() {
        let now = at("2026-03-01T00:00:00Z");
        for class in ["GLACIER", "DEEP_ARCHIVE"] {
            let by = |speed| ready_by(class, speed, now);
            assert!(
                now < by(RestoreSpeed::Standard)
                    && by(RestoreSpeed::Standard) < by(RestoreSpeed::Bulk)
            );
        }
    }
}
