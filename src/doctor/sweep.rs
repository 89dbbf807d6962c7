//! The check of the sweep: what no row tells of in the bucket, and whether it goes.

use super::Finding;
use crate::{
    domain::sweep::SweepHold,
    store::unknown::{self, Last},
};
use sqlx::PgConnection;

/// Nothing is said of an older schema. On a connection that acts as the workers' role.
pub async fn look(connection: &mut PgConnection) -> Result<Option<Finding>, sqlx::Error> {
    let what = "sweep";
    let there: bool = sqlx::query_scalar("select to_regclass('unknown_objects') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(None);
    }
    let Ok(Last {
        swept_at,
        held,
        unknown,
    }) = unknown::last(connection).await
    else {
        return Ok(None);
    };
    let Some(at) = swept_at else {
        return Ok(Some(Finding::ok(what, "the bucket was not swept yet")));
    };
    let found = format!("at {}: {unknown} objects without a row", at.format("%F %R"));
    Ok(Some(match held {
        // It is over when they are through, unless one is dead, which is told as such.
        Some(SweepHold::Spools) | None => Finding::ok(what, found),
        Some(held) => Finding::warn(
            what,
            format!("{found}, nothing deleted: {held}"),
            held.mend(),
        ),
    }))
}
