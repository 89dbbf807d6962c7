//! Storage classes, moving between them, and the archive.

use super::{Outcome, Suite, refused, said, same};
use crate::{
    domain::tiering::{Classes, STANDARD, Tier, needs_restore},
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

/// The classes that the tiers are, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tried {
    /// Those that are read at any time; that of fresh recordings comes first.
    pub open: Vec<String>,
    pub archives: Vec<String>,
}

impl Tried {
    pub fn of(classes: &Classes) -> Self {
        let mut tried = Self::default();
        for tier in Tier::ALL {
            let class = classes.of(tier);
            let of_its_sort = if needs_restore(class) {
                &mut tried.archives
            } else {
                &mut tried.open
            };
            if !of_its_sort.iter().any(|known| known == class) {
                of_its_sort.push(class.to_owned());
            }
        }
        tried
    }

    /// The first class that a recording is moved to.
    pub fn second(&self) -> Option<&String> {
        self.open.get(1).or(self.archives.first())
    }
}

impl Suite {
    async fn head(&self, key: &str) -> Result<HeadObjectOutput, String> {
        let head = self.client.head_object().bucket(&self.bucket).key(key);
        head.send().await.map_err(said)
    }

    async fn put_as(&self, key: &str, class: &str) -> Outcome {
        let put = self.putting(key, CONTENT).metadata(SHA256, "cafe");
        // Not a word of it where a store may know none.
        let class = (class != STANDARD).then(|| StorageClass::from(class));
        let put = put.set_storage_class(class);
        put.send().await.map(drop).map_err(said)
    }

    async fn is_in(&self, key: &str, class: &str) -> Outcome {
        let head = self.head(key).await?;
        let shown = head.storage_class().map(StorageClass::as_str);
        same("class", shown.unwrap_or(STANDARD), class)
    }

    fn copying(&self, key: &str, class: &str) -> CopyObjectFluentBuilder {
        let copy = self.client.copy_object().bucket(&self.bucket).key(key);
        copy.copy_source(format!("{}/{key}", self.bucket))
            .metadata_directive(MetadataDirective::Copy)
            .storage_class(StorageClass::from(class))
    }

    fn hot(&self) -> &str {
        self.tried.open.first().map_or(STANDARD, String::as_str)
    }

    pub(super) async fn classes(&self) -> Outcome {
        for class in &self.tried.open {
            let key = self.key(&format!("class-{class}"));
            self.put_as(&key, class).await?;
            self.is_in(&key, class).await?;
            same("content", self.get(&key).await?.as_slice(), CONTENT)?;
        }
        Ok(())
    }

    /// Onto its own key: links in flight stay good.
    pub(super) async fn copy_in_place(&self) -> Outcome {
        let key = self.key("moved");
        self.put_as(&key, self.hot()).await?;
        let others = self.tried.open.iter().skip(1).map(String::as_str);
        for class in others.chain([self.hot()]) {
            self.copying(&key, class).send().await.map_err(said)?;
            self.is_in(&key, class).await?;
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
        self.put_as(&key, self.hot()).await?;
        let class = self.tried.second().ok_or("there is one class only")?;
        let copy = self.copying(&key, class);
        let copy = copy.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let copied = copy.send().await.map_err(said)?;
        let result = copied
            .copy_object_result()
            .ok_or("a copy without a result")?;
        let wanted = BASE64.encode(Sha256::digest(CONTENT));
        same("SHA-256", result.checksum_sha256(), Some(wanted.as_str()))
    }

    pub(super) async fn archive(&self) -> Outcome {
        for class in &self.tried.archives {
            let key = self.key(&format!("archived-{class}"));
            self.put_as(&key, class).await?;
            self.is_in(&key, class).await?;
            let wanted = (Some(403), "InvalidObjectState".to_owned());
            same(
                "answer to a GET",
                self.refusal(&key).await,
                Some(wanted.clone()),
            )?;
            let copied = self.copying(&key, self.hot()).send().await;
            // It has another name for this in some stores.
            match copied.err().map(|error| refused(&error)) {
                Some((Some(403), code)) if code == NOT_ACTIVE => {}
                answer => same("answer to a copy", answer, Some(wanted))?,
            }
        }
        Ok(())
    }

    pub(super) async fn restore(&self) -> Outcome {
        for class in &self.tried.archives {
            self.restore_of(class).await?;
        }
        Ok(())
    }

    /// How long it takes is the store's business: asked for, and shown.
    async fn restore_of(&self, class: &str) -> Outcome {
        let key = self.key(&format!("restored-{class}"));
        self.put_as(&key, class).await?;
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
        self.is_in(&key, class).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_that_is_set_is_tried_once() {
        let mut classes = Classes::default();
        let tried = |open: &[&str], archives: &[&str]| {
            let owned = |all: &[&str]| all.iter().map(|class| (*class).to_owned()).collect();
            Tried {
                open: owned(open),
                archives: owned(archives),
            }
        };
        assert_eq!(
            Tried::of(&classes),
            tried(
                &["STANDARD", "STANDARD_IA", "GLACIER_IR"],
                &["DEEP_ARCHIVE"]
            )
        );
        for (tier, class) in [(Tier::Cold, "GLACIER"), (Tier::Warm, STANDARD)] {
            classes.set(tier, class.to_owned()).expect("it may");
        }
        let set = Tried::of(&classes);
        assert_eq!(set, tried(&[STANDARD], &["GLACIER", "DEEP_ARCHIVE"]));
        assert_eq!(set.second().map(String::as_str), Some("GLACIER"));
    }
}
