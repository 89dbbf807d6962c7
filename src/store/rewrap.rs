//! A track's file in another container.

use super::Result;
use crate::domain::{
    id::{MeetingId, RecordingId},
    media_type::MediaType,
};
use sqlx::PgConnection;

/// The new file.
#[derive(Clone, Copy, Debug)]
pub struct Rewrapped<'a> {
    /// URL and SHA-256 of the file that it was made from.
    pub before: &'a str,
    pub sha256_before: &'a str,
    pub blob_url: &'a str,
    pub media_type: MediaType,
    pub size_bytes: i64,
    pub sha256: &'a str,
}

/// The track is in this file now, and a mix of the old one is of this one. `false`: it changed
/// meanwhile, and that counts.
pub async fn rewrap(
    conn: &mut PgConnection,
    meeting: MeetingId,
    id: RecordingId,
    file: &Rewrapped<'_>,
) -> Result<bool> {
    let done = sqlx::query(
        "update recordings set blob_url = $4, media_type = $5, size_bytes = $6, sha256 = $7, storage_tier = 'hot', storage_class = null
         where meeting_id = $1 and id = $2 and blob_url = $3 and status = 'ready' and deleted_at is null",
    )
    .bind(meeting.0)
    .bind(id.0)
    .bind(file.before)
    .bind(file.blob_url)
    .bind(file.media_type.as_str())
    .bind(file.size_bytes)
    .bind(file.sha256)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query(
        "update recordings set made_of = array_replace(made_of, $2, $3) where meeting_id = $1 and kind = 'mix'",
    )
    .bind(meeting.0)
    .bind(file.sha256_before)
    .bind(file.sha256)
    .execute(conn)
    .await?;
    Ok(true)
}
