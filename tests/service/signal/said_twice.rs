//! One withdrawal by two ways, with one key: on the socket and by REST, whichever comes second. What
//! was said between the two stands.

use super::{
    consent::{Notice, worker},
    support::postgres::Cluster,
    world::{Api, Client, PATIENCE, World},
};
use hansard::{
    api::token::Subject,
    domain::settings::MeetingSettings,
    queue::message::Ask,
    store::consent::{self, Entry},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Instant};

/// By REST, as a page says it.
async fn by_rest(world: &World, api: &Api, guest: Subject, key: &str, status: &str) -> Value {
    let token = world.keys.mint_consent(guest, world.clock.now());
    let body = json!({"meetingId": world.meeting, "consentType": "recording_ai", "status": status});
    let answer = reqwest::Client::new()
        .post(format!("http://{}/v1/users/consent", api.address))
        .bearer_auth(token)
        .header("idempotency-key", key)
        .json(&body)
        .send()
        .await
        .expect("answers");
    assert_eq!(answer.status(), 201);
    answer.json().await.expect("JSON")
}

/// On the socket, until it is answered.
async fn by_socket(client: &mut Client, re: &str, key: &str) -> Value {
    let data = json!({"consentType": "recording_ai", "status": "withdrawn", "idempotencyKey": key});
    client
        .send(json!({"type": "consent", "id": re, "data": data}))
        .await;
    loop {
        let message = client.next().await.expect("an answer");
        if message["re"] == re {
            assert_eq!(message["type"], "consent_updated", "{message}");
            return message["data"].clone();
        }
    }
}

fn acted(notice: &Notice) -> BTreeSet<String> {
    let heard = notice.lock().expect("no holder panics");
    let ids = heard.iter().filter_map(|ask| match ask {
        Ask::Withdraw { id, .. } => Some(id.to_string()),
        _ => None,
    });
    ids.collect()
}

async fn log(world: &World) -> Vec<Entry> {
    let mut tx = world.store.tenant_tx(world.tenant).await;
    let tx = tx.as_mut().expect("Postgres answers");
    consent::whole(tx, world.meeting).await.expect("read")
}

#[tokio::test]
async fn whichever_comes_second_neither_acts_nor_is_told() {
    const COPIES: usize = 5;
    for socket_first in [true, false] {
        let world = World::new().await;
        let api = world.api().await;
        let heard = worker(&world).await;
        let guest = world.invite("Ana").await;
        let (mut ana, _) = api.join(&world, guest).await;
        let (mut bob, _) = api.join(&world, world.invite("Bob").await).await;
        by_rest(&world, &api, guest, "first", "accepted").await;
        let first = if socket_first {
            by_socket(&mut ana, "w", "key").await
        } else {
            by_rest(&world, &api, guest, "key", "withdrawn").await
        };
        // What is told at once is not written yet.
        while log(&world).await.len() < 2 {
            tokio::task::yield_now().await;
        }
        by_rest(&world, &api, guest, "second", "accepted").await;
        for n in 0..COPIES {
            let again = if socket_first {
                by_rest(&world, &api, guest, "key", "withdrawn").await
            } else {
                by_socket(&mut ana, &format!("again {n}"), "key").await
            };
            assert_eq!(again["id"], first["id"]);
        }
        // Another key is another withdrawal.
        let last = by_socket(&mut ana, "last", "other key").await;
        let mut told = Vec::new();
        while told.last() != Some(&json!(["withdrawn", last["id"], true])) {
            let message = bob.next_of("consent_updated").await;
            let data = &message["data"];
            told.push(json!([data["status"], data["id"], data["entry"].is_i64()]));
        }
        let statuses: Vec<&Value> = told.iter().map(|told| &told[0]).collect();
        let once_logged = ["accepted", "withdrawn", "accepted", "withdrawn"];
        assert_eq!(log(&world).await.len(), once_logged.len());
        let twice_told = told.iter().filter(|told| told[2] == false).count();
        assert!(
            twice_told <= 2,
            "each at most before it is written: {told:?}"
        );
        assert_eq!(statuses.len() - twice_told, once_logged.len(), "{told:?}");
        let both = [&first["id"], &last["id"]].map(|id| id.as_str().expect("an id").to_owned());
        assert_eq!(acted(&heard), both.into());
    }
}

#[tokio::test]
async fn copies_that_come_at_once_are_all_answered() {
    const ROUNDS: usize = 20;
    const COPIES: usize = 6;
    let world = World::new().await;
    let api = world.api().await;
    let guest = world.invite("Ana").await;
    for round in 0..ROUNDS {
        let key = format!("key {round}");
        by_rest(&world, &api, guest, &format!("yes {round}"), "accepted").await;
        let copies = (0..COPIES).map(|_| by_rest(&world, &api, guest, &key, "withdrawn"));
        let entries = futures_util::future::join_all(copies).await;
        assert!(entries.iter().all(|entry| entry["id"] == entries[0]["id"]));
    }
    assert_eq!(log(&world).await.len(), 2 * ROUNDS);
}

#[tokio::test]
async fn what_was_told_before_it_was_known_for_a_copy_is_set_right() {
    let cluster = Cluster::start().await;
    let world = World::on(&cluster, MeetingSettings::default()).await;
    let api = world.api().await;
    let heard = worker(&world).await;
    let guest = world.invite("Ana").await;
    let (mut ana, _) = api.join(&world, guest).await;
    for (key, status) in [("a", "accepted"), ("key", "withdrawn"), ("b", "accepted")] {
        by_rest(&world, &api, guest, key, status).await;
    }
    let before = acted(&heard);
    cluster.freeze(true).await;
    let data =
        json!({"consentType": "recording_ai", "status": "withdrawn", "idempotencyKey": "key"});
    ana.send(json!({"type": "consent", "id": "w", "data": data}))
        .await;
    // Whether it is a copy cannot be found out now, so it acts.
    let begun = Instant::now();
    while acted(&heard) == before {
        assert!(begun.elapsed() < PATIENCE, "it does not act");
        tokio::task::yield_now().await;
    }
    loop {
        let told = ana.next_of("consent_updated").await;
        if told["re"] == "w" {
            assert!(told["data"].get("entry").is_none(), "{told}");
            break;
        }
    }
    cluster.freeze(false).await;
    let accepted = json!({"recording": "accepted", "transcription": "accepted"});
    while ana.next_of("participant_updated").await["data"]["consent"] != accepted {}
    assert_eq!(log(&world).await.len(), 3);
}
