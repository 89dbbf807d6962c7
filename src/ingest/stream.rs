//! One stream's socket and task.

use super::{Arrival, Counts, OpenError, Reason, Srtp, StreamConfig, port, report, rtcp, rtp, source::Source};
use crate::domain::{id::StreamId, timeline::Header};
use bytes::Bytes;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, sync::mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Datagrams taken before the task lets others run.
const BATCH: usize = 32;
const NO_INDEX: u64 = u64::MAX;

/// A stream being received.
#[derive(Debug)]
pub struct Opened {
    pub port: u16,
    pub stream: Stream,
}

/// Dropping it closes the socket.
#[derive(Debug)]
pub struct Stream {
    counts: Arc<Counts>,
    index: Arc<AtomicU64>,
    _close: DropGuard,
}

impl Stream {
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// SRTP only: rollover counter and highest sequence number (48 bits), to be kept for a restart.
    pub fn srtp_index(&self) -> Option<u64> {
        Some(self.index.load(Relaxed)).filter(|index| *index != NO_INDEX)
    }
}

/// Takes a port and begins to receive. What arrives goes to `to` with the stream's id; when that is full it is dropped
/// and counted, when its receiver is gone the stream ends. Must be called within a Tokio runtime.
pub fn open(config: StreamConfig, to: mpsc::Sender<(StreamId, Arrival)>) -> Result<Opened, OpenError> {
    let srtp = config.srtp.as_ref().map(|srtp| Srtp::new(srtp, config.ssrc)).transpose()?;
    let (socket, port) = port::take(config.bind, &config.ports, config.port)?;
    let close = CancellationToken::new();
    let stream = Stream {
        counts: Arc::default(),
        index: Arc::new(AtomicU64::new(srtp.as_ref().and_then(Srtp::index).unwrap_or(NO_INDEX))),
        _close: close.clone().drop_guard(),
    };
    let mut task = Task {
        source: Source::new(config.remote, config.latched, srtp.is_some(), config.allow.clone()),
        counts: stream.counts.clone(),
        index: stream.index.clone(),
        reception: report::Reception::default(),
        cname: None,
        us: loop {
            let ssrc = fastrand::u32(1..);
            if ssrc != config.ssrc {
                break ssrc;
            }
        },
        srtp,
        config,
        to,
    };
    tokio::spawn(async move {
        if close.run_until_cancelled(task.run(&socket)).await == Some(End::Socket) {
            tracing::warn!(stream = %task.config.stream, "a stream's socket failed; it ends");
        }
    });
    Ok(Opened { port, stream })
}

#[derive(PartialEq, Eq, Debug)]
enum End {
    /// Nobody listens any more.
    Receiver,
    Socket,
}

struct Task {
    config: StreamConfig,
    to: mpsc::Sender<(StreamId, Arrival)>,
    counts: Arc<Counts>,
    index: Arc<AtomicU64>,
    source: Source,
    srtp: Option<Srtp>,
    reception: report::Reception,
    cname: Option<Arc<str>>,
    /// Our own SSRC in receiver reports.
    us: u32,
}

impl Task {
    async fn run(&mut self, socket: &UdpSocket) -> End {
        let mut buffer = [0; super::DATAGRAM_MAX + 1];
        // RFC 3550 6.2: half an interval at first, then spread so that many streams do not report in step.
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
                            // An ICMP answer to one of our reports; the next datagram is another matter.
                            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                            Err(error) => {
                                tracing::debug!(%error, "receive");
                                return End::Socket;
                            }
                        }
                    }
                    if self.to.is_closed() {
                        return End::Receiver;
                    }
                    tokio::task::yield_now().await;
                }
                () = tokio::time::sleep_until(due) => {
                    due += self.spread();
                    self.report(socket).await;
                }
                () = self.to.closed() => return End::Receiver,
            }
        }
    }

    fn spread(&self) -> Duration {
        self.config.report_every.mul_f64(0.9 + 0.2 * fastrand::f64())
    }

    fn datagram(&mut self, at: Instant, datagram: &[u8], from: SocketAddr) {
        let done =
            if rtp::is_rtcp(datagram) { self.control(at, datagram, from) } else { self.packet(at, datagram, from) };
        if let Err(reason) = done {
            self.counts.refuse(reason);
        }
    }

    fn packet(&mut self, at: Instant, datagram: &[u8], from: SocketAddr) -> Result<(), Reason> {
        if datagram.len() > super::DATAGRAM_MAX {
            return Err(Reason::Size);
        }
        let (ssrc, payload_type) = rtp::claims(datagram)?;
        if ssrc != self.config.ssrc {
            return Err(Reason::Ssrc);
        }
        if payload_type != self.config.payload_type {
            return Err(Reason::PayloadType);
        }
        if !self.source.admits(from) {
            return Err(Reason::Source);
        }
        let packet = rtp::parse(datagram)?;
        let opened;
        let packet = match &mut self.srtp {
            None => packet,
            Some(srtp) => {
                opened = srtp.open(datagram, &packet)?;
                self.index.store(srtp.index().unwrap_or(NO_INDEX), Relaxed);
                rtp::parse(&opened)?
            }
        };
        let media = packet.media()?;
        let ticks = self.config.codec.ticks(media).ok_or(Reason::Payload)?;
        self.latch(from)?;
        self.reception.packet(packet.sequence, packet.timestamp, self.config.clock_rate, at);
        let header = Header { sequence: packet.sequence, timestamp: packet.timestamp, ticks };
        self.tell(Arrival::Rtp { at, header, marker: packet.marker, payload: Bytes::copy_from_slice(media) })?;
        self.counts.take();
        Ok(())
    }

    fn control(&mut self, at: Instant, datagram: &[u8], from: SocketAddr) -> Result<(), Reason> {
        if datagram.len() > super::DATAGRAM_MAX {
            return Err(Reason::Size);
        }
        if rtcp::claims(datagram)? != self.config.ssrc {
            return Err(Reason::Ssrc);
        }
        if !self.source.admits_control(from) {
            return Err(Reason::Source);
        }
        let opened;
        let datagram = match &mut self.srtp {
            None => datagram,
            Some(srtp) => {
                opened = srtp.open_rtcp(datagram)?;
                &opened
            }
        };
        let control = rtcp::parse(datagram)?;
        let gone = control.gone.contains(&self.config.ssrc);
        if gone && !self.source.is_known(from) {
            return Err(Reason::Source);
        }
        self.source.latch_control(from);
        if let Some(cname) = control.cname {
            self.cname = Some(cname);
        }
        if gone {
            return self.tell(Arrival::Bye { at });
        }
        match control.report {
            Some((ntp, timestamp)) => {
                self.reception.sender_report(ntp, at);
                self.tell(Arrival::SenderReport { at, ntp, timestamp, cname: self.cname.clone() })
            }
            None => self.tell(Arrival::Alive { at }),
        }
    }

    /// A valid packet came from here. When that cannot be told now, the next one says it.
    fn latch(&mut self, from: SocketAddr) -> Result<(), Reason> {
        if self.source.known().is_none() {
            self.tell(Arrival::Latched { from })?;
            self.source.latch(from);
        }
        Ok(())
    }

    fn tell(&self, arrival: Arrival) -> Result<(), Reason> {
        self.to.try_send((self.config.stream, arrival)).map_err(|_| Reason::QueueFull)
    }

    async fn report(&mut self, socket: &UdpSocket) {
        let Some(to) = self.source.reports_to() else { return };
        let block = self.reception.report(self.config.ssrc, Instant::now());
        let Some(mut compound) = block.and_then(|block| report::compound(self.us, Some(block))) else { return };
        if let Some(srtp) = &mut self.srtp {
            match srtp.seal_rtcp(&compound) {
                Ok(sealed) => compound = sealed,
                Err(error) => return tracing::debug!(%error, "receiver report"),
            }
        }
        // A report that cannot be sent at once is one of many.
        let _ = socket.try_send_to(&compound, to);
    }
}
