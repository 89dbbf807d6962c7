//! Many sockets: every one sees the same events in the same order, whatever the queue loses.

use super::world::{World, seqs};
use hansard::{
    command::end::dismiss,
    domain::{
        close_code::{Close, Whom},
        event::{Event, Retraction},
        id::SegmentId,
        recording_state::RecordingState,
        transcript::RetractionReason,
    },
    queue::message::Published,
    store::{
        event::{self, StoredEvent},
        meeting, new_id, owner,
    },
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

fn told(event: StoredEvent) -> Published {
    let StoredEvent {
        seq,
        kind,
        at,
        data,
    } = event;
    Published::Event {
        seq,
        kind,
        at,
        data,
    }
}

#[tokio::test]
async fn twenty_writers_and_a_queue_that_loses_half_leave_no_hole_in_two_processes() {
    let world = Arc::new(World::new().await);
    let (one, other) = (world.api().await, world.api().await);
    let mut clients = Vec::new();
    for (n, api) in [&one, &other, &one, &other].into_iter().enumerate() {
        clients.push(if n < 2 {
            api.join(&world, world.invite("Somebody").await).await.0
        } else {
            api.observe(&world).await.0
        });
    }
    let writers: Vec<_> = (0..20_u64)
        .map(|writer| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(writer);
                for n in 0..15 {
                    let event = world.store_update(format!("{n} of {writer}")).await;
                    // Half is lost; the rest comes late, in any order, some twice.
                    for _ in 0..rng.usize(0..3) {
                        let (world, event) = (world.clone(), event.clone());
                        let late = Duration::from_millis(rng.u64(0..40));
                        tokio::spawn(async move {
                            tokio::time::sleep(late).await;
                            world
                                .queue
                                .publish(world.meeting, &told(event))
                                .expect("a local queue");
                        });
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    let stored = world.all_events().await;
    let last = stored.last().expect("many").seq;
    assert_eq!(last, 302);
    for mut client in clients {
        let got = client.up_to(last).await;
        let from = got[0]["seq"].as_i64().expect("durable");
        assert_eq!(seqs(&got), (from..=last).collect::<Vec<_>>());
        for message in got {
            let event = &stored[message["seq"].as_u64().expect("durable") as usize - 1];
            assert_eq!(
                (&message["type"], &message["data"]),
                (&json!(event.kind), &event.data)
            );
        }
    }
}

#[tokio::test]
async fn replay_begins_after_last_seq_and_never_before_the_first_join() {
    let world = World::new().await;
    let api = world.api().await;
    for n in 0..250 {
        world.store_update(n).await;
    }
    let guest = world.invite("Ana").await;
    let (client, joined) = api.join(&world, guest).await;
    assert_eq!(joined["seq"], 251);
    drop(client);
    for n in 0..250 {
        world.store_update(n).await;
    }
    for (last_seq, first) in [
        (json!(0), 251),
        (json!(250), 251),
        (json!(300), 301),
        (json!(500), 501),
    ] {
        let mut client = api.connect().await;
        let joined = client
            .join(json!({"token": world.token(guest), "lastSeq": last_seq}))
            .await;
        assert_eq!(joined["seq"], 501);
        let got = client.up_to(501).await;
        assert_eq!(
            seqs(&got),
            (first..=501).collect::<Vec<_>>(),
            "after {last_seq}"
        );
    }
    // From the end, from the future, and without: only what comes.
    for data in [
        json!({"lastSeq": 501}),
        json!({"lastSeq": 9_999}),
        json!({}),
    ] {
        let mut client = api.connect().await;
        let mut all = data.clone();
        all["token"] = json!(world.token(guest));
        let joined = client.join(all).await;
        let next = joined["seq"].as_i64().expect("a number") + 1;
        let event = world.store_update("Somebody").await;
        world
            .queue
            .publish(world.meeting, &told(event))
            .expect("a local queue");
        assert_eq!(seqs(&client.up_to(next).await), [next], "{data}");
    }
    // An observer may see everything.
    let mut observer = api.observer(&world).await;
    let joined = observer
        .join(json!({"meetingId": world.meeting, "lastSeq": 0}))
        .await;
    let last = joined["seq"].as_i64().expect("a number");
    assert_eq!(
        seqs(&observer.up_to(last).await),
        (1..=last).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_newer_socket_replaces_the_older_in_this_process_and_in_another() {
    let world = World::new().await;
    let (one, other) = (world.api().await, world.api().await);
    let guest = world.invite("Ana").await;
    let (mut first, _) = one.join(&world, guest).await;
    let (mut second, _) = one.join(&world, guest).await;
    assert_eq!(first.rest().await.1, Some(4010));
    let (mut third, _) = other.join(&world, guest).await;
    assert_eq!(second.rest().await.1, Some(4010));
    third.send(json!({"type": "ping"})).await;
    assert_eq!(third.next().await.expect("still there")["type"], "pong");
    // That was one visit, and one event.
    assert_eq!(world.all_events().await.len(), 1);
}

async fn end(world: &World) -> Vec<StoredEvent> {
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    event::lock(&mut tx, world.meeting).await.expect("there");
    let left = dismiss(&mut tx, world.meeting).await.expect("dismissed");
    meeting::end(&mut tx, world.meeting).await.expect("ended");
    tx.commit().await.expect("commits");
    left.events
}

#[tokio::test]
async fn at_the_end_participants_go_after_the_last_final_and_observers_after_the_outcome() {
    let world = World::new().await;
    let api = world.api().await;
    let off = world.store_state(RecordingState::Off).await;
    let guest = world.invite("Ana").await;
    let (mut participant, _) = api.join(&world, guest).await;
    let (mut observer, joined) = api.observe(&world).await;
    assert_eq!(joined["recording"]["state"], "off");
    end(&world).await;
    // Nobody publishes the last final; the close still comes after it.
    let last = world
        .store_event(Event::TranscriptRetracted(Retraction {
            segment_id: SegmentId(new_id()),
            reason: RetractionReason::Empty,
        }))
        .await;
    let close = Published::Close {
        close: Close::Ended,
        whom: Whom::Participants,
    };
    world
        .queue
        .publish(world.meeting, &close)
        .expect("a local queue");
    let (got, code) = participant.rest().await;
    assert_eq!(code, Some(4000));
    assert_eq!(seqs(&got).last(), Some(&last.seq));
    let mut late = api.connect().await;
    late.send(json!({"type": "join_room", "data": {"token": world.token(guest)}}))
        .await;
    let (got, code) = late.rest().await;
    assert_eq!(
        (got[0]["data"]["code"].as_str(), code),
        (Some("ended"), Some(4000))
    );

    let ready = world.store_state(RecordingState::Ready).await;
    let seq = ready.seq;
    world
        .queue
        .publish(world.meeting, &told(ready))
        .expect("a local queue");
    let (got, code) = observer.rest().await;
    assert_eq!((seqs(&got).last(), code), (Some(&seq), Some(4000)));

    // For 24 hours observers may still read it all.
    let mut observer = api.observer(&world).await;
    let joined = observer
        .join(json!({"meetingId": world.meeting, "lastSeq": 0}))
        .await;
    assert_eq!(joined["recording"]["state"], "ready");
    let (got, code) = observer.rest().await;
    assert_eq!(
        (seqs(&got), code),
        ((off.seq..=seq).collect::<Vec<_>>(), Some(4000))
    );
    let mut conn = owner(&world.url).await.expect("Postgres answers");
    sqlx::query("update meetings set end_time = end_time - interval '25 hours'")
        .execute(&mut conn)
        .await
        .expect("done");
    let mut observer = api.observer(&world).await;
    observer
        .send(json!({"type": "join_room", "data": {"meetingId": world.meeting}}))
        .await;
    let (got, code) = observer.rest().await;
    assert_eq!(
        (got[0]["data"]["code"].as_str(), code),
        (Some("ended"), Some(4000))
    );
}

#[tokio::test]
async fn a_meeting_whose_worker_says_nothing_at_the_end_is_closed_all_the_same() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut participant, _) = api.join(&world, world.invite("Ana").await).await;
    end(&world).await;
    let (got, code) = participant.rest().await;
    assert_eq!(
        (got.last().map(|message| message["type"].clone()), code),
        (Some(json!("participant_left")), Some(4000))
    );
}

#[tokio::test]
async fn what_is_meant_for_a_lagging_room_is_read_from_the_store() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut client, _) = api.observe(&world).await;
    // More than a subscription holds, at once: it lags.
    for n in 0..3_000 {
        let told = Published::Live {
            kind: "transcript_update".into(),
            data: json!({"n": n}),
            to: None,
        };
        world
            .queue
            .publish(world.meeting, &told)
            .expect("a local queue");
    }
    let event = world.store_update("Somebody").await;
    let got = client.up_to(event.seq).await;
    assert_eq!(seqs(&got), [1]);
}
