//! The task of one peer connection: it owns the connection's state, and is told datagrams, offers
//! and the time.

use super::{
    Shared,
    hearing::{BATCH, Hearing, Hears},
    peer::{Answer, Command, Peer, Refused},
    pictures::Pictures,
    receiver::Receiver,
    routes::{Datagram, Over, PeerNumber},
    section::{format_of, sent_as},
    setup,
};
use crate::{
    domain::{
        codec::{AudioCodec, Codec, VideoCodec},
        gate::Live,
        negotiation, own_sections,
    },
    ingest::room::{Next, SourcePacket},
};
use std::{
    collections::BTreeMap,
    future::pending,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use str0m::{
    Event, Input, Output, Rtc,
    change::SdpOffer,
    media::{Direction, KeyframeRequestKind, Mid},
    net::{Protocol, Receive},
    rtp::{RtpPacket, Ssrc},
};
use tokio::{sync::mpsc, time::sleep_until};
use tracing::{Instrument, Span, debug, info};

/// Datagrams that wait: half a second of a voice and a camera.
const DATAGRAMS_MAX: usize = 512;
/// How often a meeting is told that a peer is there.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// What is taken from browsers.
const TAKEN: [Codec; 3] = [
    Codec::Audio(AudioCodec::Opus),
    Codec::Video(VideoCodec::Vp8),
    Codec::Video(VideoCodec::H264),
];
/// The longest wait of the task, for what has no timer.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Inputs of time in a row, before anything else has its turn.
const AT_ONCE_MAX: u32 = 128;
/// Outputs that are still sent at the end: the goodbye of each stream, and of DTLS.
const LAST_OUTPUTS_MAX: usize = 64;

pub fn start(shared: Arc<Shared>, hears: Option<Hears>) -> Peer {
    let (peer, to_task) = Peer::new();
    let task = Task {
        rtc: setup::rtc(&shared, hears.is_some()),
        route: None,
        shared,
        cname: format!("peer-{:016x}", fastrand::u64(..)).into(),
        receivers: Vec::new(),
        repeated: BTreeMap::new(),
        mids: Vec::new(),
        from: None,
        told_alive: None,
        checked: None,
        connected: false,
        hearing: hears.map(Hearing::new),
    };
    tokio::spawn(task.run(to_task).instrument(Span::current()));
    peer
}

/// A peer's place among the routes, given up when dropped.
struct Registered {
    shared: Arc<Shared>,
    number: PeerNumber,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.routes.lock().leave(self.number);
    }
}

struct Task {
    rtc: Rtc,
    shared: Arc<Shared>,
    /// From the first answer on.
    route: Option<Registered>,
    /// All streams of one connection are one sender's (RFC 8834 4.9).
    cname: Arc<str>,
    receivers: Vec<Receiver>,
    /// Sections whose sound is repeated when it is asked for (`nack`), and its payload type there.
    repeated: BTreeMap<String, u8>,
    /// Which section an SSRC is of, as found.
    mids: Vec<(Ssrc, Mid)>,
    /// Where what is being handled came from.
    from: Option<SocketAddr>,
    told_alive: Option<Instant>,
    /// When the last check came.
    checked: Option<Instant>,
    /// Media may flow: the first answer has come.
    connected: bool,
    /// What the other side gets of the others; `None`: it only sends.
    hearing: Option<Hearing>,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let (to_us, mut datagrams) = mpsc::channel(DATAGRAMS_MAX);
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(due) = self.drain() {
            let now = Instant::now();
            let hearing = self.hearing.as_ref();
            let turn = hearing.and_then(|hearing| hearing.due(self.connected, now));
            let gathers = hearing.and_then(|hearing| hearing.gathers_until(now));
            let receivers = self.receivers.iter();
            let pictures = receivers.filter_map(|receiver| receiver.key_frame_due(now));
            let wake = turn
                .into_iter()
                .chain(gathers)
                .chain(pictures)
                .fold(due.min(now + WAIT_MAX), Instant::min);
            // Nobody goes first: neither what comes nor what is sent on keeps the other waiting.
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command, &to_us),
                    None => break,
                },
                Some(datagram) = datagrams.recv() => self.datagram(&datagram),
                next = next(&mut self.hearing, &mut batch), if gathers.is_none() => {
                    self.hear(&next, &mut batch);
                }
                () = sleep_until(wake.into()) => {
                    let now = Instant::now();
                    if due <= now {
                        self.input(Input::Timeout(now));
                    }
                }
            }
            self.turn();
        }
        self.end();
    }

    /// What is due by itself.
    fn turn(&mut self) {
        let now = Instant::now();
        if let Some(hearing) = &mut self.hearing {
            hearing.turn(&mut self.rtc, self.connected, now);
        }
        for receiver in &mut self.receivers {
            if !receiver.ask_key_frame(now) {
                continue;
            }
            let mut api = self.rtc.direct_api();
            let ssrc = receiver.ssrc().map(Ssrc::from);
            if let Some(stream) = ssrc.and_then(|ssrc| api.stream_rx(&ssrc)) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
        }
    }

    /// Gives out everything that the last input brought; until when nothing more is due. `None`: it
    /// is over.
    fn drain(&mut self) -> Option<Instant> {
        let mut at_once = 0;
        loop {
            if !self.rtc.is_alive() {
                return None;
            }
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) if at_once < AT_ONCE_MAX && due <= Instant::now() => {
                    at_once += 1;
                    self.input(Input::Timeout(Instant::now()));
                }
                Ok(Output::Timeout(due)) => return Some(due),
                Ok(Output::Transmit(sent)) => {
                    self.shared.send(&sent);
                    // The pacer gives out one packet for each input of time. To be told so by
                    // another look at all outputs would cost as much again.
                    self.input(Input::Timeout(Instant::now()));
                }
                Ok(Output::Event(event)) => self.event(event),
                Err(error) => {
                    info!(%error, "a peer connection failed");
                    return None;
                }
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        if let Err(error) = self.rtc.handle_input(input) {
            // What a connection cannot recover from shows when it is asked next.
            debug!(%error, "a peer's input");
        }
    }

    fn datagram(&mut self, datagram: &Datagram) {
        let over = match datagram.over {
            Over::Udp => Protocol::Udp,
            Over::Tcp => Protocol::Tcp,
        };
        let Ok(received) = Receive::new(over, datagram.from, datagram.to, &datagram.bytes) else {
            return;
        };
        self.from = Some(datagram.from);
        // The port let it in, so it is a check only when it proved itself.
        if datagram.bytes.first().is_some_and(|first| *first < 4) {
            self.alive(datagram.at);
        }
        self.input(Input::Receive(datagram.at, received));
    }

    /// What the others send, or that they are others.
    fn hear(&mut self, next: &Next, batch: &mut Vec<Live<Arc<SourcePacket>>>) {
        let Some(hearing) = &mut self.hearing else {
            return;
        };
        let now = Instant::now();
        match next {
            Next::Packets(_) => {
                hearing.send(&mut self.rtc, batch, self.checked, now);
                self.input(Input::Timeout(now));
            }
            Next::Sources => hearing.sources_changed(&mut self.rtc, now),
        }
    }

    fn alive(&mut self, at: Instant) {
        self.checked = Some(at);
        if self
            .told_alive
            .is_some_and(|told| at.saturating_duration_since(told) < ALIVE_EVERY)
        {
            return;
        }
        self.told_alive = Some(at);
        self.receivers
            .iter_mut()
            .for_each(|receiver| receiver.alive(at));
    }

    fn command(&mut self, command: Command, to_us: &mpsc::Sender<Datagram>) {
        match command {
            Command::Offer { sdp, reply } => {
                let now = Instant::now();
                let taken = self
                    .hearing
                    .as_mut()
                    .is_none_or(|hearing| hearing.theirs(now));
                let answer = if taken {
                    self.offer(&sdp, to_us)
                } else {
                    Err(Refused::Glare)
                };
                if taken && answer.is_err() {
                    // What of the offer was taken before the fault is not known.
                    self.rtc.disconnect();
                }
                let _ = reply.send(answer);
            }
            Command::Answer { id, sdp, reply } => {
                let now = Instant::now();
                let taken = match &mut self.hearing {
                    Some(hearing) => hearing.answer(&mut self.rtc, &id, &sdp, now),
                    None => Err(Refused::Stale),
                };
                let _ = reply.send(taken);
            }
            Command::KeyFrame(mid) => {
                if let Some(receiver) = receiver_of(&mut self.receivers, mid) {
                    receiver.want_key_frame();
                }
            }
            Command::Receive(receiver) => {
                self.receivers
                    .retain(|other| !other.is_closed() && other.mid() != receiver.mid());
                self.receivers.push(*receiver);
                self.told_alive = None;
            }
        }
    }

    fn offer(&mut self, sdp: &str, to_us: &mpsc::Sender<Datagram>) -> Result<Answer, Refused> {
        let wrong = |error: &dyn std::fmt::Display| Refused::Description(format!("sdp: {error}"));
        let offer = SdpOffer::from_sdp_string(&negotiation::without_layers(sdp))
            .map_err(|error| wrong(&error))?;
        if self.route.is_none() {
            Pictures::offered(&mut self.rtc, sdp);
        }
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(|error| wrong(&error))?;
        self.repeated = negotiation::repeated_sound(sdp);
        // Each is found once more, and asked for what it lacks or not.
        self.mids.clear();
        let described = self.one_way(&answer.to_sdp_string());
        let described = negotiation::with_repetition(&described, &self.repeated);
        let ours = self.rtc.direct_api().local_ice_credentials();
        let mut routes = self.shared.routes.lock();
        match &self.route {
            Some(route) => routes.rename(route.number, ours.ufrag, ours.pass),
            None => {
                let number = routes.enter(ours.ufrag, ours.pass, to_us.clone());
                self.route = Some(Registered {
                    shared: self.shared.clone(),
                    number,
                });
            }
        }
        drop(routes);
        let codecs = self.codecs(&described);
        Ok(Answer {
            sdp: described,
            codecs,
        })
    }

    /// What is taken in each section of a description.
    fn codecs(&self, sdp: &str) -> BTreeMap<String, (Codec, u8)> {
        let mids = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
        let taken = mids.filter_map(|mid| {
            let media = self.rtc.media(mid.into())?;
            let of_kind = |codec: &Codec| match codec {
                Codec::Audio(_) => media.kind().is_audio(),
                Codec::Video(_) => media.kind().is_video(),
            };
            let mut known = self.rtc.codec_config().iter().filter_map(|params| {
                let mut taken = TAKEN.into_iter().filter(of_kind);
                let codec = taken.find(|codec| format_of(*codec) == params.spec().codec)?;
                media
                    .remote_pts()
                    .contains(&params.pt())
                    .then_some((codec, *params.pt()))
            });
            Some((mid.to_owned(), known.next()?))
        });
        taken.collect()
    }

    /// The answer as the other side gets it. On its own sections nothing is sent to it.
    fn one_way(&mut self, answer: &str) -> String {
        let mids = answer
            .lines()
            .filter_map(|line| line.strip_prefix("a=mid:"))
            .map(Mid::from);
        for mid in mids {
            let direction = self.rtc.media(mid).map(|media| media.direction());
            let is_own = self
                .hearing
                .as_ref()
                .is_some_and(|hearing| hearing.is_own(mid));
            let Some(direction) = direction.filter(|of| of.is_sending() && !is_own) else {
                continue;
            };
            let one_way = if direction.is_receiving() {
                Direction::RecvOnly
            } else {
                Direction::Inactive
            };
            // The answer says so, too; there is nothing to negotiate.
            self.rtc.sdp_api().set_direction(mid, one_way);
            if let Some(ssrc) = sent_as(&mut self.rtc, mid) {
                self.rtc.direct_api().remove_stream_tx(ssrc);
            }
        }
        match &mut self.hearing {
            Some(hearing) => {
                hearing.negotiated(&mut self.rtc);
                hearing.described(answer)
            }
            None => own_sections::described(answer, &BTreeMap::new()),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                info!("a peer is connected");
            }
            Event::IceConnectionStateChange(state) => debug!(?state, "a peer's path"),
            Event::RtpPacket(packet) => self.packet(&packet),
            Event::KeyframeRequest(wanted) => {
                if let Some(hearing) = &self.hearing {
                    hearing.want_key_frame(wanted.mid);
                }
            }
            Event::EgressBitrateEstimate(kind) => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.estimated(&kind);
                }
            }
            Event::PeerStats(stats) => {
                if let Some(hearing) = &mut self.hearing {
                    hearing.measured(&stats);
                }
            }
            Event::SenderFeedback(report) => {
                let sent = report.sender_info;
                if let Some(receiver) = receiver_of(&mut self.receivers, report.mid) {
                    receiver.report(
                        report.received_at,
                        sent.ntp_time,
                        sent.rtp_time.numer() as u32,
                        &self.cname,
                    );
                }
            }
            Event::Closed => info!("a peer closed its connection"),
            _ => {}
        }
    }

    fn packet(&mut self, packet: &RtpPacket) {
        let Some(from) = self.from else { return };
        let Some(mid) = self.mid_of(packet.header.ssrc) else {
            return;
        };
        match receiver_of(&mut self.receivers, mid) {
            Some(receiver) if !receiver.is_closed() => receiver.packet(packet, from),
            // Of a section that is no stream, or whose stream was closed.
            _ => {
                metrics::counter!("hansard_webrtc_untaken_total").increment(1);
            }
        }
    }

    fn mid_of(&mut self, ssrc: Ssrc) -> Option<Mid> {
        if let Some((_, mid)) = self.mids.iter().find(|(known, _)| *known == ssrc) {
            return Some(*mid);
        }
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx(&ssrc)?;
        let mid = stream.mid();
        if self.repeated.contains_key(&*mid) {
            // Without a stream of its own for repetitions it is taken to have none.
            stream.suppress_nack(false);
        }
        if self.mids.len() == DATAGRAMS_MAX {
            self.mids.clear();
        }
        self.mids.push((ssrc, mid));
        Some(mid)
    }

    /// Says goodbye, to the meeting and to the other side.
    fn end(mut self) {
        let now = Instant::now();
        self.receivers
            .iter_mut()
            .for_each(|receiver| receiver.bye(now));
        if !self.rtc.is_alive() || self.rtc.close().is_err() {
            return;
        }
        for _ in 0..LAST_OUTPUTS_MAX {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(sent)) => {
                    self.shared.send(&sent);
                }
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(_)) | Err(_) => return,
            }
        }
    }
}

/// What the others send; for ever nothing where they are not heard.
async fn next(hearing: &mut Option<Hearing>, batch: &mut Vec<Live<Arc<SourcePacket>>>) -> Next {
    match hearing {
        Some(hearing) => hearing.next(batch).await,
        None => pending().await,
    }
}

fn receiver_of(receivers: &mut [Receiver], mid: Mid) -> Option<&mut Receiver> {
    receivers.iter_mut().find(|receiver| receiver.mid() == mid)
}
