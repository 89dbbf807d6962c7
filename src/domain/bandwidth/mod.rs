//! Which pictures are sent on to one listener when not all of them fit through its network: sound
//! is sent always and first, pictures share what is left.
//!
//! Screens come before cameras, and among cameras whoever spoke last. A picture is paused when it
//! did not fit for a moment, and sent again when it has fitted, with something to spare, for a
//! while. One that had to be paused again soon waits longer each time, so that a network whose
//! width is about that of a picture does not make it come and go.
//!
//! An estimate of what the network takes may be far too low: what it is made from is measured at a
//! receiver that may be busy. So it pauses nothing as long as nothing else says that the network is
//! congested ([`congestion`]), and is made anew instead. One that is right by chance costs little:
//! what is too much for a network shows as a queue or as loss, and then it is believed.

mod congestion;

use crate::{
    id::ParticipantId,
    own_sections::Shown,
    stream::{MediaKind, MediaSource},
    time::Micros,
};
use congestion::Congestion;
use std::collections::BTreeMap;

/// What a network is taken to have room for before anything is known of it. A room of ten with
/// cameras wants 2.7 Mbit/s, but its key frames come at once (some 100 kB), and are sent no faster
/// than this. Where it is too much, a queue shows that, and the estimate follows.
pub const BEGINS_WITH: Bitrate = 20_000_000;
/// What an estimate that was disbelieved is made anew from, at least, while everything is sent: what
/// has waited meanwhile is then sent at once, and might itself be too much.
const ANEW_FROM: Bitrate = 5_000_000;
/// How long pictures may be more than what fits: an estimate swings, and a key frame is large.
const PATIENCE: Micros = Micros::from_ms(600);
/// How long a picture has to fit before it is sent again.
const FITS_FOR: Micros = Micros::from_ms(1_500);
/// Of what a paused picture needs, so much has to be there, in percent.
const TO_SPARE: u64 = 125;
/// At least so long it is paused, and twice as long each time that it was sent only for
/// [`STAYS_FOR`], up to [`PAUSED_MAX`].
const PAUSED_MIN: Micros = Micros::from_ms(2_000);
const PAUSED_MAX: Micros = Micros::from_ms(32_000);
const STAYS_FOR: Micros = Micros::from_ms(15_000);
/// While pictures are paused and nothing of congestion is seen for this long, the estimate is taken
/// to be wrong and the most wanted of them is tried; when that was in vain, after twice as long the
/// next time.
const DOUBTED_AFTER: Micros = Micros::from_ms(15_000);
const DOUBTED_AFTER_MAX: Micros = Micros::from_ms(480_000);
/// How long it stays in doubt: not even probes are sent, which would tell the same again.
const IN_DOUBT_FOR: Micros = Micros::from_ms(5_000);
/// Over how long bytes are counted.
const WINDOW: Micros = Micros::from_ms(1_000);
/// From whom nothing came for so long nothing is expected.
const QUIET_AFTER: Micros = Micros::from_ms(3_000);
/// So many times what is needed is probed for, twice: a probe reaches a third of its rate where
/// timers tell milliseconds.
const PROBED_TIMES: u64 = 2;
/// What a packet has besides its payload: IP, UDP, RTP with extensions, SRTP.
const OVERHEAD_BYTES: u64 = 60;

/// Bits per second.
pub type Bitrate = u64;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Pause(Shown),
    /// From a key frame on.
    Resume(Shown),
    /// The estimate is too low, as far as anything else tells: it is to be made anew, beginning
    /// with this.
    Estimate(Bitrate),
}

/// What is known of the network by now.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Measured {
    /// What it takes; `None`: that cannot be told.
    pub estimate: Option<Bitrate>,
    /// The part of what was sent in the last second that did not come.
    pub loss: Option<f32>,
    /// Of the newest packet that the other side has told of.
    pub round_trip: Option<Micros>,
}

/// The pictures and the sound of one listener.
#[derive(Clone, Debug, Default)]
pub struct Sharing {
    /// What the network takes; `None`: nobody knows, and everything is sent.
    estimate: Option<Bitrate>,
    congestion: Congestion,
    sound: Meter,
    pictures: BTreeMap<Shown, Picture>,
    spoke: BTreeMap<ParticipantId, Micros>,
    /// Since when what is sent does not fit.
    over: Option<Micros>,
    doubt: Doubt,
}

/// Of an estimate that keeps pictures paused.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    after: Micros,
    last: Option<Micros>,
}

impl Default for Doubt {
    fn default() -> Self {
        Self {
            after: DOUBTED_AFTER,
            last: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Picture {
    meter: Meter,
    /// `None`: it is sent.
    paused: Option<Micros>,
    resumed: Option<Micros>,
    /// How long it has to be paused, at least.
    wait: Micros,
    fits: Option<Micros>,
}

/// Bytes per time.
#[derive(Clone, Debug, Default)]
struct Meter {
    since: Option<Micros>,
    bytes: u64,
    last: Option<Micros>,
    rate: Option<Bitrate>,
}

impl Meter {
    fn packet(&mut self, payload: usize, at: Micros) {
        let since = *self.since.get_or_insert(at);
        let passed = at - since;
        if passed >= WINDOW {
            let rate = self.bytes * 8 * 1_000_000 / passed.0.unsigned_abs();
            // Up at once and down slowly: what is too little would be sent into what has no room.
            self.rate = Some(rate.max(self.rate.map_or(0, |before| (before + rate) / 2)));
            (self.since, self.bytes) = (Some(at), 0);
        }
        self.last = Some(at);
        self.bytes += payload as u64 + OVERHEAD_BYTES;
    }

    fn rate(&self, now: Micros) -> Bitrate {
        let heard = self.last.is_some_and(|last| now - last <= QUIET_AFTER);
        self.rate.filter(|_| heard).unwrap_or(0)
    }
}

impl Sharing {
    /// What is known of the network by now.
    pub fn measured(&mut self, measured: Measured, at: Micros) {
        self.estimate = measured.estimate;
        self.congestion
            .measured(measured.loss, measured.round_trip, at);
    }

    /// A packet of another participant, whether it is sent on or not. `voice`: somebody speaks in
    /// it.
    pub fn packet(&mut self, shown: &Shown, payload: usize, voice: bool, at: Micros) {
        match shown.kind {
            MediaKind::Audio => {
                self.sound.packet(payload, at);
                if voice {
                    self.spoke.insert(shown.participant, at);
                }
            }
            MediaKind::Video => {
                let picture = self.pictures.entry(*shown).or_default();
                picture.meter.packet(payload, at);
            }
        }
    }

    /// Only these are there by now.
    pub fn retain(&mut self, is_there: impl Fn(&Shown) -> bool) {
        self.pictures.retain(|shown, _| is_there(shown));
        let pictures = &self.pictures;
        self.spoke
            .retain(|who, _| pictures.keys().any(|shown| shown.participant == *who));
    }

    /// Whether a picture is sent.
    pub fn is_sent(&self, shown: &Shown) -> bool {
        let picture = self.pictures.get(shown);
        picture.is_none_or(|picture| picture.paused.is_none())
    }

    /// Those that are not.
    pub fn paused(&self) -> Vec<Shown> {
        let paused = self.pictures.iter();
        paused
            .filter(|(_, picture)| picture.paused.is_some())
            .map(|(shown, _)| *shown)
            .collect()
    }

    /// What the network is to be probed for (by up to twice as much), so that paused pictures come
    /// back. Where nothing is paused it is not probed: what is sent shows by itself whether there is
    /// room for it, and a probe whose packets are late, at a busy sender or receiver, makes the
    /// estimate too low.
    pub fn probed_for(&self, now: Micros) -> Bitrate {
        let in_doubt = |at: Micros| now - at < IN_DOUBT_FOR;
        if self.paused().is_empty() || self.doubt.last.is_some_and(in_doubt) {
            return 0;
        }
        PROBED_TIMES * self.needed(now, |_| true)
    }

    /// What these need besides the sound, with something to spare.
    fn needed(&self, now: Micros, counts: impl Fn(&Picture) -> bool) -> Bitrate {
        let pictures = self.pictures.values().filter(|of| counts(of));
        let all = self.sound.rate(now) + pictures.map(|of| of.meter.rate(now)).sum::<Bitrate>();
        spared(all)
    }

    /// What is to be done from now on.
    pub fn turn(&mut self, now: Micros) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.estimate.is_none() {
            for (shown, picture) in &mut self.pictures {
                if picture.paused.take().is_some() {
                    changes.push(Change::Resume(*shown));
                }
            }
            return changes;
        }
        let over: Vec<Shown> = self.left_out(now, is_sent);
        let since = (!over.is_empty()).then(|| self.over.unwrap_or(now));
        self.over = since;
        if since.is_some_and(|since| now - since >= PATIENCE) {
            self.over = None;
            if !self.congestion.is_seen(now) {
                let all_is_sent = self.pictures.values().all(is_sent);
                let least = if all_is_sent { ANEW_FROM } else { 0 };
                return vec![self.estimate_anew(self.needed(now, is_sent).max(least))];
            }
            self.paused_again(now);
            for shown in over {
                changes.extend(self.pause(shown, false, now));
            }
            return changes;
        }
        if let Some(shown) = self.kept_for_nothing(now) {
            self.doubt.last = Some(now);
            let first = self.pictures.get(&shown).map(|of| of.meter.rate(now));
            let tried = self.needed(now, is_sent) + spared(first.unwrap_or(0));
            changes.push(self.estimate_anew(spared(tried)));
        }
        if let Some(shown) = self.fitting(now) {
            // Those that have to make room do so at once.
            if let Some(picture) = self.pictures.get_mut(&shown) {
                (picture.paused, picture.fits) = (None, None);
                picture.resumed = Some(now);
            }
            for other in self.left_out(now, is_sent) {
                changes.extend(self.pause(other, true, now));
            }
            changes.push(Change::Resume(shown));
        }
        changes
    }

    fn estimate_anew(&mut self, from: Bitrate) -> Change {
        self.estimate = Some(from);
        Change::Estimate(from)
    }

    /// The most wanted of those that are paused by an estimate for which nothing has spoken for
    /// long.
    fn kept_for_nothing(&self, now: Micros) -> Option<Shown> {
        let after = self.doubt.after;
        let doubted = |at: Micros| now - at < after;
        if !self.congestion.is_unseen_for(after, now) || self.doubt.last.is_some_and(doubted) {
            return None;
        }
        let waits = |of: &Picture| of.paused.is_some() && of.meter.rate(now) > 0;
        let mut order = self.in_order().into_iter();
        order.find(|shown| self.pictures.get(shown).is_some_and(waits))
    }

    /// Congestion paused something: the sooner after a doubt, the later the next.
    fn paused_again(&mut self, now: Micros) {
        let in_vain = |at: Micros| now - at < STAYS_FOR;
        self.doubt.after = if self.doubt.last.is_some_and(in_vain) {
            Micros(2 * self.doubt.after.0).min(DOUBTED_AFTER_MAX)
        } else {
            DOUBTED_AFTER
        };
    }

    /// The first of those that wait that has fitted for long enough.
    fn fitting(&mut self, now: Micros) -> Option<Shown> {
        let may_wait_no_more = |picture: &Picture| {
            let waited = picture.paused.is_none_or(|at| now - at >= picture.wait);
            waited && picture.meter.rate(now) > 0
        };
        let left_out = self.left_out(now, may_wait_no_more);
        let mut ready = None;
        for shown in self.in_order() {
            let Some(picture) = self.pictures.get_mut(&shown) else {
                continue;
            };
            let waits = picture.paused.is_some();
            if !waits || !may_wait_no_more(picture) || left_out.contains(&shown) {
                picture.fits = None;
                continue;
            }
            let since = *picture.fits.get_or_insert(now);
            if now - since >= FITS_FOR {
                ready = ready.or(Some(shown));
            }
        }
        ready
    }

    /// `displaced`: it makes room for one that is wanted more, and fitted itself.
    fn pause(&mut self, shown: Shown, displaced: bool, now: Micros) -> Option<Change> {
        let picture = self.pictures.get_mut(&shown)?;
        let stayed = displaced
            || picture
                .resumed
                .is_none_or(|resumed| now - resumed >= STAYS_FOR);
        picture.wait = if stayed {
            PAUSED_MIN
        } else {
            Micros(2 * picture.wait.0).clamp(PAUSED_MIN, PAUSED_MAX)
        };
        (picture.paused, picture.fits) = (Some(now), None);
        Some(Change::Pause(shown))
    }

    /// Of those that `counts`, the ones that find no room. One that is paused needs some to spare.
    fn left_out(&self, now: Micros, counts: impl Fn(&Picture) -> bool) -> Vec<Shown> {
        let Some(estimate) = self.estimate else {
            return Vec::new();
        };
        let mut used = self.sound.rate(now);
        let mut left_out = Vec::new();
        for shown in self.in_order() {
            let Some(picture) = self.pictures.get(&shown).filter(|of| counts(of)) else {
                continue;
            };
            let rate = picture.meter.rate(now);
            let needs = if picture.paused.is_some() {
                spared(used + rate)
            } else {
                used + rate
            };
            if needs <= estimate {
                used += rate;
            } else {
                left_out.push(shown);
            }
        }
        left_out
    }

    /// The pictures, the most wanted first.
    fn in_order(&self) -> Vec<Shown> {
        let mut order: Vec<Shown> = self.pictures.keys().copied().collect();
        order.sort_by_key(|shown| {
            let spoke = self.spoke.get(&shown.participant);
            let is_screen = shown.source == MediaSource::Screen;
            (!is_screen, std::cmp::Reverse(spoke.copied()), *shown)
        });
        order
    }
}

fn spared(rate: Bitrate) -> Bitrate {
    rate * TO_SPARE / 100
}

fn is_sent(picture: &Picture) -> bool {
    picture.paused.is_none()
}

#[cfg(test)]
mod tests;
