//! Which segments lie in which block. The rows of a block change together or not at all.

use super::{
    Result, StoreError,
    inventory::{self, Settled},
};
use crate::domain::id::{MeetingId, RecordingId};
use sqlx::PgConnection;

/// Where a segment lies in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub block: String,
    /// Its first byte.
    pub at: i64,
}

/// A segment that is in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    pub n: i32,
    /// Of the segment, which is the same in the block.
    pub sha256: String,
    /// Its first byte in the block.
    pub at: i64,
}

/// A stored and verified block, of segments of one recording and epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    pub recording: RecordingId,
    pub epoch: i64,
    pub key: String,
    pub segments: Vec<Placed>,
    pub size_bytes: i64,
    pub sha256: String,
    /// The store's name of it, where it keeps versions.
    pub version: Option<String>,
}

/// The rows of these segments name the block, which is settled; nobody needs their own objects any
/// more.
///
/// # Errors
/// [`StoreError::NotFound`] when one of them is not what is in the block any more: then none may,
/// and the transaction is not to be committed. [`StoreError::Going`] when the block is being
/// deleted.
pub async fn place(conn: &mut PgConnection, meeting: MeetingId, block: &Block) -> Result<()> {
    let stored = Settled {
        key: &block.key,
        recording: block.recording,
        size_bytes: block.size_bytes,
        sha256: &block.sha256,
        version: block.version.as_deref(),
    };
    inventory::settle(conn, meeting, stored).await?;
    let (mut ns, mut hashes, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for segment in &block.segments {
        ns.push(segment.n);
        hashes.push(segment.sha256.clone());
        places.push(segment.at);
    }
    let own: Vec<String> = sqlx::query_scalar(
        "update recording_segments s set block_key = $4, block_at = p.at
         from unnest($5::integer[], $6::text[], $7::bigint[]) as p (n, sha256, at)
         where s.meeting_id = $1 and s.recording_id = $2 and s.epoch = $3 and s.n = p.n and s.sha256 = p.sha256
             and s.state = 'stored'
         returning s.object_key",
    )
    .bind(meeting.0)
    .bind(block.recording.0)
    .bind(block.epoch)
    .bind(&block.key)
    .bind(&ns)
    .bind(&hashes)
    .bind(&places)
    .fetch_all(&mut *conn)
    .await?;
    if own.len() != block.segments.len() {
        return Err(StoreError::NotFound);
    }
    inventory::going(conn, meeting, &own).await
}
