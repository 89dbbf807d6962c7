//! A sender over WebRTC, as a browser is one: full ICE, DTLS, SRTP; without a browser's sound
//! processing. By str0m, told the time and the datagrams here.

use super::{frame::Frame, opus};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::{SdpAnswer, SdpPendingOffer},
    crypto,
    format::Codec,
    media::{Direction, MediaKind, Mid},
    net::{Protocol, Receive, TcpType},
    rtp::RtpWrite,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::sleep_until,
};
use tokio_util::{
    bytes::{Buf, BytesMut},
    sync::CancellationToken,
};

/// No datagram of WebRTC is larger.
const DATAGRAM_MAX: usize = 2_000;

/// A peer connection and its socket. It does nothing but while one of its functions runs.
pub struct Peer {
    rtc: Rtc,
    link: Link,
    local: SocketAddr,
    microphone: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    sequence: u64,
    timestamp: u32,
    /// Packets of others that came, by their SSRC.
    pub received: BTreeMap<u32, u64>,
}

/// What it sends over.
enum Link {
    Udp(UdpSocket),
    /// Connected to the other side's candidate; with what came and is no whole frame yet.
    Tcp(TcpStream, BytesMut),
}

impl Link {
    /// What cannot be sent at once is lost, as on any network.
    fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        match self {
            Self::Udp(socket) => {
                let _ = socket.try_send_to(bytes, to);
            }
            Self::Tcp(stream, _) => {
                let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
                let frame = [&length.to_be_bytes(), bytes].concat();
                if stream.try_write(&frame)? < frame.len() {
                    return Err(io::Error::other("half a frame was written"));
                }
            }
        }
        Ok(())
    }

    /// Safe to cancel.
    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (stream, came) = match self {
            Self::Udp(socket) => return socket.recv_from(buffer).await,
            Self::Tcp(stream, came) => (stream, came),
        };
        loop {
            let length = came
                .first_chunk()
                .map(|length| usize::from(u16::from_be_bytes(*length)));
            if let Some(length) = length.filter(|length| came.len() >= 2 + length) {
                buffer[..length].copy_from_slice(&came[2..2 + length]);
                came.advance(2 + length);
                return Ok((length, stream.peer_addr()?));
            }
            stream.readable().await?;
            match stream.try_read_buf(came) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Peer {
    /// Takes a free port on `ip`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn bind(ip: IpAddr) -> Result<Self> {
        let socket = UdpSocket::bind((ip, 0))
            .await
            .with_context(|| format!("cannot send from {ip}"))?;
        let local = socket.local_addr()?;
        let candidate = Candidate::host(local, "udp")?;
        Ok(Self::new(Link::Udp(socket), local, candidate))
    }

    /// Connects by TCP, for a network that lets no UDP out.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect_tcp(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)
            .await
            .with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let candidate = Candidate::builder()
            .tcp()
            .host(local)
            .tcptype(TcpType::Active)
            .build()?;
        let link = Link::Tcp(stream, BytesMut::new());
        Ok(Self::new(link, local, candidate))
    }

    fn new(link: Link, local: SocketAddr, candidate: Candidate) -> Self {
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::new(crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .build(Instant::now());
        rtc.add_local_candidate(candidate);
        Self {
            rtc,
            link,
            local,
            microphone: None,
            pending: None,
            // Below the rollover, which is told by nobody.
            sequence: fastrand::u64(..1 << 15),
            timestamp: fastrand::u32(..),
            received: BTreeMap::new(),
        }
    }

    /// Where it sends from.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// An offer to send a microphone.
    ///
    /// # Errors
    /// When one is under way.
    pub fn offer(&mut self) -> Result<String> {
        let mut changes = self.rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        self.microphone = Some(mid);
        let (offer, pending) = changes.apply().context("there is nothing to offer")?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// An offer of the same with other ICE credentials.
    ///
    /// # Errors
    /// As [`Peer::offer`].
    pub fn restart(&mut self) -> Result<String> {
        let mut changes = self.rtc.sdp_api();
        changes.ice_restart(true);
        let (offer, pending) = changes.apply().context("there is nothing to offer")?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// Takes the answer to the last offer.
    ///
    /// # Errors
    /// When it is none.
    pub fn accept(&mut self, answer: &str) -> Result<()> {
        let pending = self.pending.take().context("nothing was offered")?;
        let answer = SdpAnswer::from_sdp_string(answer)?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        Ok(())
    }

    /// Another socket with the same state: the network changed.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn roam(&mut self) -> Result<()> {
        let socket = UdpSocket::bind((self.local.ip(), 0)).await?;
        self.local = socket.local_addr()?;
        self.link = Link::Udp(socket);
        self.rtc
            .add_local_candidate(Candidate::host(self.local, "udp")?);
        Ok(())
    }

    /// Waits until media may flow.
    ///
    /// # Errors
    /// When it does not within `at_most`.
    pub async fn connect(&mut self, at_most: Duration) -> Result<()> {
        let deadline = Instant::now() + at_most;
        while !self.rtc.is_connected() {
            if !self.rtc.is_alive() {
                bail!("the peer connection failed");
            }
            if Instant::now() >= deadline {
                bail!("no connection within {at_most:?}");
            }
            self.run(Instant::now() + Duration::from_millis(10)).await?;
        }
        Ok(())
    }

    /// Whether the other side closed it, or it failed.
    pub fn is_over(&self) -> bool {
        !self.rtc.is_alive()
    }

    /// Sends frames, the first sample being taken at `zero`, until the last or until stopped.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn speak(
        &mut self,
        frames: &[Frame],
        zero: Instant,
        stop: &CancellationToken,
    ) -> Result<()> {
        let mut ticks = 0_u64;
        for frame in frames {
            ticks += u64::from(frame.ticks);
            let due = Duration::from_micros(ticks * 1_000_000 / u64::from(opus::CLOCK_RATE));
            self.run(zero + due).await?;
            if stop.is_cancelled() {
                break;
            }
            self.send(frame)?;
        }
        // The last packet leaves with the next turn.
        self.run(Instant::now() + Duration::from_millis(20)).await
    }

    fn send(&mut self, frame: &Frame) -> Result<()> {
        let microphone = self.microphone.context("nothing was offered")?;
        let payload_type = self
            .rtc
            .codec_config()
            .find(|params| params.spec().codec == Codec::Opus)
            .context("no Opus was agreed on")?
            .pt();
        let mut api = self.rtc.direct_api();
        let stream = api
            .stream_tx_by_mid(microphone, None)
            .context("the other side takes no sound")?;
        stream.write_rtp(RtpWrite::new(
            payload_type,
            self.sequence.into(),
            self.timestamp,
            Instant::now(),
            frame.payload.to_vec(),
        ));
        self.sequence += 1;
        self.timestamp = self.timestamp.wrapping_add(frame.ticks);
        Ok(())
    }

    /// Sends and receives until then.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn run(&mut self, until: Instant) -> Result<()> {
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            let due = self.drain()?;
            if Instant::now() >= until {
                return Ok(());
            }
            tokio::select! {
                received = self.link.receive(&mut buffer) => match received {
                    Ok((length, from)) => self.datagram(&buffer[..length], from)?,
                    // An ICMP answer to something sent.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(error) => return Err(error.into()),
                },
                () = sleep_until(due.min(until).into()) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now()))?;
                }
            }
        }
    }

    fn datagram(&mut self, datagram: &[u8], from: SocketAddr) -> Result<()> {
        let over = match &self.link {
            Link::Udp(_) => Protocol::Udp,
            Link::Tcp(..) => Protocol::Tcp,
        };
        let Ok(received) = Receive::new(over, from, self.local, datagram) else {
            return Ok(());
        };
        Ok(self
            .rtc
            .handle_input(Input::Receive(Instant::now(), received))?)
    }

    /// Gives out what the last input brought; when the next is due.
    fn drain(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => return Ok(due),
                Output::Transmit(sent) => {
                    self.link.send(&sent.contents, sent.destination)?;
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    *self.received.entry(*packet.header.ssrc).or_default() += 1;
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Says goodbye, as a browser's `close()` does.
    ///
    /// # Errors
    /// When the connection failed before.
    pub async fn close(mut self) -> Result<()> {
        self.rtc.close()?;
        self.run(Instant::now() + Duration::from_millis(50)).await
    }
}
