//! As whom the programs of Postgres run.

use anyhow::Context;
use rustix::process::geteuid;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

/// Opens two folders as root, for a program that its user may not find by their paths.
const OPEN_FIRST: &str = r#"exec 3<"$0" 4<"$1" && shift && exec "$@""#;

/// As whom Postgres runs: it refuses root.
#[derive(Debug)]
pub(super) struct Runner {
    /// In front of each command.
    prefix: Vec<String>,
}

impl Runner {
    pub(super) fn new(directory: &Path, data: &Path) -> anyhow::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { prefix: Vec::new() });
        }
        let (user, group) = match fs::metadata(data) {
            Ok(existing) if existing.uid() != 0 => (existing.uid(), existing.gid()),
            _ => account("postgres")?,
        };
        chown(directory, Some(user), Some(group))?;
        let prefix: Vec<String> = [
            "setpriv".to_owned(),
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".to_owned(),
        ]
        .into();
        Ok(Self { prefix })
    }

    /// A program that works in these two folders, which it knows by [`Self::known_as`].
    pub(super) fn command(&self, program: &Path, data: &Path, sockets: &Path) -> Command {
        let mut command = match self.prefix.is_empty() {
            true => Command::new(program),
            false => {
                let mut command = Command::new("/bin/sh");
                command
                    .args(["-c", OPEN_FIRST])
                    .arg(data)
                    .arg(sockets)
                    .args(&self.prefix)
                    .arg(program);
                command
            }
        };
        // Not in the terminal's group, whose Ctrl-C is ours to handle; and no setting from our
        // environment.
        command
            .process_group(0)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command
    }

    /// By which path a program finds its folder. Another user may not pass the data folder, nor
    /// maybe what lies above, and so has it by a descriptor that was open before it became that
    /// user.
    pub(super) fn known_as(&self, folder: &Path, descriptor: u8) -> PathBuf {
        match self.prefix.is_empty() {
            true => folder.to_owned(),
            false => PathBuf::from(format!("/proc/self/fd/{descriptor}")),
        }
    }
}

/// The numbers of a user and its group.
pub(super) fn account(name: &str) -> anyhow::Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    let fields = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields
        .into_iter()
        .find(|fields| fields.len() > 3 && fields[0] == name);
    let fields = found.with_context(|| {
        format!("there is no user {name}; is the package postgresql installed?")
    })?;
    Ok((fields[2].parse()?, fields[3].parse()?))
}
