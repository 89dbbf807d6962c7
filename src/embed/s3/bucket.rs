//! Buckets on disk. Blocking.

use super::{
    disk,
    history::Versioning,
    refusal::Refusal,
    store::{Result, Store},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fs, io};

/// A bucket's own settings, in `bucket.json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bucket {
    pub made: DateTime<Utc>,
    #[serde(default)]
    pub versioning: Versioning,
}

impl Store {
    pub fn bucket(&self, bucket: &str) -> Result<Bucket> {
        let path = self.bucket_folder(bucket).join("bucket.json");
        let text = disk::read_text(&path)?.ok_or(Refusal::NoBucket)?;
        Ok(serde_json::from_str(&text).map_err(io::Error::from)?)
    }

    pub fn make_bucket(&self, bucket: &str) -> Result<()> {
        let _folders = self.folders.lock();
        if self.bucket(bucket).is_ok() {
            return Err(Refusal::BucketExists);
        }
        fs::create_dir_all(self.objects(bucket))?;
        let made = self.clock.now();
        self.settle(
            bucket,
            &Bucket {
                made,
                versioning: Versioning::Off,
            },
        )?;
        Ok(disk::sync_folder(&self.buckets())?)
    }

    fn settle(&self, bucket: &str, settings: &Bucket) -> Result<()> {
        let folder = self.bucket_folder(bucket);
        let text = serde_json::to_vec(settings).map_err(io::Error::from)?;
        disk::write(&folder.join("bucket.json"), &text, &self.unfinished())?;
        Ok(disk::sync_folder(&folder)?)
    }

    pub fn set_versioning(&self, bucket: &str, versioning: Versioning) -> Result<()> {
        let _folders = self.folders.lock();
        let before = self.bucket(bucket)?;
        self.settle(
            bucket,
            &Bucket {
                versioning,
                ..before
            },
        )
    }

    /// Removes a bucket without objects.
    pub fn remove_bucket(&self, bucket: &str) -> Result<()> {
        self.bucket(bucket)?;
        self.sweep_bucket(bucket)?;
        let _folders = self.folders.lock();
        match fs::remove_dir(self.objects(bucket)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(Refusal::BucketNotEmpty);
            }
            Err(error) => return Err(error.into()),
        }
        fs::remove_dir_all(self.bucket_folder(bucket))?;
        Ok(disk::sync_folder(&self.buckets())?)
    }

    pub fn list_buckets(&self) -> Result<Vec<(String, Bucket)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.buckets())? {
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            if let Ok(bucket) = self.bucket(&name) {
                found.push((name, bucket));
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }
}
