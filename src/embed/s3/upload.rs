//! Uploads in parts: a folder each, in which parts wait as files that describe themselves.
//! Blocking.

use super::{
    condition::Conditions,
    disk::{self, Unfinished},
    format::{self, Attributes, Version},
    receive::{Received, composite, etag_of_parts, hex},
    refusal::Refusal,
    store::{Result, Store},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

const PARTS_MAX: i32 = 10_000;
/// Of each part but the last.
const PART_BYTES_MIN: u64 = 5 << 20;

/// What was said at its beginning, in `upload.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upload {
    pub id: String,
    pub key: String,
    pub begun: DateTime<Utc>,
    pub class: String,
    pub attributes: Attributes,
    /// Of the checksum that each part is to have.
    #[serde(default)]
    pub algorithm: Option<String>,
}

/// A part, as its uploader lists it at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    pub number: i32,
    pub etag: Option<String>,
}

impl Store {
    fn uploads(&self, bucket: &str) -> PathBuf {
        self.bucket_folder(bucket).join("uploads")
    }

    /// The folder of an upload that is under way.
    fn upload_folder(&self, bucket: &str, key: &str, id: &str) -> Result<(PathBuf, Upload)> {
        self.bucket(bucket)?;
        // Ours have no other form, and nothing else is a name below our folder.
        let id: uuid::Uuid = id.parse().map_err(|_| Refusal::NoUpload)?;
        let folder = self.uploads(bucket).join(id.simple().to_string());
        let upload = read(&folder)?.filter(|upload| upload.key == key);
        Ok((folder, upload.ok_or(Refusal::NoUpload)?))
    }

    pub fn begin_upload(
        &self,
        bucket: &str,
        key: &str,
        class: String,
        attributes: Attributes,
        algorithm: Option<String>,
    ) -> Result<Upload> {
        self.bucket(bucket)?;
        if super::place::folder(key).is_none() {
            return Err(Refusal::KeyTooLong);
        }
        let upload = Upload {
            id: uuid::Uuid::now_v7().simple().to_string(),
            key: key.to_owned(),
            begun: self.clock.now(),
            class,
            attributes,
            algorithm,
        };
        let folder = self.uploads(bucket).join(&upload.id);
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_vec(&upload).map_err(io::Error::from)?;
        disk::write(&folder.join("upload.json"), &text, &self.unfinished())?;
        disk::sync_folder(&folder)?;
        disk::sync_folder(&self.uploads(bucket))?;
        disk::sync_folder(&self.bucket_folder(bucket))?;
        Ok(upload)
    }

    /// The algorithm whose checksum each part of an upload gets.
    pub fn upload_algorithm(&self, bucket: &str, key: &str, id: &str) -> Result<Option<String>> {
        Ok(self.upload_folder(bucket, key, id)?.1.algorithm)
    }

    /// Keeps a part, in place of an earlier one with its number.
    pub fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        received: Received,
    ) -> Result<Version> {
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(Refusal::Invalid("part numbers are 1 to 10000"));
        }
        let (folder, _) = self.upload_folder(bucket, key, id)?;
        let part = Version {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            number: number.unsigned_abs().into(),
            written: self.clock.now(),
            size_bytes: received.size_bytes,
            etag: hex(&received.md5),
            checksums: received.checksums,
            ..Version::default()
        };
        let mut file = received.made.open()?;
        format::describe(&mut file, &part)?;
        file.sync_all()?;
        received
            .made
            .place(&folder.join(part_name(number)))
            .map_err(|(_, error)| missing(error))?;
        disk::sync_folder(&folder).map_err(missing)?;
        Ok(part)
    }

    /// Makes an object of the parts.
    pub fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        wanted: &[Wanted],
        conditions: &Conditions,
    ) -> Result<Version> {
        let (folder, upload) = self.upload_folder(bucket, key, id)?;
        if wanted.is_empty() {
            return Err(Refusal::InvalidPart);
        }
        if wanted.windows(2).any(|two| two[0].number >= two[1].number) {
            return Err(Refusal::PartOrder);
        }
        let (made, mut whole) = Unfinished::new(&self.unfinished())?;
        let (mut tags, mut sums, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for (n, part) in wanted.iter().enumerate() {
            let (mut file, kept) = open_part(&folder, part.number)?.ok_or(Refusal::InvalidPart)?;
            if part.etag.as_ref().is_some_and(|etag| *etag != kept.etag) {
                return Err(Refusal::InvalidPart);
            }
            if n + 1 < wanted.len() && kept.size_bytes < PART_BYTES_MIN {
                return Err(Refusal::PartTooSmall);
            }
            file.rewind()?;
            let copied = io::copy(&mut file.take(kept.size_bytes), &mut whole)?;
            if copied != kept.size_bytes {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            tags.push(unhex(&kept.etag).ok_or(Refusal::InvalidPart)?);
            sums.push(kept.checksums);
            sizes.push(kept.size_bytes);
        }
        let version = Version {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size_bytes: sizes.iter().sum(),
            etag: etag_of_parts(&tags),
            class: upload.class,
            attributes: upload.attributes,
            checksums: composite(&sums),
            parts: sizes,
            ..Version::default()
        };
        let version = self.commit(made, version, conditions)?;
        // After a kill here it is still listed, and completing or aborting it again is harmless.
        remove(&folder)?;
        Ok(version)
    }

    pub fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<()> {
        let (folder, _) = self.upload_folder(bucket, key, id)?;
        remove(&folder)
    }

    /// The parts that have arrived, by number.
    pub fn list_parts(&self, bucket: &str, key: &str, id: &str) -> Result<(Upload, Vec<Version>)> {
        let (folder, upload) = self.upload_folder(bucket, key, id)?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".part"));
            let Some(number) = number.and_then(|number| number.parse().ok()) else {
                continue;
            };
            if let Some((_, part)) = open_part(&folder, number)? {
                parts.push(part);
            }
        }
        parts.sort_by_key(|part| part.number);
        Ok((upload, parts))
    }

    /// The uploads under way, by key and beginning.
    pub fn list_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>> {
        self.bucket(bucket)?;
        let mut found = Vec::new();
        let entries = match fs::read_dir(self.uploads(bucket)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            if let Some(upload) = read(&entry?.path())?
                && upload.key.starts_with(prefix)
            {
                found.push(upload);
            }
        }
        found.sort_by(|one, other| (&one.key, &one.id).cmp(&(&other.key, &other.id)));
        Ok(found)
    }

    /// Removes uploads that an earlier process began: nobody goes on with them.
    pub fn forget_uploads(&self) -> Result<()> {
        for (bucket, _) in self.list_buckets()? {
            match fs::remove_dir_all(self.uploads(&bucket)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn read(folder: &Path) -> Result<Option<Upload>> {
    match disk::read_text(&folder.join("upload.json"))? {
        Some(text) => Ok(Some(serde_json::from_str(&text).map_err(io::Error::from)?)),
        None => Ok(None),
    }
}

/// Its description first: without it there is no upload.
fn remove(folder: &Path) -> Result<()> {
    disk::remove(&folder.join("upload.json"))?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn part_name(number: i32) -> String {
    format!("{number:05}.part")
}

fn open_part(folder: &Path, number: i32) -> Result<Option<(File, Version)>> {
    match File::open(folder.join(part_name(number))) {
        Ok(mut file) => {
            let part = format::read(&mut file)?;
            Ok(Some((file, part)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The upload was completed or aborted meanwhile.
fn missing(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::NoUpload,
        _ => error.into(),
    }
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}
