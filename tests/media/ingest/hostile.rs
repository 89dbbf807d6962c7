//! Who means harm to a peer connection, and knows more than a stranger does.

use super::{
    LOOPBACK, SOON,
    webrtc::{Call, attacks, endpoint, payloads, voice},
};
use hansard_client::peer::Peer as Browser;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tracing_subscriber::fmt::MakeWriter;

/// Datagrams that look like a peer's own, made without its keys.
fn forgeries(ssrc: u32) -> Vec<Vec<u8>> {
    let dtls = |kind: u8, epoch: u8, body: &[u8]| {
        let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9];
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    };
    let rtp = |sequence: u16, tail: &[u8]| {
        let mut packet = vec![0x80, 111];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 1, 0]);
        packet.extend(ssrc.to_be_bytes());
        packet.extend(tail);
        packet
    };
    let rtcp = |kind: u8, words: u16, tail: &[u8]| {
        let mut packet = vec![0x80, kind];
        packet.extend(words.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(tail);
        packet
    };
    let mut all = vec![
        // The end of the connection, and a fatal fault, as anybody may write them.
        dtls(21, 0, &[1, 0]),
        dtls(21, 0, &[2, 40]),
        dtls(21, 1, &[2, 40]),
        dtls(20, 0, &[1]),
        dtls(22, 0, &[1; 200]),
        dtls(23, 1, &[0; 40]),
        dtls(25, 1, &[0xff; 40]),
        vec![22, 0xfe, 0xfd],
        // A goodbye, reports without an end, and lengths that lie.
        rtcp(203, 1, &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        rtcp(200, 0xffff, &[1; 24]),
        rtcp(201, 0, &[]),
        rtcp(205, 2, &[0xff; 60]),
        rtcp(206, 2, &[0; 8]),
        vec![0x80, 200],
        // A header extension and sources that are not there.
        vec![0x9f, 111, 0, 1],
        vec![0xbf, 0xef, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for sequence in (0..=u16::MAX).step_by(4_096) {
        all.push(rtp(sequence, &[0x78; 80]));
        all.push(rtp(sequence, &[]));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_a_peers_address_and_has_not_its_keys_changes_nothing() {
    let endpoint = endpoint();
    let at: SocketAddr = (LOOPBACK, endpoint.port()).into();
    let mut call = Call::connected(&endpoint).await;
    call.speak(&voice(1, 20)).await;
    assert_eq!(call.heard(20).await, payloads(&voice(1, 20)));
    let ssrc = call.stream.seen().ssrc.expect("it was heard");
    let mut forged = forgeries(ssrc);
    forged.extend(attacks(&call.answer));
    for round in 0..20 {
        for datagram in &forged {
            call.browser.inject(datagram, at).expect("by UDP");
        }
        let frames = voice(round + 2, 5);
        call.speak(&frames).await;
        assert_eq!(call.heard(5).await, payloads(&frames), "round {round}");
    }
    assert!(call.peer.is_alive());
    assert_eq!(call.stream.counts().dropped_all(), 0);
    assert_eq!(call.stream.seen().ssrc, Some(ssrc));
}

/// Before it is connected: of its own address, so that the port lets it through.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_before_the_handshake_keeps_nobody_out() {
    let endpoint = endpoint();
    let at: SocketAddr = (LOOPBACK, endpoint.port()).into();
    let mut call = Call::begin(&endpoint).await;
    let mut forged = forgeries(1);
    forged.extend(attacks(&call.answer));
    for datagram in forged.iter().cycle().take(500) {
        call.browser.inject(datagram, at).expect("by UDP");
    }
    call.browser.connect(SOON).await.expect("connects");
    call.speak(&voice(1, 10)).await;
    assert_eq!(call.heard(10).await, payloads(&voice(1, 10)));
}

/// What an offer says of its SSRCs is its sender's word, and each connection has its own.
#[tokio::test(flavor = "multi_thread")]
async fn who_names_anothers_ssrc_is_heard_as_itself() {
    let endpoint = endpoint();
    let mut first = Call::connected(&endpoint).await;
    first.speak(&voice(1, 5)).await;
    assert_eq!(first.heard(5).await.len(), 5);
    let theirs = first.stream.seen().ssrc.expect("it was heard");
    let mut second = Call::begin_with(&endpoint, |offer| {
        let lines = offer.lines().map(|line| {
            let of = line.strip_prefix("a=ssrc:");
            match of.and_then(|rest| rest.split_once(' ')) {
                Some((_, rest)) => format!("a=ssrc:{theirs} {rest}\r\n"),
                None => format!("{line}\r\n"),
            }
        });
        lines.collect()
    })
    .await;
    second.browser.connect(SOON).await.expect("connects");
    let (ours, own) = (voice(1, 50), voice(2, 50));
    let (frames, other) = (ours.clone(), own.clone());
    tokio::join!(first.speak(&frames), second.speak(&other));
    assert_eq!(first.heard(50).await, payloads(&ours));
    let heard = second.heard(1).await;
    assert!(
        heard.iter().all(|payload| payloads(&own).contains(payload)),
        "only its own"
    );
    assert_eq!(first.stream.seen().ssrc, Some(theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_candidates_are_taken_and_not_needed() {
    let endpoint = endpoint();
    let mut call = Call::begin_with(&endpoint, |offer| {
        let many: String = (0..1_000)
            .map(|n| {
                format!(
                    "a=candidate:{n} 1 udp 1 192.0.2.1 {} typ host\r\n",
                    1_000 + n
                )
            })
            .collect();
        let at = offer.find("a=mid:").expect("it has one");
        format!("{}{many}{}", &offer[..at], &offer[at..])
    })
    .await;
    call.browser.connect(SOON).await.expect("connects");
    call.speak(&voice(1, 10)).await;
    assert_eq!(call.heard(10).await, payloads(&voice(1, 10)));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().expect("no holder panics");
        log.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// On one thread, whose log is kept: at whatever level an operator may ask for.
#[tokio::test(flavor = "current_thread")]
async fn no_log_has_a_password() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(log.clone())
        .finish();
    // With one subscriber only, what another test's thread comes by first is off for all of them.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _logging = tracing::subscriber::set_default(subscriber);
    let endpoint = endpoint();
    let mut browser = Browser::bind(LOOPBACK).await.expect("a port");
    let offer = browser.offer().expect("an offer");
    let peer = endpoint.peer(None);
    let answer = peer.offer(offer.clone()).await.expect("answered");
    browser.accept(&answer.sdp).expect("an answer");
    browser.connect(SOON).await.expect("connects");
    let text = || {
        let log = log.0.lock().expect("no holder panics");
        String::from_utf8_lossy(&log).into_owned()
    };
    let deadline = Instant::now() + SOON;
    while !text().contains("a peer is connected") && Instant::now() < deadline {
        let turn = Instant::now() + Duration::from_millis(20);
        browser.run(turn).await.expect("it stands");
    }
    let log = text();
    assert!(log.contains("a peer is connected"), "{log}");
    let mut passwords = 0;
    for sdp in [&offer, &answer.sdp] {
        for password in sdp
            .lines()
            .filter_map(|line| line.strip_prefix("a=ice-pwd:"))
        {
            passwords += 1;
            assert!(!log.contains(password), "{log}");
        }
    }
    assert!(passwords >= 2);
}
