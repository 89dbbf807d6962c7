//! Storing objects: in one piece or in parts, and verified before anybody hears of it.

use super::{
    ObjectError, Objects, Result, SHA256, Side, Stored,
    client::{fault, patience},
    hashing::{Hashing, hash_file},
    known,
    read::{BYTES_MAX, check},
};
use crate::domain::{
    consent::hex,
    tiering::{STANDARD, Tier},
};
use aws_sdk_s3::{
    primitives::{ByteStream, Length},
    types::{CompletedMultipartUpload, CompletedPart, StorageClass},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};
use std::{io, path::Path};

/// From this size on a file goes up in parts.
const MULTIPART_MIN: u64 = 64 << 20;
/// S3 takes at most 10,000 parts, so files up to 312 GiB.
const PART_BYTES: u64 = 32 << 20;

impl Objects {
    /// Stores a small object (≤ 64 MiB) and verifies it.
    pub async fn put_bytes(
        &self,
        key: &str,
        bytes: Vec<u8>,
        content_type: &str,
        tier: Tier,
    ) -> Result<Stored> {
        let stored = Stored {
            size_bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
            version: None,
        };
        if stored.size_bytes > BYTES_MAX {
            return Err(ObjectError::Unfit(format!(
                "{} bytes are too many for one piece",
                stored.size_bytes
            )));
        }
        let put = async {
            let version = self
                .put_piece(key, ByteStream::from(bytes), &stored, content_type, tier)
                .await?;
            self.verify(key, &stored, tier).await?;
            Ok(version)
        };
        let put = put.await;
        let version = self.seen(Side::Write, put)?;
        Ok(Stored { version, ..stored })
    }

    /// Stores a file and verifies it. The file must not change meanwhile; when it does this fails.
    pub async fn put_file(
        &self,
        key: &str,
        path: &Path,
        content_type: &str,
        tier: Tier,
    ) -> Result<Stored> {
        let stored = hash_file(path).await?;
        let put = async {
            if stored.size_bytes >= MULTIPART_MIN {
                let version = self
                    .put_parts(key, path, &stored, content_type, tier)
                    .await?;
                self.verify(key, &stored, tier).await?;
                // No server tells the SHA-256 of a whole object made of parts, so it is read again.
                if self.dialect.checksums {
                    self.read_again(key, &stored).await?;
                }
                return Ok(version);
            }
            let body = ByteStream::from_path(path)
                .await
                .map_err(|error| ObjectError::Local(io::Error::other(error)))?;
            let version = self
                .put_piece(key, body, &stored, content_type, tier)
                .await?;
            self.verify(key, &stored, tier).await?;
            Ok(version)
        };
        let put = put.await;
        let version = self.seen(Side::Write, put)?;
        Ok(Stored { version, ..stored })
    }

    /// STANDARD goes unsaid: some servers know no classes at all.
    fn class(&self, tier: Tier) -> Option<StorageClass> {
        let class = self.classes.of(tier);
        (class != STANDARD).then(|| StorageClass::from(class))
    }

    /// Whether what is stored is what was sent, by its content.
    pub(super) async fn read_again(&self, key: &str, stored: &Stored) -> Result<()> {
        let mut hash = Hashing::to(tokio::io::sink());
        self.download(key, &mut hash).await?;
        let again = hash.finish().await?;
        if (again.size_bytes, &again.sha256) == (stored.size_bytes, &stored.sha256) {
            Ok(())
        } else {
            Err(not_kept(key, "its content differs"))
        }
    }

    async fn put_piece(
        &self,
        key: &str,
        body: ByteStream,
        stored: &Stored,
        content_type: &str,
        tier: Tier,
    ) -> Result<Option<String>> {
        let checksum = self
            .dialect
            .checksums
            .then(|| BASE64.encode(unhex(&stored.sha256)));
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .body(body);
        let put = put
            .content_length(stored.size_bytes as i64)
            .content_type(content_type)
            .set_storage_class(self.class(tier))
            .set_checksum_sha256(checksum)
            .metadata(SHA256, &stored.sha256)
            .customize()
            .config_override(patience(stored.size_bytes))
            .send()
            .await
            .map_err(|error| fault(key, error))?;
        Ok(put.version_id)
    }

    async fn put_parts(
        &self,
        key: &str,
        path: &Path,
        stored: &Stored,
        content_type: &str,
        tier: Tier,
    ) -> Result<Option<String>> {
        let start = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(known(key)?);
        let started = start
            .content_type(content_type)
            .set_storage_class(self.class(tier))
            .metadata(SHA256, &stored.sha256)
            .send()
            .await
            .map_err(|error| fault(key, error))?;
        let upload = started
            .upload_id()
            .ok_or_else(|| ObjectError::Refused("an upload without an id".to_owned()))?;
        let done = self
            .put_all_parts(key, upload, path, stored.size_bytes)
            .await;
        if done.is_err() {
            self.abort_upload(key, upload).await;
        }
        done
    }

    pub(super) async fn abort_upload(&self, key: &str, upload: &str) {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload);
        if let Err(error) = abort.send().await {
            // The parts cost money until the bucket's own rules remove them.
            tracing::warn!(key, error = %fault(key, error), "an upload in parts could not be aborted");
        }
    }

    async fn put_all_parts(
        &self,
        key: &str,
        upload: &str,
        path: &Path,
        size: u64,
    ) -> Result<Option<String>> {
        let mut parts = Vec::new();
        let mut offset = 0;
        while offset < size {
            let length = PART_BYTES.min(size - offset);
            let number = parts.len() as i32 + 1;
            let body = ByteStream::read_from()
                .path(path)
                .offset(offset)
                .length(Length::Exact(length))
                .build()
                .await;
            let body = body.map_err(|error| ObjectError::Local(io::Error::other(error)))?;
            let put = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload)
                .part_number(number);
            let put = put
                .content_length(length as i64)
                .body(body)
                .customize()
                .config_override(patience(length));
            let put = put.send().await.map_err(|error| fault(key, error))?;
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(put.e_tag)
                    .build(),
            );
            offset += length;
        }
        let all = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload);
        let completed = complete
            .multipart_upload(all)
            .send()
            .await
            .map_err(|error| fault(key, error))?;
        Ok(completed.version_id)
    }

    /// Whether the server has what was sent. Where it says otherwise it does not keep its word, so
    /// nothing may be built on it: that is the storage's fault, not the object's.
    async fn verify(&self, key: &str, stored: &Stored, tier: Tier) -> Result<()> {
        let head = self
            .head(key)
            .await?
            .ok_or_else(|| not_kept(key, "it is not there"))?;
        check(key, stored, &head).map_err(|error| not_kept(key, error))?;
        if head.sha256.is_none() {
            return Err(not_kept(key, "its metadata is gone"));
        }
        let wanted = self.classes.of(tier);
        if head.class != wanted {
            tracing::warn!(
                key,
                wanted,
                got = head.class,
                "object storage chose another class"
            );
        }
        if self.dialect.checksums {
            Ok(())
        } else {
            self.read_again(key, stored).await
        }
    }
}

pub(super) fn not_kept(key: &str, why: impl std::fmt::Display) -> ObjectError {
    ObjectError::Refused(format!(
        "{key} was taken and then not kept as it was sent: {why}"
    ))
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_read_back() {
        let digest = Sha256::digest(b"hansard");
        assert_eq!(unhex(&hex(&digest)), digest.as_slice());
    }
}
