//! What all calls have in common: the store, off the runtime's threads, and times in headers.

use super::store::{Result, Store};
use chrono::{DateTime, Utc};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{Timestamp, TimestampFormat},
};
use std::{sync::Arc, time::SystemTime};

#[derive(Clone)]
pub struct Service {
    pub store: Arc<Store>,
}

impl Service {
    /// Disks block.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(S3Error::with_source(
                S3ErrorCode::InternalError,
                Box::new(error),
            )),
        }
    }
}

pub fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from(SystemTime::from(at))
}

/// To the second, as headers have it.
pub fn instant(at: &Timestamp) -> Option<DateTime<Utc>> {
    let mut text = Vec::new();
    at.format(TimestampFormat::EpochSeconds, &mut text).ok()?;
    let seconds = std::str::from_utf8(&text).ok()?.split('.').next()?;
    DateTime::from_timestamp(seconds.parse().ok()?, 0)
}
