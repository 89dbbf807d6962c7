//! A real `hansard` process on a data folder of its own, ports chosen by the system.

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Loading the model and making the database, on a busy machine, in a debug build.
const START_MAX: Duration = Duration::from_secs(120);
/// An orderly end with a meeting in it: last words, uploads, the mix. More than the grace time.
const STOP_MAX: Duration = Duration::from_secs(180);

/// In the environment of the tests: what servers log, as for RUST_LOG.
const LOG: &str = "TEST_LOG";

/// In the environment of [`Server::start`]: how many descriptors the process may have open until it
/// asks for more.
pub const SOFT_DESCRIPTORS: &str = "TEST_SOFT_DESCRIPTORS";

/// In the environment of [`Server::start`]: writes beyond the limit of a file's size fail, and end
/// nobody.
pub const FAILING_WRITES: &str = "TEST_FAILING_WRITES";

/// A running process; killed when dropped.
pub struct Server {
    child: Child,
    pub url: Option<String>,
    pub ops: String,
    pub key: Option<String>,
}

impl Server {
    /// `hansard serve` on `data`; on the same folder again it finds what it had.
    pub fn serve(data: &Path) -> Self {
        Self::start(
            "serve",
            data,
            &["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"],
            &[],
        )
    }

    /// Any long-running role. Waits until it says that it is ready.
    pub fn start(
        role: &str,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::start_logging(role, data, arguments, environment, Stdio::inherit())
    }

    /// The same with its log elsewhere.
    pub fn start_logging(
        role: &str,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: Stdio,
    ) -> Self {
        let program = env!("CARGO_BIN_EXE_hansard");
        let log_filter = std::env::var(LOG).unwrap_or_else(|_| "warn,hansard=info".into());
        let wanted = |wanted: &str| environment.iter().any(|(name, _)| *name == wanted);
        let mut command = match wanted(SOFT_DESCRIPTORS) || wanted(FAILING_WRITES) {
            true => {
                let script = format!(
                    "if [ \"${FAILING_WRITES}\" ]; then trap '' XFSZ; fi
                     if [ \"${SOFT_DESCRIPTORS}\" ]; then ulimit -Sn \"${SOFT_DESCRIPTORS}\"; fi
                     exec \"$0\" \"$@\""
                );
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &script, program]);
                shell
            }
            false => Command::new(program),
        };
        command
            .arg(role)
            .args([
                "--ops-listen",
                "127.0.0.1:0",
                "--log",
                &log_filter,
                "--data",
            ])
            .arg(data)
            .args(arguments)
            .env_clear()
            .envs(
                std::env::vars().filter(|(name, _)| {
                    matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG")
                }),
            )
            .envs(environment.iter().copied())
            .env("G_DEBUG", "fatal_warnings")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command
            .spawn()
            .expect("the program that was just built starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            url: None,
            ops: String::new(),
            key: None,
        };
        let asked = Instant::now();
        // `ops` comes after `url`; `key` is the last line of `serve` only.
        while server.ops.is_empty() || role == "serve" && server.key.is_none() {
            let line = told
                .recv_timeout(START_MAX.saturating_sub(asked.elapsed()))
                .unwrap_or_else(|_| panic!("hansard {role} did not become ready"));
            match line.split_once(' ') {
                Some(("url", url)) => server.url = Some(url.to_owned()),
                Some(("ops", ops)) => server.ops = ops.to_owned(),
                Some(("key", key)) => server.key = Some(key.to_owned()),
                _ => {}
            }
        }
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self) -> &str {
        self.url.as_deref().expect("this role has a public address")
    }

    pub fn key(&self) -> &str {
        self.key.as_deref().expect("this role says its key")
    }

    pub fn client(&self) -> hansard_client::rest::Client {
        hansard_client::rest::Client::new(self.url(), self.key())
            .expect("the address is well-formed")
    }

    /// How much of a resource it may have from now on; `None`: as much as we may.
    pub fn limit(&self, resource: Resource, most: Option<u64>) {
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit {
            current: most.or(maximum),
            maximum,
        };
        prlimit(Some(Pid::from_child(&self.child)), resource, limit).expect("it is our child");
    }

    /// What the operations address says is not as it should be.
    pub async fn degraded(&self) -> Vec<String> {
        let Ok(answer) = reqwest::get(format!("{}/readyz", self.ops)).await else {
            return Vec::new();
        };
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        let listed = body["degraded"].as_array().cloned().unwrap_or_default();
        listed
            .iter()
            .filter_map(|reason| Some(reason.as_str()?.to_owned()))
            .collect()
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is our child");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Whether it ends by itself within so long, however.
    pub async fn ends(&mut self, at_most: Duration) -> bool {
        let asked = Instant::now();
        while self.is_running() && asked.elapsed() < at_most {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        !self.is_running()
    }

    /// SIGTERM, and waits for the orderly end.
    pub fn terminate(self) {
        let status = self.stop();
        assert!(status.success(), "hansard ended with {status}");
    }

    /// SIGTERM; how it ended.
    pub fn stop(mut self) -> ExitStatus {
        self.ask_to_stop();
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(asked.elapsed() < STOP_MAX, "hansard did not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
