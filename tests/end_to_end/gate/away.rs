//! Withdrawing while Postgres or the queue is away: it acts, it is written down, and what comes
//! late opens nothing.

use super::{
    room::{Room, SOON, recording_only, say_at, serve, socket, time},
    sound::staircase,
    support::{Scratch, eventually, postgres::Cluster, rabbitmq::RabbitMq},
    withdrawal::{GRACE_MS, Said, Stood, assert_only, assert_spool, late_in_all, sent_of},
};
use hansard::{
    domain::consent::{ChainEntry, ConsentStatus, ConsentType, verify},
    queue::{Queue, message::Ask},
};
use hansard_client::rest::Client;
use serde_json::Value;
use std::time::Duration;

/// Longer than the queue is away in all: the voice is stopped.
const LENGTH_MS: i64 = 60_000;

/// The log as anybody reads it, walked.
async fn assert_chain(client: &Client, meeting: &str) -> Vec<Value> {
    let log = client.consents(meeting).await.expect("lists");
    let entries: Vec<ChainEntry> = log
        .iter()
        .map(|entry| serde_json::from_value(entry.clone()).expect("an entry"))
        .collect();
    let chain = entries.iter().zip(&log).map(|(entry, row)| {
        (
            entry,
            row["prevHash"].as_str().expect("a hash"),
            row["hash"].as_str().expect("a hash"),
        )
    });
    verify(meeting.parse().expect("an id"), chain).expect("the chain holds");
    log
}

async fn until_logged(client: &Client, meeting: &str, id: &Value) {
    eventually("the withdrawal is in the log", SOON, async || {
        client
            .consents(meeting)
            .await
            .is_ok_and(|log| log.iter().any(|entry| &entry["id"] == id))
    })
    .await;
    let log = assert_chain(client, meeting).await;
    assert_eq!(
        log.iter().filter(|entry| &entry["id"] == id).count(),
        1,
        "once"
    );
}

/// Frozen and stopped; by socket and by REST; then a crash with the withdrawal only in the journal.
pub async fn postgres() {
    let cluster = Cluster::start().await;
    let url = cluster.database().await;
    let data = Scratch::new();
    let server = serve(data.path(), &[("DATABASE_URL", &url)]);
    let client = server.client();
    let room = Room::open(&client, recording_only()).await;
    let (ana, ben, cleo) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Ben", "accepted").await,
        room.guest_who("Cleo", "accepted").await,
    );
    let mut signal = socket(&room, &ana).await;
    let frames = staircase(30_000);
    let voices = [
        room.speak(&ana, &frames).await,
        room.speak(&ben, &frames).await,
        room.speak(&cleo, &frames).await,
    ];
    let [of_ana, of_ben, of_cleo] = &voices;

    for (guest, voice) in [&ana, &ben, &cleo].into_iter().zip(&voices) {
        room.recorded(data.path(), guest, voice, None).await;
    }
    of_cleo
        .reaches((of_cleo.now() + 2_500).unsigned_abs())
        .await;
    cluster.freeze(true).await;
    let told = say_at(&mut signal, "recording_ai", "withdrawn").await;
    assert_eq!(
        (told.kind(), told.seq()),
        ("consent_updated", None),
        "{:?}",
        told.value
    );
    let by_socket = (told.data()["id"].clone(), time(&told.data()["timestamp"]));
    tokio::time::sleep(Duration::from_millis(GRACE_MS.unsigned_abs())).await;
    // Ana's, Ben's and Cleo's frames are the same, so only the spool's order tells whose they are:
    // her folder is cut.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.freeze(false).await;
    until_logged(&client, &room.id, &by_socket.0).await;

    cluster.stop().await;
    let said = client
        .consent(
            &ben.joined.consent_token,
            &room.id,
            "recording_ai",
            "withdrawn",
        )
        .await
        .expect("acts");
    assert_eq!(said["entry"], Value::Null, "not in the log yet: {said}");
    let by_rest = (said["id"].clone(), time(&said["timestamp"]));
    let again = client
        .consent(
            &ana.joined.consent_token,
            &room.id,
            "recording_ai",
            "accepted",
        )
        .await;
    assert_eq!(
        again.expect_err("no grant without the log").status(),
        Some(503)
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.restart().await;
    until_logged(&client, &room.id, &by_rest.0).await;
    // Nothing was admitted by the grant that got 503.
    let again = room.say(&ben, "recording_ai", "accepted").await;
    let on_again = of_ben.at(again);
    of_ben.reaches((on_again + 3_000).unsigned_abs()).await;

    // Now a crash while the withdrawal stands in the journal only.
    cluster.stop().await;
    let said = client
        .consent(
            &cleo.joined.consent_token,
            &room.id,
            "recording_ai",
            "withdrawn",
        )
        .await
        .expect("acts");
    let journalled = (said["id"].clone(), time(&said["timestamp"]));
    assert_eq!(said["entry"], Value::Null, "not in the log yet: {said}");
    server.kill();
    cluster.restart().await;
    let server = serve(data.path(), &[("DATABASE_URL", &url)]);
    let client = server.client();
    until_logged(&client, &room.id, &journalled.0).await;
    let stood = [
        vec![(0, of_ana.at(by_socket.1))],
        vec![
            (0, of_ben.at(by_rest.1)),
            (on_again, of_ben.at(journalled.1)),
        ],
        vec![(0, of_cleo.at(journalled.1))],
    ];
    let room = room.moved(&client).await;
    for voice in voices {
        voice.stopped().await;
    }
    let left = room.end().await;
    assert_chain(&client, &room.id).await;
    for (guest, stood) in [&ana, &ben, &cleo].into_iter().zip(&stood) {
        let track = left.track(guest).expect("a track");
        let there = super::sound::kept_in(&track.bytes, &frames);
        let inside = |n: &&usize, after: i64| {
            let (from, to) = (**n as i64 * 20, **n as i64 * 20 + 20);
            stood
                .iter()
                .any(|(open, close)| *open <= from && to <= close + after)
        };
        // Ben's second time ends with the crash, after which he goes on.
        let until = if guest.name == "Ben" { i64::MAX / 2 } else { 5 };
        let wrong: Vec<&usize> = there.iter().filter(|n| !inside(n, until)).collect();
        assert!(
            wrong.is_empty(),
            "{}: frames {wrong:?} of {stood:?}",
            guest.name
        );
        assert!(there.len() > 50, "{} was recorded before", guest.name);
    }
    server.terminate();
}

/// Frozen (only polling remains), killed, and back with messages that are late.
pub async fn queue() {
    let mut broker = RabbitMq::start().await;
    let data = Scratch::new();
    let server = serve(data.path(), &[("AMQP_URL", &broker.url())]);
    let client = server.client();
    let room = Room::open(&client, recording_only()).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let mut signal = socket(&room, &ana).await;
    let frames = staircase(LENGTH_MS);
    let voice = room.speak(&ana, &frames).await;
    let mut stood = Vec::new();

    let from = room.recorded(data.path(), &ana, &voice, None).await;
    voice.reaches((from + 3_000).unsigned_abs()).await;
    broker.freeze(true);
    let said = client
        .consent(
            &ana.joined.consent_token,
            &room.id,
            "recording_ai",
            "withdrawn",
        )
        .await
        .expect("acts");
    let withdrawn = time(&said["timestamp"]);
    let close = voice.at(withdrawn);
    stood.push(Stood::withdrawn(0, from, close));
    assert_spool(data.path(), &room, &frames, close + GRACE_MS).await;
    let before = room.newest(data.path(), &ana);
    broker.freeze(false);

    // A grant, and then messages about the withdrawal before it, late and twice: they close
    // nothing.
    let open = voice.at(room.say(&ana, "recording_ai", "accepted").await);
    let from = room.recorded(data.path(), &ana, &voice, before).await;
    voice.reaches((from + 2_000).unsigned_abs()).await;
    let stale = Ask::Withdraw {
        id: said["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id"),
        participant: ana.id.parse().expect("an id"),
        consent_type: ConsentType::RecordingAi,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        received_at: withdrawn,
        once: None,
        journal: false,
    };
    let others = Queue::amqp(&broker.url()).expect("a good URL");
    let meeting = room.id.parse().expect("an id");
    for _ in 0..3 {
        eventually("a late message is delivered", SOON, async || {
            others
                .ask(meeting, &stale, Duration::from_secs(2))
                .await
                .is_ok()
        })
        .await;
    }
    voice.reaches((from + 4_000).unsigned_abs()).await;

    // A withdrawal, and then late hints of the grant before it: they open nothing.
    broker.kill().await;
    let told = say_at(&mut signal, "recording_ai", "withdrawn").await;
    assert_eq!(told.kind(), "consent_updated", "{:?}", told.value);
    let withdrawn = voice.at(time(&told.data()["timestamp"]));
    stood.push(Stood::withdrawn(open, from, withdrawn));
    assert_spool(data.path(), &room, &frames, withdrawn + GRACE_MS).await;
    let before = room.newest(data.path(), &ana);
    broker.restart().await;
    for _ in 0..5 {
        eventually("a late hint is delivered", SOON, async || {
            others
                .ask(meeting, &Ask::Changed, Duration::from_secs(2))
                .await
                .is_ok()
        })
        .await;
    }
    // A grant once more, which the worker learns of by any way; and the stale withdrawal again,
    // after the newer one.
    let open = voice.at(room.say(&ana, "recording_ai", "accepted").await);
    others
        .ask(meeting, &stale, Duration::from_secs(2))
        .await
        .expect("delivered");
    let from = room.recorded(data.path(), &ana, &voice, before).await;
    let until = from + 3_000;
    // What a machine is late with is not what was said last.
    voice.reaches((until + 500).unsigned_abs()).await;
    stood.push(Stood {
        open,
        close: LENGTH_MS,
        from,
        until,
    });
    let zero = voice.zero;
    let sent = voice.stopped().await;
    let said = Said {
        frames: sent_of(&frames, &sent),
        zero,
        stood: &stood,
        late_ms: late_in_all(&room, data.path(), &ana, &sent),
    };
    assert_chain(&client, &room.id).await;
    let left = room.end().await;
    assert_only(&left, &ana, &said, GRACE_MS);
    server.terminate();
}
