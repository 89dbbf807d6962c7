//! Files that were replaced without anybody's asking, in the ledger: told before they go, and taken
//! over by rows that are older.

use super::{
    app::App,
    job,
    ledger::{caught, entries},
    redaction::Meeting,
    redaction_job::{store, track},
};
use crate::support::{faults::Faults, inventory::listed, number, s3::Bucket};
use hansard::{
    domain::{
        id::{MeetingId, RecordingId, TenantId},
        inventory::ObjectKind,
        ledger::{Act, Draft, GoneObject, Replaced},
        object_key::LedgerKey,
        tiering::Tier,
    },
    jobs::clean::Clean,
    ledger::Ledger,
    objects::{Objects, StorageConfig},
    worker::Outcome,
};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};
use uuid::Uuid;

struct World {
    bucket: Bucket,
    meeting: Meeting,
}

impl World {
    /// A meeting that is over, with the first track's file.
    async fn start() -> Self {
        let bucket = Bucket::start().await;
        let meeting = Meeting::live_on(App::with_bucket(&bucket).await).await;
        meeting.end().await;
        let world = Self { bucket, meeting };
        world.store(1).await;
        // What the meeting has besides is no object here.
        world
            .sql("delete from recordings where meeting_id = $1 and sha256 not like 'recordings/%'")
            .await;
        world
            .sql("update recordings set size_bytes = 5 where meeting_id = $1")
            .await;
        world
    }

    fn app(&self) -> &App {
        &self.meeting.app
    }

    /// The first track is this file now.
    async fn store(&self, revision: i32) -> String {
        let object = track(&self.meeting, 0, revision);
        store(self.app(), &self.bucket, object.clone(), true).await;
        sqlx::query("update recordings set revision = $2 where id = $1")
            .bind(object.recording.0)
            .bind(revision)
            .execute(&mut self.app().sql().await)
            .await
            .expect("it may");
        object.key
    }

    async fn sql(&self, statement: &str) {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
            .bind(self.meeting.id.0)
            .execute(&mut self.app().sql().await)
            .await
            .expect("Postgres answers");
    }

    fn job(&self) -> Clean {
        Clean {
            ledger: Ledger::new(self.app().state.store.clone(), self.bucket.objects.clone()),
            store: self.app().state.store.clone(),
            objects: self.bucket.objects.clone(),
        }
    }

    /// Asks for the job, unless that is done.
    async fn ask(&self) {
        self.sql(
            "insert into jobs (id, tenant_id, meeting_id, kind, subject)
             select gen_random_uuid(), tenant_id, id, 'clean', id from meetings where id = $1
             on conflict (kind, subject) do update set state = 'queued', run_at = now()",
        )
        .await;
    }

    async fn clean(&self) {
        self.ask().await;
        let outcome = job::run(self.app(), self.job()).await;
        assert!(matches!(outcome, Outcome::Settled), "{outcome:?}");
    }

    async fn acts(&self) -> Vec<serde_json::Value> {
        let found = entries(self.app(), &self.bucket).await;
        found.into_iter().map(|(entry, _)| entry).collect()
    }

    /// Asserts that the rows name the files that the bucket has, and no others.
    async fn agrees(&self) {
        let urls: Vec<String> = sqlx::query_scalar(
            "select blob_url from recordings where meeting_id = $1 and blob_url is not null",
        )
        .bind(self.meeting.id.0)
        .fetch_all(&mut self.app().sql().await)
        .await
        .expect("Postgres answers");
        let named: BTreeSet<String> = urls
            .iter()
            .map(|url| self.bucket.objects.key(url).expect("its own").to_owned())
            .collect();
        assert_eq!(named, listed(&self.bucket).await);
    }

    /// The rows are as they were when this copy was made, and know nothing of the ledger since.
    async fn put_back(&self) {
        for table in ["recordings", "objects"] {
            // Not those that follow from others.
            let columns: String = sqlx::query_scalar(
                "select string_agg(quote_ident(column_name), ', ') from information_schema.columns
                 where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'",
            )
            .bind(table)
            .fetch_one(&mut self.app().sql().await)
            .await
            .expect("Postgres answers");
            let delete = format!("delete from {table} where meeting_id = $1");
            let insert = format!(
                "insert into {table} ({columns}) select {columns} from {table}_before where meeting_id = $1"
            );
            self.sql(&delete).await;
            self.sql(&insert).await;
        }
        for statement in [
            "delete from jobs where meeting_id = $1 and kind <> 'capture'",
            "delete from ledger_heads where $1::uuid is not null",
        ] {
            self.sql(statement).await;
        }
    }

    async fn back_up(&self) {
        for statement in [
            "create table recordings_before as select * from recordings where meeting_id = $1",
            "create table objects_before as select * from objects where meeting_id = $1",
        ] {
            self.sql(statement).await;
        }
    }
}

#[tokio::test]
async fn what_replaces_a_file_is_told_before_that_goes() {
    let mut world = World::start().await;
    world.clean().await;
    assert!(world.acts().await.is_empty(), "nothing goes");
    world.back_up().await;
    let old = track(&world.meeting, 0, 1).key;
    world.store(2).await;
    let new = world.store(3).await;

    world.bucket.stop().await;
    world.ask().await;
    let outcome = job::fails(world.app(), world.job()).await;
    assert!(matches!(outcome, Outcome::Waiting { .. }), "{outcome:?}");
    world.bucket.restart().await;
    assert_eq!(listed(&world.bucket).await.len(), 3, "nothing goes before");
    for _ in 0..2 {
        world.clean().await;
    }
    let told = world.acts().await;
    let [entry] = &told[..] else {
        panic!("one entry: {told:?}");
    };
    assert_eq!(
        (&entry["act"], &entry["version"], &entry["author"]),
        (&json!("replaced"), &json!(3), &json!("job:clean"))
    );
    assert_eq!(entry["files"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&entry["files"][0]["key"], &entry["files"][0]["revision"]),
        (&json!(new), &json!(3))
    );
    let going = [1, 2].map(|revision| track(&world.meeting, 0, revision).key);
    let gone = entry["objects"].as_array().expect("a list");
    let gone: Vec<_> = gone.iter().map(|one| one["key"].clone()).collect();
    assert_eq!(gone, going);
    world.agrees().await;

    world.put_back().await;
    let ledger = &world.app().state.ledger;
    assert_eq!(caught(ledger).await.replayed, 1);
    world.agrees().await;
    world.clean().await;
    world.agrees().await;
    assert_eq!(world.acts().await.len(), 1, "nothing is told anew");
    let left: Vec<String> = sqlx::query_scalar("select key from objects where state <> 'deleted'")
        .fetch_all(&mut world.app().sql().await)
        .await
        .expect("Postgres answers");
    assert_eq!(left, [new]);
    assert_eq!(
        world.bucket.objects.head(&old).await.expect("answers"),
        None
    );
}

/// A process dies between the entry and its rows, which have the new file already.
#[tokio::test]
async fn rows_that_have_the_new_file_stay_as_they_are() {
    let world = World::start().await;
    let old = track(&world.meeting, 0, 1).key;
    world.store(2).await;
    let (app, tenant) = (world.app(), world.app().tenant);
    let mut tx = app.state.store.worker_tx().await.expect("answers");
    let told = app.state.ledger.tell_replaced(
        &mut tx,
        tenant,
        world.meeting.id,
        hansard::domain::job::JobKind::Clean,
        std::slice::from_ref(&old),
    );
    told.await.expect("is written");
    tx.rollback().await.expect("answers");
    assert_eq!(caught(&app.state.ledger).await.replayed, 1);
    assert!(world.meeting.queued().await.contains(&"clean".to_owned()));
    world.clean().await;
    world.agrees().await;
    assert_eq!(world.acts().await.len(), 1, "told once");
}

#[tokio::test]
async fn of_a_recording_of_which_nothing_is_kept_nothing_comes_back() {
    let world = World::start().await;
    world.back_up().await;
    world
        .sql("delete from recordings where meeting_id = $1")
        .await;
    world.clean().await;
    assert!(listed(&world.bucket).await.is_empty());
    let told = world.acts().await;
    assert_eq!((&told[0]["files"], told.len()), (&json!([]), 1), "{told:?}");
    world.put_back().await;
    assert_eq!(caught(&world.app().state.ledger).await.replayed, 1);
    world.agrees().await;
    world.clean().await;
    assert_eq!(world.acts().await.len(), 1);
}

/// A track of an earlier version is the same in another container.
#[tokio::test]
async fn a_file_in_another_container_is_found_by_older_rows() {
    let world = World::start().await;
    let new = track(&world.meeting, 0, 1).key;
    let old = new.replace(".webm", ".mkv");
    world
        .sql("update objects set key = replace(key, '.webm', '.mkv') where meeting_id = $1")
        .await;
    world.sql(
        "update recordings set blob_url = replace(blob_url, '.webm', '.mkv'), media_type = 'audio/x-matroska'
         where meeting_id = $1",
    )
    .await;
    world.back_up().await;
    world.store(1).await;
    world
        .sql("update recordings set media_type = 'audio/webm' where meeting_id = $1")
        .await;
    world.clean().await;
    let told = world.acts().await;
    assert_eq!(told[0]["objects"][0]["key"], json!(old));
    world.put_back().await;
    assert_eq!(caught(&world.app().state.ledger).await.replayed, 1);
    world.agrees().await;
    let media: String = sqlx::query_scalar("select media_type from recordings")
        .fetch_one(&mut world.app().sql().await)
        .await
        .expect("Postgres answers");
    assert_eq!(media, "audio/webm");
}

#[tokio::test]
async fn what_goes_of_a_meeting_without_a_row_goes_at_once() {
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    let meeting = MeetingId(Uuid::now_v7());
    let recording = RecordingId(Uuid::now_v7());
    let key = format!("recordings/{}/{meeting}/{recording}-1.webm", app.tenant);
    let put = bucket
        .objects
        .put_bytes(&key, b"sound".to_vec(), "audio/webm", Tier::Hot);
    put.await.expect("stored");
    append(
        &app.state.ledger,
        &app,
        app.tenant,
        meeting,
        recording,
        &key,
    )
    .await;
    assert_eq!(caught(&app.state.ledger).await.replayed, 1);
    assert_eq!(bucket.objects.head(&key).await.expect("answers"), None);
}

/// Writes an entry whose rows are not written.
async fn append(
    ledger: &Ledger,
    app: &App,
    tenant: TenantId,
    meeting: MeetingId,
    recording: RecordingId,
    key: &str,
) {
    let draft = Draft {
        tenant,
        meeting: Some(meeting),
        author: "job:clean".to_owned(),
        reason: None,
        asked_at: "2026-11-22T16:17:01.230Z".to_owned(),
        act: Act::Replaced(Replaced {
            files: Vec::new(),
            objects: vec![GoneObject {
                key: key.to_owned(),
                recording,
                kind: ObjectKind::Track,
                sha256: None,
                version: None,
            }],
        }),
    };
    let mut tx = app.state.store.worker_tx().await.expect("answers");
    ledger.append(&mut tx, draft).await.expect("is written");
    tx.rollback().await.expect("answers");
}

/// Ledgers are long, and a start looks only behind what the rows have: so many requests for each
/// tenant, however many entries there are. `HANSARD_ENTRIES` says how many.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_asks_for_what_is_new_only() {
    const TENANTS: usize = 10;
    let entries = i64::from(number("HANSARD_ENTRIES", 20));
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    for n in 0..TENANTS {
        let tenant = TenantId(Uuid::from_u128(n as u128 + 1));
        sqlx::query("insert into tenants (id, name) values ($1, $2)")
            .bind(tenant.0)
            .bind(format!("Tenant {n}"))
            .execute(&mut app.sql().await)
            .await
            .expect("it may");
        let mut head = hansard::domain::ledger::Head::genesis(tenant);
        for _ in 0..entries {
            let draft = Draft {
                tenant,
                meeting: Some(MeetingId(Uuid::now_v7())),
                author: "job:clean".to_owned(),
                reason: None,
                asked_at: "2026-11-22T16:17:01.230Z".to_owned(),
                act: Act::Replaced(Replaced {
                    files: Vec::new(),
                    objects: Vec::new(),
                }),
            };
            let (entry, object) = draft.behind(&head);
            let key = LedgerKey { tenant, n: entry.n }.to_string();
            let put = bucket.objects.put_new(&key, &object, "application/json");
            assert!(put.await.expect("stored"));
            head = hansard::domain::ledger::Head::of(entry.n, &object);
        }
    }
    let faults = Faults::before(&bucket).await;
    let objects = Objects::new(&StorageConfig {
        endpoint: faults.endpoint.clone(),
        ..bucket.settings.clone()
    });
    let open = async || {
        let before = faults.seen().len();
        let begun = Instant::now();
        let ledger = Ledger::new(app.state.store.clone(), objects.clone());
        ledger.open().await;
        assert!(ledger.is_current());
        let asked = faults.seen().len() - before;
        println!("{asked} requests, {} ms", begun.elapsed().as_millis());
        asked
    };
    println!("{TENANTS} tenants with {entries} entries each, of which the rows have none:");
    open().await;
    let heads: i64 = sqlx::query_scalar("select count(*) from ledger_heads where n = $1")
        .bind(entries)
        .fetch_one(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    assert_eq!(heads, TENANTS as i64);
    println!("and all of which they have:");
    // The probe, whose ledgers there are, and one for each.
    assert_eq!(open().await, 2 + TENANTS);
}
