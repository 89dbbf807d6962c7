//! Takes over what an older version stored: a file per object below its bucket's folder, and beside
//! the buckets two hidden JSON files per object.
//!
//! Nothing is copied: a file gets its description appended and moves to its place. Some hundred at
//! a time are noted in a journal before any is touched, and the journal goes when all of them are
//! in their places for good; so whatever stops this, the next start goes on with it.

use super::{
    archive::{DAYS_MAX, Restore, STANDARD},
    disk,
    format::{self, Attributes, Checksums, Version},
    history::{Entry, Versioning},
    receive::{hash, hasher, hex},
    refusal::Refusal,
    store::{Result, Store},
};
use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

const BATCH: usize = 500;
const JOURNAL: &str = "_converting.json";
/// Names under which the older version hid these among an object's metadata.
const CLASS: &str = "hansard-class";
const RESTORED: &str = "hansard-restored";

/// One object that is being taken over.
#[derive(Serialize, Deserialize)]
struct Pending {
    /// Where it was, below the data folder.
    old: PathBuf,
    /// How long it was.
    length: u64,
    /// Restored in the older version, which knew no end of it.
    #[serde(default)]
    is_restored: bool,
    version: Version,
}

/// What the older version kept beside an object.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OldAttributes {
    user_metadata: Option<BTreeMap<String, String>>,
    content_encoding: Option<String>,
    content_type: Option<String>,
    content_disposition: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OldInfo {
    e_tag: Option<String>,
    checksum_crc32: Option<String>,
    checksum_crc32c: Option<String>,
    checksum_crc64nvme: Option<String>,
    checksum_sha1: Option<String>,
    checksum_sha256: Option<String>,
}

impl Store {
    /// Takes over everything that an older version stored in this folder. Blocking, before anybody
    /// is served. Answers how many objects there were.
    pub fn convert(&self) -> anyhow::Result<usize> {
        let mut taken = 0;
        if let Some(text) = disk::read_text(&self.root().join(JOURNAL))? {
            let noted: Vec<Pending> =
                serde_json::from_str(&text).with_context(|| format!("{JOURNAL} is damaged"))?;
            taken += noted.len();
            self.take_over(&noted)?;
        }
        for bucket in old_buckets(self.root())? {
            match self.make_bucket(&bucket) {
                Ok(()) | Err(Refusal::BucketExists) => {}
                Err(error) => return Err(error.into()),
            }
            if taken == 0 {
                tracing::info!("taking over the objects of an older version");
            }
            loop {
                let mut batch = Vec::new();
                self.collect(&bucket, &self.root().join(&bucket), &mut batch)?;
                if batch.is_empty() {
                    break;
                }
                let text = serde_json::to_vec(&batch)?;
                disk::write(&self.root().join(JOURNAL), &text, &self.unfinished())?;
                disk::sync_folder(self.root())?;
                self.take_over(&batch)?;
                taken += batch.len();
            }
            remove_folders(&self.root().join(&bucket))?;
        }
        self.remove_hidden()?;
        if taken > 0 {
            tracing::info!(objects = taken, "took over the objects of an older version");
        }
        Ok(taken)
    }

    /// The next objects to take over.
    fn collect(&self, bucket: &str, folder: &Path, batch: &mut Vec<Pending>) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder)? {
            if batch.len() >= BATCH {
                return Ok(());
            }
            let path = entry?.path();
            if path.is_dir() {
                self.collect(bucket, &path, batch)?;
                continue;
            }
            let old = path.strip_prefix(self.root())?;
            let key = old.strip_prefix(bucket)?.to_str();
            match key.filter(|key| super::place::folder(key).is_some()) {
                Some(key) => batch.push(self.describe(bucket, key, old)?),
                None => tracing::warn!("{} is no object of ours, and stays", path.display()),
            }
        }
        Ok(())
    }

    fn describe(&self, bucket: &str, key: &str, old: &Path) -> anyhow::Result<Pending> {
        let path = self.root().join(old);
        let [attributes, info] = ["metadata", "internal"].map(|ending| {
            let text = match self.hidden(bucket, key, ending) {
                Some(hidden) => disk::read_text(&hidden),
                None => Ok(None),
            };
            text.with_context(|| format!("{ending} of {}", path.display()))
        });
        let attributes =
            attributes?.map_or_else(OldAttributes::default, |text| old_attributes(&text));
        let info: OldInfo = info?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let mut file = File::open(&path)?;
        let (length, changed) = (file.metadata()?.len(), file.metadata()?.modified()?);
        let etag = match info.e_tag {
            Some(etag) => etag,
            None => hex(&hash(&mut file, length, hasher(&Checksums::default(), None)?)?.0),
        };
        let mut metadata = attributes.user_metadata.unwrap_or_default();
        let class = metadata
            .remove(CLASS)
            .unwrap_or_else(|| STANDARD.to_owned());
        let is_restored = metadata.remove(RESTORED).is_some();
        // Beside what this version has stored already: the other one was used once more.
        let writing =
            Self::history(&self.key_folder(bucket, key)?)?.write(Versioning::Off, "", false);
        Ok(Pending {
            old: old.to_owned(),
            length,
            is_restored,
            version: Version {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                id: writing.entry.id,
                number: writing.entry.number,
                is_marker: false,
                written: DateTime::<Utc>::from(changed),
                size_bytes: length,
                etag,
                class,
                attributes: Attributes {
                    content_type: attributes.content_type,
                    content_encoding: attributes.content_encoding,
                    content_disposition: attributes.content_disposition,
                    content_language: attributes.content_language,
                    cache_control: attributes.cache_control,
                    metadata,
                },
                checksums: Checksums {
                    crc32: info.checksum_crc32,
                    crc32c: info.checksum_crc32c,
                    crc64nvme: info.checksum_crc64nvme,
                    sha1: info.checksum_sha1,
                    sha256: info.checksum_sha256,
                    is_composite: false,
                },
                parts: Vec::new(),
            },
        })
    }

    /// Moves what the journal names. May have been begun before.
    fn take_over(&self, noted: &[Pending]) -> anyhow::Result<()> {
        for Pending {
            old,
            length,
            version,
            ..
        } in noted
        {
            match File::options()
                .read(true)
                .write(true)
                .open(self.root().join(old))
            {
                Ok(mut file) => {
                    // Without what an interrupted attempt has appended.
                    file.set_len(*length)?;
                    format::describe(&mut file, version)?;
                }
                // It has moved.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sync_all()?;
        for Pending {
            old,
            version,
            is_restored,
            ..
        } in noted
        {
            let folder = self.key_folder(&version.bucket, &version.key)?;
            fs::create_dir_all(&folder)?;
            let entry = Entry {
                number: version.number,
                id: version.id.clone(),
                is_marker: false,
            };
            match fs::rename(self.root().join(old), folder.join(entry.file_name())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            if *is_restored {
                let now = self.clock.now();
                let restore = Restore {
                    ready: now,
                    until: now + Duration::days(DAYS_MAX.into()),
                };
                fs::write(
                    folder.join(entry.restore_name()),
                    serde_json::to_vec(&restore)?,
                )?;
            }
            self.point_later(&folder, &entry)?;
        }
        self.sync_all()?;
        for Pending { version, .. } in noted {
            for ending in ["metadata", "internal"] {
                if let Some(hidden) = self.hidden(&version.bucket, &version.key, ending) {
                    disk::remove(&hidden)?;
                }
            }
        }
        disk::remove(&self.root().join(JOURNAL))?;
        Ok(disk::sync_folder(self.root())?)
    }

    /// Everything that was done on this file system so far is there for good: one call for hundreds
    /// of objects.
    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(self.root())?)?)
    }

    /// The older version could not store an object for which this is too long.
    fn hidden(&self, bucket: &str, key: &str, ending: &str) -> Option<PathBuf> {
        let [bucket, key] = [bucket, key].map(|name| URL_SAFE_NO_PAD.encode(name));
        let name = format!(".bucket-{bucket}.object-{key}.{ending}.json");
        (name.len() <= 255).then(|| self.root().join(name))
    }

    /// What is left of objects that were deleted or never finished.
    fn remove_hidden(&self) -> Result<()> {
        for entry in fs::read_dir(self.root())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if [".bucket-", ".upload", ".tmp."]
                .iter()
                .any(|ours| name.starts_with(ours))
            {
                disk::remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// All attributes, or (older still) only what the uploader added.
fn old_attributes(text: &str) -> OldAttributes {
    let is_plain = serde_json::from_str::<BTreeMap<String, String>>(text);
    match (serde_json::from_str::<OldAttributes>(text), is_plain) {
        (Ok(attributes), _) if attributes.user_metadata.is_some() => attributes,
        (_, Ok(metadata)) if metadata.contains_key("sha256") || metadata.contains_key(CLASS) => {
            OldAttributes {
                user_metadata: Some(metadata),
                ..OldAttributes::default()
            }
        }
        (attributes, _) => attributes.unwrap_or_default(),
    }
}

fn old_buckets(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with(['_', '.'])
            && entry.path().is_dir()
        {
            found.push(name);
        }
    }
    Ok(found)
}

/// Folders without files. What could not be taken over stays, and its folders.
fn remove_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_folders(&path)?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
