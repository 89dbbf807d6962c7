//! Tokens that observe one meeting: what their holders hear, and what not.

use super::world::{World, seqs, updated};
use chrono::TimeDelta;
use hansard::{
    api::token::TokenUse,
    domain::{
        event::Event,
        id::StreamId,
        participant::{Address, StreamSeen},
        stream::{MediaKind, MediaSource, StreamState},
    },
};
use serde_json::{Value, json};

fn observing(world: &World, ttl_s: i64) -> String {
    let now = world.clock.now();
    let minted = world
        .keys
        .mint_reader(TokenUse::Observe, world.tenant, world.meeting, ttl_s, now);
    minted.token
}

/// Somebody who sends, with where it is received.
fn sending() -> Event {
    let Event::ParticipantUpdated(mut person) = updated("Ana") else {
        unreachable!("it is one")
    };
    person.streams.push(StreamSeen {
        stream_id: StreamId(hansard::store::new_id()),
        kind: MediaKind::Audio,
        source: MediaSource::Microphone,
        state: StreamState::Open,
        reason: None,
        media: None,
        media_reason: None,
        muted: false,
        address: Some(Address {
            ip: "::1".into(),
            port: 9,
        }),
    });
    Event::ParticipantUpdated(person)
}

async fn refused(world: &World, data: Value) -> (String, Option<u16>) {
    let mut client = world.api().await.connect().await;
    client
        .send(json!({"type": "join_room", "id": "j", "data": data}))
        .await;
    let (messages, code) = client.rest().await;
    let said = messages[0]["data"]["code"].as_str().unwrap_or_default();
    (said.to_owned(), code)
}

#[tokio::test]
async fn an_onlooker_hears_what_comes_and_is_nobody() {
    let world = World::new().await;
    let api = world.api().await;
    let ana = world.invite("Ana").await;
    let (mut first, _) = api.join(&world, ana).await;
    let before = world.store_update("told before the token").await;
    first.up_to(before.seq).await;
    let token = observing(&world, 600);

    let mut onlooker = api.connect().await;
    let joined = onlooker.join(json!({"token": token, "lastSeq": 0})).await;
    assert_eq!(joined["participantId"], Value::Null);
    assert_eq!(joined["resumeToken"], Value::Null);
    assert_eq!(joined["consentToken"], Value::Null);
    assert_eq!(joined["participants"].as_array().map(Vec::len), Some(1));
    for (kind, data) in [
        ("mute", json!({"source": "microphone", "muted": true})),
        (
            "consent",
            json!({"consentType": "recording", "status": "accepted"}),
        ),
        ("offer", json!({"sdp": "v=0\r\n"})),
    ] {
        onlooker
            .send(json!({"type": kind, "id": kind, "data": data}))
            .await;
        // The first that it hears: nothing of what was told before the token was minted.
        let answer = onlooker.next().await.expect("an answer");
        assert_eq!(
            (&answer["re"], &answer["data"]["code"]),
            (&json!(kind), &json!("forbidden"))
        );
    }
    let bob = world.invite("Bob").await;
    let (_second, _) = api.join(&world, bob).await;
    let heard = onlooker.next_of("participant_joined").await;
    assert_eq!(heard["data"]["displayName"], "Bob");
    first.next_of("participant_joined").await;
    let (_, theirs) = api.join(&world, bob).await;
    assert_eq!(
        theirs["participants"].as_array().map(Vec::len),
        Some(2),
        "an onlooker is no participant"
    );

    // It comes again as it came, and has what it missed.
    drop(onlooker);
    let missed = world.store_update("missed").await;
    let mut again = api.connect().await;
    let token = json!({"token": token, "lastSeq": heard["seq"]});
    again.join(token).await;
    let told = again.up_to(missed.seq).await;
    assert_eq!(seqs(&told).last(), Some(&missed.seq));
}

#[tokio::test]
async fn an_onlooker_does_not_learn_where_media_is_received() {
    let world = World::new().await;
    let api = world.api().await;
    let mut onlooker = api.connect().await;
    onlooker
        .join(json!({"token": observing(&world, 600)}))
        .await;
    let (mut server, _) = api.observe(&world).await;
    let stored = world.store_event(sending()).await;
    let of = |told: Vec<Value>| {
        let last = told.last().expect("it came").clone();
        last["data"]["streams"][0].get("address").is_some()
    };
    assert!(of(server.up_to(stored.seq).await));
    assert!(!of(onlooker.up_to(stored.seq).await));
}

#[tokio::test]
async fn a_token_runs_out_and_is_good_for_one_use() {
    let world = World::new().await;
    let api = world.api().await;
    let mut short = api.connect().await;
    short.join(json!({"token": observing(&world, 5)})).await;
    let (messages, code) = short.rest().await;
    assert_eq!(code, Some(4003));
    let last = messages.last().expect("it says why");
    assert_eq!(last["data"]["code"], "unauthorized", "{last}");

    let (tenant, meeting, now) = (world.tenant, world.meeting, world.clock.now());
    let play = world
        .keys
        .mint_reader(TokenUse::Play, tenant, meeting, 60, now)
        .token;
    let unauthorized = ("unauthorized".to_owned(), Some(4003));
    assert_eq!(refused(&world, json!({"token": play})).await, unauthorized);
    let then = now - TimeDelta::hours(2);
    let expired = world
        .keys
        .mint_reader(TokenUse::Observe, tenant, meeting, 60, then)
        .token;
    assert_eq!(
        refused(&world, json!({"token": expired})).await,
        unauthorized
    );
}
