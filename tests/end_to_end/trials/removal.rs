//! Who is out stays out, whatever is away: sockets close, the link refuses, old tokens are void,
//! and it can be undone.

use super::{
    room::{Room, SOON, signal_url},
    site::Site,
    support::{Scratch, eventually},
};
use hansard_client::{
    rest::{Client, Joined},
    signal::{Entry, Signal},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Instant;

async fn status(
    client: &Client,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> u16 {
    match client.call(method, path, token, body).await {
        Ok(_) => 200,
        Err(error) => error.status().expect("it answers"),
    }
}

/// Removed through one `api`, connected to another, with the broker killed or frozen: only the log
/// can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_guest_is_out_without_the_broker() {
    let mut site = Site::with_broker().await;
    let folders = [(); 3].map(|()| Scratch::new());
    let worker = site.worker(folders[0].path());
    let (here, there) = (site.api(folders[1].path()), site.api(folders[2].path()));
    let key = super::support::key(&site.database).await;
    let client = Client::new(here.url(), &key).expect("the address is well-formed");
    let other = Client::new(there.url(), &key).expect("the address is well-formed");
    let room = Room::open(&client, super::room::recording_only()).await;
    let host = client.meeting(&room.id).await.expect("is there")["hostId"]
        .as_str()
        .expect("an id")
        .to_owned();
    let session = client
        .post(
            &format!("/v1/users/{host}/sessions"),
            json!({"ttlSeconds": 600}),
        )
        .await
        .expect("made");
    let session = session["token"].as_str().expect("a token").to_owned();
    let join = format!("/v1/meetings/{}/join", room.id);
    let mut guests = Vec::new();
    for n in 0..6 {
        let made = client
            .post(
                &format!("/v1/meetings/{}/links", room.id),
                json!({"role": "participant"}),
            )
            .await;
        let url = made.expect("a link")["url"]
            .as_str()
            .expect("an address")
            .to_owned();
        let link = url.split_once('#').expect("a fragment").1.to_owned();
        let body = Some(json!({"displayName": format!("Guest {n}")}));
        let joined = client
            .call(Method::POST, &join, &link, body)
            .await
            .expect("joins");
        let joined: Joined = serde_json::from_value(joined).expect("as the contract has it");
        let entry = Entry::Token(joined.token.clone());
        let signal = Signal::connect(&signal_url(&client), &entry, None)
            .await
            .expect("joins");
        guests.push((link, joined, signal));
    }

    let mut took = Vec::new();
    let mut out = Vec::new();
    for (n, (link, joined, signal)) in guests.into_iter().enumerate() {
        let broker = site.broker.as_mut().expect("there is one");
        match n {
            0 => broker.kill().await,
            3 => {
                broker.restart().await;
                broker.freeze(true);
            }
            _ => {}
        }
        let path = format!(
            "/v1/meetings/{}/participants/{}",
            room.id, joined.participant_id
        );
        // By the host and by the key.
        let by = if n % 2 == 0 { &session } else { &key };
        assert_eq!(status(&other, Method::DELETE, &path, by, None).await, 200);
        let removed = Instant::now();
        let closed = signal.ended().await.expect("it is closed");
        assert_eq!(closed.code, Some(4003), "{closed:?}");
        took.push(closed.at.saturating_duration_since(removed));
        for at in [&client, &other] {
            let body = Some(json!({"displayName": "Somebody"}));
            assert_eq!(
                status(at, Method::POST, &join, &link, body).await,
                403,
                "the link"
            );
            let meeting = format!("/v1/meetings/{}", room.id);
            assert_eq!(
                status(at, Method::GET, &meeting, &joined.token, None).await,
                401,
                "the token"
            );
        }
        out.push((path, link, joined));
    }
    took.sort();
    // The interface promises a second.
    println!(
        "closed after {took:?}, in the middle {:?}",
        took[took.len() / 2]
    );
    site.broker.as_mut().expect("there is one").freeze(false);

    // Taken back by either, also with Postgres away in between: refused as long as that, and
    // nothing half done.
    site.cluster.stop().await;
    let (path, ..) = &out[0];
    let answer = reqwest::Client::new()
        .post(format!("{}{path}/readmit", there.url()))
        .bearer_auth(&key)
        .send()
        .await;
    let answer = answer.expect("answers");
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after")
        ),
        (503, true)
    );
    site.cluster.restart().await;
    eventually("the database is back", SOON, async || {
        client.meeting(&room.id).await.is_ok()
    })
    .await;
    for (n, (path, link, joined)) in out.iter().enumerate() {
        let by = if n % 2 == 0 { &key } else { &session };
        assert_eq!(
            status(&other, Method::POST, &format!("{path}/readmit"), by, None).await,
            200
        );
        let body = Some(json!({"displayName": "Somebody"}));
        assert_eq!(
            status(&client, Method::POST, &join, link, body).await,
            200,
            "the link is open again"
        );
        let meeting = format!("/v1/meetings/{}", room.id);
        assert_eq!(
            status(&client, Method::GET, &meeting, &joined.token, None).await,
            401,
            "the old token stays void"
        );
    }
    drop((worker, here, there));
}
