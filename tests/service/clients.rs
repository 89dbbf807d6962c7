//! Clients that kept generators make of the served OpenAPI document, in Python and in TypeScript,
//! used as their users would: type-checked, and run against a real server from the first user to
//! the downloaded file.
//!
//! The generators are installed once, in the versions that the files beside this name, below
//! `~/.cache/hansard/clients`.

use crate::support::{Scratch, server::Server};
use hansard_client::{
    meeting::Meeting,
    sender::{Sender, SenderConfig},
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Sound that is sent, in frames of 20 ms.
const FRAMES: usize = 200;

pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(path)
}

/// Runs a program to its end; its output, when it succeeds.
pub fn run(what: &str, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{what}: {command:?} does not start ({error}); scripts/install.sh test installs what it needs")
    });
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{what} failed: {command:?}\n{said}"
    );
    said
}

/// A folder of installed packages for this content of `of`; `install` fills it, once, whole or not
/// at all.
pub fn installed(language: &str, of: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let mut hash = Sha256::new();
    for path in of {
        hash.update(fs::read(here(path)).expect("it is there"));
    }
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let cache = home.join(".cache/hansard/clients");
    fs::create_dir_all(&cache).expect("the cache can be written to");
    let name = format!(
        "{language}-{}",
        &hansard::domain::consent::hex(&hash.finalize())[..12]
    );
    let folder = cache.join(&name);
    let lock =
        fs::File::create(cache.join(format!("{name}.lock"))).expect("the cache can be written to");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("it can be locked");
    // A venv names its own path, so it is made where it stays; the mark says that it is whole.
    if !folder.join("whole").exists() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the cache can be written to");
        install(&folder);
        fs::write(folder.join("whole"), "").expect("the cache can be written to");
    }
    folder
}

/// The document as a running server shows it.
async fn document(server: &Server, scratch: &Scratch) -> PathBuf {
    let path = scratch.path().join("openapi.json");
    let answer = reqwest::get(format!("{}/v1/openapi.json", server.url()))
        .await
        .expect("it answers");
    fs::write(&path, answer.bytes().await.expect("it is whole")).expect("there is room");
    path
}

/// Runs a client: it makes users, a meeting and a stream, says `port IP PORT`, hears `sent` when
/// sound was sent there, and says `done` when it has the files.
async fn plays(mut client: Command, server: &Server, scratch: &Scratch) {
    let files = scratch.path().join("files");
    fs::create_dir(&files).expect("there is room");
    client.arg(server.url()).arg(server.key()).arg(&files);
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
    let (said, line) = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        said.read_line(&mut line).expect("it is text");
        (said, line)
    })
    .await
    .expect("it does not panic");
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["port", ip, port] = words[..] else {
        panic!("not a port: {line:?}")
    };
    let to = SocketAddr::new(
        ip.parse().expect("an address"),
        port.parse().expect("a port"),
    );

    let mut config = SenderConfig::opus("ana");
    // Beyond what a signed number of 32 bits holds.
    config.ssrc = 4_026_531_841;
    let sender = Sender::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), config)
        .await
        .expect("a socket");
    let set = Meeting::test_set("planning").expect("the set");
    let frames = &set.voices[0].frames[..FRAMES];
    sender
        .run(to, frames, Instant::now(), &CancellationToken::new())
        .await
        .expect("sends");
    writeln!(child.stdin.take().expect("it is piped"), "sent").expect("it waits");

    let (rest, status) = tokio::task::spawn_blocking(move || {
        let rest: Vec<String> = said.lines().map_while(Result::ok).collect();
        (rest, child.wait().expect("it is our child"))
    })
    .await
    .expect("it does not panic");
    assert!(
        status.success() && rest.iter().any(|line| line == "done"),
        "{status}: {rest:?}"
    );
    for file in ["mix", "track"] {
        let size = fs::metadata(files.join(file))
            .unwrap_or_else(|_| panic!("no {file}: {rest:?}"))
            .len();
        assert!(size > 1000, "{file} has {size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_is_generated_checked_and_used() {
    let packages = tokio::task::spawn_blocking(|| {
        installed("python", &["python/requirements.txt"], |folder| {
            run(
                "a virtual environment",
                Command::new("python3").args(["-m", "venv"]).arg(folder),
            );
            let mut pip = Command::new(folder.join("bin/pip"));
            run(
                "pip",
                pip.args(["install", "--quiet", "--requirement"])
                    .arg(here("python/requirements.txt")),
            );
        })
    });
    let packages = packages.await.expect("they are installed");
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let server = Server::serve(data.path());
    let document = document(&server, &scratch).await;
    let mut generate = Command::new(packages.join("bin/openapi-python-client"));
    generate
        .arg("generate")
        .arg("--path")
        .arg(&document)
        .arg("--config")
        .arg(here("python/generator.yaml"));
    generate
        .arg("--output-path")
        .arg(scratch.path().join("hansard_client"))
        .args(["--meta", "none"]);
    let said = run(
        "openapi-python-client",
        generate.env("PATH", packages.join("bin")),
    );
    assert!(
        !said.to_lowercase().contains("warning"),
        "it left something out: {said}"
    );
    fs::copy(here("python/run.py"), scratch.path().join("run.py")).expect("there is room");
    let mut check = Command::new(packages.join("bin/mypy"));
    run(
        "mypy",
        check
            .args(["--strict", "--follow-imports", "silent", "run.py"])
            .current_dir(scratch.path()),
    );
    let mut client = Command::new(packages.join("bin/python"));
    client
        .arg("run.py")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/captions.py"))
        .current_dir(scratch.path());
    plays(client, &server, &scratch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typescript_client_is_generated_checked_and_used() {
    let packages = tokio::task::spawn_blocking(|| {
        installed(
            "typescript",
            &["typescript/package.json", "typescript/package-lock.json"],
            |folder| {
                for file in ["package.json", "package-lock.json"] {
                    fs::copy(here("typescript").join(file), folder.join(file))
                        .expect("there is room");
                }
                run(
                    "npm",
                    Command::new("npm")
                        .args(["ci", "--silent", "--no-audit", "--no-fund"])
                        .current_dir(folder),
                );
            },
        )
    });
    let packages = packages.await.expect("they are installed");
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let server = Server::serve(data.path());
    let document = document(&server, &scratch).await;
    for file in ["package.json", "run.ts", "tsconfig.json"] {
        let at = if file == "package.json" {
            packages.join(file)
        } else {
            here("typescript").join(file)
        };
        fs::copy(at, scratch.path().join(file)).expect("there is room");
    }
    std::os::unix::fs::symlink(
        packages.join("node_modules"),
        scratch.path().join("node_modules"),
    )
    .expect("there is room");
    let script = |path: &str| {
        let mut node = Command::new("node");
        node.arg(packages.join("node_modules").join(path))
            .current_dir(scratch.path());
        node
    };
    let mut generate = script("openapi-typescript/bin/cli.js");
    run(
        "openapi-typescript",
        generate.arg(&document).args(["--output", "schema.d.ts"]),
    );
    run("tsc", &mut script("typescript/bin/tsc"));
    let mut client = Command::new("node");
    client.arg("run.js").current_dir(scratch.path());
    plays(client, &server, &scratch).await;
}
