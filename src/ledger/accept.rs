//! Entries of what rows have accepted: redactions, holds and erasures, in the transaction that
//! accepts them, or later where storage is away.

use super::{Ledger, Refused, Unappended};
use crate::{
    domain::{
        id::{MeetingId, TenantId},
        job::JobKind,
        ledger::{Act, Draft, MadeFile, Redacted, Replaced},
        wire_time::wire_time,
    },
    store::{
        StoreError, entry_row, erasure, erasure::Erasure, event, file_entry, hold, ledger,
        redacted_file, redaction::Redaction, redaction_entry,
    },
};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tracing::{info, warn};

/// Meetings whose entries are written at a time where no job does it.
const MEETINGS_MAX: i64 = 100;

impl Ledger {
    /// Writes the entries of all that was asked for of a meeting and has none. Under the meeting's
    /// head.
    pub async fn write_asked(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
    ) -> Result<(), Unappended> {
        for what in hold::unwritten(conn, meeting).await? {
            let n = self.append(conn, what.draft(tenant, meeting)).await?;
            hold::written(conn, &what, n).await?;
        }
        for redaction in redaction_entry::unwritten(conn, meeting).await? {
            let n = self.append(conn, redaction.draft()).await?;
            redaction_entry::written(conn, meeting, redaction.id, n).await?;
        }
        self.write_deletions(conn, tenant, meeting).await
    }

    /// The same at the end of a transaction that accepted something; the caller commits, and where
    /// that fails, [`Self::look_soon`]. With storage away the rows alone say it, and jobs or
    /// [`Self::watch`] write the entries, before anything of it is deleted.
    ///
    /// # Errors
    /// [`Refused::Behind`]: roll back, catch up, begin again.
    pub async fn accept(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
    ) -> Result<(), Refused> {
        accepted(self.write_asked(conn, tenant, meeting).await)
    }

    /// Writes the entry of an erasure that has none.
    pub async fn write_erasure(
        &self,
        conn: &mut PgConnection,
        erasure: &Erasure,
    ) -> Result<(), Unappended> {
        if erasure.ledger_n.is_none() {
            let n = self.append(conn, erasure.draft()).await?;
            erasure::written(conn, erasure, n).await?;
        }
        Ok(())
    }

    /// The same as [`Self::accept`] for an erasure.
    pub async fn accept_erasure(
        &self,
        conn: &mut PgConnection,
        erasure: &Erasure,
    ) -> Result<(), Refused> {
        accepted(self.write_erasure(conn, erasure).await)
    }

    /// Says which files a redaction made, before what held it is deleted (`going`): without them,
    /// rows that are older know files only that are gone. Under the meeting's head. What was said
    /// is not said again.
    pub async fn tell_redacted(
        &self,
        conn: &mut PgConnection,
        redaction: &Redaction,
        going: &[String],
    ) -> Result<(), Unappended> {
        let meeting = redaction.meeting;
        let files = self.files(conn, meeting).await?;
        let hash = hash(&files);
        if redaction.told_files.as_ref() == Some(&hash)
            && going.iter().all(|key| redaction.told_objects.contains(key))
        {
            return Ok(());
        }
        let objects = entry_row::objects(conn, meeting, going).await?;
        let draft = Draft {
            tenant: redaction.tenant,
            meeting: Some(meeting),
            author: redaction.author.clone(),
            reason: None,
            asked_at: wire_time(redaction.asked_at),
            act: Act::Redacted(Redacted {
                id: redaction.id,
                files,
                objects,
            }),
        };
        self.append(conn, draft).await?;
        redaction_entry::told(conn, meeting, redaction.id, &hash, going).await?;
        Ok(())
    }

    /// Says that files go (`going`, of any revision) and which there are instead, before they are
    /// deleted: rows that are older than these name the ones that go. Under the meeting's head.
    pub async fn tell_replaced(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
        by: JobKind,
        going: &[String],
    ) -> Result<(), Unappended> {
        let draft = Draft {
            tenant,
            meeting: Some(meeting),
            author: format!("job:{by}"),
            reason: None,
            asked_at: wire_time(redacted_file::now(conn).await?),
            act: Act::Replaced(Replaced {
                files: self.files(conn, meeting).await?,
                objects: entry_row::objects(conn, meeting, going).await?,
            }),
        };
        self.append(conn, draft).await?;
        Ok(())
    }

    async fn files(
        &self,
        conn: &mut PgConnection,
        meeting: MeetingId,
    ) -> Result<Vec<MadeFile>, StoreError> {
        let key_of = |url: &str| self.objects.key(url).map(str::to_owned);
        file_entry::files(conn, meeting, key_of).await
    }

    /// Writes what no job writes: the holds, and redactions of meetings that are live.
    pub(super) async fn write_rest(&self) {
        if let Err(error) = self.try_write_rest().await {
            info!(%error, "entries of the ledger are written later");
        }
    }

    async fn try_write_rest(&self) -> Result<(), Unappended> {
        let mut tx = self.store.worker_tx().await?;
        let meetings = ledger::unwritten_meetings(&mut tx, MEETINGS_MAX).await?;
        tx.commit().await.map_err(StoreError::from)?;
        for (tenant, meeting) in meetings {
            let mut tx = self.store.worker_tx().await?;
            event::lock(&mut tx, meeting).await?;
            self.write_asked(&mut tx, tenant, meeting).await?;
            if let Err(error) = tx.commit().await {
                self.look_soon();
                return Err(StoreError::from(error).into());
            }
        }
        Ok(())
    }
}

/// Of files, to know whether they are the same.
pub(super) fn hash(files: &[MadeFile]) -> String {
    let told = serde_json::to_vec(files).unwrap_or_default();
    crate::domain::consent::hex(&Sha256::digest(told))
}

fn accepted(written: Result<(), Unappended>) -> Result<(), Refused> {
    match written {
        Ok(()) => Ok(()),
        Err(Unappended::Behind) => Err(Refused::Behind),
        Err(Unappended::Store(error)) => Err(Refused::Command(error.into())),
        Err(Unappended::Away(error)) => {
            info!(error, "the ledger is told of it later");
            Ok(())
        }
        Err(Unappended::Objects(error)) => {
            warn!(%error, "the ledger is told of it later");
            Ok(())
        }
    }
}
