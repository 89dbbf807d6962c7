//! Claims jobs, keeps their leases and runs them. What running and failing mean says each kind's
//! [`Job`], so that this file knows leases and nothing else.
//!
//! A wake-up from the queue makes it look at once; a sweep every [`SWEEP`] finds what a lost
//! message or a dead worker left. A live meeting whose lease ran out is taken from its holder only
//! as `domain/lease` says ([`Wanted`]).

use crate::{
    domain::{
        fault::{self, Away},
        id::{JobId, MeetingId},
        job::Subject,
        lease::{Holder, Lease, LeaseState, Renewal, Step, Wanted},
        limits::{LEASE_ASK, LEASE_RENEW},
        retry,
        time::Micros,
    },
    queue::{JobKind, Queue, message::Wake},
    store::{
        Store, Tx,
        job::{self, Job as Row},
        lease,
    },
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span, debug, info, info_span, warn};
use uuid::Uuid;

/// How often due rows are looked for without being told.
const SWEEP: Duration = Duration::from_millis(500);
/// Holders that are being asked whether they live; each has its answer within a second.
const ASKED_MAX: usize = 256;

/// How a job ended.
#[derive(Debug)]
pub enum Outcome {
    /// Its effects and its end are committed by the job itself, or the lease is lost: nothing left
    /// to write.
    Settled,
    /// Mark it done.
    Done,
    /// Give it back to anybody.
    Release,
    /// Something that it stands on is away: nothing is counted against it, and it is tried again
    /// after a while, at least this long.
    Waiting {
        /// `None`: nothing is away; the error says what comes first.
        away: Option<Away>,
        at_least: Micros,
        error: anyhow::Error,
    },
    Failed(anyhow::Error),
}

/// A claimed job with the state of its lease.
pub struct Claimed {
    pub job: Row,
    pub owner: Uuid,
    pub lease: watch::Receiver<LeaseState>,
    /// Cancelled when the process stops taking and doing work.
    pub stop: CancellationToken,
}

impl Claimed {
    /// The meeting that the job is about; of a kind that is about something else, an error.
    pub fn meeting(&self) -> anyhow::Result<MeetingId> {
        self.job
            .subject
            .meeting()
            .with_context(|| format!("a job {} about a {}", self.job.kind, self.job.subject))
    }
}

/// One kind of job. A row's kind and its subject are its key, so a kind has one job of each.
pub trait Job: Send + Sync {
    fn kind(&self) -> JobKind;

    /// How many more jobs of this kind are taken, with so many running.
    fn room(&self, running: usize) -> usize;

    /// Runs a claimed one. It may run again from the start, also while an earlier run of it has not
    /// noticed yet that its lease is lost.
    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>>;

    /// What it means that it failed: most often [`Outcome::Failed`], which counts an attempt.
    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome>;
}

struct Held {
    kind: JobKind,
    epoch: i64,
    lease: Lease,
    state: watch::Sender<LeaseState>,
    /// The job's, for what is logged of its lease.
    span: Span,
}

/// One process's worker.
pub struct Worker {
    pub store: Store,
    pub queue: Queue,
    /// This process; the `owner` of its leases.
    pub id: Uuid,
    /// Owners that are known to be dead: this data folder's before.
    pub dead: Vec<Uuid>,
    pub jobs: Vec<Arc<dyn Job>>,
    /// No new claims from here on.
    pub drain: CancellationToken,
    /// Running jobs are told to stop.
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// Leases of live meetings that ran out elsewhere, by job and epoch, and the answers of their
/// holders.
struct Wants {
    wanted: BTreeMap<(JobId, i64), Wanted>,
    answers: mpsc::Sender<((JobId, i64), Holder)>,
}

impl Worker {
    /// Runs until `drain`; leases are renewed, and questions whether this process lives answered,
    /// until every job of it ended.
    pub async fn run(self) {
        let _living = self.queue.live_as(self.id).await;
        let (answers, mut answered) = mpsc::channel(ASKED_MAX);
        let mut wants = Wants {
            wanted: BTreeMap::new(),
            answers,
        };
        let held: Arc<Mutex<BTreeMap<JobId, Held>>> = Arc::default();
        let (wake, mut woken) = mpsc::channel::<()>(1);
        for kind in &self.jobs {
            let mut wakes = self.queue.wakes(kind.kind());
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
                Some((which, holder)) = answered.recv() => {
                    if let Some(wanted) = wants.wanted.get_mut(&which) {
                        wanted.answered(holder, now());
                    }
                }
                _ = sweep.tick() => {}
            }
            for kind in &self.jobs {
                if let Err(error) = self.claim(kind, &held, &mut wants).await {
                    // Nobody could renew meanwhile, so every holder has its time again.
                    wants.wanted.clear();
                    debug!(%error, kind = %kind.kind(), "cannot claim jobs now");
                }
            }
        }
        while !held.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        renewal.abort();
    }

    async fn claim(
        &self,
        kind: &Arc<dyn Job>,
        held: &Arc<Mutex<BTreeMap<JobId, Held>>>,
        wants: &mut Wants,
    ) -> anyhow::Result<()> {
        let running = held
            .lock()
            .values()
            .filter(|held| held.kind == kind.kind())
            .count();
        let room = kind.room(running);
        if room == 0 {
            if kind.kind() == JobKind::Capture {
                wants.wanted.clear();
            }
            return Ok(());
        }
        let mut tx = self.store.worker_tx().await?;
        let mut jobs = lease::claim(
            &mut tx,
            &[kind.kind().as_str()],
            self.id,
            &self.dead,
            room as i64,
        )
        .await?;
        let left = room.saturating_sub(jobs.len());
        if kind.kind() == JobKind::Capture && left > 0 {
            jobs.extend(self.take_over(&mut tx, left, wants).await?);
        }
        tx.commit().await?;
        for job in jobs {
            self.start(kind, job, held);
        }
        Ok(())
    }

    /// Takes at most `room` live meetings over that nobody holds any more.
    async fn take_over(
        &self,
        tx: &mut Tx,
        room: usize,
        wants: &mut Wants,
    ) -> anyhow::Result<Vec<Row>> {
        let expired = lease::expired(tx, self.id, ASKED_MAX as i64).await?;
        let now = now();
        let seen: BTreeSet<(JobId, i64)> = expired
            .iter()
            .map(|expired| (expired.id, expired.epoch))
            .collect();
        // Renewed or taken since: its holder lives after all, or another one does.
        wants.wanted.retain(|which, _| seen.contains(which));
        let mut jobs = Vec::new();
        for expired in expired {
            let which = (expired.id, expired.epoch);
            let wanted = wants
                .wanted
                .entry(which)
                .or_insert_with(|| Wanted::new(now, expired.ago));
            match (wanted.step(now), expired.owner) {
                (Step::Ask, Some(owner)) => {
                    wanted.asked();
                    let (queue, answers) = (self.queue.clone(), wants.answers.clone());
                    self.tasks.spawn(async move {
                        let at_most = Duration::from_micros(LEASE_ASK.0.unsigned_abs());
                        let holder = queue.is_alive(owner, at_most).await;
                        debug!(%owner, ?holder, "asked the holder of a lease that ran out");
                        // There is room for the answers of all who are asked; at the end nobody
                        // waits for them.
                        let _ = answers.try_send((which, holder));
                    });
                }
                (Step::Ask, None) => wanted.answered(Holder::Nobody, now),
                (Step::Claim, _) if jobs.len() < room => {
                    if let Some(job) = lease::take_over(tx, which.0, which.1, self.id).await? {
                        metrics::counter!("hansard_meetings_taken_over_total").increment(1);
                        jobs.push(job);
                    }
                    wants.wanted.remove(&which);
                }
                (Step::Claim | Step::Wait, _) => {}
            }
        }
        Ok(jobs)
    }

    fn start(&self, kind: &Arc<dyn Job>, job: Row, held: &Arc<Mutex<BTreeMap<JobId, Held>>>) {
        let span = info_span!("job", kind = %kind.kind(), id = %job.id);
        let span = match job.subject {
            Subject::Meeting(id) => {
                info_span!(parent: &span, "meeting", id = %id, epoch = job.epoch)
            }
            Subject::Recording(id) => info_span!(parent: &span, "recording", id = %id),
            Subject::Person(id) => info_span!(parent: &span, "person", id = %id),
        };
        span.in_scope(|| info!("claimed a job"));
        let (state, lease) = watch::channel(LeaseState::Held);
        let id = job.id;
        held.lock().insert(
            id,
            Held {
                kind: kind.kind(),
                epoch: job.epoch,
                lease: Lease::new(now()),
                state,
                span: span.clone(),
            },
        );
        let run = kind.clone().run(Claimed {
            job: job.clone(),
            owner: self.id,
            lease,
            stop: self.stop.clone(),
        });
        let (store, queue, owner, held) = (
            self.store.clone(),
            self.queue.clone(),
            self.id,
            held.clone(),
        );
        let kind = kind.clone();
        let running = async move {
            // A panic ends one job, not the process; its message is logged by the panic hook.
            let outcome = match tokio::spawn(run.in_current_span()).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => kind.clone().failed(job.clone(), error).await,
                Err(error) => {
                    Outcome::Failed(anyhow::anyhow!("the job stopped unexpectedly: {error}"))
                }
            };
            let released = matches!(outcome, Outcome::Release);
            settle(&store, owner, &job, outcome).await;
            if released {
                // Others find it by themselves, but later.
                let _ = queue.wake(kind.kind(), &Wake { job: job.id }).await;
            }
            // Stopped for something else, it may run here again already.
            let mut held = held.lock();
            if held.get(&id).is_some_and(|held| held.epoch == job.epoch) {
                held.remove(&id);
            }
        };
        self.tasks.spawn(running.instrument(span));
    }
}

/// Writes how the job ended. When Postgres is away the lease runs out and somebody takes the job
/// over, which is safe.
async fn settle(store: &Store, owner: Uuid, job: &Row, outcome: Outcome) {
    let mut failures = 0;
    loop {
        let done: anyhow::Result<()> = async {
            let mut tx = store.worker_tx().await?;
            match &outcome {
                Outcome::Settled => return Ok(()),
                Outcome::Done => job::finish(&mut tx, job.id, owner, job.epoch).await?,
                Outcome::Release => job::release(&mut tx, job.id, owner, job.epoch).await?,
                Outcome::Waiting {
                    away,
                    at_least,
                    error,
                } => {
                    let wait = fault::wait(job.waits, fastrand::f64()).max(*at_least);
                    let error = format!("{error:#}");
                    let waiting_for = away.map(Away::as_str);
                    info!(waiting_for, waits = job.waits, ?wait, error, "a job waits");
                    job::wait(&mut tx, job.id, owner, job.epoch, *away, wait, &error).await?;
                }
                Outcome::Failed(error) => {
                    let next = retry::next(job.attempts, fastrand::f64());
                    warn!(
                        attempt = job.attempts,
                        ?next,
                        error = format!("{error:#}"),
                        "a job failed"
                    );
                    job::fail(
                        &mut tx,
                        job.id,
                        owner,
                        job.epoch,
                        &format!("{error:#}"),
                        next,
                    )
                    .await?;
                }
            }
            tx.commit().await?;
            Ok(())
        }
        .await;
        match done {
            Ok(()) => return,
            Err(error) if failures >= 5 => {
                warn!(
                    error = format!("{error:#}"),
                    "could not write how a job ended; its lease will run out"
                );
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
        let asked: Vec<(JobId, i64)> = held
            .lock()
            .iter()
            .map(|(id, held)| (*id, held.epoch))
            .collect();
        if asked.is_empty() {
            continue;
        }
        let renewed = tokio::time::timeout(period * 2, async {
            let mut tx = store.worker_tx().await?;
            let renewed: BTreeSet<JobId> = lease::renew(&mut tx, owner, &asked)
                .await?
                .into_iter()
                .collect();
            tx.commit().await?;
            anyhow::Ok(renewed)
        })
        .await;
        let mut held = held.lock();
        for (id, epoch) in asked {
            let Some(held) = held.get_mut(&id).filter(|held| held.epoch == epoch) else {
                continue;
            };
            let renewal = match &renewed {
                Ok(Ok(renewed)) if renewed.contains(&id) => Renewal::Renewed,
                Ok(Ok(_)) => Renewal::Refused,
                _ => Renewal::Unreachable,
            };
            let state = held.lease.handle(renewal, now());
            if *held.state.borrow() != state {
                held.span.in_scope(|| debug!(?state, "a lease changed"));
                held.state.send_replace(state);
            }
        }
    }
}

fn now() -> Micros {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    Micros(START.elapsed().as_micros() as i64)
}
