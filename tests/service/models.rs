//! Models: what is said about missing and broken files, and fetching over HTTP from a local server.

use axum::{Router, body::Body, extract::State, http::HeaderMap, response::Response, routing::get};
use hansard::speech::{
    fetch::{Progress, fetch, obtain},
    measured::{self, Machine},
    model::{ModelError, Registry},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A data folder of its own, gone afterwards.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("hansard-models-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("models")).expect("a folder");
        Self(path)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const NAME: &str = "tiny.en";

/// The list with one model standing for a small file: the real one is 78 MB.
fn registry(data: &Path, content: &[u8]) -> Registry {
    own(data, NAME, Some("ggml-tiny.en.bin"), content);
    Registry::new(data).expect("the list")
}

/// Writes an operator's list with one model.
fn own(data: &Path, name: &str, url: Option<&str>, content: &[u8]) {
    use sha2::Digest as _;
    let sha256 = hansard::domain::consent::hex(&sha2::Sha256::digest(content));
    let url = url.map_or(String::new(), |url| format!("url = \"{url}\"\n"));
    let list = format!(
        "[[model]]\nname = \"{name}\"\nfile = \"ggml-{name}.bin\"\n{url}sizeBytes = {}\nsha256 = \"{sha256}\"\n\
         languages = [\"en\"]\nlongestUtteranceSeconds = 20\naudioCtxFloor = 384\naudioCtxMargin = 128\n\
         prompt = true\n",
        content.len()
    );
    std::fs::write(data.join("models/models.toml"), list).expect("written");
}

fn content() -> Vec<u8> {
    let mut content = b"lmgg".to_vec();
    content.extend((0..300_000u32).flat_map(u32::to_le_bytes));
    content
}

#[test]
fn what_is_wrong_with_a_model_is_said() {
    let data = Data::new("wrong");
    let registry = registry(&data.0, &content());
    let file = data.0.join("models/ggml-tiny.en.bin");
    let say = |registry: &Registry| registry.verify(NAME).expect_err("no model").to_string();

    assert!(matches!(
        registry.find("huge"),
        Err(ModelError::Unknown { .. })
    ));
    assert!(
        say(&registry).contains("hansard models fetch tiny.en"),
        "{}",
        say(&registry)
    );
    std::fs::write(&file, &content()[..1_000]).expect("written");
    assert!(
        say(&registry).contains("cut short: 1000 of 1200004 bytes"),
        "{}",
        say(&registry)
    );
    std::fs::write(&file, b"<html>not found</html>").expect("written");
    assert!(
        say(&registry).contains("does not begin like a ggml model"),
        "{}",
        say(&registry)
    );
    let mut changed = content();
    changed[5_000] ^= 1;
    std::fs::write(&file, changed).expect("written");
    assert!(registry.find(NAME).is_ok(), "found by its size");
    assert!(
        say(&registry).contains("its sha256 is"),
        "{}",
        say(&registry)
    );
    std::fs::write(&file, content()).expect("written");
    assert_eq!(registry.verify(NAME).expect("whole").1, file);
}

#[test]
fn an_operator_may_bring_models() {
    let data = Data::new("own");
    own(&data.0, "ours", None, &content());
    let registry = Registry::new(&data.0).expect("the list");
    assert!(registry.model("base.en").is_ok() && registry.model("ours").is_ok());
    let missing = registry.verify("ours").expect_err("no file").to_string();
    assert!(missing.contains("put ggml-ours.bin into"), "{missing}");
    std::fs::write(data.0.join("models/ggml-ours.bin"), content()).expect("written");
    registry.verify("ours").expect("whole");

    std::fs::write(data.0.join("models/models.toml"), "[[model]]\nname = \"x\"").expect("written");
    let wrong = format!("{:#}", Registry::new(&data.0).expect_err("no list"));
    assert!(
        wrong.contains("models.toml is no list of models"),
        "{wrong}"
    );
}

#[test]
fn the_bundled_model_is_whole_and_the_default() {
    let data = Data::new("bundled");
    let registry = Registry::new(&data.0).expect("the list");
    assert_eq!(registry.default_name(), "hansard-test-en");
    registry.verify("hansard-test-en").expect("whole");
    registry.set_default("base.en").expect("written");
    assert_eq!(registry.default_name(), "base.en");
}

#[test]
fn a_command_with_a_data_folder_of_its_own_finds_the_real_model_of_another() {
    let (own_data, other) = (Data::new("demo"), Data::new("beside"));
    let registry = || {
        Registry::new(&own_data.0)
            .expect("the list")
            .beside(&other.0)
            .expect("the list")
    };
    own(&other.0, "ours", None, &content());
    assert_eq!(
        registry().best_here(),
        "hansard-test-en",
        "no file is there"
    );
    std::fs::write(other.0.join("models/ggml-ours.bin"), content()).expect("written");
    assert_eq!(registry().best_here(), "ours");
    assert_eq!(registry().verify("ours").expect("whole").0.note, "");
    // Its own default comes first, if it is one for people and here.
    own(&own_data.0, "chosen", None, &content());
    std::fs::write(own_data.0.join("models/ggml-chosen.bin"), content()).expect("written");
    registry().set_default("chosen").expect("written");
    assert_eq!(registry().best_here(), "chosen");
    registry().set_default("hansard-test-en").expect("written");
    assert_ne!(registry().best_here(), "hansard-test-en");
}

#[test]
fn what_was_measured_counts_for_its_model_and_machine_only() {
    let data = Data::new("measured");
    let registry = registry(&data.0, &content());
    let model = |name: &str| registry.model(name).expect("known").clone();
    let (one, other) = (model(NAME), model("base.en"));
    let here = Machine::here(false);
    assert!(here.cores > 0 && !here.cpu.is_empty());
    let elsewhere = Machine {
        cores: here.cores + 1,
        ..here.clone()
    };
    assert_eq!(measured::meetings(&data.0, &one, &here), None);
    measured::keep(&data.0, &one, &here, 7).expect("written");
    measured::keep(&data.0, &one, &elsewhere, 9).expect("written");
    measured::keep(&data.0, &one, &here, 8).expect("written");
    assert_eq!(measured::meetings(&data.0, &one, &here), Some(8));
    assert_eq!(measured::meetings(&data.0, &one, &elsewhere), Some(9));
    assert_eq!(
        measured::meetings(&data.0, &one, &Machine::here(true)),
        None
    );
    assert_eq!(measured::meetings(&data.0, &other, &here), None);
    std::fs::write(data.0.join("models/measured.json"), "{").expect("written");
    assert_eq!(measured::meetings(&data.0, &one, &here), None);
}

#[derive(Clone)]
struct Served {
    content: Arc<Vec<u8>>,
    requests: Arc<AtomicUsize>,
    /// Every answer breaks off after so many bytes.
    at_most: usize,
    ranges: bool,
}

async fn serve(State(served): State<Served>, headers: HeaderMap) -> Response {
    served.requests.fetch_add(1, Ordering::Relaxed);
    let from: usize = headers
        .get("range")
        .filter(|_| served.ranges)
        .and_then(|range| {
            range
                .to_str()
                .ok()?
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let total = served.content.len();
    let to = (from + served.at_most).min(total);
    let bytes = served.content[from..to].to_vec();
    let broken = futures_util::stream::iter([Ok(bytes), Err(std::io::Error::other("cut"))]);
    let body = if to == total {
        Body::from(served.content[from..].to_vec())
    } else {
        Body::from_stream(broken)
    };
    let response = Response::builder().header("content-length", total - from);
    match from {
        0 => response.status(200),
        _ => response.status(206).header(
            "content-range",
            format!("bytes {from}-{}/{total}", total - 1),
        ),
    }
    .body(body)
    .expect("a response")
}

async fn server(served: Served) -> String {
    let router = Router::new()
        .route("/files/ggml-tiny.en.bin", get(serve))
        .with_state(served);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/files/")
}

fn served(content: Vec<u8>, at_most: usize, ranges: bool) -> Served {
    Served {
        content: Arc::new(content),
        requests: Arc::default(),
        at_most,
        ranges,
    }
}

#[tokio::test]
async fn a_download_resumes_and_becomes_the_default() {
    let data = Data::new("resume");
    let registry = registry(&data.0, &content());
    let served = served(content(), 500_000, true);
    let base = server(served.clone()).await;
    let mut seen = Vec::new();
    let path = fetch(&registry, NAME, Some(&base), |progress| seen.push(progress))
        .await
        .expect("fetched");
    assert_eq!(std::fs::read(&path).expect("there"), content());
    assert_eq!(registry.default_name(), NAME);
    assert_eq!(
        served.requests.load(Ordering::Relaxed),
        3,
        "two breaks, each taken up where it broke"
    );
    assert!(
        seen.windows(2).all(|pair| pair[0].bytes < pair[1].bytes),
        "never from the beginning again"
    );
    assert_eq!(
        seen.last(),
        Some(&Progress {
            bytes: 1_200_004,
            of_bytes: 1_200_004
        })
    );
    // Once more changes nothing and asks nobody, and a model that is only used is no new default.
    registry.set_default("hansard-test-en").expect("written");
    obtain(&registry, NAME, Some(&base), |_| {})
        .await
        .expect("there");
    assert_eq!(registry.default_name(), "hansard-test-en");
    fetch(&registry, NAME, Some(&base), |_| {})
        .await
        .expect("there");
    assert_eq!(served.requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_server_without_ranges_starts_again() {
    let data = Data::new("ranges");
    let registry = registry(&data.0, &content());
    std::fs::write(data.0.join("models/ggml-tiny.en.part"), &content()[..700]).expect("written");
    let base = server(served(content(), usize::MAX / 2, false)).await;
    let path = fetch(&registry, NAME, Some(&base), |_| {})
        .await
        .expect("fetched");
    assert_eq!(std::fs::read(path).expect("there"), content());
}

#[tokio::test]
async fn a_wrong_file_is_refused_and_not_kept() {
    let data = Data::new("refused");
    let registry = registry(&data.0, &content());
    let mut changed = content();
    changed[9] ^= 1;
    let base = server(served(changed, usize::MAX / 2, true)).await;
    let error = fetch(&registry, NAME, Some(&base), |_| {})
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("sha256"), "{error:#}");
    let there = std::fs::read_dir(data.0.join("models")).expect("a folder");
    let there: Vec<_> = there.flatten().map(|file| file.file_name()).collect();
    assert_eq!(there, ["models.toml"]);
    let missing = fetch(
        &registry,
        NAME,
        Some(&base.replace("files", "elsewhere")),
        |_| {},
    )
    .await
    .expect_err("404");
    assert!(missing.to_string().contains("404"), "{missing:#}");
    assert_eq!(registry.default_name(), "hansard-test-en");
}
