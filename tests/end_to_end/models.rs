//! A model that is asked for by name and not there is fetched before the process is ready.

use crate::support::{Scratch, eventually};
use axum::{Router, body::Body, extract::State, routing::get};
use sha2::{Digest as _, Sha256};
use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// Loading the model and making the database, on a busy machine, in a debug build.
const SOON: Duration = Duration::from_secs(90);
const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/models/ggml-hansard-test-en-q8_0.bin"
);

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes a list with one model, which is the bundled one by another name.
fn list(data: &Path, content: &[u8]) {
    let sha256 = hansard::domain::consent::hex(&Sha256::digest(content));
    let list = format!(
        "[[model]]\nname = \"ours\"\nfile = \"ours.bin\"\nurl = \"ours.bin\"\nsizeBytes = {}\nsha256 = \"{sha256}\"\n\
         languages = [\"en\"]\nlongestUtteranceSeconds = 8\naudioCtxFloor = 64\naudioCtxMargin = 16\nprompt = false\n",
        content.len()
    );
    std::fs::create_dir_all(data.join("models")).expect("a folder");
    std::fs::write(data.join("models/models.toml"), list).expect("written");
}

/// Half of the file, and the rest when told so.
async fn serve(State((content, rest)): State<(Arc<Vec<u8>>, Arc<Notify>)>) -> Body {
    let half = content.len() / 2;
    let first = content[..half].to_vec();
    let second = async move {
        rest.notified().await;
        Ok::<_, std::io::Error>(content[half..].to_vec())
    };
    let parts = futures_util::stream::once(async move { Ok::<_, std::io::Error>(first) });
    Body::from_stream(futures_util::StreamExt::chain(
        parts,
        futures_util::stream::once(second),
    ))
}

fn process(data: &Path, from: &str, ops: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hansard"));
    command
        .args(["serve", "--model", "ours", "--models-url", from, "--data"])
        .arg(data)
        .args(["--ops-listen", &format!("127.0.0.1:{ops}")])
        .args(["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"])
        .env_clear()
        .envs(
            std::env::vars()
                .filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG")),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// The status of `/readyz` and what it says.
async fn readiness(ops: u16) -> Option<(u16, serde_json::Value)> {
    let answer = reqwest::get(format!("http://127.0.0.1:{ops}/readyz"))
        .await
        .ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.json().await.ok()?))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_model_is_fetched_before_the_process_is_ready() {
    let data = Scratch::new();
    let content = std::fs::read(FILE).expect("the bundled model");
    list(data.path(), &content);
    let rest = Arc::new(Notify::new());
    let router = Router::new()
        .route("/ours.bin", get(serve))
        .with_state((Arc::new(content.clone()), rest.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let from = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let ops = free_port();
    let _process = Process(
        process(data.path(), &from, ops)
            .spawn()
            .expect("the program that was just built starts"),
    );
    eventually("readiness says that it is fetched", SOON, async || {
        readiness(ops).await.is_some_and(|(status, said)| {
            let detail = said["details"]["model"]["detail"].as_str();
            status == 503
                && said["status"] == "starting"
                && detail.is_some_and(|detail| detail.contains("fetching ours: 7 of 15 MiB"))
        })
    })
    .await;
    rest.notify_one();
    eventually("it is ready", SOON, async || {
        readiness(ops)
            .await
            .is_some_and(|(status, said)| status == 200 && said["details"].get("model").is_none())
    })
    .await;
    let place = data.path().join("models/ours.bin");
    assert!(std::fs::read(place).expect("fetched") == content);
    assert!(
        !data.path().join("models/default").exists(),
        "only who fetches by hand chooses a default"
    );
}

#[test]
fn a_model_that_cannot_be_fetched_ends_the_start_and_says_what_to_do() {
    let data = Scratch::new();
    list(data.path(), b"lmgg and more");
    // Nobody listens there.
    let from = format!("http://127.0.0.1:{}", free_port());
    let output = process(data.path(), &from, free_port())
        .stderr(Stdio::piped())
        .output()
        .expect("the program that was just built starts");
    assert!(!output.status.success());
    let wrong = String::from_utf8_lossy(&output.stderr);
    for said in [from.as_str(), "--models-url", "ours.bin (13 bytes)"] {
        assert!(wrong.contains(said), "{said}: {wrong}");
    }
}
