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
    net::{Protocol, Receive},
    rtp::RtpWrite,
};
use tokio::{net::UdpSocket, time::sleep_until};
use tokio_util::sync::CancellationToken;

/// No datagram of WebRTC is larger.
const DATAGRAM_MAX: usize = 2_000;

/// A peer connection and its socket. It does nothing but while one of its functions runs.
pub struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    microphone: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    sequence: u64,
    timestamp: u32,
    /// Packets of others that came, by their SSRC.
    pub received: BTreeMap<u32, u64>,
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
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::new(crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        Ok(Self {
            rtc,
            socket,
            local,
            microphone: None,
            pending: None,
            // Below the rollover, which is told by nobody.
            sequence: fastrand::u64(..1 << 15),
            timestamp: fastrand::u32(..),
            received: BTreeMap::new(),
        })
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
        self.socket = socket;
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
                received = self.socket.recv_from(&mut buffer) => match received {
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
        let Ok(received) = Receive::new(Protocol::Udp, from, self.local, datagram) else {
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
                    // What cannot be sent is lost, as on any network.
                    let _ = self.socket.try_send_to(&sent.contents, sent.destination);
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
