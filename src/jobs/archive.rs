//! Archived files that a job has to read: it has them restored, and waits.

use crate::{
    domain::{
        restore::{RestoreSpeed, Seen},
        time::Micros,
    },
    objects::{ObjectError, Objects},
};
use anyhow::Context;

/// How often it is looked again whether they are readable, which takes hours.
pub(super) const POLL: Micros = Micros::from_secs(60);
/// For so long restored files are readable: files are made of them at once.
const RESTORED_DAYS: u16 = 3;

/// The key of the archived object that an error is about.
pub(super) fn archived(error: &anyhow::Error) -> Option<&str> {
    match error.downcast_ref() {
        Some(ObjectError::Archived(key)) => Some(key),
        _ => None,
    }
}

/// Has these objects restored where nobody has yet. Answers how many are not readable yet.
pub(super) async fn restore(objects: &Objects, keys: &[&str]) -> anyhow::Result<usize> {
    let mut left = 0;
    for key in keys {
        let seen = objects.restored(key).await;
        match seen.context("looking at an archived file")? {
            None | Some(Seen::Open | Seen::Restored { .. }) => continue,
            Some(Seen::Running) => {}
            Some(Seen::Archived) => {
                objects
                    .restore(key, RESTORED_DAYS, RestoreSpeed::Standard)
                    .await
                    .context("restoring a file")?;
            }
        }
        left += 1;
    }
    Ok(left)
}
