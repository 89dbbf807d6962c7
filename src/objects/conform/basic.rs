//! Objects as they are written, read, listed, linked and deleted.

use super::{Outcome, Suite, body, refused, said, same};
use crate::objects::SHA256;
use aws_sdk_s3::{
    presigning::PresigningConfig,
    types::{Delete, ObjectIdentifier},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};
use std::time::Duration;

const CONTENT: &[u8] = b"hansard doctor, 0123456789";

impl Suite {
    pub(super) async fn store(&self) -> Outcome {
        let key = self.key("store");
        let put = self.putting(&key, CONTENT).metadata(SHA256, "cafe");
        put.send().await.map_err(said)?;
        let head = self.client.head_object().bucket(&self.bucket).key(&key);
        let head = head.send().await.map_err(said)?;
        same("size", head.content_length(), Some(CONTENT.len() as i64))?;
        same("content type", head.content_type(), Some("text/plain"))?;
        let kept = head.metadata().and_then(|metadata| metadata.get(SHA256));
        same("metadata", kept.map(String::as_str), Some("cafe"))?;
        same("content", self.get(&key).await?.as_slice(), CONTENT)
    }

    pub(super) async fn missing(&self) -> Outcome {
        let key = self.key("missing");
        let head = self.client.head_object().bucket(&self.bucket).key(&key);
        let head = head.send().await.err().map(|error| refused(&error).0);
        same("status of a HEAD", head.flatten(), Some(404))?;
        let get = self.refusal(&key).await;
        same(
            "answer to a GET",
            get,
            Some((Some(404), "NoSuchKey".to_owned())),
        )
    }

    pub(super) async fn overwrite(&self) -> Outcome {
        let key = self.key("overwrite");
        for content in [b"first".as_slice(), b"second, which is longer", b"3rd"] {
            self.put(&key, content).await?;
            same("content", self.get(&key).await?.as_slice(), content)?;
        }
        Ok(())
    }

    pub(super) async fn checksum(&self) -> Outcome {
        if !self.checksums {
            return Err("S3_CHECKSUMS is off".to_owned());
        }
        let key = self.key("checksum");
        let sum = |content: &[u8]| BASE64.encode(Sha256::digest(content));
        let put = self.putting(&key, CONTENT).checksum_sha256(sum(CONTENT));
        put.send().await.map_err(said)?;
        let wrong = self.putting(&key, b"other").checksum_sha256(sum(CONTENT));
        match wrong.send().await {
            Err(error) if refused(&error).0 == Some(400) => {}
            Err(error) => return Err(said(error)),
            Ok(_) => return Err("it took other bytes than their SHA-256 says".to_owned()),
        }
        same("content", self.get(&key).await?.as_slice(), CONTENT)
    }

    pub(super) async fn range(&self) -> Outcome {
        let key = self.key("range");
        self.put(&key, CONTENT).await?;
        for (range, wanted) in [
            ("bytes=2-5", &CONTENT[2..6]),
            ("bytes=16-", &CONTENT[16..]),
            ("bytes=-4", &CONTENT[CONTENT.len() - 4..]),
        ] {
            let get = self.client.get_object().bucket(&self.bucket).key(&key);
            let got = get.range(range).send().await.map_err(said)?;
            let shown = got.content_range().unwrap_or_default().to_owned();
            let size = format!("/{}", CONTENT.len());
            if !shown.starts_with("bytes ") || !shown.ends_with(&size) {
                return Err(format!("{range}: the answer's range is {shown:?}"));
            }
            same(range, body(got).await?.as_slice(), wanted)?;
        }
        let get = self.client.get_object().bucket(&self.bucket).key(&key);
        let beyond = get.range("bytes=1000-").send().await;
        let status = beyond.err().map(|error| refused(&error).0);
        same("status beyond its end", status.flatten(), Some(416))
    }

    /// In the order of their bytes, a page at a time.
    pub(super) async fn list(&self) -> Outcome {
        let names =
            ["a", "a-b", "a/b", "a/c", "a0", "ab/c"].map(|name| self.key(&format!("list/{name}")));
        for key in names.iter().rev() {
            self.put(key, b"x").await?;
        }
        let mut found: Vec<String> = Vec::new();
        for _ in 0..names.len() {
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .max_keys(4);
            let page = page
                .prefix(self.key("list/"))
                .set_start_after(found.last().cloned());
            let page = page.send().await.map_err(said)?;
            let sizes = page.contents().iter().filter_map(|object| object.size());
            same("sizes", sizes.sum::<i64>(), page.contents().len() as i64)?;
            found.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| Some(object.key()?.to_owned())),
            );
            if page.is_truncated() != Some(true) {
                break;
            }
        }
        same("keys", found.as_slice(), names.as_slice())?;
        let grouped = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key("list/"))
            .delimiter("/");
        let grouped = grouped.send().await.map_err(said)?;
        let folders = grouped.common_prefixes().iter();
        let folders: Vec<&str> = folders.filter_map(|folder| folder.prefix()).collect();
        let wanted = ["list/a/", "list/ab/"].map(|name| self.key(name));
        same(
            "folders",
            folders,
            wanted.iter().map(String::as_str).collect(),
        )
    }

    pub(super) async fn delete(&self) -> Outcome {
        let key = self.key("delete");
        self.put(&key, CONTENT).await?;
        for _ in 0..2 {
            let delete = self.client.delete_object().bucket(&self.bucket).key(&key);
            delete.send().await.map_err(said)?;
            let status = self.refusal(&key).await.and_then(|(status, _)| status);
            same("status of a GET", status, Some(404))?;
        }
        Ok(())
    }

    pub(super) async fn delete_many(&self) -> Outcome {
        let keys = ["many/a", "many/b", "many/c"].map(|name| self.key(name));
        let mut list = Delete::builder();
        for (n, key) in keys.iter().enumerate() {
            // One of them is not there.
            if n != 1 {
                self.put(key, b"x").await?;
            }
            let object = ObjectIdentifier::builder().key(key).build();
            list = list.objects(object.map_err(|error| error.to_string())?);
        }
        let list = list.build().map_err(|error| error.to_string())?;
        let delete = self.client.delete_objects().bucket(&self.bucket);
        let done = delete.delete(list).send().await.map_err(said)?;
        same("errors", done.errors().len(), 0)?;
        for key in &keys {
            let status = self.refusal(key).await.and_then(|(status, _)| status);
            same("status of a GET", status, Some(404))?;
        }
        Ok(())
    }

    /// Without credentials, only as signed, and shown as asked.
    pub(super) async fn link(&self) -> Outcome {
        let key = self.key("link");
        self.put(&key, CONTENT).await?;
        let until = PresigningConfig::expires_in(Duration::from_secs(120));
        let until = until.map_err(|error| error.to_string())?;
        let (kind, name) = ("audio/x-test", "attachment; filename=\"a.mp4\"");
        let get = self.public.get_object().bucket(&self.bucket).key(&key);
        let get = get
            .response_content_type(kind)
            .response_content_disposition(name);
        let get = get.response_cache_control("private, no-store");
        let get = get.presigned(until.clone()).await.map_err(said)?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .map_err(|error| error.to_string())?;
        let failed = |error: reqwest::Error| format!("{error:?}");
        let answer = http.get(get.uri()).send().await.map_err(failed)?;
        same("status of a link", answer.status().as_u16(), 200)?;
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        same(
            "its content type",
            header("content-type").as_deref(),
            Some(kind),
        )?;
        same(
            "its name",
            header("content-disposition").as_deref(),
            Some(name),
        )?;
        let caching = header("cache-control");
        same("its caching", caching.as_deref(), Some("private, no-store"))?;
        let bytes = answer.bytes().await.map_err(failed)?;
        same("its content", bytes.as_ref(), CONTENT)?;
        let part = http.get(get.uri()).header("range", "bytes=2-5");
        let part = part.send().await.map_err(failed)?;
        same("status of a part", part.status().as_u16(), 206)?;
        let head = self.public.head_object().bucket(&self.bucket).key(&key);
        let head = head.presigned(until).await.map_err(said)?;
        let answer = http.head(head.uri()).send().await.map_err(failed)?;
        same("status of a link for HEAD", answer.status().as_u16(), 200)?;
        let forged = get.uri().replacen("/link?", "/store?", 1);
        let answer = http.get(forged).send().await.map_err(failed)?;
        same("status of a forged link", answer.status().as_u16(), 403)
    }

    pub(super) async fn only_once(&self) -> Outcome {
        let key = self.key("only-once");
        let put = |content: &[u8]| self.putting(&key, content).if_none_match("*").send();
        put(CONTENT).await.map_err(said)?;
        match put(b"again").await {
            Err(error) if refused(&error).0 == Some(412) => {}
            Err(error) => return Err(said(error)),
            Ok(_) => return Err("it was written over".to_owned()),
        }
        same("content", self.get(&key).await?.as_slice(), CONTENT)
    }
}
