//! One socket: how it is opened, what it may say, and how it ends.

use super::{
    support::eventually,
    world::{Hello, World, seqs},
};
use futures_util::SinkExt;
use hansard::{
    domain::refusal::RefusalCode,
    queue::message::{Ask, Published, Reply},
    store::{meeting, presence},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn what_is_not_understood_is_answered_and_changes_nothing() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut client, _) = api.join(&world, world.invite("Ana").await).await;
    for text in [
        "{",
        "[]",
        r#"{"type":"dance","id":"a"}"#,
        r#"{"type":"ping","extra":1,"id":"a"}"#,
    ] {
        client.send_text(text.into()).await;
        let answer = client.next().await.expect("an answer");
        assert_eq!(
            (&answer["type"], &answer["data"]["code"]),
            (&json!("error"), &json!("invalid")),
            "{text}"
        );
        assert_eq!(
            answer.get("re").is_some(),
            text.contains("\"id\""),
            "{text}"
        );
    }
    client
        .socket
        .send(Message::Binary(vec![1, 2, 3].into()))
        .await
        .expect("sent");
    assert_eq!(
        client.next().await.expect("an answer")["data"]["code"],
        "invalid"
    );
    client.send(json!({"type": "ping", "id": 12})).await;
    assert_eq!(client.next().await.expect("an answer")["re"], 12);
}

#[tokio::test]
async fn too_many_and_too_large_messages_close_a_socket_and_candidates_are_counted_apart() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut client, _) = api.join(&world, world.invite("Ana").await).await;
    for _ in 0..100 {
        client
            .send(json!({"type": "ice_candidate", "data": {"candidate": "c", "sdpMid": "0"}}))
            .await;
    }
    client.send(json!({"type": "ping", "id": "p"})).await;
    assert_eq!(client.next_of("pong").await["re"], "p");
    for _ in 0..60 {
        if client
            .socket
            .send(Message::Text(r#"{"type":"ping"}"#.into()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(client.rest().await.1, Some(4029));

    for bytes in [64 * 1024 - 60, 65 * 1024, 900 * 1024] {
        let (mut client, _) = api.join(&world, world.invite("Bob").await).await;
        let sdp = "x".repeat(bytes);
        client
            .send(json!({"type": "offer", "id": "o", "data": {"sdp": sdp}}))
            .await;
        if bytes < 64 * 1024 {
            assert_eq!(
                client.next_of("error").await["re"],
                "o",
                "nobody there to take it"
            );
        } else {
            assert_eq!(client.rest().await.1, Some(1009));
        }
    }
    // Far too large is not even read; whether the reason still arrives is TCP's.
    let (mut client, _) = api.join(&world, world.invite("Carol").await).await;
    let _ = client
        .socket
        .send(Message::Text("x".repeat(3 * 1024 * 1024).into()))
        .await;
    assert!(matches!(client.rest().await.1, Some(1009) | None));
    eventually(
        "only the one within the limit is left",
        Duration::from_secs(10),
        async || api.signal.open() <= 1,
    )
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_partials_are_skipped_first() {
    let world = World::new().await;
    let api = world.api().await;
    let slow = Hello {
        protocol: Some("hansard.v1"),
        receive_buffer: Some(4096),
        ..Hello::default()
    };
    let mut slow = api.open(slow).await.expect("upgraded");
    slow.join(json!({"token": world.token(world.invite("Slow").await)}))
        .await;
    let (mut quick, _) = api.observe(&world).await;

    // Partials only: however many, nobody is closed for them, as long as what the socket takes no more
    // of has not waited for too long.
    const PARTIALS: i64 = 200;
    let text = "x".repeat(30_000);
    let partial = |n: i64| Published::Live {
        kind: "transcript_update".into(),
        data: json!({"revision": n, "text": text}),
        to: None,
    };
    let reading = tokio::spawn(async move {
        let mut got = 0;
        let mut last = Value::Null;
        while last != json!(PARTIALS) {
            last = quick.next_of("transcript_update").await["data"]["revision"].clone();
            got += 1;
        }
        (quick, got)
    });
    for n in 1..=PARTIALS {
        world
            .queue
            .publish(world.meeting, &partial(n))
            .expect("a local queue");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The last one again, until it is not skipped.
    let (mut quick, got) = loop {
        if reading.is_finished() {
            break reading.await.expect("read");
        }
        world
            .queue
            .publish(world.meeting, &partial(PARTIALS))
            .expect("a local queue");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(got > 0);
    assert_eq!(api.signal.open(), 2, "nobody was closed for partials");

    // What must arrive is queued, up to a limit; events go on for those who read.
    let reading = tokio::spawn(async move { quick.up_to(61).await });
    for n in 0..60 {
        let event = world
            .store_update(format!("{n}{}", "y".repeat(30_000)))
            .await;
        let hansard::store::event::StoredEvent {
            seq,
            kind,
            at,
            data,
        } = event;
        world
            .queue
            .publish(
                world.meeting,
                &Published::Event {
                    seq,
                    kind,
                    at,
                    data,
                },
            )
            .expect("a local queue");
    }
    let (got, code) = slow.rest().await;
    assert_eq!(code, Some(4008));
    let got = seqs(&got);
    assert!(
        got.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "no hole before the end: {got:?}"
    );
    assert!(got.last().is_none_or(|seq| *seq < 61));
    assert_eq!(
        seqs(&reading.await.expect("read")),
        (2..=61).collect::<Vec<_>>()
    );
    eventually(
        "the slow one is let go of",
        Duration::from_secs(20),
        async || api.signal.open() == 0,
    )
    .await;
}

#[tokio::test]
async fn offers_go_to_the_worker_and_what_it_answers_comes_to_that_participant_only() {
    let world = World::new().await;
    let api = world.api().await;
    let (ana, bob) = (world.invite("Ana").await, world.invite("Bob").await);
    let (mut first, _) = api.join(&world, ana).await;
    let (mut second, _) = api.join(&world, bob).await;
    first
        .send(json!({"type": "offer", "id": "o1", "data": {"sdp": "v=0"}}))
        .await;
    let nobody = first.next_of("error").await;
    assert_eq!(
        (&nobody["re"], &nobody["data"]["code"]),
        (&json!("o1"), &json!("unavailable"))
    );

    let mut serving = world.queue.serve(world.meeting).await;
    let (queue, meeting) = (world.queue.clone(), world.meeting);
    let worker = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let (ask, responder) = serving.recv().await.expect("asked");
            match ask {
                Ask::Signal {
                    participant,
                    message,
                } => {
                    let refuse = message["type"] == "offer";
                    heard.push((participant, message));
                    if refuse {
                        let message = "WebRTC is not offered by this worker".to_owned();
                        responder.reply(Reply::Error {
                            code: RefusalCode::NotSupported,
                            message,
                        });
                    } else {
                        let (kind, data) = (
                            "answer".to_owned(),
                            json!({"sdp": "v=1", "epoch": 1, "tracks": []}),
                        );
                        queue
                            .publish(
                                meeting,
                                &Published::Live {
                                    kind,
                                    data,
                                    to: Some(participant),
                                },
                            )
                            .expect("local");
                        responder.reply(Reply::Done);
                    }
                }
                _ => responder.reply(Reply::Done),
            }
        }
        heard
    });
    first
        .send(json!({"type": "offer", "id": "o2", "data": {"sdp": "v=0"}}))
        .await;
    let refused = first.next_of("error").await;
    assert_eq!(
        (&refused["re"], &refused["data"]["code"]),
        (&json!("o2"), &json!("not_supported"))
    );
    second
        .send(json!({"type": "ice_candidate", "data": {"candidate": null}}))
        .await;
    assert_eq!(second.next_of("answer").await["data"]["sdp"], "v=1");
    second
        .send(json!({"type": "answer", "data": {"sdp": "v=2"}}))
        .await;
    let heard = worker.await.expect("heard");
    assert_eq!(
        heard[0],
        (
            ana.participant,
            json!({"type": "offer", "data": {"sdp": "v=0"}})
        )
    );
    assert_eq!(heard[1].1["data"]["candidate"], Value::Null);
    assert_eq!(
        heard[2],
        (
            bob.participant,
            json!({"type": "answer", "data": {"sdp": "v=2"}})
        )
    );
    first.send(json!({"type": "ping"})).await;
    assert_eq!(
        first.next_of("pong").await["type"],
        "pong",
        "and nothing of the other's answers before"
    );

    let (mut observer, _) = api.observe(&world).await;
    observer
        .send(json!({"type": "offer", "data": {"sdp": "v=0"}}))
        .await;
    assert_eq!(observer.next_of("error").await["data"]["code"], "forbidden");
}

#[tokio::test]
async fn the_worker_hears_which_sockets_there_are() {
    let world = World::new().await;
    let api = world.api().await;
    let mut serving = world.queue.serve(world.meeting).await;
    let (ana, bob) = (world.invite("Ana").await, world.invite("Bob").await);
    let mut hear = async || loop {
        let (ask, responder) = serving.recv().await.expect("asked");
        responder.reply(Reply::Done);
        if let Ask::Sockets {
            mut participants, ..
        } = ask
        {
            participants.sort();
            return participants;
        }
    };
    let (first, _) = api.join(&world, ana).await;
    while hear().await != [ana.participant] {}
    let (second, _) = api.join(&world, bob).await;
    while hear().await != [ana.participant, bob.participant] {}
    assert_eq!(hear().await.len(), 2, "and again without a change");
    drop(second);
    while hear().await != [ana.participant] {}
    drop(first);
    while !hear().await.is_empty() {}
}

#[tokio::test]
async fn draining_says_so_and_waits_for_everybody() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut client, _) = api.join(&world, world.invite("Ana").await).await;
    let mut waiting = api.connect().await;
    let signal = api.signal.clone();
    let stopping = tokio::spawn(async move { signal.stop().await });
    let (got, code) = client.rest().await;
    assert_eq!(
        got,
        [json!({"type": "server_draining", "data": {"action": "reconnect"}})]
    );
    assert_eq!(code, Some(1012));
    assert_eq!(waiting.rest().await.1, Some(1012));
    stopping.await.expect("stops");
    assert_eq!(api.signal.open(), 0);
    let refused = api
        .open(Hello {
            protocol: Some("hansard.v1"),
            ..Hello::default()
        })
        .await;
    assert_eq!(
        refused.map(drop).expect_err("refused").status().as_u16(),
        503
    );
    // Nobody was told to leave.
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    assert!(
        presence::people(&mut tx, world.meeting)
            .await
            .expect("read")
            .iter()
            .all(|person| person.present)
    );
    assert!(
        !meeting::get(&mut tx, world.meeting)
            .await
            .expect("read")
            .expect("there")
            .ended()
    );
}
