//! Uploads in parts.

use super::{Outcome, Suite, refused, said, same};
use crate::objects::SHA256;
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};

/// The smallest part that S3 takes before the last.
const PART_BYTES: usize = 5 << 20;

impl Suite {
    async fn begin(&self, key: &str) -> Result<String, String> {
        let begin = self.client.create_multipart_upload().bucket(&self.bucket);
        let begin = begin.key(key).content_type("text/plain");
        let begun = begin.metadata(SHA256, "cafe").send().await.map_err(said)?;
        begun.upload_id.ok_or("an upload without an id".to_owned())
    }

    async fn part(
        &self,
        key: &str,
        id: &str,
        number: i32,
        content: Vec<u8>,
    ) -> Result<CompletedPart, String> {
        let part = self.client.upload_part().bucket(&self.bucket).key(key);
        let part = part.upload_id(id).part_number(number);
        let done = part
            .body(ByteStream::from(content))
            .send()
            .await
            .map_err(said)?;
        let part = CompletedPart::builder().part_number(number);
        Ok(part.set_e_tag(done.e_tag).build())
    }

    pub(super) async fn parts(&self) -> Outcome {
        let key = self.key("parts");
        let id = self.begin(&key).await?;
        let first: Vec<u8> = (0..PART_BYTES).map(|n| (n % 251) as u8).collect();
        let second = b"the last part is short".to_vec();
        let parts = vec![
            self.part(&key, &id, 1, first.clone()).await?,
            self.part(&key, &id, 2, second.clone()).await?,
        ];
        let status = self.refusal(&key).await.and_then(|(status, _)| status);
        same("status of a GET before its end", status, Some(404))?;
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket);
        let complete = complete.key(&key).upload_id(&id);
        let complete = complete.multipart_upload(all.build());
        complete.send().await.map_err(said)?;
        let head = self.client.head_object().bucket(&self.bucket).key(&key);
        let head = head.send().await.map_err(said)?;
        same(
            "size",
            head.content_length(),
            Some((first.len() + second.len()) as i64),
        )?;
        same("content type", head.content_type(), Some("text/plain"))?;
        let kept = head.metadata().and_then(|metadata| metadata.get(SHA256));
        same("metadata", kept.map(String::as_str), Some("cafe"))?;
        if self.get(&key).await? != [first, second].concat() {
            return Err("its content differs".to_owned());
        }
        Ok(())
    }

    pub(super) async fn abort(&self) -> Outcome {
        let key = self.key("abort");
        let id = self.begin(&key).await?;
        let part = self.part(&key, &id, 1, b"never".to_vec()).await?;
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
        abort.key(&key).upload_id(&id).send().await.map_err(said)?;
        let all = CompletedMultipartUpload::builder().parts(part).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket);
        let complete = complete.key(&key).upload_id(&id).multipart_upload(all);
        match complete.send().await {
            Err(error) if refused(&error) == (Some(404), "NoSuchUpload".to_owned()) => Ok(()),
            Err(error) => Err(said(error)),
            Ok(_) => Err("an aborted upload could be completed".to_owned()),
        }
    }

    /// The ids of uploads under way below a prefix, with their keys.
    pub(super) async fn uploads(&self, prefix: &str) -> Result<Vec<(String, String)>, String> {
        let list = self.client.list_multipart_uploads().bucket(&self.bucket);
        let listed = list.prefix(prefix).send().await.map_err(said)?;
        let ids = listed.uploads().iter();
        let ids = ids
            .filter_map(|upload| Some((upload.key()?.to_owned(), upload.upload_id()?.to_owned())));
        Ok(ids.collect())
    }

    pub(super) async fn list_uploads(&self) -> Outcome {
        let key = self.key("uploads/one");
        let id = self.begin(&key).await?;
        let prefix = self.key("uploads/");
        same(
            "uploads",
            self.uploads(&prefix).await?,
            vec![(key.clone(), id.clone())],
        )?;
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
        abort.key(&key).upload_id(&id).send().await.map_err(said)?;
        same(
            "uploads after it was aborted",
            self.uploads(&prefix).await?,
            vec![],
        )
    }
}
