//! Objects that are gone or broken, and packets that cannot be decoded.

use super::*;

/// One broken segment costs its span, a track that is gone altogether fails alone, and comes back
/// with its objects.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_costs_itself_only_and_can_be_made_again() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 14)).await,
        voice(&client, &id, "Bob", hum(800.0, 14)).await,
    );
    let url = client.signal_url();
    let (ana_id, bob_id) = (ana.participant.clone(), bob.participant.clone());
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    // Nothing is made while the objects are changed.
    place
        .faults
        .set(&[Rule::on(Fault::Answer(503, "SlowDown"), &[Method::GET])]);
    let ids: Vec<(String, String)> = client
        .recordings(&id)
        .await
        .expect("lists")
        .into_iter()
        .filter_map(|recording| Some((recording.participant_id?, recording.id)))
        .collect();
    let of = |participant: &str| {
        ids.iter()
            .find(|(whose, _)| whose == participant)
            .expect("a track")
            .1
            .clone()
    };
    client.end(&id).await.expect("ends");
    eventually("all is stored", SOON, async || {
        segments(&place).await.len() >= 8
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let keys = segments(&place).await;
    let ana_keys: Vec<&String> = keys
        .iter()
        .filter(|key| key.contains(&of(&ana_id)))
        .collect();
    let bob_keys: Vec<&String> = keys
        .iter()
        .filter(|key| key.contains(&of(&bob_id)))
        .collect();
    let objects = &place.bucket.objects;
    let mut broken = objects.get_bytes(ana_keys[1]).await.expect("it is there");
    let lost = {
        let scratch = Scratch::new();
        let path = scratch.path().join("segment");
        std::fs::write(&path, &broken).expect("writes");
        tone_seconds(&path, 500.0)
    };
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    objects.delete(ana_keys[1]).await.expect("deletes");
    objects
        .put_bytes(ana_keys[1], broken, "audio/x-matroska", Tier::Hot)
        .await
        .expect("stores");
    let mut taken = Vec::new();
    for key in bob_keys {
        taken.push((
            key.clone(),
            place
                .bucket
                .objects
                .get_bytes(key)
                .await
                .expect("it is there"),
        ));
        place.bucket.objects.delete(key).await.expect("deletes");
    }
    place.faults.heal();

    let status = async || -> Vec<Recording> { client.recordings(&id).await.expect("lists") };
    eventually(
        "everything is decided",
        Duration::from_secs(180),
        async || {
            let all = status().await;
            all.iter().any(|one| one.kind == "mix")
                && all
                    .iter()
                    .all(|one| ["ready", "failed"].contains(&one.status.as_str()))
        },
    )
    .await;
    let recordings = status().await;
    let by = |participant: &str| {
        recordings
            .iter()
            .find(|one| one.participant_id.as_deref() == Some(participant))
    };
    let (ana_track, bob_track) = (by(&ana_id).expect("a track"), by(&bob_id).expect("a track"));
    assert_eq!(
        (ana_track.status.as_str(), bob_track.status.as_str()),
        ("ready", "failed")
    );
    assert!(
        bob_track
            .error
            .as_ref()
            .expect("a reason")
            .to_string()
            .contains("missing"),
        "{:?}",
        bob_track.error
    );
    // On a busy machine a sender may pause for long enough to end a segment early.
    let gaps: Vec<_> = ana_track
        .gaps
        .iter()
        .filter(|gap| gap.reason == "lost")
        .collect();
    assert_eq!(gaps.len(), 1, "{:?}", ana_track.gaps);
    let length = (gaps[0].end_ms - gaps[0].start_ms) as f64 / 1e3;
    assert!((length - lost).abs() < 0.5, "{lost}: {:?}", ana_track.gaps);
    let heard = seconds_of(&client, ana_track, 500.0).await;
    assert!((heard - (14.0 - lost)).abs() < 0.8, "{heard}, {lost}");
    assert!(seconds_of(&client, mix(&recordings), 500.0).await > 9.0);
    let state = |name: &'static str| {
        move |event: &hansard_client::signal::Event| {
            event.kind() == "recording_state" && event.data()["state"] == name
        }
    };
    let entry = Entry::Observer {
        api_key: client.api_key().into(),
        meeting_id: id.clone(),
    };
    let mut signal = Signal::connect(&url, &entry, Some(0))
        .await
        .expect("observes");
    signal
        .wait_for(Instant::now() + SOON, state("ready"))
        .await
        .expect("it is told");

    // The objects turn up again.
    for (key, bytes) in taken {
        place
            .bucket
            .objects
            .put_bytes(&key, bytes, "audio/x-matroska", Tier::Hot)
            .await
            .expect("stores");
    }
    let again = async |recording: &str| {
        client
            .post(&format!("/v1/recordings/{recording}/retry"), Value::Null)
            .await
    };
    assert_eq!(
        again(&ana_track.id)
            .await
            .expect_err("it is ready")
            .status(),
        Some(409)
    );
    assert_eq!(
        again(&bob_track.id).await.expect("it failed")["status"],
        "processing"
    );
    // Nobody observes a meeting whose files are ready: what was told is read from its beginning.
    let mut signal = Signal::connect(&url, &entry, Some(0))
        .await
        .expect("observes");
    for told in ["finalising", "ready", "finalising", "ready"] {
        signal
            .wait_for(Instant::now() + SOON, state(told))
            .await
            .expect("it is told");
    }
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    let bob_track = recordings
        .iter()
        .find(|one| one.id == bob_track.id)
        .expect("a track");
    let heard = seconds_of(&client, bob_track, 800.0).await;
    assert!((13.0..14.3).contains(&heard), "{heard}");
    let heard = seconds_of(&client, mix(&recordings), 800.0).await;
    assert!((13.0..14.3).contains(&heard), "{heard}");
    server.terminate();
}

/// Valid first bytes, and behind them what libopus refuses.
#[tokio::test(flavor = "multi_thread")]
async fn packets_that_cannot_be_decoded_cost_nobody_the_files() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let id = meeting(&client).await;
    let mut frames = hum(800.0, 6);
    for (n, payload) in [
        (100, vec![0xf1, 1, 2, 3]),
        (140, vec![0x7b, 0x43, 1]),
        (141, vec![0xff, 0x01]),
        (200, vec![0xf3, 0x81]),
    ] {
        frames[n].payload = payload.into();
    }
    let (ana, bob) = (
        voice(&client, &id, "Ana", hum(500.0, 6)).await,
        voice(&client, &id, "Bob", frames).await,
    );
    ana.sending.await.expect("sends");
    bob.sending.await.expect("sends");
    client.end(&id).await.expect("ends");
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + SOON)
        .await
        .expect("ready");
    for hz in [500.0, 800.0] {
        let heard = seconds_of(&client, mix(&recordings), hz).await;
        assert!((5.4..6.2).contains(&heard), "{hz}: {heard}");
    }
    server.terminate();
}
