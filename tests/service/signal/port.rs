//! Ports that outlive their streams, as rows.

use super::world::World;
use hansard::{
    domain::{
        codec::{AudioCodec, Codec},
        id::{ParticipantId, StreamId},
        stream::{CloseReason, MediaKind, MediaSource, Transport},
    },
    store::{
        new_id, port,
        requested_stream::{self, RequestedStream},
        stream,
    },
};
use std::collections::BTreeSet;

const NODE: &str = "192.0.2.1";
const PORT: u16 = 20_000;

fn asked(world: &World, id: StreamId, participant: ParticipantId) -> RequestedStream {
    RequestedStream {
        id,
        tenant: world.tenant,
        meeting: world.meeting,
        participant,
        transport: Transport::Rtp,
        kind: MediaKind::Audio,
        source: MediaSource::Microphone,
        codec: Codec::Audio(AudioCodec::Opus),
        payload_type: 111,
        red_payload_type: None,
        clock_rate: 48_000,
        ssrc: None,
        remote: None,
        relatch: false,
        srtp_suite: None,
        srtp_sealed: None,
    }
}

/// A guess would show a camera as a microphone.
#[tokio::test]
async fn what_a_row_says_and_nobody_knows_is_an_error() {
    let world = World::new().await;
    let ana = world.invite("Ana").await.participant;
    let id = StreamId(new_id());
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let asked = asked(&world, id, ana);
    assert!(
        requested_stream::insert(&mut tx, &asked)
            .await
            .expect("written")
    );
    let live = stream::live(&mut tx, world.meeting).await.expect("read");
    assert_eq!(
        (live[0].kind, live[0].source, live[0].codec),
        (asked.kind, asked.source, asked.codec)
    );
    sqlx::query("update streams set source = 'telescope' where meeting_id = $1")
        .bind(world.meeting.0)
        .execute(&mut *tx)
        .await
        .expect("written");
    let error = stream::live(&mut tx, world.meeting)
        .await
        .expect_err("not known");
    assert!(format!("{error:?}").contains("\"telescope\""), "{error:?}");
    let listed = requested_stream::list(&mut tx, world.meeting, None, None, 10).await;
    assert!(listed.is_err(), "{listed:?}");
}

/// Its row goes with the end of its rest, so that a worker that starts later has nothing to drain.
#[tokio::test]
async fn a_port_that_has_rested_is_nobodys_over_a_restart_too() {
    let world = World::new().await;
    let (ana, bob) = (
        world.invite("Ana").await.participant,
        world.invite("Bob").await.participant,
    );
    let (id, next) = (StreamId(new_id()), StreamId(new_id()));
    let asked = asked(&world, id, ana);
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    assert!(
        requested_stream::insert(&mut tx, &asked)
            .await
            .expect("written")
    );
    tx.commit().await.expect("commits");
    let senders = ["127.0.0.1:5000".to_owned()];
    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    stream::opened(&mut tx, world.meeting, id, NODE, PORT)
        .await
        .expect("written");
    assert_eq!(
        port::left(&mut tx, NODE).await.expect("read"),
        BTreeSet::new()
    );
    port::rested(&mut tx, NODE, PORT, &senders)
        .await
        .expect("written");
    assert_eq!(
        port::held(&mut tx, NODE, next).await.expect("read"),
        [PORT].into(),
        "its stream lives"
    );
    stream::closed(&mut tx, world.meeting, id, CloseReason::Request)
        .await
        .expect("written");
    // A worker that starts now drains it.
    assert_eq!(
        port::left(&mut tx, NODE).await.expect("read"),
        [PORT].into()
    );
    assert_eq!(
        port::held(&mut tx, NODE, next).await.expect("read"),
        [PORT].into()
    );
    port::rested(&mut tx, NODE, PORT, &senders)
        .await
        .expect("written");
    assert_eq!(
        port::left(&mut tx, NODE).await.expect("read"),
        BTreeSet::new()
    );
    assert_eq!(
        port::held(&mut tx, NODE, next).await.expect("read"),
        BTreeSet::new()
    );
    // Who still sent there is not whoever gets it next.
    let foreign = port::foreign(&mut tx, NODE, bob).await.expect("read");
    assert_eq!(foreign, [(PORT, senders[0].parse().expect("an address"))]);
    assert_eq!(port::foreign(&mut tx, NODE, ana).await.expect("read"), []);
}
