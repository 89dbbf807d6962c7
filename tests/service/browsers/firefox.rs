//! Debian's Firefox: a guest who talks and reads, and a host who plays.

use super::{
    meeting,
    person::{Desk, Person, READY_MAX, ROOM, places},
    session,
    voice::{self, Tail},
};
use crate::{
    browser::{RATE, packages},
    support::{Scratch, server::Server},
};
use hansard_client::tone;
use serde_json::json;
use std::{
    net::UdpSocket,
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The script, and some sentences behind it.
const VOICE: Duration = Duration::from_secs(120);
/// Of the words that are read, so many in a hundred are those that were said: of who speaks past
/// Firefox, and through it.
const RIGHT: usize = 80;
const RIGHT_THROUGH_FIREFOX: usize = 50;
/// Speech is louder than this somewhere, and silence is not.
const AUDIBLE: f64 = 0.02;
/// For documentation (RFC 5737): an address of no network.
const ELSEWHERE: (&str, u16) = ("198.51.100.1", 9);

/// A server whose media this machine does not reach by loopback: Firefox has no path there from its
/// other addresses, and does not offer loopback itself.
fn serve(data: &Path) -> Server {
    let own = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| {
        // Nothing is sent. Where a packet would leave is all that this finds out.
        socket.connect(ELSEWHERE)?;
        socket.local_addr()
    });
    let own = own
        .expect("Firefox needs an address that is not loopback, and a route")
        .ip();
    let own = own.to_string();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--s3-listen",
        "127.0.0.1:0",
        "--rtp-bind",
        "0.0.0.0",
        "--rtp-public-ip",
        &own,
    ];
    Server::start("serve", data, &arguments, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_in_firefox_talks_reads_and_plays() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let server = serve(data.path());
    let client = server.client();
    let (host, id, link) = meeting(&client).await;
    let path = scratch.path().join("david.wav");
    voice::write(&path, "David", Tail::Sentences, VOICE).await;
    let desk = Desk {
        voice: Some(&path),
        once: true,
        firefox: true,
        ..Desk::default()
    };
    let mut david = Person::at(&packages, &desk);
    david.join_listening(&link, "David", "agree").await;

    // Emma speaks another way, so what is read of her is not Firefox's doing.
    let emma = client.create_user("emma@example.org", "Emma").await;
    let emma = client
        .join(&id, &emma.expect("a user"))
        .await
        .expect("joins");
    client
        .consent(&emma.consent_token, &id, "recording_ai", "accepted")
        .await
        .expect("agrees");
    let stop = CancellationToken::new();
    voice::send(&client, &id, &emma, "Emma", stop.clone()).await;
    david.hears(&["Emma"]).await;
    voice::until_read(&mut david, "Emma", RIGHT).await;

    david.click("#mute").await;
    david
        .until(ROOM, "return element.room.media", |state| {
            *state == "connected"
        })
        .await;
    voice::until_read(&mut david, "David", RIGHT_THROUGH_FIREFOX).await;
    let faults = david.step(json!({"step": "faults"})).await;
    assert_eq!(faults, json!([]));
    client.end(&id).await.expect("ends");
    david.wait("text=The meeting has ended").await;
    stop.cancel();
    let deadline = Instant::now() + READY_MAX;
    let recordings = client.wait_recordings_ready(&id, deadline).await;
    let recordings = recordings.expect("ready");
    let people = client.participants(&id).await.expect("people");
    let own = people
        .iter()
        .find(|person| person["displayName"] == "David")
        .and_then(|person| person["id"].as_str());
    let track = recordings
        .iter()
        .find(|recording| recording.kind == "track" && recording.participant_id.as_deref() == own)
        .expect("his track");
    let path = scratch.path().join(&track.id);
    let bytes = client.download(&track.id).await.expect("downloads");
    std::fs::write(&path, bytes).expect("there is room");
    let decoding = tokio::task::spawn_blocking(move || tone::decode(&path, RATE));
    let samples = decoding.await.expect("no panic").expect("plays");
    let loud = samples
        .chunks(RATE as usize / 10)
        .filter(|part| tone::rms(part) > AUDIBLE)
        .count();
    println!(
        "{loud} tenths of a second of his voice, of {:?} ms",
        track.duration_ms
    );
    assert!(loud > 20, "{loud} tenths of a second of his voice");
    client
        .wait_transcript_complete(&id, deadline)
        .await
        .expect("complete");

    david.goto(&session(&client, &host).await).await;
    david.click("button").await;
    david.click("hansard-meeting-list li a").await;
    david.plays().await;
    david.leave().await;
    server.terminate();
}

/// Whoever tries it on the server's own machine, with the defaults.
#[tokio::test(flavor = "multi_thread")]
async fn firefox_is_told_why_nothing_gets_through_to_a_loopback_address() {
    let _place = places(1).await;
    let packages = packages().await;
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let (_, id, link) = meeting(&client).await;
    let desk = Desk {
        firefox: true,
        ..Desk::default()
    };
    let mut david = Person::at(&packages, &desk);
    david.join_listening(&link, "David", "agree").await;
    david.wait("text=which Firefox does not use").await;
    client.end(&id).await.expect("ends");
    david.wait("text=The meeting has ended").await;
    server.terminate();
}
