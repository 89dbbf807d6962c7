//! One pass over an ended meeting's transcript: what it works on, and how it reads and writes.

use super::{
    files::{Files, Scratch},
    known::{self, Known},
    transcribe::File,
};
use crate::{
    domain::{
        gate::Gate,
        id::{MeetingId, TenantId},
    },
    speech::Speech,
    store::{Tx, event, job, recording::Recording},
    worker::Claimed,
};
use anyhow::Context;
use chrono::{DateTime, Utc};

/// What a pass needs.
pub(super) struct Pass<'a> {
    pub files: &'a Files,
    pub speech: &'a Speech,
    pub claimed: &'a Claimed,
    pub known: &'a Known,
    pub scratch: &'a Scratch,
    pub meeting: MeetingId,
    pub tenant: TenantId,
    pub start: DateTime<Utc>,
    /// Of the meeting's last holder, under which what is found is stored.
    pub epoch: i64,
}

impl Pass<'_> {
    /// The meeting's gate as the log has it now.
    pub async fn gate(&self, tx: &mut Tx) -> anyhow::Result<Gate> {
        let policy = self.known.meeting.settings.consent_policy;
        known::transcription(tx, self.meeting, self.start, policy).await
    }

    /// A transaction under the meeting's head, in which the job is still ours.
    pub async fn begin(&self) -> anyhow::Result<Tx> {
        let mut tx = self.files.store.worker_tx().await?;
        event::lock(&mut tx, self.meeting).await?;
        let Claimed { job, owner, .. } = self.claimed;
        job::hold(&mut tx, job.id, *owner, job.epoch)
            .await
            .context("another worker has the job")?;
        Ok(tx)
    }

    /// Fetches a track. So storage is there.
    pub async fn fetch(&self, track: &Recording) -> anyhow::Result<File> {
        let (file, _) = self.files.fetch(track, self.scratch).await?;
        let Claimed { job, owner, .. } = self.claimed;
        let mut tx = self.files.store.worker_tx().await?;
        job::go_on(&mut tx, job.id, *owner, job.epoch).await?;
        tx.commit().await?;
        Ok(file)
    }
}
