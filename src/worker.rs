//! Claims jobs, keeps their leases and runs them. What running means for each kind is handed in by `app`, so that this file
//! knows leases and nothing else.
//!
//! A wake-up from the queue makes it look at once; a sweep every [`SWEEP`] finds what a lost message or a dead worker left.

use crate::{
    domain::{
        id::{JobId, MeetingId},
        lease::{Lease, Renewal, Standing},
        limits::LEASE_RENEW,
        retry,
        time::Micros,
    },
    queue::{JobKind, Queue},
    store::{
        Store,
        job::{self, Job},
    },
};
use futures_util::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};
use uuid::Uuid;

/// How often due rows are looked for without being told.
const SWEEP: Duration = Duration::from_millis(500);

/// How a job ended.
#[derive(Debug)]
pub enum Outcome {
    /// Its effects and its end are committed by the job itself, or the lease is lost: nothing left to write.
    Settled,
    /// Mark it done.
    Done,
    /// Give it back to anybody.
    Release,
    Failed(anyhow::Error),
}

/// A claimed job with the standing of its lease.
pub struct Claimed {
    pub job: Job,
    pub owner: Uuid,
    pub lease: watch::Receiver<Standing>,
    /// Cancelled when the process stops taking and doing work.
    pub stop: CancellationToken,
}

/// What one kind of job means here.
pub struct Kind {
    pub kind: JobKind,
    /// Jobs of this kind at a time.
    pub room: usize,
    pub run: Arc<dyn Fn(Claimed) -> BoxFuture<'static, Outcome> + Send + Sync>,
}

struct Held {
    kind: JobKind,
    epoch: i64,
    meeting: MeetingId,
    lease: Lease,
    tell: watch::Sender<Standing>,
}

/// One process's worker.
pub struct Worker {
    pub store: Store,
    pub queue: Queue,
    /// This process; the `owner` of its leases.
    pub id: Uuid,
    pub kinds: Vec<Kind>,
    /// No new claims from here on.
    pub drain: CancellationToken,
    /// Running jobs are told to stop.
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

impl Worker {
    /// Runs until `drain`; leases are renewed until every job of this process ended.
    pub async fn run(self) {
        let held: Arc<Mutex<BTreeMap<JobId, Held>>> = Arc::default();
        let (wake, mut woken) = mpsc::channel::<()>(1);
        for kind in &self.kinds {
            let mut wakes = self.queue.wakes(kind.kind);
            let (wake, drain) = (wake.clone(), self.drain.clone());
            self.tasks.spawn(async move {
                while let Some(Some(_)) = drain.run_until_cancelled(wakes.recv()).await {
                    // Full means that a look is due anyway.
                    let _ = wake.try_send(());
                }
            });
        }
        let renewal = tokio::spawn(renew(self.store.clone(), self.id, held.clone()));
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.drain.cancelled() => break,
                _ = woken.recv() => {}
                _ = sweep.tick() => {}
            }
            for kind in &self.kinds {
                if let Err(error) = self.claim(kind, &held).await {
                    debug!(%error, kind = %kind.kind, "cannot claim jobs now");
                }
            }
        }
        while !lock(&held).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        renewal.abort();
    }

    async fn claim(&self, kind: &Kind, held: &Arc<Mutex<BTreeMap<JobId, Held>>>) -> anyhow::Result<()> {
        let running = lock(held).values().filter(|held| held.kind == kind.kind).count();
        let room = kind.room.saturating_sub(running);
        if room == 0 {
            return Ok(());
        }
        let mut tx = self.store.worker_tx().await?;
        let jobs = job::claim(&mut tx, &[kind.kind.as_str()], self.id, room as i64).await?;
        tx.commit().await?;
        for job in jobs {
            info!(job = %job.id, meeting = %job.meeting, kind = %kind.kind, epoch = job.epoch, "claimed a job");
            let (tell, lease) = watch::channel(Standing::Held);
            let id = job.id;
            lock(held).insert(
                id,
                Held { kind: kind.kind, epoch: job.epoch, meeting: job.meeting, lease: Lease::new(now()), tell },
            );
            let run = (kind.run)(Claimed { job: job.clone(), owner: self.id, lease, stop: self.stop.clone() });
            let (store, owner, held) = (self.store.clone(), self.id, held.clone());
            self.tasks.spawn(async move {
                // A panic ends one job, not the process; its message is logged by the panic hook.
                let outcome = match tokio::spawn(run).await {
                    Ok(outcome) => outcome,
                    Err(error) => Outcome::Failed(anyhow::anyhow!("the job stopped unexpectedly: {error}")),
                };
                settle(&store, owner, &job, outcome).await;
                lock(&held).remove(&id);
            });
        }
        Ok(())
    }
}

/// Writes how the job ended. When Postgres is away the lease runs out and somebody takes the job over, which is safe.
async fn settle(store: &Store, owner: Uuid, job: &Job, outcome: Outcome) {
    let mut failures = 0;
    loop {
        let done: anyhow::Result<()> = async {
            let mut tx = store.worker_tx().await?;
            match &outcome {
                Outcome::Settled => return Ok(()),
                Outcome::Done => job::finish(&mut tx, job.id, owner, job.epoch).await?,
                Outcome::Release => job::release(&mut tx, job.id, owner, job.epoch).await?,
                Outcome::Failed(error) => {
                    let next = retry::next(job.attempts, fastrand::f64());
                    warn!(job = %job.id, kind = job.kind, attempt = job.attempts, ?next, error = format!("{error:#}"), "a job failed");
                    job::fail(&mut tx, job.id, owner, job.epoch, &format!("{error:#}"), next).await?;
                }
            }
            tx.commit().await?;
            Ok(())
        }
        .await;
        match done {
            Ok(()) => return,
            Err(error) if failures >= 5 => {
                warn!(job = %job.id, error = format!("{error:#}"), "could not write how a job ended; its lease will run out");
                return;
            }
            Err(_) => {
                let wait = retry::backoff(failures, fastrand::f64());
                tokio::time::sleep(Duration::from_micros(wait.0.unsigned_abs())).await;
                failures += 1;
            }
        }
    }
}

async fn renew(store: Store, owner: Uuid, held: Arc<Mutex<BTreeMap<JobId, Held>>>) {
    let period = Duration::from_micros(LEASE_RENEW.0.unsigned_abs());
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked: Vec<(JobId, i64)> = lock(&held).iter().map(|(id, held)| (*id, held.epoch)).collect();
        if asked.is_empty() {
            continue;
        }
        let renewed = tokio::time::timeout(period * 2, async {
            let mut tx = store.worker_tx().await?;
            let renewed: BTreeSet<JobId> = job::renew(&mut tx, owner, &asked).await?.into_iter().collect();
            tx.commit().await?;
            anyhow::Ok(renewed)
        })
        .await;
        let mut held = lock(&held);
        for (id, epoch) in asked {
            let Some(held) = held.get_mut(&id).filter(|held| held.epoch == epoch) else { continue };
            let renewal = match &renewed {
                Ok(Ok(renewed)) if renewed.contains(&id) => Renewal::Renewed,
                Ok(Ok(_)) => Renewal::Refused,
                _ => Renewal::Unreachable,
            };
            let standing = held.lease.handle(renewal, now());
            if *held.tell.borrow() != standing {
                debug!(meeting = %held.meeting, kind = %held.kind, ?standing, "a lease changed");
                held.tell.send_replace(standing);
            }
        }
    }
}

fn now() -> Micros {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    Micros(START.elapsed().as_micros() as i64)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
