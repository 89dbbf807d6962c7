//! The ledger: what was deleted and taken out of a tenant's recordings, who was erased and what is
//! held, written into the bucket before the rows say so, each entry chained to the one before.
//!
//! An entry is an object, written once. Its hash is that of the object's bytes, so it needs no
//! canonical form: what lies in the bucket is what counts.

use crate::{
    consent::{Use, hex},
    deletion::Deletable,
    id::{MeetingId, ParticipantId, RecordingId, TenantId, UserId},
    inventory::ObjectKind,
    recording::RecordingKind,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The latest of entries that this version writes and reads. Deletions are of version 1, files that
/// were replaced of version 3, all other acts of version 2.
pub const VERSION: u32 = 3;

/// Somebody asked for something, and what that is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub version: u32,
    pub tenant: TenantId,
    /// 1, 2, 3 …
    pub n: i64,
    /// The hash of the entry before.
    pub prev: String,
    /// `None`: it is about a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meeting: Option<MeetingId>,
    /// `api_key:<id>`, `user:<id>`, `participant:<id>`, `retention`, or `job:<kind>` of files that
    /// were replaced.
    pub author: String,
    pub reason: Option<String>,
    /// RFC 3339, UTC, milliseconds.
    pub asked_at: String,
    #[serde(flatten)]
    pub act: Act,
}

/// What an entry is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Deletion(Deletion),
    /// Somebody is to be taken out of a meeting.
    Redaction(Redaction),
    /// The files without it are made, and what held it is deleted next.
    Redacted(Redacted),
    /// Files were made anew for any other reason, or nothing of them may be kept: what they were
    /// before is deleted next.
    Replaced(Replaced),
    /// A person is to be erased.
    Erasure(Erasure),
    /// A legal hold was placed.
    Hold(Hold),
    /// It was lifted.
    Lift(Hold),
}

impl Act {
    const fn version(&self) -> u32 {
        match self {
            Self::Deletion(_) => 1,
            Self::Replaced(_) => 3,
            _ => 2,
        }
    }

    const fn is_of_meeting(&self) -> bool {
        !matches!(self, Self::Erasure(_))
    }
}

/// What goes, with all that is needed to delete it from rows that are older than it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    pub what: Deletable,
    pub recordings: Vec<GoneRecording>,
    pub objects: Vec<GoneObject>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoneRecording {
    pub id: RecordingId,
    pub kind: RecordingKind,
    pub participant: Option<ParticipantId>,
    pub source: Option<String>,
    pub codec: Option<String>,
    pub media_type: String,
    pub start_ms: i64,
    pub revision: i32,
    /// Of the file, if there was one.
    pub sha256: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoneObject {
    pub key: String,
    pub recording: RecordingId,
    pub kind: ObjectKind,
    pub sha256: Option<String>,
    pub version: Option<String>,
}

/// A redaction that nobody has to approve any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redaction {
    pub id: Uuid,
    pub participant: ParticipantId,
    pub purposes: Vec<Use>,
    /// MeetingTime; `None`: from the beginning.
    pub from_ms: Option<i64>,
    /// `None`: to the end.
    pub to_ms: Option<i64>,
    /// Who approved it, where somebody had to.
    pub decided_by: Option<String>,
    /// The erasure that it is part of.
    pub erasure: Option<Uuid>,
}

/// What a redaction made anew, and what goes for it: all that older rows need, whose files are
/// gone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redacted {
    pub id: Uuid,
    /// The meeting's files from now on.
    pub files: Vec<MadeFile>,
    pub objects: Vec<GoneObject>,
}

/// Files that stand in for others without anybody's asking: after a withdrawal that was heard of
/// late, with sound that came late out of a spool, in another container.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replaced {
    /// The meeting's files from now on.
    pub files: Vec<MadeFile>,
    /// What goes. Of a recording without a file nothing may be kept.
    pub objects: Vec<GoneObject>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeFile {
    #[serde(flatten)]
    pub recording: GoneRecording,
    pub key: String,
    pub version: Option<String>,
    pub size_bytes: i64,
    pub duration_ms: i64,
    pub gaps: Value,
    /// Of a mix: the SHA-256 of each track that is in it.
    pub made_of: Vec<String>,
    /// Of a mix.
    pub gain_db: Option<f64>,
}

/// What rows know of a recording's file, beside one that the ledger names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// There is none yet.
    Nothing,
    This,
    Other {
        revision: i32,
    },
    /// The recording is deleted, or about to be.
    Deleted,
}

impl MadeFile {
    /// Whether rows take it over that know this: it is later than what they know, or, of the same
    /// revision, the same sound in another container.
    pub fn stands_in_for(&self, known: Known) -> bool {
        match known {
            Known::Nothing => true,
            Known::Other { revision } => revision <= self.recording.revision,
            Known::This | Known::Deleted => false,
        }
    }
}

/// A person that is to be erased in all meetings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    pub id: Uuid,
    pub user: UserId,
}

/// A legal hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub id: Uuid,
}

/// An entry that has no place in the chain yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    pub tenant: TenantId,
    /// `None`: it is about a user.
    pub meeting: Option<MeetingId>,
    pub author: String,
    pub reason: Option<String>,
    pub asked_at: String,
    pub act: Act,
}

impl Draft {
    /// The entry behind this one, and the object that it is.
    pub fn behind(self, head: &Head) -> (Entry, Vec<u8>) {
        let entry = Entry {
            version: self.act.version(),
            tenant: self.tenant,
            n: head.n + 1,
            prev: head.hash.clone(),
            meeting: self.meeting,
            author: self.author,
            reason: self.reason,
            asked_at: self.asked_at,
            act: self.act,
        };
        let bytes = serde_json::to_vec(&entry).expect("strings, integers and lists serialise");
        (entry, bytes)
    }
}

/// How far somebody is in a tenant's chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// 0: before the first.
    pub n: i64,
    pub hash: String,
}

impl Head {
    /// Before the first entry.
    pub fn genesis(tenant: TenantId) -> Self {
        Self::of(0, tenant.to_string().as_bytes())
    }

    /// After the entry that is this object.
    pub fn of(n: i64, object: &[u8]) -> Self {
        Self {
            n,
            hash: hex(&Sha256::digest(object)),
        }
    }
}

/// Why a chain does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    #[error("entry {0} is missing")]
    Missing(i64),
    #[error("entry {0} does not follow the one before it: one of them was changed")]
    Link(i64),
    #[error("entry {n} is of version {version}: update hansard first")]
    Later { n: i64, version: u32 },
    #[error("entry {n} cannot be read: {why}")]
    Unreadable { n: i64, why: String },
}

impl Broken {
    /// The number of the entry that is wrong.
    pub fn n(&self) -> i64 {
        match self {
            Self::Missing(n) | Self::Link(n) => *n,
            Self::Later { n, .. } | Self::Unreadable { n, .. } => *n,
        }
    }
}

/// What is the same in entries of all versions.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads the object that lies under the number `n`, whatever was before it.
///
/// # Errors
/// [`Broken`] when it is no entry of this tenant and number.
pub fn read(tenant: TenantId, n: i64, object: &[u8]) -> Result<Entry, Broken> {
    let unreadable = |why: String| Broken::Unreadable { n, why };
    let text = |error: serde_json::Error| unreadable(error.to_string());
    let Versioned { version } = serde_json::from_slice(object).map_err(text)?;
    if version > VERSION {
        return Err(Broken::Later { n, version });
    }
    let entry: Entry = serde_json::from_slice(object).map_err(text)?;
    if (entry.tenant, entry.n) != (tenant, n) {
        return Err(unreadable(format!(
            "it says that it is entry {} of tenant {}",
            entry.n, entry.tenant
        )));
    }
    if entry.act.is_of_meeting() != entry.meeting.is_some() {
        return Err(unreadable(
            "it names no meeting, or one too many".to_owned(),
        ));
    }
    Ok(entry)
}

/// Reads the object under the number `n` as what follows `head`.
///
/// # Errors
/// [`Broken`] when it does not.
pub fn follow(
    head: &Head,
    tenant: TenantId,
    n: i64,
    object: &[u8],
) -> Result<(Entry, Head), Broken> {
    if n != head.n + 1 {
        return Err(Broken::Missing(head.n + 1));
    }
    let entry = read(tenant, n, object)?;
    if entry.prev != head.hash {
        return Err(Broken::Link(n));
    }
    Ok((entry, Head::of(n, object)))
}

#[cfg(test)]
mod tests;
