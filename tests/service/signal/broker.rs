//! Two `api` processes that reach each other and the worker through RabbitMQ only, and what holds
//! while it is away.

use super::{
    support::{eventually, rabbitmq::RabbitMq},
    world::{World, seqs},
};
use hansard::{
    command::remove::remove,
    domain::{participant::Removal, recording_state::RecordingState, refusal::RefusalCode},
    queue::{
        Queue,
        message::{Ask, Published, Reply},
    },
    store::event::StoredEvent,
};
use serde_json::json;
use std::time::Duration;

async fn connect(broker: &RabbitMq) -> Queue {
    let queue = Queue::amqp(&broker.url()).expect("it is an address");
    eventually(
        "the broker is reached",
        Duration::from_secs(30),
        async || queue.unreachable_since().is_none(),
    )
    .await;
    queue
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_crosses_processes_and_a_withdrawal_needs_no_broker() {
    let mut broker = RabbitMq::start().await;
    let world = World::new().await;
    let (one, other) = (
        world.api_on(connect(&broker).await).await,
        world.api_on(connect(&broker).await).await,
    );
    let worker = connect(&broker).await;
    let mut serving = worker.serve(world.meeting).await;
    let (ana, bob) = (world.invite("Ana").await, world.invite("Bob").await);
    let (mut first, _) = one.join(&world, ana).await;
    let (mut second, _) = other.join(&world, bob).await;
    assert_eq!(
        first.next_of("participant_joined").await["data"]["id"],
        json!(bob.participant)
    );

    // The worker's words reach everybody, partials and events.
    let partial = json!({"segmentId": "s", "revision": 1, "final": false});
    let event = world.store_state(RecordingState::Recording).await;
    let last = event.seq;
    let StoredEvent {
        seq,
        kind,
        at,
        data,
    } = event;
    worker
        .publish(
            world.meeting,
            &Published::Event {
                seq,
                kind,
                at,
                data,
            },
        )
        .expect("the broker is there");
    let live = Published::Live {
        kind: "transcript_update".into(),
        data: partial.clone(),
        to: None,
    };
    worker
        .publish(world.meeting, &live)
        .expect("the broker is there");
    for client in [&mut first, &mut second] {
        assert_eq!(client.next_of("recording_state").await["seq"], json!(last));
        assert_eq!(client.next_of("transcript_update").await["data"], partial);
    }

    // An offer finds the worker; so does a withdrawal, before the log.
    let answering = tokio::spawn(async move {
        let mut withdrawn = false;
        while !withdrawn {
            let (ask, responder) = serving.recv().await.expect("asked");
            withdrawn = matches!(ask, Ask::Withdraw { journal: false, .. });
            responder.reply(match ask {
                Ask::Withdraw { .. } => Reply::Withdrawn { journalled: false },
                Ask::Signal { .. } => Reply::Error {
                    code: RefusalCode::WebRtcUnavailable,
                    message: "no".into(),
                },
                _ => Reply::Done,
            });
        }
        serving
    });
    first
        .send(json!({"type": "offer", "id": "o", "data": {"sdp": "v=0"}}))
        .await;
    assert_eq!(
        first.next_of("error").await["data"]["code"],
        "webrtc_unavailable"
    );
    let withdraw = json!({"type": "consent", "id": "w", "data": {"consentType": "recording", "status": "withdrawn"}});
    first.send(withdraw).await;
    assert_eq!(first.next_of("consent_updated").await["re"], "w");
    assert_eq!(
        first.next_of("consent_updated").await["seq"],
        json!(last + 1)
    );
    assert!(second.next_of("consent_updated").await.get("seq").is_none());
    assert_eq!(
        second.next_of("consent_updated").await["seq"],
        json!(last + 1)
    );
    let serving = answering.await.expect("answered");

    // A newer socket in the other process replaces the older.
    let (mut third, _) = other.join(&world, ana).await;
    assert_eq!(first.rest().await.1, Some(4010));

    // Without a broker: logged, told here at once, and elsewhere when the heads are read.
    broker.kill().await;
    let carol = world.invite("Carol").await;
    let (mut fourth, _) = one.join(&world, carol).await;
    let decline = json!({"type": "consent", "id": "w", "data": {"consentType": "recording", "status": "declined"}});
    third.send(decline).await;
    let answer = third.next_of("consent_updated").await;
    assert_eq!(answer["re"], "w");
    let committed = third.next_of("consent_updated").await;
    let seq = committed["seq"].as_i64().expect("committed");
    for client in [&mut second, &mut fourth] {
        let got = client.up_to(seq).await;
        let got = seqs(&got);
        assert!(got.windows(2).all(|pair| pair[1] == pair[0] + 1), "{got:?}");
    }
    drop(serving);

    // Removed through the other process, with nobody to say so: closed when the head is read, and
    // nothing more is heard.
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let effects = remove(&mut tx, world.meeting, carol.participant, Removal::Request)
        .await
        .expect("removed");
    tx.commit().await.expect("commits");
    other.state.publish(world.meeting, effects);
    let closed = tokio::time::timeout(Duration::from_secs(30), fourth.rest());
    let (got, code) = closed.await.expect("nobody else would close it");
    assert_eq!(
        (got.last().expect("told")["type"].as_str(), code),
        (Some("participant_left"), Some(4003))
    );
}
