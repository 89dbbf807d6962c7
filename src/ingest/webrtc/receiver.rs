//! One stream of a peer, on its way to the meeting: the same arrivals as of plain RTP.

use crate::{
    domain::timeline::Header,
    ingest::{Arrival, Reason, Seen, StreamConfig, delivery::Delivery, handle::Open, report},
};
use bytes::Bytes;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use str0m::{media::Mid, rtp::RtpPacket};

/// Seconds from 1900 to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

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
        }
    }

    pub fn mid(&self) -> Mid {
        self.mid
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
        self.delivery.give(Arrival::Rtp {
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
        let _ = self.delivery.give(Arrival::SenderReport {
            at,
            ntp: ntp(sent),
            timestamp,
            cname: Some(cname.clone()),
        });
    }

    /// Its peer is there.
    pub fn alive(&mut self, at: Instant) {
        let _ = self.delivery.give(Arrival::Alive { at });
    }

    /// Its peer is gone for good.
    pub fn bye(&mut self, at: Instant) {
        let _ = self.delivery.give(Arrival::Bye { at });
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
    use std::time::Duration;

    #[test]
    fn times_are_told_as_sender_reports_have_them() {
        assert_eq!(ntp(UNIX_EPOCH), NTP_TO_UNIX_S << 32);
        let half = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(ntp(half), (NTP_TO_UNIX_S + 1) << 32 | 1 << 31);
    }
}
