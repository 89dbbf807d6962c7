//! Browsers' media on one port: who is heard there, and who is not.

use super::{LOOPBACK, SOON};
use crate::support::eventually;
use hansard::{
    domain::{
        codec::{AudioCodec, Codec},
        id::StreamId,
        negotiation::{self, without_candidates},
    },
    ingest::{Arrival, Endpoint, Peer, REPORT_EVERY, Source, Stream, StreamConfig, open},
};
use hansard_client::{peer::Peer as Browser, sender::Frame};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use str0m::{
    crypto::from_feature_flags,
    ice::{StunMessage, TransId},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Frames of 20 ms whose last byte tells whose they are.
pub(super) fn voice(whose: u8, frames: usize) -> Vec<Frame> {
    (0..frames)
        .map(|n| Frame {
            payload: vec![0x78, n as u8, (n >> 8) as u8, whose].into(),
            ticks: 960,
        })
        .collect()
}

pub(super) fn endpoint() -> Endpoint {
    Endpoint::bind(LOOPBACK, 0, &[LOOPBACK]).expect("a free port")
}

/// A browser and its connection here.
pub(super) struct Call {
    pub browser: Browser,
    pub peer: Peer,
    arrivals: mpsc::Receiver<(StreamId, Arrival)>,
    pub stream: Stream,
    pub answer: String,
}

impl Call {
    /// Offered and answered; the microphone is a stream.
    pub async fn begin(endpoint: &Endpoint) -> Self {
        Self::begin_with(endpoint, str::to_owned).await
    }

    pub async fn begin_with(endpoint: &Endpoint, change: impl Fn(&str) -> String) -> Self {
        let browser = Browser::bind(LOOPBACK).await.expect("a port");
        Self::of(endpoint, browser, change).await
    }

    async fn of(
        endpoint: &Endpoint,
        mut browser: Browser,
        change: impl Fn(&str) -> String,
    ) -> Self {
        let offer = change(&browser.offer().expect("an offer"));
        let sections = negotiation::read(&offer).expect("sound").sections;
        let peer = endpoint.peer(None);
        let answer = peer
            .offer(without_candidates(&offer))
            .await
            .expect("answered");
        let (to, arrivals) = mpsc::channel(4_096);
        let config = StreamConfig {
            stream: StreamId(uuid::Uuid::now_v7()),
            payload_type: answer.codecs[&sections[0].mid].1,
            red_payload_type: None,
            codec: Codec::Audio(AudioCodec::Opus),
            clock_rate: 48_000,
            report_every: REPORT_EVERY,
            live: None,
        };
        let source = Source::Peer(peer.clone(), sections[0].mid.clone());
        let stream = open(config, source, to).expect("it opens");
        browser.accept(&answer.sdp).expect("an answer");
        Self {
            browser,
            peer,
            arrivals,
            stream,
            answer: answer.sdp,
        }
    }

    pub async fn connected(endpoint: &Endpoint) -> Self {
        let mut call = Self::begin(endpoint).await;
        call.browser.connect(SOON).await.expect("connects");
        call
    }

    pub async fn speak(&mut self, frames: &[Frame]) {
        self.browser
            .speak(frames, Instant::now(), &CancellationToken::new())
            .await
            .expect("connected");
    }

    /// The payloads that have come, once there are so many.
    pub async fn heard(&mut self, at_least: usize) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        while heard.len() < at_least {
            let arrival = timeout(SOON, self.arrivals.recv())
                .await
                .unwrap_or_else(|_| panic!("{} of {at_least}", heard.len()));
            if let Some((_, Arrival::Rtp { payload, .. })) = arrival {
                heard.push(payload.to_vec());
            }
        }
        heard
    }

    /// Nothing of it has come.
    pub fn is_silent(&mut self) -> bool {
        while let Ok((_, arrival)) = self.arrivals.try_recv() {
            if let Arrival::Rtp { .. } = arrival {
                return false;
            }
        }
        self.stream.counts().taken() == 0
    }
}

pub(super) fn payloads(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.payload.to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_arrives_as_it_was_sent_with_its_reports() {
    let endpoint = endpoint();
    let mut call = Call::connected(&endpoint).await;
    // Longer than the interval of sender reports.
    let frames = voice(1, 300);
    call.speak(&frames).await;
    let (mut heard, mut latched, mut reported) = (Vec::new(), None, None);
    while heard.len() < frames.len() {
        let (_, arrival) = timeout(SOON, call.arrivals.recv())
            .await
            .expect("in time")
            .expect("open");
        match arrival {
            Arrival::Rtp {
                header, payload, ..
            } => heard.push((header, payload.to_vec())),
            Arrival::Latched { from, anew, .. } => latched = Some((from, anew)),
            Arrival::SenderReport {
                timestamp, cname, ..
            } => {
                reported = Some((timestamp, cname.expect("one for all of its streams")));
            }
            Arrival::Alive { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(latched, Some((call.browser.local(), false)));
    let all: Vec<_> = heard.iter().map(|(_, payload)| payload.clone()).collect();
    assert_eq!(all, payloads(&frames));
    for pair in heard.windows(2) {
        let (before, after) = (pair[0].0, pair[1].0);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(960));
        assert_eq!(after.ticks, 960);
    }
    let (timestamp, _) = reported.expect("a sender report");
    let since = timestamp.wrapping_sub(heard[0].0.timestamp);
    assert!(since < 400 * 960, "{since} ticks after the first sample");
    assert_eq!(call.stream.counts().dropped_all(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_share_a_port_and_nothing_else() {
    let endpoint = endpoint();
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(Call::connected(&endpoint).await);
    }
    let speaking = calls.into_iter().enumerate().map(|(n, mut call)| {
        tokio::spawn(async move {
            let frames = voice(n as u8, 50);
            call.speak(&frames).await;
            (call.heard(50).await, frames)
        })
    });
    for speaking in speaking.collect::<Vec<_>>() {
        let (heard, frames) = speaking.await.expect("no panic");
        assert_eq!(heard, payloads(&frames));
    }
}

/// What a stranger may send to the port, with what an eavesdropper on signaling could know.
pub(super) fn attacks(answer: &str) -> Vec<Vec<u8>> {
    let ufrag = answer
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .expect("it has one");
    let hmac = from_feature_flags().sha1_hmac_provider;
    let check = |name: &str, password: Option<&[u8]>| {
        let name = format!("{name}:them");
        let check = StunMessage::binding_request(&name, TransId::new(), true, 7, 1, true);
        let mut bytes = vec![0; 500];
        let length = check
            .to_bytes(password, &mut bytes, |key, parts| {
                hmac.sha1_hmac(key, parts)
            })
            .expect("it fits");
        bytes.truncate(length);
        bytes
    };
    let mut hello = vec![22, 0xfe, 0xfd];
    hello.extend([0; 10]);
    hello.extend([1; 200]);
    let mut rtp = vec![0x80, 111, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4];
    rtp.extend([0x78; 60]);
    let mut rtcp = vec![0x80, 200, 0, 6];
    rtcp.extend([1; 24]);
    vec![
        check("nobody", Some(b"secret")),
        check(ufrag, Some(b"secret")),
        check(ufrag, None),
        hello,
        rtp,
        rtcp,
        vec![],
        vec![0],
        vec![0; 20],
        vec![255; 1_200],
        vec![0x80; 1_900],
        (0..200).collect(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_heard_who_did_not_prove_itself_and_others_are_not_harmed() {
    let endpoint = endpoint();
    let mut call = Call::begin(&endpoint).await;
    let at: SocketAddr = (LOOPBACK, endpoint.port()).into();
    let stranger = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    let attacks = attacks(&call.answer);
    // Before the peer's own first check, and while it speaks.
    for round in 0..50 {
        for attack in &attacks {
            stranger.send_to(attack, at).await.expect("loopback");
        }
        if round % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    call.browser.connect(SOON).await.expect("connects");
    assert!(call.is_silent());
    let flood = tokio::spawn(async move {
        for _ in 0..100 {
            for attack in &attacks {
                stranger.send_to(attack, at).await.expect("loopback");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let frames = voice(9, 50);
    call.speak(&frames).await;
    // A socket's buffer that a busy machine does not empty in time loses what comes then.
    let mut sent = payloads(&frames).into_iter();
    for heard in call.heard(45).await {
        assert!(sent.any(|sent| sent == heard), "each once, and in order");
    }
    flood.await.expect("no panic");
    assert!(call.peer.is_alive() && call.stream.counts().dropped_all() == 0);
    assert_eq!(call.stream.seen().from, Some(call.browser.local()));
    drop(call);
    // The endpoint still serves.
    let mut next = Call::connected(&endpoint).await;
    next.speak(&voice(3, 5)).await;
    assert_eq!(next.heard(5).await, payloads(&voice(3, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_certificate_than_it_said_sends_nothing() {
    let endpoint = endpoint();
    let mut call = Call::begin_with(&endpoint, |offer| {
        let at = offer.find("a=fingerprint:sha-256 ").expect("it has one") + 22;
        let other = if &offer[at..at + 2] == "00" {
            "01"
        } else {
            "00"
        };
        format!("{}{other}{}", &offer[..at], &offer[at + 2..])
    })
    .await;
    assert!(call.browser.connect(Duration::from_secs(2)).await.is_err());
    let peer = call.peer.clone();
    eventually("the connection is over", SOON, async || !peer.is_alive()).await;
    assert!(call.is_silent());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_and_a_restart_keep_the_stream() {
    let endpoint = endpoint();
    let mut call = Call::connected(&endpoint).await;
    call.speak(&voice(1, 10)).await;
    assert_eq!(call.heard(10).await.len(), 10);
    let before = call.browser.local();
    call.browser.roam().await.expect("a port");
    let offer = call.browser.restart().expect("an offer");
    let answer = call.peer.offer(offer).await.expect("answered");
    call.browser.accept(&answer.sdp).expect("an answer");
    call.browser.connect(SOON).await.expect("connects");
    let frames = voice(2, 25);
    let deadline = Instant::now() + SOON;
    // What is sent before the new path is chosen is lost.
    while call.stream.seen().from == Some(before) && Instant::now() < deadline {
        call.speak(&frames).await;
    }
    assert_eq!(call.stream.seen().from, Some(call.browser.local()));
    let mut anew = Vec::new();
    while let Ok((_, arrival)) = call.arrivals.try_recv() {
        if let Arrival::Latched {
            from, anew: other, ..
        } = arrival
        {
            anew.push((from, other));
        }
    }
    assert_eq!(
        anew,
        [(call.browser.local(), false)],
        "the same SSRC goes on"
    );
}

/// Where no UDP leaves the network: the same port by TCP.
#[tokio::test(flavor = "multi_thread")]
async fn a_voice_arrives_by_tcp_and_strangers_are_cut_off() {
    let endpoint = endpoint();
    let at: SocketAddr = (LOOPBACK, endpoint.port()).into();
    let browser = Browser::connect_tcp(at).await.expect("it listens");
    let mut call = Call::of(&endpoint, browser, str::to_owned).await;
    let frames = attacks(&call.answer);
    for whole in [true, false] {
        let mut stranger = TcpStream::connect(at).await.expect("it listens");
        let framed = |frame: &&Vec<u8>| !whole || (1..1_500).contains(&frame.len());
        for attack in frames.iter().filter(framed).cycle().take(40) {
            let length = if whole { attack.len() } else { 60_000 };
            let frame = [&(length as u16).to_be_bytes(), &attack[..]].concat();
            if stranger.write_all(&frame).await.is_err() {
                break;
            }
        }
        let mut buffer = [0; 16];
        let cut = timeout(SOON, stranger.read(&mut buffer)).await;
        assert!(
            matches!(cut.expect("in time"), Ok(0) | Err(_)),
            "nothing is said to it, and it is cut off"
        );
    }
    call.browser.connect(SOON).await.expect("connects");
    let frames = voice(4, 50);
    call.speak(&frames).await;
    assert_eq!(call.heard(50).await, payloads(&frames));
    assert_eq!(call.stream.seen().from, Some(call.browser.local()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_says_goodbye() {
    let endpoint = endpoint();
    let mut call = Call::connected(&endpoint).await;
    call.speak(&voice(1, 5)).await;
    let Call {
        browser,
        mut arrivals,
        peer,
        stream,
        ..
    } = call;
    browser.close().await.expect("it was connected");
    let goodbye = async {
        while let Some((_, arrival)) = arrivals.recv().await {
            if matches!(arrival, Arrival::Bye { .. }) {
                return true;
            }
        }
        false
    };
    assert!(timeout(SOON, goodbye).await.expect("in time"));
    eventually("the connection is over", SOON, async || !peer.is_alive()).await;
    drop(stream);
}

/// The other side hears of the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_let_go_of_is_told() {
    let endpoint = endpoint();
    let call = Call::connected(&endpoint).await;
    let Call {
        mut browser,
        peer,
        stream,
        ..
    } = call;
    drop((peer, stream));
    let deadline = Instant::now() + SOON;
    while !browser.is_over() && Instant::now() < deadline {
        let _ = browser
            .run(Instant::now() + Duration::from_millis(50))
            .await;
    }
    assert!(browser.is_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_offer_is_refused_in_words() {
    let endpoint = endpoint();
    let mut browser = Browser::bind(LOOPBACK).await.expect("a port");
    let good = browser.offer().expect("an offer");
    for bad in [
        String::new(),
        "v=0".to_owned(),
        "\u{0}".repeat(1_000),
        good.replace("a=ice-pwd", "a=x"),
        good.replace("a=fingerprint", "a=x"),
        good.replace("m=audio", "m="),
    ] {
        let peer = endpoint.peer(None);
        let refused = peer.offer(bad.clone()).await.expect_err(&bad);
        assert!(!refused.to_string().is_empty());
        eventually("it is over", SOON, async || !peer.is_alive()).await;
    }
}

#[test]
fn an_address_that_nothing_comes_to_is_refused() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let error =
        Endpoint::bind(LOOPBACK, 0, &["::1".parse().expect("an address")]).expect_err("IPv4 only");
    assert!(error.to_string().contains("::1"), "{error}");
    let both: Vec<_> = ["127.0.0.1", "::1"]
        .iter()
        .map(|ip| ip.parse().expect("an address"))
        .collect();
    for any in ["0.0.0.0", "::"] {
        let any = any.parse().expect("an address");
        // A machine without IPv6 has nothing to bind.
        if let Ok(endpoint) = Endpoint::bind(any, 0, &both) {
            assert_ne!(endpoint.port(), 0);
        }
    }
}

/// A socket for both takes IPv4 as mapped addresses (RFC 4291 2.5.5.2).
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_by_ipv6_is_heard_beside_who_comes_by_ipv4() {
    let both = ["127.0.0.1", "::1"].map(|ip| ip.parse().expect("an address"));
    let any = "::".parse().expect("an address");
    // A machine without IPv6 has nothing to bind.
    let Ok(endpoint) = Endpoint::bind(any, 0, &both) else {
        return;
    };
    for (whose, ip) in (1..).zip(both) {
        let browser = Browser::bind(ip).await.expect("a port");
        let mut call = Call::of(&endpoint, browser, str::to_owned).await;
        call.browser.connect(SOON).await.expect("connects");
        let frames = voice(whose, 50);
        call.speak(&frames).await;
        assert_eq!(
            call.heard(frames.len()).await,
            payloads(&frames),
            "from {ip}"
        );
    }
}
