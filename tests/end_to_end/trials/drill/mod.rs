//! The erasure of a person whose voice and words are known: a tone and a sentence that nobody else
//! has. It was recorded by a machine that was killed with some of it in its spool. Afterwards every
//! version of every object is decoded, every table, export and log looked through, and the database
//! of before is put back under the bucket.

mod parts;

use super::{
    room::Room,
    site::{speech, until_final},
    sound::hum,
    support::{
        eventually, number,
        place::{files, spooled},
        server::Server,
        tone_meeting::SILENT_DB,
    },
};
use axum::http::Method;
use hansard::{
    domain::{id::MeetingId, object_key::PeaksFile},
    store::consent,
};
use hansard_client::rest::Client;
use parts::{Site, call, execute, exports, idle, tables_with, urls};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// On a busy machine.
pub const SOON: Duration = Duration::from_secs(120);
const NAME: &str = "Canaryname";
const CANARY_HZ: f64 = 2_100.0;
const OTHER_HZ: f64 = 500.0;

/// `HANSARD_DRILL_PEOPLE` says how many there are, `HANSARD_DRILL_SECONDS` for how long they speak
/// before the machine is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_anywhere() {
    let people = number("HANSARD_DRILL_PEOPLE", 2) as usize;
    let seconds = u64::from(number("HANSARD_DRILL_SECONDS", 14));
    // Beside the rest of what is made ready for so long.
    let made_within = SOON + Duration::from_secs(seconds);
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
    let length_ms = 46_000 + seconds.cast_signed() * 1_000;
    frames.extend(hum(CANARY_HZ, length_ms, &[]));
    let mut others = speech("David", 29_600, 33_400);
    others.extend(hum(OTHER_HZ, length_ms, &[]));
    let (voice, other) = (
        room.speak(&canary, &frames).await,
        room.speak(&david, &others).await,
    );
    let mut more = Vec::new();
    let tone = hum(OTHER_HZ, length_ms, &[]);
    for n in 2..people {
        let guest = room.guest_who(&format!("Guest{n}"), "accepted").await;
        more.push(room.speak(&guest, &tone).await);
    }
    until_final(&room, &canary, 0).await;
    until_final(&room, &david, 0).await;
    // Her tone is stored by now, and goes on.
    voice.reaches(seconds * 1_000).await;
    site.place.faults.refuse();
    let spool = || spooled(site.folders[2].path());
    eventually("segments wait in the spool", SOON, async || spool() >= 4).await;
    lost.kill();
    for voice in more.into_iter().chain([voice, other]) {
        voice.stopped().await;
    }
    site.place.faults.heal();
    let home = site.process(&database, "worker", 1);
    client.end(&room.id).await.expect("ends");
    // Else the files wait two minutes for the machine that was killed.
    eventually("the meeting is over", made_within, async || {
        execute(
            &database,
            "update capture_epochs set spooled_at = spooled_at - interval '1 hour'",
        )
        .await;
        let mut sql = hansard::store::owner(&database).await.expect("Postgres answers");
        let made: bool = sqlx::query_scalar(
            "select count(*) filter (where status = 'ready') = $2 from recordings where meeting_id::text = $1",
        )
        .bind(&room.id)
        .bind(people as i64 + 1)
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
    println!(
        "the certificate took {:.1} s",
        asked.elapsed().as_secs_f64()
    );
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
    // Which outlives everything that it tells of.
    let ledger = site.ledger().await.to_lowercase();
    assert!(ledger.contains(&user) && ledger.contains("a drill"));
    for text in &texts {
        assert!(
            !ledger.contains(&text.to_lowercase()),
            "{text} is in the ledger: {ledger}"
        );
    }
    let left: BTreeSet<String> = super::support::inventory::listed(&site.place.bucket).await;
    assert_eq!(
        left.len(),
        2 * people,
        "the others' tracks, the mix, and their peaks: {left:?}"
    );
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
    let objects = &site.place.bucket.objects;
    let made = now.iter().filter(|key| PeaksFile::parse(key).is_none());
    let named: BTreeSet<String> = made.map(|key| objects.url(key)).collect();
    assert_eq!(urls(&database).await, named);
    assert_eq!(urls(&last_week).await, named, "what it has is there");
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
    assert_eq!(ready, people, "{recordings:?}");
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
