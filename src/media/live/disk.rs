//! The spool of this process: which folders are being written, and how much room is left.
//!
//! A holder's segments lie in `<spool>/<meeting>/<epoch>`. Each such folder has one owner: whoever
//! holds its [`OwnedFolder`], and without one the recovery. Every claim of a meeting has a new
//! epoch, so a folder that exists and is not owned was given up, and nobody takes it again.

use crate::domain::{id::MeetingId, quota::Quota, recording::SegmentName};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// What lies in the spool.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Measured {
    pub bytes: u64,
    pub segments: u64,
    /// When the oldest of them was last written.
    pub oldest: Option<SystemTime>,
    /// No new segments are begun.
    pub full: bool,
}

/// The spool. Clones are the same.
#[derive(Clone)]
pub struct Disk(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    quota: Quota,
    owned: Mutex<BTreeSet<(MeetingId, i64)>>,
    released: Notify,
    full: AtomicBool,
    scarce: AtomicBool,
    failed: Mutex<Option<Failed>>,
}

/// A segment that could not be written.
#[derive(Clone, Debug)]
pub struct Failed {
    pub at: Instant,
    pub error: String,
    /// For want of a descriptor rather than of room.
    pub descriptors: bool,
}

impl Disk {
    /// `folder` is `<data>/spool`.
    pub fn new(folder: PathBuf, quota: Quota) -> Self {
        Self(Arc::new(Inner {
            folder,
            quota,
            owned: Mutex::default(),
            released: Notify::new(),
            full: AtomicBool::new(false),
            scarce: AtomicBool::new(false),
            failed: Mutex::default(),
        }))
    }

    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Takes the folder of a claim's epoch, before anything is in it.
    pub fn own(&self, meeting: MeetingId, epoch: i64) -> OwnedFolder {
        self.owned().insert((meeting, epoch));
        OwnedFolder {
            disk: self.clone(),
            meeting,
            epoch,
        }
    }

    pub fn is_owned(&self, meeting: MeetingId, epoch: i64) -> bool {
        self.owned().contains(&(meeting, epoch))
    }

    /// Waits until a folder is given up.
    pub async fn released(&self) {
        self.0.released.notified().await;
    }

    /// Whether new segments are refused.
    pub fn is_full(&self) -> bool {
        self.0.full.load(Ordering::Relaxed)
    }

    /// Whether files that need not stay should go: half of the room is taken.
    pub fn is_scarce(&self) -> bool {
        self.0.scarce.load(Ordering::Relaxed)
    }

    /// Notes that a segment could not be written.
    pub fn failed(&self, error: &anyhow::Error) {
        let raw = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error());
        // ENFILE and EMFILE.
        let descriptors = matches!(raw, Some(23 | 24));
        let failed = Failed {
            at: Instant::now(),
            error: format!("{error:#}"),
            descriptors,
        };
        *self.0.failed.lock() = Some(failed);
    }

    /// The last segment that could not be written, if that was lately.
    pub fn last_failed(&self, within: Duration) -> Option<Failed> {
        let failed = self.0.failed.lock();
        failed
            .clone()
            .filter(|failed| failed.at.elapsed() <= within)
    }

    /// Counts what is there and decides whether there is room for more. Blocks on the disk.
    pub fn measure(&self) -> Measured {
        let mut measured = Measured::default();
        count(&self.0.folder, &mut measured);
        // A disk that does not answer is not full: the next segment shows.
        let free = rustix::fs::statvfs(&self.0.folder)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        measured.full = self.0.quota.is_reached(measured.bytes, free);
        self.0.full.store(measured.full, Ordering::Relaxed);
        self.0.scarce.store(
            self.0.quota.is_half_reached(measured.bytes, free),
            Ordering::Relaxed,
        );
        measured
    }

    fn owned(&self) -> MutexGuard<'_, BTreeSet<(MeetingId, i64)>> {
        self.0.owned.lock()
    }
}

fn count(folder: &Path, measured: &mut Measured) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        // It may go at any moment.
        let Ok(about) = entry.metadata() else {
            continue;
        };
        if about.is_dir() {
            count(&entry.path(), measured);
            continue;
        }
        measured.bytes += about.len();
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == SegmentName::EXTENSION)
        {
            measured.segments += 1;
            measured.oldest = measured.oldest.into_iter().chain(about.modified()).min();
        }
    }
}

/// An owned folder; given up when dropped.
pub struct OwnedFolder {
    disk: Disk,
    meeting: MeetingId,
    epoch: i64,
}

impl OwnedFolder {
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    pub fn meeting(&self) -> MeetingId {
        self.meeting
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }
}

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        self.disk.owned().remove(&(self.meeting, self.epoch));
        self.disk.0.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_means_full_and_passes() {
        let folder = std::env::temp_dir().join(format!("hansard-disk-{}", std::process::id()));
        fs::create_dir_all(folder.join("m/1/r")).expect("makes a folder");
        let disk = Disk::new(folder.clone(), Quota::Bytes(100));
        fs::write(folder.join("m/1/r/0-1.mkv"), [0; 60]).expect("writes");
        let measured = disk.measure();
        assert_eq!(
            (measured.bytes, measured.segments, measured.full),
            (60, 1, false)
        );
        assert!(disk.is_scarce(), "more than half is taken");
        fs::write(folder.join("m/1/r/1-1.mkv"), [0; 60]).expect("writes");
        assert!(disk.measure().full && disk.is_full());
        fs::remove_file(folder.join("m/1/r/0-1.mkv")).expect("removes");
        assert!(!disk.measure().full && !disk.is_full());
        assert!(
            !Disk::new(folder.clone(), Quota::default()).measure().full,
            "60 bytes fill no disk"
        );
        fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn a_folder_has_an_owner_until_it_is_given_up() {
        let disk = Disk::new(PathBuf::from("nowhere"), Quota::default());
        let (meeting, other) = (
            MeetingId(uuid::Uuid::from_u128(1)),
            MeetingId(uuid::Uuid::from_u128(2)),
        );
        let owned = disk.own(meeting, 3);
        assert!(
            disk.is_owned(meeting, 3) && !disk.is_owned(meeting, 2) && !disk.is_owned(other, 3)
        );
        drop(owned);
        assert!(!disk.is_owned(meeting, 3));
    }
}
