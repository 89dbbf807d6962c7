//! Columns whose texts are facts of the domain. A text that names none is an error of the read: a
//! guess would relabel what was stored.

use crate::domain::UnknownWord;
use sqlx::{Row, postgres::PgRow, types::Text};
use std::str::FromStr;

/// A column as the fact that its text names.
pub(super) fn word<T: FromStr<Err = UnknownWord>>(row: &PgRow, column: &str) -> sqlx::Result<T> {
    Ok(row.try_get::<Text<T>, _>(column)?.0)
}

/// The same for a column that may be null.
pub(super) fn word_or_null<T: FromStr<Err = UnknownWord>>(
    row: &PgRow,
    column: &str,
) -> sqlx::Result<Option<T>> {
    Ok(row
        .try_get::<Option<Text<T>>, _>(column)?
        .map(|text| text.0))
}
