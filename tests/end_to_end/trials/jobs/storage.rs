//! Storage that is away, and storage that is far away.

use super::*;

/// Storage that refuses to give what it has, right after the end: everything waits, for longer than
/// five attempts would take, and goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn files_wait_for_storage_and_are_made_when_it_is_back() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let ana = voice(&client, &id, "Ana", hum(500.0, 9)).await;
    ana.sending.await.expect("sends");
    place
        .faults
        .set(&[Rule::on(Fault::Answer(403, "AccessDenied"), &[Method::GET])]);
    client.end(&id).await.expect("ends");
    let list = format!("/v1/meetings/{id}/recordings");
    let waiting = async || -> Value { client.get(&list).await.expect("lists")["data"][0].clone() };
    eventually("it says what it waits for", SOON, async || {
        waiting().await["waitingFor"] == "storage"
    })
    .await;
    told(&server, Some("storage")).await;
    for fault in [
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(400, "InvalidRequest"),
        Fault::Answer(404, "NoSuchKey"),
    ] {
        place.faults.set(&[Rule::all(fault)]);
        tokio::time::sleep(Duration::from_secs(12)).await;
        let recording = waiting().await;
        assert_eq!(
            (&recording["status"], &recording["waitingFor"]),
            (&"processing".into(), &"storage".into())
        );
    }
    let listed = jobs(&place, &["list"]);
    assert!(
        listed.contains("waits for storage") && listed.contains("failed 0"),
        "{listed}"
    );
    let metrics = reqwest::get(format!("{}/metrics", server.ops))
        .await
        .expect("answers")
        .text()
        .await
        .expect("text");
    for line in [
        "hansard_degraded{reason=\"storage\"} 1",
        "hansard_storage_errors_total{code=\"403\"}",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    // Beside it waits what completes the transcript, queued in the same instant.
    let job = listed
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == "join"))
        .and_then(|line| line.split_whitespace().next())
        .expect("its id");
    let shown = jobs(&place, &["show", job]);
    assert!(
        shown.contains("kind         join") && shown.contains("for storage"),
        "{shown}"
    );
    let (code, said) = run(
        &place,
        &["jobs", "show", "00000000-0000-7000-8000-000000000000"],
    );
    assert!(
        code == Some(1) && said.contains("hansard jobs list"),
        "{said}"
    );
    place.faults.heal();
    let healed = Instant::now();
    // What somebody stored, or cut, and died before a row said so.
    let stored = segments(&place).await;
    let stray = stored[0].replace("/1/", "/2/");
    noted(&place, &stored[0], &stray).await;
    place
        .bucket
        .objects
        .put_bytes(&stray, vec![0; 9], "audio/x-matroska", Tier::Hot)
        .await
        .expect("stores");
    // Whoever knows that storage is back need not wait for the next try.
    assert_eq!(jobs(&place, &["retry", job]).trim(), "queued");
    let recordings = client
        .wait_recordings_ready(&id, healed + SOON)
        .await
        .expect("ready");
    println!(
        "ready {:.1} s after healing",
        healed.elapsed().as_secs_f64()
    );
    let (code, said) = run(&place, &["jobs", "retry", job]);
    assert!(code == Some(1) && said.contains("it is done"), "{said}");
    for recording in [
        mix(&recordings),
        recordings
            .iter()
            .find(|one| one.kind == "track")
            .expect("a track"),
    ] {
        let heard = seconds_of(&client, recording, 500.0).await;
        assert!(
            (8.0..9.2).contains(&heard),
            "{} has {heard} s",
            recording.kind
        );
        assert!(recording.gaps.is_empty(), "{:?}", recording.gaps);
    }
    assert!(waiting().await["waitingFor"].is_null());
    told(&server, None).await;
    eventually("nothing is left of the segments", SOON, async || {
        segments(&place).await.is_empty()
    })
    .await;
    server.terminate();
}

/// A process starts without storage, says so, records, and stores what it has when storage is
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_storage() {
    let place = Place::new().await;
    place.faults.refuse();
    let server = place.serve(&[]);
    told(&server, Some("storage")).await;
    let client = server.client();
    let id = meeting(&client).await;
    let ana = voice(&client, &id, "Ana", hum(500.0, 6)).await;
    let participant = ana.participant.clone();
    ana.sending.await.expect("sends");
    client.end(&id).await.expect("ends");
    // Long enough for its end to be written without storage.
    tokio::time::sleep(Duration::from_secs(3)).await;
    place.faults.heal();
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    let track = recordings
        .iter()
        .find(|one| one.participant_id.as_deref() == Some(&participant))
        .expect("a track");
    let heard = seconds_of(&client, track, 500.0).await;
    assert!((5.2..6.2).contains(&heard), "{heard}");
    told(&server, None).await;
    server.terminate();
}

/// Many small objects in a store that is far away: an hour of four tracks is fetched in seconds,
/// because many are on their way at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_far_away_is_asked_for_many_at_a_time() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::make(&place, &database, &client, 4, 60).await;
    place.faults.delay(Duration::from_millis(80));
    stored.finalise().await;
    let asked = Instant::now();
    let all = stored.segments();
    eventually("all are fetched", Duration::from_secs(300), async || {
        fetched(&place) >= all
    })
    .await;
    println!(
        "{all} segments in {:.1} s, with joining",
        asked.elapsed().as_secs_f64()
    );
    assert!(
        place.faults.most_at_once() >= 24,
        "{} at once",
        place.faults.most_at_once()
    );
    let within = Instant::now() + Duration::from_secs(600);
    let recordings = client
        .wait_recordings_ready(&stored.meeting, within)
        .await
        .expect("ready");
    println!("ready after {:.1} s", asked.elapsed().as_secs_f64());
    assert_eq!(
        recordings
            .iter()
            .filter(|one| one.status == "ready")
            .count(),
        5,
        "{recordings:?}"
    );
    for recording in &recordings {
        let length = recording.duration_ms.expect("it is ready");
        assert!((length - stored.length_ms()).abs() < 100, "{length}");
        assert!(recording.gaps.is_empty(), "{:?}", recording.gaps);
    }
    assert_eq!(fetched(&place), all, "each once");
    server.terminate();
}

/// Notes an object beside another in the inventory, as whoever is going to store it does.
async fn noted(place: &Place, like: &str, key: &str) {
    let mut sql = hansard::store::owner(&place.database())
        .await
        .expect("Postgres answers");
    sqlx::query(
        "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, uploading)
         select meeting_id, $2, tenant_id, recording_id, kind, participants, false from objects where key = $1",
    )
    .bind(like)
    .bind(key)
    .execute(&mut sql)
    .await
    .expect("it is noted");
}
