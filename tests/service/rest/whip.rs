//! Publishing by WHIP: its tokens, and what of RFC 9725 is the API's.

use super::app::{ANSWER, Answer, App, OFFER, id, request, text, text_request};
use hansard::{
    domain::id::{MeetingId, ParticipantId},
    queue::message::{Ask, WhipAsk},
};
use serde_json::{Value, json};
use uuid::Uuid;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const RESTART: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";

async fn publish(app: &App, meeting: MeetingId, token: &str, kind: &str, body: &str) -> Answer {
    let path = format!("/v1/meetings/{meeting}/whip");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let body = body.to_owned();
    app.send(text_request("POST", &path, &headers, kind, body))
        .await
}

async fn change(app: &App, path: &str, token: &str, tag: Option<&str>, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(tag.map(|tag| ("if-match", tag)));
    let body = body.to_owned();
    app.send(text_request("PATCH", path, &headers, FRAGMENT, body))
        .await
}

async fn present(app: &App, meeting: MeetingId, participant: ParticipantId) -> Value {
    let path = format!("/v1/meetings/{meeting}/participants");
    let listed = app.get(&path).await.expect(200);
    let listed = listed["data"].as_array().expect("a list").clone();
    let of = listed
        .into_iter()
        .find(|one| one["id"] == participant.to_string());
    of.expect("it is there")["present"].clone()
}

#[tokio::test]
async fn a_session_is_published_changed_and_ended() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let path = format!(
        "/v1/meetings/{meeting}/participants/{}/whip-token",
        joined.participant
    );
    let made = app
        .post(&path, json!({"ttlSeconds": 86_400}))
        .await
        .expect(201);
    assert_eq!(
        made["url"],
        format!("https://hansard.example.org/v1/meetings/{meeting}/whip")
    );
    let token = text(&made["token"]);
    assert_eq!(present(&app, meeting, joined.participant).await, false);

    let mut worker = app.worker(meeting).await;
    let answer = publish(&app, meeting, &token, SDP, OFFER).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.text, ANSWER);
    assert_eq!(answer.header("content-type"), SDP);
    assert_eq!(answer.header("accept-patch"), FRAGMENT);
    assert_eq!(answer.header("etag"), "\"srvr\"");
    let location = answer.header("location").to_owned();
    let session = location
        .strip_prefix(&format!("{}/", text(&made["url"])))
        .expect("below the endpoint");
    let asked = worker
        .heard(|ask| match ask {
            Ask::Whip {
                participant,
                session,
                asks: WhipAsk::Publish { sdp },
            } => Some((participant, session.to_string(), sdp)),
            _ => None,
        })
        .await;
    assert_eq!(
        asked,
        (joined.participant, session.to_owned(), OFFER.to_owned())
    );
    assert_eq!(present(&app, meeting, joined.participant).await, true);

    let path = location
        .strip_prefix("https://hansard.example.org")
        .expect("ours");
    change(&app, path, &token, None, "")
        .await
        .problem(428, "precondition_required");
    change(&app, path, &token, Some("srvr"), "")
        .await
        .problem(412, "precondition_failed");
    change(&app, path, &token, Some("W/\"srvr\""), "")
        .await
        .problem(412, "precondition_failed");
    change(&app, path, &token, Some("*"), "a=end-of-candidates\r\n")
        .await
        .problem(422, "invalid");
    change(&app, path, &token, Some("*"), "nonsense")
        .await
        .problem(422, "invalid");
    let taken = change(&app, path, &token, Some("\"srvr\""), "a=candidate:1\r\n").await;
    assert_eq!((taken.status, taken.text.as_str()), (204, ""));
    let restarted = change(&app, path, &token, Some("*"), RESTART).await;
    assert_eq!(restarted.status, 200, "{}", restarted.text);
    assert_eq!(restarted.header("content-type"), FRAGMENT);
    assert_eq!(restarted.header("etag"), "\"srvr\"");
    assert!(restarted.text.contains("a=ice-ufrag:srvr\r\n"));
    assert!(!restarted.text.contains("v=0"));
    let asked = worker
        .heard(|ask| match ask {
            Ask::Whip {
                asks: WhipAsk::Restart { ufrag, password },
                ..
            } => Some((ufrag, password)),
            _ => None,
        })
        .await;
    assert_eq!(asked.0, "8hhY");
    assert_eq!(asked.1, "asd88fgpdd777uzjYhagZg");

    let ended = app.call("DELETE", path, &token, None).await;
    assert_eq!((ended.status, ended.text.as_str()), (200, ""));
    let closed = |ask| {
        matches!(
            ask,
            Ask::Whip {
                asks: WhipAsk::Close,
                ..
            }
        )
        .then_some(())
    };
    worker.heard(closed).await;
    // Nobody holds the meeting any more: no session is left.
    drop(worker);
    crate::support::eventually(
        "it is over",
        std::time::Duration::from_secs(10),
        async || app.call("DELETE", path, &token, None).await.status == 404,
    )
    .await;
}

#[tokio::test]
async fn what_is_no_offer_makes_nobody_present() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    let token = app.whip_token(meeting, joined.participant).await;
    let _worker = app.worker(meeting).await;
    publish(&app, meeting, &token, "application/json", "{}")
        .await
        .problem(415, "unsupported_media_type");
    publish(&app, meeting, &token, SDP, &"x".repeat(70_000))
        .await
        .problem(413, "too_large");
    for (sdp, says) in [
        ("", "v=0"),
        (&OFFER.replace("a=fingerprint", "a=x"), "fingerprint"),
        (&OFFER.replace("sendonly", "recvonly"), "sends"),
        (&OFFER.replace("m=audio", "m=application"), "data channels"),
    ] {
        let problem = publish(&app, meeting, &token, SDP, sdp)
            .await
            .problem(422, "invalid");
        assert!(problem.to_string().contains(says), "{says}: {problem}");
    }
    let path = format!("/v1/meetings/{meeting}/whip");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    app.send(text_request("POST", &path, &headers, SDP, vec![0xff, 0xfe]))
        .await
        .problem(400, "bad_request");
    app.send(request("POST", &path, &headers, None))
        .await
        .problem(415, "unsupported_media_type");
    assert_eq!(present(&app, meeting, joined.participant).await, false);
}

#[tokio::test]
async fn a_token_publishes_and_nothing_else_and_ends_with_a_removal() {
    let app = App::start().await;
    let (ana, bob, eve) = (
        app.user("Ana").await,
        app.user("Bob").await,
        app.user("Eve").await,
    );
    let meeting = app.meeting(ana).await;
    let (own, other) = (app.join(meeting, bob).await, app.join(meeting, eve).await);
    let tokens = |participant: ParticipantId| {
        format!("/v1/meetings/{meeting}/participants/{participant}/whip-token")
    };
    let day = json!({"ttlSeconds": 86_400});
    for ttl in [0, -1, 86_401] {
        app.post(&tokens(own.participant), json!({"ttlSeconds": ttl}))
            .await
            .points_at(&["/ttlSeconds"]);
    }
    app.post(&tokens(ParticipantId(Uuid::now_v7())), day.clone())
        .await
        .problem(404, "not_found");
    let path = tokens(other.participant);
    app.call("POST", &path, &own.token, Some(day.clone()))
        .await
        .problem(403, "forbidden");
    let path = tokens(own.participant);
    let made = app
        .call("POST", &path, &own.token, Some(day.clone()))
        .await
        .expect(201);
    let token = text(&made["token"]);
    let _worker = app.worker(meeting).await;
    // Its holder does nothing else with it, not even say no.
    app.say(meeting, &token, "recording", "withdrawn")
        .await
        .problem(403, "forbidden");
    app.call("GET", &format!("/v1/meetings/{meeting}"), &token, None)
        .await
        .problem(403, "forbidden");
    assert_eq!(publish(&app, meeting, &token, SDP, OFFER).await.status, 201);
    publish(&app, meeting, &own.token, SDP, OFFER)
        .await
        .problem(403, "forbidden");

    let one = format!("/v1/meetings/{meeting}/participants/{}", own.participant);
    app.call("DELETE", &one, &app.key, None).await.expect(204);
    publish(&app, meeting, &token, SDP, OFFER)
        .await
        .problem(401, "unauthorized");
    app.post(&path, day.clone()).await.problem(403, "removed");
    app.post(&format!("{one}/readmit"), json!({}))
        .await
        .expect(200);
    publish(&app, meeting, &token, SDP, OFFER)
        .await
        .problem(401, "unauthorized");

    // Who is erased publishes no more.
    let erased = app.whip_token(meeting, other.participant).await;
    app.post(
        &format!("/v1/users/{eve}/erasure"),
        json!({"reason": "asked for"}),
    )
    .await
    .expect(202);
    publish(&app, meeting, &erased, SDP, OFFER)
        .await
        .problem(401, "unauthorized");

    app.call(
        "PUT",
        &format!("/v1/meetings/{meeting}/end"),
        &app.key,
        None,
    )
    .await
    .expect(200);
    app.post(&path, day).await.problem(409, "ended");
}

#[tokio::test]
async fn a_meeting_only_for_who_agreed_takes_nobody_else() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app
        .meeting_with(ana, json!({"consentPolicy": "required"}))
        .await;
    let joined = app.join(meeting, ana).await;
    let token = app.whip_token(meeting, joined.participant).await;
    let _worker = app.worker(meeting).await;
    let problem = publish(&app, meeting, &token, SDP, OFFER)
        .await
        .problem(403, "consent_required");
    assert_eq!(
        problem["consentRequired"],
        json!(["recording", "transcription"])
    );
    app.say(meeting, &joined.token, "recording_ai", "accepted")
        .await
        .expect(201);
    assert_eq!(publish(&app, meeting, &token, SDP, OFFER).await.status, 201);
    let other = app.meeting(ana).await;
    publish(&app, other, &token, SDP, OFFER)
        .await
        .problem(403, "forbidden");
    let ended = app.post("/v1/meetings", json!({"hostId": ana})).await;
    let ended = MeetingId(id(&ended.expect(201)));
    let joined = app.join(ended, ana).await;
    let token = app.whip_token(ended, joined.participant).await;
    app.call("PUT", &format!("/v1/meetings/{ended}/end"), &app.key, None)
        .await
        .expect(200);
    publish(&app, ended, &token, SDP, OFFER)
        .await
        .problem(409, "ended");
}
