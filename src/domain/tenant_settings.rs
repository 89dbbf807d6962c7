//! What a tenant decides for all of its meetings: how its recordings age, how long they are kept,
//! and what becomes of a participant's wish to be erased.

use crate::word::words;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{fmt, str::FromStr};

/// The most days that can be set: a hundred years.
pub const DAYS_MAX: u32 = 36_500;

/// The word for no number of days.
const NEVER: &str = "never";

/// After so many days, or never. On the wire a number or `"never"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Days {
    After(u32),
    /// Later than any number.
    Never,
}

impl Days {
    /// `None`: not 1 to [`DAYS_MAX`].
    pub fn after(days: u64) -> Option<Self> {
        let days = u32::try_from(days).ok()?;
        (1..=DAYS_MAX).contains(&days).then_some(Self::After(days))
    }

    /// `None`: never.
    pub fn number(self) -> Option<u32> {
        match self {
            Self::After(days) => Some(days),
            Self::Never => None,
        }
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(days) => days.fmt(f),
            Self::Never => f.write_str(NEVER),
        }
    }
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = match text {
            NEVER => Some(Self::Never),
            text => text.parse().ok().and_then(Self::after),
        };
        days.ok_or_else(|| format!("`{text}` is neither 1 to {DAYS_MAX} days nor {NEVER}"))
    }
}

impl Serialize for Days {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(days) => serializer.serialize_u32(*days),
            Self::Never => serializer.serialize_str(NEVER),
        }
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(read_days(deserializer, NEVER)?.map_or(Self::Never, Self::After))
    }
}

/// Reads a number of days, or the word that stands for none.
pub(crate) fn read_days<'de, D: Deserializer<'de>>(
    deserializer: D,
    word: &'static str,
) -> Result<Option<u32>, D::Error> {
    struct Reader(&'static str);
    impl Visitor<'_> for Reader {
        type Value = Option<u32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "1 to {DAYS_MAX} days, or \"{}\"", self.0)
        }

        fn visit_u64<E: Error>(self, days: u64) -> Result<Option<u32>, E> {
            match Days::after(days) {
                Some(days) => Ok(days.number()),
                None => Err(E::invalid_value(Unexpected::Unsigned(days), &self)),
            }
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<u32>, E> {
            if text == self.0 {
                Ok(None)
            } else {
                Err(E::invalid_value(Unexpected::Str(text), &self))
            }
        }
    }
    deserializer.deserialize_any(Reader(word))
}

/// The schema of what [`read_days`] reads.
#[cfg(feature = "openapi")]
pub(crate) fn days_schema(word: &'static str) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1_i32))
        .maximum(Some(DAYS_MAX.cast_signed()));
    let none = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([word]));
    OneOfBuilder::new()
        .item(number)
        .item(none)
        .description(Some(format!("So many days, or `{word}`.")))
        .into()
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Days {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        days_schema(NEVER)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Days {
    fn name() -> std::borrow::Cow<'static, str> {
        "Days".into()
    }
}

words! {
    /// What becomes of a participant's own wish to be erased from a meeting.
    pub enum SelfErasure(
        "answer to erasure by participants",
        schema "SelfErasure": "What becomes of a participant's own wish to be erased: done at once, decided by host or key, or refused."
    ) {
        Auto = "auto",
        Ask = "ask",
        Off = "off",
    }
}

/// How old a recording is when it gets to each tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TierDays {
    pub warm: Days,
    pub cold: Days,
    pub archive: Days,
}

impl Default for TierDays {
    fn default() -> Self {
        Self {
            warm: Days::After(30),
            cold: Days::After(90),
            archive: Days::After(365),
        }
    }
}

/// A change: what is not named stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    pub warm: Option<Days>,
    pub cold: Option<Days>,
    pub archive: Option<Days>,
    pub retention: Option<Days>,
    pub self_erasure: Option<SelfErasure>,
}

/// What cannot be: the member of `tierDays` that is below the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disorder {
    pub tier: &'static str,
    pub before: &'static str,
}

impl fmt::Display for Disorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "must not be less than {}, which comes before it",
            self.before
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantSettings {
    pub tier_days: TierDays,
    /// From a meeting's end to the deletion of what was recorded of it.
    pub retention: Days,
    pub self_erasure: SelfErasure,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            tier_days: TierDays::default(),
            retention: Days::Never,
            self_erasure: SelfErasure::Ask,
        }
    }
}

impl TenantSettings {
    /// # Errors
    /// The days of the tiers would not rise. A tier that is never got to is in nobody's way.
    pub fn changed(self, change: &Change) -> Result<Self, Disorder> {
        let days = self.tier_days;
        let changed = Self {
            tier_days: TierDays {
                warm: change.warm.unwrap_or(days.warm),
                cold: change.cold.unwrap_or(days.cold),
                archive: change.archive.unwrap_or(days.archive),
            },
            retention: change.retention.unwrap_or(self.retention),
            self_erasure: change.self_erasure.unwrap_or(self.self_erasure),
        };
        let TierDays {
            warm,
            cold,
            archive,
        } = changed.tier_days;
        let steps = [("warm", warm), ("cold", cold), ("archive", archive)];
        let steps: Vec<_> = steps
            .into_iter()
            .filter(|(_, days)| *days != Days::Never)
            .collect();
        for pair in steps.windows(2) {
            let [(before, earlier), (tier, later)] = [pair[0], pair[1]];
            if later < earlier {
                return Err(Disorder { tier, before });
            }
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn days_are_a_number_or_never() {
        for (written, days) in [
            (json!(1), Days::After(1)),
            (json!(36_500), Days::After(36_500)),
            (json!("never"), Days::Never),
        ] {
            assert_eq!(from_value::<Days>(written.clone()).ok(), Some(days));
            assert_eq!(to_value(days).ok(), Some(written));
            assert_eq!(days.to_string().parse(), Ok(days));
        }
        for wrong in [
            json!(0),
            json!(-1),
            json!(36_501),
            json!(1.5),
            json!("30"),
            json!("Never"),
            json!(null),
            json!([]),
        ] {
            assert!(from_value::<Days>(wrong.clone()).is_err(), "{wrong}");
        }
        let said = from_value::<Days>(json!(0))
            .expect_err("no day")
            .to_string();
        assert!(said.contains("1 to 36500 days, or \"never\""), "{said}");
        for wrong in ["0", "-1", "36501", "", "always"] {
            assert!(wrong.parse::<Days>().is_err(), "{wrong}");
        }
        assert!(Days::After(DAYS_MAX) < Days::Never);
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let settings = TenantSettings::default();
        assert_eq!(settings.changed(&Change::default()), Ok(settings));
        let change = Change {
            archive: Some(Days::Never),
            retention: Some(Days::After(400)),
            ..Change::default()
        };
        let changed = settings.changed(&change).expect("they rise");
        assert_eq!(changed.tier_days.archive, Days::Never);
        assert_eq!(changed.tier_days.warm, settings.tier_days.warm);
        assert_eq!(changed.retention, Days::After(400));
        assert_eq!(changed.self_erasure, SelfErasure::Ask);
    }

    #[test]
    fn a_tier_does_not_come_before_the_one_before_it() {
        let set = |warm, cold, archive| {
            let change = Change {
                warm: Some(warm),
                cold: Some(cold),
                archive: Some(archive),
                ..Change::default()
            };
            TenantSettings::default()
                .changed(&change)
                .map(drop)
                .map_err(|disorder| (disorder.tier, disorder.before))
        };
        use Days::{After, Never};
        assert_eq!(set(After(1), After(1), After(2)), Ok(()));
        assert_eq!(set(Never, Never, Never), Ok(()));
        assert_eq!(set(After(30), Never, After(40)), Ok(()));
        assert_eq!(set(After(30), After(29), Never), Err(("cold", "warm")));
        assert_eq!(set(After(30), Never, After(29)), Err(("archive", "warm")));
        assert_eq!(set(Never, After(30), After(29)), Err(("archive", "cold")));
    }
}
