//! How long what was recorded of a meeting is kept.

use crate::tenant_settings::{Days, read_days};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// When what was recorded of a meeting is deleted: its own setting counts, else its tenant's, from its
/// end. `None`: never, or its end is to come.
pub fn expires(
    ended: Option<DateTime<Utc>>,
    own: Option<Retention>,
    tenants: Days,
) -> Option<DateTime<Utc>> {
    let days = match own {
        None => tenants.number()?,
        Some(Retention::After(days)) => days,
        Some(Retention::Keep) => return None,
    };
    ended?.checked_add_signed(TimeDelta::days(days.into()))
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
    fn a_meetings_own_setting_counts_before_its_tenants() {
        let ended: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().expect("a time");
        let after = |days| Some(ended + TimeDelta::days(days));
        let tenants = Days::After(400);
        assert_eq!(expires(Some(ended), None, Days::Never), None);
        assert_eq!(expires(Some(ended), None, tenants), after(400));
        assert_eq!(expires(Some(ended), Some(Retention::Keep), tenants), None);
        let own = Some(Retention::After(7));
        assert_eq!(expires(Some(ended), own, tenants), after(7));
        assert_eq!(expires(Some(ended), own, Days::Never), after(7));
        assert_eq!(expires(None, own, tenants), None);
    }
}
