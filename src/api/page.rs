//! Lists: a page of rows and where the next begins.

use super::{problem::Problem, time::YEARS};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A list's answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Give it as `cursor` for what follows; null at the end.
    pub next_cursor: Option<String>,
}

/// Which page.
#[derive(Clone, Default, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    pub limit: Option<i64>,
    /// `nextCursor` of the page before.
    #[param(required = false)]
    pub cursor: Option<String>,
}

const LIMIT: i64 = 50;
const LIMIT_MAX: i64 = 200;

impl PageQuery {
    /// One row more than the page shows tells whether there is a next.
    pub fn rows(&self) -> Result<i64, Problem> {
        Ok(limit(self.limit)? + 1)
    }

    /// Where the page begins.
    pub fn after<C: DeserializeOwned>(&self) -> Result<Option<C>, Problem> {
        self.cursor.as_deref().map(open).transpose()
    }
}

pub fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    match asked.unwrap_or(LIMIT) {
        limit if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_request("bad query: limit must be 1 to 200")),
    }
}

/// Reads a cursor that [`Page::of`] made.
pub fn open<C: DeserializeOwned>(cursor: &str) -> Result<C, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(unknown)
}

/// Reads a cursor of a list by time: microseconds, as Postgres keeps them, and an id. Anybody can
/// write one, so the time has to be one that Postgres and the wire both hold.
pub fn open_by_time(cursor: &str) -> Result<(DateTime<Utc>, Uuid), Problem> {
    let (micros, id) = open::<(i64, Uuid)>(cursor)?;
    let time = DateTime::from_timestamp_micros(micros).filter(|time| YEARS.contains(&time.year()));
    time.map(|time| (time, id)).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::bad_request("bad query: cursor is not one that a list answered")
}

impl<T> Page<T> {
    /// Of `rows` fetched with one more than shown; `place` says where a row stands in the order.
    pub fn of<R, C: Serialize>(
        mut rows: Vec<R>,
        fetched: i64,
        place: impl Fn(&R) -> C,
        show: impl FnMut(R) -> T,
    ) -> Self {
        let shown = usize::try_from(fetched - 1).unwrap_or(0);
        let next_cursor = (rows.len() > shown).then(|| {
            rows.truncate(shown);
            rows.last().map(|row| {
                URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place(row)).unwrap_or_default())
            })
        });
        Self {
            data: rows.into_iter().map(show).collect(),
            next_cursor: next_cursor.flatten(),
        }
    }
}
