//! The check of the jobs.

use super::Finding;
use crate::{domain::job::OpenJob, store::backlog};
use sqlx::PgConnection;

/// Whether somebody takes the jobs that are due, and which failed. Nothing is said of an older
/// schema.
pub async fn look(connection: &mut PgConnection) -> Result<Option<Finding>, sqlx::Error> {
    let what = "jobs";
    let there = "select count(*) = 1 from information_schema.columns where table_name = 'jobs' and column_name = 'waiting_for'";
    if !sqlx::query_scalar(there)
        .fetch_one(&mut *connection)
        .await?
    {
        return Ok(None);
    }
    // Policies hide rows from whoever the URL names; the workers' role sees all. On this connection
    // only.
    sqlx::query("set role hansard_worker")
        .execute(&mut *connection)
        .await?;
    let counts = backlog::counts(connection).await;
    let Ok(counts) = counts else { return Ok(None) };
    let untaken = backlog::untaken(&counts);
    if !untaken.is_empty() {
        let found: Vec<_> = untaken
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let kinds: Vec<_> = untaken.iter().map(|(kind, _)| kind.to_string()).collect();
        return Ok(Some(Finding::warn(
            what,
            format!("due, and no worker takes them: {}", found.join(", ")),
            format!("start a worker whose --queues has {}", kinds.join(",")),
        )));
    }
    let of = |state| {
        counts
            .iter()
            .filter(|count| count.state == state)
            .map(|count| count.count)
            .sum::<i64>()
    };
    let found = format!(
        "{} run, {} wait, {} failed",
        of(OpenJob::Running),
        of(OpenJob::Queued) + of(OpenJob::Waiting),
        of(OpenJob::Failed)
    );
    Ok(Some(if of(OpenJob::Failed) > 0 {
        Finding::warn(
            what,
            found,
            "hansard jobs list says why; hansard jobs retry ID tries one again",
        )
    } else {
        Finding::ok(what, found)
    }))
}
