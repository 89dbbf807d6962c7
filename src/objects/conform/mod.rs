//! What a store must be able to do for us: each call of S3 that Hansard makes, tried on a bucket.
//!
//! The tests run it on the store that is brought along and on others; `hansard doctor --s3` runs it
//! on a user's bucket. Everything lies below one prefix and is removed at the end.

mod basic;
mod classes;
mod cleanup;
mod parts;
mod versions;

use super::{StorageConfig, client::client, client::described};
use crate::domain::tiering::Classes;
use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectOutput, put_object::builders::PutObjectFluentBuilder},
    primitives::ByteStream,
};
use classes::Tried;
use std::time::Duration;

/// The longest that one of them may take.
const TRY_MAX: Duration = Duration::from_secs(60);

/// Something that a store can do or cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ability {
    Store,
    Missing,
    Overwrite,
    Checksum,
    Range,
    List,
    Delete,
    DeleteMany,
    Link,
    OnlyOnce,
    Parts,
    Abort,
    ListUploads,
    Classes,
    CopyInPlace,
    CopyChecksum,
    Archive,
    Restore,
    Versions,
    Marker,
    DeleteVersion,
}

impl Ability {
    /// In the order in which they are tried.
    pub const ALL: [Self; 21] = [
        Self::Store,
        Self::Missing,
        Self::Overwrite,
        Self::Checksum,
        Self::Range,
        Self::List,
        Self::Delete,
        Self::DeleteMany,
        Self::Link,
        Self::OnlyOnce,
        Self::Parts,
        Self::Abort,
        Self::ListUploads,
        Self::Classes,
        Self::CopyInPlace,
        Self::CopyChecksum,
        Self::Archive,
        Self::Restore,
        Self::Versions,
        Self::Marker,
        Self::DeleteVersion,
    ];

    /// In a line of `doctor`.
    pub fn what(self) -> &'static str {
        match self {
            Self::Store => "put, head, get",
            Self::Missing => "a missing object",
            Self::Overwrite => "overwrite",
            Self::Checksum => "SHA-256 checked",
            Self::Range => "part of an object",
            Self::List => "list",
            Self::Delete => "delete",
            Self::DeleteMany => "delete many",
            Self::Link => "signed links",
            Self::OnlyOnce => "put only if new",
            Self::Parts => "upload in parts",
            Self::Abort => "abort an upload",
            Self::ListUploads => "list uploads",
            Self::Classes => "storage classes",
            Self::CopyInPlace => "change of class",
            Self::CopyChecksum => "SHA-256 of a copy",
            Self::Archive => "archived objects",
            Self::Restore => "restore",
            Self::Versions => "versions",
            Self::Marker => "delete markers",
            Self::DeleteVersion => "delete a version",
        }
    }

    /// What does not work with a store that cannot do it, and what to do about that. `None`:
    /// nothing works.
    pub fn without(self) -> Option<&'static str> {
        Some(match self {
            Self::Store | Self::Missing | Self::Overwrite | Self::List | Self::Delete => {
                return None;
            }
            Self::Checksum => {
                "set S3_CHECKSUMS=off: what is stored is then read again, which doubles the traffic"
            }
            Self::Range => "players cannot seek in recordings before they have loaded them",
            Self::DeleteMany => "objects are deleted one by one, which is slower",
            Self::Link => "browsers cannot fetch recordings: see S3_PUBLIC_ENDPOINT and the clock",
            Self::OnlyOnce => {
                "two databases on this bucket could write the same entry of the ledger: use one"
            }
            Self::Parts => "recordings of 64 MiB and more cannot be stored",
            Self::Abort | Self::ListUploads => {
                "parts of broken-off uploads stay and cost: give the bucket a rule that removes them"
            }
            Self::Classes | Self::CopyInPlace => {
                "recordings do not get cheaper as they age: let all tiers be one class"
            }
            Self::CopyChecksum => "a change of class is checked by reading the object again",
            Self::Archive => {
                "the store gives out archived objects at once, or knows no archive: the tier saves nothing"
            }
            Self::Restore => "what is in the archive cannot be had back: keep recordings out of it",
            Self::Versions | Self::Marker | Self::DeleteVersion => {
                "the bucket keeps earlier versions that cannot be removed: what is deleted stays; turn versions off"
            }
        })
    }

    /// Only where the bucket keeps versions.
    pub fn is_of_versions(self) -> bool {
        matches!(self, Self::Versions | Self::Marker | Self::DeleteVersion)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    Can,
    /// What it did instead.
    Cannot(String),
    /// Nobody needs it: the bucket keeps no versions, or no tier is such a class.
    NotAsked,
}

/// Tries everything below `prefix` (which ends with `/`), with the classes that the tiers are,
/// tells each verdict as it comes, and removes what it made. An error says what could not be
/// removed.
pub async fn examine(
    settings: &StorageConfig,
    classes: &Classes,
    prefix: &str,
    mut tell: impl FnMut(Ability, Verdict),
) -> Result<(), String> {
    let suite = Suite {
        client: client(settings, &settings.endpoint),
        public: client(settings, &settings.public_endpoint),
        bucket: settings.bucket.clone(),
        prefix: prefix.to_owned(),
        checksums: settings.dialect.checksums,
        tried: Tried::of(classes),
    };
    let keeps_versions = suite.keeps_versions().await;
    for ability in Ability::ALL {
        let verdict = if !suite.needs(ability, keeps_versions) {
            Verdict::NotAsked
        } else {
            match tokio::time::timeout(TRY_MAX, suite.attempt(ability)).await {
                Ok(Ok(())) => Verdict::Can,
                Ok(Err(why)) => Verdict::Cannot(why),
                Err(_) => Verdict::Cannot(format!("no answer within {} s", TRY_MAX.as_secs())),
            }
        };
        tell(ability, verdict);
    }
    suite.clean_up(keeps_versions).await
}

struct Suite {
    client: Client,
    /// As browsers reach it.
    public: Client,
    bucket: String,
    prefix: String,
    checksums: bool,
    tried: Tried,
}

/// `Err` says what the store did instead.
type Outcome = Result<(), String>;

impl Suite {
    fn needs(&self, ability: Ability, keeps_versions: bool) -> bool {
        match ability {
            Ability::CopyInPlace => self.tried.open.len() > 1,
            Ability::CopyChecksum => self.tried.second().is_some(),
            Ability::Archive | Ability::Restore => !self.tried.archives.is_empty(),
            other => keeps_versions || !other.is_of_versions(),
        }
    }

    async fn attempt(&self, ability: Ability) -> Outcome {
        match ability {
            Ability::Store => self.store().await,
            Ability::Missing => self.missing().await,
            Ability::Overwrite => self.overwrite().await,
            Ability::Checksum => self.checksum().await,
            Ability::Range => self.range().await,
            Ability::List => self.list().await,
            Ability::Delete => self.delete().await,
            Ability::DeleteMany => self.delete_many().await,
            Ability::Link => self.link().await,
            Ability::OnlyOnce => self.only_once().await,
            Ability::Parts => self.parts().await,
            Ability::Abort => self.abort().await,
            Ability::ListUploads => self.list_uploads().await,
            Ability::Classes => self.classes().await,
            Ability::CopyInPlace => self.copy_in_place().await,
            Ability::CopyChecksum => self.copy_checksum().await,
            Ability::Archive => self.archive().await,
            Ability::Restore => self.restore().await,
            Ability::Versions => self.versions().await,
            Ability::Marker => self.marker().await,
            Ability::DeleteVersion => self.delete_version().await,
        }
    }

    /// By what it does and not by what it says: not every store tells its settings in a form that
    /// is understood.
    async fn keeps_versions(&self) -> bool {
        let put = self.put(&self.key("kept"), b"x").await;
        put.is_ok_and(|id| id.is_some_and(|id| id != "null"))
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn putting(&self, key: &str, content: &[u8]) -> PutObjectFluentBuilder {
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        put.body(ByteStream::from(content.to_vec()))
            .content_type("text/plain")
    }

    /// Answers with the version's id, where there are versions.
    async fn put(&self, key: &str, content: &[u8]) -> Result<Option<String>, String> {
        let put = self.putting(key, content).send().await;
        put.map(|done| done.version_id).map_err(said)
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, String> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        body(get.send().await.map_err(said)?).await
    }

    /// The status and code with which a GET is refused; `None` when it is not.
    async fn refusal(&self, key: &str) -> Option<(Option<u16>, String)> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        get.send().await.err().map(|error| refused(&error))
    }
}

async fn body(got: GetObjectOutput) -> Result<Vec<u8>, String> {
    let bytes = got
        .body
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok(bytes.to_vec())
}

fn said<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E>) -> String {
    described(&error)
}

fn refused<E: ProvideErrorMetadata>(error: &SdkError<E>) -> (Option<u16>, String) {
    let code = error.code().unwrap_or_default().to_owned();
    (super::client::status(error), code)
}

/// `is` has to be `wanted`.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, wanted: T) -> Outcome {
    if is == wanted {
        Ok(())
    } else {
        Err(format!("{what}: {is:?} instead of {wanted:?}"))
    }
}
