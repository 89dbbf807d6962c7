//! Moving an object into another storage class, by a copy onto its own key. A copy counts when the
//! store itself says that its content hashes to what we stored, or when it was read again.

use super::{
    Head, ObjectError, Objects, Result, SHA256, Side, Stored,
    client::{described, fault, patience, status},
    hashing::Hashing,
    known,
    read::head,
    write::{not_kept, unhex},
};
use crate::domain::tiering::needs_restore;
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{
        ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart,
        MetadataDirective, StorageClass,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

/// S3 copies at most so much in one piece.
pub const COPY_BYTES_MAX: u64 = 5 << 30;
/// S3's smallest part before the last.
const PART_BYTES_MIN: u64 = 5 << 20;
/// The largest part, so that one copy takes minutes at most.
const PART_BYTES_MAX: u64 = 1 << 30;
/// S3 takes at most so many.
const PARTS_MAX: u64 = 10_000;

/// What an object has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted<'a> {
    pub size_bytes: u64,
    pub sha256: &'a str,
    /// What the store says of it where it was copied in parts ([`Pieces::sum`]).
    pub sum: Option<&'a str>,
}

/// An object as it is copied in parts: the SHA-256 of each, in base 64 as S3 tells them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pieces {
    length: u64,
    sums: Vec<String>,
    /// What the store will say of the whole.
    pub sum: String,
}

/// Hashes what is written, piece by piece.
struct Splitting {
    length: u64,
    filled: u64,
    hash: Sha256,
    sums: Vec<[u8; 32]>,
}

impl Splitting {
    fn end(&mut self) {
        let hash = std::mem::take(&mut self.hash);
        self.sums.push(hash.finalize().into());
        self.filled = 0;
    }
}

impl AsyncWrite for Splitting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = usize::try_from(self.length - self.filled).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        self.hash.update(taken);
        self.filled += taken.len() as u64;
        if self.filled == self.length {
            self.end();
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How long the parts of a copy are.
fn part_length(size_bytes: u64, copy_bytes_max: u64) -> u64 {
    copy_bytes_max
        .min(PART_BYTES_MAX)
        .max(size_bytes.div_ceil(PARTS_MAX))
        .max(PART_BYTES_MIN)
}

impl Objects {
    /// Reads an object that is too large to be copied in one piece, checks it, and hashes its
    /// parts. `None`: it is copied in one piece.
    pub async fn pieces(&self, key: &str, wanted: Wanted<'_>) -> Result<Option<Pieces>> {
        if wanted.size_bytes <= self.copy_bytes_max {
            return Ok(None);
        }
        let length = part_length(wanted.size_bytes, self.copy_bytes_max);
        let mut splitting = Splitting {
            length,
            filled: 0,
            hash: Sha256::new(),
            sums: Vec::new(),
        };
        let mut hash = Hashing::to(&mut splitting);
        let read = self.download(key, &mut hash).await;
        self.seen(Side::Read, read)?;
        let stored = hash.finish().await?;
        if (stored.size_bytes, stored.sha256.as_str()) != (wanted.size_bytes, wanted.sha256) {
            return Err(differs(key, "its content changed"));
        }
        if splitting.filled > 0 {
            splitting.end();
        }
        let mut all = Sha256::new();
        for sum in &splitting.sums {
            all.update(sum);
        }
        let sum = format!("{}-{}", BASE64.encode(all.finalize()), splitting.sums.len());
        Ok(Some(Pieces {
            length,
            sums: splitting
                .sums
                .iter()
                .map(|sum| BASE64.encode(sum))
                .collect(),
            sum,
        }))
    }

    /// Puts an object into a class, by a copy onto its own key, unless it is there already; and
    /// sees that it is what it has to be. Answers with the store's name of it, where there are
    /// versions.
    ///
    /// # Errors
    /// [`ObjectError::Missing`] when there is no such object, [`ObjectError::Differs`] when it is
    /// another one.
    pub async fn transfer(
        &self,
        key: &str,
        class: &str,
        wanted: Wanted<'_>,
        pieces: Option<&Pieces>,
    ) -> Result<Option<String>> {
        let (before, sum) = self.head_with_sum(key).await?;
        if before.class == class {
            // An earlier try got as far.
            self.check_copy(key, class, &before, sum.as_deref(), wanted)
                .await?;
            return Ok(before.version);
        }
        is_wanted(key, &before, wanted)?;
        let copied = match pieces {
            None => self.copy_whole(key, class, wanted.size_bytes).await,
            Some(pieces) => self.copy_parts(key, class, &before, wanted, pieces).await,
        };
        // That there is nothing to copy does not mean that there is no bucket.
        let side = match &copied {
            Err(ObjectError::Missing(_)) => Side::Read,
            _ => Side::Write,
        };
        let said = self.seen(side, copied)?;
        let (after, sum) = self.head_with_sum(key).await?;
        // Some say it of a copy and not afterwards.
        let sum = sum.or(said);
        self.check_copy(key, class, &after, sum.as_deref(), wanted)
            .await?;
        Ok(after.version)
    }

    /// With the SHA-256 that the store itself knows.
    async fn head_with_sum(&self, key: &str) -> Result<(Head, Option<String>)> {
        let mode = self.dialect.checksums.then_some(ChecksumMode::Enabled);
        let asked = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .set_checksum_mode(mode)
            .send()
            .await;
        let asked = match asked {
            Ok(output) => Ok((head(&output), output.checksum_sha256().map(str::to_owned))),
            Err(error) if status(&error) == Some(404) => Err(ObjectError::Missing(key.to_owned())),
            Err(error) => Err(fault(key, error)),
        };
        self.seen(Side::Read, asked)
    }

    async fn check_copy(
        &self,
        key: &str,
        class: &str,
        head: &Head,
        sum: Option<&str>,
        wanted: Wanted<'_>,
    ) -> Result<()> {
        is_wanted(key, head, wanted)?;
        if head.class != class {
            let chosen = &head.class;
            return Err(no_class(class, format!("a copy is in {chosen}")));
        }
        let whole = BASE64.encode(unhex(wanted.sha256));
        match sum {
            Some(sum) if sum == whole || Some(sum) == wanted.sum => Ok(()),
            Some(sum) if !sum.contains('-') => Err(differs(key, "the store hashed something else")),
            // Of other parts, or unknown.
            _ if needs_restore(class) => Err(not_kept(
                key,
                format!(
                    "the store does not say the SHA-256 of a copy, and {class} cannot be read again: let the \
                     archive be a class that can (--s3-class-archive)"
                ),
            )),
            _ => {
                let stored = Stored {
                    size_bytes: wanted.size_bytes,
                    sha256: wanted.sha256.to_owned(),
                    version: None,
                };
                self.read_again(key, &stored).await
            }
        }
    }

    fn source(&self, key: &str) -> Result<String> {
        Ok(format!("{}/{}", self.bucket, known(key)?))
    }

    /// Answers with the SHA-256 of the copy, if the store says it.
    async fn copy_whole(&self, key: &str, class: &str, size_bytes: u64) -> Result<Option<String>> {
        let checksum = self.dialect.checksums.then_some(ChecksumAlgorithm::Sha256);
        let copied = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .copy_source(self.source(key)?)
            .storage_class(StorageClass::from(class))
            .metadata_directive(MetadataDirective::Copy)
            .set_checksum_algorithm(checksum)
            .customize()
            .config_override(patience(size_bytes))
            .send()
            .await
            .map_err(|error| copy_fault(key, class, error))?;
        let said = copied.copy_object_result();
        Ok(said
            .and_then(|said| said.checksum_sha256())
            .map(str::to_owned))
    }

    async fn copy_parts(
        &self,
        key: &str,
        class: &str,
        before: &Head,
        wanted: Wanted<'_>,
        pieces: &Pieces,
    ) -> Result<Option<String>> {
        let checksum = self.dialect.checksums.then_some(ChecksumAlgorithm::Sha256);
        // Parts of a worker that died with it.
        self.abort_uploads(key).await?;
        let begin = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(known(key)?)
            .set_content_type(before.content_type.clone())
            .storage_class(StorageClass::from(class))
            .metadata(SHA256, wanted.sha256)
            .set_checksum_algorithm(checksum);
        let begun = begin
            .send()
            .await
            .map_err(|error| copy_fault(key, class, error))?;
        let upload = begun
            .upload_id()
            .ok_or_else(|| ObjectError::Refused("an upload without an id".to_owned()))?;
        let done = self
            .copy_all_parts(key, upload, wanted.size_bytes, pieces)
            .await;
        if done.is_err() {
            self.abort_upload(key, upload).await;
        }
        done
    }

    async fn copy_all_parts(
        &self,
        key: &str,
        upload: &str,
        size_bytes: u64,
        pieces: &Pieces,
    ) -> Result<Option<String>> {
        let mut parts = Vec::new();
        for (n, wanted) in pieces.sums.iter().enumerate() {
            let first = n as u64 * pieces.length;
            let length = pieces.length.min(size_bytes - first);
            let number = n as i32 + 1;
            let copied = self
                .client
                .upload_part_copy()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload)
                .part_number(number)
                .copy_source(self.source(key)?)
                .copy_source_range(format!("bytes={first}-{}", first + length - 1))
                .customize()
                .config_override(patience(length))
                .send()
                .await
                .map_err(|error| fault(key, error))?;
            let copied = copied
                .copy_part_result()
                .ok_or_else(|| not_kept(key, "a part was copied without a result"))?;
            let sum = copied.checksum_sha256();
            if sum.is_some_and(|sum| sum != wanted) {
                return Err(differs(key, format!("the copy of part {number}")));
            }
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(copied.e_tag().map(str::to_owned))
                .set_checksum_sha256(sum.map(str::to_owned));
            parts.push(part.build());
        }
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload);
        let completed = complete
            .multipart_upload(all.build())
            .send()
            .await
            .map_err(|error| fault(key, error))?;
        Ok(completed.checksum_sha256().map(str::to_owned))
    }
}

/// By its size, and by what was noted of it when it was stored.
fn is_wanted(key: &str, head: &Head, wanted: Wanted<'_>) -> Result<()> {
    let bytes = head.size_bytes;
    if bytes != wanted.size_bytes {
        let what = format!("{bytes} bytes instead of {}", wanted.size_bytes);
        return Err(differs(key, what));
    }
    match head.sha256.as_deref() {
        Some(own) if own != wanted.sha256 => Err(differs(key, "it says that it is another")),
        _ => Ok(()),
    }
}

fn no_class(class: &str, said: String) -> ObjectError {
    ObjectError::NoClass {
        class: class.to_owned(),
        said,
    }
}

/// That a store does not know a class, or no change of it, is no reason to wait.
fn copy_fault<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    key: &str,
    class: &str,
    error: SdkError<E>,
) -> ObjectError {
    let is_unknown = status(&error) == Some(501)
        || matches!(error.code(), Some("InvalidStorageClass" | "NotImplemented"));
    if is_unknown {
        no_class(class, described(&error))
    } else {
        fault(key, error)
    }
}

fn differs(key: &str, what: impl Into<String>) -> ObjectError {
    ObjectError::Differs {
        key: key.to_owned(),
        what: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_long_as_s3_takes_them() {
        assert_eq!(part_length(6 << 30, COPY_BYTES_MAX), 1 << 30);
        assert_eq!(part_length(20 << 20, 6 << 20), 6 << 20);
        assert_eq!(part_length(20 << 20, 1), PART_BYTES_MIN);
        let huge = 48_u64 << 40;
        assert!(huge.div_ceil(part_length(huge, COPY_BYTES_MAX)) <= PARTS_MAX);
    }
}
