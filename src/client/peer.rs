//! A sender over WebRTC, as a browser is one: full ICE, DTLS, SRTP; without a browser's sound
//! processing. By str0m, told the time and the datagrams here.

use super::{description, frame::Frame, opus};
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
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    crypto,
    format::Codec,
    media::{Direction, KeyframeRequestKind, MediaKind, Mid, Pt},
    net::{Protocol, Receive, TcpType},
    rtp::{RtpPacket, RtpWrite},
};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::sleep_until,
};
use tokio_util::{
    bytes::{Buf, Bytes, BytesMut},
    sync::CancellationToken,
};

/// No datagram of WebRTC is larger.
const DATAGRAM_MAX: usize = 2_000;

/// Packets that are kept of what comes.
const RECEIVED_MAX: usize = 100_000;

/// A packet of another participant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    pub at: Instant,
    /// Whose it is and from where, as the server's offer says.
    pub participant: String,
    pub source: String,
    pub ssrc: u32,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Bytes,
}

/// A peer connection and its socket. It does nothing but while one of its functions runs.
pub struct Peer {
    rtc: Rtc,
    link: Link,
    local: SocketAddr,
    microphone: Option<Mid>,
    camera: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    /// The last that was taken.
    answer: String,
    sequence: u64,
    timestamp: u32,
    /// Whose the server's sections are and from where, by their `mid`.
    names: BTreeMap<String, (String, String)>,
    /// What came of others, in the order in which it came.
    pub received: Vec<Received>,
    /// How often the other side asked for a key frame of the camera.
    pub key_frames_wanted: u32,
    pictures: (u64, u32),
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
            .enable_pcmu(true, false)
            .enable_vp8(true)
            .build(Instant::now());
        rtc.add_local_candidate(candidate);
        Self {
            rtc,
            link,
            local,
            microphone: None,
            camera: None,
            pending: None,
            answer: String::new(),
            // Below the rollover, which is told by nobody.
            sequence: fastrand::u64(..1 << 15),
            timestamp: fastrand::u32(..),
            names: BTreeMap::new(),
            received: Vec::new(),
            key_frames_wanted: 0,
            pictures: (fastrand::u64(..1 << 15), fastrand::u32(..)),
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

    /// An offer to send a camera, too.
    ///
    /// # Errors
    /// When one is under way.
    pub fn offer_camera(&mut self) -> Result<String> {
        let mut changes = self.rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        self.camera = Some(mid);
        let (offer, pending) = changes.apply().context("there is nothing to offer")?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// Sends one packet of a picture, which was taken `ticks` of 90 kHz after the one before.
    ///
    /// # Errors
    /// When no camera was agreed on.
    pub fn show(&mut self, payload: &[u8], ticks: u32, last: bool) -> Result<()> {
        let camera = self.camera.context("no camera was offered")?;
        let payload_type = self.payload_type(Codec::Vp8)?;
        self.pictures.0 += 1;
        self.pictures.1 = self.pictures.1.wrapping_add(ticks);
        let (sequence, timestamp) = self.pictures;
        let mut api = self.rtc.direct_api();
        let stream = api
            .stream_tx_by_mid(camera, None)
            .context("the other side takes no pictures")?;
        let now = Instant::now();
        let packet = RtpWrite::new(
            payload_type,
            sequence.into(),
            timestamp,
            now,
            payload.to_vec(),
        );
        stream.write_rtp(packet.marker(last).nackable(true));
        Ok(())
    }

    /// Asks for a key frame of what comes of a participant's camera.
    pub fn want_key_frame(&mut self, participant: &str) {
        let of = self
            .names
            .iter()
            .find(|(_, (who, source))| who == participant && source == "camera");
        let Some((mid, _)) = of else { return };
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(mid.as_str().into(), None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    fn payload_type(&self, codec: Codec) -> Result<Pt> {
        let mut all = self.rtc.codec_config().iter();
        let params = all.find(|params| params.spec().codec == codec);
        Ok(params.context("the codec was not agreed on")?.pt())
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
        self.answer = answer.to_owned();
        let answer = SdpAnswer::from_sdp_string(answer)?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        Ok(())
    }

    /// The answer to an offer of the server's. An own one that is open is rolled back.
    ///
    /// # Errors
    /// When it is none.
    pub fn answer(&mut self, offer: &str) -> Result<String> {
        self.pending = None;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(SdpOffer::from_sdp_string(offer)?)?;
        self.names = description::names(offer);
        Ok(answer.to_sdp_string())
    }

    /// Whose sections are open, and from where.
    pub fn hears(&self) -> Vec<(String, String)> {
        let open = self.names.iter().filter(|(mid, _)| {
            let media = self.rtc.media(Mid::from(mid.as_str()));
            media.is_some_and(|media| media.direction().is_receiving())
        });
        open.map(|(_, name)| name.clone()).collect()
    }

    /// Takes what of an answer is about ICE (RFC 8840): the rest is as before.
    ///
    /// # Errors
    /// As [`Peer::accept`].
    pub fn accept_fragment(&mut self, fragment: &str) -> Result<()> {
        let answer = description::restarted(&self.answer, fragment);
        self.accept(&answer)
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
        let payload_type = self.payload_type(Codec::Opus)?;
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
                Output::Event(Event::RtpPacket(packet)) => self.packet(&packet),
                Output::Event(Event::KeyframeRequest(_)) => self.key_frames_wanted += 1,
                Output::Event(_) => {}
            }
        }
    }

    fn packet(&mut self, packet: &RtpPacket) {
        let header = &packet.header;
        let mut api = self.rtc.direct_api();
        let Some(mid) = api.stream_rx(&header.ssrc).map(|stream| stream.mid()) else {
            return;
        };
        let name = self.names.get(&mid.to_string());
        if let Some((participant, source)) = name
            && self.received.len() < RECEIVED_MAX
        {
            self.received.push(Received {
                at: packet.timestamp,
                participant: participant.clone(),
                source: source.clone(),
                ssrc: *header.ssrc,
                payload_type: *header.payload_type,
                sequence: header.sequence_number,
                timestamp: header.timestamp,
                marker: header.marker,
                payload: Bytes::copy_from_slice(&packet.payload),
            });
        }
    }

    /// Sends bytes as they are from its own address, as somebody would who writes that into a
    /// datagram and has none of its keys.
    ///
    /// # Errors
    /// Where it sends by TCP, which nobody else can write into.
    pub fn inject(&self, bytes: &[u8], to: SocketAddr) -> Result<()> {
        match &self.link {
            Link::Udp(_) => Ok(self.link.send(bytes, to)?),
            Link::Tcp(..) => bail!("nobody writes into another's TCP connection"),
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
