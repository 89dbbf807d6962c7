//! A withdrawal that comes between two jobs.

use super::*;

/// A withdrawal heard of while the mix is on its way reaches back over what is in it: the tracks
/// are joined again first, and the only mix that is announced is of those.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_between_the_tracks_and_the_mix_comes_first() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let id = meeting(&client).await;
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 9)).await,
        voice(&client, &id, "Bob", hum(800.0, 9)).await,
    );
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    let late = late_seconds(&place);
    place
        .faults
        .set(&[Rule::on(Fault::Swallow, &[Method::PUT]).at(".mp4")]);
    client.end(&id).await.expect("ends");
    eventually("the mix is on its way", SOON, async || {
        place.faults.swallowed() > 0
    })
    .await;
    let of_bob = async || -> Recording {
        let all = client.recordings(&id).await.expect("lists");
        all.into_iter()
            .find(|one| one.participant_id.as_ref() == Some(&bob.participant))
            .expect("a track")
    };
    let track = of_bob().await;
    assert_eq!(track.status, "ready", "joining comes first");
    let heard = seconds_of(&client, &track, 800.0).await;
    assert!(heard > 5.0, "{heard}");
    let all = client.recordings(&id).await.expect("lists");
    let of_ana = all
        .iter()
        .find(|one| one.participant_id.as_ref() == Some(&ana.participant));
    let of_ana = seconds_of(&client, of_ana.expect("a track"), 500.0).await;

    let begin = client.meeting(&id).await.expect("is there")["startTime"].clone();
    let begin: DateTime<Utc> = serde_json::from_value(begin).expect("a time");
    let withdrawal = ConsentDecision {
        meeting: id.parse().expect("an id"),
        participant: bob.participant.parse().expect("an id"),
        id: ConsentId(new_id()),
        consent_type: ConsentType::Recording,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        timestamp: begin + TimeDelta::milliseconds(track.start_ms.expect("a start") + 4_000),
        once: None,
    };
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    command::consent::record(&mut tx, &withdrawal)
        .await
        .expect("recorded");
    tx.commit().await.expect("commits");
    eventually("his track is cut", SOON, async || {
        seconds_of(&client, &of_bob().await, 800.0).await < 4.5
    })
    .await;
    place.faults.heal();

    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    let mix = mix(&recordings);
    let heard = seconds_of(&client, mix, 800.0).await;
    assert!((3.5 - late..4.5).contains(&heard), "{heard}, {late} s late");
    let heard = seconds_of(&client, mix, 500.0).await;
    assert!((heard - of_ana).abs() < 0.5, "{heard} of {of_ana} s");
    eventually("all jobs are done", SOON, async || {
        let mut tx = store.worker_tx().await.expect("Postgres answers");
        backlog::counts(&mut tx).await.expect("counts").is_empty()
    })
    .await;
    store.close().await;
    let url = format!("{}/v1/signal", client.base_url().replacen("http", "ws", 1));
    let entry = Entry::Observer {
        api_key: client.api_key().into(),
        meeting_id: id.clone(),
    };
    let mut signal = Signal::connect(&url, &entry, Some(0))
        .await
        .expect("observes");
    let mut announced = 0;
    while let Some(event) = signal.next().await {
        announced +=
            i32::from(event.kind() == "recording_state" && event.data()["state"] == "ready");
    }
    assert_eq!(announced, 1, "no mix of before was announced");
    server.terminate();
}

/// A database of before a late withdrawal is put back under the bucket: the files that it knew are
/// gone, and those that were made instead are its files.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_put_back_has_the_files_that_a_withdrawal_made() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 7)).await,
        voice(&client, &id, "Bob", hum(800.0, 7)).await,
    );
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    let late = late_seconds(&place);
    client.end(&id).await.expect("ends");
    let ready = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await;
    let of_bob = |all: &[Recording]| -> Recording {
        let mut all = all.iter();
        let found = all.find(|one| one.participant_id.as_ref() == Some(&bob.participant));
        found.expect("a track").clone()
    };
    let track = of_bob(&ready.expect("ready"));
    let files = async || listed(&place.bucket).await;
    eventually("the segments are cleaned up", SOON, async || {
        files().await.len() == 6
    })
    .await;
    let before = files().await;
    server.terminate();
    place.back_up();

    let server = place.serve(&[]);
    let client = server.client();
    let begin = client.meeting(&id).await.expect("is there")["startTime"].clone();
    let begin: DateTime<Utc> = serde_json::from_value(begin).expect("a time");
    let start = track.start_ms.expect("a start");
    let withdrawal = ConsentDecision {
        meeting: id.parse().expect("an id"),
        participant: bob.participant.parse().expect("an id"),
        id: ConsentId(new_id()),
        consent_type: ConsentType::Recording,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        timestamp: begin + TimeDelta::milliseconds(start + 3_000),
        once: None,
    };
    let store = Store::open(&place.database(), 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    command::consent::record(&mut tx, &withdrawal)
        .await
        .expect("recorded");
    tx.commit().await.expect("commits");
    store.close().await;
    eventually("his track and the mix are made anew", SOON, async || {
        let now = files().await;
        // Of Ana, her track and its peaks stay.
        now.len() == 6 && now.intersection(&before).count() == 2
    })
    .await;
    let made = files().await;
    server.terminate();

    place.put_back();
    let server = place.serve(&[]);
    let client = server.client();
    eventually("what was known is gone", SOON, async || {
        rows(&place.database(), &["planned", "stored", "going"]).await == made
    })
    .await;
    assert_eq!(files().await, made);
    let ready = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await;
    let ready = ready.expect("ready");
    for recording in [&of_bob(&ready), mix(&ready)] {
        let heard = seconds_of(&client, recording, 800.0).await;
        assert!(
            (2.5 - late..3.5).contains(&heard),
            "{}: {heard}, {late} s late",
            recording.kind
        );
    }
    server.terminate();
}
