//! What one peer gets of the others: the server's offers to it, and the packets that are sent on.

use super::{peer::Refused, pictures::Pictures};
use crate::{
    domain::{
        codec::{AudioCodec, Codec, VideoCodec},
        gate::Live,
        id::{ParticipantId, StreamId},
        negotiation::without_candidates,
        own_sections::{self, Change, OwnSection, Shown},
        rewriting::Rewriter,
        stream::MediaKind,
        time::Micros,
        turns::{Theirs, Turns},
    },
    ingest::room::{Heard, Listener, Next, Room},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use str0m::{
    Rtc,
    bwe::BweKind,
    change::{SdpAnswer, SdpPendingOffer},
    format,
    media::{Direction, MediaKind as Kind, Mid, Pt},
    rtp::{ExtensionValues, RtpWrite, Ssrc, VideoOrientation},
};
use tokio::sync::mpsc;
use tracing::debug;

/// Packets taken before the peer's own are looked at again.
pub const BATCH: usize = 64;
/// Several changes at once, a stream that takes another's place for instance, make one offer.
const TOGETHER: Micros = Micros::from_ms(20);
/// What may be asked for once more, and for how long it is kept (in memory only).
const KEPT_PACKETS: usize = 512;
const KEPT_FOR: Duration = Duration::from_secs(1);
/// Of what is sent, at most this part is sent again: a receiver that asks for more has no room.
const AGAIN_MAX: f32 = 0.15;
/// From whom no check came for this long, nothing is sent to: it is asleep, or its network is
/// another.
const CHECKED_WITHIN: Duration = Duration::from_secs(10);

/// Whose browser is told what the others send, and where what it is told goes.
#[derive(Clone, Debug)]
pub struct Hears {
    pub room: Room,
    pub participant: ParticipantId,
    pub told: mpsc::Sender<(ParticipantId, Told)>,
}

/// What a participant is told of what it gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Offer(OwnOffer),
    /// All the pictures that its network has no room for now.
    Paused(Vec<Shown>),
}

/// An offer of the server's, to be told to its participant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnOffer {
    pub id: String,
    pub sdp: String,
    /// What of whom its sections carry, by their `mid`.
    pub tracks: Vec<(String, Shown)>,
}

/// A section of ours.
struct Section {
    mid: Mid,
    own: OwnSection,
    /// The other side has agreed to what it is.
    agreed: bool,
    /// Its source is gone, which the other side is not told of yet.
    gone: bool,
    /// From its first answer on.
    out: Option<Out>,
}

struct Out {
    ssrc: Ssrc,
    rewriter: Rewriter<(StreamId, u32)>,
}

pub struct Hearing {
    listener: Listener,
    participant: ParticipantId,
    told: mpsc::Sender<(ParticipantId, Told)>,
    pictures: Pictures,
    turns: Turns,
    pending: Option<(SdpPendingOffer, OwnOffer)>,
    sections: Vec<Section>,
    /// Since when the sections may not be those that are wanted.
    changed: Option<Micros>,
    began: Instant,
}

impl Hearing {
    pub fn new(hears: Hears) -> Self {
        Self {
            listener: hears.room.listen(hears.participant),
            participant: hears.participant,
            told: hears.told,
            pictures: Pictures::default(),
            turns: Turns::default(),
            pending: None,
            sections: Vec::new(),
            changed: Some(Micros(0)),
            began: Instant::now(),
        }
    }

    /// Waits for what the others send. May be dropped while it waits; nothing is lost by that.
    pub async fn next(&mut self, batch: &mut Vec<Live<Arc<Heard>>>) -> Next {
        self.listener.next(batch, BATCH).await
    }

    fn since_began(&self, at: Instant) -> Micros {
        Micros(at.saturating_duration_since(self.began).as_micros() as i64)
    }

    /// When the next turn is due.
    pub fn due(&self, connected: bool, now: Instant) -> Option<Instant> {
        let at = self.since_began(now);
        let offer = self
            .changed
            .filter(|_| connected && self.turns.may_offer(at))
            .map(|changed| changed + TOGETHER);
        let due = self.turns.next_timeout(at).into_iter().chain(offer).min()?;
        let wait = (due - at).0.max(0).unsigned_abs();
        Some(now + Duration::from_micros(wait))
    }

    /// The sources are others than before. What is kept of those that are gone is dropped at once;
    /// the sections follow by an offer.
    pub fn sources_changed(&mut self, rtc: &mut Rtc, now: Instant) {
        let now = self.since_began(now);
        self.changed = self.changed.or(Some(now));
        let wanted = self.listener.wanted();
        self.pictures.retain(|shown| wanted.contains(shown));
        for section in &mut self.sections {
            let shown = section.own.shows();
            // A stream that takes the place of another is gone for a moment only.
            section.gone = shown.is_some_and(|shown| !wanted.contains(&shown));
            if section.gone
                && let Some(out) = &section.out
            {
                keep_for_again(rtc, out.ssrc);
            }
        }
    }

    /// Offers, and says again what nothing answered, when that is due.
    pub fn turn(&mut self, rtc: &mut Rtc, connected: bool, now: Instant) {
        let at = self.since_began(now);
        if self.turns.repeat(at).is_some() {
            self.tell();
        }
        let due = self.changed.is_some_and(|changed| changed + TOGETHER <= at);
        if connected && due && self.turns.may_offer(at) {
            self.changed = None;
            self.offer(rtc, at);
        }
        if let Some(paused) = self.pictures.turn(rtc, &self.listener, at) {
            // Without room it is told again while any is paused.
            let _ = self.told.try_send((self.participant, Told::Paused(paused)));
        }
    }

    /// What the network of the other side takes.
    pub fn estimated(&mut self, kind: &BweKind) {
        self.pictures.estimated(kind);
    }

    fn offer(&mut self, rtc: &mut Rtc, now: Micros) {
        let wanted: BTreeSet<Shown> = self.listener.wanted();
        let sections: Vec<OwnSection> = self.sections.iter().map(|section| section.own).collect();
        let mut changes = rtc.sdp_api();
        for change in own_sections::plan(&sections, &wanted) {
            match change {
                Change::Rest(index) => {
                    let section = &mut self.sections[index];
                    (section.own.of, section.agreed) = (None, false);
                    changes.set_direction(section.mid, Direction::Inactive);
                }
                Change::Use(index, shown) => {
                    let section = &mut self.sections[index];
                    section.own.of = Some(shown.participant);
                    section.gone = false;
                    changes.set_direction(section.mid, Direction::SendOnly);
                }
                Change::Add(shown) => {
                    let kind = match shown.kind {
                        MediaKind::Audio => Kind::Audio,
                        MediaKind::Video => Kind::Video,
                    };
                    // Its name in the description is written by us; this one is the CNAME.
                    let name = format!("hansard-{:016x}", fastrand::u64(..));
                    let mid = changes.add_media(
                        kind,
                        Direction::SendOnly,
                        Some(name.clone()),
                        Some(name),
                        None,
                    );
                    let own = OwnSection {
                        kind: shown.kind,
                        source: shown.source,
                        of: Some(shown.participant),
                        refused: false,
                    };
                    self.sections.push(Section {
                        mid,
                        own,
                        agreed: false,
                        gone: false,
                        out: None,
                    });
                }
            }
        }
        let Some((offer, pending)) = changes.apply() else {
            return;
        };
        let id = format!("{:016x}", fastrand::u64(..));
        let shown = self
            .sections
            .iter()
            .filter_map(|section| Some((section.mid.to_string(), section.own.shows()?)));
        let offer = OwnOffer {
            sdp: self.described(&offer.to_sdp_string()),
            tracks: shown.collect(),
            id: id.clone(),
        };
        self.pending = Some((pending, offer));
        self.turns.offered(id, now);
        self.tell();
    }

    fn tell(&self) {
        if let Some((_, offer)) = &self.pending {
            // Without room it is told again as one that nothing answered.
            let offer = Told::Offer(offer.clone());
            let _ = self.told.try_send((self.participant, offer));
        }
    }

    /// A description of ours as the other side gets it.
    pub fn described(&self, sdp: &str) -> String {
        let own: BTreeMap<_, _> = self
            .sections
            .iter()
            .map(|section| {
                let shown = section.own.shows();
                let names = shown.map(|shown| (shown.participant, shown.source));
                (section.mid.to_string(), names)
            })
            .collect();
        own_sections::described(sdp, &own)
    }

    /// They offer: whether that is answered. Otherwise it met an offer of ours, which is told
    /// again.
    pub fn theirs(&mut self, now: Instant) -> bool {
        match self.turns.theirs(self.since_began(now)) {
            Theirs::Glare => {
                self.tell();
                false
            }
            Theirs::Taken { ours_is_void } => {
                if ours_is_void {
                    self.pending = None;
                    self.changed = Some(self.since_began(now));
                }
                true
            }
        }
    }

    /// The other side cannot show what comes in one of our sections without a key frame.
    pub fn want_key_frame(&self, mid: Mid) {
        let section = self.sections.iter().find(|section| section.mid == mid);
        if let Some(shown) = section.and_then(|section| section.own.shows()) {
            self.listener.want_key_frame(&shown);
        }
    }

    /// Whether the section is one of ours.
    pub fn is_own(&self, mid: Mid) -> bool {
        self.sections.iter().any(|section| section.mid == mid)
    }

    /// They answer.
    pub fn answer(
        &mut self,
        rtc: &mut Rtc,
        id: &str,
        sdp: &str,
        now: Instant,
    ) -> Result<(), Refused> {
        if self.pending.as_ref().is_none_or(|(_, open)| open.id != id) {
            return Err(Refused::Stale);
        }
        let wrong = |error: &dyn std::fmt::Display| Refused::Description(format!("sdp: {error}"));
        let answer =
            SdpAnswer::from_sdp_string(&without_candidates(sdp)).map_err(|error| wrong(&error))?;
        let Some((pending, _)) = self.pending.take() else {
            return Err(Refused::Stale);
        };
        self.turns.answered(id);
        if let Err(error) = rtc.sdp_api().accept_answer(pending, answer) {
            // What of it was taken before the fault is not known.
            rtc.disconnect();
            return Err(wrong(&error));
        }
        self.negotiated(rtc);
        // What changed meanwhile, and what waited for sections to rest.
        self.changed = Some(self.since_began(now));
        Ok(())
    }

    /// Sections are as the last answer, whoever gave it, says.
    pub fn negotiated(&mut self, rtc: &mut Rtc) {
        // Those of an offer that became void are in no session.
        self.sections
            .retain(|section| rtc.media(section.mid).is_some());
        for section in &mut self.sections {
            let Some(media) = rtc.media(section.mid) else {
                continue;
            };
            section.own.refused |= media.disabled();
            let before = section.agreed;
            section.agreed = media.direction().is_sending() && section.own.shows().is_some();
            if let Some(shown) = section.own.shows().filter(|_| section.agreed && !before) {
                // Who comes late sees something at once.
                self.listener.want_key_frame(&shown);
            }
            if section.agreed && section.out.is_none() {
                let Some(ssrc) = sent_as(rtc, section.mid) else {
                    continue;
                };
                keep_for_again(rtc, ssrc);
                section.out = Some(Out {
                    ssrc,
                    rewriter: Rewriter::new(fastrand::u16(..), fastrand::u32(..)),
                });
            }
        }
    }

    /// Sends on what the gate still lets through. `checked`: when the other side's last check came.
    pub fn send(
        &mut self,
        rtc: &mut Rtc,
        batch: &mut Vec<Live<Arc<Heard>>>,
        checked: Option<Instant>,
        now: Instant,
    ) {
        let asleep = checked.is_none_or(|checked| now.duration_since(checked) > CHECKED_WITHIN);
        for live in batch.drain(..) {
            if asleep {
                continue;
            }
            let Some(heard) = self.listener.still(&live) else {
                metrics::counter!("hansard_forward_dropped_total", "reason" => "not_live")
                    .increment(1);
                continue;
            };
            let at = self.since_began(heard.packet.at);
            let section = self
                .sections
                .iter_mut()
                .find(|section| section.own.shows() == Some(heard.shown));
            let Some(section) = section else { continue };
            let takes = self.pictures.takes(heard, at);
            if !section.is_sent() {
                continue;
            }
            if !takes {
                section.skip(heard);
                metrics::counter!("hansard_forward_dropped_total", "reason" => "bandwidth")
                    .increment(1);
            } else if section.send(rtc, heard, at) {
                self.listener.want_key_frame(&heard.shown);
            }
        }
    }
}

impl Section {
    fn is_sent(&self) -> bool {
        self.agreed && !self.gone
    }

    /// What is not sent on leaves no hole, which the other side would ask for.
    fn skip(&mut self, heard: &Heard) {
        if let Some(out) = &mut self.out {
            let sender = (heard.stream, heard.packet.ssrc);
            out.rewriter.skip(&sender, heard.packet.sequence);
        }
    }

    /// Whether it is the first of another sender.
    fn send(&mut self, rtc: &mut Rtc, heard: &Heard, at: Micros) -> bool {
        let Some(out) = &mut self.out else {
            return false;
        };
        let packet = &heard.packet;
        let sender = (heard.stream, packet.ssrc);
        if packet.payload.is_empty() {
            self.skip(heard);
            return false;
        }
        let Some(payload_type) = payload_type(rtc, self.mid, heard.codec) else {
            metrics::counter!("hansard_forward_dropped_total", "reason" => "codec").increment(1);
            return false;
        };
        let clock_rate = heard.codec.clock_rate();
        let renumbered =
            out.rewriter
                .packet(sender, packet.sequence, packet.timestamp, clock_rate, at);
        let Some(numbers) = renumbered else {
            return false;
        };
        let voice = heard.shown.kind == MediaKind::Audio;
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx(&out.ssrc) else {
            debug!("a section has lost its stream");
            return false;
        };
        stream.write_rtp(
            RtpWrite::new(
                payload_type,
                numbers.sequence.into(),
                numbers.timestamp,
                packet.at,
                packet.payload.clone(),
            )
            // Of sound: the first after silence (RFC 7587 4.1), as the first of another sender is.
            .marker(packet.marker || voice && numbers.first)
            .ext_vals(ExtensionValues {
                audio_level: packet.level,
                voice_activity: packet.voice,
                video_orientation: packet.turned.map(VideoOrientation::from),
                ..ExtensionValues::default()
            })
            .nackable(true),
        );
        metrics::counter!("hansard_forward_packets_total").increment(1);
        numbers.first
    }
}

/// The SSRC of what is sent in a section.
pub fn sent_as(rtc: &mut Rtc, mid: Mid) -> Option<Ssrc> {
    let mut api = rtc.direct_api();
    Some(api.stream_tx_by_mid(mid, None)?.ssrc())
}

/// What was sent is kept for a moment, anew from now on: nothing of before is sent again.
fn keep_for_again(rtc: &mut Rtc, ssrc: Ssrc) {
    if let Some(stream) = rtc.direct_api().stream_tx(&ssrc) {
        stream.set_rtx_cache(KEPT_PACKETS, KEPT_FOR, Some(AGAIN_MAX));
    }
}

/// What a codec is sent as in a section; `None`: the other side has it not.
fn payload_type(rtc: &Rtc, mid: Mid, codec: Codec) -> Option<Pt> {
    let wanted = format_of(codec);
    let taken = rtc.media(mid)?.remote_pts();
    let params = rtc
        .codec_config()
        .find(|params| params.spec().codec == wanted && taken.contains(&params.pt()))?;
    Some(params.pt())
}

/// A codec by str0m's name.
pub fn format_of(codec: Codec) -> format::Codec {
    match codec {
        Codec::Audio(AudioCodec::Opus) => format::Codec::Opus,
        Codec::Audio(AudioCodec::Pcmu) => format::Codec::PCMU,
        Codec::Audio(AudioCodec::Pcma) => format::Codec::PCMA,
        Codec::Video(VideoCodec::Vp8) => format::Codec::Vp8,
        Codec::Video(VideoCodec::H264) => format::Codec::H264,
    }
}
