//! A data folder on a small disk that can be filled and freed.

use super::{
    Scratch,
    server::{FAILING_WRITES, Server},
};
use rustix::process::Resource;
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// A file system of its own (as root), unmounted when dropped. Where none may be mounted, the
/// process's writes fail instead: it must be started with [`SmallDisk::environment`].
pub struct SmallDisk {
    folder: Scratch,
    mounted: bool,
}

impl SmallDisk {
    pub fn new(mebibytes: u32) -> Self {
        let folder = Scratch::new();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mebibytes}m,mode=755"),
                "tmpfs",
            ])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            println!("no file system can be mounted here; writes fail by a limit instead");
        }
        Self { folder, mounted }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn environment(&self) -> (&'static str, &'static str) {
        (FAILING_WRITES, "1")
    }

    /// From now on nothing more can be written, but what a process frees by itself.
    pub fn fill(&self, server: &Server) {
        if !self.mounted {
            server.limit(Resource::Fsize, Some(0));
            return;
        }
        let ballast = File::options()
            .create(true)
            .append(true)
            .open(self.ballast());
        let mut ballast = ballast.expect("there is room for its name");
        for size in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; size];
            while ballast.write_all(&zeros).is_ok() {}
        }
    }

    /// There is room again.
    pub fn free(&self, server: Option<&Server>) {
        if !self.mounted {
            if let Some(server) = server {
                server.limit(Resource::Fsize, None);
            }
            return;
        }
        fs::remove_file(self.ballast()).expect("it was full");
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.folder.path())
                .status();
        }
    }
}
