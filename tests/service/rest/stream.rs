use super::app::{App, request, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use hansard::{
    domain::{
        id::StreamId,
        stream::{CloseReason, MediaReason, StreamMedia},
    },
    queue::{
        JobKind,
        message::{Ask, Reply, StreamNow},
    },
    store::{requested_stream, stream},
};
use serde_json::{Value, json};
use sqlx::Row;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use uuid::Uuid;

fn opus(participant: &impl ToString, ssrc: u32) -> Value {
    json!({
        "participantId": participant.to_string(), "kind": "audio", "codec": "opus", "payloadType": 111,
        "clockRate": 48000, "ssrc": ssrc
    })
}

#[tokio::test]
async fn a_stream_gets_a_port_from_the_worker() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let mut worker = app.worker(meeting).await;
    let path = format!("/v1/meetings/{meeting}/streams");
    let mut body = opus(&joined.participant, 7);
    body["remote"] = json!({"ip": "192.0.2.7", "port": 5004});
    let opened = app
        .call("POST", &path, &joined.token, Some(body))
        .await
        .expect(201);
    assert_eq!(
        opened,
        json!({"streamId": opened["streamId"], "ip": "203.0.113.5", "port": 40001, "rtcpMux": true})
    );
    let asked = worker
        .heard(|ask| {
            if let Ask::OpenStream { stream } = ask {
                Some(stream)
            } else {
                None
            }
        })
        .await;
    assert_eq!(json!(asked), opened["streamId"]);

    let row = sqlx::query("select * from streams where meeting_id = $1 and id = $2")
        .bind(meeting.0)
        .bind(asked.0)
        .fetch_one(&mut app.sql().await)
        .await
        .expect("the row");
    assert_eq!(row.get::<String, _>("source"), "microphone");
    assert_eq!(row.get::<String, _>("remote"), "192.0.2.7:5004");
    let job: String =
        sqlx::query_scalar("select state from jobs where meeting_id = $1 and kind = 'capture'")
            .bind(meeting.0)
            .fetch_one(&mut app.sql().await)
            .await
            .expect("the job");
    assert_eq!(job, "queued");

    // Another's may not have it; its own next stream may.
    let other = app.join(meeting, ana).await;
    app.post(&path, opus(&other.participant, 7))
        .await
        .problem(409, "conflict");
    let mut screen = opus(&joined.participant, 7);
    screen["source"] = json!("screen");
    app.post(&path, screen).await.problem(409, "conflict");
    app.post(&path, opus(&joined.participant, 7))
        .await
        .expect(201);
    let stream = text(&opened["streamId"]);
    let one = format!("{path}/{stream}");
    app.call("DELETE", &one, &joined.token, None)
        .await
        .expect(204);
    app.call("DELETE", &one, &joined.token, None)
        .await
        .expect(204);
    worker
        .heard(|ask| match ask {
            Ask::CloseStream { stream, reason }
                if stream == asked && reason == CloseReason::Request =>
            {
                Some(())
            }
            _ => None,
        })
        .await;
    app.call(
        "DELETE",
        &format!("{path}/{}", Uuid::now_v7()),
        &app.key,
        None,
    )
    .await
    .problem(404, "not_found");
    // Closed, its SSRC is free again.
    app.post(&path, opus(&joined.participant, 7))
        .await
        .expect(201);
}

#[tokio::test]
async fn srtp_keys_are_told_once_and_sealed() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let _worker = app.worker(meeting).await;
    let path = format!("/v1/meetings/{meeting}/streams");
    for (n, (suite, length)) in [
        ("AES_CM_128_HMAC_SHA1_80", 30),
        ("AEAD_AES_128_GCM", 28),
        ("AEAD_AES_256_GCM", 44),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = opus(&joined.participant, n as u32);
        body["srtp"] = json!({"suite": suite});
        let headers = [
            ("authorization", &*format!("Bearer {}", joined.token)),
            ("idempotency-key", suite),
        ];
        let opened = app
            .send(request("POST", &path, &headers, Some(body.clone())))
            .await
            .expect(201);
        assert_eq!(opened["srtp"]["suite"], suite);
        let key = STANDARD
            .decode(text(&opened["srtp"]["key"]))
            .expect("base64");
        assert_eq!(key.len(), length);
        let stream = StreamId(text(&opened["streamId"]).parse().expect("an id"));
        let sealed: Vec<u8> =
            sqlx::query_scalar("select srtp_sealed from streams where meeting_id = $1 and id = $2")
                .bind(meeting.0)
                .bind(stream.0)
                .fetch_one(&mut app.sql().await)
                .await
                .expect("the row");
        assert!(
            !sealed
                .windows(8)
                .any(|part| key.windows(8).any(|other| part == other))
        );
        assert_eq!(
            app.state
                .seal
                .open(&requested_stream::seal_place(meeting, stream), &sealed)
                .expect("opens"),
            key
        );
        // A replay would tell the key again.
        let again = app.send(request("POST", &path, &headers, Some(body))).await;
        assert_eq!(again.problem(409, "conflict")["id"], opened["streamId"]);
    }
    let mut body = opus(&joined.participant, 9);
    body["srtp"] = json!({"suite": "NULL"});
    app.post(&path, body).await.points_at(&["/srtp/suite"]);
}

#[tokio::test]
async fn a_worker_that_comes_late_is_waited_for() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let path = format!("/v1/meetings/{meeting}/streams");
    let mut wakes = app.state.queue.wakes(JobKind::Capture);
    // The worker takes the meeting only once it is woken.
    let (opened, _worker) = tokio::join!(app.post(&path, opus(&joined.participant, 7)), async {
        let wake = wakes.recv().await.expect("woken");
        let of_meeting: Uuid =
            sqlx::query_scalar("select id from jobs where kind = 'capture' and subject = $1")
                .bind(meeting.0)
                .fetch_one(&mut app.sql().await)
                .await
                .expect("the job");
        assert_eq!(wake.job.0, of_meeting);
        app.worker(meeting).await
    });
    opened.expect(201);
}

#[tokio::test]
async fn without_a_worker_it_is_taken_back() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let path = format!("/v1/meetings/{meeting}/streams");
    let headers = [
        ("authorization", &*format!("Bearer {}", app.key)),
        ("idempotency-key", "one"),
    ];
    let began = Instant::now();
    let refused = app
        .send(request(
            "POST",
            &path,
            &headers,
            Some(opus(&joined.participant, 7)),
        ))
        .await;
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "it waited: {:?}",
        began.elapsed()
    );
    assert!(refused.headers.contains_key("retry-after"));
    refused.problem(503, "unavailable");
    let open: i64 = sqlx::query_scalar(
        "select count(*) from streams where meeting_id = $1 and state <> 'closed'",
    )
    .bind(meeting.0)
    .fetch_one(&mut app.sql().await)
    .await
    .expect("Postgres answers");
    assert_eq!(open, 0);
    // The same request may be sent again, and again after it was answered.
    let _worker = app.worker(meeting).await;
    let first = app
        .send(request(
            "POST",
            &path,
            &headers,
            Some(opus(&joined.participant, 7)),
        ))
        .await
        .expect(201);
    let replay = app
        .send(request(
            "POST",
            &path,
            &headers,
            Some(opus(&joined.participant, 7)),
        ))
        .await;
    assert_eq!(replay.header("idempotency-replayed"), "true");
    assert_eq!(replay.expect(201), first);
}

#[tokio::test]
async fn bad_streams_are_refused_with_the_place() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, bob).await;
    let path = format!("/v1/meetings/{meeting}/streams");
    for (member, value, pointers) in [
        (
            "participantId",
            json!(Uuid::now_v7()),
            &["/participantId"][..],
        ),
        ("kind", json!("smell"), &["/kind"]),
        ("kind", json!("video"), &["/codec"]),
        ("codec", json!("OPUS"), &["/codec"]),
        ("codec", json!("PCMU"), &["/clockRate"]),
        ("source", json!("camera"), &["/source"]),
        ("payloadType", json!(128), &["/payloadType"]),
        ("payloadType", json!(72), &["/payloadType"]),
        ("payloadType", json!(-1), &["/payloadType"]),
        ("clockRate", json!(44100), &["/clockRate"]),
        ("ssrc", json!(4_294_967_296_u64), &["/ssrc"]),
        (
            "remote",
            json!({"ip": "example.org", "port": 1}),
            &["/remote/ip"],
        ),
        ("remote", json!({"ip": "0.0.0.0", "port": 1}), &["/remote"]),
        (
            "remote",
            json!({"ip": "192.0.2.1", "port": 0}),
            &["/remote"],
        ),
        ("relatch", json!("yes"), &["/relatch"]),
    ] {
        let mut body = opus(&joined.participant, 7);
        body[member] = value;
        app.post(&path, body).await.points_at(pointers);
    }
}

#[tokio::test]
async fn streams_are_listed_with_what_the_worker_counts() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app.meeting(ana).await;
    let (one, two) = (app.join(meeting, ana).await, app.join(meeting, bob).await);
    let path = format!("/v1/meetings/{meeting}/streams");
    let mut serving = app.state.queue.serve(meeting).await;
    let (known, store) = (Arc::new(Mutex::new(Vec::new())), app.state.store.clone());
    let worker = tokio::spawn({
        let known = known.clone();
        async move {
            while let Some((ask, responder)) = serving.recv().await {
                responder.reply(match ask {
                    Ask::OpenStream { stream: id } => {
                        let mut tx = store.worker_tx().await.expect("Postgres answers");
                        stream::opened(&mut tx, meeting, id, "203.0.113.5", 20_001)
                            .await
                            .expect("Postgres answers");
                        tx.commit().await.expect("Postgres answers");
                        known.lock().expect("no holder panics").push(id);
                        Reply::Stream {
                            ip: "203.0.113.5".to_owned(),
                            port: 20_001,
                        }
                    }
                    Ask::Streams => Reply::Streams {
                        streams: vec![StreamNow {
                            stream: known.lock().expect("no holder panics")[0],
                            media: StreamMedia::Stalled,
                            reason: Some(MediaReason::OtherSource),
                            from: Some(([192, 0, 2, 7], 5004).into()),
                            ssrc: Some(u32::MAX),
                            packets: 70,
                            dropped: [("source".to_owned(), 3)].into(),
                            lost: 2,
                            last_packet_at: Some(chrono::DateTime::UNIX_EPOCH),
                        }],
                    },
                    _ => Reply::Done,
                });
            }
        }
    });
    let mut body = opus(&one.participant, 1);
    body.as_object_mut().expect("an object").remove("ssrc");
    body["relatch"] = json!(true);
    let first = app.post(&path, body).await.expect(201);
    let second = app
        .post(&path, opus(&two.participant, 4_000_000_000))
        .await
        .expect(201);
    let all = app.get(&path).await.expect(200);
    let (listed, other) = (&all["data"][0], &all["data"][1]);
    let expect = [
        ("streamId", first["streamId"].clone()),
        ("participantId", json!(one.participant)),
        ("address", json!({"ip": "203.0.113.5", "port": 20_001})),
        ("state", json!("open")),
        ("media", json!("stalled")),
        ("mediaReason", json!("other_source")),
        ("from", json!({"ip": "192.0.2.7", "port": 5004})),
        ("ssrc", json!(u32::MAX)),
        ("relatch", json!(true)),
        ("packets", json!(70)),
        ("dropped", json!({"source": 3})),
        ("lost", json!(2)),
        ("lastPacketAt", json!("1970-01-01T00:00:00.000Z")),
    ];
    for (member, value) in expect {
        assert_eq!(listed[member], value, "{member}");
    }
    assert_eq!(
        (&other["streamId"], &other["media"]),
        (&second["streamId"], &json!("waiting"))
    );
    assert_eq!(
        (&other["ssrc"], &other["packets"]),
        (&json!(4_000_000_000_u32), &json!(null))
    );
    // A participant sees its own.
    let own = app.call("GET", &path, &two.token, None).await.expect(200);
    assert_eq!(own["data"].as_array().expect("a list").len(), 1);
    assert_eq!(own["data"][0]["streamId"], second["streamId"]);
    // Without a worker there is what the store knows.
    worker.abort();
    let page = app.get(&format!("{path}?limit=1")).await.expect(200);
    assert_eq!(
        (&page["data"][0]["packets"], &page["data"][0]["state"]),
        (&json!(null), &json!("open"))
    );
    let next = format!("{path}?limit=1&cursor={}", text(&page["nextCursor"]));
    assert_eq!(
        app.get(&next).await.expect(200)["data"][0]["streamId"],
        second["streamId"]
    );
}

#[tokio::test]
async fn policy_required_asks_for_consent_first() {
    let app = App::start().await;
    let (ana, bob) = (app.user("Ana").await, app.user("Bob").await);
    let meeting = app
        .meeting_with(ana, json!({"consentPolicy": "required"}))
        .await;
    let joined = app.join(meeting, bob).await;
    let _worker = app.worker(meeting).await;
    let path = format!("/v1/meetings/{meeting}/streams");
    let refused = app
        .call(
            "POST",
            &path,
            &joined.token,
            Some(opus(&joined.participant, 7)),
        )
        .await;
    let refused = refused.problem(403, "consent_required");
    assert_eq!(
        refused["consentRequired"],
        json!(["recording", "transcription"])
    );
    app.say(meeting, &joined.token, "recording_ai", "accepted")
        .await
        .expect(201);
    app.call(
        "POST",
        &path,
        &joined.token,
        Some(opus(&joined.participant, 7)),
    )
    .await
    .expect(201);
}
