//! The sweep: parts of uploads that nobody ended, and objects that no row tells of, also such of
//! which there are only old versions, go out of the bucket ([`rules`] says when). It is no job of
//! the queue: it belongs to no tenant, and one process at a time takes it.

use crate::{
    clock::Clock,
    domain::{
        sweep::{self as rules, Facts, Found, MARK, Mark, ObjectOwner, SweepHold},
        tiering::Tier,
    },
    health::{self, Reason},
    ledger::Ledger,
    objects::{Listed, Objects, Walk},
    store::{
        Store, Tx,
        unknown::{self, Unknown},
    },
};
use anyhow::Context;
use chrono::{DateTime, Utc};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, info_span, warn};

/// How often a process looks whether a sweep is due.
pub const LOOK: Duration = Duration::from_secs(600);
/// Objects that are listed, or read from the table, at a time.
const PAGE: usize = 1000;
/// Objects that are deleted while their meeting is locked.
const DELETED_EACH: usize = 64;
/// The longest that a meeting is locked for that: less than a transaction may wait.
const DELETE_MAX: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";

pub struct Sweep {
    pub store: Store,
    pub objects: Objects,
    pub clock: Clock,
}

/// How it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SweepMode {
    /// Changes nothing: what has no row is told.
    pub dry: bool,
    /// Also where more than one object of a hundred goes.
    pub any_number: bool,
    /// An operator says that the bucket is the right one, and the database is to be as old as it
    /// is.
    pub accepts: bool,
    /// Whether the rows have all of the ledger.
    pub ledger_is_current: bool,
}

/// What there was, and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Objects that may have rows.
    pub objects: u64,
    /// Objects of other kinds, which nobody touches.
    pub others: u64,
    /// Objects without a row.
    pub unknown: u64,
    pub unknown_bytes: u64,
    /// Of these, those that were seen for long enough.
    pub due: u64,
    pub deleted: u64,
    /// Uploads in parts that nobody ended, and those that were aborted.
    pub uploads: u64,
    pub aborted: u64,
    /// Why no objects were deleted.
    pub held: Option<SweepHold>,
}

impl Sweep {
    /// Sweeps the bucket; `tell` hears of each object without a row.
    pub async fn run(
        &self,
        how: SweepMode,
        mut tell: impl FnMut(&Unknown),
    ) -> anyhow::Result<Report> {
        let now = self.clock.now();
        let mut report = Report::default();
        match self.begin(how).await? {
            Err(held) => report.held = Some(held),
            Ok(sweep) => {
                self.uploads(how, now, &mut report).await?;
                self.list(how, sweep, now, &mut report, &mut tell).await?;
                report.held = self.held(how, &report).await?;
                if report.held.is_none() && !how.dry {
                    self.delete_due(now, &mut report).await?;
                }
            }
        }
        if !how.dry {
            self.conclude(now, &report).await?;
        }
        Ok(report)
    }

    /// Answers with the number of the sweep, if the bucket may be swept.
    async fn begin(&self, how: SweepMode) -> anyhow::Result<Result<i64, SweepHold>> {
        let mut tx = self.store.worker_tx().await?;
        let own = unknown::deployment(&mut tx).await?;
        tx.commit().await?;
        let found = match self.objects.head(MARK).await? {
            None => Found::Nothing,
            Some(_) => Found::read(&self.objects.get_bytes(MARK).await?),
        };
        let bucket = self.objects.bucket();
        let sweep = match own.begin(bucket, found, how.accepts) {
            Ok(sweep) => sweep,
            Err(held) => return Ok(Err(held)),
        };
        if how.dry {
            return Ok(Ok(sweep));
        }
        // The row first: a mark of a later sweep would say that the database was put back.
        let mut tx = self.store.worker_tx().await?;
        unknown::begin(&mut tx, sweep, bucket, own.knows(bucket)).await?;
        tx.commit().await?;
        let mark = Mark {
            deployment: own.id,
            sweeps: sweep,
        };
        let mark = serde_json::to_vec(&mark).context("a mark is JSON")?;
        if found == Found::Nothing {
            if !self.objects.put_new(MARK, &mark, JSON).await? {
                // Another database was quicker.
                return Ok(Err(SweepHold::OtherDeployment));
            }
        } else {
            self.objects.put_bytes(MARK, mark, JSON, Tier::Hot).await?;
            self.objects.delete_noncurrent(MARK).await?;
        }
        Ok(Ok(sweep))
    }

    async fn uploads(
        &self,
        how: SweepMode,
        now: DateTime<Utc>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        for upload in self.objects.uploads().await? {
            let is_ours = ObjectOwner::of(&upload.key) != ObjectOwner::Other;
            let is_old = upload
                .begun
                .is_some_and(|begun| rules::is_abandoned(begun, now));
            if !(is_ours && is_old) {
                continue;
            }
            report.uploads += 1;
            if !how.dry {
                self.objects.abort(&upload).await?;
                report.aborted += 1;
                debug!(key = upload.key, "aborted an upload in parts");
            }
        }
        Ok(())
    }

    async fn list(
        &self,
        how: SweepMode,
        sweep: i64,
        now: DateTime<Utc>,
        report: &mut Report,
        tell: &mut impl FnMut(&Unknown),
    ) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let page = self.objects.list_after("", after.take(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            self.see(how, sweep, now, page, report, tell).await?;
        }
        let mut walk = Walk::default();
        while let Some(page) = self.objects.old_versions(&mut walk).await? {
            if !page.is_empty() {
                self.see(how, sweep, now, page, report, tell).await?;
            }
        }
        if !how.dry {
            let mut tx = self.store.worker_tx().await?;
            unknown::forget_unseen(&mut tx, sweep).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Notes and tells what of these no row tells of.
    async fn see(
        &self,
        how: SweepMode,
        sweep: i64,
        now: DateTime<Utc>,
        page: Vec<Listed>,
        report: &mut Report,
        tell: &mut impl FnMut(&Unknown),
    ) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        let unknown = without_row(&mut tx, page, now, report).await?;
        let known_since = if how.dry {
            unknown::as_seen(&mut tx, unknown).await?
        } else {
            unknown::see(&mut tx, sweep, unknown).await?
        };
        tx.commit().await?;
        for one in &known_since {
            report.unknown += 1;
            report.unknown_bytes += one.size_bytes;
            report.due += u64::from(rules::is_due(one.first_seen, now));
            tell(one);
        }
        Ok(())
    }

    async fn held(&self, how: SweepMode, report: &Report) -> anyhow::Result<Option<SweepHold>> {
        let mut tx = self.store.worker_tx().await?;
        let spools = unknown::spools(&mut tx).await?;
        tx.commit().await?;
        let facts = Facts {
            ledger_is_current: how.ledger_is_current,
            spools,
            objects: report.objects,
            due: report.due,
            any_number: how.any_number,
        };
        Ok(facts.held())
    }

    async fn delete_due(&self, now: DateTime<Utc>, report: &mut Report) -> anyhow::Result<()> {
        let mut after = None;
        loop {
            let mut tx = self.store.worker_tx().await?;
            let seen_before = now - rules::SEEN_APART;
            let due = unknown::due(&mut tx, seen_before, after.as_ref(), PAGE as i64).await?;
            tx.commit().await?;
            let Some(last) = due.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for of_one in due.chunk_by(|one, other| one.meeting == other.meeting) {
                for some in of_one.chunks(DELETED_EACH) {
                    report.deleted += self.delete(some).await?;
                }
            }
        }
    }

    /// Deletes objects of one meeting, or of none. Answers how many.
    async fn delete(&self, due: &[Unknown]) -> anyhow::Result<u64> {
        let mut tx = self.store.worker_tx().await?;
        let mut keys: Vec<String> = due.iter().map(|one| one.key.clone()).collect();
        let meeting = due.first().and_then(|one| one.meeting);
        if let Some(meeting) = meeting {
            // One that gets its row in this moment is stored after this transaction.
            unknown::lock(&mut tx, meeting).await?;
            let asked: Vec<_> = keys.iter().map(|key| (meeting, key.clone())).collect();
            let without = unknown::without_row(&mut tx, &asked).await?;
            keys.retain(|key| without.contains(key));
        }
        tokio::time::timeout(DELETE_MAX, self.objects.delete_all(&keys))
            .await
            .context("deleting what no row tells of took too long")??;
        unknown::forget(&mut tx, &keys).await?;
        tx.commit().await?;
        let objects = keys.len();
        let tell = || info!(objects, "deleted objects that no row tells of");
        match meeting {
            Some(meeting) => info_span!("meeting", id = %meeting).in_scope(tell),
            None => tell(),
        }
        Ok(keys.len() as u64)
    }

    async fn conclude(&self, now: DateTime<Utc>, report: &Report) -> anyhow::Result<()> {
        let next = match report.held {
            None => rules::PERIOD,
            Some(_) => rules::AGAIN,
        };
        let mut tx = self.store.worker_tx().await?;
        unknown::conclude(&mut tx, now, report.held, now + next).await?;
        tx.commit().await?;
        metrics::gauge!("hansard_sweep_objects").set(report.objects as f64);
        metrics::gauge!("hansard_sweep_unknown_objects").set(report.unknown as f64);
        metrics::gauge!("hansard_sweep_unknown_bytes").set(report.unknown_bytes as f64);
        metrics::counter!("hansard_sweep_deleted_total").increment(report.deleted);
        metrics::counter!("hansard_sweep_uploads_aborted_total").increment(report.aborted);
        for held in SweepHold::ALL {
            let is_held = f64::from(u8::from(report.held == Some(held)));
            metrics::gauge!("hansard_sweep_held", "reason" => held.as_str()).set(is_held);
        }
        Ok(())
    }

    /// Sweeps whenever it is due, until `stop`; looks for that each `look` ([`LOOK`]), and not at
    /// once.
    pub async fn keep_sweeping(self, look: Duration, ledger: Ledger, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(look))
            .await
            .is_some()
        {
            let sweeping = self.sweep_if_due(&ledger);
            match stop.run_until_cancelled(sweeping).await {
                None => return,
                Some(Ok(None)) => {}
                Some(Ok(Some(report))) => tell(&report),
                // What is away is told elsewhere.
                Some(Err(error)) => debug!(error = format!("{error:#}"), "a sweep broke off"),
            }
        }
    }

    /// `None`: it is not due, or somebody else sees to it.
    pub async fn sweep_if_due(&self, ledger: &Ledger) -> anyhow::Result<Option<Report>> {
        let now = self.clock.now();
        let mut tx = self.store.worker_tx().await?;
        // One that breaks off is begun again then.
        let is_due = unknown::claim(&mut tx, now, now + rules::AGAIN).await?;
        tx.commit().await?;
        if !is_due {
            return Ok(None);
        }
        let is_doubted = health::process().is_degraded(Reason::Ledger);
        let how = SweepMode {
            ledger_is_current: ledger.is_current() && !is_doubted,
            ..SweepMode::default()
        };
        self.run(how, |_| {}).await.map(Some)
    }
}

/// What of a page of the bucket no row tells of, as seen now.
async fn without_row(
    tx: &mut Tx,
    page: Vec<Listed>,
    now: DateTime<Utc>,
    report: &mut Report,
) -> anyhow::Result<Vec<Unknown>> {
    let (mut of_meetings, mut seen) = (Vec::new(), Vec::new());
    for one in page {
        let meeting = match ObjectOwner::of(&one.key) {
            ObjectOwner::Other => {
                report.others += 1;
                continue;
            }
            ObjectOwner::Trial => None,
            ObjectOwner::Meeting(meeting) => {
                of_meetings.push((meeting, one.key.clone()));
                Some(meeting)
            }
        };
        report.objects += 1;
        seen.push(Unknown {
            key: one.key,
            meeting,
            tag: one.tag,
            size_bytes: one.size_bytes,
            first_seen: now,
        });
    }
    let without: BTreeSet<String> = unknown::without_row(tx, &of_meetings).await?;
    seen.retain(|one| one.meeting.is_none() || without.contains(&one.key));
    Ok(seen)
}

fn tell(report: &Report) {
    let Report {
        objects,
        unknown,
        due,
        deleted,
        aborted,
        held,
        ..
    } = report;
    match held {
        Some(held) if *due > 0 || *held != SweepHold::Spools => warn!(
            objects,
            unknown,
            due,
            reason = held.as_str(),
            "nothing is swept out of the bucket: {}",
            held.mend()
        ),
        _ => info!(objects, unknown, deleted, aborted, "swept the bucket"),
    }
}
