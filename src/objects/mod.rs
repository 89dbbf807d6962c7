//! Object storage: what was recorded lies here, in any S3.
//!
//! An object counts as stored only when the server has checked its SHA-256 (or what it gives back
//! has been hashed again) and a HEAD shows its size and our own hash. Every call is bounded:
//! attempts, time per attempt, time in all.

mod client;
pub mod conform;
mod delete;
mod hashing;
mod link;
mod once;
mod probe;
mod read;
mod restore;
mod transfer;
mod versions;
mod write;

pub use delete::Upload;
pub use hashing::hash_file;
pub use link::{Disposition, PRESIGN_MAX, Verb};
pub use probe::{Diagnosis, diagnose};
pub use restore::Restoring;
pub use transfer::{COPY_BYTES_MAX, Pieces, Wanted};
pub use versions::Walk;

use crate::{
    domain::{
        fault::{Away, Fault},
        object_key,
        tiering::Classes,
    },
    health::{self, Reason},
};
use aws_sdk_s3::Client;
use client::{client, fault, status};
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Our keys are made of ids and numbers. An older embedded server made file names of at most 255
/// bytes out of them, in base 64.
pub const KEY_BYTES_MAX: usize = 160;
/// The name of our own hash in an object's metadata.
const SHA256: &str = "sha256";

/// Where the objects are, and who we are there.
#[derive(Clone)]
pub struct StorageConfig {
    /// As this process reaches it.
    pub endpoint: String,
    /// As a browser reaches it; links name this.
    pub public_endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub dialect: Dialect,
}

/// What a store understands of S3, where stores differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dialect {
    /// It takes and checks `x-amz-checksum-sha256`. Without it what was stored is read again and
    /// hashed.
    pub checksums: bool,
    /// The bucket stands in the path (`ENDPOINT/BUCKET/KEY`), else in the host name
    /// (`BUCKET.ENDPOINT/KEY`).
    pub path_style: bool,
}

impl Default for Dialect {
    /// What most stores of one's own understand.
    fn default() -> Self {
        Self {
            checksums: true,
            path_style: true,
        }
    }
}

impl fmt::Debug for StorageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            public_endpoint,
            region,
            bucket,
            access_key_id,
            secret_access_key: _,
            dialect: _,
        } = self;
        write!(
            f,
            "StorageConfig {{ {endpoint} ({public_endpoint}), {region}, {bucket}, {access_key_id} }}"
        )
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no object {0}")]
    Missing(String),
    /// It lies in the archive and was not restored.
    #[error("the object {0} is archived")]
    Archived(String),
    /// The store has no such storage class.
    #[error("object storage has no class {class}: {said}")]
    NoClass { class: String, said: String },
    /// What is stored is not what was sent.
    #[error("the object {key} is not what was stored: {what}")]
    Differs { key: String, what: String },
    /// It may work later: the storage is away, slow or overloaded.
    #[error("object storage does not answer: {0}")]
    Transient(String),
    /// It refuses everybody, or us, until somebody mends it: no permission, no such bucket, its
    /// clock, its keys.
    #[error("object storage refused: {0}")]
    Refused(String),
    /// What was asked cannot be stored anywhere: a mistake of ours.
    #[error("not for object storage: {0}")]
    Unfit(String),
    #[error("local file: {0}")]
    Local(#[from] io::Error),
}

impl ObjectError {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }

    /// Whose fault it is. That storage refuses is no reason to give anything up: it is mended
    /// elsewhere, and then works.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Transient(_) | Self::Refused(_) => Fault::Away(Away::Storage),
            Self::Missing(_) | Self::Differs { .. } => Fault::Theirs,
            Self::Archived(_) | Self::Unfit(_) | Self::NoClass { .. } => Fault::Ours,
            Self::Local(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Fault::Away(Away::Disk)
                }
                // EMFILE and ENFILE have no kind of their own.
                _ if matches!(error.raw_os_error(), Some(23 | 24)) => Fault::Away(Away::Disk),
                _ => Fault::Ours,
            },
        }
    }

    /// Whether it works by itself once storage (or this machine's disk) is well again.
    pub fn is_away(&self) -> bool {
        matches!(self.fault(), Fault::Away(_))
    }
}

pub type Result<T, E = ObjectError> = std::result::Result<T, E>;

/// An object whose content has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub size_bytes: u64,
    /// 64 lower-case hex characters.
    pub sha256: String,
    /// The store's name of what was stored, where the bucket keeps versions.
    pub version: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub size_bytes: u64,
    /// As told when it was stored by us.
    pub sha256: Option<String>,
    /// Its storage class; `STANDARD` where the store names none.
    pub class: String,
    /// The store's name of it, where the bucket keeps versions.
    pub version: Option<String>,
    pub content_type: Option<String>,
    /// The server's word on a restore from the archive, when one was asked for.
    pub restore: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub key: String,
    pub size_bytes: u64,
    /// The store's name of its content (`ETag`).
    pub tag: Option<String>,
}

/// One bucket. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    /// Only signs; never connects.
    public: Client,
    bucket: String,
    /// Where links lead, when the storage is reached through another server.
    served_at: Option<String>,
    dialect: Dialect,
    classes: Arc<Classes>,
    /// What is larger is copied in parts.
    copy_bytes_max: u64,
    failing: Arc<[AtomicBool; 2]>,
}

/// What a call does. Reading may work where writing does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Read,
    Write,
}

impl Objects {
    /// Connects to nothing yet.
    pub fn new(settings: &StorageConfig) -> Self {
        Self {
            client: client(settings, &settings.endpoint),
            public: client(settings, &settings.public_endpoint),
            bucket: settings.bucket.clone(),
            dialect: settings.dialect,
            classes: Arc::default(),
            copy_bytes_max: COPY_BYTES_MAX,
            failing: Arc::default(),
            served_at: None,
        }
    }

    /// The same with these classes for the tiers, and another limit for copies in one piece.
    pub fn with_classes(self, classes: Classes, copy_bytes_max: u64) -> Self {
        Self {
            classes: Arc::new(classes),
            copy_bytes_max,
            ..self
        }
    }

    /// Whether the store is asked for the SHA-256 of what it copies.
    pub fn hashes_copies(&self) -> bool {
        self.dialect.checksums
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The class of each tier.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Every call's outcome passes here, so that the process's health says how storage is.
    fn seen<T>(&self, side: Side, result: Result<T>) -> Result<T> {
        let failing = &self.failing[side as usize];
        // What is written cannot be missing: it is the bucket.
        let result = result.map_err(|error| match error {
            ObjectError::Missing(key) if side == Side::Write => {
                ObjectError::Refused(format!("there is no such bucket (storing {key:?})"))
            }
            error => error,
        });
        match &result {
            Err(error) if error.fault() == Fault::Away(Away::Storage) => {
                failing.store(true, Ordering::Relaxed);
                health::degrade(Reason::Storage, error);
            }
            Err(ObjectError::Unfit(_) | ObjectError::Local(_)) => {}
            // It answered.
            _ => {
                if failing.swap(false, Ordering::Relaxed)
                    && self
                        .failing
                        .iter()
                        .all(|failing| !failing.load(Ordering::Relaxed))
                {
                    health::restore(Reason::Storage);
                }
            }
        }
        result
    }

    /// The same bucket, whose links lead to this address: what lies below it is asked of the public
    /// endpoint as it is.
    pub fn served_at(self, base: &str) -> Self {
        Self {
            served_at: Some(base.trim_end_matches('/').to_owned()),
            ..self
        }
    }

    /// `s3://bucket/key`, as it stands in `blob_url`.
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// The key in one of our URLs; `None` for another bucket's.
    pub fn key<'a>(&self, url: &'a str) -> Option<&'a str> {
        url.strip_prefix("s3://")?
            .strip_prefix(self.bucket.as_str())?
            .strip_prefix('/')
    }

    /// Makes the bucket unless it is there.
    pub async fn ensure_bucket(&self) -> Result<()> {
        let made = self.make_bucket().await;
        self.seen(Side::Write, made)
    }

    async fn make_bucket(&self) -> Result<()> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => return Ok(()),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(fault("", error)),
        }
        match self
            .client
            .create_bucket()
            .bucket(&self.bucket)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            // Somebody else was quicker.
            Err(error) if status(&error) == Some(409) => Ok(()),
            Err(error) => Err(fault("", error)),
        }
    }
}

/// Keys are ours, so one with other characters is a mistake of ours.
fn known(key: &str) -> Result<&str> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) && object_key::is_plain(key) {
        Ok(key)
    } else {
        Err(ObjectError::Unfit(format!("{key:?} is no key of ours")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_keys_are_taken() {
        assert!(known("meetings/0193/track-1.mka").is_ok());
        for key in ["", "/a", "a//b", "a/../b", "a b", "a?b", &"a".repeat(161)] {
            assert!(known(key).is_err(), "{key}");
        }
    }
}
