//! Files that are there whole or not at all, also after a `kill -9` or a power cut.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file that is being written. Gone when dropped, unless it was put in its place.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// An empty one in this folder.
    pub fn new(folder: &Path) -> io::Result<(Self, File)> {
        let path = folder.join(uuid::Uuid::new_v4().simple().to_string());
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok((Self { path }, file))
    }

    pub fn open(&self) -> io::Result<File> {
        File::options().read(true).write(true).open(&self.path)
    }

    /// Renames it, over what is there. Its folder is the caller's to sync.
    pub fn place(self, path: &Path) -> Result<(), (Self, io::Error)> {
        match fs::rename(&self.path, path) {
            // Nothing is left to remove.
            Ok(()) => {
                std::mem::forget(self);
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What was renamed or made in a folder stays after a power cut.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a small file, over what is there. Its folder is the caller's to sync.
pub fn write(path: &Path, content: &[u8], unfinished: &Path) -> io::Result<()> {
    let (made, mut file) = Unfinished::new(unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    made.place(path).map_err(|(_, error)| error)
}

/// That it is gone already is no error. Answers whether it was there.
pub fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it, up to `top`, which is there. Each is in its parent for good
/// before it is used.
pub fn make_folders(top: &Path, folder: &Path) -> io::Result<()> {
    if folder == top || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(top);
    make_folders(top, parent)?;
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a folder and those above it, below `top`, for as long as they are empty.
pub fn remove_empty(top: &Path, folder: &Path) {
    let mut folder = folder;
    while folder != top && folder.starts_with(top) {
        // Somebody else has put something into it, or removed it.
        if fs::remove_dir(folder).is_err() {
            return;
        }
        let Some(parent) = folder.parent() else {
            return;
        };
        folder = parent;
    }
}

/// The text of a small file; `None` when there is none.
pub fn read_text(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
