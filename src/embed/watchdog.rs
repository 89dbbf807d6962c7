//! Ends a server that we started when this process dies, however it dies.
//!
//! The parent-death signal of Linux follows the *thread* that forked, and threads of a runtime come
//! and go; so a shell waits on a pipe whose other end only this process has.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Reads until this process is gone, then asks the server to stop, and after 10 s makes it. The
/// process is only signalled while its executable is the expected one, in case its number was given
/// to another.
const SCRIPT: &str = r#"
read -r _
mine() { [ "$(readlink "/proc/$1/exe")" = "$2" ]; }
mine "$1" "$2" && kill -s "$3" "$1" 2>/dev/null
for _ in $(seq 100); do mine "$1" "$2" || break; sleep 0.1; done
mine "$1" "$2" && kill -s KILL "$1" 2>/dev/null
[ -n "$4" ] && { sleep 0.1; rm -rf "$4"; }
exit 0
"#;

/// Watches until it is dropped or [`Watchdog::release`]d.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// When this process is gone, sends `signal` (a name without `SIG`) to the process `pid`, which
    /// runs `executable`, and then removes `remove`.
    pub fn start(
        pid: u32,
        executable: &Path,
        signal: &str,
        remove: Option<&Path>,
    ) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "hansard-watchdog", &pid.to_string()])
            .arg(executable)
            .arg(signal)
            .arg(remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the terminal's group, whose Ctrl-C is ours to handle.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }

    /// Ceases to watch, leaving the server alone.
    pub fn release(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until the child has ended; `false` when it has not after `at_most`.
pub fn wait(child: &mut Child, at_most: Duration) -> io::Result<bool> {
    let asked = Instant::now();
    loop {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        if asked.elapsed() > at_most {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
