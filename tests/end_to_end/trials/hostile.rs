//! Who means harm by WebRTC: nothing of theirs is kept, others are not harmed, and who is known is
//! told.

use super::{
    room::{Guest, Room, SOON, offer, serve, socket},
    sound,
    support::{Scratch, eventually},
};
use hansard_client::{peer::Peer, signal::Signal};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A participant whose offer is changed on its way; and where the server listens.
async fn offers(
    room: &Room,
    guest: &Guest,
    change: impl Fn(String) -> String,
) -> (Signal, Peer, SocketAddr) {
    let mut signal = socket(room, guest).await;
    let mut peer = Peer::bind(LOOPBACK).await.expect("a port");
    let sdp = change(peer.offer().expect("an offer"));
    let answer = offer(&mut signal, &json!({"sdp": sdp}), |_| {}).await;
    assert_eq!(answer.kind(), "answer", "{:?}", answer.value);
    let sdp = answer.data()["sdp"].as_str().expect("text");
    peer.accept(sdp).expect("an answer");
    let candidate = sdp
        .lines()
        .find(|line| line.starts_with("a=candidate:") && line.contains(" udp "))
        .expect("it has one");
    let port = candidate.split(' ').nth(5).expect("a port");
    let at = (LOOPBACK, port.parse().expect("a port")).into();
    (signal, peer, at)
}

/// Datagrams of strangers, from many ports, until stopped. Answers with how many were sent.
fn flood(at: SocketAddr, stop: CancellationToken) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let mut sockets = Vec::new();
        for _ in 0..10 {
            sockets.push(UdpSocket::bind((LOOPBACK, 0)).await.expect("a port"));
        }
        // Checks of ICE, a ClientHello, RTP, RTCP, and nothing of the kind.
        let mut check = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        check.extend([7; 12]);
        check.extend([0, 6, 0, 4, b'a', b':', b'b', b'c']);
        let kinds: [Vec<u8>; 5] = [
            check,
            [
                &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 1][..],
                &[9; 99],
            ]
            .concat(),
            [&[0x80, 111, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4][..], &[0x78; 60]].concat(),
            [&[0x80, 200, 0, 6][..], &[1; 24]].concat(),
            vec![0xff; 1_200],
        ];
        let mut sent = 0;
        while !stop.is_cancelled() {
            for socket in &sockets {
                for datagram in &kinds {
                    let _ = socket.send_to(datagram, at).await;
                    sent += 1;
                }
            }
            // So that a server that gets no time for a while has room for what Ana sends.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        sent
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_impostors_leave_nothing_and_harm_nobody() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let (ana, eve) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Eve", "accepted").await,
    );
    let (_socket, mut speaker, at) = offers(&room, &ana, |offer| offer).await;
    speaker.connect(SOON).await.expect("connects");
    let stop = CancellationToken::new();
    let flooding = flood(at, stop.clone());

    // Whoever reads Eve's signaling, and offers in her name what it cannot prove.
    let (_other, mut impostor, _) = offers(&room, &eve, |offer| {
        let at = offer.find("a=fingerprint:sha-256 ").expect("it has one") + 22;
        let other = if offer[at..].starts_with("00") {
            "01"
        } else {
            "00"
        };
        format!("{}{other}{}", &offer[..at], &offer[at + 2..])
    })
    .await;
    let (frames, hers) = (sound::hum(500.0, 6_000, &[]), sound::hum(900.0, 2_000, &[]));
    let never = CancellationToken::new();
    let attacking = async {
        assert!(impostor.connect(Duration::from_secs(3)).await.is_err());
        // Without DTLS there is nothing to send it by.
        let _ = impostor.speak(&hers, Instant::now(), &never).await;
    };
    let (spoken, ()) = tokio::join!(speaker.speak(&frames, Instant::now(), &never), attacking);
    spoken.expect("connected");
    stop.cancel();
    let sent = flooding.await.expect("no panic");
    assert!(sent > 1_000, "{sent}");

    let metrics = reqwest::get(format!("{}/metrics", server.ops)).await;
    let metrics = metrics.expect("it answers").text().await.expect("text");
    for kind in ["stun", "dtls", "media", "other"] {
        let counted = metrics
            .lines()
            .find(|line| {
                line.starts_with(&format!(
                    "hansard_webrtc_strangers_total{{kind=\"{kind}\"}}"
                ))
            })
            .and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok());
        assert!(
            counted.is_some_and(|count| count > 100.0),
            "{kind}: {counted:?}"
        );
    }
    eventually("the impostor's stream is over", SOON, async || {
        let path = format!("/v1/meetings/{}/streams", room.id);
        let streams = client.list(&path).await.expect("lists");
        streams
            .iter()
            .any(|stream| stream["participantId"] == eve.id.as_str() && stream["state"] == "closed")
    })
    .await;
    let left = room.end().await;
    assert!(left.track(&eve).is_none(), "nothing was proven to be hers");
    let track = left.track(&ana).expect("she agreed");
    let gaps = &track.recording.gaps;
    let lost = gaps.iter().filter(|gap| gap.reason == "lost");
    let lost: i64 = lost.map(|gap| gap.end_ms - gap.start_ms).sum();
    assert!(lost < 300, "{gaps:?}");
    let from = track.recording.start_ms.expect("it is ready");
    let heard = |at: &i64| track.sound.level(500.0, from + at, from + at + 100) > -35.0;
    let heard = (500..5_000).step_by(100).filter(heard).count();
    assert!(heard >= 41, "Ana is heard in {heard} of 45 windows");
    server.terminate();
}
