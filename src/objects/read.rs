//! Reading: what there is, and objects fetched and verified.

use super::{
    Head, Listed, ObjectError, Objects, Result, SHA256, Side, Stored,
    client::{fault, status},
    hashing::Hashing,
    known,
};
use crate::domain::tiering::STANDARD;
use aws_sdk_s3::{operation::head_object::HeadObjectOutput, types::StorageClass};
use std::{path::Path, time::Duration};
use tokio::io::AsyncWriteExt;

/// Small objects in memory: transcripts, waveforms, cards.
pub(super) const BYTES_MAX: u64 = 64 << 20;
/// Between two pieces of a download.
const STALL_MAX: Duration = Duration::from_secs(20);

impl Objects {
    /// Fetches an object into a file, which appears only when complete and verified against our own
    /// hash.
    pub async fn get_file(&self, key: &str, path: &Path) -> Result<Stored> {
        let unfinished = path.with_added_extension("part");
        let fetched = async {
            let mut hash = Hashing::to(tokio::fs::File::create(&unfinished).await?);
            let head = self.download(key, &mut hash).await?;
            let stored = hash.finish().await?;
            check(key, &stored, &head)?;
            tokio::fs::rename(&unfinished, path).await?;
            Ok(stored)
        };
        let fetched = fetched.await;
        if fetched.is_err() {
            // It may never have been made.
            let _ = tokio::fs::remove_file(&unfinished).await;
        }
        self.seen(Side::Read, fetched)
    }

    /// Fetches an object into a file, whatever its content is: for one whose parts are verified by
    /// whoever reads it.
    pub async fn get_file_as_it_is(&self, key: &str, path: &Path) -> Result<Stored> {
        let fetched = async {
            let mut hash = Hashing::to(tokio::fs::File::create(path).await?);
            self.download(key, &mut hash).await?;
            hash.finish().await
        };
        let fetched = fetched.await;
        self.seen(Side::Read, fetched)
    }

    /// Fetches a small object (≤ 64 MiB), verified against our own hash.
    pub async fn get_bytes(&self, key: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut hash = Hashing::to(&mut bytes);
        hash.bytes_max = BYTES_MAX;
        let downloaded = self.download(key, &mut hash).await;
        let head = self.seen(Side::Read, downloaded)?;
        let stored = hash.finish().await?;
        check(key, &stored, &head)?;
        Ok(bytes)
    }

    /// What there is under the key; `None` when there is nothing.
    pub async fn head(&self, key: &str) -> Result<Option<Head>> {
        let asked = match self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .send()
            .await
        {
            Ok(output) => Ok(Some(head(&output))),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(fault(key, error)),
        };
        self.seen(Side::Read, asked)
    }

    /// The objects whose keys begin so, in the order of their keys, at most `limit`.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>> {
        self.list_after(prefix, None, limit).await
    }

    /// The same, only those behind this key.
    pub async fn list_after(
        &self,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Listed>> {
        let mut found: Vec<Listed> = Vec::new();
        let mut after = after;
        while found.len() < limit {
            let wanted = (limit - found.len()).min(1000) as i32;
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .max_keys(wanted);
            let page = request
                .set_start_after(after)
                .send()
                .await
                .map_err(|error| fault(prefix, error))?;
            let before = found.len();
            found.extend(page.contents().iter().filter_map(|object| {
                let size_bytes = object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0);
                Some(Listed {
                    key: object.key()?.to_owned(),
                    size_bytes,
                    tag: object.e_tag().map(str::to_owned),
                })
            }));
            if !page.is_truncated().unwrap_or(false) || found.len() == before {
                break;
            }
            after = found.last().map(|last| last.key.clone());
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What follows the prefix in keys up to the next `/`, with it: a page of a thousand such
    /// folders is one request, however much is in them.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        let mut next = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .delimiter("/")
                .set_continuation_token(next.take());
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) => return self.seen(Side::Read, Err(fault(prefix, error))),
            };
            let folders = page.common_prefixes().iter();
            found.extend(
                folders
                    .filter_map(|folder| Some(folder.prefix()?.strip_prefix(prefix)?.to_owned())),
            );
            next = page.next_continuation_token().map(str::to_owned);
            if !page.is_truncated().unwrap_or(false) || next.is_none() {
                return self.seen(Side::Read, Ok(found));
            }
        }
    }

    pub(super) async fn download<W: AsyncWriteExt + Unpin>(
        &self,
        key: &str,
        to: &mut Hashing<W>,
    ) -> Result<Head> {
        let get = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(known(key)?);
        let mut got = get.send().await.map_err(|error| fault(key, error))?;
        let head = Head {
            size_bytes: got
                .content_length()
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0),
            sha256: got
                .metadata()
                .and_then(|metadata| metadata.get(SHA256))
                .cloned(),
            class: class_of(got.storage_class()),
            version: got.version_id().map(str::to_owned),
            content_type: got.content_type().map(str::to_owned),
            restore: got.restore().map(str::to_owned),
        };
        loop {
            let piece = tokio::time::timeout(STALL_MAX, got.body.try_next()).await;
            let piece = piece
                .map_err(|_| ObjectError::Transient(format!("{key}: the download stalled")))?;
            match piece.map_err(|error| ObjectError::Transient(format!("{key}: {error}")))? {
                None => return Ok(head),
                Some(piece) => to.write(&piece).await?,
            }
        }
    }
}

/// S3 names none for STANDARD.
fn class_of(named: Option<&StorageClass>) -> String {
    named.map_or(STANDARD, StorageClass::as_str).to_owned()
}

pub(super) fn head(output: &HeadObjectOutput) -> Head {
    Head {
        size_bytes: output
            .content_length()
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(0),
        sha256: output
            .metadata()
            .and_then(|metadata| metadata.get(SHA256))
            .cloned(),
        class: class_of(output.storage_class()),
        version: output.version_id().map(str::to_owned),
        content_type: output.content_type().map(str::to_owned),
        restore: output.restore().map(str::to_owned),
    }
}

pub(super) fn check(key: &str, stored: &Stored, head: &Head) -> Result<()> {
    let differs = |what: String| {
        Err(ObjectError::Differs {
            key: key.to_owned(),
            what,
        })
    };
    if head.size_bytes != stored.size_bytes {
        return differs(format!(
            "{} bytes instead of {}",
            head.size_bytes, stored.size_bytes
        ));
    }
    match &head.sha256 {
        Some(sha256) if *sha256 != stored.sha256 => {
            differs(format!("SHA-256 {sha256} instead of {}", stored.sha256))
        }
        _ => Ok(()),
    }
}
