//! Real datagrams over loopback into real sockets.

mod hostile;
mod room;
mod srtp;
mod webrtc;

use crate::support::eventually;
use hansard::{
    domain::{
        codec::{AudioCodec, Codec},
        id::StreamId,
        source::Terms,
        stream::SrtpSuite,
    },
    ingest::{
        Arrival, OpenError, Place, PlainConfig, Ports, Reason, Source, Srtp, SrtpConfig, Stream,
        StreamConfig, new_key, open, parse_rtcp,
    },
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, sync::mpsc, time::timeout};

const SSRC: u32 = 0x1122_3344;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// On a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn config() -> StreamConfig {
    StreamConfig {
        stream: StreamId(uuid::Uuid::now_v7()),
        payload_type: 111,
        red_payload_type: None,
        codec: Codec::Audio(AudioCodec::Opus),
        clock_rate: 48_000,
        report_every: Duration::from_millis(200),
        live: None,
    }
}

fn plain() -> PlainConfig {
    PlainConfig {
        terms: Terms {
            ssrc: Some(SSRC),
            ..Terms::default()
        },
        ..PlainConfig::default()
    }
}

/// Receives what comes to a place.
fn receive(place: Place, to: mpsc::Sender<(StreamId, Arrival)>) -> Stream {
    open(config(), Source::Plain(place, plain()), to).expect("it opens")
}

/// A free port, which rests for so long afterwards.
fn place(quiet: Duration) -> Place {
    Ports::new(LOOPBACK, 21_000..=21_999, quiet)
        .0
        .take(&BTreeSet::new(), &BTreeSet::new())
        .expect("a port")
}

/// A stream being received, and a socket that may send to it.
struct Line {
    stream: Stream,
    at: SocketAddr,
    arrivals: mpsc::Receiver<(StreamId, Arrival)>,
    sender: UdpSocket,
}

impl Line {
    async fn open(plain: PlainConfig, capacity: usize) -> Self {
        let (to, arrivals) = mpsc::channel(capacity);
        let place = place(Duration::ZERO);
        let at = (LOOPBACK, place.port).into();
        let stream = open(config(), Source::Plain(place, plain), to).expect("it opens");
        let sender = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
        Self {
            at,
            stream,
            arrivals,
            sender,
        }
    }

    async fn send(&self, datagram: &[u8]) {
        self.sender
            .send_to(datagram, self.at)
            .await
            .expect("loopback");
    }

    async fn next(&mut self) -> Arrival {
        timeout(SOON, self.arrivals.recv())
            .await
            .expect("in time")
            .expect("open")
            .1
    }

    /// The sequence number of the next packet.
    async fn packet(&mut self) -> u16 {
        loop {
            match self.next().await {
                Arrival::Rtp { header, .. } => return header.sequence,
                Arrival::Latched { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn dropped(&self, reason: Reason, count: u64) {
        eventually(reason.as_str(), SOON, async || {
            self.stream.counts().dropped(reason) == count
        })
        .await;
    }
}

fn packet(sequence: u16) -> Vec<u8> {
    raw(0x80, 111, sequence, SSRC, &[0xf8, 0xff, 0xfe])
}

fn raw(first: u8, payload_type: u8, sequence: u16, ssrc: u32, tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((u32::from(sequence) * 960).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(tail);
    bytes
}

/// SR, SDES with a CNAME, and BYE if `bye`.
fn control(ssrc: u32, bye: bool) -> Vec<u8> {
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([
        0xe8, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 3, 0xc0, 0, 0, 0, 1, 0, 0, 0, 3,
    ]);
    bytes.extend([0x81, 202, 0, 3]);
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(b"\x01\x05ana@x\0");
    if bye {
        bytes.extend([0x81, 203, 0, 1]);
        bytes.extend(ssrc.to_be_bytes());
    }
    bytes
}

/// A neighbour's report, with the same SSRC and a counter of its own.
fn stale() -> Vec<u8> {
    let mut bytes = control(SSRC, false);
    bytes[16..20].copy_from_slice(&1_000_000u32.to_be_bytes());
    bytes
}

#[tokio::test]
async fn valid_packets_arrive_whole_and_the_source_is_latched() {
    let mut line = Line::open(plain(), 64).await;
    line.send(&raw(
        0xb1,
        0xef,
        9,
        SSRC,
        &[0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0, 0xf8, 7, 0, 2],
    ))
    .await;
    let from = line.sender.local_addr().expect("bound");
    assert!(
        matches!(line.next().await, Arrival::Latched { from: latched, ssrc: SSRC, anew: false } if latched == from)
    );
    let Arrival::Rtp {
        header,
        marker,
        payload,
        ..
    } = line.next().await
    else {
        panic!("no packet")
    };
    assert_eq!(
        (header.sequence, header.timestamp, header.ticks, marker),
        (9, 8640, 960, true)
    );
    assert_eq!(payload[..], [0xf8, 7]);

    line.send(&control(SSRC, false)).await;
    let Arrival::SenderReport {
        ntp,
        timestamp,
        cname,
        ..
    } = line.next().await
    else {
        panic!("no report")
    };
    assert_eq!(
        (ntp, timestamp, cname.as_deref()),
        (0xe800_0001_8000_0000, 960, Some("ana@x"))
    );
    line.send(&control(SSRC, true)).await;
    assert!(matches!(line.next().await, Arrival::Bye { .. }));
    assert_eq!(
        (
            line.stream.counts().taken(),
            line.stream.counts().dropped_all()
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn everything_else_is_dropped_and_counted_by_reason() {
    let mut line = Line::open(plain(), 64).await;
    let mut huge = packet(1);
    huge.resize(1_501, 0);
    for (reason, datagram) in [
        (Reason::Size, b"hello".to_vec()),
        (Reason::Size, huge),
        (Reason::Version, raw(0x40, 111, 1, SSRC, &[0xf8])),
        (Reason::OtherSsrc, raw(0x80, 111, 1, SSRC + 1, &[0xf8])),
        (Reason::PayloadType, raw(0x80, 96, 1, SSRC, &[0xf8])),
        (Reason::Malformed, raw(0xa0, 111, 1, SSRC, &[0xf8, 9])),
        (
            Reason::Malformed,
            raw(0x90, 111, 1, SSRC, &[0xbe, 0xde, 0xff, 0xff]),
        ),
        (Reason::Payload, raw(0x80, 111, 1, SSRC, &[0xfb, 0x3f, 1])),
        (Reason::Ssrc, control(SSRC + 1, true)),
        (Reason::Rtcp, control(SSRC, false)[28..].to_vec()),
        (Reason::Rtcp, {
            let mut cut = control(SSRC, false);
            cut.truncate(30);
            cut
        }),
    ] {
        let before = line.stream.counts().dropped(reason);
        line.send(&datagram).await;
        line.dropped(reason, before + 1).await;
    }
    // None of them was taken for the stream's source.
    let other = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    other.send_to(&packet(7), line.at).await.expect("loopback");
    assert!(
        matches!(line.next().await, Arrival::Latched { from, .. } if from == other.local_addr().expect("bound"))
    );
    assert_eq!(line.packet().await, 7);
}

#[tokio::test]
async fn another_source_is_not_heard() {
    let mut line = Line::open(plain(), 64).await;
    line.send(&packet(1)).await;
    assert_eq!(line.packet().await, 1);
    let spoof = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    spoof.send_to(&packet(2), line.at).await.expect("loopback");
    spoof
        .send_to(&control(SSRC, true), line.at)
        .await
        .expect("loopback");
    line.dropped(Reason::Source, 2).await;
    // Nor what it says of the stream, whether it agrees with the media or not.
    spoof.send_to(&stale(), line.at).await.expect("loopback");
    spoof
        .send_to(&control(SSRC, false), line.at)
        .await
        .expect("loopback");
    line.dropped(Reason::Source, 4).await;
    line.send(&packet(3)).await;
    assert_eq!(line.packet().await, 3);
}

#[tokio::test]
async fn an_announced_or_remembered_source_is_the_only_one() {
    let known = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    let address = known.local_addr().ok();
    let terms = Terms {
        remote: address,
        ..plain().terms
    };
    for plain in [
        PlainConfig { terms, ..plain() },
        PlainConfig {
            latched: address,
            ..plain()
        },
    ] {
        let mut line = Line::open(plain, 64).await;
        line.send(&packet(1)).await;
        line.dropped(Reason::Source, 1).await;
        known.send_to(&packet(2), line.at).await.expect("loopback");
        assert!(
            matches!(line.next().await, Arrival::Rtp { header, .. } if header.sequence == 2),
            "and nothing is latched"
        );
    }
}

#[tokio::test]
async fn a_full_channel_drops_and_goes_on() {
    let mut line = Line::open(plain(), 4).await;
    for sequence in 0..20 {
        line.send(&packet(sequence)).await;
    }
    line.dropped(Reason::QueueFull, 17).await;
    for sequence in 0..3 {
        assert_eq!(line.packet().await, sequence);
    }
    line.send(&packet(20)).await;
    assert_eq!(line.packet().await, 20);
}

#[tokio::test]
async fn a_port_rests_after_its_stream_and_is_had_again_by_it() {
    let (ports, mut rested) = Ports::new(LOOPBACK, 22_000..=22_999, Duration::from_secs(2));
    let place = ports
        .take(&BTreeSet::new(), &BTreeSet::new())
        .expect("a port");
    let (to, mut arrivals) = mpsc::channel(4);
    let port = place.port;
    let stream = receive(place, to.clone());
    let sender = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    sender
        .send_to(&packet(1), (LOOPBACK, port))
        .await
        .expect("loopback");
    assert!(
        timeout(SOON, arrivals.recv())
            .await
            .expect("in time")
            .is_some()
    );
    drop(stream);
    // Bound all along, and nothing of what still comes is heard.
    for sequence in 2..82 {
        assert!(matches!(ports.bind(port), Err(OpenError::PortTaken { .. })));
        sender
            .send_to(&packet(sequence), (LOOPBACK, port))
            .await
            .expect("loopback");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    while let Ok((_, arrival)) = arrivals.try_recv() {
        assert!(
            !matches!(arrival, Arrival::Rtp { header, .. } if header.sequence > 1),
            "{arrival:?}"
        );
    }
    let rested = timeout(SOON, rested.recv())
        .await
        .expect("in time")
        .expect("open");
    assert_eq!(
        (rested.port, rested.senders),
        (port, [sender.local_addr().expect("bound")].into())
    );
    let place = ports.bind(port).expect("free");
    let stream = receive(place, to.clone());
    drop(stream);
    eventually("its own stream has it again", SOON, async || {
        ports.again(port).await.is_ok()
    })
    .await;
    let stream = receive(ports.again(port).await.expect("free"), to);
    stream.hand_over();
    drop(stream);
    eventually("handed over, it is free at once", SOON, async || {
        ports.bind(port).is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_new_ssrc_is_followed_where_none_was_announced() {
    let mut line = Line::open(
        PlainConfig {
            terms: Terms::default(),
            ..plain()
        },
        64,
    )
    .await;
    line.send(&packet(1)).await;
    assert!(matches!(
        line.next().await,
        Arrival::Latched {
            ssrc: SSRC,
            anew: false,
            ..
        }
    ));
    assert_eq!(line.packet().await, 1);
    let other = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    other
        .send_to(&raw(0x80, 111, 5, SSRC + 1, &[0xf8]), line.at)
        .await
        .expect("loopback");
    line.dropped(Reason::Source, 1).await;
    line.send(&raw(0x80, 111, 900, SSRC + 1, &[0xf8])).await;
    let Arrival::Latched { ssrc, anew, .. } = line.next().await else {
        panic!("not told")
    };
    assert_eq!((ssrc, anew, line.packet().await), (SSRC + 1, true, 900));
    assert_eq!(line.stream.seen().ssrc, Some(SSRC + 1));
}

#[tokio::test]
async fn the_sender_is_told_how_it_is_received() {
    let mut line = Line::open(plain(), 256).await;
    for sequence in (65_500u16..=65_535)
        .chain(0..64)
        .filter(|sequence| sequence % 4 != 0)
    {
        line.send(&packet(sequence)).await;
        line.packet().await;
    }
    line.send(&control(SSRC, false)).await;
    assert!(matches!(line.next().await, Arrival::SenderReport { .. }));
    let mut buffer = [0; 1500];
    let block = timeout(SOON, async {
        loop {
            let (length, _) = line.sender.recv_from(&mut buffer).await.expect("loopback");
            let block = parse_rtcp(&buffer[..length])
                .expect("a report")
                .received
                .remove(0);
            if block.last_sender_report != 0 {
                break block;
            }
        }
    })
    .await
    .expect("in time");
    assert_eq!(
        (
            block.ssrc,
            block.last_sequence_number,
            block.last_sender_report
        ),
        (SSRC, 65_599, 0x0001_8000)
    );
    // Every fourth is missing; the first one sent is 65501.
    assert_eq!(block.total_lost, 24);
}
