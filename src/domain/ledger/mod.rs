//! The ledger: what was deleted of a tenant's recordings, written into the bucket before the rows
//! say so, each entry chained to the one before.
//!
//! An entry is an object, written once. Its hash is that of the object's bytes, so it needs no
//! canonical form: what lies in the bucket is what counts.

use crate::{
    consent::hex,
    deletion::Deletable,
    id::{MeetingId, ParticipantId, RecordingId, TenantId},
    inventory::ObjectKind,
    recording::RecordingKind,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Of entries that this version writes. It reads no later ones.
pub const VERSION: u32 = 1;

/// Somebody asked for something to go, and what that is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub version: u32,
    pub tenant: TenantId,
    /// 1, 2, 3 …
    pub n: i64,
    /// The hash of the entry before.
    pub prev: String,
    pub meeting: MeetingId,
    /// `api_key:<id>` or `user:<id>`.
    pub author: String,
    pub reason: Option<String>,
    /// RFC 3339, UTC, milliseconds.
    pub asked_at: String,
    #[serde(flatten)]
    pub act: Act,
}

/// What an entry is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    Deletion(Deletion),
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

/// An entry that has no place in the chain yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub author: String,
    pub reason: Option<String>,
    pub asked_at: String,
    pub act: Act,
}

impl Draft {
    /// The entry behind this one, and the object that it is.
    pub fn behind(self, head: &Head) -> (Entry, Vec<u8>) {
        let entry = Entry {
            version: VERSION,
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
