//! The sender over loopback, the voices, and the tones that other tests measure recordings with.

mod signaling;
mod tones;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::{SinkExt, StreamExt};
use gstreamer::prelude::*;
use hansard_client::{
    impair::{Impairments, Pauses},
    meeting::Meeting,
    opus,
    sender::{Frame, Sender, SenderConfig, Sent},
    signal::{Entry, Signal},
    srtp::{Srtp, SrtpKey},
    tone,
};
use rtcp::{
    receiver_report::ReceiverReport, reception_report::ReceptionReport, sender_report::SenderReport,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, time::timeout};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{Request, Response},
    protocol::CloseFrame,
};
use tokio_util::{bytes::Bytes, sync::CancellationToken};
use webrtc_util::marshal::{Marshal, Unmarshal};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Bounds what should be there at once.
const SOON: Duration = Duration::from_secs(10);
/// The datagram after the last.
const END: &[u8] = b"end";

fn frames(count: usize) -> Vec<Frame> {
    (0..count)
        .map(|n| Frame {
            payload: Bytes::from(vec![104, 0x80, (n >> 8) as u8, n as u8, 0]),
            ticks: 960,
        })
        .collect()
}

/// Sends to a socket of ours; → what the sender says, and every datagram in order of arrival.
async fn send(config: SenderConfig, frames: &[Frame]) -> (Sent, Vec<(Instant, Bytes)>) {
    let receiver = UdpSocket::bind((LOCALHOST, 0)).await.expect("a port");
    let to = receiver.local_addr().expect("an address");
    let sender = Sender::bind(LOCALHOST, config).await.expect("a port");
    let stop = CancellationToken::new();
    let collect = tokio::spawn(async move {
        let mut datagrams = Vec::new();
        let mut buffer = [0; 2_048];
        loop {
            let (length, _) = receiver.recv_from(&mut buffer).await.expect("receives");
            if &buffer[..length] == END {
                return datagrams;
            }
            datagrams.push((Instant::now(), Bytes::copy_from_slice(&buffer[..length])));
        }
    });
    let sent = sender
        .run(
            to,
            frames,
            Instant::now() + Duration::from_millis(50),
            &stop,
        )
        .await
        .expect("sends");
    let end = UdpSocket::bind((LOCALHOST, 0)).await.expect("a port");
    end.send_to(END, to).await.expect("sends");
    (
        sent,
        timeout(SOON, collect)
            .await
            .expect("in time")
            .expect("collects"),
    )
}

fn is_rtcp(datagram: &[u8]) -> bool {
    (192..=223).contains(&datagram[1])
}

fn packets(datagrams: &[(Instant, Bytes)]) -> Vec<rtp::packet::Packet> {
    datagrams
        .iter()
        .filter(|(_, datagram)| !is_rtcp(datagram))
        .map(|(_, datagram)| rtp::packet::Packet::unmarshal(&mut &datagram[..]).expect("RTP"))
        .collect()
}

#[test]
fn the_voices_are_whole() {
    for (name, voices, utterances, packets) in
        [("planning", 3, 24, 4_052), ("incident", 3, 15, 2_429)]
    {
        let meeting = Meeting::test_set(name).expect("loads");
        assert_eq!(
            (meeting.voices.len(), meeting.utterances.len()),
            (voices, utterances)
        );
        for voice in &meeting.voices {
            assert_eq!(voice.frames.len(), packets, "{}", voice.name);
            assert!(
                voice
                    .frames
                    .iter()
                    .all(|frame| frame.ticks == 960 && opus::ticks(&frame.payload) == Some(960))
            );
        }
        let end = meeting
            .utterances
            .iter()
            .map(|utterance| utterance.end_ms)
            .max()
            .expect("somebody speaks");
        assert!(meeting.duration.as_millis() as i64 > end);
    }
    let (bundled, planning) = (
        Meeting::bundled().expect("loads"),
        Meeting::test_set("planning").expect("loads"),
    );
    assert_eq!(bundled.voices[2].frames, planning.voices[2].frames);
}

#[tokio::test]
async fn packets_leave_in_order_never_before_their_time_and_wrap() {
    let config = SenderConfig {
        sequence: u16::MAX - 3,
        timestamp: u32::MAX - 2_000,
        ..SenderConfig::opus("a@test")
    };
    let frames = frames(25);
    let (sent, datagrams) = send(config.clone(), &frames).await;
    let packets = packets(&datagrams);
    assert_eq!(
        (packets.len(), sent.packets.len(), sent.lost, sent.refused),
        (25, 25, 0, 0)
    );
    let zero = sent.packets[0].due - Duration::from_millis(20);
    for (n, (packet, departed)) in packets.iter().zip(&sent.packets).enumerate() {
        assert_eq!(
            packet.header.sequence_number,
            config.sequence.wrapping_add(n as u16)
        );
        assert_eq!(
            packet.header.timestamp,
            config.timestamp.wrapping_add(960 * n as u32)
        );
        assert_eq!(
            (packet.header.ssrc, packet.header.payload_type),
            (config.ssrc, 111)
        );
        assert_eq!(packet.header.marker, n == 0);
        assert_eq!(packet.payload, frames[n].payload);
        assert_eq!(
            (departed.sequence, departed.timestamp),
            (packet.header.sequence_number, packet.header.timestamp)
        );
        assert_eq!(
            departed.due - zero,
            Duration::from_millis(20) * (n as u32 + 1)
        );
        assert!(departed.at >= departed.due);
    }
}

#[tokio::test]
async fn a_report_tells_name_rate_and_count_on_the_senders_own_clock() {
    let config = SenderConfig {
        ntp_offset_hours: 5.0,
        goodbye: true,
        ..SenderConfig::opus("somebody@test")
    };
    let (sent, datagrams) = send(config.clone(), &frames(10)).await;
    let reports: Vec<&Bytes> = datagrams
        .iter()
        .map(|(_, datagram)| datagram)
        .filter(|d| is_rtcp(d))
        .collect();
    assert_eq!((sent.sender_reports, reports.len()), (1, 2));
    let compound = rtcp::packet::unmarshal(&mut &reports[1][..]).expect("RTCP");
    let report = compound[0]
        .as_any()
        .downcast_ref::<SenderReport>()
        .expect("a sender report first");
    assert_eq!(
        (report.ssrc, report.packet_count, report.octet_count),
        (config.ssrc, 10, 50)
    );
    let ticks = report.rtp_time.wrapping_sub(config.timestamp);
    assert!(
        ticks >= 10 * 960,
        "the report is of its own instant: {ticks}"
    );
    let ntp_s = (report.ntp_time >> 32) as i64 - 2_208_988_800;
    let ahead = ntp_s - chrono::Utc::now().timestamp();
    assert!(
        (5 * 3_600 - 60..=5 * 3_600 + 60).contains(&ahead),
        "{ahead}"
    );
    assert!(
        reports[1]
            .windows(13)
            .any(|bytes| bytes == b"somebody@test")
    );
    assert!(compound[2].as_any().is::<rtcp::goodbye::Goodbye>());
}

#[tokio::test]
async fn a_receivers_reports_come_back() {
    let receiver = UdpSocket::bind((LOCALHOST, 0)).await.expect("a port");
    let config = SenderConfig {
        linger: Duration::from_secs(2),
        ..SenderConfig::opus("a@test")
    };
    let sender = Sender::bind(LOCALHOST, config.clone())
        .await
        .expect("a port");
    let (from, to) = (
        sender.local().expect("an address"),
        receiver.local_addr().expect("an address"),
    );
    let running = tokio::spawn(async move {
        sender
            .run(to, &frames(3), Instant::now(), &CancellationToken::new())
            .await
            .expect("sends")
    });
    let about = |ssrc| ReceptionReport {
        ssrc,
        total_lost: 7,
        ..ReceptionReport::default()
    };
    let report = ReceiverReport {
        reports: vec![about(config.ssrc), about(config.ssrc + 1)],
        ..Default::default()
    };
    receiver.send_to(b"nonsense", from).await.expect("sends");
    receiver
        .send_to(&report.marshal().expect("marshals"), from)
        .await
        .expect("sends");
    let mut buffer = [0; 2_048];
    for _ in 0..4 {
        timeout(SOON, receiver.recv_from(&mut buffer))
            .await
            .expect("in time")
            .expect("receives");
    }
    let sent = timeout(SOON, running)
        .await
        .expect("stops")
        .expect("returns");
    let ours: Vec<(u32, u32)> = sent
        .reports
        .iter()
        .map(|(_, report)| (report.ssrc, report.total_lost))
        .collect();
    assert_eq!(ours, [(config.ssrc, 7)]);
}

#[tokio::test]
async fn the_network_is_as_bad_as_asked_and_the_same_each_time() {
    let network = Impairments {
        seed: 3,
        loss: 0.2,
        reorder: 0.1,
        duplicate: 0.1,
        ..Impairments::default()
    };
    let config = SenderConfig {
        network,
        ..SenderConfig::opus("a@test")
    };
    let frames = frames(60);
    let order = |datagrams: &[(Instant, Bytes)]| -> Vec<Bytes> {
        packets(datagrams)
            .into_iter()
            .map(|packet| packet.payload)
            .collect()
    };
    let ((first, a), (second, b)) =
        tokio::join!(send(config.clone(), &frames), send(config.clone(), &frames));
    assert_eq!(order(&a), order(&b));
    assert_eq!(first.lost, second.lost);
    assert!(
        first.lost > 0 && first.packets.len() > 60 - first.lost,
        "{} {}",
        first.lost,
        first.packets.len()
    );
    assert!(
        first
            .packets
            .windows(2)
            .any(|pair| pair[1].frame < pair[0].frame),
        "nothing was reordered"
    );
}

#[tokio::test]
async fn silence_and_mutes_are_left_out_and_time_goes_on() {
    let bob = &Meeting::test_set("planning").expect("loads").voices[1];
    let mute = vec![Duration::from_secs(4)..Duration::from_secs(5)];
    let config = SenderConfig {
        pauses: Pauses { dtx: true, mute },
        timestamp: 5,
        ..SenderConfig::opus("b@test")
    };
    // Bob is silent until 4.8 s.
    let (sent, datagrams) = send(config, &bob.frames[..275]).await;
    let packets = packets(&datagrams);
    assert!((26..80).contains(&packets.len()), "{}", packets.len());
    for (packet, departed) in packets.iter().zip(&sent.packets) {
        assert_eq!(packet.header.timestamp, 5 + 960 * departed.frame as u32);
        assert_eq!(packet.payload, bob.frames[departed.frame].payload);
        assert!(!(200..250).contains(&departed.frame));
    }
    let numbers: Vec<u16> = packets
        .iter()
        .map(|packet| packet.header.sequence_number)
        .collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1)),
        "an omission is no loss"
    );
    let again = packets
        .iter()
        .find(|packet| packet.header.timestamp >= 250 * 960)
        .expect("speaks again");
    assert!(again.header.marker);
}

#[tokio::test]
async fn srtp_is_opened_by_whoever_has_the_key() {
    for (suite, length) in [
        ("AES_CM_128_HMAC_SHA1_80", 30),
        ("AEAD_AES_128_GCM", 28),
        ("AEAD_AES_256_GCM", 44),
    ] {
        let material: Vec<u8> = (0..length).collect();
        let key = SrtpKey {
            suite: suite.into(),
            key: BASE64_STANDARD.encode(&material),
        };
        let config = SenderConfig {
            srtp: Some(key.clone()),
            sequence: u16::MAX - 4,
            ..SenderConfig::opus("a@test")
        };
        let frames = frames(10);
        let (_, datagrams) = send(config.clone(), &frames).await;
        let mut srtp = Srtp::new(&key).expect("a key");
        let (mut media, mut reports) = (Vec::new(), 0);
        for (_, datagram) in &datagrams {
            if is_rtcp(datagram) {
                let plain = srtp.open_rtcp(datagram).expect("authentic");
                let compound = rtcp::packet::unmarshal(&mut &plain[..]).expect("RTCP");
                assert!(compound[0].as_any().is::<SenderReport>());
                reports += 1;
            } else {
                let plain = srtp.open_rtp(datagram).expect("authentic");
                media.push(rtp::packet::Packet::unmarshal(&mut &plain[..]).expect("RTP"));
                assert!(
                    !datagram
                        .windows(5)
                        .any(|bytes| bytes == &media[media.len() - 1].payload[..]),
                    "in the clear"
                );
            }
        }
        let heard: Vec<&Bytes> = media.iter().map(|packet| &packet.payload).collect();
        assert_eq!(
            heard,
            frames
                .iter()
                .map(|frame| &frame.payload)
                .collect::<Vec<_>>(),
            "{suite}"
        );
        assert_eq!(reports, 1);
        let other = SrtpKey {
            key: BASE64_STANDARD.encode(vec![1; length.into()]),
            ..key.clone()
        };
        let wrong = &datagrams
            .iter()
            .find(|(_, datagram)| !is_rtcp(datagram))
            .expect("a packet")
            .1;
        assert!(Srtp::new(&other).expect("a key").open_rtp(wrong).is_err());
        let short = SrtpKey {
            key: BASE64_STANDARD.encode(&material[1..]),
            ..key
        };
        assert!(Srtp::new(&short).is_err());
    }
}
