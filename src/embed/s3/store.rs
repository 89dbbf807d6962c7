//! Objects on disk. Blocking.
//!
//! A key has a folder with a file for each version and `current`, which names one of them. Writing
//! is: the version's file, synced and renamed into the folder; then `current`, in the same way,
//! which is the moment in which it counts; then the files that it replaces go. Deleting is: first
//! `current`, then files. Whatever a kill leaves between these steps does not count, and goes with
//! the next write to the key or the next start.

use super::{
    archive::{self, Restore, State},
    condition::Conditions,
    disk::{self, Unfinished},
    format::{self, Version},
    history::{Deletion, Entry, History, Writing},
    place,
    refusal::Refusal,
};
use crate::clock::Clock;
use chrono::Duration;
use parking_lot::{Mutex, MutexGuard};
use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Keys are spread over so many locks.
const LOCKS: usize = 64;
/// A body above this is on disk before the key is locked.
const LARGE: u64 = 4 << 20;
/// How often a reader looks again when versions come and go under it.
const LOOKS_MAX: usize = 100;
const CURRENT: &str = "current";

pub type Result<T, E = Refusal> = std::result::Result<T, E>;

pub struct Store {
    root: PathBuf,
    pub(super) clock: Clock,
    /// How long a restore takes.
    restore_delay: Duration,
    keys: [Mutex<()>; LOCKS],
    pub(super) folders: Mutex<()>,
}

/// A version that can be read, for as long as its file is held.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    pub version: Version,
    pub state: State,
}

/// What a deletion did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deleted {
    /// Of the version that went, or of the marker that was made.
    pub id: Option<String>,
    /// A marker was made, or went.
    pub is_marker: bool,
}

impl Store {
    /// The store in this folder, which is made if there is none.
    pub fn open(root: &Path, clock: Clock, restore_delay: Duration) -> io::Result<Self> {
        let store = Self {
            root: root.to_owned(),
            clock,
            restore_delay,
            keys: [const { Mutex::new(()) }; LOCKS],
            folders: Mutex::new(()),
        };
        for folder in [store.unfinished(), store.buckets()] {
            fs::create_dir_all(folder)?;
        }
        // What a dead process was writing.
        for entry in fs::read_dir(store.unfinished())? {
            fs::remove_file(entry?.path())?;
        }
        // Folders that it had made and not synced are used from now on.
        rustix::fs::syncfs(File::open(root)?)?;
        Ok(store)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// No bucket's name has a `_`: an older version kept buckets beside these.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.root.join("_unfinished")
    }

    pub(super) fn buckets(&self) -> PathBuf {
        self.root.join("_buckets")
    }

    pub(super) fn bucket_folder(&self, bucket: &str) -> PathBuf {
        self.buckets().join(bucket)
    }

    /// Where a bucket's keys are.
    pub(super) fn objects(&self, bucket: &str) -> PathBuf {
        self.bucket_folder(bucket).join("objects")
    }

    pub(super) fn key_folder(&self, bucket: &str, key: &str) -> Result<PathBuf> {
        let place = place::folder(key).ok_or(Refusal::KeyTooLong)?;
        Ok(self.objects(bucket).join(place))
    }

    fn lock(&self, folder: &Path) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        self.keys[hasher.finish() as usize % LOCKS].lock()
    }

    // Reading.

    /// What a key's folder says, as it was at one moment.
    pub(super) fn history(folder: &Path) -> io::Result<History> {
        let mut pointer = disk::read_text(&folder.join(CURRENT))?;
        for _ in 0..LOOKS_MAX {
            let names = match fs::read_dir(folder) {
                Ok(entries) => entries
                    .filter_map(|entry| {
                        Some(entry.ok()?.file_name().to_string_lossy().into_owned())
                    })
                    .collect(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            let after = disk::read_text(&folder.join(CURRENT))?;
            if after == pointer {
                let names = names.iter().map(String::as_str);
                return Ok(History::new(names, pointer.as_deref()));
            }
            pointer = after;
        }
        Err(io::Error::other("versions come and go too fast"))
    }

    /// Opens a version, or the current one.
    pub fn open_version(&self, bucket: &str, key: &str, id: Option<&str>) -> Result<Opened> {
        let folder = self.key_folder(bucket, key)?;
        for _ in 0..LOOKS_MAX {
            let entry = match id {
                // The usual case reads no folder.
                None => match disk::read_text(&folder.join(CURRENT))? {
                    Some(name) => Entry::of(name.trim()),
                    None => None,
                },
                Some(id) => Self::history(&folder)?.find(id).cloned(),
            };
            let Some(entry) = entry else {
                self.bucket(bucket)?;
                return Err(match id {
                    None => Refusal::NoKey,
                    Some(_) => Refusal::NoVersion,
                });
            };
            if let Some(opened) = self.open_entry(&folder, &entry)? {
                return match (opened.version.is_marker, id) {
                    (false, _) => Ok(opened),
                    (true, None) => Err(Refusal::Deleted(entry.id)),
                    (true, Some(_)) => Err(Refusal::IsMarker),
                };
            }
            // Overwritten or deleted since, or the pointer survived what it names: then the version
            // before it counts.
            if id.is_none() {
                let _key = self.lock(&folder);
                let history = Self::history(&folder)?;
                match history.current() {
                    Some(current) if *current != entry => self.point(&folder, current)?,
                    Some(_) => {}
                    None => {
                        disk::remove(&folder.join(CURRENT))?;
                    }
                }
            }
        }
        Err(io::Error::other("versions come and go too fast").into())
    }

    /// `None` when its file is gone.
    pub(super) fn open_entry(&self, folder: &Path, entry: &Entry) -> Result<Option<Opened>> {
        let path = folder.join(entry.file_name());
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let version = format::read(&mut file).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let restore = if archive::is_archive(&version.class) {
            match disk::read_text(&folder.join(entry.restore_name()))? {
                Some(text) => {
                    Some(serde_json::from_str::<Restore>(&text).map_err(io::Error::from)?)
                }
                None => None,
            }
        } else {
            None
        };
        let state = archive::state(&version.class, restore, self.clock.now());
        Ok(Some(Opened {
            file,
            version,
            state,
        }))
    }

    // Writing.

    /// Makes what was written a version of its key: from now on it counts. `version` says
    /// everything but its id and number.
    pub fn commit(
        &self,
        made: Unfinished,
        mut version: Version,
        conditions: &Conditions,
    ) -> Result<Version> {
        let bucket = self.bucket(&version.bucket)?;
        let folder = self.key_folder(&version.bucket, &version.key)?;
        let mut file = made.open()?;
        if version.size_bytes > LARGE {
            file.sync_data()?;
        }
        let _key = self.lock(&folder);
        let history = self.swept(&folder)?;
        let there = match history.current().filter(|current| !current.is_marker) {
            Some(current) if *conditions != Conditions::default() => self
                .open_entry(&folder, current)?
                .map(|opened| opened.version.etag),
            _ => None,
        };
        conditions.of_write(there.as_deref())?;
        let writing = history.write(bucket.versioning, &fresh_id(), version.is_marker);
        version.id.clone_from(&writing.entry.id);
        version.number = writing.entry.number;
        version.written = self.clock.now();
        format::describe(&mut file, &version)?;
        file.sync_all()?;
        self.place(&version.bucket, &folder, made, &writing)?;
        Ok(version)
    }

    fn place(
        &self,
        bucket: &str,
        folder: &Path,
        made: Unfinished,
        writing: &Writing,
    ) -> Result<()> {
        let path = folder.join(writing.entry.file_name());
        let mut made = made;
        for look in 1.. {
            self.make_folders(bucket, folder)?;
            match made.place(&path) {
                Ok(()) => break,
                // The folder went with its last version, or one above it.
                Err((back, error))
                    if error.kind() == io::ErrorKind::NotFound && look < LOOKS_MAX =>
                {
                    self.bucket(bucket)?;
                    made = back;
                }
                Err((_, error)) => return Err(error.into()),
            }
        }
        self.point(folder, &writing.entry)?;
        for file in &writing.superseded {
            disk::remove(&folder.join(file.file_name()))?;
            disk::remove(&folder.join(file.restore_name()))?;
        }
        Ok(())
    }

    pub(super) fn make_folders(&self, bucket: &str, folder: &Path) -> io::Result<()> {
        let _folders = self.folders.lock();
        disk::make_folders(&self.objects(bucket), folder)
    }

    /// Nobody makes folders meanwhile.
    pub(super) fn remove_empty(&self, bucket: &str, folder: &Path) {
        let _folders = self.folders.lock();
        disk::remove_empty(&self.objects(bucket), folder);
    }

    pub(super) fn point(&self, folder: &Path, entry: &Entry) -> io::Result<()> {
        let name = entry.file_name();
        disk::write(&folder.join(CURRENT), name.as_bytes(), &self.unfinished())?;
        disk::sync_folder(folder)
    }

    /// The same for many: the caller syncs them all.
    pub(super) fn point_later(&self, folder: &Path, entry: &Entry) -> io::Result<()> {
        let (made, mut file) = Unfinished::new(&self.unfinished())?;
        file.write_all(entry.file_name().as_bytes())?;
        made.place(&folder.join(CURRENT))
            .map_err(|(_, error)| error)
    }

    /// Deletes the key (or marks it deleted) or one version of it.
    pub fn delete(&self, bucket: &str, key: &str, id: Option<&str>) -> Result<Deleted> {
        let settings = self.bucket(bucket)?;
        let folder = self.key_folder(bucket, key)?;
        let fresh = fresh_id();
        let _key = self.lock(&folder);
        let history = self.swept(&folder)?;
        let deleted = match history.delete(settings.versioning, id, &fresh) {
            Deletion::Nothing => Deleted {
                id: id.map(str::to_owned),
                is_marker: false,
            },
            Deletion::Mark(writing) => {
                let (made, mut file) = Unfinished::new(&self.unfinished())?;
                let marker = Version {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    id: writing.entry.id.clone(),
                    number: writing.entry.number,
                    is_marker: true,
                    written: self.clock.now(),
                    ..Version::default()
                };
                format::describe(&mut file, &marker)?;
                file.sync_all()?;
                self.place(bucket, &folder, made, &writing)?;
                Deleted {
                    id: Some(writing.entry.id),
                    is_marker: true,
                }
            }
            Deletion::Remove {
                current,
                files,
                was_marker,
            } => {
                if history.current() != current.as_ref() {
                    match &current {
                        Some(entry) => self.point(&folder, entry)?,
                        None => {
                            disk::remove(&folder.join(CURRENT))?;
                            disk::sync_folder(&folder)?;
                        }
                    }
                }
                for file in &files {
                    disk::remove(&folder.join(file.file_name()))?;
                    disk::remove(&folder.join(file.restore_name()))?;
                }
                if current.is_some() {
                    disk::sync_folder(&folder)?;
                }
                Deleted {
                    id: id.map(str::to_owned),
                    is_marker: was_marker,
                }
            }
        };
        self.remove_empty(bucket, &folder);
        Ok(deleted)
    }

    /// Asks for an archived version to be readable. Answers whether it was not before.
    pub fn restore(&self, bucket: &str, key: &str, id: Option<&str>, days: i32) -> Result<bool> {
        let folder = self.key_folder(bucket, key)?;
        let now = self.clock.now();
        // The version that is looked at is the one that is restored, whatever comes meanwhile.
        let opened = self.open_version(bucket, key, id)?;
        let _key = self.lock(&folder);
        match archive::ask(opened.state, days, self.restore_delay, now) {
            archive::Asked::Unfit => Err(Refusal::NotArchived),
            archive::Asked::Busy => Err(Refusal::RestoreRunning),
            archive::Asked::Take { restore, is_new } => {
                let version = opened.version;
                let entry = Entry {
                    number: version.number,
                    id: version.id,
                    is_marker: false,
                };
                if !Self::history(&folder)?
                    .versions()
                    .any(|there| *there == entry)
                {
                    return Err(Refusal::NoKey);
                }
                let text = serde_json::to_vec(&restore).map_err(io::Error::from)?;
                let path = folder.join(entry.restore_name());
                disk::write(&path, &text, &self.unfinished())?;
                disk::sync_folder(&folder)?;
                Ok(is_new)
            }
        }
    }

    // What was left.

    /// A key's history after what does not count has gone. The key is locked.
    fn swept(&self, folder: &Path) -> io::Result<History> {
        let history = Self::history(folder)?;
        let leftovers = history.leftovers();
        if leftovers.is_empty() {
            return Ok(history);
        }
        for name in leftovers {
            disk::remove(&folder.join(name))?;
        }
        Self::history(folder)
    }

    /// Removes what a kill left of this key.
    pub(super) fn sweep_key(&self, bucket: &str, folder: &Path) -> io::Result<()> {
        let history = Self::history(folder)?;
        if history.leftovers().is_empty() && history.current().is_some() {
            return Ok(());
        }
        let _key = self.lock(folder);
        if self.swept(folder)?.current().is_none() {
            disk::remove(&folder.join(CURRENT))?;
            self.remove_empty(bucket, folder);
        }
        Ok(())
    }
}

fn fresh_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
