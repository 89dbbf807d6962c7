//! Looks every second at what the process stands on, and tells the registry of [`crate::health`].

use crate::{
    domain::job::{JobKind, OpenJob},
    health::{self, Reason},
    objects::{self, Objects, diagnose},
    queue::Queue,
    store::{Store, backlog},
};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const PERIOD: Duration = Duration::from_secs(1);
/// The longest wait for Postgres's answer.
const PING_MAX: Duration = Duration::from_secs(3);
/// How long a queue may be unreachable before it is told: reconnecting takes a moment.
const QUEUE_AWAY_MAX: Duration = Duration::from_secs(5);

/// How often jobs are counted.
const COUNT_PERIOD: Duration = Duration::from_secs(10);
/// How often storage that is away is tried.
const STORAGE_PERIOD: Duration = Duration::from_secs(5);
/// How often it is looked into why it does not work.
const DIAGNOSIS_PERIOD: Duration = Duration::from_secs(60);

/// Postgres and the queue.
pub async fn run(store: Store, queue: Queue, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PERIOD))
        .await
        .is_some()
    {
        match tokio::time::timeout(PING_MAX, store.ping()).await {
            Ok(Ok(())) => health::restore(Reason::Database),
            Ok(Err(error)) => health::degrade(Reason::Database, error),
            Err(_) => health::degrade(
                Reason::Database,
                format!("no answer for {} s", PING_MAX.as_secs()),
            ),
        }
        match queue.unreachable_since().map(|since| since.elapsed()) {
            Some(away) if away > QUEUE_AWAY_MAX => {
                health::degrade(Reason::Broker, format!("away for {} s", away.as_secs()));
            }
            _ => health::restore(Reason::Broker),
        }
        health::process().remind();
    }
}

/// Counts jobs by kind and state, and sees when nobody takes a kind.
pub async fn jobs(store: Store, stop: CancellationToken) {
    let mut told: BTreeSet<(JobKind, OpenJob)> = BTreeSet::new();
    while stop
        .run_until_cancelled(tokio::time::sleep(COUNT_PERIOD))
        .await
        .is_some()
    {
        let counted = async {
            let mut tx = store.worker_tx().await?;
            backlog::counts(&mut tx).await
        };
        // Without Postgres nothing is known, and that is told elsewhere.
        let Ok(counts) = counted.await else { continue };
        let gauge = |kind: JobKind, state: OpenJob, count: i64| {
            let labels = [("kind", kind.as_str()), ("state", state.as_str())];
            metrics::gauge!("hansard_jobs", &labels).set(count as f64);
        };
        let now: BTreeSet<_> = counts
            .iter()
            .map(|count| (count.kind, count.state))
            .collect();
        for (kind, state) in told.difference(&now) {
            gauge(*kind, *state, 0);
        }
        for count in &counts {
            gauge(count.kind, count.state, count.count);
        }
        told = now;
        let untaken = backlog::untaken(&counts);
        for kind in JobKind::ALL {
            match untaken.iter().find(|(untaken, _)| *untaken == kind) {
                Some((_, count)) => health::degrade(
                    Reason::NoWorker(kind),
                    format!(
                        "{count} jobs are due and no worker takes them: start one whose --queues has {kind}"
                    ),
                ),
                None => health::restore(Reason::NoWorker(kind)),
            }
        }
    }
}

/// Makes the bucket where there is none, and tries storage that is away until it is back: in an
/// `api` nobody else would notice. Says in the log what to set when it is only spoken to in a way
/// that it does not understand.
pub async fn storage(objects: Objects, settings: objects::StorageConfig, stop: CancellationToken) {
    let mut diagnosed: Option<tokio::time::Instant> = None;
    let mut first = true;
    while stop
        .run_until_cancelled(tokio::time::sleep(if first {
            Duration::ZERO
        } else {
            STORAGE_PERIOD
        }))
        .await
        .is_some()
    {
        if !std::mem::take(&mut first) && !health::process().is_degraded(Reason::Storage) {
            continue;
        }
        let Some(probed) = stop.run_until_cancelled(objects.probe()).await else {
            return;
        };
        let Err(error) = probed else {
            health::restore(Reason::Storage);
            if diagnosed.take().is_some() {
                info!("object storage works");
            }
            continue;
        };
        health::degrade(Reason::Storage, &error);
        if diagnosed.is_none_or(|at| at.elapsed() > DIAGNOSIS_PERIOD) {
            let Some(diagnosis) = stop.run_until_cancelled(diagnose(&settings)).await else {
                return;
            };
            match diagnosis.mend() {
                Some(mend) => {
                    warn!(mend, "object storage does not work as it is set");
                    health::degrade(Reason::Storage, mend);
                }
                None => {
                    warn!(%error, "object storage does not work; media is kept in the spool and jobs wait")
                }
            }
            diagnosed = Some(tokio::time::Instant::now());
        }
    }
}
