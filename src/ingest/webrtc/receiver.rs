//! One stream of a peer, on its way to the meeting: the same arrivals as of plain RTP.

use crate::{
    domain::{codec::Codec, timeline::Header},
    ingest::{Arrival, Reason, Seen, StreamConfig, delivery::Delivery, handle::Open, report, room},
};
use bytes::Bytes;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use str0m::{media::Mid, rtp::RtpPacket};

/// Seconds from 1900 to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// Key frames are large: who asks more often gets no picture at all through a narrow network.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(300);

pub struct Receiver {
    mid: Mid,
    config: StreamConfig,
    delivery: Delivery,
    open: Open,
    reception: report::Reception,
    /// Lost of the SSRCs before this one.
    lost_before: u64,
    /// Where media came from last, and with which SSRC.
    source: Option<(SocketAddr, u32)>,
    key_frame: KeyFrame,
}

/// Whether somebody waits for a picture that can be decoded by itself, and when one was asked for.
#[derive(Clone, Copy, Default, Debug)]
struct KeyFrame {
    wanted: bool,
    asked: Option<Instant>,
}

impl Receiver {
    pub fn new(mid: &str, config: StreamConfig, delivery: Delivery, open: Open) -> Self {
        Self {
            mid: mid.into(),
            config,
            delivery,
            open,
            reception: report::Reception::default(),
            lost_before: 0,
            source: None,
            key_frame: KeyFrame::default(),
        }
    }

    pub fn mid(&self) -> Mid {
        self.mid
    }

    /// Somebody waits for a key frame.
    pub fn want_key_frame(&mut self) {
        self.key_frame.wanted = true;
    }

    /// When a key frame is to be asked for; several wishes are one. Of whom nothing has come
    /// nothing can be asked yet.
    pub fn key_frame_due(&self, now: Instant) -> Option<Instant> {
        let due = |asked: Instant| now.max(asked + KEY_FRAME_EVERY);
        (self.key_frame.wanted && self.source.is_some())
            .then(|| self.key_frame.asked.map_or(now, due))
    }

    /// Whether to ask for one now.
    pub fn ask_key_frame(&mut self, now: Instant) -> bool {
        let due = self.key_frame_due(now).is_some_and(|due| due <= now);
        if due {
            self.key_frame = KeyFrame {
                wanted: false,
                asked: Some(now),
            };
        }
        due
    }

    /// The SSRC of what comes.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.map(|(_, ssrc)| ssrc)
    }

    /// Nobody wants it any more.
    pub fn is_closed(&self) -> bool {
        self.open.closed.is_cancelled() || self.delivery.is_closed()
    }

    /// A packet that proved itself.
    pub fn packet(&mut self, packet: &RtpPacket, from: SocketAddr) {
        match self.take(packet, from) {
            Ok(()) => self.open.counts.take(),
            Err(reason) => self.open.counts.refuse(reason),
        }
    }

    fn take(&mut self, packet: &RtpPacket, from: SocketAddr) -> Result<(), Reason> {
        let (at, header) = (packet.timestamp, &packet.header);
        if *header.payload_type != self.config.payload_type {
            return Err(Reason::PayloadType);
        }
        let media = &packet.payload[..];
        let ticks = self.config.codec.ticks(media).ok_or(Reason::Payload)?;
        let ssrc = *header.ssrc;
        self.heard(from, ssrc);
        let (sequence, timestamp) = (header.sequence_number, header.timestamp);
        self.reception
            .packet(sequence, timestamp, self.config.clock_rate, at);
        *self.open.seen.lock() = Seen {
            from: Some(from),
            ssrc: Some(ssrc),
            index: None,
            lost: self.lost_before + self.reception.lost(),
            last: Some(at),
        };
        self.delivery.forward(|| forwarded(packet));
        if let Codec::Video(_) = self.config.codec {
            // Seen by the others, and not kept.
            return Ok(());
        }
        self.delivery.deliver(Arrival::Rtp {
            at,
            header: Header {
                sequence,
                timestamp,
                ticks,
            },
            marker: header.marker,
            payload: Bytes::copy_from_slice(media),
        })
    }

    fn heard(&mut self, from: SocketAddr, ssrc: u32) {
        let before = self.source.replace((from, ssrc));
        if before == Some((from, ssrc)) {
            return;
        }
        let anew = before.is_some_and(|(_, before)| before != ssrc);
        if anew {
            self.lost_before += self.reception.lost();
            self.reception = report::Reception::default();
        }
        self.delivery.change(from, ssrc, anew);
    }

    pub fn report(&mut self, at: Instant, sent: SystemTime, timestamp: u32, cname: &Arc<str>) {
        // What finds no room is one of many.
        let _ = self.delivery.deliver(Arrival::SenderReport {
            at,
            ntp: ntp(sent),
            timestamp,
            cname: Some(cname.clone()),
        });
    }

    /// Its peer is there.
    pub fn alive(&mut self, at: Instant) {
        let _ = self.delivery.deliver(Arrival::Alive { at });
    }

    /// Its peer is gone for good.
    pub fn bye(&mut self, at: Instant) {
        let _ = self.delivery.deliver(Arrival::Bye { at });
    }
}

/// As the others get it.
fn forwarded(packet: &RtpPacket) -> room::Packet {
    let header = &packet.header;
    room::Packet {
        at: packet.timestamp,
        ssrc: *header.ssrc,
        sequence: header.sequence_number,
        timestamp: header.timestamp,
        marker: header.marker,
        level: header.ext_vals.audio_level,
        voice: header.ext_vals.voice_activity,
        turned: header.ext_vals.video_orientation.map(|of| of as u8),
        payload: packet.payload.clone(),
    }
}

/// As 32.32 bits (RFC 3550 4).
fn ntp(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().wrapping_add(NTP_TO_UNIX_S) & 0xffff_ffff;
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_sender_reports_have_them() {
        assert_eq!(ntp(UNIX_EPOCH), NTP_TO_UNIX_S << 32);
        let half = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(ntp(half), (NTP_TO_UNIX_S + 1) << 32 | 1 << 31);
    }
}
