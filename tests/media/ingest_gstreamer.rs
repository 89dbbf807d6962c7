//! Another implementation of RTP, RTCP and SRTP (GStreamer with libsrtp) as the sender.

use gstreamer::{self as gst, prelude::*};
use hansard::{
    domain::{
        codec::{AudioCodec, Codec},
        id::StreamId,
        source::Terms,
        stream::SrtpSuite,
    },
    ingest::{
        Arrival, PlainConfig, Ports, REPORT_EVERY, Source, SrtpConfig, StreamConfig, new_key, open,
    },
};
use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};
use tokio::sync::mpsc;

const SSRC: u32 = 0x2233_4455;
const PACKETS: usize = 40;

/// RTP and RTCP of one Opus voice, on one port; the counter begins just below its wrap.
fn graph(port: u16, srtp: Option<&SrtpConfig>) -> gst::Pipeline {
    let voice = "rtpbin name=session rtp-profile=avp \
        audiotestsrc samplesperbuffer=960 is-live=true ! audio/x-raw,rate=48000,channels=1 \
        ! opusenc ! rtpopuspay pt=111 name=payloader ! session.send_rtp_sink_0";
    let out =
        format!("funnel name=out ! udpsink host=127.0.0.1 port={port} sync=false async=false");
    let protect = match srtp.map(|srtp| srtp.suite) {
        None => "session.send_rtp_src_0 ! out. session.send_rtcp_src_0 ! out.".to_owned(),
        Some(suite) => {
            let (cipher, auth) = match suite {
                SrtpSuite::AesCm128HmacSha1_80 => ("aes-128-icm", "hmac-sha1-80"),
                SrtpSuite::AeadAes128Gcm => ("aes-128-gcm", "null"),
                SrtpSuite::AeadAes256Gcm => ("aes-256-gcm", "null"),
            };
            format!(
                "srtpenc name=protect rtp-cipher={cipher} rtcp-cipher={cipher} rtp-auth={auth} rtcp-auth={auth} \
                 session.send_rtp_src_0 ! protect.rtp_sink_0 protect.rtp_src_0 ! out. \
                 session.send_rtcp_src_0 ! protect.rtcp_sink_0 protect.rtcp_src_0 ! out."
            )
        }
    };
    // The elements that others link to by name come first.
    let first = protect.find("session.").expect("it names the session");
    let graph = gst::parse::launch(&format!(
        "{} {out} {voice} {}",
        &protect[..first],
        &protect[first..]
    ))
    .expect("a sound graph");
    let graph = graph.downcast::<gst::Pipeline>().expect("a pipeline");
    let payloader = graph.by_name("payloader").expect("named");
    payloader.set_property("ssrc", SSRC);
    payloader.set_property("seqnum-offset", 65_520i32);
    payloader.set_property("timestamp-offset", u32::MAX - 9_600);
    if let Some(srtp) = srtp {
        let key = gst::Buffer::from_slice(srtp.key.clone());
        graph
            .by_name("protect")
            .expect("named")
            .set_property("key", key);
    }
    graph
}

async fn hears(suite: Option<SrtpSuite>) {
    gst::init().expect("GStreamer");
    let srtp = suite.map(|suite| SrtpConfig {
        suite,
        key: new_key(suite).expect("randomness"),
        index: None,
    });
    let (to, mut arrivals) = mpsc::channel(256);
    let config = StreamConfig {
        stream: StreamId(uuid::Uuid::now_v7()),
        payload_type: 111,
        red_payload_type: None,
        codec: Codec::Audio(AudioCodec::Opus),
        clock_rate: 48_000,
        report_every: REPORT_EVERY,
        live: None,
    };
    let plain = PlainConfig {
        terms: Terms {
            ssrc: Some(SSRC),
            secured: srtp.is_some(),
            ..Terms::default()
        },
        srtp: srtp.clone(),
        ..PlainConfig::default()
    };
    let (ports, _rested) = Ports::new(Ipv4Addr::LOCALHOST.into(), 23_000..=23_999, Duration::ZERO);
    let place = ports
        .take(&BTreeSet::new(), &BTreeSet::new())
        .expect("a port");
    let graph = graph(place.port, srtp.as_ref());
    let opened = open(config, Source::Plain(place, plain), to).expect("it opens");
    graph.set_state(gst::State::Playing).expect("it plays");
    let (mut headers, mut report) = (Vec::new(), None);
    let all = tokio::time::timeout(Duration::from_secs(20), async {
        while headers.len() < PACKETS || report.is_none() {
            match arrivals.recv().await.expect("open").1 {
                Arrival::Rtp {
                    header, payload, ..
                } => {
                    assert!(!payload.is_empty());
                    headers.push(header);
                }
                Arrival::SenderReport {
                    timestamp, cname, ..
                } => report = Some((timestamp, cname)),
                _ => {}
            }
        }
    });
    let came = all.await;
    graph.set_state(gst::State::Null).expect("it stops");
    assert!(
        came.is_ok(),
        "{suite:?}: {} packets, report {report:?}, {:?}",
        headers.len(),
        opened.counts()
    );
    assert_eq!(headers[0].sequence, 65_520);
    assert!(
        headers
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1))
    );
    // The payloader counts from buffer times: the first packet is shorter by the encoder's
    // look-ahead.
    let steps: Vec<_> = headers
        .windows(2)
        .map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp))
        .collect();
    assert!(headers.iter().all(|header| header.ticks == 960));
    assert!(
        steps[1..].iter().all(|step| step.abs_diff(960) <= 1),
        "{steps:?}"
    );
    let (timestamp, cname) = report.expect("came");
    assert!(cname.is_some());
    let distance = timestamp.wrapping_sub(headers[0].timestamp) as i32;
    assert!(
        (-48_000..48_000 * 20).contains(&distance),
        "the report is about these packets: {distance}"
    );
    assert_eq!(opened.counts().dropped_all(), 0);
    // Behind the wrap: the rollover counter is 1.
    assert!(
        opened
            .seen()
            .index
            .is_none_or(|index| index >= 65_520 + headers.len() as u64 - 1)
    );
}

#[tokio::test]
async fn gstreamer_is_heard() {
    hears(None).await;
}

#[tokio::test]
async fn gstreamer_is_heard_over_srtp() {
    tokio::join!(
        hears(Some(SrtpSuite::AesCm128HmacSha1_80)),
        hears(Some(SrtpSuite::AeadAes128Gcm)),
        hears(Some(SrtpSuite::AeadAes256Gcm))
    );
}
