//! What is left to know of what was deleted, as clients see it.

use super::time::Time;
use crate::{
    domain::{deletion::Deletable, recording::RecordingKind},
    store::deletion::{DeletedFile, Tombstone},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A file that went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeletedFile)]
pub struct DeletedFileView {
    pub id: Uuid,
    pub kind: Option<RecordingKind>,
    /// Of the file; null if there was none yet.
    pub sha256: Option<String>,
}

impl From<DeletedFile> for DeletedFileView {
    fn from(file: DeletedFile) -> Self {
        Self {
            id: file.id,
            kind: file.kind,
            sha256: file.sha256,
        }
    }
}

/// Who deleted what, when and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tombstone)]
pub struct TombstoneView {
    pub what: Deletable,
    /// Of the recording or the meeting.
    pub id: Uuid,
    pub meeting_id: Uuid,
    /// `api_key:<id>`, `user:<id>`, or `retention`.
    pub deleted_by: String,
    pub reason: Option<String>,
    pub asked_at: Time,
    /// When the last copy was gone; null while some may be left.
    pub deleted_at: Option<Time>,
    /// Machines that may still have sound of it; they delete it when they are back.
    pub spools: i64,
    pub recordings: Vec<DeletedFileView>,
}

impl From<Tombstone> for TombstoneView {
    fn from(of: Tombstone) -> Self {
        Self {
            what: of.what,
            id: of.subject,
            meeting_id: of.meeting.0,
            deleted_by: of.author,
            reason: of.reason,
            asked_at: of.asked_at.into(),
            deleted_at: of.done_at.map(Time::from),
            spools: of.spools,
            recordings: of.recordings.into_iter().map(Into::into).collect(),
        }
    }
}
