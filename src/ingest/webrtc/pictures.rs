//! Which pictures one peer gets while its network has no room for all: the rule is
//! [`crate::domain::bandwidth`]'s, the estimate of the network str0m's, from the transport-wide
//! feedback of the other side.

use crate::{
    domain::{
        bandwidth::{Bitrate, Change, Sharing},
        codec::Codec,
        key_frame,
        own_sections::Shown,
        time::Micros,
    },
    ingest::room::{Heard, Listener},
};
use std::collections::BTreeMap;
use str0m::{Rtc, bwe};

/// What a network is taken to have room for before its first feedback: a room of ten with cameras
/// wants 2.7 Mbit/s, and pictures that are held back for nothing are worse than a second of too
/// many.
pub const BEGINS_WITH: bwe::Bitrate = bwe::Bitrate::mbps(5);
/// Where the other side gives no feedback, nothing is held back.
const UNKNOWN: bwe::Bitrate = bwe::Bitrate::gbps(1);
/// The RTP header extension that feedback needs.
const NUMBERED: &str = "transport-wide-cc-extensions";
/// How often the rule is asked.
const TURN_EVERY: Micros = Micros::from_ms(100);
/// Who may not have heard what is paused is told again.
const TELL_EVERY: Micros = Micros::from_ms(5_000);
/// A key frame that did not come is asked for again.
const ASK_EVERY: Micros = Micros::from_ms(1_000);
/// What the network is probed for, beside twice what there is to send. The first probe is at twice this, and what
/// it finds stands in the place of [`BEGINS_WITH`].
const SPARE: Bitrate = 2_500_000;

#[derive(Default)]
pub struct Pictures {
    sharing: Sharing,
    /// Those that are sent again from their next key frame on, and when that was asked for.
    awaited: BTreeMap<Shown, Micros>,
    turned: Micros,
    tell_at: Option<Micros>,
    probed_for: Bitrate,
}

impl Pictures {
    /// The other side's first offer.
    pub fn offered(rtc: &mut Rtc, sdp: &str) {
        if !sdp.contains(NUMBERED) {
            rtc.bwe().reset(UNKNOWN);
        }
    }

    pub fn estimated(&mut self, kind: &bwe::BweKind) {
        if let bwe::BweKind::Twcc {
            estimate,
            can_probe,
        } = kind
        {
            let known = can_probe.then(|| estimate.as_u64());
            tracing::trace!(estimate = estimate.as_u64(), can_probe, "estimated");
            self.sharing
                .estimated(known.filter(|of| *of < UNKNOWN.as_u64()));
        }
    }

    /// Only these are there by now.
    pub fn retain(&mut self, is_there: impl Fn(&Shown) -> bool) {
        self.awaited.retain(|shown, _| is_there(shown));
        self.sharing.retain(is_there);
    }

    /// Whether a packet is sent on; it is counted in any case.
    pub fn takes(&mut self, heard: &Heard, at: Micros) -> bool {
        let (shown, packet) = (&heard.shown, &heard.packet);
        let voice = packet.voice.unwrap_or(false);
        self.sharing.packet(shown, packet.payload.len(), voice, at);
        let Codec::Video(codec) = heard.codec else {
            return true;
        };
        if self.awaited.contains_key(shown) && key_frame::begins(codec, &packet.payload) {
            self.awaited.remove(shown);
        }
        self.sharing.is_sent(shown) && !self.awaited.contains_key(shown)
    }

    /// Pauses and resumes, when that is due. Answers with what is not sent, when the other side is
    /// to be told.
    pub fn turn(&mut self, rtc: &mut Rtc, listener: &Listener, now: Micros) -> Option<Vec<Shown>> {
        if now - self.turned < TURN_EVERY {
            return None;
        }
        self.turned = now;
        let probe_for = 2 * self.sharing.wanted(now) + SPARE;
        // It is told in large steps: each may begin a probe.
        if probe_for > self.probed_for || 2 * probe_for < self.probed_for {
            self.probed_for = probe_for;
            let desired = bwe::Bitrate::bps(probe_for);
            rtc.bwe().set_bitrate(bwe::Bitrate::ZERO, desired);
        }
        for change in self.sharing.turn(now) {
            tracing::debug!(
                ?change,
                wanted = self.sharing.wanted(now),
                "pictures changed"
            );
            self.tell_at = Some(now);
            match change {
                Change::Pause(shown) => {
                    self.awaited.remove(&shown);
                    metrics::counter!("hansard_pictures_paused_total").increment(1);
                }
                Change::Resume(shown) => {
                    self.awaited.insert(shown, now);
                    listener.want_key_frame(&shown);
                }
            }
        }
        for (shown, asked) in &mut self.awaited {
            if now - *asked >= ASK_EVERY {
                *asked = now;
                listener.want_key_frame(shown);
            }
        }
        self.tell_at.take_if(|at| *at <= now)?;
        let paused = self.sharing.paused();
        if !paused.is_empty() {
            self.tell_at = Some(now + TELL_EVERY);
        }
        Some(paused)
    }
}
