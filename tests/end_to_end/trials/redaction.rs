//! People taken out of what the running product recorded: storage that is away, a process that dies
//! in between. Afterwards the files are listened to, and the bucket and the rows looked through.

use super::support::{
    eventually,
    inventory::{listed, rows},
    number,
    place::Place,
    server::Server,
    tone_meeting::{Files, RATE, SILENT_DB, ToneMeeting, Voice, WINDOW_MS},
};
use axum::http::Method;
use hansard::domain::tiering::Tier;
use hansard_client::tone;
use serde_json::{Value, json};
use std::time::Duration;

/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

async fn call(server: &Server, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = reqwest::Client::new()
        .request(method, format!("{}{path}", server.url()))
        .bearer_auth(server.key());
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("it answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// Waits until it is done; answers with its certificate.
async fn done(server: &Server, path: &str) -> Value {
    eventually("it is done", SOON, async || {
        let (status, body) = call(server, Method::GET, path, None).await;
        status == 200 && body["state"] == "done"
    })
    .await;
    let (_, done) = call(server, Method::GET, path, None).await;
    assert!(done["jws"].is_string(), "{done}");
    done["certificate"].clone()
}

/// The least and the greatest level of a voice in a kind of file, between two times of the meeting.
fn levels(files: &Files, voice: &Voice, kind: &str, from_ms: i64, to_ms: i64) -> (f64, f64) {
    let of = |(recording, _): &&(hansard_client::rest::Recording, Vec<f32>)| {
        recording.kind == kind
            && (kind == "mix" || recording.participant_id.as_ref() == Some(&voice.participant))
    };
    let (recording, samples) = files.files.iter().find(of).expect("a file");
    let begin = recording.start_ms.expect("it is ready");
    let levels = tone::amplitudes(samples, RATE, voice.hz);
    let windows = (from_ms - begin) / WINDOW_MS + 1..(to_ms - begin) / WINDOW_MS;
    let heard = windows.map(|window| {
        let window = usize::try_from(window).expect("within the file");
        levels
            .get(window)
            .map_or(f64::MIN, |level| tone::dbfs(*level))
    });
    heard.fold((f64::MAX, f64::MIN), |(least, most), level| {
        (least.min(level), most.max(level))
    })
}

/// A span of one person is taken out while storage is away and the server is killed, and then all
/// of the other. `HANSARD_AWAY_SECONDS` says for how long it is away.
#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_outlives_storage_and_the_process() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 3).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    tones.end(&client).await;
    let before = tones.files(&client, SOON).await;
    eventually("the segments are cleaned up", SOON, async || {
        listed(&place.bucket).await.len() == 8
    })
    .await;
    let old = listed(&place.bucket).await;
    let [one, two, three] = &tones.voices[..] else {
        panic!("three people");
    };
    let mix = |files: &Files| {
        let found = files.files.iter().find(|(one, _)| one.kind == "mix");
        found.expect("a mix").0.clone()
    };
    let from = before.ms(one.begin) + 3_000;
    let to = from + 2_000;
    assert!(levels(&before, one, "mix", from, to).0 > SILENT_DB);

    place.faults.refuse();
    let path = format!("/v1/meetings/{}/redactions", tones.meeting);
    let asking = json!({
        "participantId": one.participant, "purposes": ["recording"], "fromMs": from, "toMs": to,
        "reason": "a drill"
    });
    let (status, asked) = call(&server, Method::POST, &path, Some(asking)).await;
    assert_eq!(status, 202, "{asked}");
    let this = format!("{path}/{}", asked["id"].as_str().expect("an id"));
    for id in [&mix(&before).id, &before.track(one).id] {
        let content = format!("/v1/recordings/{id}/content?redirect=false");
        assert_eq!(call(&server, Method::GET, &content, None).await.0, 409);
    }
    let away = number("HANSARD_AWAY_SECONDS", 3);
    tokio::time::sleep(Duration::from_secs(away.into())).await;
    server.kill();
    let server = place.serve(&[]);
    let client = server.client();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (_, waits) = call(&server, Method::GET, &this, None).await;
    assert_eq!(waits["state"], "running", "{waits}");
    place.faults.heal();
    let certificate = done(&server, &this).await;
    assert_eq!(certificate["spoolsOutstanding"], 0, "{certificate}");
    assert_eq!(
        certificate["objects"]
            .as_array()
            .map(|gone| gone.len() >= 2),
        Some(true),
        "{certificate}"
    );

    let after = tones.files(&client, SOON).await;
    // Who may draw the mix draws what is left of it.
    let peaks = format!("/v1/recordings/{}/peaks?points=4000", mix(&after).id);
    let (status, drawn) = call(&server, Method::GET, &peaks, None).await;
    assert_eq!(status, 200, "{drawn}");
    assert!(
        drawn["peaks"]
            .as_array()
            .is_some_and(|peaks| peaks.len() > 100)
    );
    // A packet that touches the span goes whole.
    for kind in ["track", "mix"] {
        assert!(levels(&before, one, kind, from - 1_500, from - 100).0 > SILENT_DB);
        assert!(levels(&after, one, kind, from - 1_500, from - 100).0 > SILENT_DB);
        assert!(levels(&after, one, kind, from, to).1 < SILENT_DB, "{kind}");
        assert!(levels(&after, one, kind, to + 100, to + 1_500).0 > SILENT_DB);
        for other in [two, three] {
            assert!(levels(&after, other, kind, from - 500, to + 500).0 > SILENT_DB);
        }
    }
    for other in [two, three] {
        assert_eq!(after.track(other).sha256, before.track(other).sha256);
    }
    let (was, is) = (mix(&before), mix(&after));
    assert_eq!((was.id, was.start_ms), (is.id, is.start_ms));
    let (_, track) = call(
        &server,
        Method::GET,
        &format!("/v1/recordings/{}", before.track(one).id),
        None,
    )
    .await;
    let gaps = track["gaps"].as_array().expect("a list");
    assert!(
        gaps.contains(&json!({"startMs": from, "endMs": to, "reason": "redacted"})),
        "{track}"
    );
    let left = listed(&place.bucket).await;
    assert_eq!((left.len(), left.intersection(&old).count()), (8, 4));
    assert_eq!(left, rows(&place.database(), &["stored"]).await);

    // All of another: its track is gone, the mix goes on from where it did.
    let all = json!({
        "participantId": two.participant, "purposes": ["recording", "transcription"], "reason": "a drill"
    });
    let (status, asked) = call(&server, Method::POST, &path, Some(all)).await;
    assert_eq!(status, 202, "{asked}");
    let this = format!("{path}/{}", asked["id"].as_str().expect("an id"));
    let certificate = done(&server, &this).await;
    let track = format!("/v1/recordings/{}", before.track(two).id);
    let of = certificate["recordings"].as_array().expect("a list").iter();
    let after_of = |id: &str| {
        let found = of.clone().find(|one| one["id"] == id);
        found.expect("it is in the certificate")["after"].clone()
    };
    assert_eq!(after_of(&before.track(two).id), Value::Null);
    assert!(after_of(&mix(&before).id).is_string());
    eventually("the track is deleted", SOON, async || {
        call(&server, Method::GET, &track, None).await.0 == 410
    })
    .await;
    let last = tones.files(&client, SOON).await;
    assert!(levels(&last, two, "mix", from - 1_500, to + 1_500).1 < SILENT_DB);
    assert!(levels(&last, three, "mix", from - 1_500, to + 1_500).0 > SILENT_DB);
    assert_eq!(mix(&last).start_ms, mix(&before).start_ms);
    assert_eq!(last.track(three).sha256, before.track(three).sha256);
    let left = listed(&place.bucket).await;
    assert_eq!((left.len(), left.intersection(&old).count()), (6, 2));
    assert_eq!(left, rows(&place.database(), &["stored"]).await);
    server.terminate();
}

/// Everything there is moves into the archive.
pub async fn archive(place: &Place) {
    for key in &listed(&place.bucket).await {
        let objects = &place.bucket.objects;
        let head = objects.head(key).await.expect("answers").expect("there");
        let wanted = hansard::objects::Wanted {
            size_bytes: head.size_bytes,
            sha256: head.sha256.as_deref().expect("its own hash"),
            sum: None,
        };
        let class = Tier::Archive.class();
        let moved = objects.transfer(key, class, wanted, None).await;
        moved.expect("it is archived");
    }
    let database = place.database();
    let mut sql = hansard::store::owner(&database)
        .await
        .expect("Postgres answers");
    for statement in [
        "update recordings set storage_tier = 'archive'",
        "update objects set storage_tier = 'archive'",
    ] {
        sqlx::query(statement)
            .execute(&mut sql)
            .await
            .expect("it may");
    }
}

/// Everything is archived: nobody gets the files any more, the mix is deleted as it is, and the
/// rest is done when the tracks are restored, which nobody has to ask for.
#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_has_archived_tracks_restored() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    tones.end(&client).await;
    let before = tones.files(&client, SOON).await;
    eventually("the segments are cleaned up", SOON, async || {
        listed(&place.bucket).await.len() == 6
    })
    .await;
    archive(&place).await;
    let mut sql = hansard::store::owner(&place.database())
        .await
        .expect("Postgres answers");
    let [one, other] = &tones.voices[..] else {
        panic!("two people");
    };
    let from = before.ms(one.begin) + 2_500;
    let to = from + 1_500;
    let path = format!("/v1/meetings/{}/redactions", tones.meeting);
    let asking = json!({
        "participantId": one.participant, "purposes": ["recording"], "fromMs": from, "toMs": to,
        "reason": "a drill"
    });
    let (status, asked) = call(&server, Method::POST, &path, Some(asking)).await;
    assert_eq!(
        (status, &asked["state"]),
        (202, &json!("waiting_restore")),
        "{asked}"
    );
    let this = format!("{path}/{}", asked["id"].as_str().expect("an id"));
    // So are the peaks of the track; those of the other's stay.
    eventually("the mix is deleted, and its peaks", SOON, async || {
        listed(&place.bucket).await.len() == 3
    })
    .await;
    eventually("it says what it waits for", SOON, async || {
        let (_, waits) = call(&server, Method::GET, &this, None).await;
        waits["error"]
            .as_str()
            .is_some_and(|error| error.contains("restored"))
    })
    .await;
    place.bucket.pass(Duration::from_secs(13 * 3_600));
    // Sooner than it would be looked for.
    sqlx::query("update jobs set run_at = now() where kind = 'redact' and state = 'queued'")
        .execute(&mut sql)
        .await
        .expect("it may");
    done(&server, &this).await;
    // The other's track is still archived, and can be read for a while.
    sqlx::query("update recordings set storage_tier = 'hot'")
        .execute(&mut sql)
        .await
        .expect("it may");
    let after = tones.files(&client, SOON).await;
    for kind in ["track", "mix"] {
        assert!(levels(&after, one, kind, from - 1_000, from - 100).0 > SILENT_DB);
        assert!(levels(&after, one, kind, from, to).1 < SILENT_DB, "{kind}");
        assert!(
            levels(&after, other, kind, from, to).0 > SILENT_DB,
            "{kind}"
        );
    }
    assert_eq!(after.track(other).sha256, before.track(other).sha256);
    server.terminate();
}

/// Killed at any line, again and again, each redaction is done once, by itself. `HANSARD_KILLS`
/// says how often; one more is asked for before each.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_line_redactions_are_done() {
    const EACH_MS: i64 = 700;
    const SPAN_MS: i64 = 300;
    let kills = i64::from(number("HANSARD_KILLS", 6));
    let place = Place::new().await;
    let mut server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    let length_ms = (4_000 + kills * EACH_MS).unsigned_abs();
    tokio::time::sleep(Duration::from_millis(length_ms)).await;
    tones.end(&client).await;
    let before = tones.files(&client, SOON).await;
    let path = format!("/v1/meetings/{}/redactions", tones.meeting);
    let [one, other] = &tones.voices[..] else {
        panic!("two people");
    };
    let begin = before.ms(one.begin) + 2_000;
    let spans: Vec<(i64, i64)> = (0..kills)
        .map(|n| (begin + n * EACH_MS, begin + n * EACH_MS + SPAN_MS))
        .collect();
    let (mut asked, mut in_between) = (Vec::new(), 0);
    for (from, to) in &spans {
        let asking = json!({
            "participantId": one.participant, "purposes": ["recording"], "fromMs": from, "toMs": to,
            "reason": "a drill"
        });
        let (status, redaction) = call(&server, Method::POST, &path, Some(asking)).await;
        assert_eq!(status, 202, "{redaction}");
        let id = redaction["id"].as_str().expect("an id").to_owned();
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..2_500))).await;
        let (_, redaction) = call(&server, Method::GET, &format!("{path}/{id}"), None).await;
        in_between += i64::from(redaction["state"] != "done");
        asked.push(id);
        server.kill();
        server = place.serve(&[]);
    }
    println!("{in_between} of {kills} kills left redactions that had begun");
    assert!(in_between > 0, "no kill was in the middle of a redaction");
    for id in &asked {
        let certificate = done(&server, &format!("{path}/{id}")).await;
        assert_eq!(certificate["spoolsOutstanding"], 0, "{certificate}");
    }
    let client = server.client();
    let after = tones.files(&client, SOON).await;
    for kind in ["track", "mix"] {
        for (from, to) in &spans {
            assert!(
                levels(&after, one, kind, *from, *to).1 < SILENT_DB,
                "{kind} {from}"
            );
            let (from, to) = (to + 100, to + 300);
            assert!(
                levels(&after, one, kind, from, to).0 > SILENT_DB,
                "{kind} {from}"
            );
            assert!(levels(&after, other, kind, from, to).0 > SILENT_DB);
        }
    }
    assert_eq!(after.track(other).sha256, before.track(other).sha256);
    eventually("nothing is left of before", SOON, async || {
        let left = listed(&place.bucket).await;
        left.len() == 6 && left == rows(&place.database(), &["stored"]).await
    })
    .await;
    server.terminate();
}

/// A database of before is put back under the bucket: who was taken out and erased since is taken
/// out of it, the files that were made are its files, and a hold stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_put_back_brings_nobody_back() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 3).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    tones.end(&client).await;
    let before = tones.files(&client, SOON).await;
    eventually("the segments are cleaned up", SOON, async || {
        listed(&place.bucket).await.len() == 8
    })
    .await;
    server.terminate();
    place.back_up();

    let server = place.serve(&[]);
    let [one, two, three] = &tones.voices[..] else {
        panic!("three people");
    };
    // The last of them began some time after the first.
    let from = before.ms(three.begin) + 2_500;
    let to = from + 1_500;
    let path = format!("/v1/meetings/{}/redactions", tones.meeting);
    let asking = json!({
        "participantId": one.participant, "purposes": ["recording"], "fromMs": from, "toMs": to,
        "reason": "a drill"
    });
    let (status, asked) = call(&server, Method::POST, &path, Some(asking)).await;
    assert_eq!(status, 202, "{asked}");
    let this = format!("{path}/{}", asked["id"].as_str().expect("an id"));
    done(&server, &this).await;
    let people = format!("/v1/meetings/{}/participants", tones.meeting);
    let (_, people) = call(&server, Method::GET, &people, None).await;
    let people = people["data"].as_array().expect("a list");
    let found = people
        .iter()
        .find(|one| one["id"] == json!(two.participant));
    let user = found.expect("it was there")["userId"]
        .as_str()
        .expect("an id");
    let erasure = format!("/v1/users/{user}/erasure");
    let reason = json!({"reason": "a drill"});
    let (status, erased) = call(&server, Method::POST, &erasure, Some(reason.clone())).await;
    assert_eq!(status, 202, "{erased}");
    let is_erased = async |server: &Server| {
        eventually("it is erased", SOON, async || {
            let (_, erased) = call(server, Method::GET, &erasure, None).await;
            erased["completedAt"].is_string()
        })
        .await;
    };
    is_erased(&server).await;
    let track = format!("/v1/recordings/{}", before.track(two).id);
    let is_gone = async |server: &Server| {
        eventually("the track is deleted", SOON, async || {
            let (status, gone) = call(server, Method::GET, &track, None).await;
            status == 410 && gone["tombstone"]["deletedAt"].is_string()
        })
        .await;
    };
    is_gone(&server).await;
    let hold = format!("/v1/meetings/{}/hold", tones.meeting);
    let (status, held) = call(&server, Method::PUT, &hold, Some(reason)).await;
    assert_eq!(status, 200, "{held}");
    let left = listed(&place.bucket).await;
    assert_eq!(left.len(), 6, "{left:?}");
    server.terminate();

    place.put_back();
    let server = place.serve(&[]);
    // Before anybody could ask.
    let content = format!("{track}/content?redirect=false");
    assert_eq!(call(&server, Method::GET, &content, None).await.0, 410);
    assert_eq!(call(&server, Method::GET, &hold, None).await.1, held);
    done(&server, &this).await;
    is_erased(&server).await;
    is_gone(&server).await;
    let profile = format!("/v1/users/{user}/profile");
    let (_, profile) = call(&server, Method::GET, &profile, None).await;
    assert_eq!(profile["email"], Value::Null, "{profile}");
    let after = tones.files(&server.client(), SOON).await;
    assert!(levels(&after, one, "mix", from, to).1 < SILENT_DB);
    assert!(levels(&after, one, "track", from, to).1 < SILENT_DB);
    assert!(levels(&after, two, "mix", from - 1_000, to + 500).1 < SILENT_DB);
    assert!(levels(&after, three, "mix", from - 1_000, to + 500).0 > SILENT_DB);
    assert_eq!(after.track(three).sha256, before.track(three).sha256);
    // The very files that were made.
    assert_eq!(listed(&place.bucket).await, left);
    assert_eq!(rows(&place.database(), &["stored"]).await, left);
    server.terminate();
}
