//! Whether storage works for us, and if not, whether it is because of how we speak to it.

use super::{Dialect, Objects, Result, StorageConfig};
use crate::domain::{
    object_key::{self, PROBE},
    tiering::Tier,
};
use std::time::Duration;

/// The longest wait for one way of speaking.
const TRY_MAX: Duration = Duration::from_secs(20);
const CONTENT: &[u8] = b"hansard";

impl Objects {
    /// Stores, reads and deletes a small object, after making the bucket where there is none.
    pub async fn probe(&self) -> Result<()> {
        let key = object_key::trial(PROBE, uuid::Uuid::new_v4());
        self.ensure_bucket().await?;
        self.put_bytes(&key, CONTENT.to_vec(), "text/plain", Tier::Hot)
            .await?;
        let read = self.get_bytes(&key).await;
        let deleted = self.delete(&key).await;
        read?;
        deleted
    }
}

/// What another way of speaking to the storage showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Diagnosis {
    /// It works as we are set.
    Well,
    /// It works without `x-amz-checksum-sha256`.
    NoChecksums,
    /// It works with the bucket in the host name (`false`: in the path).
    Addressing { path_style: bool },
    /// Neither helps.
    Neither,
}

impl Diagnosis {
    /// What to set, as an operator writes it.
    pub fn mend(self) -> Option<&'static str> {
        match self {
            Self::Well | Self::Neither => None,
            Self::NoChecksums => Some(
                "it refuses x-amz-checksum-sha256: set S3_CHECKSUMS=off (--s3-checksums off); what is stored is then read again",
            ),
            Self::Addressing { path_style: false } => Some(
                "it refuses the bucket in the path: set S3_ADDRESSING=host (--s3-addressing host)",
            ),
            Self::Addressing { path_style: true } => Some(
                "it refuses the bucket in the host name: set S3_ADDRESSING=path (--s3-addressing path)",
            ),
        }
    }
}

/// Finds out why storage that answers does not work. Leaves nothing behind.
pub async fn diagnose(settings: &StorageConfig) -> Diagnosis {
    let works = async |dialect: Dialect| {
        let objects = Objects::new(&StorageConfig {
            dialect,
            ..settings.clone()
        });
        matches!(
            tokio::time::timeout(TRY_MAX, objects.probe()).await,
            Ok(Ok(()))
        )
    };
    let given = settings.dialect;
    if works(given).await {
        return Diagnosis::Well;
    }
    let others = [
        (
            Dialect {
                checksums: false,
                ..given
            },
            Diagnosis::NoChecksums,
        ),
        (
            Dialect {
                path_style: !given.path_style,
                ..given
            },
            Diagnosis::Addressing {
                path_style: !given.path_style,
            },
        ),
        (
            Dialect {
                checksums: false,
                path_style: !given.path_style,
            },
            Diagnosis::Addressing {
                path_style: !given.path_style,
            },
        ),
    ];
    for (dialect, diagnosis) in others {
        if dialect != given && works(dialect).await {
            // It may have come back meanwhile, and then the settings were never wrong.
            return if works(given).await {
                Diagnosis::Well
            } else {
                diagnosis
            };
        }
    }
    Diagnosis::Neither
}
