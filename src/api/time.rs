//! Times on the wire: RFC 3339, UTC, milliseconds.

use crate::domain::wire_time::wire_time;
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::RangeInclusive;
use utoipa::{PartialSchema, ToSchema, openapi};

/// Postgres and JavaScript both hold these; beyond them one of them does not.
pub const YEARS: RangeInclusive<i32> = 1970..=9999;

/// A time as clients see and send it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(pub DateTime<Utc>);

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&wire_time(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text)
            .map_err(|_| serde::de::Error::custom("must be a time like 2026-11-22T16:17:01.230Z"))?
            .with_timezone(&Utc);
        if !YEARS.contains(&time.year()) {
            return Err(serde::de::Error::custom(
                "must be between the years 1970 and 9999",
            ));
        }
        Ok(Self(time))
    }
}

impl PartialSchema for Time {
    fn schema() -> openapi::RefOr<openapi::Schema> {
        openapi::ObjectBuilder::new()
            .schema_type(openapi::schema::Type::String)
            .format(Some(openapi::SchemaFormat::KnownFormat(
                openapi::KnownFormat::DateTime,
            )))
            .description(Some("RFC 3339, UTC, milliseconds"))
            .examples(["2026-11-22T16:17:01.230Z"])
            .into()
    }
}

impl ToSchema for Time {}
