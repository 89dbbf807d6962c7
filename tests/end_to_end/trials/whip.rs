//! Publishing by WHIP: the same path as a browser's, whoever wrote the client.

use super::{
    room::{Guest, Room, SOON, serve},
    site::{speech, until_final},
    sound,
    support::{Scratch, eventually},
    webrtc::until_replaced,
};
use hansard_client::{meeting::Meeting, peer::Peer, wer};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What a guest publishes with: the address and the token.
async fn token(room: &Room, guest: &Guest) -> (String, String) {
    let path = format!(
        "/v1/meetings/{}/participants/{}/whip-token",
        room.id, guest.id
    );
    let made = room.client.post(&path, json!({"ttlSeconds": 600})).await;
    let made = made.expect("a token");
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    (text("url"), text("token"))
}

async fn send(
    method: Method,
    url: &str,
    token: &str,
    body: Option<(&str, String)>,
    tag: Option<&str>,
) -> Response {
    let mut request = reqwest::Client::new()
        .request(method, url)
        .bearer_auth(token);
    if let Some((kind, text)) = body {
        request = request.header("content-type", kind).body(text);
    }
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    request.send().await.expect("it answers")
}

fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_else(|| panic!("{name} is missing"))
        .to_owned()
}

/// A publisher that is connected, with its session's address and entity tag.
async fn publish(url: &str, token: &str) -> (Peer, String, String) {
    let mut peer = Peer::bind(LOOPBACK).await.expect("a port");
    let offer = peer.offer().expect("an offer");
    let deadline = Instant::now() + SOON;
    let answer = loop {
        let body = Some((SDP, offer.clone()));
        let answer = send(Method::POST, url, token, body, None).await;
        // A busy server may have no time to answer.
        if answer.status() != 503 || Instant::now() > deadline {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(answer.status(), 201);
    let (session, tag) = (header(&answer, "location"), header(&answer, "etag"));
    peer.accept(&answer.text().await.expect("text"))
        .expect("an answer");
    peer.connect(SOON).await.expect("connects");
    (peer, session, tag)
}

async fn streams(room: &Room) -> Vec<Value> {
    let path = format!("/v1/meetings/{}/streams", room.id);
    room.client.list(&path).await.expect("lists")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_by_whip_is_recorded_and_captioned_and_a_restart_keeps_it() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"language": "en"})).await;
    let (david, frank) = (
        room.guest_who("David", "accepted").await,
        room.guest_who("Frank", "declined").await,
    );
    let (url, his) = token(&room, &david).await;
    let (_, other) = token(&room, &frank).await;
    // Nobody has a socket: the first of them starts the meeting.
    let (mut speaker, session, tag) = publish(&url, &his).await;
    let (mut silent, ..) = publish(&url, &other).await;
    let (from, to) = (5_400, 15_300);
    let stop = CancellationToken::new();
    let (frames, declined) = (speech("David", from, to), speech("Frank", 0, 9_000));
    let (spoken, unheard) = tokio::join!(
        speaker.speak(&frames, Instant::now(), &stop),
        silent.speak(&declined, Instant::now(), &stop)
    );
    spoken.expect("connected");
    unheard.expect("connected");
    // It goes on, as every client does: its checks, and its time stamps by the time that passes.
    // Until both sentences are heard: a tone right after the second would be taken for its end.
    let silence = sound::hum(500.0, 60_000, &[(0, 60_000)]);
    tokio::select! {
        _ = until_final(&room, &david, 1) => {}
        over = speaker.speak(&silence, Instant::now(), &stop) => panic!("no words yet: {over:?}"),
    }

    // Another network, as RFC 9725 4.3.3 has it.
    let stale = send(
        Method::PATCH,
        &session,
        &his,
        Some((FRAGMENT, String::new())),
        Some("\"x\""),
    )
    .await;
    assert_eq!(stale.status(), 412);
    let trickled = send(
        Method::PATCH,
        &session,
        &his,
        Some((FRAGMENT, "a=end-of-candidates\r\n".to_owned())),
        Some(&tag),
    )
    .await;
    assert_eq!(trickled.status(), 204);
    speaker.roam().await.expect("a port");
    let offer = speaker.restart().expect("an offer");
    let credentials: Vec<&str> = offer
        .lines()
        .filter(|line| line.starts_with("a=ice-ufrag:") || line.starts_with("a=ice-pwd:"))
        .take(2)
        .collect();
    let fragment = credentials.join("\r\n") + "\r\n";
    let restarted = send(
        Method::PATCH,
        &session,
        &his,
        Some((FRAGMENT, fragment)),
        Some("*"),
    )
    .await;
    assert_eq!(restarted.status(), 200);
    assert_ne!(header(&restarted, "etag"), tag);
    let fragment = restarted.text().await.expect("text");
    assert!(
        fragment.contains("a=ice-pwd:") && fragment.contains("a=candidate:"),
        "{fragment}"
    );
    speaker.accept_fragment(&fragment).expect("an answer");
    speaker.connect(SOON).await.expect("connects");
    // What is sent before the new path is chosen is lost.
    let frames = sound::hum(500.0, 12_000, &[]);
    speaker
        .speak(&frames, Instant::now(), &stop)
        .await
        .expect("connected");

    let ended = send(Method::DELETE, &session, &his, None, None).await;
    assert_eq!(ended.status(), 200);
    eventually("its stream is over", SOON, async || {
        streams(&room).await[0]["state"] == "closed"
    })
    .await;
    let again = send(Method::DELETE, &session, &his, None, None).await;
    assert_eq!(again.status(), 404);
    let left = room.end().await;
    drop(silent);
    let said: String = Meeting::test_set("incident")
        .expect("the set")
        .utterances
        .iter()
        .filter(|utterance| {
            utterance.speaker == "David"
                && utterance.start_ms >= from as i64 - 400
                && utterance.end_ms <= to as i64 + 400
        })
        .map(|utterance| format!("{} ", utterance.text))
        .collect();
    let heard: String = left
        .segments_of(&david)
        .iter()
        .map(|segment| segment["text"].as_str().expect("text").to_owned() + " ")
        .collect();
    let errors = wer::compare(&said, &heard);
    assert!(
        errors.rate() <= 0.25,
        "{:.2} of {said:?} in {heard:?}",
        errors.rate()
    );
    assert!(left.track(&frank).is_none(), "he declined");
    assert_eq!(left.segments_of(&frank).len(), 0);
    let track = left.track(&david).expect("he agreed");
    let end = track.sound.end_ms();
    sound::assert_heard(
        &track.sound,
        500.0,
        end - 2_500,
        end - 500,
        "David on another network",
    );
    let kept = sound::kept(data.path(), &room.id, &declined).await;
    assert!(kept.is_empty(), "{kept:?}");
    server.terminate();
}

/// The newest connection of a participant counts, whichever way it came; a removal ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_takes_the_place_of_the_one_before_and_a_removal_ends_it() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let (url, token) = token(&room, &ana).await;
    let (mut first, before, _) = publish(&url, &token).await;
    let stop = CancellationToken::new();
    let frames = sound::hum(500.0, 1_000, &[]);
    first
        .speak(&frames, Instant::now(), &stop)
        .await
        .expect("connected");
    let (mut second, session, _) = publish(&url, &token).await;
    assert_ne!(before, session);
    second
        .speak(&frames, Instant::now(), &stop)
        .await
        .expect("connected");
    let gone = send(Method::DELETE, &before, &token, None, None).await;
    assert_eq!(gone.status(), 404, "it has no session any more");
    until_replaced(&room).await;
    let path = format!("/v1/meetings/{}/participants/{}", room.id, ana.id);
    client
        .call(Method::DELETE, &path, client.api_key(), None)
        .await
        .expect("removed");
    let deadline = Instant::now() + SOON;
    while !second.is_over() && Instant::now() < deadline {
        let _ = second.run(Instant::now() + Duration::from_millis(50)).await;
    }
    assert!(second.is_over(), "its connection is closed");
    let offer = Peer::bind(LOOPBACK)
        .await
        .expect("a port")
        .offer()
        .expect("an offer");
    let refused = send(Method::POST, &url, &token, Some((SDP, offer)), None).await;
    assert_eq!(refused.status(), 401);
    let left = room.end().await;
    let tracks = left
        .recordings
        .iter()
        .filter(|file| file.recording.kind == "track");
    assert_eq!(tracks.count(), 1, "one recording of both sessions");
    server.terminate();
}
