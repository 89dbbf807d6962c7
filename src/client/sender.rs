//! A sender of real RTP over UDP, with sender reports on the same port (RFC 3550, RFC 5761).
//!
//! **Pacing.** Every packet has an absolute deadline: time zero plus the media time at which its
//! last sample is taken. The loop sleeps until the next deadline, so a late wake-up delays one
//! packet and never the following ones. Several senders with one time zero play one meeting.

pub use super::frame::Frame;
use super::{
    impair::{self, Departure, Impairments, Pauses, Stall, TimedPacket},
    opus,
    srtp::{Srtp, SrtpKey},
};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use rtcp::{
    goodbye::Goodbye,
    receiver_report::ReceiverReport,
    reception_report::ReceptionReport,
    sender_report::SenderReport,
    source_description::{
        SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
    },
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, time::sleep_until};
use tokio_util::{bytes::Bytes, sync::CancellationToken};
use webrtc_util::marshal::{Marshal, Unmarshal};

/// RFC 3550 6.2: the recommended minimum interval.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Seconds from 1900 to 1970.
const NTP_TO_UNIX_S: i64 = 2_208_988_800;
/// Receiver reports kept.
const REPORTS_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub struct SenderConfig {
    pub ssrc: u32,
    pub payload_type: u8,
    /// Ticks per second.
    pub clock_rate: u32,
    /// Of the first packet.
    pub sequence: u16,
    /// Of the first sample.
    pub timestamp: u32,
    /// One per person: streams of one name are aligned with each other.
    pub cname: String,
    /// How much faster than true the sender's sample clock runs.
    pub skew_ppm: f64,
    /// How far ahead of true the sender's wall clock is.
    pub ntp_offset_hours: f64,
    pub pauses: Pauses,
    pub stalls: Vec<Stall>,
    /// What the counter really counts by, when it is another clock than `clock_rate`. 0: it never
    /// moves.
    pub counted_rate: Option<u32>,
    /// Frames that go out as another payload type: comfort noise, telephone events.
    pub other: BTreeMap<usize, u8>,
    /// Packets go out as redundant audio data (RFC 2198) of this payload type, each with the one
    /// before it.
    pub red: Option<u8>,
    pub network: Impairments,
    pub srtp: Option<SrtpKey>,
    /// How long to wait for reports after the last packet.
    pub linger: Duration,
    /// Say goodbye when everything is sent (not when stopped).
    pub goodbye: bool,
}

impl SenderConfig {
    /// Opus as payload type 111, random SSRC, sequence and timestamp, a perfect network.
    pub fn opus(cname: impl Into<String>) -> Self {
        Self {
            ssrc: fastrand::u32(1..),
            payload_type: 111,
            clock_rate: opus::CLOCK_RATE,
            sequence: fastrand::u16(..),
            timestamp: fastrand::u32(..),
            cname: cname.into(),
            skew_ppm: 0.0,
            ntp_offset_hours: 0.0,
            pauses: Pauses::default(),
            stalls: Vec::new(),
            counted_rate: None,
            other: BTreeMap::new(),
            red: None,
            network: Impairments::default(),
            srtp: None,
            linger: Duration::ZERO,
            goodbye: false,
        }
    }

    /// G.711 with its static payload type: 0 is PCMU, 8 is PCMA.
    pub fn g711(payload_type: u8, cname: impl Into<String>) -> Self {
        Self {
            payload_type,
            clock_rate: 8_000,
            ..Self::opus(cname)
        }
    }
}

/// A packet that left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentPacket {
    /// Which of the frames.
    pub frame: usize,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// When it should have left.
    pub due: Instant,
    pub at: Instant,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// In the order of leaving; a duplicate is here twice, a loss is not.
    pub packets: Vec<SentPacket>,
    /// Stamped packets that the network lost.
    pub lost: usize,
    /// Datagrams that the operating system refused.
    pub refused: usize,
    pub sender_reports: usize,
    /// About us, from the receiver.
    pub reports: Vec<(Instant, ReceptionReport)>,
}

/// A bound socket; where it sends is told to [`Sender::run`], because the server's port is known
/// only after one's own.
#[derive(Debug)]
pub struct Sender {
    config: SenderConfig,
    socket: UdpSocket,
}

impl Sender {
    /// Takes a free port on `ip`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn bind(ip: IpAddr, config: SenderConfig) -> Result<Self> {
        let socket = UdpSocket::bind((ip, 0))
            .await
            .with_context(|| format!("cannot send from {ip}"))?;
        Ok(Self { config, socket })
    }

    pub fn config(&self) -> &SenderConfig {
        &self.config
    }

    /// The key comes with the stream, after the socket was bound.
    pub fn set_srtp(&mut self, key: Option<SrtpKey>) {
        self.config.srtp = key;
    }

    /// # Errors
    /// When the socket is broken.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Sends all frames, the first sample being taken at `zero`, and returns after the last of
    /// them, or when stopped.
    ///
    /// # Errors
    /// A wrong SRTP key, or a frame too large for a packet. A datagram that the system refuses is
    /// only counted.
    pub async fn run(
        self,
        to: SocketAddr,
        frames: &[Frame],
        zero: Instant,
        stop: &CancellationToken,
    ) -> Result<Sent> {
        let Self { config, socket } = self;
        let packets = impair::stamp(frames, config.clock_rate, &config.pauses);
        let (clock_rate, skew_ppm) = (config.clock_rate, config.skew_ppm);
        let departures = impair::depart(
            &packets,
            frames,
            clock_rate,
            skew_ppm,
            &config.stalls,
            &config.network,
        );
        let mut srtp = config.srtp.as_ref().map(Srtp::new).transpose()?;
        let datagrams = encode(&config, &packets, frames, srtp.as_mut())?;
        let mut run = Run {
            config: &config,
            begun: (Instant::now(), Utc::now()),
            zero,
            srtp,
            counted: (0, 0),
        };
        let mut sent = Sent {
            packets: Vec::with_capacity(departures.len()),
            ..Sent::default()
        };
        sent.lost = packets.len()
            - departures
                .iter()
                .map(|d| d.packet)
                .collect::<std::collections::BTreeSet<_>>()
                .len();

        let mut next = departures.iter();
        let mut departure = next.next();
        let end = zero + departures.last().map_or(Duration::ZERO, |last| last.at) + config.linger;
        let mut report_at = zero + departures.first().map_or(Duration::ZERO, |first| first.at);
        let mut buffer = [0; 2_048];
        loop {
            let due = departure.map_or(end, |departure| zero + departure.at);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(sent),
                () = sleep_until(due.into()) => {
                    let Some(&Departure { packet, .. }) = departure else { break };
                    let at = Instant::now();
                    match socket.send_to(&datagrams[packet], to).await {
                        Ok(_) => {
                            let TimedPacket { frame, marker, .. } = packets[packet];
                            let (sequence, timestamp) = stamps(&config, &packets[packet]);
                            run.counted.0 += 1;
                            run.counted.1 += frames[frame].payload.len() as u32;
                            sent.packets.push(SentPacket { frame, sequence, timestamp, marker, due, at });
                        }
                        Err(_) => sent.refused += 1,
                    }
                    departure = next.next();
                }
                () = sleep_until(report_at.into()) => {
                    report_at += REPORT_EVERY;
                    let report = run.report(Instant::now(), false)?;
                    match socket.send_to(&report, to).await {
                        Ok(_) => sent.sender_reports += 1,
                        Err(_) => sent.refused += 1,
                    }
                }
                received = socket.recv_from(&mut buffer) => {
                    // An unconnected socket's errors are about earlier datagrams.
                    if let Ok((length, from)) = received && from == to {
                        run.heard(&buffer[..length], Instant::now(), &mut sent);
                    }
                }
            }
        }
        if config.goodbye {
            let report = run.report(Instant::now(), true)?;
            sent.refused += usize::from(socket.send_to(&report, to).await.is_err());
        }
        Ok(sent)
    }
}

/// All packets in order, because SRTP counts rollovers as they pass.
fn encode(
    config: &SenderConfig,
    packets: &[TimedPacket],
    frames: &[Frame],
    mut srtp: Option<&mut Srtp>,
) -> Result<Vec<Bytes>> {
    packets
        .iter()
        .map(|packet| {
            let (sequence_number, timestamp) = stamps(config, packet);
            let other = config.other.get(&packet.frame).copied();
            let payload = match (config.red, other) {
                (Some(_), None) => redundant(config.payload_type, packet.frame, frames),
                _ => frames[packet.frame].payload.clone(),
            };
            let header = rtp::header::Header {
                version: 2,
                marker: packet.marker,
                payload_type: other.or(config.red).unwrap_or(config.payload_type),
                sequence_number,
                timestamp,
                ssrc: config.ssrc,
                ..Default::default()
            };
            let plain = rtp::packet::Packet { header, payload }.marshal()?;
            match srtp.as_mut() {
                Some(srtp) => srtp.protect_rtp(&plain),
                None => Ok(plain),
            }
        })
        .collect()
}

/// RFC 2198: the frame before as a redundant block, as far as its header can say how long it is,
/// then this one.
fn redundant(payload_type: u8, frame: usize, frames: &[Frame]) -> Bytes {
    let mut payload = Vec::new();
    if let Some(before) = frame
        .checked_sub(1)
        .map(|n| &frames[n])
        .filter(|before| before.payload.len() < 1 << 10)
    {
        let (length, back) = (before.payload.len(), before.ticks);
        payload.extend([
            0x80 | payload_type,
            (back >> 6) as u8,
            (back << 2) as u8 | (length >> 8) as u8,
            length as u8,
        ]);
        payload.push(payload_type);
        payload.extend(&before.payload);
    } else {
        payload.push(payload_type);
    }
    payload.extend(&frames[frame].payload);
    payload.into()
}

fn stamps(config: &SenderConfig, packet: &TimedPacket) -> (u16, u32) {
    let tick = counted(config, packet.tick);
    (
        config.sequence.wrapping_add(packet.number as u16),
        config.timestamp.wrapping_add(tick as u32),
    )
}

/// What the counter says at a tick of the clock that was said.
fn counted(config: &SenderConfig, tick: u64) -> u64 {
    let rate = u64::from(config.clock_rate.max(1));
    config
        .counted_rate
        .map_or(tick, |counted| tick * u64::from(counted) / rate)
}

struct Run<'a> {
    config: &'a SenderConfig,
    /// One instant on both clocks: a step of the machine's wall clock changes nothing.
    begun: (Instant, DateTime<Utc>),
    zero: Instant,
    srtp: Option<Srtp>,
    /// Packets and payload bytes so far.
    counted: (u32, u32),
}

impl Run<'_> {
    /// A sender report with the CNAME, and with a BYE at the end.
    fn report(&mut self, now: Instant, last: bool) -> Result<Bytes> {
        let ssrc = self.config.ssrc;
        let media_s = now.saturating_duration_since(self.zero).as_secs_f64()
            * (1.0 + self.config.skew_ppm * 1e-6);
        let mut media_s = media_s;
        for stall in &self.config.stalls {
            let (at, length) = (stall.at.as_secs_f64(), stall.length.as_secs_f64());
            media_s = if media_s < at {
                media_s
            } else {
                (media_s - length).max(at)
            };
        }
        let ticks = counted(
            self.config,
            (media_s * f64::from(self.config.clock_rate)) as u64,
        );
        let (begun, wall) = self.begun;
        let since_us = now.saturating_duration_since(begun).as_micros() as i64;
        let wall_us =
            wall.timestamp_micros() + since_us + (self.config.ntp_offset_hours * 3.6e9) as i64;
        let mut compound: Vec<Box<dyn rtcp::packet::Packet + Send + Sync>> = vec![
            Box::new(SenderReport {
                ssrc,
                ntp_time: ntp(wall_us),
                rtp_time: self.config.timestamp.wrapping_add(ticks as u32),
                packet_count: self.counted.0,
                octet_count: self.counted.1,
                ..SenderReport::default()
            }),
            Box::new(SourceDescription {
                chunks: vec![SourceDescriptionChunk {
                    source: ssrc,
                    items: vec![SourceDescriptionItem {
                        sdes_type: SdesType::SdesCname,
                        text: Bytes::copy_from_slice(self.config.cname.as_bytes()),
                    }],
                }],
            }),
        ];
        if last {
            compound.push(Box::new(Goodbye {
                sources: vec![ssrc],
                ..Goodbye::default()
            }));
        }
        let plain = rtcp::packet::marshal(&compound)?;
        match &mut self.srtp {
            Some(srtp) => srtp.protect_rtcp(&plain),
            None => Ok(plain),
        }
    }

    /// Takes receiver reports about us; anything else is nothing to us.
    fn heard(&mut self, datagram: &[u8], at: Instant, sent: &mut Sent) {
        let plain = match &mut self.srtp {
            Some(srtp) => match srtp.open_rtcp(datagram) {
                Ok(plain) => plain,
                Err(_) => return,
            },
            None => Bytes::copy_from_slice(datagram),
        };
        let mut rest: &[u8] = &plain;
        // Split by the compound's own lengths: the crate's parser of compounds loses its place
        // behind trailing bytes.
        while let [_, kind, high, low, ..] = *rest {
            let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
            let Some((mut packet, tail)) = rest.split_at_checked(length) else {
                return;
            };
            rest = tail;
            if kind != 201 {
                continue;
            }
            if let Ok(report) = ReceiverReport::unmarshal(&mut packet) {
                let ours = report
                    .reports
                    .into_iter()
                    .filter(|report| report.ssrc == self.config.ssrc);
                let room = REPORTS_MAX.saturating_sub(sent.reports.len());
                sent.reports
                    .extend(ours.take(room).map(|report| (at, report)));
            }
        }
    }
}

/// Unix microseconds as NTP's 32.32 fixed point seconds.
fn ntp(unix_us: i64) -> u64 {
    let seconds = unix_us.div_euclid(1_000_000) + NTP_TO_UNIX_S;
    let fraction = (unix_us.rem_euclid(1_000_000) as u64 * (1 << 32)) / 1_000_000;
    ((seconds as u64) << 32) | fraction
}
