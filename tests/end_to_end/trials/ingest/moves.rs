//! Senders that move, begin anew, say goodbye, or have a neighbour.

use super::*;
use std::sync::Mutex;

/// One meeting, and in it everything that senders do in the field.
#[tokio::test(flavor = "multi_thread")]
async fn senders_that_move_begin_anew_or_have_neighbours_are_heard_or_told() {
    let data = Scratch::new();
    let server = serve(data.path(), 40);
    let room = Room::open(&server.client()).await;
    tokio::join!(
        moves_under_srtp(&room),
        moves_with_leave(&room),
        moves_without_leave(&room),
        stray_before_the_first(&room),
        reopens_with_the_same_ssrc(&room),
        changes_its_ssrc(&room),
        uses_another_ssrc_than_announced(&room),
        goes_on_after_goodbye(&room),
        has_a_neighbour(&room),
    );
    let tracks = room.end().await;
    assert!(
        tracks
            .iter()
            .any(|(whose, samples)| whose == "mix" && !samples.is_empty())
    );
    // Every scenario has left its expectations with the one tone that its participant said.
    for expected in EXPECTED.lock().expect("no holder panics").drain(..) {
        let heard = audible_ms(track(&tracks, &expected.guest), expected.hz);
        assert!(
            expected.ms.contains(&heard),
            "{}: {heard} ms, not {:?}",
            expected.what,
            expected.ms
        );
        if let Some(other) = expected.never {
            assert!(
                is_absent(track(&tracks, &expected.guest), other),
                "{}: another's sound",
                expected.what
            );
        }
    }
    server.terminate();
}

struct Expected {
    what: &'static str,
    guest: Joined,
    hz: f64,
    ms: std::ops::RangeInclusive<usize>,
    never: Option<f64>,
}

static EXPECTED: Mutex<Vec<Expected>> = Mutex::new(Vec::new());

fn expect(
    what: &'static str,
    guest: Joined,
    hz: f64,
    ms: std::ops::RangeInclusive<usize>,
    never: Option<f64>,
) {
    EXPECTED.lock().expect("no holder panics").push(Expected {
        what,
        guest,
        hz,
        ms,
        never,
    });
}

async fn moves_under_srtp(room: &Room) {
    let guest = room.guest("Mia").await;
    let more = json!({"ssrc": 101, "srtp": {"suite": "AES_CM_128_HMAC_SHA1_80"}});
    let stream = room.stream(&guest, more).await.expect("a port");
    let mut voice = Voice::new(&stream, 101, 400.0).await;
    voice.speaks(s(3)).await;
    voice.moves().await;
    voice.speaks(s(3)).await;
    let from = voice.socket.local_addr().expect("bound").port();
    assert_eq!(room.listed(&stream).await["from"]["port"], from);
    expect("another port under SRTP", guest, 400.0, 5_000..=6_200, None);
}

async fn moves_with_leave(room: &Room) {
    let guest = room.guest("Pia").await;
    let stream = room
        .stream(&guest, json!({"ssrc": 102, "relatch": true}))
        .await
        .expect("a port");
    let mut voice = Voice::new(&stream, 102, 500.0).await;
    voice.speaks(s(3)).await;
    voice.moves().await;
    voice.speaks(s(6)).await;
    expect("another port with leave", guest, 500.0, 6_000..=7_300, None);
}

async fn moves_without_leave(room: &Room) {
    let guest = room.guest("Noa").await;
    let stream = room
        .stream(&guest, json!({"ssrc": 103}))
        .await
        .expect("a port");
    let mut voice = Voice::new(&stream, 103, 600.0).await;
    voice.speaks(s(3)).await;
    let first = std::mem::replace(
        &mut voice.socket,
        UdpSocket::bind((LOOPBACK, 0)).await.expect("a port"),
    );
    tokio::join!(
        voice.speaks(s(14)),
        room.until_told(&stream, "stalled", Some("other_source"))
    );
    let listed = room.listed(&stream).await;
    assert_eq!(
        (&listed["media"], &listed["mediaReason"]),
        (&json!("stalled"), &json!("other_source")),
        "{listed}"
    );
    assert!(
        listed["dropped"]["source"]
            .as_u64()
            .is_some_and(|count| count > 500),
        "{listed}"
    );
    // Back where it was, it is heard again, and that is told.
    voice.socket = first;
    voice.speaks(s(2)).await;
    assert_eq!(room.listed(&stream).await["media"], "receiving");
    let back = ("receiving".to_owned(), None);
    eventually("that it is back is told", SOON, async || {
        room.told(&stream).last() == Some(&back)
    })
    .await;
    expect(
        "another port without leave",
        guest,
        600.0,
        4_300..=5_300,
        None,
    );
}

async fn stray_before_the_first(room: &Room) {
    let guest = room.guest("Gus").await;
    let more = json!({"ssrc": 104, "srtp": {"suite": "AEAD_AES_128_GCM"}});
    let stream = room.stream(&guest, more).await.expect("a port");
    let mut voice = Voice::new(&stream, 104, 700.0).await;
    // The right SSRC and payload type, far ahead of what comes, and nothing that proves itself.
    let mut stray = Voice::new(&stream, 104, 3_000.0).await;
    (stray.srtp, stray.sequence) = (None, voice.sequence.wrapping_add(20_000));
    stray.speaks(Duration::from_millis(100)).await;
    tokio::join!(voice.speaks(s(4)), stray.speaks(s(4)));
    let listed = room.listed(&stream).await;
    assert!(
        listed["dropped"]["unauthentic"]
            .as_u64()
            .is_some_and(|count| count > 150),
        "{listed}"
    );
    expect(
        "a stray before the first packet",
        guest,
        700.0,
        3_500..=4_200,
        Some(3_000.0),
    );
}

async fn reopens_with_the_same_ssrc(room: &Room) {
    let guest = room.guest("Ben").await;
    let stream = room
        .stream(&guest, json!({"ssrc": 105}))
        .await
        .expect("a port");
    let mut voice = Voice::new(&stream, 105, 900.0).await;
    voice.speaks(s(2)).await;
    let again = room
        .stream(&guest, json!({"ssrc": 105}))
        .await
        .expect("it takes the place of the other");
    assert_ne!(again.port, stream.port);
    room.until_told(&stream, "closed", Some("replaced")).await;
    let mut anew = Voice::new(&again, 105, 900.0).await;
    tokio::join!(anew.speaks(s(2)), voice.speaks(s(1)));
    expect("a stream opened again", guest, 900.0, 3_500..=4_300, None);
}

async fn changes_its_ssrc(room: &Room) {
    let guest = room.guest("Tom").await;
    let stream = room.stream(&guest, json!({})).await.expect("a port");
    let mut voice = Voice::new(&stream, 106, 1_000.0).await;
    voice.speaks(s(2)).await;
    let mut stranger = Voice::new(&stream, 107, 3_100.0).await;
    (voice.ssrc, voice.sequence, voice.timestamp) =
        (fastrand::u32(200..), fastrand::u16(..), fastrand::u32(..));
    tokio::join!(voice.speaks(s(3)), stranger.speaks(s(3)));
    assert_eq!(room.listed(&stream).await["ssrc"], voice.ssrc);
    expect("a new SSRC", guest, 1_000.0, 4_300..=5_300, Some(3_100.0));
}

async fn uses_another_ssrc_than_announced(room: &Room) {
    let guest = room.guest("Uli").await;
    let stream = room
        .stream(&guest, json!({"ssrc": 108}))
        .await
        .expect("a port");
    let mut voice = Voice::new(&stream, 108, 1_200.0).await;
    voice.speaks(s(2)).await;
    voice.ssrc = 109;
    tokio::join!(
        voice.speaks(s(13)),
        room.until_told(&stream, "stalled", Some("other_ssrc"))
    );
    expect(
        "another SSRC than announced",
        guest,
        1_200.0,
        1_500..=2_300,
        None,
    );
}

async fn goes_on_after_goodbye(room: &Room) {
    let guest = room.guest("Bea").await;
    let stream = room
        .stream(&guest, json!({"ssrc": 110}))
        .await
        .expect("a port");
    let mut voice = Voice::new(&stream, 110, 1_400.0).await;
    voice.speaks(s(2)).await;
    voice.reports(true).await;
    voice.speaks(s(7)).await;
    assert_eq!(room.listed(&stream).await["state"], "open");
    voice.reports(true).await;
    room.until_told(&stream, "closed", Some("bye")).await;
    expect(
        "a goodbye that was none",
        guest,
        1_400.0,
        8_300..=9_300,
        None,
    );
}

async fn has_a_neighbour(room: &Room) {
    let guest = room.guest("Nil").await;
    let stream = room
        .stream(&guest, json!({"ssrc": 111}))
        .await
        .expect("a port");
    let mut voice = Voice::new(&stream, 111, 1_500.0).await;
    voice.speaks(s(1)).await;
    let mut neighbour = Voice::new(&stream, 111, 3_200.0).await;
    neighbour.reports(false).await;
    neighbour.reports(true).await;
    tokio::join!(voice.speaks(s(8)), async {
        neighbour.speaks(s(1)).await;
        neighbour.reports(true).await;
    });
    assert_eq!(room.listed(&stream).await["state"], "open");
    expect(
        "a neighbour's goodbye",
        guest,
        1_500.0,
        8_300..=9_300,
        Some(3_200.0),
    );
}
