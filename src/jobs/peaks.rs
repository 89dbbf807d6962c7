//! Peaks of recordings' files ([`crate::domain::peaks`]): how they are stored, and the job that
//! makes those that are missing. Usually [`super::mix`] makes them, of the mix and of the tracks that
//! it is rendered from; this job makes them of files that are older, when somebody asks for them.

use super::{files::Files, inventory::Inventory};
use crate::{
    domain::{
        id::{MeetingId, ParticipantId},
        inventory::ObjectKind,
        job::JobKind,
        object_key::RecordingFile,
        recording::{RecordingKind, RecordingStatus},
        time::Micros,
    },
    media::rendering::peaks,
    objects::{ObjectError, Objects, Stored},
    store::{
        StoreError, Tx,
        inventory::{self, Object, Settled},
        job::Job as Row,
        recording::{self, Recording},
        redacted_file,
    },
    worker::{Claimed, Job, Outcome},
};
use anyhow::Context;
use futures_util::future::BoxFuture;
use std::{collections::BTreeSet, sync::Arc};
use tracing::{info, warn};

/// The file of a recording, if it is under a key of ours.
pub(super) fn file_of(objects: &Objects, of: &Recording) -> Option<RecordingFile> {
    let url = of.blob_url.as_deref()?;
    objects.key(url).and_then(RecordingFile::parse)
}

/// Peaks in the bucket, of which no row tells yet.
pub(super) struct StoredPeaks {
    pub object: Object,
    stored: Stored,
}

impl StoredPeaks {
    /// Notes and stores them. `None`: the recording is being deleted.
    ///
    /// # Errors
    /// When the storage or the database is away, or the job is another's by now.
    pub async fn put(
        inventory: Inventory<'_>,
        claimed: &Claimed,
        of: RecordingFile,
        participants: Vec<ParticipantId>,
        peaks: Vec<u8>,
    ) -> anyhow::Result<Option<Self>> {
        let object = Object {
            key: of.peaks().to_string(),
            tenant: of.tenant,
            meeting: of.meeting,
            recording: of.recording,
            kind: ObjectKind::Derived,
            participants,
        };
        match inventory.put_bytes(claimed, &object, peaks).await {
            Ok(stored) => Ok(Some(Self { object, stored })),
            Err(error) if is_going(&error) => Ok(None),
            Err(error) => Err(error.context("storing peaks")),
        }
    }

    /// Tells of them, unless the recording was deleted meanwhile: then nothing is told.
    pub async fn settle(&self, tx: &mut Tx) -> anyhow::Result<()> {
        let Self { object, stored } = self;
        let settled = Settled {
            key: &object.key,
            recording: object.recording,
            size_bytes: i64::try_from(stored.size_bytes)?,
            sha256: &stored.sha256,
            version: stored.version.as_deref(),
        };
        match inventory::settle(tx, object.meeting, settled).await {
            Ok(()) | Err(StoreError::Going) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_going(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Going))
}

/// The keys of a meeting's peaks that are there.
pub(super) async fn stored(tx: &mut Tx, meeting: MeetingId) -> anyhow::Result<BTreeSet<String>> {
    let derived = inventory::stored_of_kind(tx, meeting, ObjectKind::Derived).await?;
    Ok(derived.into_iter().collect())
}

/// The job.
pub struct Peaks {
    pub files: Files,
}

impl Job for Peaks {
    fn kind(&self) -> JobKind {
        JobKind::Peaks
    }

    /// Somebody looks at a flat line meanwhile, and can do all else.
    fn room(&self, running: usize) -> usize {
        1_usize.saturating_sub(running)
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(async move {
            self.all(&claimed).await?;
            Ok(Outcome::Done)
        })
    }

    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { super::failed(error) })
    }
}

impl Peaks {
    /// Every file by itself: one that cannot be read keeps no other waiting, and fails the job in
    /// the end.
    async fn all(&self, claimed: &Claimed) -> anyhow::Result<()> {
        let meeting = claimed.meeting()?;
        let mut tx = self.files.store.worker_tx().await?;
        let recordings = recording::of_meeting(&mut tx, meeting).await?;
        let there = stored(&mut tx, meeting).await?;
        tx.commit().await?;
        let mut problem = None;
        for one in &recordings {
            let Some(file) = file_of(&self.files.objects, one) else {
                continue;
            };
            if one.status != RecordingStatus::Ready || there.contains(&file.peaks().to_string()) {
                continue;
            }
            if let Err(error) = self.one(claimed, one, file).await {
                if matches!(error.downcast_ref(), Some(ObjectError::Archived(_))) {
                    continue;
                }
                warn!(recording = %one.id, error = format!("{error:#}"), "a recording has no peaks for now");
                problem.get_or_insert(error);
            }
        }
        problem.map_or(Ok(()), Err)
    }

    async fn one(
        &self,
        claimed: &Claimed,
        of: &Recording,
        file: RecordingFile,
    ) -> anyhow::Result<()> {
        let Files { store, objects, .. } = &self.files;
        // Also those of whom there is no track any more.
        let mut tx = store.worker_tx().await?;
        let heard = inventory::heard_in(&mut tx, file.meeting, &file.to_string()).await?;
        tx.commit().await?;
        let scratch = self.files.scratch(&claimed.job).await?;
        let (lies, _) = self.files.fetch(of, &scratch).await?;
        let length = Micros::from_ms(of.duration_ms.unwrap_or(0));
        let kind = of.kind;
        let found = tokio::task::spawn_blocking(move || match kind {
            RecordingKind::Track => peaks::of_track(&lies.path, lies.zero),
            RecordingKind::Mix => peaks::of_mix(&lies.path),
        })
        .await??;
        let inventory = Inventory { store, objects };
        let bytes = found.finish_at(length);
        let Some(peaks) = StoredPeaks::put(inventory, claimed, file, heard, bytes).await? else {
            return Ok(());
        };
        let told = self.tell(claimed, of, &peaks).await;
        inventory.follow(&peaks.object).await;
        if !told.context("telling of peaks")? {
            // The file was replaced meanwhile, or closed: what shows when somebody spoke goes, too.
            let key = std::slice::from_ref(&peaks.object.key);
            inventory.delete(file.meeting, key).await?;
            return Ok(());
        }
        info!(recording = %of.id, "a recording has peaks now");
        Ok(())
    }

    /// `false`: the file is not open to anybody any more, or another one is.
    async fn tell(
        &self,
        claimed: &Claimed,
        of: &Recording,
        peaks: &StoredPeaks,
    ) -> anyhow::Result<bool> {
        let mut tx = super::begin(&self.files.store, claimed).await?;
        let url = of.blob_url.as_deref().unwrap_or_default();
        let is_open = redacted_file::is_open(&mut tx, peaks.object.meeting, of.id, url).await?;
        if is_open {
            peaks.settle(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(is_open)
    }
}
