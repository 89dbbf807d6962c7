//! Few ports, and senders that never stop.

use super::*;
use hansard_client::rest::CallError;

async fn assert_refused(room: &Room, guest: &Joined) {
    let refused = room
        .stream(guest, json!({}))
        .await
        .expect_err("no port is free");
    assert_eq!(refused.status(), Some(503), "{refused}");
    assert!(
        matches!(
            refused,
            CallError::Refused {
                retry_after: Some(1..),
                ..
            }
        ),
        "{refused:?}"
    );
}

/// A meeting that is over, with its only stream, whose sender does not stop.
async fn ended_while_its_sender_goes_on(client: &Client, hz: f64) -> (Stream, JoinHandle<()>) {
    let room = Room::open(client).await;
    let ana = room.guest("Ana").await;
    let stream = room.stream(&ana, json!({"ssrc": 7})).await.expect("a port");
    let voice = Voice::new(&stream, 7, hz).await.goes_on();
    room.until_told(&stream, "receiving", None).await;
    client.end(&room.id).await.expect("ends");
    (stream, voice)
}

/// The only port is its participant's again at once, whether its stream goes on or was closed, and
/// nobody else's; nothing of who else sends there is ever heard.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_port_is_its_participants_again_and_nobody_elses() {
    let (hz, hz_other) = (500.0, 2_900.0);
    let data = Scratch::new();
    let server = serve(data.path(), 1);
    let client = server.client();
    let room = Room::open(&client).await;
    let (ana, ben) = (room.guest("Ana").await, room.guest("Ben").await);
    let first = room.stream(&ana, json!({"ssrc": 7})).await.expect("a port");
    let mut says = Voice::new(&first, 7, hz).await;
    says.speaks(s(1)).await;
    let other = Voice::new(&first, 7, hz_other).await.goes_on();
    says.speaks(s(1)).await;
    assert_refused(&room, &ben).await;
    let second = room
        .stream(&ana, json!({"ssrc": 7}))
        .await
        .expect("the port of the stream whose place it takes");
    assert_eq!(second.port, first.port);
    room.until_told(&first, "closed", Some("replaced")).await;
    says.speaks(s(2)).await;
    client
        .delete_stream(&room.id, &second.stream_id)
        .await
        .expect("closes");
    assert_refused(&room, &ben).await;
    let third = room
        .stream(&ana, json!({}))
        .await
        .expect("the same after the stream was closed");
    assert_eq!(third.port, first.port);
    says.moves().await;
    says.speaks(s(2)).await;
    let tracks = room.end().await;
    for (whose, samples) in &tracks {
        assert!(
            is_absent(samples, hz_other),
            "another's sound is in {whose}"
        );
    }
    let heard = audible_ms(track(&tracks, &ana), hz);
    assert!((5_000..=6_200).contains(&heard), "{heard} ms of 6,000");
    // Somebody still sends there: the next meeting is told that there is no port.
    let later = Room::open(&client).await;
    assert_refused(&later, &later.guest("Cleo").await).await;
    other.abort();
    server.terminate();
}

/// The same with a second port: the next meeting has that, and is whole.
#[tokio::test(flavor = "multi_thread")]
async fn with_two_ports_the_next_meeting_is_whole() {
    let (hz_a, hz_b) = (500.0, 1_300.0);
    let data = Scratch::new();
    let server = serve(data.path(), 2);
    let client = server.client();
    let (of_ana, voice) = ended_while_its_sender_goes_on(&client, hz_a).await;
    let later = Room::open(&client).await;
    let ben = later.guest("Ben").await;
    let of_ben = later
        .stream(&ben, json!({"ssrc": 7}))
        .await
        .expect("the other port");
    assert_ne!(of_ben.port, of_ana.port);
    Voice::new(&of_ben, 7, hz_b).await.speaks(s(4)).await;
    let tracks = later.end().await;
    voice.abort();
    for (whose, samples) in &tracks {
        assert!(
            is_absent(samples, hz_a),
            "the earlier meeting's sound is in {whose}"
        );
    }
    let heard = audible_ms(track(&tracks, &ben), hz_b);
    assert!((3_500..=4_200).contains(&heard), "{heard} ms of 4,000");
    server.terminate();
}

/// The same with no second port: the next meeting is told so, for as long as the earlier one's
/// sender goes on.
#[tokio::test(flavor = "multi_thread")]
async fn with_one_port_the_next_meeting_is_refused() {
    let data = Scratch::new();
    let server = serve(data.path(), 1);
    let client = server.client();
    let (_, voice) = ended_while_its_sender_goes_on(&client, 500.0).await;
    let later = Room::open(&client).await;
    assert_refused(&later, &later.guest("Ben").await).await;
    voice.abort();
    server.terminate();
}
