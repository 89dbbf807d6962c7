//! The check of deletions: whether they get done, and which machines may still have what is to go.

use super::Finding;
use crate::store::deletion::{self, Unfinished};
use sqlx::PgConnection;

/// Nothing is said of an older schema. On a connection that acts as the workers' role.
pub async fn look(connection: &mut PgConnection) -> Result<Option<Finding>, sqlx::Error> {
    let what = "deletions";
    let there: bool = sqlx::query_scalar("select to_regclass('spools') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(None);
    }
    let Ok(Unfinished {
        open,
        old,
        spools,
        meetings,
    }) = deletion::unfinished(connection).await
    else {
        return Ok(None);
    };
    Ok(Some(if old > 0 {
        Finding::warn(
            what,
            format!("{open} are being carried out, {old} of them for more than a day"),
            "hansard jobs list says what the jobs `delete` wait for",
        )
    } else if spools > 0 {
        Finding::warn(
            what,
            format!(
                "{spools} machines that were not seen for a day may have sound of {meetings} meetings in their spools"
            ),
            "start their workers once more on the same data folders, or destroy their disks and say so: hansard spools list, hansard spools forget",
        )
    } else {
        Finding::ok(what, format!("{open} are being carried out"))
    }))
}
