//! A section of ours in a peer connection: what is sent in it of one source of another participant.

use crate::{
    domain::{
        codec::{AudioCodec, Codec, VideoCodec},
        id::StreamId,
        own_sections::OwnSection,
        rewriting::Rewriter,
        stream::MediaKind,
        time::Micros,
    },
    ingest::room::SourcePacket,
};
use std::time::Duration;
use str0m::{
    Rtc, format,
    media::{Mid, Pt},
    rtp::{ExtensionValues, RtpWrite, Ssrc, VideoOrientation},
};
use tracing::debug;

/// What may be asked for once more, and for how long it is kept (in memory only).
const KEPT_PACKETS: usize = 512;
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Of what is sent, at most this part is sent again: a receiver that asks for more has no room.
const AGAIN_MAX: f32 = 0.15;

pub struct Section {
    pub mid: Mid,
    pub own: OwnSection,
    /// The other side has agreed to what it is.
    pub agreed: bool,
    /// Its source is gone, which the other side is not told of yet.
    pub gone: bool,
    /// Its participant may be heard.
    pub live: bool,
    /// From its first answer on.
    pub out: Option<Out>,
}

pub struct Out {
    ssrc: Ssrc,
    rewriter: Rewriter<(StreamId, u32)>,
}

impl Section {
    pub fn new(mid: Mid, own: OwnSection) -> Self {
        Self {
            mid,
            own,
            agreed: false,
            gone: false,
            live: true,
            out: None,
        }
    }

    /// Packets can be sent from now on.
    pub fn begin(&mut self, rtc: &mut Rtc) {
        if let Some(ssrc) = sent_as(rtc, self.mid) {
            keep_for_again(rtc, ssrc);
            self.out = Some(Out {
                ssrc,
                rewriter: Rewriter::new(fastrand::u16(..), fastrand::u32(..)),
            });
        }
    }

    /// Nothing of what was sent is sent again.
    pub fn forget(&self, rtc: &mut Rtc) {
        if let Some(out) = &self.out {
            keep_for_again(rtc, out.ssrc);
        }
    }

    /// Nothing of what waits to be sent is sent. The stream is made anew with its SSRC, in which
    /// numbers go on; those of its repetitions begin anew, so that they need another one. The other
    /// side learns of that by the next description.
    pub fn drop_waiting(&self, rtc: &mut Rtc) {
        let Some(out) = &self.out else { return };
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx(&out.ssrc) else {
            return;
        };
        let again = stream.rtx().map(|_| api.new_ssrc());
        api.remove_stream_tx(out.ssrc);
        api.declare_stream_tx(out.ssrc, again, self.mid, None);
        keep_for_again(rtc, out.ssrc);
    }

    pub fn is_sent(&self) -> bool {
        self.agreed && !self.gone
    }

    /// What is not sent on leaves no hole, which the other side would ask for.
    pub fn skip(&mut self, source_packet: &SourcePacket) {
        if let Some(out) = &mut self.out {
            let sender = (source_packet.stream, source_packet.packet.ssrc);
            out.rewriter.skip(&sender, source_packet.packet.sequence);
        }
    }

    /// Whether it is the first of another sender.
    pub fn send(&mut self, rtc: &mut Rtc, source_packet: &SourcePacket, at: Micros) -> bool {
        let Some(out) = &mut self.out else {
            return false;
        };
        let packet = &source_packet.packet;
        let sender = (source_packet.stream, packet.ssrc);
        if packet.payload.is_empty() {
            self.skip(source_packet);
            return false;
        }
        let Some(payload_type) = payload_type(rtc, self.mid, source_packet.codec) else {
            metrics::counter!("hansard_forward_dropped_total", "reason" => "codec").increment(1);
            return false;
        };
        let clock_rate = source_packet.codec.clock_rate();
        let renumbered =
            out.rewriter
                .packet(sender, packet.sequence, packet.timestamp, clock_rate, at);
        let Some(numbers) = renumbered else {
            return false;
        };
        let voice = source_packet.shown.kind == MediaKind::Audio;
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx(&out.ssrc) else {
            debug!("a section has lost its stream");
            return false;
        };
        stream.write_rtp(
            RtpWrite::new(
                payload_type,
                numbers.sequence.into(),
                numbers.timestamp,
                packet.at,
                packet.payload.clone(),
            )
            // Of sound: the first after silence (RFC 7587 4.1), as the first of another sender is.
            .marker(packet.marker || voice && numbers.first)
            .ext_vals(ExtensionValues {
                audio_level: packet.level,
                voice_activity: packet.voice,
                video_orientation: packet.turned.map(VideoOrientation::from),
                ..ExtensionValues::default()
            })
            .nackable(true),
        );
        metrics::counter!("hansard_forward_packets_total").increment(1);
        numbers.first
    }
}

/// The SSRC of what is sent in a section.
pub fn sent_as(rtc: &mut Rtc, mid: Mid) -> Option<Ssrc> {
    let mut api = rtc.direct_api();
    Some(api.stream_tx_by_mid(mid, None)?.ssrc())
}

/// What was sent is kept for a moment, anew from now on: nothing of before is sent again.
fn keep_for_again(rtc: &mut Rtc, ssrc: Ssrc) {
    if let Some(stream) = rtc.direct_api().stream_tx(&ssrc) {
        stream.set_rtx_cache(KEPT_PACKETS, KEPT_FOR, Some(AGAIN_MAX));
    }
}

/// What a codec is sent as in a section; `None`: the other side has it not.
fn payload_type(rtc: &Rtc, mid: Mid, codec: Codec) -> Option<Pt> {
    let wanted = format_of(codec);
    let taken = rtc.media(mid)?.remote_pts();
    let params = rtc
        .codec_config()
        .find(|params| params.spec().codec == wanted && taken.contains(&params.pt()))?;
    Some(params.pt())
}

/// A codec by str0m's name.
pub fn format_of(codec: Codec) -> format::Codec {
    match codec {
        Codec::Audio(AudioCodec::Opus) => format::Codec::Opus,
        Codec::Audio(AudioCodec::Pcmu) => format::Codec::PCMU,
        Codec::Audio(AudioCodec::Pcma) => format::Codec::PCMA,
        Codec::Video(VideoCodec::Vp8) => format::Codec::Vp8,
        Codec::Video(VideoCodec::H264) => format::Codec::H264,
    }
}
