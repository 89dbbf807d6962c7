//! Which pictures one peer gets while its network has no room for all: the rule is
//! [`crate::domain::bandwidth`]'s, the estimate of the network str0m's, from the transport-wide
//! feedback of the other side.

use crate::{
    domain::{
        bandwidth::{BEGINS_WITH, Bitrate, Change, Measured, Sharing},
        codec::Codec,
        key_frame,
        own_sections::Shown,
        time::Micros,
    },
    ingest::room::{Listener, SourcePacket},
};
use std::{collections::BTreeMap, time::Duration};
use str0m::{Rtc, bwe, stats::PeerStats};

/// Where the other side gives no feedback, nothing is held back.
const UNKNOWN: bwe::Bitrate = bwe::Bitrate::gbps(1);
/// The RTP header extension that feedback needs.
const NUMBERED: &str = "transport-wide-cc-extensions";
/// How often the network is measured: a queue has to show before voices suffer from it.
pub const MEASURED_EVERY: Duration = Duration::from_millis(200);
/// How often the rule is asked.
const TURN_EVERY: Micros = Micros::from_ms(100);
/// Who may not have heard what is paused is told again.
const TELL_EVERY: Micros = Micros::from_ms(5_000);
/// A key frame that did not come is asked for again.
const ASK_EVERY: Micros = Micros::from_ms(1_000);

#[derive(Default)]
pub struct Pictures {
    sharing: Sharing,
    /// The other side tells what comes of what is sent.
    has_feedback: bool,
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

    /// What a connection begins with, before its first feedback.
    pub fn begins_with() -> bwe::Bitrate {
        bwe::Bitrate::bps(BEGINS_WITH)
    }

    /// Whether an estimate is made by now. Its value comes smoothed over three seconds, which is too
    /// late for a network that becomes narrow: [`Pictures::measured`] has it as it is.
    pub fn estimated(&mut self, kind: &bwe::BweKind) {
        if let bwe::BweKind::Twcc { can_probe, .. } = kind {
            self.has_feedback = *can_probe;
        }
    }

    pub fn measured(&mut self, stats: &PeerStats, at: Micros) {
        let estimate = stats.bwe_tx.map(|estimate| estimate.as_u64());
        let known = estimate.filter(|of| self.has_feedback && *of < UNKNOWN.as_u64());
        tracing::trace!(
            estimate,
            known,
            loss = stats.egress_loss_fraction,
            rtt = ?stats.rtt,
            "measured"
        );
        let measured = Measured {
            estimate: known,
            loss: stats.egress_loss_fraction,
            round_trip: stats.rtt.map(|time| Micros(time.as_micros() as i64)),
        };
        self.sharing.measured(measured, at);
    }

    /// Only these are there by now.
    pub fn retain(&mut self, is_there: impl Fn(&Shown) -> bool) {
        self.awaited.retain(|shown, _| is_there(shown));
        self.sharing.retain(is_there);
    }

    /// Whether a packet is sent on; it is counted in any case.
    pub fn takes(&mut self, source_packet: &SourcePacket, at: Micros) -> bool {
        let (shown, packet) = (&source_packet.shown, &source_packet.packet);
        let voice = packet.voice.unwrap_or(false);
        self.sharing.packet(shown, packet.payload.len(), voice, at);
        let Codec::Video(codec) = source_packet.codec else {
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
        for change in self.sharing.turn(now) {
            self.carry_out(change, rtc, listener, now);
        }
        let probe_for = self.sharing.probed_for(now);
        // It is told in large steps: each may begin a probe.
        if probe_for > self.probed_for || 2 * probe_for < self.probed_for {
            self.probed_for = probe_for;
            let desired = bwe::Bitrate::bps(probe_for);
            rtc.bwe().set_bitrate(bwe::Bitrate::ZERO, desired);
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

    fn carry_out(&mut self, change: Change, rtc: &mut Rtc, listener: &Listener, now: Micros) {
        tracing::debug!(?change, "pictures");
        match change {
            Change::Pause(shown) => {
                self.tell_at = Some(now);
                self.awaited.remove(&shown);
                metrics::counter!("hansard_pictures_paused_total").increment(1);
            }
            Change::Resume(shown) => {
                self.tell_at = Some(now);
                self.awaited.insert(shown, now);
                listener.want_key_frame(&shown);
            }
            Change::Estimate(from) => {
                rtc.bwe().reset(bwe::Bitrate::bps(from));
                metrics::counter!("hansard_estimates_disbelieved_total").increment(1);
            }
        }
    }
}
