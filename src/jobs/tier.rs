//! The job that moves a meeting's files to the tiers that they belong into ([`plan`]).
//!
//! A move: the object's parts are hashed where it is too large for one copy; the move is marked;
//! the object is copied onto its own key and the store's word on the copy is checked; the rows say
//! where it is; earlier versions go by their ids; the mark goes. Whoever dies in between leaves the
//! mark, and the next run finds out how far it got: what has begun is brought to its end, also when
//! it would not begin any more.

use super::inventory::Inventory;
use crate::{
    clock::Clock,
    domain::{
        id::MeetingId,
        job::JobKind,
        tenant_settings::TierDays,
        tiering::{
            Tariff, Tier, needs_restore,
            plan::{self, Decision},
        },
    },
    objects::{ObjectError, Objects, Wanted},
    published,
    queue::Queue,
    store::{
        Store, StoreError,
        inventory::Object,
        job::{self, Job as Row},
        tenant,
        tier::{self, File, Moved},
    },
    worker::{Claimed, Job, Outcome},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, future::BoxFuture, stream};
use parking_lot::RwLock;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Meetings whose files one process moves at a time.
const MEETINGS_MAX: usize = 2;
/// Files of a meeting that are moved at a time: the store does the work.
const FILES_AT_ONCE: usize = 8;
/// Looks at one file in one run; each but the last does something.
const LOOKS_MAX: usize = 8;
/// When a meeting is looked at again of which something else is made.
const BUSY: TimeDelta = TimeDelta::minutes(10);
/// How often it is looked for meetings that are due.
const PLAN_PERIOD: Duration = Duration::from_secs(60);
/// Meetings that are given to workers at a time.
const PLANNED_MAX: i64 = 200;
/// Meetings of a tenant whose settings changed that are noted at a time.
const REPLANNED_MAX: i64 = 2000;

/// The job.
pub struct Move {
    pub store: Store,
    pub objects: Objects,
    pub clock: Clock,
    pub tariff: RwLock<Tariff>,
}

impl Move {
    pub fn new(store: Store, objects: Objects, clock: Clock, mut tariff: Tariff) -> Self {
        if !objects.hashes_copies() {
            // What cannot be read again could not be checked.
            tariff.close(needs_restore);
        }
        Self {
            store,
            objects,
            clock,
            tariff: RwLock::new(tariff),
        }
    }
}

impl Job for Move {
    fn kind(&self) -> JobKind {
        JobKind::Tier
    }

    fn room(&self, running: usize) -> usize {
        MEETINGS_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { self.all(&claimed).await })
    }

    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { super::failed(error) })
    }
}

/// How one look at a file ended.
enum Look {
    /// Something was done: it is looked at again.
    Again,
    /// Nothing is to be done before then.
    Until(Option<DateTime<Utc>>),
}

impl Move {
    async fn all(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let meeting = claimed.meeting()?;
        let mut tx = super::begin(&self.store, claimed).await?;
        tier::begin(&mut tx, meeting).await?;
        if tier::is_busy(&mut tx, meeting).await? {
            tier::note_due(&mut tx, meeting, self.clock.now() + BUSY).await?;
            tx.commit().await?;
            return Ok(Outcome::Done);
        }
        let days = tenant::settings(&mut tx, claimed.job.tenant)
            .await?
            .tier_days;
        let files = tier::files(&mut tx, meeting, None).await?;
        tx.commit().await?;
        let each = |file: File| {
            let days = &days;
            async move { self.one(claimed, meeting, file, days).await }
        };
        let looked: Vec<_> = stream::iter(files)
            .map(each)
            .buffer_unordered(FILES_AT_ONCE)
            .collect()
            .await;
        let (mut next, mut problem) = (None::<DateTime<Utc>>, None);
        for look in looked {
            match look {
                Ok(at) => next = next.into_iter().chain(at).min(),
                Err(error) => {
                    // One file keeps no other waiting.
                    problem.get_or_insert(error);
                }
            }
        }
        if let Some(at) = next {
            let mut tx = self.store.worker_tx().await?;
            tier::note_due(&mut tx, meeting, at).await?;
            tx.commit().await?;
        }
        match problem {
            Some(error) => Err(error),
            None if claimed.stop.is_cancelled() => Ok(Outcome::Release),
            None => Ok(Outcome::Done),
        }
    }

    /// Does what is to be done about a file; answers when to look at it again.
    async fn one(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        mut file: File,
        days: &TierDays,
    ) -> anyhow::Result<Option<DateTime<Utc>>> {
        for _ in 0..LOOKS_MAX {
            if claimed.stop.is_cancelled() {
                return Ok(None);
            }
            if let Look::Until(at) = self.look(claimed, meeting, &file, days).await? {
                return Ok(at);
            }
            let mut tx = self.store.worker_tx().await?;
            let now = tier::files(&mut tx, meeting, Some(&file.key)).await?.pop();
            tx.commit().await?;
            match now {
                Some(now) => file = now,
                // Deleted, or made anew.
                None => return Ok(None),
            }
        }
        Ok(Some(self.clock.now() + BUSY))
    }

    async fn look(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &File,
        days: &TierDays,
    ) -> anyhow::Result<Look> {
        if file.moving_to == Some(file.tier) {
            self.clear_away(claimed, meeting, file).await?;
            return Ok(Look::Again);
        }
        let tariff = self.tariff.read().clone();
        let decision = self.decide(file, days, &tariff);
        let Some(to) = file.moving_to.or(decision.to) else {
            return Ok(Look::Until(decision.next));
        };
        let class = tariff.classes.of(to);
        if file.moving_to.is_none()
            && tariff.classes.class_of(file.class.as_deref(), file.tier) == class
        {
            return self.relabel(claimed, meeting, file, to, class).await;
        }
        match self
            .transfer(claimed, meeting, file, to, days, &tariff)
            .await
        {
            Ok(()) => Ok(Look::Again),
            Err(error) => match error.downcast_ref::<ObjectError>() {
                Some(ObjectError::NoClass { class, .. }) => {
                    self.do_without(class, &error);
                    self.take_back(claimed, meeting, file).await?;
                    Ok(Look::Again)
                }
                Some(error_of_object) if !error_of_object.is_away() => {
                    self.take_back(claimed, meeting, file).await?;
                    Err(error)
                }
                _ => Err(error),
            },
        }
    }

    fn decide(&self, file: &File, days: &TierDays, tariff: &Tariff) -> Decision {
        plan::decide(&planned(file, tariff), days, tariff, self.clock.now())
    }

    /// Another tier of the same class: only the rows change.
    async fn relabel(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &File,
        to: Tier,
        class: &str,
    ) -> anyhow::Result<Look> {
        let mut tx = super::begin(&self.store, claimed).await?;
        let unmoved = Moved {
            tier: to,
            class,
            version: None,
            at: None,
        };
        match tier::moved(&mut tx, meeting, file, unmoved).await {
            Ok(()) => tx.commit().await?,
            Err(StoreError::Going) => return Ok(Look::Until(None)),
            Err(error) => return Err(error.into()),
        }
        Ok(Look::Again)
    }

    async fn transfer(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &File,
        to: Tier,
        days: &TierDays,
        tariff: &Tariff,
    ) -> anyhow::Result<()> {
        let head = self.objects.head(&file.key).await?;
        let head = head.ok_or_else(|| ObjectError::Missing(file.key.clone()))?;
        let before = tariff.classes.class_of(file.class.as_deref(), file.tier);
        // An earlier run copied it, perhaps when the tier was another class.
        let is_there = file.moving_to.is_some() && head.class != before;
        let class = if is_there {
            head.class.as_str()
        } else {
            tariff.classes.of(to)
        };
        let wanted = Wanted {
            size_bytes: file.size_bytes,
            sha256: &file.sha256,
            sum: file.move_sum.as_deref(),
        };
        let pieces = if is_there || head.class == class {
            None
        } else {
            self.objects.pieces(&file.key, wanted).await?
        };
        let sum = pieces.as_ref().map(|pieces| pieces.sum.as_str());
        let wanted = Wanted {
            sum: sum.or(wanted.sum),
            ..wanted
        };
        let mut tx = super::begin(&self.store, claimed).await?;
        tier::lock(&mut tx, meeting, file.recording).await?;
        let now = tier::files(&mut tx, meeting, Some(&file.key)).await?.pop();
        let Some(now) = now.filter(|now| is_same(now, file)) else {
            return Ok(());
        };
        // Somebody may have fetched it since.
        if file.moving_to.is_none() && self.decide(&now, days, tariff).to != Some(to) {
            return Ok(());
        }
        let unreadable = needs_restore(class).then_some(class);
        match tier::mark(&mut tx, meeting, file, to, wanted.sum, unreadable).await {
            Ok(()) => tx.commit().await?,
            Err(StoreError::Going) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let version = self
            .objects
            .transfer(&file.key, class, wanted, pieces.as_ref())
            .await?;
        let told = self
            .tell(
                claimed,
                meeting,
                file,
                Moved {
                    tier: to,
                    class,
                    version: version.as_deref(),
                    at: Some(self.clock.now()),
                },
            )
            .await;
        if let Err(error) = told {
            // Where it was deleted meanwhile, the copy may have come behind that.
            let inventory = Inventory {
                store: &self.store,
                objects: &self.objects,
            };
            inventory.follow(&object(claimed, meeting, file)).await;
            return match error.downcast_ref::<StoreError>() {
                Some(StoreError::Going) => Ok(()),
                _ => Err(error),
            };
        }
        metrics::counter!("hansard_tier_moves_total", "to" => to.as_str()).increment(1);
        debug!(key = file.key, from = before, class, "moved a file");
        Ok(())
    }

    async fn tell(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &File,
        to: Moved<'_>,
    ) -> anyhow::Result<()> {
        let mut tx = super::begin(&self.store, claimed).await?;
        tier::moved(&mut tx, meeting, file, to).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes the versions that a move left behind.
    async fn clear_away(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &File,
    ) -> anyhow::Result<()> {
        self.objects.delete_noncurrent(&file.key).await?;
        let mut tx = super::begin(&self.store, claimed).await?;
        tier::settle(&mut tx, meeting, file).await?;
        Ok(tx.commit().await?)
    }

    /// A move that failed: when the object still is where it was, the rows say so.
    async fn take_back(
        &self,
        claimed: &Claimed,
        meeting: MeetingId,
        file: &File,
    ) -> anyhow::Result<()> {
        let head = self.objects.head(&file.key).await?;
        let before = {
            let tariff = self.tariff.read();
            let class = tariff.classes.class_of(file.class.as_deref(), file.tier);
            class.to_owned()
        };
        if head.is_some_and(|head| head.class == before) {
            let mut tx = super::begin(&self.store, claimed).await?;
            tier::unmark(&mut tx, meeting, file).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The store has no such class: nothing goes there any more, as long as this process runs.
    fn do_without(&self, class: &str, error: &anyhow::Error) {
        warn!(
            class,
            error = format!("{error:#}"),
            "object storage lacks a storage class, and recordings stay where they are: let the tier be another class \
             (--s3-class-warm, --s3-class-cold, --s3-class-archive)"
        );
        metrics::counter!("hansard_tier_classes_lacking_total", "class" => class.to_owned())
            .increment(1);
        self.tariff.write().close(|closed| closed == class);
    }
}

/// Whether a file is as it was when it was decided about it.
fn is_same(now: &File, then: &File) -> bool {
    let of = |file: &File| {
        (
            file.tier,
            file.moving_to,
            file.sha256.clone(),
            file.class.clone(),
        )
    };
    of(now) == of(then)
}

/// A file as plans see it.
pub fn planned<'a>(file: &'a File, tariff: &'a Tariff) -> plan::File<'a> {
    plan::File {
        size_bytes: file.size_bytes,
        tier: file.tier,
        class: tariff.classes.class_of(file.class.as_deref(), file.tier),
        since: file.since,
        ended: file.ended,
        played: file.played,
        expires: file.expires,
    }
}

fn object(claimed: &Claimed, meeting: MeetingId, file: &File) -> Object {
    Object {
        key: file.key.clone(),
        tenant: claimed.job.tenant,
        meeting,
        recording: file.recording,
        kind: file.kind,
        participants: Vec::new(),
    }
}

/// Makes jobs of the meetings that are due. Answers how many.
pub async fn plan_due(store: &Store, queue: &Queue, now: DateTime<Utc>) -> anyhow::Result<usize> {
    let mut tx = store.worker_tx().await?;
    tier::replan(&mut tx, now, REPLANNED_MAX).await?;
    tx.commit().await?;
    let mut tx = store.worker_tx().await?;
    let mut jobs = Vec::new();
    for (tenant, meeting) in tier::due(&mut tx, now, PLANNED_MAX).await? {
        jobs.push(job::ensure(&mut tx, tenant, JobKind::Tier, meeting, &json!({})).await?);
    }
    tx.commit().await?;
    for job in &jobs {
        published::wake(queue, JobKind::Tier, *job);
    }
    Ok(jobs.len())
}

/// Makes jobs of what is due, for as long as the process runs.
pub async fn keep_planning(store: Store, queue: Queue, clock: Clock, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PLAN_PERIOD))
        .await
        .is_some()
    {
        match plan_due(&store, &queue, clock.now()).await {
            Ok(0) => {}
            Ok(meetings) => info!(meetings, "files are to be looked at"),
            // Without Postgres nothing is known, and that is told elsewhere.
            Err(error) => debug!(error = format!("{error:#}"), "cannot plan moves now"),
        }
    }
}
