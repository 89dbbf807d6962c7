//! What one peer gets of the others: the server's offers to it, and the packets that are sent on.

use super::{peer::Refused, pictures::Pictures, section::Section};
use crate::{
    domain::{
        gate::Live,
        id::ParticipantId,
        negotiation::without_candidates,
        own_sections::{self, Change, OwnSection, Shown},
        stream::MediaKind,
        time::Micros,
        turns::{Theirs, Turns},
    },
    ingest::room::{Listener, Next, Room, SourcePacket},
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
    media::{Direction, MediaKind as Kind, Mid},
    stats::PeerStats,
};
use tokio::sync::mpsc;

/// Packets taken before the peer's own are looked at again.
pub const BATCH: usize = 64;
/// What comes within this after something was sent goes together: each turn of a connection costs
/// as much as a packet. As long as libwebrtc's pacer waits.
const GATHERED: Duration = Duration::from_millis(5);
/// Several changes at once, a stream that takes another's place for instance, make one offer.
const TOGETHER: Micros = Micros::from_ms(20);
/// From whom no check came for this long, nothing is sent to: it is asleep, or its network is
/// another.
const CHECKED_WITHIN: Duration = Duration::from_secs(10);

/// Whose browser is told what the others send, and where its notices go.
#[derive(Clone, Debug)]
pub struct Hears {
    pub room: Room,
    pub participant: ParticipantId,
    pub notices: mpsc::Sender<(ParticipantId, Notice)>,
}

/// What a participant is told of what it gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
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

pub struct Hearing {
    listener: Listener,
    participant: ParticipantId,
    notices: mpsc::Sender<(ParticipantId, Notice)>,
    pictures: Pictures,
    turns: Turns,
    pending: Option<(SdpPendingOffer, OwnOffer)>,
    sections: Vec<Section>,
    /// Since when the sections may not be those that are wanted.
    changed: Option<Micros>,
    /// When packets were sent on last.
    sent: Option<Instant>,
    began: Instant,
}

impl Hearing {
    pub fn new(hears: Hears) -> Self {
        Self {
            listener: hears.room.listen(hears.participant),
            participant: hears.participant,
            notices: hears.notices,
            pictures: Pictures::default(),
            turns: Turns::default(),
            pending: None,
            sections: Vec::new(),
            changed: Some(Micros(0)),
            sent: None,
            began: Instant::now(),
        }
    }

    /// Until when what comes is gathered. Nobody waits who was not heard a moment ago.
    pub fn gathers_until(&self, now: Instant) -> Option<Instant> {
        let until = self.sent? + GATHERED;
        (now < until).then_some(until)
    }

    /// Waits for what the others send. May be dropped while it waits; nothing is lost by that.
    pub async fn next(&mut self, batch: &mut Vec<Live<Arc<SourcePacket>>>) -> Next {
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

    /// The sources are others than before, or who may be heard. What is kept of those that are gone
    /// is dropped at once, also what the pacer holds back of who may not be heard any more; the
    /// sections follow by an offer.
    pub fn sources_changed(&mut self, rtc: &mut Rtc, now: Instant) {
        let now = self.since_began(now);
        self.changed = self.changed.or(Some(now));
        let wanted = self.listener.wanted();
        self.pictures.retain(|shown| wanted.contains(shown));
        for section in &mut self.sections {
            let shown = section.own.shows();
            // A stream that takes the place of another is gone for a moment only.
            section.gone = shown.is_some_and(|shown| !wanted.contains(&shown));
            if section.gone {
                section.forget(rtc);
            }
            let live = shown.is_none_or(|shown| self.listener.is_live(shown.participant));
            if section.live && !live {
                section.drop_waiting(rtc);
            }
            section.live = live;
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
            let _ = self
                .notices
                .try_send((self.participant, Notice::Paused(paused)));
        }
    }

    /// Whether it can be told what the network of the other side takes.
    pub fn estimated(&mut self, kind: &BweKind) {
        self.pictures.estimated(kind);
    }

    /// What is known of that network by now.
    pub fn measured(&mut self, stats: &PeerStats) {
        let at = self.since_began(stats.timestamp);
        self.pictures.measured(stats, at);
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
                    self.sections.push(Section::new(mid, own));
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
            let offer = Notice::Offer(offer.clone());
            let _ = self.notices.try_send((self.participant, offer));
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
                section.begin(rtc);
            }
        }
    }

    /// Sends on what the gate still lets through. `checked`: when the other side's last check came.
    pub fn send(
        &mut self,
        rtc: &mut Rtc,
        batch: &mut Vec<Live<Arc<SourcePacket>>>,
        checked: Option<Instant>,
        now: Instant,
    ) {
        // Where more waits, it goes at once.
        self.sent = (batch.len() < BATCH).then_some(now);
        let asleep = checked.is_none_or(|checked| now.duration_since(checked) > CHECKED_WITHIN);
        for live in batch.drain(..) {
            if asleep {
                continue;
            }
            let Some(source_packet) = self.listener.still(&live) else {
                metrics::counter!("hansard_forward_dropped_total", "reason" => "not_live")
                    .increment(1);
                continue;
            };
            let at = self.since_began(source_packet.packet.at);
            let section = self
                .sections
                .iter_mut()
                .find(|section| section.own.shows() == Some(source_packet.shown));
            let Some(section) = section else { continue };
            let takes = self.pictures.takes(source_packet, at);
            if !section.is_sent() {
                continue;
            }
            if !takes {
                section.skip(source_packet);
                metrics::counter!("hansard_forward_dropped_total", "reason" => "bandwidth")
                    .increment(1);
            } else if section.send(rtc, source_packet, at) {
                self.listener.want_key_frame(&source_packet.shown);
            }
        }
    }
}
