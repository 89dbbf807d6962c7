//! The job that sees redactions of a meeting through: it begins those that waited for the end, has
//! archived tracks restored, waits until the files are made anew without what is taken out of them,
//! deletes every object that held it, and signs what was done.
//!
//! It may run twice and die at any line: what is to go was noted as it began, and only when nothing
//! of it is left in the inventory is a redaction done. It is never given up.

use super::{archive, clean, inventory::Inventory};
use crate::{
    command,
    domain::{
        fault::{Away, Fault},
        id::MeetingId,
        inventory::ObjectKind,
        job::JobKind,
        object_key::RecordingFile,
        redaction::{Certificate, GoneObject, Progress, RedactedFile, RedactionState, state},
        time::Micros,
    },
    ledger::Ledger,
    objects::Objects,
    published,
    queue::Queue,
    store::{
        Store, Tx, capture,
        effect::Effects,
        inventory,
        job::{self, Job as Row},
        recording,
        redacted_file::{self, File},
        redaction::{self, Redaction},
        seal::Seal,
    },
    worker::{Claimed, Job, Outcome},
};
use futures_util::future::BoxFuture;
use std::{collections::BTreeSet, sync::Arc};
use tracing::{debug, info};
use uuid::Uuid;

/// Meetings at a time.
const REDACTIONS_MAX: usize = 4;
/// How often it is looked again whether the files are made.
const POLL: Micros = Micros::from_secs(1);
/// The same while the meeting is live, or its files cannot be made.
const POLL_LATER: Micros = Micros::from_secs(5);
/// The same while machines are away, perhaps for good.
const POLL_SPOOLS: Micros = Micros::from_secs(60);

/// The job.
pub struct Redact {
    pub ledger: Ledger,
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    pub seal: Arc<Seal>,
}

impl Job for Redact {
    fn kind(&self) -> JobKind {
        JobKind::Redact
    }

    fn room(&self, running: usize) -> usize {
        REDACTIONS_MAX.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move { self.redact(&claimed).await })
    }

    /// It is never given up.
    fn failed(self: Arc<Self>, job: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            if let (Some(meeting), Fault::Away(away)) =
                (job.subject.meeting(), super::fault(&error))
                && let Err(error) = self.tell_away(meeting, away).await
            {
                debug!(
                    error = format!("{error:#}"),
                    "cannot say what redactions wait for"
                );
            }
            super::kept_on(&job, error)
        })
    }
}

fn waiting(at_least: Micros, error: anyhow::Error) -> Outcome {
    Outcome::Waiting {
        away: None,
        at_least,
        error,
    }
}

/// What is known of the meeting's files.
struct Files {
    /// They are being made, or are still to be.
    making: bool,
    /// They cannot be made.
    failed: bool,
    /// What the jobs that make them wait for.
    waiting_for: Option<Away>,
    /// Segments that a machine is bringing into storage.
    spooled: i64,
    now: Vec<File>,
    /// Those that are still as they were before.
    closed: BTreeSet<Uuid>,
    outstanding: i64,
}

impl Files {
    /// What a redaction waits for while they are made.
    fn why(&self) -> String {
        match (self.waiting_for, self.spooled) {
            (Some(away), _) => format!("its files are being made, which waits: {away} is away"),
            (None, 1..) => {
                let spooled = self.spooled;
                format!("{spooled} segments are on their way out of a spool")
            }
            _ => "its files are being made".to_owned(),
        }
    }
}

impl Redact {
    fn inventory(&self) -> Inventory<'_> {
        Inventory {
            store: &self.store,
            objects: &self.objects,
        }
    }

    async fn redact(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let meeting = claimed.meeting()?;
        let mut tx = super::begin(&self.store, claimed).await?;
        // What it waits for here is no failure, and comes soon.
        let Row { id, epoch, .. } = claimed.job;
        job::go_on(&mut tx, id, claimed.owner, epoch).await?;
        let tenant = claimed.job.tenant;
        if let Err(error) = self.ledger.write_asked(&mut tx, tenant, meeting).await {
            tx.rollback().await?;
            return Err(super::unwritten(&self.ledger, tenant, error).await);
        }
        if !command::redact::is_over(&mut tx, meeting).await? {
            let why = "the meeting is not over";
            for one in redaction::open(&mut tx, meeting).await? {
                redaction::progress(&mut tx, &one, one.state, Some(why)).await?;
            }
            super::commit_told(&self.ledger, tx).await?;
            return Ok(waiting(POLL_LATER, anyhow::anyhow!(why)));
        }
        super::commit_told(&self.ledger, tx).await?;
        clean::complete(self.inventory(), claimed).await?;
        if self.begin_all(claimed).await? {
            return Ok(Outcome::Settled);
        }
        let archived = self.restore(claimed).await?;
        let mut tx = super::begin(&self.store, claimed).await?;
        let open = redaction::open(&mut tx, meeting).await?;
        let files = self.files(&mut tx, meeting).await?;
        tx.commit().await?;
        let mut wait: Option<(Micros, String)> = None;
        for redaction in &open {
            let mut progress = Progress {
                live: false,
                archived: if redaction.files.is_empty() {
                    0
                } else {
                    archived
                },
                // Also where no file changes, but something came out of a spool: what is allowed of
                // it is still to be joined.
                making: files.making
                    && !(redaction.files.is_empty() && redaction.objects.is_empty())
                    || redaction
                        .files
                        .iter()
                        .any(|one| files.closed.contains(&one.id)),
                left: 0,
            };
            progress.left = self.delete(claimed, redaction, &files, progress).await?;
            let why = match state(progress) {
                RedactionState::Done => {
                    if redaction.completed_at.is_none() || files.outstanding == 0 {
                        self.complete(claimed, redaction).await?;
                    }
                    if files.outstanding == 0 || !redaction.is_of_sound() {
                        continue;
                    }
                    let outstanding = files.outstanding;
                    (POLL_SPOOLS, format!("{outstanding} segments lie in spools"))
                }
                RedactionState::WaitingRestore => (
                    archive::POLL,
                    format!("{archived} tracks are being restored"),
                ),
                _ if files.failed => (
                    POLL_LATER,
                    "its files cannot be made: `hansard jobs list` says why, `hansard jobs retry` tries again"
                        .to_owned(),
                ),
                _ if progress.making => (POLL, files.why()),
                _ => (
                    POLL,
                    format!("{} objects are still to be deleted", progress.left),
                ),
            };
            self.note(claimed, redaction, state(progress), &why.1)
                .await?;
            if wait.as_ref().is_none_or(|(at_least, _)| why.0 < *at_least) {
                wait = Some(why);
            }
        }
        match wait {
            Some((at_least, why)) => Ok(waiting(at_least, anyhow::anyhow!(why))),
            None => self.end(claimed).await,
        }
    }

    /// Begins with those that waited for the end, which takes this run's lease, too: the job is
    /// queued anew then (`true`).
    async fn begin_all(&self, claimed: &Claimed) -> anyhow::Result<bool> {
        let meeting = claimed.meeting()?;
        let mut tx = super::begin(&self.store, claimed).await?;
        let (mut began, mut effects) = (false, Effects::default());
        for redaction in redaction::open(&mut tx, meeting).await? {
            if !redaction.begun {
                began = true;
                effects.extend(command::redact::begin(&mut tx, &redaction).await?);
            } else if redaction.is_of_sound() {
                // Of a meeting from before there was an inventory, from a spool, or stored by a
                // recovery that began before the redaction did.
                let holding =
                    redacted_file::holding(&mut tx, meeting, redaction.participant).await?;
                redaction::hold(&mut tx, &redaction, &holding).await?;
            }
        }
        tx.commit().await?;
        published::publish(&self.queue, None, meeting, effects);
        Ok(began)
    }

    /// Has archived tracks restored that files are to be made of. Answers how many are not readable
    /// yet; when none is left, also since the last one was deleted, the files are made.
    async fn restore(&self, claimed: &Claimed) -> anyhow::Result<usize> {
        let meeting = claimed.meeting()?;
        let mut tx = self.store.worker_tx().await?;
        let open = redaction::open(&mut tx, meeting).await?;
        let urls = redacted_file::archived(&mut tx, meeting).await?;
        tx.commit().await?;
        let is_waiting = |one: &Redaction| one.completed_at.is_none() && !one.files.is_empty();
        if !open.iter().any(is_waiting) {
            return Ok(0);
        }
        let keys: Vec<&str> = urls
            .iter()
            .filter_map(|url| self.objects.key(url))
            .collect();
        let left = archive::restore(&self.objects, &keys).await?;
        if left > 0 {
            self.delete_mixes(claimed, &open).await?;
            return Ok(left);
        }
        let mut tx = super::begin(&self.store, claimed).await?;
        let (making, failed) = redacted_file::making(&mut tx, meeting).await?;
        let waited = open
            .iter()
            .any(|one| one.state == RedactionState::WaitingRestore);
        let is_due = if waited {
            !redacted_file::files(&mut tx, meeting).await?.is_empty()
        } else {
            // What made files meanwhile was not what makes these.
            !redacted_file::closed(&mut tx, meeting).await?.is_empty()
        };
        let mut effects = Effects::default();
        if is_due && !making && !failed {
            effects = command::redact::remake(&mut tx, claimed.job.tenant, meeting).await?;
            for one in &open {
                let running = RedactionState::Running;
                redaction::progress(&mut tx, one, running, None).await?;
            }
        }
        tx.commit().await?;
        published::publish(&self.queue, None, meeting, effects);
        Ok(0)
    }

    /// The mixes hold what goes, and nothing has to be read of them.
    async fn delete_mixes(&self, claimed: &Claimed, open: &[Redaction]) -> anyhow::Result<()> {
        let meeting = claimed.meeting()?;
        let mut tx = super::begin(&self.store, claimed).await?;
        let entries = inventory::of_meeting(&mut tx, meeting).await?;
        tx.commit().await?;
        let mixes: Vec<String> = entries
            .into_iter()
            .filter(|entry| matches!(entry.kind, ObjectKind::Mix | ObjectKind::Derived))
            .map(|entry| entry.key)
            .filter(|key| open.iter().any(|one| one.objects.contains(key)))
            .collect();
        self.inventory().delete(meeting, &mixes).await?;
        Ok(())
    }

    async fn files(&self, tx: &mut Tx, meeting: MeetingId) -> anyhow::Result<Files> {
        let (making, failed) = redacted_file::making(tx, meeting).await?;
        let unmerged = recording::is_unmerged(tx, meeting).await?;
        let spooled = capture::spooled(tx, meeting).await?;
        Ok(Files {
            making: making || failed || unmerged || spooled > 0,
            failed,
            waiting_for: redacted_file::waiting_for(tx, meeting).await?,
            spooled,
            now: redacted_file::files(tx, meeting).await?,
            closed: redacted_file::closed(tx, meeting).await?,
            outstanding: redacted_file::outstanding(tx, meeting).await?,
        })
    }

    /// Deletes what held what goes, once the files are made; answers how much of it is left.
    async fn delete(
        &self,
        claimed: &Claimed,
        redaction: &Redaction,
        files: &Files,
        progress: Progress,
    ) -> anyhow::Result<usize> {
        let meeting = redaction.meeting;
        let urls = files.now.iter().filter_map(|file| file.blob_url.as_deref());
        let current: BTreeSet<String> = urls
            .filter_map(|url| self.objects.key(url))
            .flat_map(|key| {
                let peaks = RecordingFile::parse(key).map(|file| file.peaks().to_string());
                peaks.into_iter().chain([key.to_owned()])
            })
            .collect();
        let mut tx = self.store.worker_tx().await?;
        let held = redacted_file::objects(&mut tx, meeting, &redaction.objects).await?;
        tx.commit().await?;
        let left: Vec<String> = held
            .into_iter()
            .filter(|one| !one.is_deleted && !current.contains(&one.key))
            .map(|one| one.key)
            .collect();
        if progress.making || progress.archived > 0 || left.is_empty() {
            return Ok(left.len());
        }
        self.tell(claimed, redaction, &left).await?;
        self.inventory().delete(meeting, &left).await
    }

    /// Tells the ledger of the files that were made, before what held what goes is deleted.
    async fn tell(
        &self,
        claimed: &Claimed,
        redaction: &Redaction,
        going: &[String],
    ) -> anyhow::Result<()> {
        let mut tx = super::begin(&self.store, claimed).await?;
        match self.ledger.tell_redacted(&mut tx, redaction, going).await {
            Ok(()) => super::commit_told(&self.ledger, tx).await,
            Err(error) => {
                tx.rollback().await?;
                Err(super::unwritten(&self.ledger, claimed.job.tenant, error).await)
            }
        }
    }

    async fn note(
        &self,
        claimed: &Claimed,
        redaction: &Redaction,
        state: RedactionState,
        why: &str,
    ) -> anyhow::Result<()> {
        let mut tx = super::begin(&self.store, claimed).await?;
        redaction::progress(&mut tx, redaction, state, Some(why)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says of each that goes on that this is away.
    async fn tell_away(&self, meeting: MeetingId, away: Away) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        for one in redaction::open(&mut tx, meeting).await? {
            let why = format!("{away} is away");
            redaction::progress(&mut tx, &one, one.state, Some(&why)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Nothing is left: says so, signed.
    async fn complete(&self, claimed: &Claimed, redaction: &Redaction) -> anyhow::Result<()> {
        let meeting = redaction.meeting;
        let mut tx = super::begin(&self.store, claimed).await?;
        let outstanding = if redaction.is_of_sound() {
            redacted_file::outstanding(&mut tx, meeting).await?
        } else {
            0
        };
        let destroyed = if redaction.is_of_sound() {
            redacted_file::destroyed(&mut tx, meeting).await?
        } else {
            0
        };
        let now = redacted_file::files(&mut tx, meeting).await?;
        let held = redacted_file::objects(&mut tx, meeting, &redaction.objects).await?;
        let completed_at = redacted_file::now(&mut tx).await?;
        let certificate = Certificate {
            id: redaction.id,
            meeting_id: meeting,
            participant_id: redaction.participant,
            purposes: redaction.purposes.clone(),
            from_ms: redaction.from_ms,
            to_ms: redaction.to_ms,
            asked_by: redaction.author.clone(),
            asked_at: redaction.asked_at,
            completed_at,
            recordings: redaction
                .files
                .iter()
                .map(|before| RedactedFile {
                    id: before.id,
                    kind: before.kind,
                    before: before.sha256.clone(),
                    after: now
                        .iter()
                        .find(|file| file.id == before.id)
                        .and_then(|file| file.sha256.clone()),
                })
                .collect(),
            objects: held
                .into_iter()
                .filter(|one| one.is_deleted)
                .map(|one| GoneObject {
                    key: one.key,
                    sha256: one.sha256,
                })
                .collect(),
            segments: redaction.segments,
            spools_outstanding: outstanding,
            spools_destroyed: destroyed,
        };
        let certificate = serde_json::to_value(&certificate)?;
        let jws = self.seal.signer().sign(certificate.to_string().as_bytes());
        redaction::complete(
            &mut tx,
            redaction,
            completed_at,
            (outstanding, destroyed),
            &certificate,
            &jws,
        )
        .await?;
        if redaction::open(&mut tx, meeting)
            .await?
            .iter()
            .all(|one| one.files.is_empty() || one.completed_at.is_some())
        {
            redacted_file::open_files(&mut tx, meeting).await?;
        }
        tx.commit().await?;
        info!(
            redaction = %redaction.id,
            objects = redaction.objects.len(),
            segments = redaction.segments,
            outstanding,
            "somebody was taken out of the meeting"
        );
        Ok(())
    }

    /// Ends the job, unless somebody asked for more meanwhile.
    async fn end(&self, claimed: &Claimed) -> anyhow::Result<Outcome> {
        let Row { id, epoch, .. } = claimed.job;
        let mut tx = super::begin(&self.store, claimed).await?;
        job::finish_or_run_again(&mut tx, id, claimed.owner, epoch).await?;
        tx.commit().await?;
        Ok(Outcome::Settled)
    }
}
