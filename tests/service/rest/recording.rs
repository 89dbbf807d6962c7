use super::app::{App, request, text};
use crate::support::s3::Bucket;
use hansard::domain::{
    id::{MeetingId, ParticipantId},
    tiering::Tier,
};
use serde_json::{Value, json};
use uuid::Uuid;

pub async fn insert(
    app: &App,
    meeting: MeetingId,
    participant: Option<ParticipantId>,
    start_ms: i64,
    status: &str,
) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into recordings (id, tenant_id, meeting_id, kind, participant_id, source, codec, media_type, start_ms,
                                 duration_ms, status, blob_url, gaps)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1499, $10, $11, '[{\"startMs\":10,\"endMs\":20,\"reason\":\"muted\"}]')",
    )
    .bind(id)
    .bind(app.tenant.0)
    .bind(meeting.0)
    .bind(if participant.is_some() { "track" } else { "mix" })
    .bind(participant.map(|participant| participant.0))
    .bind(participant.map(|_| "microphone"))
    .bind(participant.map(|_| "opus"))
    .bind(if participant.is_some() { "audio/x-matroska" } else { "audio/mp4" })
    .bind(start_ms)
    .bind(status)
    .bind(format!("s3://hansard/m/{id}"))
    .execute(&mut app.sql().await)
    .await
    .expect("inserted");
    id
}

pub async fn change(app: &App, recording: Uuid, change: &'static str) {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "update recordings set {change} where id = $1"
    )))
    .bind(recording)
    .execute(&mut app.sql().await)
    .await
    .expect("changed");
}

#[tokio::test]
async fn recordings_are_listed_as_the_contract_says() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    assert_eq!(
        app.get(&format!("/v1/meetings/{meeting}/recordings"))
            .await
            .expect(200),
        json!({"data": [], "nextCursor": null})
    );
    let track = insert(&app, meeting, Some(joined.participant), 1230, "recording").await;
    let mix = insert(&app, meeting, None, 1230, "ready").await;
    let listed = app
        .get(&format!("/v1/meetings/{meeting}/recordings?limit=1"))
        .await
        .expect(200);
    let one = &listed["data"][0];
    assert_eq!(
        one,
        &json!({
            "id": track, "meetingId": meeting, "kind": "track", "participantId": joined.participant,
            "source": "microphone", "mediaType": "audio/x-matroska", "blobUrl": format!("s3://hansard/m/{track}"),
            "startMs": 1230, "durationMs": 1499, "durationSeconds": 1,
            "gaps": [{"startMs": 10, "endMs": 20, "reason": "muted"}], "storageTier": "hot",
            "restore": {"state": "none", "until": null}, "status": "recording",
            "progress": null, "error": null, "waitingFor": null, "sizeBytes": null, "sha256": null, "createdAt": one["createdAt"], "expiresAt": null
        })
    );
    let cursor = text(&listed["nextCursor"]);
    let next = app
        .get(&format!(
            "/v1/meetings/{meeting}/recordings?limit=1&cursor={cursor}"
        ))
        .await
        .expect(200);
    assert_eq!(next["data"][0]["id"], json!(mix));
    assert_eq!(
        &app.get(&format!("/v1/recordings/{track}"))
            .await
            .expect(200),
        one
    );
    change(&app, track, "deleted_at = now()").await;
    app.get(&format!("/v1/recordings/{track}"))
        .await
        .problem(410, "gone");
    let listed = app
        .get(&format!("/v1/meetings/{meeting}/recordings"))
        .await
        .expect(200);
    assert_eq!(listed["data"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn content_is_fetched_from_the_object_storage() {
    let bucket = Bucket::start().await;
    let app = App::with_bucket(&bucket).await;
    let ana = app.user("Ana <b>\"é\"").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let track = insert(&app, meeting, Some(joined.participant), 0, "ready").await;
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let key = format!("m/{track}");
    bucket
        .objects
        .put_bytes(&key, content.clone(), "audio/x-matroska", Tier::Hot)
        .await
        .expect("stored");
    let path = format!("/v1/recordings/{track}/content");

    let answer = app.get(&path).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (302, "no-store")
    );
    let http = reqwest::Client::new();
    let fetched = http
        .get(answer.header("location"))
        .send()
        .await
        .expect("fetched");
    assert_eq!(fetched.headers()["content-type"], "audio/x-matroska");
    let disposition = fetched.headers()["content-disposition"]
        .to_str()
        .expect("ascii")
        .to_owned();
    assert!(
        disposition.starts_with("inline") && disposition.contains("microphone.mka"),
        "{disposition}"
    );
    assert_eq!(fetched.bytes().await.expect("read").as_ref(), content);
    let part = http
        .get(answer.header("location"))
        .header("range", "bytes=10-19")
        .send()
        .await
        .expect("fetched");
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.expect("read").as_ref(), &content[10..20]);
    let saved = app.get(&format!("{path}?download=true")).await;
    let saved = http
        .get(saved.header("location"))
        .send()
        .await
        .expect("fetched");
    assert!(
        saved.headers()["content-disposition"]
            .to_str()
            .expect("ascii")
            .starts_with("attachment")
    );
    app.get(&format!("{path}?download=maybe"))
        .await
        .problem(400, "bad_request");
    app.get(&format!("{path}?redirect=0"))
        .await
        .problem(400, "bad_request");

    // For clients that would carry the key along: the address without a redirect.
    let answer = app.get(&format!("{path}?redirect=false")).await;
    assert_eq!(
        (answer.header("location"), answer.header("cache-control")),
        ("", "no-store")
    );
    let link = answer.expect(200);
    let until: chrono::DateTime<chrono::Utc> = text(&link["expiresAt"]).parse().expect("a time");
    assert!(
        (1..=301).contains(&(until - app.state.clock.now()).num_seconds()),
        "{link}"
    );
    let fetched = http.get(text(&link["url"])).send().await.expect("fetched");
    assert_eq!(fetched.bytes().await.expect("read").as_ref(), content);
    let saved = app
        .get(&format!("{path}?redirect=false&download=true"))
        .await
        .expect(200);
    let saved = http.get(text(&saved["url"])).send().await.expect("fetched");
    assert!(
        saved.headers()["content-disposition"]
            .to_str()
            .expect("ascii")
            .starts_with("attachment")
    );

    // `curl -I -L`: what HEAD leads to answers HEAD.
    let head = app.call("HEAD", &path, &app.key, None).await;
    assert_eq!((head.status, head.text.as_str()), (302, ""));
    let there = http
        .head(head.header("location"))
        .send()
        .await
        .expect("asked");
    assert_eq!(there.status(), 200);
    assert_eq!(there.headers()["content-length"], "100000");
    let head = app
        .call("HEAD", &format!("{path}?redirect=false"), &app.key, None)
        .await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));

    for (set, status, name) in [
        ("status = 'processing'", 409, "not_ready"),
        ("status = 'failed'", 409, "not_ready"),
        (
            "status = 'ready', storage_tier = 'archive'",
            409,
            "not_ready",
        ),
        ("status = 'deleting', storage_tier = 'hot'", 410, "gone"),
        ("status = 'ready', deleted_at = now()", 410, "gone"),
    ] {
        change(&app, track, set).await;
        app.get(&path).await.problem(status, name);
    }
}

#[tokio::test]
async fn what_failed_is_made_again_once() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let track = insert(&app, meeting, Some(joined.participant), 0, "failed").await;
    let mix = insert(&app, meeting, None, 0, "failed").await;
    let path = format!("/v1/recordings/{track}/retry");
    let states = async || -> Vec<String> {
        let rows = "select data ->> 'state' from meeting_events where meeting_id = $1 and type = 'recording_state' order by seq";
        sqlx::query_scalar(rows)
            .bind(meeting.0)
            .fetch_all(&mut app.sql().await)
            .await
            .expect("Postgres answers")
    };
    let before = states().await.len();
    let again = app
        .call("POST", &path, &app.session(ana), None)
        .await
        .expect(202);
    assert_eq!(
        (&again["status"], &again["error"]),
        (&json!("processing"), &Value::Null)
    );
    assert_eq!(
        app.get(&format!("/v1/recordings/{mix}")).await.expect(200)["status"],
        "processing"
    );
    assert_eq!(states().await[before..], ["finalising"]);
    // It is being made: nothing changes, and nothing is told again.
    assert_eq!(
        app.call("POST", &path, &app.key, None).await.expect(202),
        again
    );
    assert_eq!(states().await.len(), before + 1);
    let jobs: i64 = sqlx::query_scalar(
        "select count(*) from jobs where subject = $1 and kind = 'join' and state = 'queued'",
    )
    .bind(meeting.0)
    .fetch_one(&mut app.sql().await)
    .await
    .expect("Postgres answers");
    assert_eq!(jobs, 1);
    // What it waits for is told.
    sqlx::query("update jobs set waiting_for = 'storage' where subject = $1 and kind = 'join'")
        .bind(meeting.0)
        .execute(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    assert_eq!(
        app.get(&format!("/v1/recordings/{track}"))
            .await
            .expect(200)["waitingFor"],
        "storage"
    );
    for (set, status, name) in [
        ("status = 'ready'", 409, "not_ready"),
        ("status = 'recording'", 409, "not_ready"),
        ("status = 'deleting'", 410, "gone"),
        ("status = 'failed', deleted_at = now()", 410, "gone"),
    ] {
        change(&app, track, set).await;
        app.call("POST", &path, &app.key, None)
            .await
            .problem(status, name);
    }
}

pub async fn say(
    app: &App,
    meeting: MeetingId,
    participant: ParticipantId,
    start_ms: i64,
    end_ms: i64,
    text: &str,
) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into transcript_segments (meeting_id, id, tenant_id, participant_id, start_ms, end_ms, language, text,
                                          words, revision, epoch, consent_entry)
         values ($1, $2, $3, $4, $5, $6, 'en', $7, $8, 3, 1, 1)",
    )
    .bind(meeting.0)
    .bind(id)
    .bind(app.tenant.0)
    .bind(participant.0)
    .bind(start_ms)
    .bind(end_ms)
    .bind(text)
    .bind(json!([{"text": text, "startMs": start_ms, "endMs": end_ms, "confidence": 0.5}]))
    .execute(&mut app.sql().await)
    .await
    .expect("inserted");
    id
}

#[tokio::test]
async fn a_transcript_is_read_in_four_forms() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let path = format!("/v1/meetings/{meeting}/transcript");
    let empty = app.get(&path).await.expect(200);
    assert_eq!(
        empty,
        json!({"meetingId": meeting, "startTime": null, "complete": false, "refined": null, "language": null, "segments": [], "gaps": []})
    );
    let joined = app.who_agreed(meeting, ana, "recording_ai").await;
    app.enter(meeting, joined.participant).await;
    let late = say(
        &app,
        meeting,
        joined.participant,
        61_230,
        63_410,
        "so the 🎉 step",
    )
    .await;
    let early = say(
        &app,
        meeting,
        joined.participant,
        900,
        1100,
        "before the mix",
    )
    .await;
    let across = say(
        &app,
        meeting,
        joined.participant,
        1100,
        2500,
        "across <its> start",
    )
    .await;
    insert(&app, meeting, Some(joined.participant), 1230, "ready").await;

    let read = app.get(&path).await.expect(200);
    let json = app.get(&format!("{path}.json")).await;
    assert_eq!(json.header("cache-control"), "no-store");
    assert_eq!(json.expect(200), read);
    let segments = read["segments"].as_array().expect("a list");
    let ids: Vec<&Value> = segments
        .iter()
        .map(|segment| &segment["segmentId"])
        .collect();
    assert_eq!(ids, [&json!(early), &json!(across), &json!(late)]);
    let start: chrono::DateTime<chrono::Utc> = text(&read["startTime"]).parse().expect("a time");
    let start_at = start + chrono::TimeDelta::milliseconds(61_230);
    assert_eq!(
        segments[2],
        json!({
            "segmentId": late, "revision": 3, "final": true,
            "participant": {"id": joined.participant, "displayName": "Ana"}, "startMs": 61_230, "endMs": 63_410,
            "startAt": start_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), "language": "en",
            "text": "so the 🎉 step", "stableChars": 14,
            "words": [{"text": "so the 🎉 step", "startMs": 61_230, "endMs": 63_410, "confidence": 0.5}],
            "source": "live", "author": null, "translation": null
        })
    );

    let vtt = app.get(&format!("{path}.vtt")).await;
    assert_eq!(
        (vtt.status, vtt.header("content-type")),
        (200, "text/vtt; charset=utf-8")
    );
    assert!(vtt.text.starts_with("WEBVTT\n"), "{}", vtt.text);
    // Counted from the start of the mix (1230 ms): what ended before it is left out, what began
    // before it is cut.
    assert!(!vtt.text.contains("before the mix"), "{}", vtt.text);
    assert!(
        vtt.text.contains("00:00:00.000 --> 00:00:01.270"),
        "{}",
        vtt.text
    );
    assert!(
        vtt.text.contains("00:01:00.000 --> 00:01:02.180"),
        "{}",
        vtt.text
    );
    assert!(vtt.text.contains("&lt;its&gt;"), "{}", vtt.text);
    let srt = app.get(&format!("{path}.srt")).await;
    assert_eq!(
        (srt.status, srt.header("content-type")),
        (200, "application/x-subrip; charset=utf-8")
    );
    assert!(
        srt.text.contains("00:01:00,000 --> 00:01:02,180"),
        "{}",
        srt.text
    );
    let plain = app.get(&format!("{path}.txt")).await;
    assert_eq!(
        (plain.status, plain.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    assert!(
        plain.text.contains("before the mix") && plain.text.contains("Ana"),
        "{}",
        plain.text
    );

    app.send(request(
        "GET",
        &format!("{path}.pdf"),
        &[("authorization", &format!("Bearer {}", app.key))],
        None,
    ))
    .await
    .problem(404, "not_found");
}

#[tokio::test]
async fn a_meeting_never_captured_has_a_complete_transcript_once_ended() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    app.call(
        "PUT",
        &format!("/v1/meetings/{meeting}/end"),
        &app.key,
        None,
    )
    .await
    .expect(200);
    let read = app
        .get(&format!("/v1/meetings/{meeting}/transcript"))
        .await
        .expect(200);
    assert_eq!(
        (&read["complete"], &read["segments"]),
        (&json!(true), &json!([]))
    );
}
