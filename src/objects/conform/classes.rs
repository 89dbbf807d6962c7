//! Storage classes, moving between them, and the archive.

use super::{Outcome, Suite, refused, said, same};
use crate::{
    domain::tiering::{STANDARD, Tier},
    objects::SHA256,
};
use aws_sdk_s3::{
    operation::{copy_object::builders::CopyObjectFluentBuilder, head_object::HeadObjectOutput},
    types::{ChecksumAlgorithm, MetadataDirective, RestoreRequest, StorageClass},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};

/// As the API's reference has it; S3 itself says `InvalidObjectState`.
const NOT_ACTIVE: &str = "ObjectNotInActiveTierError";
const CONTENT: &[u8] = b"hansard doctor, moved";

fn class(tier: Tier) -> StorageClass {
    StorageClass::from(tier.class())
}

impl Suite {
    async fn head(&self, key: &str) -> Result<HeadObjectOutput, String> {
        let head = self.client.head_object().bucket(&self.bucket).key(key);
        head.send().await.map_err(said)
    }

    async fn put_as(&self, key: &str, tier: Tier) -> Outcome {
        let put = self.putting(key, CONTENT).metadata(SHA256, "cafe");
        // Not a word of it where a store may know none.
        let class = (tier != Tier::Hot).then(|| class(tier));
        let put = put.set_storage_class(class);
        put.send().await.map(drop).map_err(said)
    }

    async fn is_in(&self, key: &str, tier: Tier) -> Outcome {
        let head = self.head(key).await?;
        let shown = head.storage_class().map(StorageClass::as_str);
        same("class", shown.unwrap_or(STANDARD), tier.class())
    }

    fn copying(&self, key: &str, tier: Tier) -> CopyObjectFluentBuilder {
        let copy = self.client.copy_object().bucket(&self.bucket).key(key);
        copy.copy_source(format!("{}/{key}", self.bucket))
            .metadata_directive(MetadataDirective::Copy)
            .storage_class(class(tier))
    }

    pub(super) async fn classes(&self) -> Outcome {
        for tier in [Tier::Hot, Tier::Warm, Tier::Cold] {
            let key = self.key(&format!("class-{}", tier.class()));
            self.put_as(&key, tier).await?;
            self.is_in(&key, tier).await?;
            same("content", self.get(&key).await?.as_slice(), CONTENT)?;
        }
        Ok(())
    }

    /// Onto its own key: links in flight stay good.
    pub(super) async fn copy_in_place(&self) -> Outcome {
        let key = self.key("moved");
        self.put_as(&key, Tier::Hot).await?;
        for tier in [Tier::Warm, Tier::Cold, Tier::Hot] {
            self.copying(&key, tier).send().await.map_err(said)?;
            self.is_in(&key, tier).await?;
            let head = self.head(&key).await?;
            same("content type", head.content_type(), Some("text/plain"))?;
            let kept = head.metadata().and_then(|metadata| metadata.get(SHA256));
            same("metadata", kept.map(String::as_str), Some("cafe"))?;
            same("content", self.get(&key).await?.as_slice(), CONTENT)?;
        }
        Ok(())
    }

    pub(super) async fn copy_checksum(&self) -> Outcome {
        let key = self.key("moved-with-checksum");
        self.put_as(&key, Tier::Hot).await?;
        let copy = self.copying(&key, Tier::Warm);
        let copy = copy.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let copied = copy.send().await.map_err(said)?;
        let result = copied
            .copy_object_result()
            .ok_or("a copy without a result")?;
        let wanted = BASE64.encode(Sha256::digest(CONTENT));
        same("SHA-256", result.checksum_sha256(), Some(wanted.as_str()))
    }

    pub(super) async fn archive(&self) -> Outcome {
        let key = self.key("archived");
        self.put_as(&key, Tier::Archive).await?;
        self.is_in(&key, Tier::Archive).await?;
        let wanted = (Some(403), "InvalidObjectState".to_owned());
        same(
            "answer to a GET",
            self.refusal(&key).await,
            Some(wanted.clone()),
        )?;
        let copied = self.copying(&key, Tier::Hot).send().await;
        // It has another name for this in some stores.
        match copied.err().map(|error| refused(&error)) {
            Some((Some(403), code)) if code == NOT_ACTIVE => Ok(()),
            answer => same("answer to a copy", answer, Some(wanted)),
        }
    }

    /// How long it takes is the store's business: asked for, and shown.
    pub(super) async fn restore(&self) -> Outcome {
        let key = self.key("restored");
        self.put_as(&key, Tier::Archive).await?;
        let ask = async || {
            let request = RestoreRequest::builder().days(1).build();
            let asked = self.client.restore_object().bucket(&self.bucket).key(&key);
            asked.restore_request(request).send().await
        };
        ask().await.map_err(said)?;
        let shown = self.head(&key).await?.restore.unwrap_or_default();
        if !shown.starts_with("ongoing-request=\"") {
            return Err(format!("a HEAD says {shown:?} of the restore"));
        }
        match ask().await {
            Ok(_) => {}
            Err(error) if refused(&error).1 == "RestoreAlreadyInProgress" => {}
            Err(error) => return Err(said(error)),
        }
        if shown.contains("expiry-date=\"") {
            same("content", self.get(&key).await?.as_slice(), CONTENT)?;
        }
        self.is_in(&key, Tier::Archive).await
    }
}
