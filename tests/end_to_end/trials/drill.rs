//! The erasure of a person whose voice and words are known: a tone and a sentence that nobody else has.
//! It was recorded by a machine that was killed with some of it in its spool. Afterwards every version of
//! every object is decoded, every table, export and log looked through, and the database of before is put
//! back under the bucket.

use super::{
    room::Room,
    site::{speech, until_final},
    sound::hum,
    support::{
        Scratch, eventually,
        place::{Place, files, spooled},
        postgres::Cluster,
        rabbitmq::RabbitMq,
        server::Server,
        tone_meeting::SILENT_DB,
    },
};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use axum::http::Method;
use hansard::{domain::id::MeetingId, store::consent};
use hansard_client::{rest::Client, tone};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// On a busy machine.
const SOON: Duration = Duration::from_secs(120);
const NAME: &str = "Canaryname";
const CANARY_HZ: f64 = 2_100.0;
const OTHER_HZ: f64 = 500.0;
const RATE: u32 = 48_000;
/// Windows of 100 ms.
const SUSTAINED: usize = 5;

struct Site {
    place: Place,
    cluster: Cluster,
    broker: RabbitMq,
    /// Of the `api`, of the worker that stays, and of the one that is lost.
    folders: [Scratch; 3],
    logs: Scratch,
}

impl Site {
    async fn start() -> Self {
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

    fn process(&self, database: &str, role: &str, n: usize) -> Server {
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

    /// Every version of every object but the ledger's, as a file.
    async fn versions(&self, to: &Path) -> Vec<(String, PathBuf)> {
        let bucket = &self.place.bucket;
        let client = bucket.client();
        let listed = client
            .list_object_versions()
            .bucket(&bucket.settings.bucket)
            .send()
            .await
            .expect("lists");
        let mut found = Vec::new();
        for (n, version) in listed.versions().iter().enumerate() {
            let key = version.key().expect("a key");
            if key.starts_with("ledger/") {
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
        found
    }

    /// How loud a tone is anywhere in the bucket for half a second at the most, in dB.
    async fn loudest(&self, hz: f64) -> f64 {
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

async fn call(
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
async fn tables_with(database: &str, texts: &[String]) -> BTreeSet<String> {
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
async fn idle(database: &str) {
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

async fn execute(database: &str, statement: &str) {
    let mut sql = PgConnection::connect(database)
        .await
        .expect("Postgres answers");
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut sql)
        .await
        .expect("it may");
}

/// All that an export has.
async fn exports(server: &Server, key: &str, meeting: &str) -> String {
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

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_anywhere() {
    let site = Site::start().await;
    let database = site.cluster.database().await;
    let key = super::support::key(&database).await;
    let api = site.process(&database, "api", 0);
    let lost = site.process(&database, "worker", 2);
    let client = Client::new(api.url(), &key).expect("the address is well-formed");
    let room = Room::open(&client, json!({"language": "en"})).await;
    let (canary, david) = (
        room.guest_who(NAME, "accepted").await,
        room.guest_who("David", "accepted").await,
    );
    let mut frames = speech("Emma", 32_800, 36_700);
    frames.extend(hum(CANARY_HZ, 60_000, &[]));
    let mut others = speech("David", 29_600, 33_400);
    others.extend(hum(OTHER_HZ, 60_000, &[]));
    let (voice, other) = (
        room.speak(&canary, &frames).await,
        room.speak(&david, &others).await,
    );
    until_final(&room, &canary, 0).await;
    until_final(&room, &david, 0).await;
    // Her tone is stored by now, and goes on.
    voice.reaches(14_000).await;
    site.place.faults.refuse();
    let spool = || spooled(site.folders[2].path());
    eventually("segments wait in the spool", SOON, async || spool() >= 4).await;
    lost.kill();
    voice.stopped().await;
    other.stopped().await;
    site.place.faults.heal();
    let home = site.process(&database, "worker", 1);
    client.end(&room.id).await.expect("ends");
    // Else the files wait two minutes for the machine that was killed.
    eventually("the meeting is over", SOON, async || {
        execute(
            &database,
            "update capture_epochs set spooled_at = spooled_at - interval '1 hour'",
        )
        .await;
        let mut sql = hansard::store::owner(&database).await.expect("Postgres answers");
        let made: bool = sqlx::query_scalar(
            "select count(*) filter (where status = 'ready') = 3 from recordings where meeting_id::text = $1",
        )
        .bind(&room.id)
        .fetch_one(&mut sql)
        .await
        .expect("Postgres answers");
        tokio::time::sleep(Duration::from_millis(500)).await;
        made
    })
    .await;
    let transcript = client
        .wait_transcript_complete(&room.id, Instant::now() + SOON)
        .await
        .expect("complete");
    idle(&database).await;
    assert!(site.loudest(CANARY_HZ).await > SILENT_DB, "it was recorded");
    let said = |by: &str| -> BTreeSet<String> {
        let segments = transcript["segments"].as_array().expect("a list").iter();
        segments
            .filter(|segment| segment["participant"]["id"] == by)
            .flat_map(|segment| hansard_client::wer::words(segment["text"].as_str().expect("text")))
            .collect()
    };
    // Of those that she said alone, such as nothing else is called by.
    let hers: BTreeSet<String> = said(&canary.id)
        .difference(&said(&david.id))
        .cloned()
        .collect();
    let mut texts: Vec<String> = ["please", "incident", "noon"].map(str::to_owned).into();
    texts.retain(|text| hers.contains(text));
    assert!(!texts.is_empty(), "words of hers: {transcript}");
    texts.push(NAME.to_owned());
    println!("canaries: {texts:?}");
    assert!(tables_with(&database, &texts).await.len() > 2);
    assert!(exports(&api, &key, &room.id).await.contains(NAME));
    // As it was last week.
    api.terminate();
    home.terminate();
    let name = database
        .rsplit('/')
        .next()
        .and_then(|rest| rest.split('?').next())
        .expect("a name");
    eventually("the database is copied", SOON, async || {
        // Not while a session of before is still ending.
        let mut sql = PgConnection::connect(&site.cluster.url("postgres"))
            .await
            .expect("Postgres answers");
        let copy = format!("create database last_week template \"{name}\"");
        sqlx::query(AssertSqlSafe(copy))
            .execute(&mut sql)
            .await
            .is_ok()
    })
    .await;
    let last_week = site.cluster.url("last_week");
    let api = site.process(&database, "api", 0);
    let home = site.process(&database, "worker", 1);

    let mut sql = hansard::store::owner(&database)
        .await
        .expect("Postgres answers");
    let user: String =
        sqlx::query_scalar("select user_id::text from participants where id::text = $1")
            .bind(&canary.id)
            .fetch_one(&mut sql)
            .await
            .expect("Postgres answers");
    drop(sql);
    let erasure = format!("/v1/users/{user}/erasure");
    let redactions = format!("/v1/meetings/{}/redactions", room.id);
    let asked = Instant::now();
    let reason = Some(json!({"reason": "a drill"}));
    let (status, erased) = call(&api, &key, Method::POST, &erasure, reason).await;
    assert_eq!(status, 202, "{erased}");
    let redaction = async |server: &Server| {
        let (_, listed) = call(server, &key, Method::GET, &redactions, None).await;
        listed["data"][0].clone()
    };
    eventually("there is a certificate", SOON, async || {
        redaction(&api).await["jws"].is_string()
    })
    .await;
    let took = asked.elapsed();
    println!("the certificate took {:.1} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(60), "{took:?}");
    let first = redaction(&api).await;
    assert!(
        first["spoolsOutstanding"]
            .as_i64()
            .is_some_and(|left| left > 0),
        "{first}"
    );

    // The machine comes back.
    assert!(spool() >= 4);
    let back = site.process(&database, "worker", 2);
    eventually("its spool is empty", SOON, async || spool() == 0).await;
    eventually("nothing is outstanding", SOON, async || {
        // Sooner than it would be looked at.
        execute(
            &database,
            "update jobs set run_at = now() where kind = 'redact' and state = 'queued'",
        )
        .await;
        redaction(&api).await["certificate"]["spoolsOutstanding"] == 0
    })
    .await;
    eventually("it is erased", SOON, async || {
        let (_, erased) = call(&api, &key, Method::GET, &erasure, None).await;
        erased["completedAt"].is_string()
    })
    .await;
    idle(&database).await;
    assert!(site.loudest(CANARY_HZ).await < SILENT_DB);
    assert!(site.loudest(OTHER_HZ).await > SILENT_DB);
    assert_eq!(tables_with(&database, &texts).await, BTreeSet::new());
    let exported = exports(&api, &key, &room.id).await.to_lowercase();
    for text in &texts {
        assert!(
            !exported.contains(&text.to_lowercase()),
            "{text}: {exported}"
        );
    }
    let left: BTreeSet<String> = super::support::inventory::listed(&site.place.bucket).await;
    assert_eq!(left.len(), 2, "David's track and the mix: {left:?}");
    for n in 0..3 {
        let spools = files(&site.folders[n].path().join("spool"));
        assert!(
            spools
                .iter()
                .all(|path| path.extension().is_none_or(|end| end != "mkv"))
        );
    }
    let meeting = MeetingId(room.id.parse().expect("an id"));
    let verifies = async |database: &str| {
        let mut sql = hansard::store::owner(database)
            .await
            .expect("Postgres answers");
        let walked = consent::verify(&mut sql, meeting).await.expect("reads");
        walked.expect("the chain holds");
    };
    verifies(&database).await;

    // Last week's database under today's bucket.
    for server in [api, home, back] {
        server.terminate();
    }
    assert!(tables_with(&last_week, &texts).await.len() > 2);
    let api = site.process(&last_week, "api", 0);
    let home = site.process(&last_week, "worker", 1);
    eventually("it is erased there, too", SOON, async || {
        let (_, erased) = call(&api, &key, Method::GET, &erasure, None).await;
        erased["completedAt"].is_string()
    })
    .await;
    assert_eq!(tables_with(&last_week, &texts).await, BTreeSet::new());
    assert!(site.loudest(CANARY_HZ).await < SILENT_DB);
    let now = super::support::inventory::listed(&site.place.bucket).await;
    assert_eq!(now, left, "the very files");
    verifies(&last_week).await;
    let (_, recordings) = call(
        &api,
        &key,
        Method::GET,
        &format!("/v1/meetings/{}/recordings", room.id),
        None,
    )
    .await;
    let recordings = recordings["data"].as_array().expect("a list");
    let ready = recordings
        .iter()
        .filter(|one| one["status"] == "ready")
        .count();
    assert_eq!(ready, 2, "{recordings:?}");
    for server in [api, home] {
        server.terminate();
    }
    for log in files(site.logs.path()) {
        let log = std::fs::read_to_string(&log).expect("a log").to_lowercase();
        for text in &texts {
            assert!(!log.contains(&text.to_lowercase()), "{text} is in a log");
        }
    }
}
