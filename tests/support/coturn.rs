//! A TURN server for tests: Debian's coturn on loopback, with a secret of its own and TLS.

use super::{Scratch, free_ports};
use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const START_MAX: Duration = Duration::from_secs(30);

/// It ends when dropped.
pub struct Coturn {
    child: Child,
    scratch: Scratch,
    port: u16,
    tls_port: u16,
    /// That it shares with whoever makes credentials.
    pub secret: String,
}

impl Coturn {
    pub fn start() -> Self {
        let scratch = Scratch::new();
        let (key, certificate) = (
            scratch.path().join("key"),
            scratch.path().join("certificate"),
        );
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl runs").success(), "no certificate");
        let [port, tls_port] = free_ports();
        let secret = format!("{:032x}", fastrand::u128(..));
        let log = fs::File::create(scratch.path().join("log")).expect("there is room");
        let child = Command::new("/usr/bin/turnserver")
            .args([
                "-n",
                "--no-cli",
                "--no-dtls",
                "--log-file=stdout",
                "--simple-log",
                "-v",
            ])
            .args([
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
                "--realm=hansard",
            ])
            // Nothing is on another address here.
            .arg("--allow-loopback-peers")
            .args([
                "--use-auth-secret",
                &format!("--static-auth-secret={secret}"),
            ])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", certificate.display()))
            .arg(format!("--pkey={}", key.display()))
            .arg(format!(
                "--userdb={}",
                scratch.path().join("users").display()
            ))
            .arg(format!(
                "--pidfile={}",
                scratch.path().join("pid").display()
            ))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("it can be shared"))
            .stderr(log)
            .spawn()
            .expect("coturn starts; scripts/install.sh test installs it");
        let mut turn = Self {
            child,
            scratch,
            port,
            tls_port,
            secret,
        };
        let begun = Instant::now();
        while [port, tls_port]
            .iter()
            .any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err())
        {
            let ended = turn.child.try_wait().expect("it is our child");
            assert!(
                ended.is_none() && begun.elapsed() < START_MAX,
                "coturn does not listen: {}",
                turn.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        turn
    }

    /// `turn`: by UDP; `turns`: by TLS.
    pub fn url(&self, scheme: &str) -> String {
        match scheme {
            "turns" => format!("turns:127.0.0.1:{}?transport=tcp", self.tls_port),
            _ => format!("turn:127.0.0.1:{}?transport=udp", self.port),
        }
    }

    /// Who knows it, trusts the server.
    pub fn certificate(&self) -> PathBuf {
        self.scratch.path().join("certificate")
    }

    /// Packets that came from clients in sessions that are over, by its log.
    pub fn relayed(&self) -> u64 {
        let log = self.log();
        let counts = log
            .lines()
            .filter(|line| line.contains(": usage:"))
            .filter_map(|line| {
                line.split("rp=")
                    .nth(1)?
                    .split(',')
                    .next()?
                    .parse::<u64>()
                    .ok()
            });
        counts.sum()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
