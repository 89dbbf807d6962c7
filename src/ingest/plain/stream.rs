//! One stream's socket and task.

use super::{
    Network, PlainConfig,
    port::{OpenError, Place, Strangers},
};
use crate::{
    domain::{
        id::StreamId,
        source::{Control, Source},
        time::Micros,
        timeline::Header,
    },
    ingest::{
        Arrival, Counts, DATAGRAM_MAX, Keyring, Reason, Seen, Stream, StreamConfig,
        delivery::Delivery, handle::Open, red, report, room, rtcp, rtp,
    },
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, sync::mpsc};
use tracing::Instrument;

/// Datagrams taken before the task lets others run.
const BATCH: usize = 32;
/// Who sends this instead of sound is there and silent (RFC 3389). Other payload types for long are
/// a sender gone wrong.
const COMFORT_NOISE: u8 = 13;

/// Begins to receive. What arrives goes to `to` with the stream's id; when that is full it is
/// dropped and counted, when its receiver is gone the stream ends. Must be called within a Tokio
/// runtime.
pub fn open(
    config: StreamConfig,
    place: Place,
    plain: PlainConfig,
    to: mpsc::Sender<(StreamId, Arrival)>,
) -> Result<Stream, OpenError> {
    let began = Instant::now();
    let source = Source::new(plain.terms, plain.latched, plain.ssrc, Micros(0));
    let srtp = plain
        .srtp
        .map(|srtp| Keyring::new(srtp, source.ssrc()))
        .transpose()?;
    let seen = Seen {
        from: source.address(),
        ssrc: source.ssrc(),
        index: srtp.as_ref().and_then(Keyring::index),
        ..Seen::default()
    };
    let (stream, open) = Stream::new(seen);
    let Open {
        counts,
        seen,
        handed_over,
        closed,
    } = open;
    let mut task = Task {
        source,
        counts,
        seen,
        reception: report::Reception::default(),
        lost_before: 0,
        cname: None,
        strangers: Strangers::new(place.strangers.clone()),
        us: fastrand::u32(1..),
        srtp,
        delivery: Delivery::new(config.stream, to, config.live.clone()),
        config,
        allow: plain.allow,
        began,
    };
    let span = tracing::info_span!("stream", id = %task.config.stream);
    let receiving = async move {
        let end = closed.run_until_cancelled(task.run(&place.socket)).await;
        match end {
            Some(End::Socket) => {
                tracing::warn!("a stream's socket failed; it ends");
            }
            _ if handed_over.load(Relaxed) => {}
            // Its sender may not know that it is over.
            _ => {
                let address = task.source.address();
                place.rest(Some(task.strangers.senders(address)));
            }
        }
    };
    tokio::spawn(receiving.instrument(span));
    Ok(stream)
}

/// An IPv4 sender on a dual-stack socket is the same as on an IPv4 one.
fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

#[derive(PartialEq, Eq, Debug)]
enum End {
    /// Nobody listens any more.
    Receiver,
    Socket,
}

struct Task {
    config: StreamConfig,
    allow: Arc<[Network]>,
    delivery: Delivery,
    counts: Arc<Counts>,
    seen: Arc<Mutex<Seen>>,
    source: Source,
    srtp: Option<Keyring>,
    reception: report::Reception,
    /// Lost of the SSRCs before this one.
    lost_before: u64,
    cname: Option<Arc<str>>,
    strangers: Strangers,
    /// Our own SSRC in receiver reports.
    us: u32,
    began: Instant,
}

impl Task {
    async fn run(&mut self, socket: &UdpSocket) -> End {
        let mut buffer = [0; DATAGRAM_MAX + 1];
        // RFC 3550 6.2: half an interval at first, then spread so that many streams do not report
        // in step.
        let mut due = tokio::time::Instant::now() + self.config.report_every / 2;
        loop {
            tokio::select! {
                ready = socket.readable() => {
                    if ready.is_err() {
                        return End::Socket;
                    }
                    for _ in 0..BATCH {
                        match socket.try_recv_from(&mut buffer) {
                            Ok((length, from)) => self.datagram(Instant::now(), &buffer[..length], from),
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                            // An ICMP answer to one of our reports; the next datagram is another
                            // matter.
                            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                            Err(error) => {
                                tracing::debug!(%error, "receive");
                                return End::Socket;
                            }
                        }
                    }
                    if self.delivery.is_closed() {
                        return End::Receiver;
                    }
                    tokio::task::yield_now().await;
                }
                () = tokio::time::sleep_until(due) => {
                    due += self.spread();
                    self.report(socket).await;
                }
                () = self.delivery.closed() => return End::Receiver,
            }
        }
    }

    fn spread(&self) -> Duration {
        self.config
            .report_every
            .mul_f64(0.9 + 0.2 * fastrand::f64())
    }

    fn datagram(&mut self, at: Instant, datagram: &[u8], from: SocketAddr) {
        let done = if rtp::is_rtcp(datagram) {
            self.control(at, datagram, from)
        } else {
            self.packet(at, datagram, from)
        };
        if let Err(reason) = done {
            if self.source.address() != Some(canonical(from)) {
                self.strangers.add(canonical(from));
            }
            self.counts.refuse(reason);
        }
    }

    /// Whether media may come from there without being announced. What proves itself may come from
    /// anywhere.
    fn allows(&self, from: SocketAddr) -> bool {
        self.srtp.is_some()
            || from.ip().to_canonical().is_loopback()
            || self.allow.iter().any(|network| network.contains(from.ip()))
    }

    fn since_began(&self, at: Instant) -> Micros {
        Micros(at.saturating_duration_since(self.began).as_micros() as i64)
    }

    fn packet(&mut self, at: Instant, datagram: &[u8], from: SocketAddr) -> Result<(), Reason> {
        if datagram.len() > DATAGRAM_MAX {
            return Err(Reason::Size);
        }
        let (ssrc, payload_type) = rtp::claims(datagram)?;
        let now = self.since_began(at);
        self.source.admits(from, ssrc, self.allows(from), now)?;
        let own = self.config.payload_type;
        let redundant = Some(payload_type) == self.config.red_payload_type;
        // What holds none of the stream's media settles nothing about where it comes from.
        let settled = self.srtp.is_some()
            || self.source.ssrc() == Some(ssrc) && self.source.address() == Some(canonical(from));
        if payload_type != own && !redundant && !settled {
            return Err(Reason::PayloadType);
        }
        let packet = rtp::parse(datagram)?;
        let opened;
        let (packet, newest) = match &mut self.srtp {
            None => (packet, true),
            Some(srtp) => {
                let (plain, newest) = srtp.open(datagram, &packet)?;
                opened = plain;
                (rtp::parse(&opened)?, newest)
            }
        };
        let media = packet.media()?;
        let media = match red::primary(media).filter(|_| redundant) {
            Some((kind, block)) if kind == own => Some(block),
            None if payload_type == own => Some(media),
            _ => None,
        };
        let Some(media) = media else {
            if !settled {
                return Err(Reason::PayloadType);
            }
            self.take(from, ssrc, newest, now);
            self.reception.number(packet.sequence, at);
            self.note(at);
            self.forward(at, &packet, &[]);
            self.delivery.deliver(Arrival::Other {
                at,
                sequence: packet.sequence,
            })?;
            if payload_type != COMFORT_NOISE {
                return Err(Reason::PayloadType);
            }
            self.counts.take();
            return Ok(());
        };
        let ticks = self.config.codec.ticks(media).ok_or(Reason::Payload)?;
        self.take(from, ssrc, newest, now);
        self.reception.packet(
            packet.sequence,
            packet.timestamp,
            self.config.clock_rate,
            at,
        );
        self.note(at);
        let header = Header {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ticks,
        };
        self.forward(at, &packet, media);
        self.delivery.deliver(Arrival::Rtp {
            at,
            header,
            marker: packet.marker,
            payload: Bytes::copy_from_slice(media),
        })?;
        self.counts.take();
        Ok(())
    }

    /// To the others. `media`: without redundancy and padding.
    fn forward(&self, at: Instant, packet: &rtp::Packet<'_>, media: &[u8]) {
        self.delivery.forward(|| room::Packet {
            at,
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            marker: packet.marker,
            level: None,
            voice: None,
            turned: None,
            payload: media.into(),
        });
    }

    /// A valid packet came from here.
    fn take(&mut self, from: SocketAddr, ssrc: u32, newest: bool, now: Micros) {
        let change = self.source.take(from, ssrc, newest, now);
        if change.ssrc {
            self.lost_before += self.reception.lost();
            self.reception = report::Reception::default();
        }
        if change.address || change.ssrc {
            let from = self.source.address().unwrap_or(from);
            self.delivery.change(from, ssrc, change.ssrc);
        }
    }

    fn note(&self, at: Instant) {
        *self.seen.lock() = Seen {
            from: self.source.address(),
            ssrc: self.source.ssrc(),
            index: self.srtp.as_ref().and_then(Keyring::index),
            lost: self.lost_before + self.reception.lost(),
            last: Some(at),
        };
    }

    fn control(&mut self, at: Instant, datagram: &[u8], from: SocketAddr) -> Result<(), Reason> {
        if datagram.len() > DATAGRAM_MAX {
            return Err(Reason::Size);
        }
        let ssrc = rtcp::claims(datagram)?;
        let reach = self.source.admits_control(from, ssrc, self.allows(from))?;
        let opened;
        let datagram = match &mut self.srtp {
            None => datagram,
            Some(srtp) => {
                opened = srtp.open_rtcp(datagram)?;
                &opened
            }
        };
        let control = rtcp::parse(datagram)?;
        if control.gone.contains(&ssrc) {
            // Who is not where the media comes from cannot end it: a neighbour on the host may have
            // the same SSRC.
            return if reach == Control::Whole {
                self.delivery.deliver(Arrival::Bye { at })
            } else {
                Err(Reason::Source)
            };
        }
        if reach == Control::Presence {
            return self.delivery.deliver(Arrival::Alive { at });
        }
        if let Some(cname) = control.cname {
            self.cname = Some(cname);
        }
        match control.report {
            Some((ntp, timestamp)) => {
                self.reception.sender_report(ntp, at);
                self.delivery.deliver(Arrival::SenderReport {
                    at,
                    ntp,
                    timestamp,
                    cname: self.cname.clone(),
                })
            }
            None => self.delivery.deliver(Arrival::Alive { at }),
        }
    }

    async fn report(&mut self, socket: &UdpSocket) {
        let (Some(to), Some(ssrc)) = (self.source.address(), self.source.ssrc()) else {
            return;
        };
        let us = if self.us == ssrc {
            self.us.wrapping_add(1).max(1)
        } else {
            self.us
        };
        let block = self.reception.report(ssrc, Instant::now());
        let Some(mut compound) = block.and_then(|block| rtcp::compound(us, Some(block))) else {
            return;
        };
        if let Some(srtp) = &mut self.srtp {
            match srtp.seal_rtcp(&compound) {
                Some(Ok(sealed)) => compound = sealed,
                Some(Err(error)) => return tracing::debug!(%error, "receiver report"),
                None => return,
            }
        }
        // A report that cannot be sent at once is one of many.
        let _ = socket.try_send_to(&compound, to);
    }
}
