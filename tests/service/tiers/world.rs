//! Meetings that are over, their files in a bucket, a clock that is set forward, and workers that
//! can be killed.

use crate::{
    rest::app::App,
    support::{Scratch, faults::Faults, s3::Bucket},
};
use hansard::{
    clock::Clock,
    domain::{
        id::MeetingId,
        lease::LeaseState,
        retry,
        tiering::{
            Tariff, Tier,
            price::{Price, Prices},
        },
        time::Micros,
    },
    embed::s3::Options,
    jobs::tier::{Move, plan_due},
    objects::{Objects, StorageConfig},
    store::{job, lease},
    worker::{Claimed, Job, Outcome},
};
use sqlx::Row;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const DAY: Duration = Duration::from_secs(86_400);
/// All that is due is done by then, on a busy machine.
const WORK_MAX: Duration = Duration::from_secs(120);

/// So that a few kilobytes are worth a move: a byte costs what a kilobyte would.
pub fn dear() -> Tariff {
    let known = Prices::default();
    let each = Tier::ALL.map(|tier| {
        let price = *known.of(tier.class()).expect("it is known");
        let dear = Price {
            gb_month: price.gb_month * 1024.0,
            read_gb: price.read_gb * 1024.0,
            minimum_bytes: price.minimum_bytes >> 10,
            overhead_bytes: 0,
            overhead_standard_bytes: 0,
            ..price
        };
        (tier.class().to_owned(), dear)
    });
    Tariff {
        prices: known.with(BTreeMap::from(each)).expect("they are prices"),
        ..Tariff::default()
    }
}

/// A recording's file.
#[derive(Clone, Debug)]
pub struct Made {
    pub meeting: MeetingId,
    pub recording: Uuid,
    pub key: String,
    pub content: Vec<u8>,
}

/// Where the rows say that a file is, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub tier: String,
    pub class: String,
    pub is_marked: bool,
}

pub struct World {
    pub app: App,
    pub bucket: Bucket,
    pub faults: Faults,
    /// Of the bucket and of the workers.
    pub clock: Clock,
    pub job: Arc<Move>,
    host: Uuid,
}

impl World {
    pub async fn start() -> Self {
        Self::with(dear(), Options::default()).await
    }

    pub async fn with(tariff: Tariff, options: Options) -> Self {
        let clock = options.clock.clone();
        let bucket = Bucket::start_with(Scratch::new(), options).await;
        let faults = Faults::before(&bucket).await;
        let app = App::with_bucket(&bucket).await;
        let host = app.user("Ana").await;
        let objects = Objects::new(&StorageConfig {
            endpoint: faults.endpoint.clone(),
            ..bucket.settings.clone()
        });
        let objects = objects.with_classes(tariff.classes.clone(), 1 << 30);
        let job = Move::new(app.state.store.clone(), objects, clock.clone(), tariff);
        Self {
            app,
            bucket,
            faults,
            clock,
            job: Arc::new(job),
            host,
        }
    }

    /// A meeting that ended so many days before now.
    pub async fn ended(&self, days_ago: i64) -> MeetingId {
        let meeting = self.app.meeting(self.host).await;
        let now = self.clock.now();
        sqlx::query("update meetings set status = 'ended', start_time = $2, end_time = $2, tier_due_at = $3 where id = $1")
            .bind(meeting.0)
            .bind(now - chrono::TimeDelta::days(days_ago))
            .bind(now)
            .execute(&mut self.app.sql().await)
            .await
            .expect("it may");
        meeting
    }

    pub async fn file(&self, meeting: MeetingId, content: Vec<u8>) -> Made {
        let recording = Uuid::now_v7();
        let tenant = self.app.tenant;
        let key = format!("recordings/{tenant}/{meeting}/{recording}-1.webm");
        let stored = self
            .bucket
            .objects
            .put_bytes(&key, content.clone(), "audio/webm", Tier::Hot)
            .await
            .expect("stored");
        let mut sql = self.app.sql().await;
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms, duration_ms, status, blob_url,
                 size_bytes, sha256)
             values ($1, $2, $3, 'track', 'audio/webm', 0, 1000, 'ready', $4, $5, $6)",
        )
        .bind(recording)
        .bind(tenant.0)
        .bind(meeting.0)
        .bind(self.bucket.objects.url(&key))
        .bind(content.len() as i64)
        .bind(&stored.sha256)
        .execute(&mut sql)
        .await
        .expect("a recording");
        sqlx::query(
            "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, state, uploading,
                 size_bytes, sha256, version, stored_at)
             values ($1, $2, $3, $4, 'track', '{}', 'stored', false, $5, $6, $7, $8)",
        )
        .bind(meeting.0)
        .bind(&key)
        .bind(tenant.0)
        .bind(recording)
        .bind(content.len() as i64)
        .bind(&stored.sha256)
        .bind(&stored.version)
        .bind(self.clock.now())
        .execute(&mut sql)
        .await
        .expect("a row of the inventory");
        Made {
            meeting,
            recording,
            key,
            content,
        }
    }

    /// An old meeting with one file.
    pub async fn one(&self) -> Made {
        let meeting = self.ended(0).await;
        self.file(meeting, vec![7; 5_000]).await
    }

    pub fn pass(&self, days: u32) {
        self.bucket.pass(DAY * days);
    }

    pub async fn plan(&self) -> usize {
        let state = &self.app.state;
        plan_due(&state.store, &state.queue, self.clock.now())
            .await
            .expect("Postgres answers")
    }

    /// A job that is due, taken by a new worker.
    pub async fn claim(&self) -> Option<Claimed> {
        let owner = Uuid::now_v7();
        let mut tx = self.app.state.store.worker_tx().await.expect("answers");
        let claimed = lease::claim(&mut tx, &["tier"], owner, &[], 1).await;
        let job = claimed.expect("it may").pop();
        tx.commit().await.expect("commits");
        let (_, lease) = watch::channel(LeaseState::Held);
        job.map(|job| Claimed {
            job,
            owner,
            lease,
            stop: CancellationToken::new(),
        })
    }

    /// Runs a job to its end, and writes that down as its worker would.
    pub async fn run(&self, claimed: Claimed) -> Outcome {
        let (job, owner) = (claimed.job.clone(), claimed.owner);
        let outcome = match self.job.clone().run(claimed).await {
            Ok(outcome) => outcome,
            Err(error) => self.job.clone().failed(job.clone(), error).await,
        };
        let mut tx = self.app.state.store.worker_tx().await.expect("answers");
        let (id, epoch) = (job.id, job.epoch);
        match &outcome {
            Outcome::Settled => Ok(()),
            Outcome::Done => job::finish(&mut tx, id, owner, epoch).await,
            Outcome::Release => job::release(&mut tx, id, owner, epoch).await,
            Outcome::Waiting { away, error, .. } => {
                let error = format!("{error:#}");
                job::wait(&mut tx, id, owner, epoch, *away, Micros(0), &error).await
            }
            Outcome::Failed(error) => {
                let (error, next) = (format!("{error:#}"), retry::next(job.attempts, 0.0));
                job::fail(&mut tx, id, owner, epoch, &error, next).await
            }
        }
        .expect("it is its own");
        tx.commit().await.expect("commits");
        outcome
    }

    /// Plans and does all that is due.
    pub async fn work(&self) {
        self.plan().await;
        let begun = Instant::now();
        loop {
            while let Some(claimed) = self.claim().await {
                let outcome = self.run(claimed).await;
                assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
            }
            // The row of a job whose worker was killed may be locked until Postgres has heard of it.
            let due: i64 = sqlx::query_scalar(
                "select count(*) from jobs where kind = 'tier'
                     and (state = 'queued' and run_at <= clock_timestamp()
                          or state = 'running' and lease_until < clock_timestamp())",
            )
            .fetch_one(&mut self.app.sql().await)
            .await
            .expect("Postgres answers");
            if due == 0 {
                return;
            }
            assert!(begun.elapsed() < WORK_MAX, "{due} are still to be done");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a job and kills its worker after a while. Answers whether it was still at it.
    pub async fn kill(&self, claimed: Claimed, after: Duration) -> bool {
        let (job, owner) = (claimed.job.clone(), claimed.owner);
        let running = tokio::spawn(self.job.clone().run(claimed));
        tokio::time::sleep(after).await;
        let at_it = !running.is_finished();
        running.abort();
        match running.await {
            Ok(Ok(outcome)) => {
                assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
                let mut tx = self.app.state.store.worker_tx().await.expect("answers");
                job::finish(&mut tx, job.id, owner, job.epoch)
                    .await
                    .expect("it is its own");
                tx.commit().await.expect("commits");
            }
            Ok(Err(error)) => panic!("{error:#}"),
            Err(_) => {
                sqlx::query("update jobs set lease_until = clock_timestamp() - interval '1 second' where id = $1")
                    .bind(job.id.0)
                    .execute(&mut self.app.sql().await)
                    .await
                    .expect("it may");
            }
        }
        at_it
    }

    /// Where the rows say that a file is: both agree.
    pub async fn place(&self, made: &Made) -> Place {
        let row = sqlx::query(
            "select o.storage_tier, coalesce(o.storage_class, 'STANDARD') as class, o.moving_to is not null as marked,
                 r.storage_tier as told, coalesce(r.storage_class, 'STANDARD') as told_class
             from objects o join recordings r on r.id = o.recording_id where o.key = $1",
        )
        .bind(&made.key)
        .fetch_one(&mut self.app.sql().await)
        .await
        .expect("it is there");
        let text = |column: &str| row.get::<String, _>(column);
        assert_eq!(text("storage_tier"), text("told"), "{}", made.key);
        assert_eq!(text("class"), text("told_class"), "{}", made.key);
        Place {
            tier: text("storage_tier"),
            class: text("class"),
            is_marked: row.get("marked"),
        }
    }

    /// Asserts that a file is in this tier by its rows and in its class, whole, and nothing is left
    /// to do about it.
    pub async fn is_in(&self, made: &Made, tier: Tier) {
        let place = Place {
            tier: tier.to_string(),
            class: tier.class().to_owned(),
            is_marked: false,
        };
        assert_eq!(self.place(made).await, place, "{}", made.key);
        let objects = &self.bucket.objects;
        let head = objects.head(&made.key).await.expect("it answers");
        let head = head.expect("it is there");
        assert_eq!(head.class, tier.class(), "{}", made.key);
        assert_eq!(head.size_bytes, made.content.len() as u64);
        if tier != Tier::Archive {
            let content = objects.get_bytes(&made.key).await.expect("readable");
            assert!(content == made.content, "{}", made.key);
        }
    }

    /// Copies that the store made, with their classes.
    pub fn copies(&self) -> Vec<(String, String)> {
        let seen = self.faults.seen().into_iter();
        seen.filter(|seen| seen.status == 200)
            .filter_map(|seen| Some((seen.path, seen.copied_to?)))
            .collect()
    }
}
