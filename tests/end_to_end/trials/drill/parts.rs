//! Where the drill is held: a database, a broker, a bucket that keeps versions and three processes,
//! and what is looked through afterwards.

use super::SOON;
use crate::support::{
    Scratch, eventually, place::Place, postgres::Cluster, rabbitmq::RabbitMq, server::Server,
};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use axum::http::Method;
use hansard::domain::object_key::PeaksFile;
use hansard_client::tone;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

const RATE: u32 = 48_000;
/// Windows of 100 ms.
const SUSTAINED: usize = 5;

pub struct Site {
    pub place: Place,
    pub cluster: Cluster,
    broker: RabbitMq,
    /// Of the `api`, of the worker that stays, and of the one that is lost.
    pub folders: [Scratch; 3],
    pub logs: Scratch,
}

impl Site {
    pub async fn start() -> Self {
        let site = Self {
            place: Place::new().await,
            cluster: Cluster::start().await,
            broker: RabbitMq::start().await,
            folders: [Scratch::new(), Scratch::new(), Scratch::new()],
            logs: Scratch::new(),
        };
        let enabled = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        let bucket = &site.place.bucket;
        bucket
            .client()
            .put_bucket_versioning()
            .bucket(&bucket.settings.bucket)
            .versioning_configuration(enabled)
            .send()
            .await
            .expect("versions are kept");
        site
    }

    pub fn process(&self, database: &str, role: &str, n: usize) -> Server {
        let ip = format!("127.0.0.{}", n + 1);
        let arguments: &[&str] = match role {
            "api" => &["--listen", "127.0.0.1:0"],
            _ => &[
                "--rtp-bind",
                &ip,
                "--rtp-public-ip",
                &ip,
                "--rtp-allow",
                "127.0.0.0/8",
            ],
        };
        let amqp = self.broker.url();
        let own = [
            ("DATABASE_URL", database),
            ("AMQP_URL", amqp.as_str()),
            (
                "HANSARD_SECRET",
                "a secret for tests of at least thirty-two bytes",
            ),
        ];
        let log = self
            .logs
            .path()
            .join(format!("{role}-{}.log", uuid::Uuid::now_v7()));
        let log = File::create(log).expect("a log");
        let environment = [&self.place.environment()[..], &own].concat();
        let data = self.folders[n].path();
        Server::start_logging(role, data, arguments, &environment, log.into())
    }

    /// All that the ledger says, in every version of its objects.
    pub async fn ledger(&self) -> String {
        let bucket = &self.place.bucket;
        let client = bucket.client();
        let listed = client
            .list_object_versions()
            .bucket(&bucket.settings.bucket)
            .prefix("ledger/")
            .send()
            .await
            .expect("lists");
        let mut all = String::new();
        for version in listed.versions() {
            let got = client
                .get_object()
                .bucket(&bucket.settings.bucket)
                .key(version.key().expect("a key"))
                .set_version_id(version.version_id().map(str::to_owned))
                .send()
                .await
                .expect("it is there");
            let bytes = got.body.collect().await.expect("it is read").into_bytes();
            all += std::str::from_utf8(&bytes).expect("JSON");
        }
        all
    }

    /// Every version of every object but the ledger's and the bucket's mark, as a file.
    async fn versions(&self, to: &Path) -> Vec<(String, PathBuf)> {
        let bucket = &self.place.bucket;
        let client = bucket.client();
        let listed = client
            .list_object_versions()
            .bucket(&bucket.settings.bucket)
            .send()
            .await
            .expect("lists");
        let (mut found, mut peaks) = (Vec::new(), Vec::new());
        for (n, version) in listed.versions().iter().enumerate() {
            let key = version.key().expect("a key");
            let no_sound = ["ledger/", "deployment/"];
            if no_sound.iter().any(|under| key.starts_with(under)) {
                continue;
            }
            if let Some(of) = PeaksFile::parse(key) {
                peaks.push(of);
                continue;
            }
            let got = client
                .get_object()
                .bucket(&bucket.settings.bucket)
                .key(key)
                .set_version_id(version.version_id().map(str::to_owned))
                .send()
                .await
                .expect("it is there");
            let bytes = got.body.collect().await.expect("it is read").into_bytes();
            let path = to.join(n.to_string());
            std::fs::write(&path, bytes).expect("writes");
            found.push((key.to_owned(), path));
        }
        // Peaks are levels of 50 ms, from which no pitch can be told: they may not outlive their file.
        for of in peaks {
            let mut files = found.iter().map(|(key, _)| format!("/{key}"));
            assert!(files.any(|file| of.are_of(&file)), "{of}: of no file");
        }
        found
    }

    /// How loud a tone is anywhere in the bucket for half a second at the most, in dB.
    pub async fn loudest(&self, hz: f64) -> f64 {
        let scratch = Scratch::new();
        let mut loudest = f64::MIN;
        for (key, path) in self.versions(scratch.path()).await {
            let samples =
                tone::decode(&path, RATE).unwrap_or_else(|error| panic!("{key}: {error}"));
            let levels = tone::amplitudes(&samples, RATE, hz);
            // Speech has any pitch for a moment.
            let most = levels
                .windows(SUSTAINED)
                .map(|levels| levels.iter().copied().fold(f64::MAX, f64::min))
                .fold(1e-9, f64::max);
            println!("{key}: {:.1} dB at {hz} Hz", tone::dbfs(most));
            loudest = loudest.max(tone::dbfs(most));
        }
        loudest
    }
}

pub async fn call(
    server: &Server,
    key: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = reqwest::Client::new()
        .request(method, format!("{}{path}", server.url()))
        .bearer_auth(key);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("it answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// The tables of a database that have any of these texts.
pub async fn tables_with(database: &str, texts: &[String]) -> BTreeSet<String> {
    let mut sql = hansard::store::owner(database)
        .await
        .expect("Postgres answers");
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut sql)
    .await
    .expect("Postgres answers");
    let mut found = BTreeSet::new();
    for table in tables {
        for text in texts {
            let query =
                format!("select count(*) from \"{table}\" t where t::text ilike '%' || $1 || '%'");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(query))
                .bind(text)
                .fetch_one(&mut sql)
                .await
                .expect("Postgres answers");
            if rows > 0 {
                found.insert(format!("{table}: {text}"));
            }
        }
    }
    found
}

/// Waits until all jobs are through; the machine that was killed was killed long ago.
pub async fn idle(database: &str) {
    eventually("no job is left", SOON, async || {
        for sooner in [
            "update objects set noted_at = noted_at - interval '1 hour' where uploading",
            "update jobs set run_at = now() where state = 'queued' and kind <> 'tier'",
        ] {
            execute(database, sooner).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut sql = hansard::store::owner(database)
            .await
            .expect("Postgres answers");
        let open: Vec<String> = sqlx::query_scalar(
            "select kind from jobs where state in ('queued', 'running') and kind <> 'tier'",
        )
        .fetch_all(&mut sql)
        .await
        .expect("Postgres answers");
        open.is_empty()
    })
    .await;
}

pub async fn execute(database: &str, statement: &str) {
    let mut sql = PgConnection::connect(database)
        .await
        .expect("Postgres answers");
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut sql)
        .await
        .expect("it may");
}

/// All that an export has.
pub async fn exports(server: &Server, key: &str, meeting: &str) -> String {
    let mut all = String::new();
    for ending in ["", ".json", ".vtt", ".srt", ".txt"] {
        let path = format!("{}/v1/meetings/{meeting}/transcript{ending}", server.url());
        let answer = reqwest::Client::new()
            .get(path)
            .bearer_auth(key)
            .send()
            .await;
        all += &answer.expect("it answers").text().await.expect("text");
    }
    all
}

/// The files that the recordings of a database name, as URLs.
pub async fn urls(database: &str) -> BTreeSet<String> {
    let mut sql = hansard::store::owner(database)
        .await
        .expect("Postgres answers");
    let urls: Vec<String> = sqlx::query_scalar(
        "select blob_url from recordings where blob_url is not null and deleted_at is null",
    )
    .fetch_all(&mut sql)
    .await
    .expect("Postgres answers");
    urls.into_iter().collect()
}
