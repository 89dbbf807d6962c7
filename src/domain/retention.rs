//! How long what was recorded of a meeting is kept.

use crate::tenant_settings::{Days, read_days};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The author of what is deleted by it.
pub const AUTHOR: &str = "retention";

/// The word for no number of days.
const KEEP: &str = "keep";

/// What a meeting's own setting says. On the wire a number of days or `"keep"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    After(u32),
    Keep,
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(days) => serializer.serialize_u32(*days),
            Self::Keep => serializer.serialize_str(KEEP),
        }
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match read_days(deserializer, KEEP)? {
            Some(days) => Self::After(days),
            None => Self::Keep,
        })
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Retention {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::tenant_settings::days_schema(KEEP)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Retention {
    fn name() -> std::borrow::Cow<'static, str> {
        "Retention".into()
    }
}

/// What says how long what was recorded of a meeting is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionFacts {
    /// `None`: its end is to come.
    pub ended: Option<DateTime<Utc>>,
    /// Its own setting counts, else its tenant's.
    pub own: Option<Retention>,
    pub tenants: Days,
    /// By a legal hold: nothing expires.
    pub held: bool,
}

impl RetentionFacts {
    fn days(&self) -> Option<u32> {
        match self.own {
            None => self.tenants.number(),
            Some(Retention::After(days)) => Some(days),
            Some(Retention::Keep) => None,
        }
    }

    /// When it is deleted, by what is known now; `None`: never, or not yet known.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        let days = self.days().filter(|_| !self.held)?;
        self.ended?.checked_add_signed(TimeDelta::days(days.into()))
    }

    /// Whether it is deleted now.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.expires().is_some_and(|at| at <= now)
    }

    /// Why, for its tombstone.
    pub fn reason(&self) -> String {
        let days = self.days().unwrap_or_default();
        let whose = if self.own.is_some() {
            "meeting's"
        } else {
            "tenant's"
        };
        format!("the {whose} retention of {days} days ended")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn a_setting_is_a_number_of_days_or_keep() {
        for (written, retention) in [
            (json!(1), Retention::After(1)),
            (json!(36_500), Retention::After(36_500)),
            (json!("keep"), Retention::Keep),
        ] {
            assert_eq!(
                from_value::<Retention>(written.clone()).ok(),
                Some(retention)
            );
            assert_eq!(to_value(retention).ok(), Some(written));
        }
        for wrong in [
            json!(0),
            json!(36_501),
            json!("never"),
            json!("1"),
            json!(null),
        ] {
            assert!(from_value::<Retention>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_meetings_own_setting_counts_before_its_tenants_and_a_hold_before_both() {
        let ended: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().expect("a time");
        let after = |days| Some(ended + TimeDelta::days(days));
        let tenants = Days::After(400);
        let kept = |ended, own, tenants| RetentionFacts {
            ended,
            own,
            tenants,
            held: false,
        };
        let own = Some(Retention::After(7));
        for (kept, expires) in [
            (kept(Some(ended), None, Days::Never), None),
            (kept(Some(ended), None, tenants), after(400)),
            (kept(Some(ended), Some(Retention::Keep), tenants), None),
            (kept(Some(ended), own, tenants), after(7)),
            (kept(Some(ended), own, Days::Never), after(7)),
            (kept(None, own, tenants), None),
        ] {
            assert_eq!(kept.expires(), expires, "{kept:?}");
            let held = RetentionFacts { held: true, ..kept };
            assert_eq!(held.expires(), None);
            let second = TimeDelta::seconds(1);
            for (now, due) in [
                (expires.map(|at| at - second), false),
                (expires, true),
                (expires.map(|at| at + second), true),
            ] {
                let now = now.unwrap_or(ended + TimeDelta::days(36_500));
                assert_eq!(kept.is_due(now), due && expires.is_some(), "{kept:?}");
                assert!(!held.is_due(now));
            }
        }
        let by = |own| kept(Some(ended), own, tenants).reason();
        assert_eq!(by(own), "the meeting's retention of 7 days ended");
        assert_eq!(by(None), "the tenant's retention of 400 days ended");
    }
}
