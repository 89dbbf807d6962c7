//! Places RTP packets on the meeting's timeline: header and arrival in, capture [`Span`] out.
//!
//! A sender's sample counter is related to our clock by two things only: *when packets arrive* and,
//! for the counter's rate and for streams that share a clock, its sender reports. A sender's
//! absolute NTP time is never believed, it may be hours off.
//!
//! **Offset.** A packet whose last sample is at media time `e` cannot arrive before `e` on our
//! clock, so `arrival − e` is the offset plus a delay ≥ 0, and the minimum over a window is the
//! offset plus the path's shortest delay (the minimum filter of RFC 5905's clock filter and of
//! jitter buffers). **Rate.** A line through the minima of each second, or the slope of the sender
//! reports, whichever is surer. **Placing.** A continuous, rising, piecewise linear function from
//! media time to MeetingTime. Every span is read from that one function, so spans of consecutive
//! packets abut exactly; corrections bend it by at most half a millisecond per second (more while a
//! stream is new), or step inside a silence.
//!
//! **Counters that stand still.** A sender that stalls, its counter with it, is later from then on
//! and stays so; behind a stall of the network everything comes at once and is in time again
//! (`raised`). The first is placed later as soon as that is clear. A path that became slower for
//! good looks the same from here and is placed later, too.
//!
//! **Counters of another clock.** A counter whose steps are not the packets' own lengths is read by
//! these lengths (`pace`); one whose steps mean nothing is told by [`Timeline::is_unreadable`].
//!
//! **Jumps.** A counter that jumps (restart, source change, one stray packet with timestamp 0) gets
//! a new function from its arrival on, after a second packet has confirmed it: never hours of
//! duration.

mod mapping;
mod pace;
mod raised;

use crate::time::{MeetingTime, Micros, Span};
use mapping::Mapping;
use pace::{Pace, Paced};
use std::collections::BTreeMap;

/// RFC 3550 A.1: a larger step of the sequence number must be confirmed.
const DROPOUT_MAX: i16 = 3_000;
const MISORDER_MAX: i16 = 500;
/// A packet this much earlier than possible means that its counter jumped (µs); more while the
/// offset is new.
const EARLY: i64 = 250_000;
const EARLY_NEW: i64 = 1_000_000;
/// After a pause of this length a counter may turn out to have stood still (µs).
const PAUSE: i64 = 2_000_000;
/// Nothing is placed further than this ahead of its arrival (µs): a counter may run too fast, by a
/// wrong clock rate.
const AHEAD_MAX: i64 = 1_500_000;
/// Nothing is placed further than this behind its arrival, but what comes in a burst (µs).
const BEHIND_MAX: i64 = 10_000_000;
/// And this, when its counter is read anew (µs).
const AHEAD_AFTER: i64 = 20_000;
/// Streams of one sender whose offsets differ by more than this are not aligned: a report is wrong.
const ALIGN_MAX: i64 = 200_000;
/// A report whose sample time is further from its arrival than this is not used (µs).
const REPORT_MAX: i64 = 2_000_000;

/// What the timeline must know of an RTP packet. No payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub sequence: u16,
    pub timestamp: u32,
    /// How long its media plays, in ticks of the stream's clock.
    pub ticks: u32,
}

/// Where a packet belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The sequence number without wrap; goes on by one over a restart of the sender's counter.
    pub sequence: i64,
    pub span: Span,
}

/// Why a packet was dropped. Counted by reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Discard {
    /// Its sequence number or timestamp does not follow; the next packet decides whether the
    /// sender's counter jumped.
    Jump,
    /// Older than what was already given out.
    Late,
    Duplicate,
    /// Padding only.
    Empty,
    /// More packets ahead of their turn than are held.
    Full,
    /// Its counter runs by another clock than was said, which is about to be found out.
    Clock,
}

impl Discard {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Empty => "empty",
            Self::Full => "full",
            Self::Clock => "clock",
        }
    }
}

/// One stream's placing. Told packets and reports in order of arrival.
#[derive(Debug)]
pub struct Timeline {
    pace: Pace,
    last: Option<Last>,
    /// The newest number of all, also of packets that hold none of the stream's media.
    newest: Option<(u16, i64)>,
    map: Option<Mapping>,
    suspect: Option<Suspect>,
    /// Its counter is read by another rate from the next packet on.
    beginning: bool,
    /// The next packet's counters have nothing to do with those before.
    anew: bool,
}

/// The newest packet accepted.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: i64,
    /// Without wrap.
    timestamp: i64,
    arrived: MeetingTime,
}

#[derive(Clone, Copy, Debug)]
struct Suspect {
    timestamp: u32,
    arrived: MeetingTime,
    newest: u16,
}

impl Timeline {
    /// `clock_rate` in ticks per second, as negotiated; at least 1.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            pace: Pace::new(clock_rate),
            last: None,
            newest: None,
            map: None,
            suspect: None,
            beginning: false,
            anew: false,
        }
    }

    /// Places a packet that arrived at `arrived`. Arrivals must not go backwards.
    pub fn place(&mut self, header: &Header, arrived: MeetingTime) -> Result<Placed, Discard> {
        let paced = self.pace.observe(header, arrived);
        let (Some(last), Some((newest, newest_sequence)), Some(map)) =
            (self.last, self.newest, &self.map)
        else {
            return self.begin(
                i64::from(header.sequence),
                i64::from(header.timestamp),
                header,
                arrived,
            );
        };
        if std::mem::take(&mut self.anew) {
            return self.begin(
                newest_sequence + 1,
                i64::from(header.timestamp),
                header,
                arrived,
            );
        }
        let beyond = header.sequence.wrapping_sub(newest) as i16;
        let sequence = newest_sequence + i64::from(beyond);
        let step = sequence - last.sequence;
        let timestamp =
            last.timestamp + i64::from(header.timestamp.wrapping_sub(last.timestamp as u32) as i32);
        match paced {
            Paced::Steady => {}
            Paced::Unsure => return Err(Discard::Clock),
            Paced::Other => self.beginning = true,
        }
        let rate = self.pace.rate();
        if self.beginning {
            // What was placed by the wrong rate may reach ahead of time; that passes, and nothing
            // is placed behind it.
            if step <= 0
                || map.used() + rate.micros(rate.counted(header.ticks.into()))
                    > arrived.0 + AHEAD_AFTER
            {
                return Err(Discard::Clock);
            }
            self.beginning = false;
            return self.begin(sequence, timestamp, header, arrived);
        }
        let media = map.media(timestamp, rate);
        let end = map.media(timestamp + rate.counted(header.ticks.into()), rate);
        let offset = arrived.0 - end;

        if (-i64::from(MISORDER_MAX)..=0).contains(&step) {
            // Out of order: it can be placed, but says nothing about a jump.
            let back = map.media(last.timestamp, rate) - media;
            if sequence < map.first_sequence || !(0..=BEHIND_MAX).contains(&back) {
                return Err(Discard::Late);
            }
            return Ok(Placed {
                sequence,
                span: map.span(media, end),
            });
        }
        let counted = (-MISORDER_MAX..=DROPOUT_MAX).contains(&beyond);
        let lateness = offset - map.target(media);
        let paused = (arrived - last.arrived).0 > PAUSE;
        let ahead = map.at(end) - arrived.0 > AHEAD_MAX;
        let early = ahead || lateness < -if map.is_new(media) { EARLY_NEW } else { EARLY };
        let backwards = timestamp < last.timestamp;
        let behind = arrived.0 - map.at(end) > BEHIND_MAX;
        let stood_still = !backwards && (behind || (paused && lateness > PAUSE / 2));
        if !counted || backwards || early || stood_still {
            let in_time = !early && !stood_still && !backwards;
            match self.doubt(header, arrived, stood_still) {
                Doubt::Unsure => return Err(Discard::Jump),
                // Behind a stall of the network everything comes at once, in its old place.
                Doubt::Burst => {}
                Doubt::Jumped if in_time => {
                    // Only the numbers jumped: a long outage, not another clock.
                    let ahead = i64::from(header.sequence.wrapping_sub(newest));
                    return Ok(self.follow(newest_sequence + ahead, timestamp, header, arrived));
                }
                Doubt::Jumped => {
                    return self.begin(newest_sequence + 1, timestamp, header, arrived);
                }
            }
        }
        Ok(self.follow(sequence, timestamp, header, arrived))
    }

    /// The sender goes on with counters that begin anew (another SSRC): the next packet is placed
    /// by its arrival.
    pub fn begin_anew(&mut self) {
        (self.anew, self.suspect) = (true, None);
        self.pace.skip();
    }

    /// A packet does not follow. Does it begin something new?
    fn doubt(&mut self, header: &Header, arrived: MeetingTime, stood_still: bool) -> Doubt {
        if let Some(suspect) = &mut self.suspect {
            let follows = (1..=10).contains(&(header.sequence.wrapping_sub(suspect.newest) as i16));
            let ticks = header.timestamp.wrapping_sub(suspect.timestamp) as i32;
            let media = self.pace.rate().micros(ticks.into());
            let passed = (arrived - suspect.arrived).0;
            if follows && ticks >= 0 {
                suspect.newest = header.sequence;
                match () {
                    () if !stood_still && (media - passed).abs() <= EARLY_NEW => {
                        return Doubt::Jumped;
                    }
                    () if stood_still && media - passed > 30_000 => return Doubt::Burst,
                    () if stood_still && passed >= 40_000 => return Doubt::Jumped,
                    // It came in a burst, as what waited for a connection does: what comes after it
                    // is compared with its end, or nothing ever follows.
                    () if !stood_still => {}
                    () => return Doubt::Unsure,
                }
            }
        }
        self.suspect = Some(Suspect {
            timestamp: header.timestamp,
            arrived,
            newest: header.sequence,
        });
        Doubt::Unsure
    }

    /// A new mapping from this packet on: its end is its arrival, but nothing is placed twice.
    fn begin(
        &mut self,
        sequence: i64,
        timestamp: i64,
        header: &Header,
        arrived: MeetingTime,
    ) -> Result<Placed, Discard> {
        let rate = self.pace.rate();
        let length = rate.micros(rate.counted(header.ticks.into()));
        let used = self.map.as_ref().map_or(i64::MIN, Mapping::used);
        let align = self.map.as_ref().map_or(0, |map| map.align);
        let start = (arrived.0 - length).max(used);
        if start + length > arrived.0 + EARLY_NEW {
            // Its counter runs faster than time, by a wrong clock rate: what is ahead of time has
            // no place.
            return Err(Discard::Jump);
        }
        self.map = Some(Mapping::new(timestamp, sequence, start, align));
        Ok(self.follow(sequence, timestamp, header, arrived))
    }

    fn follow(
        &mut self,
        sequence: i64,
        timestamp: i64,
        header: &Header,
        arrived: MeetingTime,
    ) -> Placed {
        self.suspect = None;
        self.last = Some(Last {
            sequence,
            timestamp,
            arrived,
        });
        if self.newest.is_none_or(|(_, newest)| newest < sequence) {
            self.newest = Some((header.sequence, sequence));
        }
        let rate = self.pace.rate();
        let map = self
            .map
            .as_mut()
            .expect("begin makes it before the first follow");
        let media = map.media(timestamp, rate);
        let end = map.media(timestamp + rate.counted(header.ticks.into()), rate);
        map.observe(arrived.0, end);
        map.advance(media, end);
        Placed {
            sequence,
            span: map.span(media, end),
        }
    }

    /// The number, without wrap, of a packet that holds none of the stream's media: comfort noise,
    /// a telephone event. Its time stamp says nothing here. `None`: it does not follow what came.
    pub fn count(&mut self, number: u16) -> Option<i64> {
        let (newest, sequence) = self.newest?;
        let beyond = number.wrapping_sub(newest) as i16;
        let sequence = sequence + i64::from(beyond);
        if beyond > 0 && beyond <= DROPOUT_MAX {
            self.pace.skip();
            self.newest = Some((number, sequence));
        }
        (-MISORDER_MAX..=DROPOUT_MAX)
            .contains(&beyond)
            .then_some(sequence)
    }

    /// Whether the counter's steps have meant nothing for a long time, so that its packets cannot
    /// be placed.
    pub fn is_unreadable(&self) -> bool {
        self.pace.is_unreadable()
    }

    /// Ticks per second of the counter, when it is another than was said.
    pub fn other_rate(&self) -> Option<i64> {
        self.pace.other_rate()
    }

    /// A sender report of this stream: its NTP time (32.32 fixed point) and the sample counter at
    /// that instant. Only differences of the NTP time are used, and its difference to other streams
    /// of the same sender.
    pub fn sender_report(&mut self, ntp: u64, timestamp: u32, arrived: MeetingTime) {
        let (Some(last), Some(map)) = (self.last, &mut self.map) else {
            return;
        };
        let timestamp =
            last.timestamp + i64::from(timestamp.wrapping_sub(last.timestamp as u32) as i32);
        let media = map.media(timestamp, self.pace.rate());
        if (map.at(media) - arrived.0).abs() > REPORT_MAX {
            return;
        }
        map.report(ntp_micros(ntp), media);
    }

    /// Our clock minus the sender's NTP clock, as this stream's arrivals have it. `None` without a
    /// usable report. Goes into [`Senders::align`], whose answer comes back by [`Timeline::align`].
    pub fn sender_offset(&self) -> Option<Micros> {
        let map = self.map.as_ref()?;
        map.sender_offset().map(Micros)
    }

    /// Moves this stream by `by` (≤ 0) against its own estimate, so that streams of one sender
    /// agree.
    pub fn align(&mut self, by: Micros) {
        if let Some(map) = &mut self.map {
            map.align(by.0);
        }
    }

    /// How much faster the sender's clock runs than ours, as far as known (parts of one).
    pub fn skew(&self) -> Option<f64> {
        self.map
            .as_ref()
            .and_then(Mapping::drift)
            .map(|drift| -drift)
    }
}

enum Doubt {
    Unsure,
    Jumped,
    Burst,
}

/// NTP 32.32 fixed point in microseconds.
fn ntp_micros(ntp: u64) -> i64 {
    ((ntp >> 32) * 1_000_000 + (((ntp & 0xffff_ffff) * 1_000_000) >> 32)) as i64
}

/// Brings the streams of one sender (one CNAME) together: they share a clock, so the stream with
/// the least delay says where all of them are.
#[derive(Debug)]
pub struct Senders<S, K> {
    known: BTreeMap<S, BTreeMap<K, (Micros, MeetingTime)>>,
}

impl<S, K> Default for Senders<S, K> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
        }
    }
}

impl<S: Ord, K: Ord + Copy> Senders<S, K> {
    /// Stream `stream` of `sender` (a participant *and* its CNAME: names are not unique) has this
    /// [`Timeline::sender_offset`] at `now`. Answers with what to hand to [`Timeline::align`].
    pub fn align(&mut self, sender: S, stream: K, own: Micros, now: MeetingTime) -> Micros {
        let streams = self.known.entry(sender).or_default();
        // A stream silent for longer may have drifted, clock against clock.
        streams.retain(|_, (_, at)| now - *at <= Micros::from_secs(30));
        streams.insert(stream, (own, now));
        let near = streams
            .values()
            .map(|(offset, _)| *offset - own)
            .filter(|by| by.0.abs() <= ALIGN_MAX);
        near.min().unwrap_or_default()
    }

    /// Forgets a stream that is closed.
    pub fn remove(&mut self, stream: K) {
        self.known.retain(|_, streams| {
            streams.remove(&stream);
            !streams.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
