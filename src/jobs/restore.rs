//! The job that has a recording restored from the archive: asks the store, and looks until it is
//! readable.

use crate::{
    clock::Clock,
    domain::{
        fault::Away,
        id::RecordingId,
        job::{JobKind, Subject},
        restore::Seen,
        time::Micros,
    },
    objects::{Objects, Restoring},
    store::{
        Store, Tx,
        job::{self, Job as Row},
        restore::{self, Asked},
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tracing::info;

/// Recordings at a time in one process: each is a question or two.
const RESTORES_MAX: usize = 16;
/// How often the store is asked how far it is, which takes hours.
const POLL: Micros = Micros::from_secs(60);
/// A restore of which the store knows nothing for so long after it was asked for is over.
const FORGOTTEN: TimeDelta = TimeDelta::days(3);

/// The job.
pub struct Restore {
    pub store: Store,
    pub objects: Objects,
    pub clock: Clock,
}

impl Job for Restore {
    fn kind(&self) -> JobKind {
        JobKind::Restore
    }

    fn room(&self, running: usize) -> usize {
        RESTORES_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { self.restore(&claimed).await })
    }

    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { super::failed(error) })
    }
}

impl Restore {
    async fn restore(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let Subject::Recording(id) = claimed.job.subject else {
            anyhow::bail!("a restore of a {}", claimed.job.subject);
        };
        let mut tx = self.begin(claimed).await?;
        let asked = restore::asked(&mut tx, id).await?;
        tx.commit().await?;
        // It was deleted, or made anew, or somebody else saw to it.
        let Some(asked) = asked else {
            return Ok(Outcome::Done);
        };
        let key = self
            .objects
            .key(&asked.blob_url)
            .context("a recording of another bucket")?;
        let mut seen = self.seen(key).await?;
        // What is readable anyway cannot be restored, and a restore that runs cannot be changed: it
        // is asked for more when it is through.
        if let (Some(days), Seen::Archived | Seen::Restored { .. }) = (asked.days, seen) {
            if self.objects.restore(key, days, asked.speed).await? == Restoring::Taken {
                let mut tx = self.begin(claimed).await?;
                restore::taken(&mut tx, asked.meeting, id, days).await?;
                tx.commit().await?;
            }
            seen = self.seen(key).await?;
        }
        self.tell(claimed, id, &asked, seen).await
    }

    async fn seen(&self, key: &str) -> anyhow::Result<Seen> {
        let seen = self.objects.restored(key).await?;
        seen.with_context(|| format!("there is no object {key}"))
    }

    async fn tell(
        &self,
        claimed: &Claimed,
        id: RecordingId,
        asked: &Asked,
        seen: Seen,
    ) -> anyhow::Result<Outcome> {
        // It may be on its way into the archive.
        if seen == Seen::Open && self.is_moving(asked).await? {
            return Ok(wait("it is moving"));
        }
        let now = self.clock.now();
        let until = match seen {
            Seen::Restored { until } => Some(until),
            Seen::Open => None,
            Seen::Archived if asked.days.is_none() && now - asked.asked_at > FORGOTTEN => None,
            Seen::Archived | Seen::Running => return Ok(wait("the store is restoring it")),
        };
        let mut tx = self.begin(claimed).await?;
        if let (Seen::Open, Some(days)) = (seen, asked.days) {
            restore::taken(&mut tx, asked.meeting, id, days).await?;
        }
        let more = restore::restored(&mut tx, asked.meeting, id, until).await?;
        if more {
            tx.commit().await?;
            return Ok(wait("it is readable, and to be so for longer"));
        }
        let Row { id: job, epoch, .. } = claimed.job;
        job::finish_or_run_again(&mut tx, job, claimed.owner, epoch).await?;
        tx.commit().await?;
        info!(?until, "a recording is restored");
        Ok(Outcome::Settled)
    }

    async fn is_moving(&self, asked: &Asked) -> anyhow::Result<bool> {
        let mut tx = self.store.worker_tx().await?;
        let open = job::is_open(&mut tx, JobKind::Tier, asked.meeting).await?;
        tx.commit().await?;
        Ok(open)
    }

    async fn begin(&self, claimed: &Claimed) -> anyhow::Result<Tx> {
        let mut tx = self.store.worker_tx().await?;
        let Row { id, epoch, .. } = claimed.job;
        job::hold(&mut tx, id, claimed.owner, epoch).await?;
        Ok(tx)
    }
}

fn wait(why: &'static str) -> Outcome {
    Outcome::Waiting {
        away: Some(Away::Storage),
        at_least: POLL,
        error: anyhow::anyhow!(why),
    }
}
