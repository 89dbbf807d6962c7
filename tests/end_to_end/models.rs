//! A model that is asked for by name and not there is fetched before the process is ready, and what
//! `hansard models bench` measures of one is the room for live meetings.

use crate::{
    room::{Room, recording_only},
    support::{Scratch, eventually, free_ports, server::Server},
};
use axum::{Router, body::Body, extract::State, routing::get};
use hansard_client::{rest::audio_stream, sender::SenderConfig};
use sha2::{Digest as _, Sha256};
use std::{
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

    let [ops] = free_ports();
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
    let [nobody, ops] = free_ports();
    let from = format!("http://127.0.0.1:{nobody}");
    let output = process(data.path(), &from, ops)
        .stderr(Stdio::piped())
        .output()
        .expect("the program that was just built starts");
    assert!(!output.status.success());
    let wrong = String::from_utf8_lossy(&output.stderr);
    for said in [from.as_str(), "--models-url", "ours.bin (13 bytes)"] {
        assert!(wrong.contains(said), "{said}: {wrong}");
    }
}

/// Runs `hansard models bench` for about a second; whether it succeeds, and what it prints.
fn bench(data: &Path, name: Option<&str>) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(["models", "bench"])
        .args(name)
        .args(["--seconds", "1", "--data"])
        .arg(data)
        .env_clear()
        .envs(
            std::env::vars()
                .filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR")),
        )
        .output()
        .expect("the program that was just built starts");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

/// So many more meetings a server takes.
async fn room_of(server: &Server) -> Option<f64> {
    let metrics = reqwest::get(format!("{}/metrics", server.ops)).await;
    let text = metrics.ok()?.text().await.ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("hansard_meetings_room "));
    line?.trim().parse().ok()
}

#[test]
fn the_bench_goes_on_behind_a_model_that_cannot_be_read_and_fails_at_the_end() {
    let data = Scratch::new();
    let content = std::fs::read(FILE).expect("the bundled model");
    list(data.path(), &content);
    let models = data.path().join("models");
    let ours = std::fs::read_to_string(models.join("models.toml")).expect("written");
    // The same, but a byte of the file is another.
    let broken = ours.replace("ours", "broken");
    std::fs::write(models.join("models.toml"), [broken, ours].concat()).expect("written");
    let mut other = content.clone();
    *other.last_mut().expect("a file") ^= 1;
    std::fs::write(models.join("broken.bin"), other).expect("written");
    std::fs::write(models.join("ours.bin"), &content).expect("written");
    let (ok, said) = bench(data.path(), None);
    assert!(!ok, "{said}");
    let line = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
    };
    let why = line("broken ");
    assert!(
        why.contains("not measured") && why.contains("its sha256 is"),
        "{why}"
    );
    assert!(line("ours ").contains(" ms"), "behind it: {said}");
    assert!(said.contains("could not measure broken:"), "{said}");
    let kept = std::fs::read_to_string(models.join("measured.json")).expect("kept");
    assert!(kept.contains("meetings"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bench_measures_is_printed_kept_and_is_a_workers_room() {
    let data = Scratch::new();
    let (ok, said) = bench(data.path(), Some("nobody.has"));
    assert!(
        !ok && said.contains("no model is called \"nobody.has\""),
        "{said}"
    );
    let (ok, said) = bench(data.path(), Some("hansard-test-en"));
    assert!(ok, "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    assert!(lines[0].ends_with(&format!(", {cores} cores")), "{said}");
    assert!(lines[1].starts_with("model ") && lines[1].contains("live meetings"));
    // The name, meetings, finals' and partials' quantiles, and how many were decoded.
    let [name, meetings, finals, "ms", partials, "ms", decodes] =
        lines[2].split_whitespace().collect::<Vec<_>>()[..]
    else {
        panic!("{said}")
    };
    assert_eq!(name, "hansard-test-en");
    for quantiles in [finals, partials] {
        let (median, high) = quantiles.split_once('/').expect("two of them");
        let [median, high] = [median, high].map(|ms| ms.parse::<u64>().expect("a number"));
        assert!(0 < median && median <= high, "{said}");
    }
    assert!(decodes.parse::<u64>().expect("a number") > 1, "{said}");
    let meetings: u32 = meetings.parse().expect("a number");
    let place = data.path().join("models/measured.json");
    assert!(said.contains(&data.path().display().to_string()), "{said}");

    let server = Server::serve(data.path());
    // One that is too slow for a meeting takes one all the same.
    let expected = f64::from(meetings.max(1));
    eventually("as many as measured", SOON, async || {
        room_of(&server).await == Some(expected)
    })
    .await;
    server.kill();

    // As of a machine that carries one only.
    let kept = std::fs::read(&place).expect("kept");
    let mut kept: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
    assert_eq!(kept[0]["meetings"], meetings);
    kept[0]["meetings"] = 1.into();
    std::fs::write(&place, kept.to_string()).expect("written");
    let server = Server::serve(data.path());
    let client = server.client();
    let first = Room::open(&client, recording_only()).await;
    let guest = first.guest("Ana").await;
    drop(first.line(&guest).await);
    let second = Room::open(&client, recording_only()).await;
    let guest = second.guest("Ben").await;
    let request = audio_stream(
        &guest.id,
        "opus",
        &SenderConfig::opus(guest.id.clone()),
        None,
        None,
    );
    let Err(refused) = client.create_stream(&second.id, request).await else {
        panic!("there is no room for a second meeting");
    };
    assert!(refused.to_string().contains("503"), "{refused}");
    assert_eq!(room_of(&server).await, Some(0.0));
    server.kill();
}
