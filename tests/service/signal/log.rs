//! The ConsentLog as rows.

use super::world::World;
use chrono::Timelike;
use hansard::{
    command,
    domain::{
        consent::{Broken, ConsentStatus, ConsentType},
        id::{ConsentId, ParticipantId},
    },
    store::{StoreError, consent, consent::ConsentDecision, new_id, owner, presence},
};
use sqlx::Connection;
use std::collections::BTreeSet;

pub fn decision(
    world: &World,
    participant: ParticipantId,
    status: ConsentStatus,
) -> ConsentDecision {
    ConsentDecision {
        meeting: world.meeting,
        participant,
        id: ConsentId(new_id()),
        consent_type: ConsentType::RecordingAi,
        status,
        actor: "self".into(),
        statement: Some("Gladly, \"all\" of it.\n".into()),
        timestamp: world.clock.now(),
        once: None,
    }
}

#[tokio::test]
async fn thirty_two_writers_make_one_chain_and_no_hole() {
    let world = std::sync::Arc::new(World::new().await);
    let guest = world.invite("Ana").await;
    let writers: Vec<_> = (0..32)
        .map(|n| {
            let world = world.clone();
            tokio::spawn(async move {
                let status = if n % 3 == 0 {
                    ConsentStatus::Withdrawn
                } else {
                    ConsentStatus::Accepted
                };
                let statement = Some(format!("{n}"));
                let decision = ConsentDecision {
                    statement,
                    ..decision(&world, guest.participant, status)
                };
                // Every one twice, as a retry would.
                for again in [false, true] {
                    let mut tx = world
                        .store
                        .tenant_tx(world.tenant)
                        .await
                        .expect("Postgres answers");
                    let said = command::consent::record(&mut tx, &decision)
                        .await
                        .expect("said");
                    tx.commit().await.expect("commits");
                    assert_eq!(said.effects.events.is_empty(), again);
                    assert_eq!(said.entry.id, decision.id);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let log = consent::whole(&mut tx, world.meeting).await.expect("read");
    assert_eq!(
        log.iter().map(|entry| entry.entry).collect::<Vec<_>>(),
        (1..=32).collect::<Vec<_>>()
    );
    assert_eq!(
        log.iter()
            .map(|entry| &entry.prev_hash)
            .collect::<BTreeSet<_>>()
            .len(),
        32,
        "no fork"
    );
    assert!(
        log.iter()
            .all(|entry| entry.timestamp.nanosecond() % 1_000_000 == 0)
    );
    let head = consent::verify(&mut tx, world.meeting)
        .await
        .expect("read")
        .expect("the chain holds");
    assert_eq!(Some(&head), log.last().map(|entry| &entry.hash));
    let events = world.all_events().await;
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        (1..=32).collect::<Vec<_>>()
    );
    assert!(
        events
            .iter()
            .zip(&log)
            .all(|(event, entry)| event.data == entry.event().data())
    );
    let person = presence::person(&mut tx, world.meeting, guest.participant)
        .await
        .expect("read");
    assert_eq!(
        person.consent.recording,
        log.last().map(|entry| entry.status)
    );
    assert_eq!(
        consent::above(&mut tx, world.meeting, 30, 50)
            .await
            .expect("read"),
        log[30..]
    );
}

#[tokio::test]
async fn the_log_refuses_changes_and_what_an_owner_changed_shows() {
    let world = World::new().await;
    let guest = world.invite("Ana").await;
    for status in [ConsentStatus::Accepted, ConsentStatus::Withdrawn] {
        let mut tx = world
            .store
            .tenant_tx(world.tenant)
            .await
            .expect("Postgres answers");
        command::consent::record(&mut tx, &decision(&world, guest.participant, status))
            .await
            .expect("said");
        tx.commit().await.expect("commits");
    }
    for change in [
        "update consent_log set status = 'accepted'",
        "delete from consent_log",
        "truncate consent_log cascade",
    ] {
        for as_owner in [false, true] {
            let mut conn = owner(&world.url).await.expect("Postgres answers");
            if !as_owner {
                sqlx::query("set role hansard_worker")
                    .execute(&mut conn)
                    .await
                    .expect("a role");
            }
            assert!(
                sqlx::query(change).execute(&mut conn).await.is_err(),
                "{change} as owner: {as_owner}"
            );
        }
    }
    // Somebody who owns the database can switch triggers off; the chain tells.
    let mut conn = owner(&world.url).await.expect("Postgres answers");
    let mut tx = conn.begin().await.expect("begins");
    sqlx::query("set local session_replication_role = replica")
        .execute(&mut *tx)
        .await
        .expect("a superuser may");
    sqlx::query("update consent_log set status = 'accepted' where entry = 2")
        .execute(&mut *tx)
        .await
        .expect("done");
    assert_eq!(
        consent::verify(&mut tx, world.meeting).await.expect("read"),
        Err(Broken::Content(2))
    );
    sqlx::query("delete from consent_log where entry = 2")
        .execute(&mut *tx)
        .await
        .expect("done");
    assert_eq!(
        consent::verify(&mut tx, world.meeting).await.expect("read"),
        Err(Broken::Order(2))
    );
}

#[tokio::test]
async fn an_id_is_good_for_one_saying_and_a_stranger_says_nothing() {
    let world = World::new().await;
    let (ana, bob) = (world.invite("Ana").await, world.invite("Bob").await);
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let first = decision(&world, ana.participant, ConsentStatus::Accepted);
    command::consent::record(&mut tx, &first)
        .await
        .expect("said");
    let stolen = ConsentDecision {
        participant: bob.participant,
        ..first
    };
    assert!(matches!(
        command::consent::record(&mut tx, &stolen).await,
        Err(StoreError::Conflict { .. })
    ));
    let stranger = decision(&world, ParticipantId(new_id()), ConsentStatus::Accepted);
    assert!(matches!(
        command::consent::record(&mut tx, &stranger).await,
        Err(StoreError::Conflict { .. })
    ));
}
