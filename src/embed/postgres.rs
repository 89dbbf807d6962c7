//! A private Postgres from the system's binaries: its own data directory, reachable only through a
//! socket in a directory that nobody else may enter.
//!
//! Everything here blocks (at most about a minute); call it from `spawn_blocking`.

use super::{
    runner::Runner,
    watchdog::{Watchdog, wait},
};
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Where Debian and its relatives keep them, one folder per major version.
const BINARIES: &str = "/usr/lib/postgresql";
/// Its superuser, and the database made for us.
const NAME: &str = "hansard";
/// Recovery after a crash replays at most `max_wal_size` of log.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(20);
/// What Postgres says while processes of one before it hold its memory.
const SHARED_MEMORY: &str = "pre-existing shared memory block";
/// The longest path of a Unix socket is 107 bytes; what Postgres adds to the directory is
/// `/.s.PGSQL.5432`.
const SOCKET_DIRECTORY_MAX: usize = 90;
const LOG_BYTES_MAX: u64 = 8 << 20;

/// What happens to a cluster's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Survives a crash of the machine.
    Real,
    /// For tests: survives a kill of Postgres but not of the machine, and its directory goes when
    /// this process does.
    Scratch,
}

/// A running cluster. Ends when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    sockets: PathBuf,
    binaries: PathBuf,
    runner: Runner,
    durability: Durability,
    running: Option<(Child, Watchdog)>,
}

impl Postgres {
    /// Starts the cluster in `directory`, which is made first if there is none. A server that an
    /// earlier process left running on it is stopped.
    pub fn start(directory: &Path, durability: Durability) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let data = directory.join("data");
        let binaries = binaries(&data)?;
        let runner = Runner::new(&directory, &data)?;
        let sockets = sockets(&directory)?;
        let mut postgres = Self {
            directory,
            sockets,
            binaries,
            runner,
            durability,
            running: None,
        };
        if !data.join("PG_VERSION").exists() {
            postgres.initialise()?;
        }
        postgres.run()?;
        Ok(postgres)
    }

    /// The address of the database that is ours, when another process runs the cluster in
    /// `directory` now.
    pub fn running_url(directory: &Path) -> Option<String> {
        let directory = directory.canonicalize().ok()?;
        let data = directory.join("data");
        let pid = postmaster(&data)?;
        is_ours(pid, &data)
            .then(|| {
                sockets(&directory)
                    .ok()
                    .map(|sockets| url_of(&sockets, NAME))
            })
            .flatten()
    }

    /// The address of a database in it, for `sqlx`.
    pub fn url(&self, database: &str) -> String {
        url_of(&self.sockets, database)
    }

    /// The address of the database that is ours.
    pub fn own_url(&self) -> String {
        self.url(NAME)
    }

    /// Makes the database that is ours, unless it is there.
    pub async fn create_own(&self) -> anyhow::Result<()> {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&self.url("postgres")).await?;
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(NAME)
                .fetch_one(&mut connection)
                .await?;
        if !there {
            sqlx::query("create database hansard")
                .execute(&mut connection)
                .await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill`].
    pub fn run(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        self.stop_orphan()?;
        let begun = Instant::now();
        loop {
            match self.start_process() {
                // The last of those whose server was killed are still ending.
                Err(error)
                    if format!("{error:#}").contains(SHARED_MEMORY)
                        && begun.elapsed() < STOP_MAX =>
                {
                    std::thread::sleep(Duration::from_millis(100));
                }
                started => return started,
            }
        }
    }

    fn start_process(&mut self) -> anyhow::Result<()> {
        let data = self.directory.join("data");
        let log_path = self.directory.join("log");
        if fs::metadata(&log_path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            fs::rename(&log_path, self.directory.join("log.old"))?;
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)?;
        let said_before = log.metadata()?.len();
        let mut command =
            self.runner
                .command(&self.binaries.join("postgres"), &data, &self.sockets);
        command
            .arg("-D")
            .arg(self.runner.known_as(&data, 3))
            .arg("-k")
            .arg(self.runner.known_as(&self.sockets, 4));
        for setting in [
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "max_connections=200",
            "logging_collector=off",
        ] {
            command.args(["-c", setting]);
        }
        if self.durability == Durability::Scratch {
            for setting in ["fsync=off", "full_page_writes=off", "shared_buffers=32MB"] {
                command.args(["-c", setting]);
            }
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.binaries.join("postgres").display()))?;
        let (signal, remove) = match self.durability {
            Durability::Real => ("INT", None),
            Durability::Scratch => ("QUIT", Some(self.directory.as_path())),
        };
        let executable = self.binaries.join("postgres").canonicalize()?;
        let watchdog = Watchdog::start(child.id(), &executable, signal, remove)?;
        if let Err(error) = await_ready(&mut child, &data) {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "Postgres did not start: {error}\n{}",
                tail(&log_path, said_before)
            );
        }
        self.running = Some((child, watchdog));
        Ok(())
    }

    /// Ends all sessions and stops it in order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end(match self.durability {
            Durability::Real => Signal::INT,
            Durability::Scratch => Signal::QUIT,
        })
    }

    /// As if the machine had lost it: no shutdown checkpoint; the next start recovers.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        // Its children end by themselves when they see that it is gone.
        self.end(Signal::KILL)
    }

    /// Freezes it (`true`): connections stay open and get no answer. Or lets it go on.
    pub fn freeze(&self, frozen: bool) -> anyhow::Result<()> {
        let (child, _) = self.running.as_ref().context("Postgres does not run")?;
        let postmaster = Pid::from_child(child);
        for process in children(postmaster).into_iter().chain([postmaster]) {
            // A session may have ended since we looked.
            let _ = kill_process(process, if frozen { Signal::STOP } else { Signal::CONT });
        }
        Ok(())
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some((mut child, watchdog)) = self.running.take() else {
            return Ok(());
        };
        let children = children(Pid::from_child(&child));
        kill_process(Pid::from_child(&child), signal).or_else(ignore_gone)?;
        if !wait(&mut child, STOP_MAX)? {
            child.kill()?;
            child.wait()?;
        }
        watchdog.release();
        // After a kill its children still hold the shared memory for a moment, and a start would
        // refuse.
        let asked = Instant::now();
        while children.iter().any(|child| lives(*child)) && asked.elapsed() < STOP_MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn initialise(&self) -> anyhow::Result<()> {
        // Made beside and renamed, so that a kill half-way leaves nothing that looks like a
        // cluster.
        let unfinished = self.directory.join("data.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir(&unfinished)?;
        let owner = fs::metadata(&self.directory)?;
        chown(&unfinished, Some(owner.uid()), Some(owner.gid()))?;
        fs::set_permissions(&unfinished, Permissions::from_mode(0o700))?;
        let mut command =
            self.runner
                .command(&self.binaries.join("initdb"), &unfinished, &self.sockets);
        command.arg("-D").arg(self.runner.known_as(&unfinished, 3));
        command.args([
            "-U",
            NAME,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        command.args(["--no-instructions", "--no-sync"]);
        let done = command
            .stdin(Stdio::null())
            .output()
            .context("cannot run initdb")?;
        ensure!(
            done.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        if self.durability == Durability::Real {
            // Some thousand small files at once instead of one by one.
            rustix::fs::syncfs(File::open(&unfinished)?)?;
        }
        fs::rename(&unfinished, self.directory.join("data"))?;
        Ok(())
    }

    /// Stops a server that still runs on this data directory after its parent died. Its number may
    /// be another's by now, so it must run our executable in our directory. A stale
    /// `postmaster.pid` is Postgres's own to clean up.
    fn stop_orphan(&self) -> anyhow::Result<()> {
        let data = self.directory.join("data");
        let Some(pid) = postmaster(&data) else {
            return Ok(());
        };
        let ours = || is_ours(pid, &data);
        for signal in [Signal::INT, Signal::QUIT, Signal::KILL] {
            if !ours() {
                return Ok(());
            }
            tracing::info!(
                pid = pid.as_raw_nonzero(),
                ?signal,
                "stopping a Postgres that an earlier run left behind"
            );
            kill_process(pid, signal).or_else(ignore_gone)?;
            let asked = Instant::now();
            while ours() && asked.elapsed() < STOP_MAX {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        ensure!(
            !ours(),
            "process {} still holds {}",
            pid.as_raw_nonzero(),
            data.display()
        );
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "the private Postgres did not stop");
        }
        // A directory for the socket that lies elsewhere.
        let _ = fs::remove_dir(&self.sockets);
        if self.durability == Durability::Scratch {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn ignore_gone(error: rustix::io::Errno) -> rustix::io::Result<()> {
    if error == rustix::io::Errno::SRCH {
        Ok(())
    } else {
        Err(error)
    }
}

/// The programs of the version that made the data, else of the newest there is.
fn binaries(data: &Path) -> anyhow::Result<PathBuf> {
    let mut versions: Vec<u32> = fs::read_dir(BINARIES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|version| {
            ["initdb", "postgres"].iter().all(|name| {
                Path::new(BINARIES)
                    .join(format!("{version}/bin/{name}"))
                    .exists()
            })
        })
        .collect();
    versions.sort_unstable();
    let Some(newest) = versions.last() else {
        bail!(
            "there is no Postgres under {BINARIES}; apt-get install postgresql, or set DATABASE_URL"
        );
    };
    let wanted = match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(version) => version.trim().parse()?,
        Err(_) => *newest,
    };
    ensure!(
        versions.contains(&wanted),
        "{} was made by Postgres {wanted}, which is not installed (there is {versions:?})",
        data.display()
    );
    Ok(Path::new(BINARIES).join(format!("{wanted}/bin")))
}

fn url_of(sockets: &Path, database: &str) -> String {
    let sockets: String = sockets.to_string_lossy().bytes().map(escape).collect();
    format!("postgres://{NAME}@localhost/{database}?host={sockets}")
}

/// The process that `postmaster.pid` names, alive or not.
fn postmaster(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse::<i32>().ok()?)
}

/// Whether the process is a Postgres on this data.
fn is_ours(pid: Pid, data: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let executable = fs::read_link(process.join("exe")).ok();
    executable.is_some_and(|path| path.file_name().is_some_and(|name| name == "postgres"))
        && fs::read_link(process.join("cwd")).is_ok_and(|path| path == data)
}

/// A directory for the socket, with a short enough name.
fn sockets(directory: &Path) -> anyhow::Result<PathBuf> {
    let inside = directory.join("run");
    let sockets = if inside.as_os_str().len() <= SOCKET_DIRECTORY_MAX {
        inside
    } else {
        let place = fs::metadata(directory)?;
        std::env::temp_dir().join(format!("hansard-{:x}-{:x}", place.dev(), place.ino()))
    };
    match fs::create_dir(&sockets) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let owner = fs::metadata(directory)?;
    chown(&sockets, Some(owner.uid()), Some(owner.gid())).with_context(|| {
        format!("{} belongs to somebody else", sockets.display()) // it lies in a place open to all
    })?;
    fs::set_permissions(&sockets, Permissions::from_mode(0o700))?;
    Ok(sockets)
}

/// Waits until `postmaster.pid` says that connections are taken.
fn await_ready(child: &mut Child, data: &Path) -> anyhow::Result<()> {
    let asked = Instant::now();
    let own = child.id().to_string();
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}");
        }
        let said = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = said.lines().map(str::trim);
        if lines.next() == Some(own.as_str()) && lines.next_back() == Some("ready") {
            return Ok(());
        }
        ensure!(
            asked.elapsed() < START_MAX,
            "it was not ready after {} s",
            START_MAX.as_secs()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A zombie, which nobody may ever collect in a container without an init, has no executable.
fn lives(process: Pid) -> bool {
    fs::read_link(format!("/proc/{}/exe", process.as_raw_nonzero())).is_ok()
}

fn children(parent: Pid) -> Vec<Pid> {
    let own = parent.as_raw_nonzero();
    fs::read_to_string(format!("/proc/{own}/task/{own}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

fn tail(log: &Path, from: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let _ = file.seek(SeekFrom::Start(from));
        let _ = file.take(8192).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Percent-encodes for the query of a URL.
fn escape(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    }
}
