//! Deleting: every version of an object, and the parts of uploads that nobody ended.

use super::{
    Objects, Result, Side,
    client::{fault, is_unknown, status},
    known,
};
use crate::domain::object_key::LiveSegment;
use aws_sdk_s3::error::ProvideErrorMetadata;
use chrono::{DateTime, Utc};
use futures_util::{TryStreamExt, stream};

/// Deletions on their way at a time: an hour of four tracks is 3,600 objects, and storage may be
/// far away.
const AT_ONCE: usize = 16;

/// Uploads that are listed at a time; of more, the rest is the next time's.
const UPLOADS_MAX: usize = 10_000;

/// An upload in parts that nobody ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    pub key: String,
    /// The store's name of it.
    pub id: String,
    /// `None`: the store does not say.
    pub begun: Option<DateTime<Utc>>,
}

impl Objects {
    /// Deletes an object, with all its versions where the bucket keeps them; that there is none is
    /// no error.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let deleted = async {
            // What a bucket does tells more surely than what it says whether it keeps versions.
            if self.delete_one(key, None).await? {
                self.delete_versions(key, |_| true).await?;
            }
            Ok(())
        };
        let deleted = deleted.await;
        self.seen(Side::Write, deleted)
    }

    /// Deletes objects with their versions, and parts of uploads that may become them.
    pub async fn delete_all(&self, keys: &[String]) -> Result<()> {
        let each = |key: String| async move {
            // Only what is large is stored in parts.
            if LiveSegment::parse(&key).is_none() {
                self.abort_uploads(&key).await?;
            }
            self.delete(&key).await
        };
        stream::iter(keys.iter().cloned().map(Ok))
            .try_for_each_concurrent(AT_ONCE, each)
            .await
    }

    /// Answers whether the bucket keeps versions.
    async fn delete_one(&self, key: &str, version: Option<&str>) -> Result<bool> {
        let delete = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .set_version_id(version.map(ToOwned::to_owned));
        match delete.send().await {
            Ok(done) => Ok(done.version_id.is_some() || done.delete_marker == Some(true)),
            Err(error) if status(&error) == Some(404) && error.code() != Some("NoSuchBucket") => {
                Ok(false)
            }
            Err(error) => Err(fault(key, error)),
        }
    }

    /// Deletes all versions of an object but the current one. Answers how many there were.
    pub async fn delete_noncurrent(&self, key: &str) -> Result<usize> {
        let deleted = self.delete_versions(key, |latest| !latest).await;
        self.seen(Side::Write, deleted)
    }

    /// Deletes the versions and markers of which it `goes`, by whether it is the latest; answers
    /// how many.
    async fn delete_versions(&self, key: &str, goes: impl Fn(bool) -> bool) -> Result<usize> {
        let mut deleted = 0;
        loop {
            let listed = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(known(key)?)
                .send()
                .await
                .map_err(|error| fault(key, error))?;
            let versions = listed
                .versions()
                .iter()
                .map(|one| (one.key(), one.version_id(), one.is_latest()));
            let markers = listed
                .delete_markers()
                .iter()
                .map(|one| (one.key(), one.version_id(), one.is_latest()));
            let ids: Vec<&str> = versions
                .chain(markers)
                // What the store does not say is taken for the latest.
                .filter(|(of, _, latest)| *of == Some(key) && goes(latest.unwrap_or(true)))
                .filter_map(|(_, id, _)| id)
                .collect();
            if ids.is_empty() {
                return Ok(deleted);
            }
            for id in ids {
                self.delete_one(key, Some(id)).await?;
                deleted += 1;
            }
        }
    }

    /// Aborts uploads in parts of this key that nobody ended, so that their parts go.
    pub async fn abort_uploads(&self, key: &str) -> Result<()> {
        let aborted = async {
            for upload in self.list_uploads(known(key)?).await? {
                if upload.key == key {
                    self.abort_one(&upload).await?;
                }
            }
            Ok(())
        };
        let aborted = aborted.await;
        self.seen(Side::Write, aborted)
    }

    /// The uploads in parts of the whole bucket that are not ended. None where the store does not
    /// know the question.
    pub async fn uploads(&self) -> Result<Vec<Upload>> {
        let listed = self.list_uploads("").await;
        self.seen(Side::Read, listed)
    }

    /// Aborts an upload in parts, so that its parts go; that there is none is no error.
    pub async fn abort(&self, upload: &Upload) -> Result<()> {
        known(&upload.key)?;
        let aborted = self.abort_one(upload).await;
        self.seen(Side::Write, aborted)
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        let (mut found, mut after) = (Vec::new(), (None, None));
        loop {
            let list = self
                .client
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_key_marker(after.0.take())
                .set_upload_id_marker(after.1.take());
            let page = match list.send().await {
                Ok(page) => page,
                // Its own rules remove them.
                Err(error) if is_unknown(&error) => return Ok(Vec::new()),
                Err(error) => return Err(fault(prefix, error)),
            };
            found.extend(page.uploads().iter().filter_map(|upload| {
                let begun = upload.initiated();
                Some(Upload {
                    key: upload.key()?.to_owned(),
                    id: upload.upload_id()?.to_owned(),
                    begun: begun.and_then(|at| DateTime::from_timestamp(at.secs(), 0)),
                })
            }));
            after = (
                page.next_key_marker().map(str::to_owned),
                page.next_upload_id_marker().map(str::to_owned),
            );
            if !page.is_truncated().unwrap_or(false)
                || after.0.is_none()
                || found.len() >= UPLOADS_MAX
            {
                return Ok(found);
            }
        }
    }

    async fn abort_one(&self, upload: &Upload) -> Result<()> {
        let abort = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(&upload.key)
            .upload_id(&upload.id);
        match abort.send().await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(fault(&upload.key, error)),
        }
    }
}
