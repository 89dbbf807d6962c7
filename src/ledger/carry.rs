//! Carrying out one entry on rows that do not have it, which may be older than what it is about.

use super::{Ledger, accept, replay::ReplayError};
use crate::{
    command::{
        delete::{self, Plan},
        redact,
    },
    domain::{
        id::{MeetingId, TenantId},
        inventory::ObjectKind,
        job::JobKind,
        ledger::{Act, Deletion, Entry, GoneObject, Head, MadeFile, Redacted, Replaced},
        object_key::RecordingFile,
    },
    store::{
        StoreError,
        deletion::{self, Asked},
        entry_row, erasure, event, file_entry, hold, inventory, job, ledger, redaction,
        redaction_entry,
    },
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tracing::{info, info_span};

impl Ledger {
    /// `false`: somebody else was quicker.
    pub(super) async fn carry_out(
        &self,
        entry: &Entry,
        from: &Head,
        to: &Head,
    ) -> Result<bool, ReplayError> {
        let Entry {
            tenant, meeting, ..
        } = *entry;
        let asked_at = DateTime::parse_from_rfc3339(&entry.asked_at);
        let asked = Asked {
            author: entry.author.clone(),
            reason: entry.reason.clone(),
            at: asked_at.map_or(DateTime::UNIX_EPOCH, |at| at.with_timezone(&Utc)),
            ledger: Some(entry.n),
        };
        let mut tx = self.store.worker_tx().await?;
        let mut known = lock(&mut tx, meeting).await?;
        let nobodys: &[GoneObject] = match (&entry.act, meeting) {
            (Act::Deletion(gone), Some(_)) if known.is_none() => &gone.objects,
            (Act::Replaced(made), Some(_)) if known.is_none() => &made.objects,
            (Act::Redacted(made), Some(meeting))
                if redaction::get(&mut tx, meeting, made.id).await?.is_none() =>
            {
                &made.objects
            }
            _ => &[],
        };
        if !nobodys.is_empty() {
            // No row tells of these, so no job would find them.
            tx.commit().await.map_err(StoreError::from)?;
            let keys: Vec<String> = nobodys.iter().map(|object| object.key.clone()).collect();
            self.objects.delete_all(&keys).await?;
            tx = self.store.worker_tx().await?;
            known = lock(&mut tx, meeting).await?;
        }
        if ledger::lock(&mut tx, tenant).await? != *from {
            tx.commit().await.map_err(StoreError::from)?;
            return Ok(false);
        }
        // Workers look for jobs by themselves, and sockets for events.
        match (&entry.act, known) {
            (Act::Deletion(gone), Some(meeting)) => {
                delete(&mut tx, tenant, meeting, gone, &asked).await?;
            }
            (Act::Deletion(gone), None) => {
                if let Some(meeting) = meeting {
                    deletion::note_of_unknown(&mut tx, tenant, meeting, gone, &asked).await?;
                }
            }
            (Act::Redaction(accepted), Some(meeting)) => {
                redact::take_in(&mut tx, tenant, meeting, accepted, &asked).await?;
            }
            (Act::Redacted(made), Some(meeting)) => {
                self.adopt(&mut tx, tenant, meeting, made).await?;
            }
            (Act::Replaced(made), Some(meeting)) => {
                self.replace(&mut tx, tenant, meeting, made).await?;
            }
            (Act::Hold(held), Some(meeting)) => {
                hold::take_in(&mut tx, tenant, meeting, held, &asked).await?;
            }
            (Act::Lift(held), Some(meeting)) => {
                hold::take_in_lift(&mut tx, meeting, held, &asked).await?;
            }
            (Act::Erasure(erased), _) => {
                if erasure::take_in(&mut tx, tenant, erased, &asked).await? {
                    job::ensure_again(&mut tx, tenant, JobKind::Erase, erased.user).await?;
                }
            }
            // Nothing of the meeting can be asked for.
            (
                Act::Redaction(_)
                | Act::Redacted(_)
                | Act::Replaced(_)
                | Act::Hold(_)
                | Act::Lift(_),
                None,
            ) => {}
        }
        ledger::advance(&mut tx, tenant, to).await?;
        tx.commit().await.map_err(StoreError::from)?;
        metrics::counter!("hansard_ledger_replayed_total").increment(1);
        let (n, is_known) = (entry.n, known.is_some());
        let told = || info!(n, is_known, "carried out an entry of the ledger");
        match meeting {
            Some(meeting) => info_span!("meeting", id = %meeting).in_scope(told),
            None => told(),
        }
        Ok(true)
    }

    /// Takes over the files that a redaction made. Its job deletes what they stand for.
    async fn adopt(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
        made: &Redacted,
    ) -> Result<(), ReplayError> {
        self.adopt_files(conn, tenant, meeting, &made.files).await?;
        let Some(redaction) = redaction::get(conn, meeting, made.id).await? else {
            return Ok(());
        };
        entry_row::take_in_objects(conn, tenant, meeting, &made.objects).await?;
        let keys: Vec<String> = made.objects.iter().map(|one| one.key.clone()).collect();
        redaction::hold(conn, &redaction, &keys).await?;
        redaction_entry::told(conn, meeting, made.id, &accept::hash(&made.files), &keys).await?;
        Ok(())
    }

    async fn adopt_files(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
        files: &[MadeFile],
    ) -> Result<(), ReplayError> {
        for file in files {
            let url = self.objects.url(&file.key);
            if file_entry::adopt(conn, tenant, meeting, file, &url).await? {
                self.adopt_peaks(conn, tenant, meeting, file).await?;
            }
        }
        Ok(())
    }

    /// The ledger does not tell of a file's peaks: they are there or not.
    async fn adopt_peaks(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
        file: &MadeFile,
    ) -> Result<(), ReplayError> {
        let Some(of) = RecordingFile::parse(&file.key) else {
            return Ok(());
        };
        let key = of.peaks().to_string();
        let Some(head) = self.objects.head(&key).await? else {
            return Ok(());
        };
        let peaks = GoneObject {
            key,
            recording: file.recording.id,
            kind: ObjectKind::Derived,
            sha256: head.sha256,
            version: head.version,
        };
        let size_bytes = i64::try_from(head.size_bytes).unwrap_or(i64::MAX);
        file_entry::stored(conn, tenant, meeting, &peaks, size_bytes).await?;
        Ok(())
    }

    /// Takes over files that stand in for those that these rows know, and has those deleted, which
    /// are told of already.
    async fn replace(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
        replaced: &Replaced,
    ) -> Result<(), ReplayError> {
        let Replaced { files, objects } = replaced;
        self.adopt_files(conn, tenant, meeting, files).await?;
        file_entry::disown(conn, meeting, files, objects).await?;
        entry_row::take_in_objects(conn, tenant, meeting, objects).await?;
        let gone = file_entry::replaced(conn, meeting, objects).await?;
        inventory::going(conn, meeting, &gone).await?;
        job::ensure_again(conn, tenant, JobKind::Clean, meeting).await?;
        Ok(())
    }
}

/// Locks the head of a meeting that these rows know.
async fn lock(
    conn: &mut PgConnection,
    meeting: Option<MeetingId>,
) -> Result<Option<MeetingId>, StoreError> {
    let Some(meeting) = meeting else {
        return Ok(None);
    };
    match event::lock(conn, meeting).await {
        Ok(()) => Ok(Some(meeting)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn delete(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    gone: &Deletion,
    asked: &Asked,
) -> Result<(), StoreError> {
    ledger::take_in(conn, tenant, meeting, gone).await?;
    let plan = Plan {
        what: gone.what,
        recordings: gone.recordings.iter().map(|one| one.id).collect(),
    };
    delete::carry_out(conn, tenant, meeting, &plan, asked).await?;
    Ok(())
}
