//! The way of segments into storage, one for all meetings of the process and its recovery: noted in
//! the inventory, then stored. A meeting waits for neither: its segments wait in the spool.
//!
//! Whatever storage answers, a segment that is on the disk is tried again: keys, clocks,
//! permissions and buckets get mended, too. While storage is away few try, with growing pauses; the
//! first success wakes the others.

use super::{commit::Holder, noting::Noting};
use crate::{
    domain::{
        id::MeetingId, inventory::ObjectKind, media_type::MediaType, object_key::LiveSegment,
        recording::SegmentState, retry, tiering::Tier,
    },
    health::{self, Reason},
    media::live::segment::Sealed,
    objects::{ObjectError, Objects, Stored},
    store::{
        Store,
        inventory::{Noted, Object},
        recording::Segment,
    },
};
use anyhow::Context;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tracing::{debug, warn};

/// Uploads at a time, of all meetings; the next in line are served in their order, so no meeting
/// keeps another waiting. Each is one or two round trips: 64 store 100 segments a second at 300 ms
/// each.
const UPLOADS: usize = 64;
/// Uploads of one meeting at a time.
pub const UPLOADS_EACH: usize = 32;
/// The same while storage is away: somebody must notice that it is back.
pub const PROBES_EACH: usize = 2;
/// Doublings of the pause between two tries of one segment: up to 6.4 s.
const FAILURES_MAX: u32 = 5;
/// One try, for a small segment; more for a large one.
const TRY_MAX: Duration = Duration::from_secs(20);
/// Without an answer for this long, and nothing else stored meanwhile, it is told that storage is
/// away.
const NOTICE: Duration = Duration::from_secs(5);
/// The slowest link that is waited for.
const BYTES_PER_SECOND_MIN: u64 = 100_000;
/// Blocks of segments stored at a time, of all meetings.
const BLOCKS: usize = 2;
/// Deletions that wait at a time.
const DELETIONS: usize = 1_000;

/// Why a segment is not stored.
#[derive(Debug, thiserror::Error)]
pub enum Unstored {
    /// Storage does not take it now.
    #[error("{0}")]
    Away(String),
    /// It cannot be noted in the inventory now.
    #[error("{0}")]
    Unnoted(String),
    /// The file cannot be read now: descriptors, or the disk.
    #[error("{0}")]
    Local(String),
    /// Its recording is deleted, so nothing of it is kept.
    #[error("its recording is deleted")]
    Deleted,
    /// There is no such file any more.
    #[error("the file is gone")]
    Gone,
}

/// Stores the sealed segments of all meetings. Clones share it.
#[derive(Clone)]
pub struct Uploader(Arc<Inner>);

struct Inner {
    objects: Objects,
    noting: Noting,
    room: Semaphore,
    deletions: Arc<Semaphore>,
    blocks: Semaphore,
    back: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    away_since: Option<Instant>,
    /// Since when nothing could be noted.
    unnoted_since: Option<Instant>,
    /// When something was stored last.
    stored: Option<Instant>,
    /// When what waits was sealed.
    waiting: BTreeMap<u64, Instant>,
    next: u64,
}

/// A segment that is not in storage yet, for the gauges.
pub struct Waiting {
    uploader: Uploader,
    number: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.uploader.state().waiting.remove(&self.number);
    }
}

impl Uploader {
    pub fn new(objects: Objects, store: Store) -> Self {
        Self(Arc::new(Inner {
            objects,
            noting: Noting::new(store),
            room: Semaphore::new(UPLOADS),
            deletions: Arc::new(Semaphore::new(DELETIONS)),
            blocks: Semaphore::new(BLOCKS),
            back: Notify::new(),
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Counts a segment, sealed so long ago, as waiting until the answer is dropped.
    pub fn expect(&self, age: Duration) -> Waiting {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let now = Instant::now();
        state
            .waiting
            .insert(number, now.checked_sub(age).unwrap_or(now));
        Waiting {
            uploader: self.clone(),
            number,
        }
    }

    /// How many segments wait, and for how long the oldest.
    pub fn waiting(&self) -> (usize, Duration) {
        let state = self.state();
        (
            state.waiting.len(),
            state
                .waiting
                .values()
                .min()
                .map(Instant::elapsed)
                .unwrap_or_default(),
        )
    }

    /// For how long nothing could be stored.
    pub fn away(&self) -> Option<Duration> {
        self.state().away_since.map(|since| since.elapsed())
    }

    /// The same, or noted.
    pub fn blocked(&self) -> Option<Duration> {
        let unnoted = self.state().unnoted_since.map(|since| since.elapsed());
        self.away().max(unnoted)
    }

    /// How many of a meeting's segments may be on their way now.
    pub fn room_each(&self) -> usize {
        if self.blocked().is_some() {
            PROBES_EACH
        } else {
            UPLOADS_EACH
        }
    }

    /// Stores one segment as this object, for as long as it takes.
    ///
    /// # Errors
    /// Only when the file is gone, or its recording deleted.
    pub async fn store(&self, sealed: &Sealed, object: &Object) -> Result<Segment, Unstored> {
        let mut failures = 0;
        loop {
            match self.try_store(sealed, object).await {
                Err(Unstored::Away(_) | Unstored::Unnoted(_) | Unstored::Local(_)) => {
                    metrics::counter!("hansard_upload_retries_total").increment(1);
                    let wait = retry::backoff(failures, fastrand::f64());
                    let wait = Duration::from_micros(wait.0.unsigned_abs());
                    let _ = tokio::time::timeout(wait, self.0.back.notified()).await;
                    failures = (failures + 1).min(FAILURES_MAX);
                }
                done => return done,
            }
        }
    }

    /// Tries once.
    pub async fn try_store(&self, sealed: &Sealed, object: &Object) -> Result<Segment, Unstored> {
        let key = object.key.as_str();
        let _room = self
            .0
            .room
            .acquire()
            .await
            .map_err(|_| Unstored::Away("the process ends".into()))?;
        self.note(object).await?;
        let limit = TRY_MAX + Duration::from_secs(sealed.size / BYTES_PER_SECOND_MIN);
        let begun = Instant::now();
        let mut put = std::pin::pin!(self.0.objects.put_file(
            key,
            &sealed.path,
            MediaType::AudioMatroska.as_str(),
            Tier::Hot
        ));
        let mut answer = tokio::time::timeout(NOTICE, &mut put).await;
        if answer.is_err() {
            if self.state().stored.is_none_or(|stored| stored < begun) {
                self.failed(format!("no answer for {NOTICE:?}"));
            }
            answer = tokio::time::timeout(limit.saturating_sub(NOTICE), put).await;
        }
        let stored = match answer {
            Ok(Ok(stored)) => stored,
            Ok(Err(ObjectError::Local(error))) => {
                return Err(if error.kind() == std::io::ErrorKind::NotFound {
                    Unstored::Gone
                } else {
                    Unstored::Local(error.to_string())
                });
            }
            // The SDK wraps errors of the file, too.
            Ok(Err(_)) | Err(_) if !sealed.path.exists() => return Err(Unstored::Gone),
            Ok(Err(error)) => return Err(self.failed(error.to_string())),
            Err(_) => return Err(self.failed(format!("no answer within {limit:?}"))),
        };
        self.succeeded();
        segment(sealed, key, &stored).map_err(|error| Unstored::Local(format!("{error:#}")))
    }

    async fn note(&self, object: &Object) -> Result<(), Unstored> {
        let noted = self.0.noting.note(object.clone()).await;
        let mut state = self.state();
        let unnoted_since = match &noted {
            Ok(_) => None,
            Err(_) => state.unnoted_since.or_else(|| Some(Instant::now())),
        };
        let was_away = std::mem::replace(&mut state.unnoted_since, unnoted_since).is_some();
        drop(state);
        if was_away && unnoted_since.is_none() {
            self.0.back.notify_waiters();
        }
        match noted {
            Ok(Noted::Yes) => Ok(()),
            Ok(Noted::Gone) => Err(Unstored::Deleted),
            Ok(Noted::Busy) => Err(Unstored::Unnoted(format!(
                "{} is being deleted",
                object.key
            ))),
            Err(error) => Err(Unstored::Unnoted(error)),
        }
    }

    /// Waits for its turn to make a block, which is held in memory.
    pub async fn room_for_blocks(&self) -> Result<SemaphorePermit<'_>, Unstored> {
        let room = self.0.blocks.acquire().await;
        room.map_err(|_| Unstored::Away("the process ends".into()))
    }

    /// Stores a block of segments; tries once.
    pub async fn store_block(&self, object: &Object, bytes: Vec<u8>) -> Result<Stored, Unstored> {
        self.note(object).await?;
        let limit = TRY_MAX + Duration::from_secs(bytes.len() as u64 / BYTES_PER_SECOND_MIN);
        let media = MediaType::AudioMatroska.as_str();
        let put = self
            .0
            .objects
            .put_bytes(&object.key, bytes, media, Tier::Hot);
        match tokio::time::timeout(limit, put).await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(error)) => Err(Unstored::Away(error.to_string())),
            Err(_) => Err(Unstored::Away(format!("no answer within {limit:?}"))),
        }
    }

    /// Deletes an object that no row names, for as long as it takes; does not wait for it. What is
    /// not deleted when the process ends is found in the inventory.
    pub fn delete(&self, meeting: MeetingId, key: String) {
        self.delete_all(meeting, vec![key]);
    }

    /// The same for several, one after the other, so that nothing live waits behind them.
    pub fn delete_all(&self, meeting: MeetingId, keys: Vec<String>) {
        if keys.is_empty() {
            return;
        }
        let Ok(room) = self.0.deletions.clone().try_acquire_owned() else {
            warn!(
                ?keys,
                "too many deletions wait; objects that no row names stay in storage"
            );
            return;
        };
        let uploader = self.clone();
        tokio::spawn(async move {
            let _room = room;
            for key in &keys {
                let mut failures = 0;
                while let Err(error) = uploader.0.objects.delete(key).await {
                    if failures == FAILURES_MAX - 1 {
                        warn!(key, %error, "an object that no row names cannot be deleted; it is tried again");
                    }
                    let wait = retry::backoff(failures, fastrand::f64());
                    tokio::time::sleep(Duration::from_micros(wait.0.unsigned_abs())).await;
                    failures = (failures + 1).min(FAILURES_MAX);
                }
            }
            if let Err(error) = uploader.0.noting.gone(meeting, &keys).await {
                debug!(
                    ?keys,
                    error = format!("{error:#}"),
                    "it could not be written that objects are deleted"
                );
            }
        });
    }

    fn failed(&self, error: String) -> Unstored {
        let mut state = self.state();
        state.away_since.get_or_insert_with(Instant::now);
        let waiting = state.waiting.len();
        drop(state);
        health::degrade(
            Reason::Storage,
            format!("{waiting} segments wait in the spool: {error}"),
        );
        Unstored::Away(error)
    }

    fn succeeded(&self) {
        let mut state = self.state();
        state.stored = Some(Instant::now());
        let was_away = state.away_since.take().is_some();
        drop(state);
        if was_away {
            health::restore(Reason::Storage);
            self.0.back.notify_waiters();
        }
    }
}

fn segment(sealed: &Sealed, key: &str, stored: &crate::objects::Stored) -> anyhow::Result<Segment> {
    Ok(Segment {
        recording: sealed.track.recording,
        epoch: sealed.epoch,
        n: i32::try_from(sealed.name.n).context("segment number")?,
        span: sealed.pass.span,
        consent_entry: sealed.pass.entry,
        late: sealed.pass.late,
        object_key: key.to_owned(),
        size_bytes: i64::try_from(stored.size_bytes).context("segment size")?,
        sha256: stored.sha256.clone(),
        version: stored.version.clone(),
        state: SegmentState::Stored,
        place: None,
    })
}

/// The object of a sealed segment that was cut so often.
pub fn object(holder: &Holder, sealed: &Sealed, cuts: u32) -> Object {
    let key = LiveSegment {
        tenant: holder.tenant,
        meeting: holder.meeting,
        epoch: sealed.epoch,
        recording: sealed.track.recording,
        n: sealed.name.n,
        entry: sealed.name.entry,
        cuts,
    };
    Object {
        key: key.to_string(),
        tenant: holder.tenant,
        meeting: holder.meeting,
        recording: sealed.track.recording,
        kind: ObjectKind::Segment,
        participants: vec![sealed.track.participant],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            codec::AudioCodec,
            gate::Pass,
            id::{ParticipantId, RecordingId, TenantId},
            object_key::live_prefix,
            recording::{SegmentName, Track},
            stream::MediaSource,
            time::{MeetingTime, Micros, Span},
        },
        objects::KEY_BYTES_MAX,
    };
    use uuid::Uuid;

    #[test]
    fn a_segment_of_a_long_meeting_has_a_key_that_storage_takes() {
        let (id, participant) = (Uuid::from_u128(u128::MAX), ParticipantId(Uuid::max()));
        let holder = Holder {
            tenant: TenantId(id),
            meeting: MeetingId(id),
            owner: id,
            epoch: 99_999,
            spool: "spool".into(),
        };
        let (name, span) = (
            SegmentName {
                n: 999_999,
                entry: 999_999,
                late: Micros(0),
            },
            Span::new(MeetingTime(0), MeetingTime(1)),
        );
        let track = Track {
            meeting: MeetingId(id),
            recording: RecordingId(id),
            participant,
            source: MediaSource::Microphone,
            codec: AudioCodec::Opus,
        };
        let pass = Pass {
            participant,
            span,
            entry: name.entry,
            late: name.late,
        };
        let sealed = Sealed {
            track,
            epoch: 99_999,
            name,
            path: name.file().into(),
            pass,
            size: 0,
            sha256: String::new(),
        };
        let key = object(&holder, &sealed, 99).key;
        assert!(
            key.starts_with(&live_prefix(TenantId(id), MeetingId(id))),
            "{key}"
        );
        assert!(key.len() <= KEY_BYTES_MAX, "{} bytes: {key}", key.len());
    }
}
