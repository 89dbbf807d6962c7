//! Legal holds: placed and lifted.

use super::Refused;
use crate::{
    domain::id::{MeetingId, TenantId},
    store::{
        deletion, event,
        hold::{self, Hold},
        redaction,
    },
};
use sqlx::PgConnection;

/// Places a hold. The same reason again changes nothing, another one replaces the hold.
///
/// # Errors
/// [`Refused::Deleting`] while something of the meeting is being deleted.
pub async fn place(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    author: &str,
    reason: &str,
) -> Result<Hold, Refused> {
    event::lock(conn, meeting).await?;
    let is_changing = !deletion::open(conn, meeting).await?.is_empty()
        || redaction::is_running(conn, meeting).await?;
    if is_changing {
        return Err(Refused::Deleting);
    }
    match hold::current(conn, meeting).await? {
        Some(hold) if hold.reason == reason => return Ok(hold),
        Some(_) => hold::lift(conn, meeting, author, Some("replaced")).await?,
        None => {}
    }
    Ok(hold::place(conn, tenant, meeting, author, reason).await?)
}

/// Lifts the hold, if there is one.
pub async fn lift(
    conn: &mut PgConnection,
    meeting: MeetingId,
    author: &str,
    reason: Option<&str>,
) -> Result<(), Refused> {
    event::lock(conn, meeting).await?;
    Ok(hold::lift(conn, meeting, author, reason).await?)
}
