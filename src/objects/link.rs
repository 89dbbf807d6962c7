//! Links by which a browser fetches an object itself.

use super::{ObjectError, Objects, Result, client::fault, known};
use aws_sdk_s3::presigning::PresigningConfig;
use std::time::Duration;

/// How long a link to an object may be good.
pub const PRESIGN_MAX: Duration = Duration::from_secs(300);

/// The method that a link is signed for; it is refused with any other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    Get,
    Head,
}

/// What a browser does with a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    Inline,
    Attachment,
}

impl Objects {
    /// A link that fetches the object without credentials, by its public address, for at most
    /// [`PRESIGN_MAX`]. Asks nobody whether the object is there.
    pub async fn presign(
        &self,
        verb: Verb,
        key: &str,
        file_name: &str,
        content_type: &str,
        disposition: Disposition,
        valid: Duration,
    ) -> Result<String> {
        let until = PresigningConfig::expires_in(valid.min(PRESIGN_MAX));
        let until = until.map_err(|error| ObjectError::Unfit(error.to_string()))?;
        let (bucket, name, caching) = (&self.bucket, known(key)?, "private, no-store");
        let shown = content_disposition(file_name, disposition);
        let signed = match verb {
            Verb::Get => {
                let get = self
                    .public
                    .get_object()
                    .bucket(bucket)
                    .key(name)
                    .response_content_type(content_type);
                let get = get
                    .response_content_disposition(shown)
                    .response_cache_control(caching);
                get.presigned(until)
                    .await
                    .map_err(|error| fault(key, error))?
            }
            Verb::Head => {
                let head = self
                    .public
                    .head_object()
                    .bucket(bucket)
                    .key(name)
                    .response_content_type(content_type);
                let head = head
                    .response_content_disposition(shown)
                    .response_cache_control(caching);
                head.presigned(until)
                    .await
                    .map_err(|error| fault(key, error))?
            }
        };
        Ok(match &self.served_at {
            // Signed for the storage's own address: whoever serves it there asks under that.
            Some(base) => {
                let path = signed.uri().splitn(4, '/').nth(3).unwrap_or_default();
                format!("{base}/{path}")
            }
            None => signed.uri().to_owned(),
        })
    }
}

/// RFC 6266: a plain name for old readers, the true one in UTF-8.
fn content_disposition(file_name: &str, disposition: Disposition) -> String {
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let plain: String = file_name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || " ._-()".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for byte in file_name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_links_are_plain_and_true() {
        assert_eq!(
            content_disposition("Überblick \"1\".mp4", Disposition::Attachment),
            "attachment; filename=\"_berblick _1_.mp4\"; filename*=UTF-8''%C3%9Cberblick%20%221%22.mp4"
        );
    }
}
