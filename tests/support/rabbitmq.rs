//! RabbitMQ for tests: a private node that listens on loopback only and has an epmd of its own.

use super::{Scratch, free_ports};
use hansard::embed::watchdog::{Watchdog, wait};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    net::TcpStream,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_MAX: Duration = Duration::from_secs(90);
const STOP_MAX: Duration = Duration::from_secs(30);

/// A node with the user and the virtual host that RabbitMQ begins with.
pub struct RabbitMq {
    scratch: Scratch,
    ports: [u16; 3],
    running: Option<(Child, Watchdog)>,
    _epmd: (Ended, Watchdog),
}

/// A child that is killed when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl RabbitMq {
    pub async fn start() -> Self {
        tokio::task::spawn_blocking(Self::start_blocking)
            .await
            .expect("starting RabbitMQ does not panic")
    }

    fn start_blocking() -> Self {
        let scratch = Scratch::new();
        let ports = free_ports();
        let home = scratch.path().join("home");
        fs::create_dir(&home).expect("there is room");
        fs::write(home.join("plugins"), "[].").expect("there is room");
        fs::write(
            home.join("rabbitmq.conf"),
            "disk_free_limit.absolute = 1MB\nlog.console = false\nlog.file.level = info\nheartbeat = 10\n",
        )
        .expect("there is room");
        if geteuid().is_root() {
            let owner = Command::new("chown")
                .args(["-R", "rabbitmq:rabbitmq"])
                .arg(&home)
                .status();
            assert!(
                owner.expect("chown runs").success(),
                "the package rabbitmq-server brings the user rabbitmq"
            );
        }
        let [_, _, epmd_port] = ports;
        let mut epmd = command("/usr/bin/epmd", &home);
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        let epmd = epmd.spawn().expect("epmd runs");
        let watched = watch(&epmd, None);
        let mut node = Self {
            scratch,
            ports,
            running: None,
            _epmd: (Ended(epmd), watched),
        };
        node.run();
        node
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports[0])
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// In order.
    pub async fn stop(&mut self) {
        tokio::task::block_in_place(|| self.end(Signal::TERM));
    }

    /// Connections stay open and nothing moves, until thawed.
    pub fn freeze(&self, frozen: bool) {
        let (child, _) = self.running.as_ref().expect("it runs");
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(child), signal).expect("it runs");
    }

    /// The same data again, at the same address.
    pub async fn restart(&mut self) {
        tokio::task::block_in_place(|| self.run());
    }

    fn end(&mut self, signal: Signal) {
        let Some((mut child, watchdog)) = self.running.take() else {
            return;
        };
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        if !wait(&mut child, STOP_MAX).expect("it is our child") {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
        watchdog.release();
    }

    fn run(&mut self) {
        let home = self.scratch.path().join("home");
        let [port, dist_port, epmd_port] = self.ports.map(|port| port.to_string());
        let file = |name: &str| home.join(name).into_os_string();
        let mut server = command(SERVER, &home);
        server.envs([
            (
                "RABBITMQ_NODENAME",
                format!("hansard-{port}@localhost").into(),
            ),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_NODE_PORT", port.clone().into()),
            ("RABBITMQ_DIST_PORT", dist_port.into()),
            ("ERL_EPMD_PORT", epmd_port.into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("log")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("plugins")),
            ("RABBITMQ_PID_FILE", file("pid")),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}".into(),
            ),
            // Then its start script becomes the server instead of waiting for it, and a kill hits
            // the right one.
            ("RUNNING_UNDER_SYSTEMD", "true".into()),
        ]);
        let output = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.join("output"))
            .expect("there is room");
        server
            .stdout(output.try_clone().expect("it is open"))
            .stderr(output);
        let mut child = server.spawn().expect("rabbitmq-server is installed");
        let asked = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports[0])).is_err() {
            let ended = child.try_wait().expect("it is our child");
            if ended.is_some() || asked.elapsed() > START_MAX {
                let said = fs::read_to_string(home.join("output")).unwrap_or_default();
                panic!("RabbitMQ did not start ({ended:?}): {said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let watchdog = watch(&child, Some(self.scratch.path()));
        self.running = Some((child, watchdog));
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

/// As the user rabbitmq when we are root, with nothing of our environment.
fn command(program: &str, home: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=rabbitmq",
            "--regid=rabbitmq",
            "--init-groups",
            program,
        ]);
        command
    } else {
        Command::new(program)
    };
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

/// The executable is only known once the scripts in front of it have become it.
fn watch(child: &Child, remove: Option<&Path>) -> Watchdog {
    let link = format!("/proc/{}/exe", child.id());
    let asked = Instant::now();
    loop {
        let executable = fs::read_link(&link).expect("it runs");
        let name = executable
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == "epmd" || name.starts_with("beam") || asked.elapsed() > START_MAX {
            return Watchdog::start(child.id(), &executable, "KILL", remove).expect("a shell runs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
