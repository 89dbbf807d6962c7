//! The sender over loopback, the voices, and the tones that other tests measure recordings with.

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
        linger: SOON,
        ..SenderConfig::opus("a@test")
    };
    let sender = Sender::bind(LOCALHOST, config.clone())
        .await
        .expect("a port");
    let (from, to) = (
        sender.local().expect("an address"),
        receiver.local_addr().expect("an address"),
    );
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move {
            sender
                .run(to, &frames(3), Instant::now(), &stop)
                .await
                .expect("sends")
        }
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
    stop.cancel();
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

/// Packets as an Ogg file, which GStreamer can read back.
fn ogg_file(frames: &[Frame]) -> tempfile::Named {
    let mut head = b"OpusHead\x01\x01\x00\x00".to_vec();
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend([0; 8]);
    let file = tempfile::Named::new("ogg");
    let mut writer = ogg::PacketWriter::new(std::fs::File::create(file.path()).expect("creates"));
    writer
        .write_packet(head, 1, ogg::PacketWriteEndInfo::EndPage, 0)
        .expect("writes");
    writer
        .write_packet(tags, 1, ogg::PacketWriteEndInfo::EndPage, 0)
        .expect("writes");
    for (n, frame) in frames.iter().enumerate() {
        let last = n + 1 == frames.len();
        let end = if last {
            ogg::PacketWriteEndInfo::EndStream
        } else {
            ogg::PacketWriteEndInfo::NormalPacket
        };
        writer
            .write_packet(frame.payload.to_vec(), 1, end, 960 * (n as u64 + 1))
            .expect("writes");
    }
    file
}

mod tempfile {
    use std::path::{Path, PathBuf};

    /// A file that goes with its value.
    pub struct Named(PathBuf);

    impl Named {
        pub fn new(extension: &str) -> Self {
            Self(
                std::env::temp_dir()
                    .join(format!("hansard-play-{}.{extension}", uuid::Uuid::now_v7())),
            )
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Named {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

#[test]
fn a_tone_survives_opus_and_is_found_again() {
    let mut samples = tone::sine(600.0, 0.25, Duration::from_secs(1), 48_000);
    samples.extend(tone::silence(Duration::from_secs(1), 48_000));
    let frames = tone::opus(&samples, tone::OpusSettings::default()).expect("encodes");
    assert_eq!(frames.len(), 100);
    let file = ogg_file(&frames);
    let decoded = tone::decode(file.path(), 48_000).expect("decodes");
    assert!(decoded.len().abs_diff(96_000) <= 960, "{}", decoded.len());
    let levels = tone::amplitudes(&decoded, 48_000, 600.0);
    assert!(
        levels[1..9]
            .iter()
            .all(|level| (tone::dbfs(*level) + 12.04).abs() < 1.0),
        "{levels:?}"
    );
    assert!(
        levels[11..19]
            .iter()
            .all(|level| tone::dbfs(*level) < -60.0),
        "{levels:?}"
    );
    assert!(
        tone::amplitudes(&decoded, 48_000, 1_000.0)
            .iter()
            .all(|level| tone::dbfs(*level) < -40.0)
    );
}

#[test]
fn encodes_silence_small_and_noise_large() {
    let second = Duration::from_secs(1);
    let silence = tone::opus(
        &tone::silence(second, 48_000),
        tone::OpusSettings::default(),
    )
    .expect("encodes");
    let noise = tone::opus(
        &tone::noise(1, 0.1, second, 48_000),
        tone::OpusSettings::default(),
    )
    .expect("encodes");
    let sizes: Vec<usize> = silence.iter().map(|frame| frame.payload.len()).collect();
    assert!(
        silence
            .iter()
            .all(|frame| frame.payload.len() <= 3 && opus::silent(&frame.payload)),
        "{sizes:?}"
    );
    assert!(noise.iter().all(|frame| frame.payload.len() > 3));
    let speech = tone::decode(
        std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/speech/planning/Bob.opus"
        )),
        8_000,
    )
    .expect("decodes");
    assert!(
        speech.len().abs_diff(81_033 * 8) < 8 * 100,
        "{}",
        speech.len()
    );
    let (pcmu, pcma) = (tone::pcmu(&speech), tone::pcma(&speech));
    assert_eq!(
        (pcmu.len(), pcma.len()),
        (speech.len().div_ceil(160), speech.len().div_ceil(160))
    );
    assert!(pcmu[0].payload.len() == 160 && pcmu[0].ticks == 160);
}

#[test]
fn gaps_told_by_time_stamps_are_silence() {
    // A second of tone, a second of nothing, a second of tone, in Matroska as recordings are.
    gstreamer::init().expect("GStreamer");
    let frames = tone::opus(
        &tone::sine(440.0, 0.5, Duration::from_secs(2), 48_000),
        tone::OpusSettings::default(),
    )
    .expect("encodes");
    let file = tempfile::Named::new("mkv");
    let graph =
        "appsrc name=in format=time ! mux.audio_0 matroskamux name=mux ! filesink name=file";
    let graph = gstreamer::parse::launch(graph)
        .expect("loads")
        .downcast::<gstreamer::Pipeline>()
        .expect("a pipeline");
    graph
        .by_name("file")
        .expect("named")
        .set_property("location", file.path());
    let source: gstreamer_app::AppSrc = graph
        .by_name("in")
        .expect("named")
        .downcast()
        .expect("an appsrc");
    let head = [
        b"OpusHead\x01\x01\x00\x00".as_slice(),
        &48_000u32.to_le_bytes(),
        &[0; 3],
    ]
    .concat();
    let tags = [b"OpusTags".as_slice(), &[0; 8]].concat();
    let headers = gstreamer::Array::new([head, tags].map(gstreamer::Buffer::from_slice));
    let caps = gstreamer::Caps::builder("audio/x-opus")
        .field("channel-mapping-family", 0i32)
        .field("channels", 1i32)
        .field("rate", 48_000i32)
        .field("streamheader", headers)
        .build();
    source.set_caps(Some(&caps));
    graph.set_state(gstreamer::State::Playing).expect("plays");
    for (n, frame) in frames.iter().enumerate() {
        let mut buffer = gstreamer::Buffer::from_slice(frame.payload.to_vec());
        let at = n as u64 * 20 + if n < 50 { 0 } else { 1_000 };
        let fresh = buffer.get_mut().expect("ours alone");
        fresh.set_pts(gstreamer::ClockTime::from_mseconds(at));
        fresh.set_duration(gstreamer::ClockTime::from_mseconds(20));
        source.push_buffer(buffer).expect("takes it");
    }
    source.end_of_stream().expect("ends");
    let bus = graph.bus().expect("a bus");
    let kinds = [gstreamer::MessageType::Eos, gstreamer::MessageType::Error];
    let last = bus
        .timed_pop_filtered(gstreamer::ClockTime::from_seconds(10), &kinds)
        .expect("in time");
    assert_eq!(last.type_(), gstreamer::MessageType::Eos, "{last:?}");
    graph.set_state(gstreamer::State::Null).expect("stops");
    let decoded = tone::decode(file.path(), 48_000).expect("decodes");
    assert!(
        decoded.len().abs_diff(3 * 48_000) <= 960,
        "{}",
        decoded.len()
    );
    let levels: Vec<f64> = tone::amplitudes(&decoded, 48_000, 440.0)
        .into_iter()
        .map(tone::dbfs)
        .collect();
    let heard: Vec<bool> = levels.iter().map(|level| *level > -10.0).collect();
    assert!(
        heard[1..9].iter().chain(&heard[21..29]).all(|heard| *heard),
        "{levels:?}"
    );
    assert!(
        levels[11..19].iter().all(|level| *level < -60.0),
        "{levels:?}"
    );
}

/// A peer that speaks the subprotocol by a script: what it must receive, and what it then says.
async fn scripted(answers: Vec<(&'static str, Vec<Message>)>) -> String {
    let listener = tokio::net::TcpListener::bind((LOCALHOST, 0))
        .await
        .expect("a port");
    let url = format!(
        "ws://{}/v1/signal",
        listener.local_addr().expect("an address")
    );
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepts");
        #[allow(clippy::result_large_err)]
        let negotiate = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], "hansard.v1");
            assert_eq!(request.headers()["authorization"], "Bearer hk_1");
            response.headers_mut().insert(
                "sec-websocket-protocol",
                "hansard.v1".parse().expect("a header"),
            );
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, negotiate)
            .await
            .expect("upgrades");
        for (wanted, says) in answers {
            let received = socket
                .next()
                .await
                .expect("more")
                .expect("receives")
                .into_text()
                .expect("text");
            assert!(received.contains(wanted), "{received}");
            for message in says {
                socket.send(message).await.expect("sends");
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
    });
    url
}

#[tokio::test]
async fn a_socket_joins_asks_and_learns_why_it_was_closed() {
    let closing = CloseFrame {
        code: 4000.into(),
        reason: "ended".into(),
    };
    let url = scripted(vec![
        (
            r#""meetingId":"m""#,
            vec![Message::text(
                r#"{"type":"joined","re":"join","data":{"seq":4}}"#,
            )],
        ),
        (
            r#""type":"ping""#,
            vec![
                Message::text(r#"{"type":"consent_updated","seq":5,"data":{}}"#),
                Message::text(r#"{"type":"pong","re":"r1","data":{}}"#),
                Message::Close(Some(closing)),
            ],
        ),
    ])
    .await;
    let entry = Entry::Observer {
        api_key: "hk_1".into(),
        meeting_id: "m".into(),
    };
    let mut signal = Signal::connect(&url, &entry, None).await.expect("joins");
    assert_eq!(signal.joined.data()["seq"], 4);
    let id = signal.ping().await.expect("asks");
    let before = signal.next().await.expect("an event");
    assert_eq!((before.kind(), before.seq()), ("consent_updated", Some(5)));
    let pong = signal
        .wait_for(Instant::now() + SOON, |event| event.value["re"] == *id)
        .await
        .expect("is answered");
    assert_eq!(pong.kind(), "pong");
    assert!(signal.next().await.is_none());
    let closed = signal.ended().await.expect("ended");
    assert_eq!((closed.code, closed.reason.as_str()), (Some(4000), "ended"));
}

#[tokio::test]
async fn a_refusal_to_join_says_why() {
    let answer =
        r#"{"type":"error","re":"join","data":{"code":"consent_required","message":"first"}}"#;
    let url = scripted(vec![("join_room", vec![Message::text(answer)])]).await;
    let entry = Entry::Observer {
        api_key: "hk_1".into(),
        meeting_id: "m".into(),
    };
    let refused = Signal::connect(&url, &entry, None)
        .await
        .expect_err("refused");
    assert!(
        format!("{refused:#}").contains("consent_required"),
        "{refused:#}"
    );
}
