//! One suite of all calls that are made of S3, on the server that is brought along, with and
//! without versions, and on another implementation (`moto`), whose differences are a table.
//!
//! `moto` is installed once, in the version below, under `~/.cache/hansard`.

use crate::support::{
    Scratch, eventually,
    s3::{Bucket, client},
};
use aws_sdk_s3::{
    Client,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use hansard::{
    domain::{
        restore::{RestoreSpeed, Seen},
        tiering::{Classes, Tier},
    },
    embed::s3::Options,
    objects::{
        Dialect, ObjectError, Objects, Restoring, StorageConfig, Wanted,
        conform::{Ability, Verdict, examine},
    },
};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

const PREFIX: &str = "below/this/";
const MOTO: &str = "moto[server]==5.2.5";

async fn keep_versions(client: &Client, bucket: &str) {
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let put = client.put_bucket_versioning().bucket(bucket);
    let put = put.versioning_configuration(enabled).send().await;
    put.expect("it keeps versions");
}

/// What the store cannot do; nothing is left behind.
async fn cannot(settings: &StorageConfig) -> Vec<(Ability, String)> {
    cannot_with(settings, &Classes::default()).await
}

async fn cannot_with(settings: &StorageConfig, classes: &Classes) -> Vec<(Ability, String)> {
    let (mut tried, mut cannot) = (Vec::new(), Vec::new());
    let cleaned = examine(settings, classes, PREFIX, |ability, verdict| {
        println!("{ability:?}: {verdict:?}");
        tried.push(ability);
        if let Verdict::Cannot(why) = verdict {
            cannot.push((ability, why));
        }
    });
    cleaned.await.expect("it cleans up after itself");
    assert_eq!(tried, Ability::ALL);
    let client = client(settings);
    let left = client
        .list_objects_v2()
        .bucket(&settings.bucket)
        .send()
        .await;
    assert_eq!(left.expect("it answers").contents().len(), 0);
    let left = client.list_object_versions().bucket(&settings.bucket);
    let left = left.send().await.expect("it answers");
    assert_eq!((left.versions().len(), left.delete_markers().len()), (0, 0));
    let left = client.list_multipart_uploads().bucket(&settings.bucket);
    assert_eq!(left.send().await.expect("it answers").uploads().len(), 0);
    cannot
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_along_can_everything() {
    for (versions, delay) in [(false, 0), (true, 0), (false, 3600)] {
        let options = Options {
            restore_delay: Duration::from_secs(delay),
            ..Options::default()
        };
        let bucket = Bucket::start_with(Scratch::new(), options).await;
        if versions {
            keep_versions(&bucket.client(), "hansard").await;
        }
        assert_eq!(cannot(&bucket.settings).await, []);
        // Nor is anything left on its disk.
        let objects = bucket.scratch.path().join("data/_buckets/hansard/objects");
        let left: Vec<_> = fs::read_dir(objects).expect("it is there").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A store that understands less is told from one that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_cannot_do_is_found() {
    use crate::support::faults::{Fault, Faults, Rule};
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    faults.set(&[
        Rule::all(Fault::Answer(501, "NotImplemented")).with_header("x-amz-checksum-sha256"),
        Rule::all(Fault::Answer(400, "InvalidStorageClass")).with_header("x-amz-storage-class"),
    ]);
    let settings = StorageConfig {
        endpoint: faults.endpoint.clone(),
        public_endpoint: faults.endpoint.clone(),
        ..bucket.settings.clone()
    };
    let found: Vec<_> = cannot(&settings)
        .await
        .into_iter()
        .map(|(ability, _)| ability)
        .collect();
    assert_eq!(
        found,
        [
            Ability::Checksum,
            Ability::Classes,
            Ability::CopyInPlace,
            Ability::CopyChecksum,
            Ability::Archive,
            Ability::Restore,
        ]
    );
}

/// The tiers' own classes are tried, and nothing that none of them needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_classes_that_are_set_are_tried() {
    let bucket = Bucket::start().await;
    let mut classes = Classes::default();
    let mut set = |tier, class: &str| {
        classes.set(tier, class.to_owned()).expect("it may");
        classes.clone()
    };
    let lacking = set(Tier::Cold, "ICE");
    let found = cannot_with(&bucket.settings, &lacking).await;
    let found: Vec<_> = found.into_iter().map(|(ability, _)| ability).collect();
    assert_eq!(found, [Ability::Classes, Ability::CopyInPlace]);
    let known = set(Tier::Cold, "ONEZONE_IA");
    assert_eq!(cannot_with(&bucket.settings, &known).await, []);
    set(Tier::Warm, "STANDARD");
    set(Tier::Cold, "STANDARD");
    let one = set(Tier::Archive, "STANDARD");
    let mut needless = Vec::new();
    let cleaned = examine(&bucket.settings, &one, PREFIX, |ability, verdict| {
        if verdict == Verdict::NotAsked && !ability.is_of_versions() {
            needless.push(ability);
        }
    });
    cleaned.await.expect("it cleans up after itself");
    assert_eq!(
        needless,
        [
            Ability::CopyInPlace,
            Ability::CopyChecksum,
            Ability::Archive,
            Ability::Restore,
        ]
    );
}

/// What `moto` does otherwise than S3.
const DIFFERENCES: [(Ability, &str); 3] = [
    (Ability::Checksum, "it took other bytes"),
    (Ability::Link, "status of a forged link: 200"),
    // It fails at the part of an upload that is gone.
    (Ability::Abort, "500"),
];

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_differs_only_as_known() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    for versions in [false, true] {
        let settings = StorageConfig {
            endpoint: moto.endpoint.clone(),
            public_endpoint: moto.endpoint.clone(),
            region: "us-east-1".to_owned(),
            bucket: format!("hansard-{versions}"),
            access_key_id: "anybody".to_owned(),
            secret_access_key: "anything".to_owned(),
            dialect: Dialect::default(),
        };
        let client = client(&settings);
        let made = client.create_bucket().bucket(&settings.bucket).send().await;
        made.expect("there is none");
        if versions {
            keep_versions(&client, &settings.bucket).await;
        }
        let found = cannot(&settings).await;
        let known: Vec<_> = DIFFERENCES.iter().map(|(ability, _)| *ability).collect();
        let differing: Vec<_> = found.iter().map(|(ability, _)| *ability).collect();
        assert_eq!(differing, known, "{found:?}");
        for ((ability, why), (_, said)) in found.iter().zip(DIFFERENCES) {
            assert!(why.contains(said), "{ability:?}: {why}");
        }
        goes_through_the_tiers(&Objects::new(&settings)).await;
    }
}

/// Each class in turn, and back from the last for a while.
async fn goes_through_the_tiers(objects: &Objects) {
    let (key, content) = ("m/track.webm", b"sound".to_vec());
    let stored = objects
        .put_bytes(key, content.clone(), "audio/webm", Tier::Hot)
        .await
        .expect("stored");
    let wanted = Wanted {
        size_bytes: 5,
        sha256: &stored.sha256,
        sum: None,
    };
    for tier in [Tier::Warm, Tier::Cold, Tier::Archive] {
        let moved = objects.transfer(key, tier.class(), wanted, None).await;
        let version = moved.unwrap_or_else(|error| panic!("{tier}: {error}"));
        let left = objects.delete_noncurrent(key).await.expect("deletes");
        assert_eq!(left, usize::from(version.is_some()), "{tier}");
        let head = objects.head(key).await.expect("answers").expect("there");
        assert_eq!(head.class, tier.class());
        let seen = objects.restored(key).await.expect("answers");
        let archived = tier == Tier::Archive;
        assert_eq!(
            seen,
            Some(if archived { Seen::Archived } else { Seen::Open })
        );
    }
    assert!(matches!(
        objects.get_bytes(key).await,
        Err(ObjectError::Archived(_))
    ));
    let asked = objects.restore(key, 2, RestoreSpeed::Bulk).await;
    assert_eq!(asked.expect("taken"), Restoring::Taken);
    let seen = objects.restored(key).await.expect("answers");
    assert!(matches!(seen, Some(Seen::Restored { .. })), "{seen:?}");
    assert_eq!(objects.get_bytes(key).await.expect("readable"), content);
    objects.delete(key).await.expect("deletes");
}

/// The server of `moto`, ended when dropped.
struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// `None`, said on stderr, only where PyPI cannot be reached.
    async fn start() -> Option<Self> {
        let folder = tokio::task::spawn_blocking(installed)
            .await
            .expect("it does not panic")?;
        // Taken again by somebody else in between, it does not start, and the test says so.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("one is free")
            .port();
        let child = Command::new(folder.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let moto = Self {
            child,
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        eventually("moto answers", Duration::from_secs(90), async || {
            reqwest::get(&moto.endpoint).await.is_ok()
        })
        .await;
        Some(moto)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with `moto` in it, installed once, whole or not at all.
fn installed() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let cache = home.join(".cache/hansard");
    fs::create_dir_all(&cache).expect("the cache can be written to");
    let version = MOTO.rsplit('=').next().unwrap_or_default();
    let folder = cache.join(format!("moto-{version}"));
    let lock = File::create(cache.join("moto.lock")).expect("the cache can be written to");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("it can be locked");
    let whole = folder.join("whole");
    if whole.exists() {
        return Some(folder);
    }
    // It was installed in part.
    let _ = fs::remove_dir_all(&folder);
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .status();
    assert!(
        made.is_ok_and(|made| made.success()),
        "python3 with venv is missing; scripts/install.sh test installs what it needs"
    );
    let pip = Command::new(folder.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            MOTO,
        ])
        .stdin(Stdio::null())
        .output()
        .expect("pip is there");
    let said = String::from_utf8_lossy(&pip.stderr);
    if pip.status.success() {
        fs::write(&whole, "").expect("the cache can be written to");
        return Some(folder);
    }
    let is_away = [
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "timed out",
    ]
    .iter()
    .any(|words| said.contains(words));
    assert!(is_away, "pip cannot install {MOTO}: {said}");
    eprintln!("SKIPPED: PyPI cannot be reached, so the suite did not run on {MOTO}");
    None
}
