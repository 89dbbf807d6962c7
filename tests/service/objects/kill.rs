//! The server that is brought along, killed at any line: what it acknowledged is there whole, what
//! it did not is there whole or not at all.

use crate::support::{
    Scratch, eventually,
    s3::{Bucket, client},
};
use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{BucketVersioningStatus, StorageClass, VersioningConfiguration},
};
use hansard::{
    embed::s3::{Options, S3Server},
    objects::{Dialect, StorageConfig},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

const FOLDER: &str = "HANSARD_TEST_KILLED";
const ROUNDS: u64 = 30;
/// Each has a task of its own, so at most one call for a key is unanswered.
const KEYS: usize = 6;
const PLAIN: &str = "hansard";
const KEPT: &str = "versions";

/// A content that says which write it is of, with a length of its own.
fn content(key: &str, n: u64) -> Vec<u8> {
    let mut bytes = format!("{key} {n} ").into_bytes();
    let length = 10 + (n.wrapping_mul(7919) % 90_000) as usize;
    bytes.resize(bytes.len() + length, (n % 251) as u8);
    bytes
}

/// What a key holds: the number of its write, or nothing.
type Held = Option<u64>;

/// What its process said of a key, before it was killed.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Acknowledged by the process that was asked last, if anything was.
    held: Option<Held>,
    /// Asked for and not answered.
    asked: Option<Held>,
    /// Writes whose versions are to be there, where versions are kept.
    versions: Vec<u64>,
}

/// Lines of `bucket key asked|done put|delete n`.
fn read(log: &Path) -> BTreeMap<(String, String), Said> {
    let mut said: BTreeMap<_, Said> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap_or_default().lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [bucket, key, step, verb, n] = words[..] else {
            panic!("{line}")
        };
        let n: u64 = n.parse().expect("a number");
        let key = said.entry((bucket.to_owned(), key.to_owned())).or_default();
        let held = (verb != "delete").then_some(n);
        if step == "asked" {
            key.asked = Some(held);
        } else {
            key.held = Some(held);
            key.asked = None;
            key.versions.extend(held);
        }
    }
    said
}

/// Not a test by itself: it writes until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let any = ([127, 0, 0, 1], 0).into();
    let server = S3Server::start(&folder, any, Options::default())
        .await
        .expect("it starts");
    let settings = settings(&server);
    let log = File::options()
        .append(true)
        .create(true)
        .open(folder.join("log"))
        .expect("there is room");
    let log = Arc::new(Mutex::new(log));
    let say = move |line: String| {
        let mut log = log.lock().expect("nobody panics");
        log.write_all(line.as_bytes()).expect("there is room");
    };
    let mut tasks = Vec::new();
    for bucket in [PLAIN, KEPT] {
        for key in 0..KEYS {
            let (client, say) = (client(&settings), say.clone());
            tasks.push(tokio::spawn(async move {
                loop {
                    write(&client, &say, bucket, &format!("m/{}/key-{key}", key % 2)).await;
                }
            }));
        }
    }
    let (ended, ..) = futures_util::future::select_all(tasks).await;
    ended.expect("none ends by itself");
}

async fn write(client: &Client, say: &impl Fn(String), bucket: &str, key: &str) {
    let n = fastrand::u64(1..1 << 40);
    let verb = ["put", "put", "put", "delete", "parts"][fastrand::usize(..5)];
    say(format!("{bucket} {key} asked {verb} {n}\n"));
    let body = || ByteStream::from(content(key, n));
    match verb {
        "delete" => {
            let delete = client.delete_object().bucket(bucket).key(key).send().await;
            delete.expect("it deletes");
        }
        "put" => {
            let put = client.put_object().bucket(bucket).key(key).body(body());
            let class = (n % 2 == 0).then_some(StorageClass::StandardIa);
            put.set_storage_class(class)
                .send()
                .await
                .expect("it is stored");
        }
        _ => {
            use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
            let begun = client.create_multipart_upload().bucket(bucket).key(key);
            let begun = begun.send().await.expect("it begins");
            let id = begun.upload_id().expect("it has an id");
            let part = client.upload_part().bucket(bucket).key(key).upload_id(id);
            let part = part.part_number(1).body(body()).send().await;
            let part = CompletedPart::builder()
                .part_number(1)
                .set_e_tag(part.expect("it is stored").e_tag)
                .build();
            let all = CompletedMultipartUpload::builder().parts(part).build();
            let done = client.complete_multipart_upload().bucket(bucket).key(key);
            let done = done.upload_id(id).multipart_upload(all).send().await;
            done.expect("it is complete");
        }
    }
    say(format!("{bucket} {key} done {verb} {n}\n"));
}

fn settings(server: &S3Server) -> StorageConfig {
    let endpoint = format!("http://{}", server.address);
    StorageConfig {
        public_endpoint: endpoint.clone(),
        endpoint,
        region: "local".to_owned(),
        bucket: PLAIN.to_owned(),
        access_key_id: server.credentials.access_key_id.clone(),
        secret_access_key: server.credentials.secret_access_key.clone(),
        dialect: Dialect::default(),
    }
}

async fn fetch(client: &Client, bucket: &str, key: &str, id: Option<&str>) -> Option<Vec<u8>> {
    let get = client.get_object().bucket(bucket).key(key);
    match get.set_version_id(id.map(str::to_owned)).send().await {
        Ok(got) => Some(got.body.collect().await.expect("it is whole").to_vec()),
        Err(error) => {
            let error = error.into_service_error();
            assert!(error.is_no_such_key(), "{bucket}/{key}: {error:?}");
            None
        }
    }
}

/// The write that a content is of, if it is one of a key's, whole.
fn number(key: &str, bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    let n = text.split(' ').nth(1).and_then(|n| n.parse().ok());
    let n = n.unwrap_or_else(|| panic!("{key} holds {text:?}"));
    assert!(bytes == content(key, n), "{key}: write {n} is not whole");
    n
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill_at_any_line() {
    let mut bucket = Bucket::start_with(Scratch::new(), Options::default()).await;
    let folder = bucket.scratch.path().to_owned();
    let made = bucket.client().create_bucket().bucket(KEPT).send().await;
    made.expect("there is none");
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let versioned = bucket.client().put_bucket_versioning().bucket(KEPT);
    let versioned = versioned.versioning_configuration(enabled).send().await;
    versioned.expect("it keeps versions");
    let mut expected: BTreeMap<(String, String), Said> = BTreeMap::new();
    let mut open = 0;
    for round in 0..ROUNDS {
        bucket.stop().await;
        let log = folder.join("log");
        // It was never made in the first round.
        let _ = fs::remove_file(&log);
        let mut child = Command::new(std::env::current_exe().expect("it is known"))
            .args([
                "--exact",
                "objects::kill::a_process_that_is_killed",
                "--nocapture",
            ])
            .env(FOLDER, &folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        eventually("it writes", Duration::from_secs(60), async || {
            fs::metadata(&log).is_ok_and(|log| log.len() > 200)
        })
        .await;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..250_000))).await;
        let ended = child.try_wait().expect("it is ours");
        assert!(ended.is_none(), "round {round}: it ended by itself");
        child.kill().expect("it runs");
        child.wait().expect("it is ours");
        bucket.restart().await;
        for (place, said) in read(&log) {
            let known = expected.entry(place).or_default();
            known.held = said.held.or(known.held);
            known.asked = said.asked;
            known.versions.extend(said.versions);
        }
        let client = bucket.client();
        for ((name, key), known) in &mut expected {
            let bytes = fetch(&client, name, key, None).await;
            let held = bytes.as_deref().map(|bytes| number(key, bytes));
            let may_be = [Some(known.held.unwrap_or(None)), known.asked];
            assert!(
                may_be.contains(&Some(held)),
                "round {round}: {name}/{key} holds {held:?}, said was {known:?}"
            );
            open += usize::from(known.asked.is_some());
            if name == KEPT {
                let versions = versions(&client, key).await;
                let lost: Vec<_> = known
                    .versions
                    .iter()
                    .filter(|n| !versions.contains(n))
                    .collect();
                assert!(lost.is_empty(), "round {round}: {key} lost {lost:?}");
                let asked = known.asked.flatten();
                let strange = versions
                    .iter()
                    .filter(|n| !known.versions.contains(n) && asked != Some(**n));
                assert_eq!(strange.count(), 0, "round {round}: {key}");
                forget(&client, key).await;
                known.versions = held.into_iter().collect();
            }
            (known.held, known.asked) = (Some(held), None);
        }
        let listed = bucket.objects.list("", 100).await.expect("it answers");
        let there = expected
            .iter()
            .filter(|((name, _), known)| name == PLAIN && known.held.flatten().is_some());
        assert_eq!(listed.len(), there.count(), "round {round}");
        eventually(
            "leftovers are cleared away",
            Duration::from_secs(30),
            async || {
                let data = folder.join("data");
                let left = files(&data.join("_buckets").join(PLAIN).join("objects"));
                left == 2 * listed.len() && files(&data.join("_unfinished")) == 0
            },
        )
        .await;
    }
    assert!(open > 0, "no call was ever cut off");
}

fn files(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        count += if path.is_dir() { files(&path) } else { 1 };
    }
    count
}

async fn versions(client: &Client, key: &str) -> Vec<u64> {
    let listed = client.list_object_versions().bucket(KEPT).prefix(key);
    let listed = listed.send().await.expect("it answers");
    assert_ne!(listed.is_truncated(), Some(true));
    let mut found = Vec::new();
    for version in listed.versions() {
        let id = version.version_id().expect("it has one");
        let bytes = fetch(client, KEPT, key, Some(id))
            .await
            .expect("it is listed");
        found.push(number(key, &bytes));
    }
    found
}

/// Deletes what is not current, by id.
async fn forget(client: &Client, key: &str) {
    let listed = client.list_object_versions().bucket(KEPT).prefix(key);
    let listed = listed.send().await.expect("it answers");
    let versions = listed
        .versions()
        .iter()
        .map(|version| (version.is_latest(), version.version_id()));
    let markers = listed
        .delete_markers()
        .iter()
        .map(|marker| (marker.is_latest(), marker.version_id()));
    for (is_latest, id) in versions.chain(markers) {
        if is_latest != Some(true) {
            let delete = client.delete_object().bucket(KEPT).key(key);
            let deleted = delete.set_version_id(id.map(str::to_owned)).send().await;
            deleted.expect("it is there");
        }
    }
}
