//! One peer connection: a task that owns its state, told datagrams, offers and the time.

use super::{
    Shared,
    receiver::Receiver,
    routes::{Datagram, Over, PeerNumber},
};
use crate::ingest::{OpenError, REPORT_EVERY};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::SdpOffer,
    format::{Codec, FormatParams},
    media::{Frequency, Mid},
    net::{Protocol, Receive, TcpType},
    rtp::{RtpPacket, Ssrc},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};
use tracing::{Instrument, Span, debug, info};

/// Datagrams that wait: half a second of a voice and a camera.
const DATAGRAMS_MAX: usize = 512;
const COMMANDS_MAX: usize = 64;
/// How often a meeting is told that a peer is there.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// Payload type of Opus in our own offers; in answers it is the offer's.
const OPUS: u8 = 111;
/// The longest wait of the task, for what has no timer.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Outputs that are still sent at the end: the goodbye of each stream, and of DTLS.
const LAST_OUTPUTS_MAX: usize = 64;

/// A peer connection. It is over when the last clone is dropped, when the other side closes it, or
/// when it fails.
#[derive(Clone, Debug)]
pub struct Peer {
    commands: mpsc::Sender<Command>,
}

/// What is said to an offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub sdp: String,
    /// The payload type that Opus comes with; `None`: the other side has no Opus.
    pub opus: Option<u8>,
}

/// Why an offer has no answer. The connection is over then.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Description(String),
    #[error("the peer connection is over")]
    Over,
}

enum Command {
    Offer {
        sdp: String,
        reply: oneshot::Sender<Result<Answer, Refused>>,
    },
    Receive(Box<Receiver>),
}

impl Peer {
    /// Answers an offer that [`crate::domain::negotiation`] has read: the first, or one that changes
    /// the connection.
    pub async fn offer(&self, sdp: String) -> Result<Answer, Refused> {
        let (reply, answer) = oneshot::channel();
        let offer = Command::Offer { sdp, reply };
        self.commands.send(offer).await.map_err(|_| Refused::Over)?;
        answer.await.unwrap_or(Err(Refused::Over))
    }

    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    pub(super) fn receive(&self, receiver: Receiver) -> Result<(), OpenError> {
        self.commands
            .try_send(Command::Receive(Box::new(receiver)))
            .map_err(|_| OpenError::Peer)
    }
}

pub fn start(shared: Arc<Shared>) -> Peer {
    let (commands, to_task) = mpsc::channel(COMMANDS_MAX);
    let task = Task {
        rtc: rtc(&shared),
        route: None,
        shared,
        cname: format!("peer-{:016x}", fastrand::u64(..)).into(),
        receivers: Vec::new(),
        mids: Vec::new(),
        from: None,
        told_alive: None,
    };
    tokio::spawn(task.run(to_task).instrument(Span::current()));
    Peer { commands }
}

fn rtc(shared: &Shared) -> Rtc {
    let mut config = Rtc::builder()
        .set_crypto_provider(shared.crypto.clone())
        .set_dtls_cert(shared.certificate.clone())
        .set_ice_lite(true)
        // Packets as they come: placing and ordering them is the meeting's.
        .set_rtp_mode(true)
        .set_rtcp_report_interval_audio(REPORT_EVERY)
        .clear_codecs()
        .enable_vp8(true)
        .enable_h264(true);
    config.codec_config().add_config(
        OPUS.into(),
        None,
        Codec::Opus,
        Frequency::FORTY_EIGHT_KHZ,
        Some(2),
        FormatParams {
            min_p_time: Some(10),
            use_inband_fec: Some(true),
            use_dtx: Some(true),
            ..FormatParams::default()
        },
    );
    let mut rtc = config.build(Instant::now());
    for at in &shared.candidates {
        let tcp = Candidate::builder()
            .tcp()
            .host(*at)
            .tcptype(TcpType::Passive)
            .build();
        for candidate in [Candidate::host(*at, "udp"), tcp] {
            match candidate {
                Ok(candidate) => {
                    rtc.add_local_candidate(candidate);
                }
                Err(error) => debug!(%error, "no candidate"),
            }
        }
    }
    rtc
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
    /// Which section an SSRC is of, as found.
    mids: Vec<(Ssrc, Mid)>,
    /// Where what is being handled came from.
    from: Option<SocketAddr>,
    told_alive: Option<Instant>,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let (to_us, mut datagrams) = mpsc::channel(DATAGRAMS_MAX);
        while let Some(due) = self.drain() {
            let due = due.min(Instant::now() + WAIT_MAX);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.command(command, &to_us),
                    None => break,
                },
                Some(datagram) = datagrams.recv() => self.datagram(&datagram),
                () = sleep_until(due.into()) => self.input(Input::Timeout(Instant::now())),
            }
        }
        self.end();
    }

    /// Gives out everything that the last input brought; until when nothing more is due. `None`: it
    /// is over.
    fn drain(&mut self) -> Option<Instant> {
        loop {
            if !self.rtc.is_alive() {
                return None;
            }
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) => return Some(due),
                Ok(Output::Transmit(sent)) => {
                    self.shared.send(&sent);
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

    fn alive(&mut self, at: Instant) {
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
                let answer = self.offer(&sdp, to_us);
                if answer.is_err() {
                    // What of the offer was taken before the fault is not known.
                    self.rtc.disconnect();
                }
                let _ = reply.send(answer);
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
        let offer = SdpOffer::from_sdp_string(sdp).map_err(|error| wrong(&error))?;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(|error| wrong(&error))?;
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
        let opus = self
            .rtc
            .codec_config()
            .find(|params| params.spec().codec == Codec::Opus)
            .map(|params| *params.pt());
        Ok(Answer {
            sdp: answer.to_sdp_string(),
            opus,
        })
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => info!("a peer is connected"),
            Event::IceConnectionStateChange(state) => debug!(?state, "a peer's path"),
            Event::RtpPacket(packet) => self.packet(&packet),
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
            // Of a section that is no stream: video, or one that was closed.
            _ => {
                metrics::counter!("hansard_webrtc_untaken_total").increment(1);
            }
        }
    }

    fn mid_of(&mut self, ssrc: Ssrc) -> Option<Mid> {
        if let Some((_, mid)) = self.mids.iter().find(|(known, _)| *known == ssrc) {
            return Some(*mid);
        }
        let mid = self.rtc.direct_api().stream_rx(&ssrc)?.mid();
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

fn receiver_of(receivers: &mut [Receiver], mid: Mid) -> Option<&mut Receiver> {
    receivers.iter_mut().find(|receiver| receiver.mid() == mid)
}
