//! Objects that are written once and never over.

use super::{
    Objects, Result, SHA256, Side,
    client::{fault, status},
    known,
};
use crate::domain::consent::hex;
use aws_sdk_s3::primitives::ByteStream;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha256};

impl Objects {
    /// Stores a small object unless there is another under this key, and reads it back. Answers
    /// whether it is there: `false`, the other one is.
    pub async fn put_new(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<bool> {
        // A store that does not know the condition would write over it.
        if self.head(key).await?.is_none() {
            let put = self.put_if_none(key, bytes, content_type).await;
            self.seen(Side::Write, put)?;
        }
        // What is there may be ours, also when the answer was lost and it was sent again.
        Ok(self.get_bytes(key).await? == bytes)
    }

    async fn put_if_none(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<()> {
        let sha256 = Sha256::digest(bytes);
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .if_none_match("*")
            .content_type(content_type)
            .metadata(SHA256, hex(&sha256))
            .set_checksum_sha256(self.dialect.checksums.then(|| BASE64.encode(sha256)))
            .body(ByteStream::from(bytes.to_vec()));
        match put.send().await {
            Ok(_) => Ok(()),
            // Somebody was quicker, or our first attempt was.
            Err(error) if status(&error) == Some(412) => Ok(()),
            Err(error) => Err(fault(key, error)),
        }
    }
}
