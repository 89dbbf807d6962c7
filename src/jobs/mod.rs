//! Jobs behind the live meetings: [`join`] joins a meeting's tracks, [`mix`] renders its mix from
//! them, [`transcript`] completes the transcript, [`remux`] brings tracks of earlier versions up to
//! date, [`peaks`] makes what waveforms of older files are drawn from, [`clean`] deletes what is not
//! needed any more, [`delete`] what somebody asked to delete. [`redact`] takes people out of
//! meetings, [`erase`] out of all of theirs. [`tier`] moves files to the storage tiers that they
//! belong into, [`restore`] has them back from the archive.
//! [`crate::worker`] claims them. [`retention`] asks for the deletion of what is kept no longer,
//! [`sweep`] looks through the bucket for what no row tells of: neither is a job.

mod archive;
pub mod clean;
pub mod delete;
pub mod erase;
mod fetch;
pub mod files;
mod fill;
mod inventory;
pub mod join;
mod known;
pub mod mix;
mod pass;
pub mod peaks;
pub mod redact;
mod refine;
pub mod remux;
pub mod restore;
pub mod retention;
pub mod sweep;
pub mod tier;
mod track;
mod transcribe;
pub mod transcript;

use crate::{
    domain::{
        fault::{Away, Fault},
        id::TenantId,
        time::Micros,
    },
    ledger::{Ledger, Unappended},
    objects::ObjectError,
    store::{
        Store, StoreError, Tx, event,
        job::{self, Job as Row},
    },
    worker::{Claimed, Outcome},
};
use std::io;

/// Why a job goes on later that could not write into the ledger.
async fn unwritten(ledger: &Ledger, tenant: TenantId, error: Unappended) -> anyhow::Error {
    match error {
        Unappended::Away(error) => ObjectError::Transient(error).into(),
        Unappended::Behind => match ledger.catch_up(tenant, false).await {
            Ok(_) => ObjectError::Transient("the database was behind the ledger".to_owned()).into(),
            Err(error) => error.into(),
        },
        error => {
            ledger.look_soon();
            error.into()
        }
    }
}

/// Commits what the ledger was told of.
async fn commit_told(ledger: &Ledger, tx: Tx) -> anyhow::Result<()> {
    let committed = tx.commit().await;
    if committed.is_err() {
        ledger.look_soon();
    }
    Ok(committed?)
}

/// A transaction under the meeting's head, in which the job is still its worker's.
async fn begin(store: &Store, claimed: &Claimed) -> anyhow::Result<Tx> {
    let mut tx = store.worker_tx().await?;
    event::lock(&mut tx, claimed.meeting()?).await?;
    let Row { id, epoch, .. } = claimed.job;
    job::hold(&mut tx, id, claimed.owner, epoch).await?;
    Ok(tx)
}

/// What a failure of a job means: nothing if the lease is lost, a wait if what it stands on is
/// away, an attempt else.
fn failed(error: anyhow::Error) -> Outcome {
    if let Some(StoreError::Fenced) = error.downcast_ref::<StoreError>() {
        return Outcome::Settled;
    }
    if let Some(StoreError::Going) = error.downcast_ref::<StoreError>() {
        // What it makes anew is being deleted, which may wait for storage.
        return Outcome::Waiting {
            away: Some(Away::Storage),
            at_least: Micros(0),
            error,
        };
    }
    match fault(&error) {
        Fault::Away(away) => Outcome::Waiting {
            away: Some(away),
            at_least: Micros(0),
            error,
        },
        _ => Outcome::Failed(error),
    }
}

/// The same for a job that is never given up: what would be an attempt is a wait, longer each time.
fn kept_on(job: &Row, error: anyhow::Error) -> Outcome {
    match failed(error) {
        Outcome::Failed(error) => Outcome::Waiting {
            away: None,
            at_least: Micros::from_secs(i64::from(job.waits.min(60)) + 1),
            error,
        },
        outcome => outcome,
    }
}

/// Whose fault an error of the job is.
fn fault(error: &anyhow::Error) -> Fault {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(error) = cause.downcast_ref::<ObjectError>() {
            return Some(error.fault());
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return Some(error.fault());
        }
        let error = cause.downcast_ref::<io::Error>()?;
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) || matches!(error.raw_os_error(), Some(23 | 24));
        full.then_some(Fault::Away(Away::Disk))
    };
    error.chain().find_map(of).unwrap_or(Fault::Ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_keeps_its_owner_whatever_is_said_around_it() {
        let of = |error: anyhow::Error| {
            fault(&error.context("storing a track").context("making the files"))
        };
        let full = || io::Error::new(io::ErrorKind::StorageFull, "no space left");
        let cases: [(anyhow::Error, Fault); 8] = [
            (
                ObjectError::Refused("403".into()).into(),
                Fault::Away(Away::Storage),
            ),
            (
                ObjectError::Transient("timed out".into()).into(),
                Fault::Away(Away::Storage),
            ),
            (ObjectError::Local(full()).into(), Fault::Away(Away::Disk)),
            (ObjectError::Missing("live/1".into()).into(), Fault::Theirs),
            (
                ObjectError::Unfit("no key of ours".into()).into(),
                Fault::Ours,
            ),
            (
                StoreError::from(sqlx::Error::PoolTimedOut).into(),
                Fault::Away(Away::Database),
            ),
            (
                Err::<(), _>(full())
                    .context("writing a file")
                    .expect_err("it failed"),
                Fault::Away(Away::Disk),
            ),
            (anyhow::anyhow!("libopus"), Fault::Ours),
        ];
        for (error, meant) in cases {
            let said = format!("{error:#}");
            assert_eq!(of(error), meant, "{said}");
        }
        assert_eq!(
            of(io::Error::from_raw_os_error(24).into()),
            Fault::Away(Away::Disk)
        );
    }
}
