//! What peers hear of each other, without a meeting around them.

use super::{LOOPBACK, SOON, config, place as port};
use crate::support::eventually;
use hansard::{
    domain::{
        codec::{AudioCodec, Codec, VideoCodec},
        gate::Gate,
        id::{ParticipantId, StreamId},
        negotiation::{self, without_candidates},
        own_sections::Shown,
        stream::{MediaKind, MediaSource},
    },
    ingest::{
        Arrival, Endpoint, Hears, Notice, OwnOffer, Peer, PlainConfig, Publication, Room, Source,
        Stream, StreamConfig, open, webrtc::Refused,
    },
};
use hansard_client::{
    peer::{Peer as Browser, Received},
    sender::{Frame, Sender, SenderConfig},
};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod call;
mod narrow;
mod paced;

use call::{Call, Place};

fn who(n: u128) -> ParticipantId {
    ParticipantId(Uuid::from_u128(n))
}

fn microphone(of: ParticipantId) -> Shown {
    Shown {
        kind: MediaKind::Audio,
        participant: of,
        source: MediaSource::Microphone,
    }
}

/// Frames of 20 ms whose last byte tells whose they are.
fn voice(whose: u8, frames: usize) -> Vec<Frame> {
    (0..frames)
        .map(|n| Frame {
            payload: vec![0x78, n as u8, (n >> 8) as u8, whose].into(),
            ticks: 960,
        })
        .collect()
}

fn payloads(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.payload.to_vec()).collect()
}

fn assert_whole(received: &[Received], frames: &[Frame]) {
    let got: Vec<_> = received.iter().map(|got| got.payload.to_vec()).collect();
    assert_eq!(got, payloads(frames));
    assert!(received.iter().all(|got| got.source == "microphone"));
    for pair in received.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(960));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
    }
}

/// The loop takes nothing at all, and its queue is full: voices pass it by.
#[tokio::test(flavor = "multi_thread")]
async fn two_hear_each_other_while_the_loop_is_busy() {
    let place = Place::of(&[1, 2]);
    let mut ana = Call::join(&place, 1, 1).await;
    let mut bob = Call::join(&place, 2, 1).await;
    tokio::join!(ana.hears(&[2]), bob.hears(&[1]));
    let (of_ana, of_bob) = (voice(1, 100), voice(2, 100));
    tokio::join!(ana.speak(&of_ana), bob.speak(&of_bob));
    let (by_bob, by_ana) = tokio::join!(bob.received(1, 100), ana.received(2, 100));
    assert_whole(&by_bob, &of_ana);
    assert_whole(&by_ana, &of_bob);
    assert!(
        ana.browser
            .received
            .iter()
            .all(|got| got.participant == who(2).to_string())
    );
    assert_eq!(ana.arrivals.len(), 1, "the loop took nothing");
    // The first of a sender begins a talkspurt.
    assert!(by_bob[0].marker);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_by_plain_rtp_is_heard_in_its_own_codec() {
    let place = Place::of(&[1, 2, 3]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let mut playing = Vec::new();
    for (n, codec, payload_type, ticks) in [
        (2, AudioCodec::Opus, 111, 960),
        (3, AudioCodec::Pcmu, 0, 160),
    ] {
        let port = port(Duration::ZERO);
        let stream = StreamId(Uuid::now_v7());
        let live = place
            .room
            .publish(microphone(who(n)), stream, Codec::Audio(codec));
        let config = StreamConfig {
            stream,
            codec: Codec::Audio(codec),
            payload_type,
            clock_rate: codec.clock_rate(),
            live: Some(live.publisher()),
            ..config()
        };
        let at: SocketAddr = (LOOPBACK, port.port).into();
        let (to, arrivals) = mpsc::channel(4_096);
        let source = Source::Plain(port, PlainConfig::default());
        let stream = open(config, source, to).expect("it opens");
        playing.push((n, at, payload_type, ticks, live, stream, arrivals));
    }
    ana.hears(&[2, 3]).await;
    for (n, at, payload_type, ticks, ..) in &playing {
        let frames: Vec<Frame> = voice(*n as u8, 50)
            .into_iter()
            .map(|frame| Frame {
                ticks: *ticks,
                ..frame
            })
            .collect();
        let config = SenderConfig {
            payload_type: *payload_type,
            clock_rate: *ticks * 50,
            ..SenderConfig::opus("sender".to_owned())
        };
        let sender = Sender::bind(LOOPBACK, config).await.expect("a socket");
        let (frames, at) = (frames.clone(), *at);
        let sent = frames.clone();
        let sending = tokio::spawn(async move {
            sender
                .run(at, &frames, Instant::now(), &CancellationToken::new())
                .await
        });
        let received = ana.received(*n, 50).await;
        sending.await.expect("no panic").expect("it can send");
        let got: Vec<_> = received.iter().map(|got| got.payload.to_vec()).collect();
        assert_eq!(got, payloads(&sent), "{payload_type}");
        for pair in received.windows(2) {
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(*ticks));
        }
    }
}

/// Its section rests and is used again, and nothing that was said before is heard in it.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_not_heard_and_the_next_uses_its_section() {
    let place = Place::of(&[1, 2, 3]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let mut bob = Call::join(&place, 2, 4_096).await;
    ana.hears(&[2]).await;
    bob.speak(&voice(2, 10)).await;
    let ssrc = ana.received(2, 10).await[0].ssrc;
    // From the gate's word on, whatever is under way.
    place.gate.set_live([who(1), who(3)].into());
    bob.speak(&voice(2, 10)).await;
    drop(bob.live.take());
    let rests = ana.offered().await;
    assert_eq!(rests.tracks, []);
    assert!(!rests.sdp.contains(&who(2).to_string()), "{}", rests.sdp);
    ana.answer(&rests).await;
    let sections = |sdp: &str| sdp.matches("\nm=").count();
    let mut carl = Call::join(&place, 3, 4_096).await;
    let again = ana.offered().await;
    assert_eq!(sections(&again.sdp), sections(&rests.sdp));
    let name = format!("a=msid:{} microphone\r\n", who(3));
    assert!(again.sdp.contains(&name), "{}", again.sdp);
    ana.answer(&again).await;
    carl.speak(&voice(3, 10)).await;
    let of_carl = ana.received(3, 10).await;
    assert_eq!(of_carl[0].ssrc, ssrc);
    assert_eq!(of_carl[0].payload[3], 3);
    assert_eq!(ana.received(2, 0).await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_the_servers_is_repeated_and_only_its_own_answer_closes_it() {
    let place = Place::of(&[1, 2]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let mut bob = Call::join(&place, 2, 4_096).await;
    let offer = ana.offered().await;
    assert_eq!(ana.offered().await, offer, "unchanged");
    let answer = ana.browser.answer(&offer.sdp).expect("an offer");
    let stale = ana.peer.answer("another".into(), answer.clone()).await;
    assert_eq!(stale, Err(Refused::Stale));
    // Of another participant.
    let stale = bob.peer.answer(offer.id.clone(), answer.clone()).await;
    assert_eq!(stale, Err(Refused::Stale));
    // What is no answer leaves it open.
    let wrong = ana.peer.answer(offer.id.clone(), "v=0".into()).await;
    assert!(matches!(wrong, Err(Refused::Description(_))), "{wrong:?}");
    ana.peer
        .answer(offer.id.clone(), answer.clone())
        .await
        .expect("it is taken");
    let twice = ana.peer.answer(offer.id.clone(), answer).await;
    assert_eq!(twice, Err(Refused::Stale));
    bob.hears(&[1]).await;
    bob.speak(&voice(2, 10)).await;
    assert_whole(&ana.received(2, 10).await, &voice(2, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_meets_the_servers_is_refused_and_harms_nothing() {
    let place = Place::of(&[1, 2]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let mut bob = Call::join(&place, 2, 4_096).await;
    let offer = ana.offered().await;
    let own = ana.browser.restart().expect("an offer");
    let met = ana.peer.offer(without_candidates(&own)).await;
    assert_eq!(met, Err(Refused::Glare));
    assert_eq!(ana.offered().await, offer, "told again");
    // Rolled back and answered; then it is the client's turn.
    ana.answer(&offer).await;
    let own = ana.browser.restart().expect("an offer");
    let answer = ana.peer.offer(without_candidates(&own)).await;
    ana.browser
        .accept(&answer.expect("answered").sdp)
        .expect("an answer");
    ana.browser.connect(SOON).await.expect("connects");
    bob.hears(&[1]).await;
    bob.speak(&voice(2, 10)).await;
    assert_whole(&ana.received(2, 10).await, &voice(2, 10));
    eventually("it stands", SOON, async || ana.peer.is_alive()).await;
}

/// A client that knows no offers of a server's goes on to be heard, and to change its own.
#[tokio::test(flavor = "multi_thread")]
async fn who_answers_nothing_may_offer_again_after_a_while() {
    let place = Place::of(&[1, 2]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let _bob = Call::join(&place, 2, 4_096).await;
    let offer = ana.offered().await;
    let deadline = Instant::now() + 4 * SOON;
    let answer = loop {
        let own = ana.browser.restart().expect("an offer");
        match ana.peer.offer(without_candidates(&own)).await {
            Ok(answer) => break answer,
            Err(refused) => assert_eq!(refused, Refused::Glare),
        }
        assert!(Instant::now() < deadline);
        let turn = Instant::now() + Duration::from_millis(200);
        ana.browser.run(turn).await.expect("connected");
    };
    ana.browser.accept(&answer.sdp).expect("an answer");
    ana.browser.connect(SOON).await.expect("connects");
    let stale = ana.peer.answer(offer.id.clone(), answer.sdp).await;
    assert_eq!(stale, Err(Refused::Stale), "it became void");
    while ana.open_offer().is_some() {}
    let anew = ana.offered().await;
    assert_ne!(anew.id, offer.id);
    ana.answer(&anew).await;
    assert_eq!(ana.browser.hears().len(), 1);
}

/// Pictures are seen as they were sent, and whoever needs a key frame has its sender asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_wishes_for_key_frames_are_passed_on() {
    let place = Place::of(&[1, 2, 3]);
    let mut ana = Call::join(&place, 1, 4_096).await;
    let (stream, _live, _arrivals) = ana.show_camera(&place, 1).await;
    ana.show(5).await;
    let mut bob = Call::join(&place, 2, 4_096).await;
    let mut seen = Vec::new();
    let deadline = Instant::now() + SOON;
    // Its sender is asked when he begins to see.
    while ana.browser.key_frames_wanted == 0 || seen.len() < 30 {
        assert!(Instant::now() < deadline, "{} packets", seen.len());
        ana.show(2).await;
        if let Some(offer) = bob.open_offer() {
            bob.answer(&offer).await;
        }
        bob.turn().await;
        let all = bob.browser.received.iter();
        seen = all.filter(|got| got.source == "camera").cloned().collect();
    }
    for pair in seen.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(ticks.is_multiple_of(1_800), "{ticks}");
        assert_eq!(pair[1].marker, pair[1].payload[2] == 2);
    }
    assert!(stream.counts().taken() > 30);
    let before = ana.browser.key_frames_wanted;
    let deadline = Instant::now() + SOON;
    while ana.browser.key_frames_wanted == before {
        assert!(Instant::now() < deadline, "nobody asked");
        bob.browser.want_key_frame(&who(1).to_string());
        bob.turn().await;
        ana.show(2).await;
    }
}

/// What only sends is offered nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_hear_has_no_sections_of_others() {
    let place = Place::of(&[1, 2]);
    let mut browser = Browser::bind(LOOPBACK).await.expect("a port");
    let peer = place.endpoint.peer(None);
    let offer = browser.offer().expect("an offer");
    let answer = peer
        .offer(without_candidates(&offer))
        .await
        .expect("answered");
    assert!(answer.sdp.contains("a=recvonly") && !answer.sdp.contains("a=sendrecv"));
    let stale = peer.answer("x".into(), answer.sdp).await;
    assert_eq!(stale, Err(Refused::Stale));
    let mut bob = Call::join(&place, 2, 4_096).await;
    assert!(
        timeout(Duration::from_millis(300), bob.notices.recv())
            .await
            .is_err()
    );
}
