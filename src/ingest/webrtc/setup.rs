//! A connection's state before its first offer: what is taken and sent, and where.

use super::{
    Shared,
    pictures::{MEASURED_EVERY, Pictures},
};
use crate::ingest::REPORT_EVERY;
use std::time::Instant;
use str0m::{
    Candidate, Rtc,
    format::{self, FormatParams},
    media::Frequency,
    net::TcpType,
};
use tracing::debug;

/// Payload type of Opus in our own offers; in answers it is the offer's.
const OPUS: u8 = 111;

/// `hears`: it gets what the others send.
pub fn rtc(shared: &Shared, hears: bool) -> Rtc {
    let mut config = Rtc::builder()
        .set_crypto_provider(shared.crypto.clone())
        .set_dtls_cert(shared.certificate.clone())
        .set_ice_lite(true)
        // Packets as they come: placing and ordering them is the meeting's.
        .set_rtp_mode(true)
        .enable_bwe(Some(Pictures::begins_with()))
        .set_stats_interval(hears.then_some(MEASURED_EVERY))
        .set_rtcp_report_interval_audio(REPORT_EVERY)
        .clear_codecs()
        .enable_vp8(true)
        .enable_h264(true);
    let codecs = config.codec_config();
    codecs.add_config(
        OPUS.into(),
        None,
        format::Codec::Opus,
        Frequency::FORTY_EIGHT_KHZ,
        Some(2),
        FormatParams {
            min_p_time: Some(10),
            use_inband_fec: Some(true),
            use_dtx: Some(true),
            ..FormatParams::default()
        },
    );
    // Behind Opus, which browsers therefore send: these go to them as they come from telephones.
    codecs.enable_pcmu(true, false);
    codecs.enable_pcma(true, false);
    let mut rtc = config.build(Instant::now());
    for at in &shared.candidates {
        let tcp = Candidate::builder()
            .tcp()
            .host(*at)
            .tcptype(TcpType::Passive)
            .build();
        for candidate in [Candidate::host(*at, "udp"), tcp] {
            match candidate {
                Ok(candidate) => {
                    rtc.add_local_candidate(candidate);
                }
                Err(error) => debug!(%error, "no candidate"),
            }
        }
    }
    rtc
}
