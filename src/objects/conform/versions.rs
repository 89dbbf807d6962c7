//! Versions, where the bucket keeps them: what is deleted has to go by its id.

use super::{Outcome, Suite, body, refused, said, same};

/// A line of a listing of versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub key: String,
    pub id: String,
    pub is_latest: bool,
    pub is_marker: bool,
}

impl Suite {
    /// All versions and markers of keys that begin so.
    pub(super) async fn lines(&self, prefix: &str) -> Result<Vec<Line>, String> {
        let mut found = Vec::new();
        let (mut key, mut id) = (None, None);
        loop {
            let list = self.client.list_object_versions().bucket(&self.bucket);
            let list = list
                .prefix(prefix)
                .set_key_marker(key)
                .set_version_id_marker(id);
            let page = list.send().await.map_err(said)?;
            let versions = page.versions().iter().filter_map(|version| {
                Some(Line {
                    key: version.key()?.to_owned(),
                    id: version.version_id()?.to_owned(),
                    is_latest: version.is_latest().unwrap_or(false),
                    is_marker: false,
                })
            });
            found.extend(versions);
            let markers = page.delete_markers().iter().filter_map(|marker| {
                Some(Line {
                    key: marker.key()?.to_owned(),
                    id: marker.version_id()?.to_owned(),
                    is_latest: marker.is_latest().unwrap_or(false),
                    is_marker: true,
                })
            });
            found.extend(markers);
            if page.is_truncated() != Some(true) {
                return Ok(found);
            }
            (key, id) = (page.next_key_marker, page.next_version_id_marker);
            if key.is_none() {
                return Err("a listing of versions that does not say how it goes on".to_owned());
            }
        }
    }

    async fn get_version(&self, key: &str, id: &str) -> Result<Vec<u8>, String> {
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        body(get.version_id(id).send().await.map_err(said)?).await
    }

    pub(super) async fn remove_version(&self, key: &str, id: &str) -> Outcome {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key);
        delete.version_id(id).send().await.map(drop).map_err(said)
    }

    async fn two(&self, key: &str) -> Result<[String; 2], String> {
        let mut ids = Vec::new();
        for content in [b"first".as_slice(), b"second"] {
            let id = self.put(key, content).await?;
            ids.push(id.ok_or("a version without an id")?);
        }
        ids.try_into().map_err(|_| "two of them".to_owned())
    }

    pub(super) async fn versions(&self) -> Outcome {
        let key = self.key("versions/a");
        let [first, second] = self.two(&key).await?;
        same(
            "an old version",
            self.get_version(&key, &first).await?.as_slice(),
            b"first",
        )?;
        same(
            "the current one",
            self.get(&key).await?.as_slice(),
            b"second",
        )?;
        let line = |id: String, is_latest| Line {
            key: key.clone(),
            id,
            is_latest,
            is_marker: false,
        };
        let wanted = vec![line(second, true), line(first, false)];
        same("versions", self.lines(&key).await?, wanted)
    }

    pub(super) async fn marker(&self) -> Outcome {
        let key = self.key("versions/b");
        let [first, _] = self.two(&key).await?;
        let delete = self.client.delete_object().bucket(&self.bucket).key(&key);
        let deleted = delete.send().await.map_err(said)?;
        same("a marker was made", deleted.delete_marker(), Some(true))?;
        let id = deleted.version_id().ok_or("a marker without an id")?;
        let status = self.refusal(&key).await.and_then(|(status, _)| status);
        same("status of a GET", status, Some(404))?;
        same(
            "an old version",
            self.get_version(&key, &first).await?.as_slice(),
            b"first",
        )?;
        let marked = self.lines(&key).await?;
        let marked = marked.iter().find(|line| line.is_marker);
        same(
            "the marker's id",
            marked.map(|line| line.id.as_str()),
            Some(id),
        )?;
        same(
            "it is current",
            marked.map(|line| line.is_latest),
            Some(true),
        )?;
        // Without its marker it is back.
        self.remove_version(&key, id).await?;
        same("content", self.get(&key).await?.as_slice(), b"second")
    }

    pub(super) async fn delete_version(&self) -> Outcome {
        let key = self.key("versions/c");
        let [first, second] = self.two(&key).await?;
        self.remove_version(&key, &second).await?;
        same("content", self.get(&key).await?.as_slice(), b"first")?;
        let get = self.client.get_object().bucket(&self.bucket).key(&key);
        let gone = get.version_id(&second).send().await.err();
        let gone = gone.map(|error| refused(&error));
        same(
            "a deleted version",
            gone,
            Some((Some(404), "NoSuchVersion".to_owned())),
        )?;
        self.remove_version(&key, &first).await?;
        same("what is left", self.lines(&key).await?, vec![])
    }
}
