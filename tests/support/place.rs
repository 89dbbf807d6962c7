//! Where a server stands in tests: a data folder, and object storage behind a layer that can
//! misbehave.

use super::{Scratch, faults::Faults, s3::Bucket, server::Server};
use hansard::domain::{
    recording::{SegmentName, Track},
    spool_path::{self, TRACK_FILE},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub struct Place {
    pub data: Scratch,
    pub bucket: Bucket,
    pub faults: Faults,
}

impl Place {
    pub async fn new() -> Self {
        let bucket = Bucket::start().await;
        let faults = Faults::before(&bucket).await;
        Self {
            data: Scratch::new(),
            bucket,
            faults,
        }
    }

    pub fn environment(&self) -> Vec<(&str, &str)> {
        let settings = &self.bucket.settings;
        vec![
            ("S3_ENDPOINT", self.faults.endpoint.as_str()),
            ("S3_PUBLIC_ENDPOINT", settings.endpoint.as_str()),
            ("S3_BUCKET", settings.bucket.as_str()),
            ("S3_ACCESS_KEY_ID", settings.access_key_id.as_str()),
            ("S3_SECRET_ACCESS_KEY", settings.secret_access_key.as_str()),
        ]
    }

    /// `hansard serve`; on the same place again it finds what it had.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_on(self.data.path(), arguments, &[])
    }

    /// The same with its data elsewhere.
    pub fn serve_on(
        &self,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Server {
        let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
        Server::start(
            "serve",
            data,
            &arguments,
            &[&self.environment(), environment].concat(),
        )
    }

    /// The database that its running server brought along.
    pub fn database(&self) -> String {
        let folder = self.data.path().join("postgres");
        hansard::embed::postgres::Postgres::running_url(&folder).expect("its Postgres runs")
    }

    /// Copies the database of a server that was stopped.
    pub fn back_up(&self) {
        let folder = self.data.path();
        // With its owner, who is not ours: the private Postgres does not run as root.
        let copied = Command::new("cp")
            .arg("-a")
            .args([folder.join("postgres"), folder.join("backup")])
            .status();
        assert!(copied.expect("cp runs").success());
    }

    /// Puts the copy in the place of what the database is now.
    pub fn put_back(&self) {
        let folder = self.data.path();
        fs::remove_dir_all(folder.join("postgres")).expect("it is ours");
        fs::rename(folder.join("backup"), folder.join("postgres")).expect("it is ours");
    }

    /// Segment files that wait in the spool.
    pub fn spooled(&self) -> usize {
        spooled(self.data.path())
    }
}

/// Segment files that wait in the spool of a data folder.
pub fn spooled(data: &Path) -> usize {
    files(&data.join("spool"))
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "mkv"))
        .count()
}

/// A segment's file in the spool, and whose it is.
pub struct Spooled {
    pub track: Track,
    pub epoch: i64,
    pub name: SegmentName,
    pub path: PathBuf,
}

/// The segments in the spool of a data folder, in their order within each recording and epoch. One
/// that goes meanwhile is left out.
pub fn segments(data: &Path) -> Vec<Spooled> {
    let read = |path: PathBuf| {
        let folder = path.parent()?;
        let track = fs::read(folder.join(TRACK_FILE)).ok()?;
        Some(Spooled {
            track: serde_json::from_slice(&track).ok()?,
            epoch: spool_path::part(folder.parent()?.file_name()?)?,
            name: SegmentName::parse(path.file_name()?.to_str()?)?,
            path,
        })
    };
    let mut all: Vec<Spooled> = files(&data.join("spool"))
        .into_iter()
        .filter_map(read)
        .collect();
    all.sort_by_key(|one| (one.track.recording, one.epoch, one.name));
    all
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}
