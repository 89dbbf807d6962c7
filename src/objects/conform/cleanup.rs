//! Leaves nothing behind.

use super::{Suite, said};

impl Suite {
    /// Removes everything below the prefix: versions, objects and uploads. What one call cannot do
    /// another may.
    pub(super) async fn clean_up(&self, keeps_versions: bool) -> Result<(), String> {
        let mut wrong = Vec::new();
        if let Ok(uploads) = self.uploads(&self.prefix).await {
            for (key, id) in uploads {
                let abort = self.client.abort_multipart_upload().bucket(&self.bucket);
                if let Err(error) = abort.key(&key).upload_id(&id).send().await {
                    wrong.push(format!("{key}: {}", said(error)));
                }
            }
        }
        if keeps_versions {
            for line in self.lines(&self.prefix).await? {
                if let Err(error) = self.remove_version(&line.key, &line.id).await {
                    wrong.push(format!("{} {}: {error}", line.key, line.id));
                }
            }
        }
        loop {
            let list = self.client.list_objects_v2().bucket(&self.bucket);
            let page = list.prefix(&self.prefix).send().await.map_err(said)?;
            let before = wrong.len();
            for key in page.contents().iter().filter_map(|object| object.key()) {
                let delete = self.client.delete_object().bucket(&self.bucket).key(key);
                if let Err(error) = delete.send().await {
                    wrong.push(format!("{key}: {}", said(error)));
                }
            }
            if page.contents().is_empty() || wrong.len() > before {
                break;
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("; "))
        }
    }
}
