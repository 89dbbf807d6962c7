//! Storing what a final says in another language.

use crate::{
    domain::{event::Translation, id::MeetingId},
    store::{Result, effect::Effects, event, translation},
};
use sqlx::PgConnection;

/// Stores a translation of a final's newest version. Nothing happens where that was withdrawn or
/// corrected since, or is translated already.
pub async fn translate(
    conn: &mut PgConnection,
    meeting: MeetingId,
    translated: &Translation,
) -> Result<Effects> {
    event::lock(conn, meeting).await?;
    if !translation::add(conn, meeting, translated).await? {
        return Ok(Effects::default());
    }
    Ok(event::append_translated(conn, meeting, translated)
        .await?
        .into())
}
