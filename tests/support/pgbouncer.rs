//! A private pgbouncer in transaction mode.

use super::{Scratch, eventually, free_ports};
use rustix::process::geteuid;
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Gone when dropped.
pub struct Pgbouncer {
    child: Child,
    port: u16,
    _folder: Scratch,
}

impl Pgbouncer {
    /// In front of the cluster whose database has this URL (with `host=` in its query), with so few
    /// server connections that clients must share them.
    pub async fn start(url: &str, server_connections: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = Scratch::new();
        let (_, host) = url.split_once("host=").expect("a socket's folder");
        let host = host.replace("%2F", "/");
        let [port] = free_ports();
        let place = folder.path().display();
        fs::write(folder.path().join("users"), "\"hansard\" \"\"\n").expect("it is ours");
        fs::write(
            folder.path().join("ini"),
            format!(
                "[databases]\n* = host={host} port=5432 user=hansard\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {place}/users\n\
                 pool_mode = transaction\ndefault_pool_size = {server_connections}\nmax_client_conn = 200\n"
            ),
        )
        .expect("it is ours");
        // It refuses root, and runs as whom Postgres runs to get at its socket.
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|path| fs::exists(path).unwrap_or(false))
            .expect("pgbouncer is installed (scripts/install.sh test)");
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                program,
            ]);
            command
        } else {
            Command::new(program)
        };
        for file in ["users", "ini"] {
            fs::set_permissions(folder.path().join(file), fs::Permissions::from_mode(0o644))
                .expect("it is ours");
        }
        let child = command
            .arg(folder.path().join("ini"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let pgbouncer = Self {
            child,
            port,
            _folder: folder,
        };
        eventually("pgbouncer answers", Duration::from_secs(20), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        pgbouncer
    }

    /// The same database through it.
    pub fn url(&self, direct: &str) -> String {
        let (before, _) = direct.split_once('?').expect("a socket's folder");
        let (_, database) = before.rsplit_once('/').expect("a database");
        format!("postgres://hansard@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
