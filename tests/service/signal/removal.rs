//! Removal, as sockets see it.

use super::world::World;
use hansard::{
    command::{leave, readmit, remove},
    domain::participant::Removal,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_removed_participant_is_closed_and_stays_out() {
    let world = World::new().await;
    let api = world.api().await;
    let guest = world.invite("Ana").await;
    let (mut client, joined) = api.join(&world, guest).await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let gone = remove::remove(&mut tx, world.meeting, guest.participant, Removal::Request)
        .await
        .expect("removed");
    tx.commit().await.expect("commits");
    // Nobody is told: whoever has the socket finds the event.
    drop(gone);
    let (got, code) = client.rest().await;
    assert_eq!(
        (got[0]["type"].as_str(), code),
        (Some("participant_left"), Some(4003))
    );
    for data in [
        json!({"token": world.token(guest)}),
        json!({"resumeToken": joined["resumeToken"]}),
    ] {
        let mut client = api.connect().await;
        client
            .send(json!({"type": "join_room", "data": data}))
            .await;
        let (got, code) = client.rest().await;
        assert_eq!(
            (got[0]["data"]["code"].as_str(), code),
            (Some("removed"), Some(4003))
        );
    }
}

#[tokio::test]
async fn a_removal_closes_also_who_is_absent_for_the_store_and_is_undone() {
    let world = World::new().await;
    let api = world.api().await;
    let guest = world.invite("Ana").await;
    let (mut client, _) = api.join(&world, guest).await;
    // Its worker did not hear of the socket for 30 s.
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    drop(
        leave::leave(&mut tx, world.meeting, guest.participant)
            .await
            .expect("left"),
    );
    tx.commit().await.expect("commits");
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    drop(
        remove::remove(&mut tx, world.meeting, guest.participant, Removal::Request)
            .await
            .expect("removed"),
    );
    tx.commit().await.expect("commits");
    let (got, code) = client.rest().await;
    assert_eq!(
        (got.last().expect("told")["type"].as_str(), code),
        (Some("participant_updated"), Some(4003))
    );

    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let back = readmit::readmit(&mut tx, world.meeting, guest.participant)
        .await
        .expect("readmitted");
    tx.commit().await.expect("commits");
    assert_eq!(
        (back.events.len(), &back.events[0].data["removed"]),
        (1, &Value::Null)
    );
    let mut old = api.connect().await;
    old.send(json!({"type": "join_room", "data": {"token": world.keys.mint_join(guest, guest.minted).token}})).await;
    assert_eq!(old.rest().await.1, Some(4003), "old tokens stay void");
    let (mut client, _) = api.join(&world, guest).await;
    client.send(json!({"type": "ping"})).await;
    assert_eq!(client.next_of("pong").await["type"], "pong");
}
