//! From the upgrade to `joined`: who gets in, and what everybody hears of it.

use super::{
    support::eventually,
    world::{Hello, World, seqs},
};
use chrono::TimeDelta;
use hansard::{api::secret::Secret, store::new_id};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn only_the_right_upgrade_is_answered() {
    let world = World::new().await;
    let api = world.api().await;
    let own = format!("http://{}", api.address);
    let known = format!("Bearer {}", world.key.reveal());
    let unknown = format!(
        "Bearer {}",
        Secret::random(Secret::API_KEY).expect("random").reveal()
    );
    let session = world
        .keys
        .mint_session(world.tenant, world.host, 600, world.clock.now())
        .token;
    let cookie = format!("hansard_session={session}");
    let v1 = Some("hansard.v1");
    for (status, hello) in [
        (
            101,
            Hello {
                protocol: v1,
                ..Hello::default()
            },
        ),
        (
            101,
            Hello {
                protocol: Some("other, hansard.v1"),
                ..Hello::default()
            },
        ),
        (
            101,
            Hello {
                protocol: v1,
                origin: Some(&own),
                ..Hello::default()
            },
        ),
        (
            101,
            Hello {
                protocol: v1,
                origin: Some("https://app.example.org"),
                ..Hello::default()
            },
        ),
        (
            101,
            Hello {
                protocol: v1,
                authorization: Some(known.clone()),
                ..Hello::default()
            },
        ),
        (400, Hello::default()),
        (
            400,
            Hello {
                protocol: Some("hansard.v2"),
                ..Hello::default()
            },
        ),
        (
            403,
            Hello {
                protocol: v1,
                origin: Some("https://evil.example"),
                ..Hello::default()
            },
        ),
        (
            403,
            Hello {
                protocol: v1,
                origin: Some("null"),
                authorization: Some(known),
                ..Hello::default()
            },
        ),
        (
            403,
            Hello {
                protocol: v1,
                origin: Some("https://evil.example"),
                cookie: Some(&cookie),
                ..Hello::default()
            },
        ),
        (
            401,
            Hello {
                protocol: v1,
                authorization: Some(unknown),
                ..Hello::default()
            },
        ),
        (
            401,
            Hello {
                protocol: v1,
                authorization: Some(format!("Bearer {session}")),
                ..Hello::default()
            },
        ),
        (
            401,
            Hello {
                protocol: v1,
                authorization: Some("Basic aGs6".into()),
                ..Hello::default()
            },
        ),
    ] {
        let said = format!(
            "{:?} {:?} {:?}",
            hello.protocol, hello.origin, hello.authorization
        );
        let answer = api.open(hello).await;
        let got = answer
            .as_ref()
            .map_or_else(|refused| refused.status().as_u16(), |_| 101);
        assert_eq!(got, status, "{said}");
        if let Err(refused) = answer {
            assert_eq!(
                refused.headers()["content-type"],
                "application/problem+json",
                "{said}"
            );
        }
    }
    // A cookie gives no right: its socket is nobody's.
    let mut client = api
        .open(Hello {
            protocol: v1,
            origin: Some(&own),
            cookie: Some(&cookie),
            ..Hello::default()
        })
        .await;
    let client = client.as_mut().expect("upgraded");
    client
        .send(json!({"type": "join_room", "data": {"meetingId": world.meeting}}))
        .await;
    let (got, code) = client.rest().await;
    assert_eq!(
        (got[0]["data"]["code"].as_str(), code),
        (Some("forbidden"), Some(4003))
    );
}

#[tokio::test]
async fn who_does_not_join_in_time_is_closed() {
    let world = World::new().await;
    let api = world.api().await;
    let mut client = api.connect().await;
    client.send(json!({"type": "consent", "id": 7, "data": {"consentType": "recording", "status": "accepted"}})).await;
    client.send(json!({"type": "ping", "id": "p"})).await;
    let (got, code) = client.rest().await;
    assert_eq!(code, Some(4001));
    assert_eq!(
        (&got[0]["re"], &got[0]["data"]["code"]),
        (&json!(7), &json!("not_joined"))
    );
    assert_eq!(got[1], json!({"type": "pong", "re": "p", "data": {}}));
    eventually(
        "the socket is let go of",
        Duration::from_secs(5),
        async || api.signal.open() == 0,
    )
    .await;
}

#[tokio::test]
async fn tokens_that_do_not_stand_are_refused() {
    let world = World::new().await;
    let api = world.api().await;
    let guest = world.invite("Ana").await;
    let now = world.clock.now();
    let old = world
        .keys
        .mint_join(guest, now - TimeDelta::seconds(700))
        .token;
    let resume = world.keys.mint_resume(guest, now);
    let consent = world.keys.mint_consent(guest, now);
    let nobody = world
        .keys
        .mint_join(
            hansard::api::token::Subject {
                participant: new_id().into(),
                ..guest
            },
            now,
        )
        .token;
    for (data, code) in [
        (json!({"token": "x"}), "unauthorized"),
        (json!({"token": old}), "unauthorized"),
        (json!({"token": resume}), "unauthorized"),
        (json!({"token": consent}), "unauthorized"),
        (json!({"resumeToken": world.token(guest)}), "unauthorized"),
        (json!({"resumeToken": resume}), "absent"),
        (json!({"token": nobody}), "not_found"),
        (json!({"meetingId": world.meeting}), "forbidden"),
    ] {
        let mut client = api.connect().await;
        client
            .send(json!({"type": "join_room", "data": data}))
            .await;
        let (got, close) = client.rest().await;
        assert_eq!(
            (got[0]["data"]["code"].as_str(), close),
            (Some(code), Some(4003)),
            "{data}"
        );
    }
    let mut observer = api.observer(&world).await;
    observer
        .send(json!({"type": "join_room", "data": {"meetingId": new_id()}}))
        .await;
    assert_eq!(observer.rest().await.1, Some(4003));
    // One that is not understood may be said better.
    let mut client = api.connect().await;
    client.send(json!({"type": "join_room", "data": {}})).await;
    assert_eq!(
        client.next().await.expect("an answer")["data"]["code"],
        "invalid"
    );
    client.join(json!({"token": world.token(guest)})).await;
}

#[tokio::test]
async fn joining_answers_with_the_room_and_tells_the_others() {
    let world = World::new().await;
    let api = world.api().await;
    let (ana, bob) = (world.invite("Ana").await, world.invite("Bob").await);
    let (mut first, joined) = api.join(&world, ana).await;
    assert_eq!(joined["participantId"], json!(ana.participant));
    assert_eq!(joined["seq"], 1);
    assert_eq!(
        joined["consent"],
        json!({"recording": null, "transcription": null})
    );
    assert_eq!(joined["recording"]["state"], "waiting");
    assert_eq!(joined["iceServers"][0]["urls"][0], "stun:stun.example.org");
    let relay = &joined["iceServers"][1];
    assert_eq!(relay["urls"], json!(["turn:turn.example.org"]));
    let name = relay["username"].as_str().expect("a name");
    assert!(name.ends_with(joined["participantId"].as_str().expect("an id")));
    assert!(
        relay["credential"]
            .as_str()
            .is_some_and(|proof| proof.len() == 28)
    );
    let (mut second, theirs) = api.join(&world, bob).await;
    let names: Vec<_> = theirs["participants"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| &p["displayName"])
        .collect();
    assert_eq!(names, ["Ana", "Bob"]);
    let told = first.next().await.expect("told");
    assert_eq!(
        (&told["type"], &told["seq"]),
        (&json!("participant_joined"), &json!(2))
    );
    assert_eq!(told["data"]["id"], json!(bob.participant));
    assert!(told.get("re").is_none() && told["data"].get("streams").is_some());

    second
        .send(json!({"type": "join_room", "data": {"token": "again"}}))
        .await;
    assert_eq!(
        second.next().await.expect("an answer")["data"]["code"],
        "already_joined"
    );
    second.send(json!({"type": "leave"})).await;
    let (_, code) = second.rest().await;
    assert_eq!(code, Some(1000));
    let left = first.next().await.expect("told");
    assert_eq!(
        (&left["type"], &left["data"]["present"]),
        (&json!("participant_left"), &json!(false))
    );

    // The resume token stands while its participant is present, and gives a new one.
    let resume = joined["resumeToken"].clone();
    drop(first);
    let mut again = api.connect().await;
    let resumed = again
        .join(json!({"resumeToken": resume, "lastSeq": 1}))
        .await;
    assert_eq!(resumed["participantId"], json!(ana.participant));
    assert_eq!(seqs(&again.up_to(3).await), [2, 3]);
    let mut gone = api.connect().await;
    gone.send(json!({"type": "join_room", "data": {"resumeToken": theirs["resumeToken"]}}))
        .await;
    assert_eq!(gone.rest().await.1, Some(4003));
}

/// A page that is loaded anew, or opened twice: the same participant, and its newest socket counts.
#[tokio::test]
async fn a_guest_that_comes_again_takes_its_own_place() {
    let world = World::new().await;
    let api = world.api().await;
    let client = reqwest::Client::new();
    let post = async |path: String, token: &str, body: serde_json::Value| -> serde_json::Value {
        let url = format!("http://{}{path}", api.address);
        let asked = client.post(url).bearer_auth(token).json(&body);
        let answer = asked.send().await.expect("it answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json().await.expect("JSON")
    };
    let meeting = world.meeting;
    let made = post(
        format!("/v1/meetings/{meeting}/links"),
        world.key.reveal(),
        json!({"role": "participant"}),
    )
    .await;
    let url = made["url"].as_str().expect("text").to_owned();
    let (_, link) = url.split_once('#').expect("a fragment");
    let join = format!("/v1/meetings/{meeting}/join");
    let first = post(join.clone(), link, json!({"displayName": "Ana"})).await;
    let mut tab = api.connect().await;
    let joined = tab.join(json!({"token": first["token"]})).await;
    // From REST or from the socket: both are the page's to keep.
    for token in [&first["consentToken"], &joined["consentToken"]] {
        let again = post(join.clone(), link, json!({"consentToken": token})).await;
        assert_eq!(again["participantId"], first["participantId"]);
        let mut next = api.connect().await;
        let came = next.join(json!({"token": again["token"]})).await;
        assert_eq!(came["participantId"], first["participantId"]);
        assert_eq!(came["participants"].as_array().map(Vec::len), Some(1));
        assert_eq!(came["participants"][0]["displayName"], "Ana");
        assert_eq!(tab.rest().await.1, Some(4010));
        tab = next;
    }
}
