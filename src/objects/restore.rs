//! Objects in the archive: asked for, and readable for a while.

use super::{Objects, Result, Side, client::fault, known};
use crate::domain::restore::{RestoreSpeed, Seen};
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    types::{GlacierJobParameters, RestoreRequest, Tier as Retrieval},
};

/// How a request for a restore was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restoring {
    /// It is under way, or ends later than before.
    Taken,
    /// An earlier one is under way, whose end cannot be changed yet.
    Busy,
}

impl Objects {
    /// Asks for an archived object to be readable for some days.
    pub async fn restore(&self, key: &str, days: u16, speed: RestoreSpeed) -> Result<Restoring> {
        let retrieval = match speed {
            RestoreSpeed::Standard => Retrieval::Standard,
            RestoreSpeed::Bulk => Retrieval::Bulk,
        };
        let how = GlacierJobParameters::builder().tier(retrieval).build();
        let request = RestoreRequest::builder()
            .days(days.into())
            .glacier_job_parameters(how.expect("its tier is given"))
            .build();
        let asked = self
            .client
            .restore_object()
            .bucket(&self.bucket)
            .key(known(key)?)
            .restore_request(request)
            .send()
            .await;
        let asked = match asked {
            Ok(_) => Ok(Restoring::Taken),
            Err(error) if error.code() == Some("RestoreAlreadyInProgress") => Ok(Restoring::Busy),
            Err(error) => Err(fault(key, error)),
        };
        self.seen(Side::Read, asked)
    }

    /// What the store says of a restore: `None` when there is no such object.
    pub async fn restored(&self, key: &str) -> Result<Option<Seen>> {
        let head = self.head(key).await?;
        Ok(head.map(|head| Seen::read(&head.class, head.restore.as_deref())))
    }
}
