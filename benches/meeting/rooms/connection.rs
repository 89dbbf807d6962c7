//! A peer connection of somebody who sends or receives, as cheap as it can be: one socket, one
//! task, and what comes is counted and forgotten.

use super::{
    material::{Material, PICTURE_EVERY, PICTURE_TICKS, VOICE_EVERY, VOICE_TICKS},
    tally::{Kind, Tally, Track},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    crypto,
    format::Codec,
    media::{Direction, MediaKind, Mid},
    net::{Protocol, Receive},
    rtp::{ExtensionValues, RtpPacket, RtpWrite},
};
use tokio::{net::UdpSocket, sync::Notify, time::sleep_until};

const DATAGRAM_MAX: usize = 2_000;
/// Datagrams taken before others have their turn.
const BATCH: usize = 32;
const BUFFER: usize = 4 * 1024 * 1024;
/// How loud everybody says to be (RFC 6464).
const LEVEL: i8 = -30;
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);

/// Clones share it.
#[derive(Clone)]
pub struct Connection {
    /// Whose it is.
    peer: usize,
    state: Rc<RefCell<State>>,
    socket: Rc<UdpSocket>,
    local: SocketAddr,
    tally: Rc<Tally>,
    wake: Rc<Notify>,
}

struct State {
    rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    microphone: Option<Mid>,
    camera: Option<Mid>,
    playing: Option<Playing>,
    /// What comes in each section.
    tracks: HashMap<Mid, Track>,
    /// When the next packet or turn is due.
    due: Instant,
}

/// How far somebody is with what is sent.
struct Playing {
    material: Rc<Material>,
    voice: usize,
    next_voice: usize,
    voice_due: Instant,
    group: usize,
    picture: usize,
    packet: usize,
    /// Of the first packet of the picture.
    picture_due: Instant,
    key_frame_wanted: bool,
    /// Since then neither is sent any more.
    until: Option<Instant>,
    numbers: [u64; 2],
    ticks: [u32; 2],
}

impl Connection {
    pub fn bind(peer: usize, ip: IpAddr, tally: Rc<Tally>) -> Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(SocketAddr::new(ip, 0)),
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        let _ = socket.set_recv_buffer_size(BUFFER);
        socket.bind(&SocketAddr::new(ip, 0).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::new(crypto::from_feature_flags()))
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let state = State {
            rtc,
            pending: None,
            microphone: None,
            camera: None,
            playing: None,
            tracks: HashMap::new(),
            due: Instant::now(),
        };
        Ok(Self {
            peer,
            state: Rc::new(RefCell::new(state)),
            socket: Rc::new(socket),
            local,
            tally,
            wake: Rc::default(),
        })
    }

    /// An offer to send a microphone and a camera.
    pub fn offer(&self) -> Result<String> {
        let mut state = self.state.borrow_mut();
        let mut changes = state.rtc.sdp_api();
        let mut add = |kind| changes.add_media(kind, Direction::SendOnly, None, None, None);
        let (microphone, camera) = (add(MediaKind::Audio), add(MediaKind::Video));
        let (offer, pending) = changes.apply().context("there is nothing to offer")?;
        (state.microphone, state.camera) = (Some(microphone), Some(camera));
        state.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// Takes the answer to that.
    pub fn accept(&self, answer: &str) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let pending = state.pending.take().context("nothing was offered")?;
        let answer = SdpAnswer::from_sdp_string(answer)?;
        state.rtc.sdp_api().accept_answer(pending, answer)?;
        self.wake.notify_one();
        Ok(())
    }

    /// The answer to an offer of the other side, in whose sections these tracks come.
    pub fn answer(&self, offer: &str, tracks: HashMap<Mid, Track>) -> Result<String> {
        let mut state = self.state.borrow_mut();
        let offer = SdpOffer::from_sdp_string(offer)?;
        let answer = state.rtc.sdp_api().accept_offer(offer)?;
        state.tracks = tracks;
        self.wake.notify_one();
        Ok(answer.to_sdp_string())
    }

    /// Waits until media may flow, while it runs elsewhere.
    pub async fn connected(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.state.borrow().rtc.is_connected() {
            ensure!(begun.elapsed() < CONNECTS_WITHIN, "a peer does not connect");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Begins to send.
    pub fn play(&self, material: &Rc<Material>, begins: Instant) {
        let voice = self.peer % material.voices.len();
        self.state.borrow_mut().playing = Some(Playing {
            material: material.clone(),
            voice,
            // Who has the voice of another is elsewhere in it.
            next_voice: self.peer * 211 % material.voices[voice].len(),
            voice_due: begins,
            group: self.peer % material.groups.len(),
            picture: 0,
            packet: 0,
            picture_due: begins,
            key_frame_wanted: false,
            until: None,
            numbers: [0; 2],
            ticks: [fastrand::u32(..), fastrand::u32(..)],
        });
        self.wake.notify_one();
    }

    /// Sends nothing of what is due from then on.
    pub fn stop(&self, at: Instant) {
        if let Some(playing) = &mut self.state.borrow_mut().playing {
            playing.until = Some(at);
        }
    }

    /// Sends and receives, until it is dropped.
    pub async fn run(self) -> Result<()> {
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            let due = self.turn()?;
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    self.receive(&mut buffer)?;
                }
                () = sleep_until(due.into()) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<()> {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let now = Instant::now();
                    let Ok(received) =
                        Receive::new(Protocol::Udp, from, self.local, &buffer[..length])
                    else {
                        continue;
                    };
                    let state = &mut *self.state.borrow_mut();
                    state.rtc.handle_input(Input::Receive(now, received))?;
                    self.drain(state)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP answer to something sent.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends what is due; when the next is.
    fn turn(&self) -> Result<Instant> {
        let state = &mut *self.state.borrow_mut();
        let now = Instant::now();
        let wrote = self.write(state, now)?;
        if wrote || state.due <= now {
            state.rtc.handle_input(Input::Timeout(now))?;
        }
        self.drain(state)?;
        let playing = state.playing.as_ref().and_then(Playing::due);
        Ok(playing.into_iter().fold(state.due, Instant::min))
    }

    fn write(&self, state: &mut State, now: Instant) -> Result<bool> {
        let mut wrote = false;
        while let Some(playing) = &mut state.playing
            && playing.due().is_some_and(|due| due <= now)
        {
            let (kind, payload, last) = playing.next();
            let (mid, codec) = match kind {
                Kind::Voice => (state.microphone, Codec::Opus),
                Kind::Picture => (state.camera, Codec::Vp8),
            };
            let (number, ticks) = (playing.numbers[kind as usize], playing.ticks[kind as usize]);
            playing.numbers[kind as usize] += 1;
            if last {
                let step = match kind {
                    Kind::Voice => VOICE_TICKS,
                    Kind::Picture => PICTURE_TICKS,
                };
                playing.ticks[kind as usize] = ticks.wrapping_add(step);
            }
            let mut known = state.rtc.codec_config().iter();
            let params = known.find(|params| params.spec().codec == codec);
            let payload_type = params.context("the codec was not agreed on")?.pt();
            let mid = mid.context("nothing was offered")?;
            let mut api = state.rtc.direct_api();
            let stream = api
                .stream_tx_by_mid(mid, None)
                .context("the other side takes nothing")?;
            let track = Track {
                sender: self.peer,
                kind,
            };
            let at = Instant::now();
            self.tally.sends(track, at, &payload);
            let voice = kind == Kind::Voice;
            stream.write_rtp(
                RtpWrite::new(payload_type, number.into(), ticks, at, payload)
                    .marker(last && !voice)
                    .nackable(!voice)
                    .ext_vals(ExtensionValues {
                        audio_level: voice.then_some(LEVEL),
                        voice_activity: voice.then_some(true),
                        ..ExtensionValues::default()
                    }),
            );
            wrote = true;
        }
        Ok(wrote)
    }

    fn drain(&self, state: &mut State) -> Result<()> {
        loop {
            match state.rtc.poll_output()? {
                Output::Timeout(due) => {
                    state.due = due;
                    if !state.rtc.is_alive() {
                        bail!("a peer connection is over");
                    }
                    return Ok(());
                }
                Output::Transmit(sent) => {
                    // What cannot be sent at once is lost, as on any network.
                    let _ = self.socket.try_send_to(&sent.contents, sent.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => self.packet(state, &packet),
                Output::Event(Event::KeyframeRequest(_)) => {
                    if let Some(playing) = &mut state.playing {
                        playing.key_frame_wanted = true;
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn packet(&self, state: &mut State, packet: &RtpPacket) {
        let header = &packet.header;
        let mut api = state.rtc.direct_api();
        let Some(mid) = api.stream_rx(&header.ssrc).map(|stream| stream.mid()) else {
            return;
        };
        if let Some(track) = state.tracks.get(&mid) {
            let (at, sequence) = (packet.timestamp, header.sequence_number);
            self.tally
                .came(self.peer, *track, at, sequence, &packet.payload);
        }
    }
}

impl Playing {
    fn pictures(&self) -> &[Vec<Arc<[u8]>>] {
        &self.material.groups[self.group]
    }

    /// The packets of a picture are spread over its time, as the pacer of a browser does.
    fn packet_due(&self) -> Instant {
        let packets = self.pictures()[self.picture].len();
        self.picture_due + PICTURE_EVERY * self.packet as u32 / packets as u32
    }

    fn due(&self) -> Option<Instant> {
        let due = self.voice_due.min(self.packet_due());
        self.until.is_none_or(|until| due < until).then_some(due)
    }

    /// What is due first, and whether it is the last of its time stamp.
    fn next(&mut self) -> (Kind, Arc<[u8]>, bool) {
        if self.voice_due <= self.packet_due() {
            let voice = &self.material.voices[self.voice];
            let payload = voice[self.next_voice].clone();
            self.next_voice = (self.next_voice + 1) % voice.len();
            self.voice_due += VOICE_EVERY;
            return (Kind::Voice, payload, true);
        }
        let picture = &self.pictures()[self.picture];
        let (payload, last) = (
            picture[self.packet].clone(),
            self.packet + 1 == picture.len(),
        );
        self.packet += 1;
        if last {
            self.packet = 0;
            self.picture += 1;
            self.picture_due += PICTURE_EVERY;
            if std::mem::take(&mut self.key_frame_wanted) || self.picture == self.pictures().len() {
                self.group = (self.group + 1) % self.material.groups.len();
                self.picture = 0;
            }
        }
        (Kind::Picture, payload, last)
    }
}
