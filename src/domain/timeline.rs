//! Places RTP packets on the meeting's timeline: header and arrival in, capture [`Span`] out.
//!
//! A sender's sample counter is related to our clock by two things only: *when packets arrive* and, for the counter's
//! rate and for streams that share a clock, its sender reports. A sender's absolute NTP time is never believed, it may
//! be hours off.
//!
//! **Offset.** A packet whose last sample is at media time `e` cannot arrive before `e` on our clock, so `arrival − e` is
//! the offset plus a delay ≥ 0, and the minimum over a window is the offset plus the path's shortest delay (the minimum
//! filter of RFC 5905's clock filter and of jitter buffers). **Rate.** A line through the minima of each second, or
//! the slope of the sender reports, whichever is surer. **Placing.** A continuous, rising, piecewise linear function
//! from media time to MeetingTime. Every span is read from that one function, so spans of consecutive packets abut
//! exactly; corrections bend it by at most half a millisecond per second (more while a stream is new), or step inside a silence.
//!
//! **Jumps.** A counter that jumps (restart, source change, one stray packet with timestamp 0) gets a new function from
//! its arrival on, after a second packet has confirmed it: never hours of duration.

mod mapping;

use crate::time::{MeetingTime, Micros, Span};
use mapping::Mapping;
use std::collections::BTreeMap;

/// RFC 3550 A.1: a larger step of the sequence number must be confirmed.
const DROPOUT_MAX: i16 = 3_000;
const MISORDER_MAX: i16 = 500;
/// A packet this much earlier than possible means that its counter jumped (µs); more while the offset is new.
const EARLY: i64 = 250_000;
const EARLY_NEW: i64 = 1_000_000;
/// After a pause of this length a counter may turn out to have stood still (µs).
const PAUSE: i64 = 2_000_000;
/// Nothing is placed further than this ahead of its arrival (µs): a counter may run too fast, by a wrong clock rate.
const AHEAD_MAX: i64 = 1_500_000;
/// Nothing is placed further than this behind its arrival, but what comes in a burst (µs).
const BEHIND_MAX: i64 = 10_000_000;
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
    /// Its sequence number or timestamp does not follow; the next packet decides whether the sender's counter jumped.
    Jump,
    /// Older than what was already given out.
    Late,
    Duplicate,
    /// Padding only.
    Empty,
    /// More packets ahead of their turn than are held.
    Full,
}

impl Discard {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::Empty => "empty",
            Self::Full => "full",
        }
    }
}

/// One stream's placing. Told packets and reports in order of arrival.
#[derive(Debug)]
pub struct Timeline {
    clock_rate: i64,
    last: Option<Last>,
    map: Option<Mapping>,
    suspect: Option<Suspect>,
}

/// The newest packet accepted.
#[derive(Clone, Copy, Debug)]
struct Last {
    number: u16,
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
        Self { clock_rate: i64::from(clock_rate.max(1)), last: None, map: None, suspect: None }
    }

    /// Places a packet that arrived at `arrived`. Arrivals must not go backwards.
    pub fn place(&mut self, header: &Header, arrived: MeetingTime) -> Result<Placed, Discard> {
        let (Some(last), Some(map)) = (self.last, &self.map) else {
            return self.begin(i64::from(header.sequence), i64::from(header.timestamp), header, arrived);
        };
        let step = header.sequence.wrapping_sub(last.number) as i16;
        let sequence = last.sequence + i64::from(step);
        let timestamp = last.timestamp + i64::from(header.timestamp.wrapping_sub(last.timestamp as u32) as i32);
        let media = map.media(timestamp, self.clock_rate);
        let end = map.media(timestamp + i64::from(header.ticks), self.clock_rate);
        let offset = arrived.0 - end;

        if (-MISORDER_MAX..=0).contains(&step) {
            // Out of order: it can be placed, but says nothing about a jump.
            let back = map.media(last.timestamp, self.clock_rate) - media;
            if sequence < map.first_sequence || !(0..=BEHIND_MAX).contains(&back) {
                return Err(Discard::Late);
            }
            return Ok(Placed { sequence, span: map.span(media, end) });
        }
        let counted = (1..=DROPOUT_MAX).contains(&step);
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
                    let ahead = i64::from(header.sequence.wrapping_sub(last.number));
                    return Ok(self.follow(last.sequence + ahead, timestamp, header, arrived));
                }
                Doubt::Jumped => return self.begin(last.sequence + 1, timestamp, header, arrived),
            }
        }
        Ok(self.follow(sequence, timestamp, header, arrived))
    }

    /// A packet does not follow. Does it begin something new?
    fn doubt(&mut self, header: &Header, arrived: MeetingTime, stood_still: bool) -> Doubt {
        if let Some(suspect) = &mut self.suspect {
            let follows = (1..=10).contains(&(header.sequence.wrapping_sub(suspect.newest) as i16));
            let ticks = header.timestamp.wrapping_sub(suspect.timestamp) as i32;
            let media = i64::from(ticks) * 1_000_000 / self.clock_rate;
            let passed = (arrived - suspect.arrived).0;
            if follows && ticks >= 0 {
                suspect.newest = header.sequence;
                return match () {
                    () if !stood_still && (media - passed).abs() <= EARLY_NEW => Doubt::Jumped,
                    () if stood_still && media - passed > 60_000 => Doubt::Burst,
                    () if stood_still && passed >= 40_000 => Doubt::Jumped,
                    () => Doubt::Unsure,
                };
            }
        }
        self.suspect = Some(Suspect { timestamp: header.timestamp, arrived, newest: header.sequence });
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
        let length = i64::from(header.ticks) * 1_000_000 / self.clock_rate;
        let used = self.map.as_ref().map_or(i64::MIN, Mapping::used);
        let align = self.map.as_ref().map_or(0, |map| map.align);
        let start = (arrived.0 - length).max(used);
        if start + length > arrived.0 + EARLY_NEW {
            // Its counter runs faster than time, by a wrong clock rate: what is ahead of time has no place.
            return Err(Discard::Jump);
        }
        self.map = Some(Mapping::new(timestamp, sequence, start, align));
        Ok(self.follow(sequence, timestamp, header, arrived))
    }

    fn follow(&mut self, sequence: i64, timestamp: i64, header: &Header, arrived: MeetingTime) -> Placed {
        self.suspect = None;
        self.last = Some(Last { number: header.sequence, sequence, timestamp, arrived });
        let rate = self.clock_rate;
        let map = self.map.as_mut().expect("begin makes it before the first follow");
        let media = map.media(timestamp, rate);
        let end = map.media(timestamp + i64::from(header.ticks), rate);
        map.observe(arrived.0, end);
        map.advance(media, end);
        Placed { sequence, span: map.span(media, end) }
    }

    /// A sender report of this stream: its NTP time (32.32 fixed point) and the sample counter at that instant.
    /// Only differences of the NTP time are used, and its difference to other streams of the same sender.
    pub fn sender_report(&mut self, ntp: u64, timestamp: u32, arrived: MeetingTime) {
        let (Some(last), Some(map)) = (self.last, &mut self.map) else { return };
        let timestamp = last.timestamp + i64::from(timestamp.wrapping_sub(last.timestamp as u32) as i32);
        let media = map.media(timestamp, self.clock_rate);
        if (map.at(media) - arrived.0).abs() > REPORT_MAX {
            return;
        }
        map.report(ntp_micros(ntp), media);
    }

    /// Our clock minus the sender's NTP clock, as this stream's arrivals have it. `None` without a usable report.
    /// Goes into [`Senders::align`], whose answer comes back by [`Timeline::align`].
    pub fn sender_offset(&self) -> Option<Micros> {
        let map = self.map.as_ref()?;
        map.sender_offset().map(Micros)
    }

    /// Moves this stream by `by` (≤ 0) against its own estimate, so that streams of one sender agree.
    pub fn align(&mut self, by: Micros) {
        if let Some(map) = &mut self.map {
            map.align(by.0);
        }
    }

    /// How much faster the sender's clock runs than ours, as far as known (parts of one).
    pub fn skew(&self) -> Option<f64> {
        self.map.as_ref().and_then(Mapping::drift).map(|drift| -drift)
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

/// Brings the streams of one sender (one CNAME) together: they share a clock, so the stream with the least delay says
/// where all of them are.
#[derive(Debug)]
pub struct Senders<S, K> {
    known: BTreeMap<S, BTreeMap<K, (Micros, MeetingTime)>>,
}

impl<S, K> Default for Senders<S, K> {
    fn default() -> Self {
        Self { known: BTreeMap::new() }
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
        let near = streams.values().map(|(offset, _)| *offset - own).filter(|by| by.0.abs() <= ALIGN_MAX);
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
mod tests {
    use super::*;

    const TICKS: u32 = 960;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { sequence, timestamp, ticks: TICKS }
    }

    fn ms(ms: i64) -> MeetingTime {
        MeetingTime::from_ms(ms)
    }

    fn span(from: i64, to: i64) -> Span {
        Span::new(ms(from), ms(to))
    }

    /// A stream whose n-th packet, sent at `20 n` ms, was accepted up to `n`.
    fn running(n: u16) -> Timeline {
        let mut timeline = Timeline::new(48_000);
        for i in 0..n {
            let placed =
                timeline.place(&header(i, u32::from(i) * TICKS), ms(20 * i64::from(i) + 20)).expect("in order");
            assert_eq!(placed.span, span(20 * i64::from(i), 20 * i64::from(i) + 20));
        }
        timeline
    }

    #[test]
    fn a_packet_ends_when_it_arrives_and_the_next_abuts() {
        running(500);
    }

    #[test]
    fn numbers_and_time_stamps_wrap() {
        let mut timeline = Timeline::new(48_000);
        for i in 0..100u32 {
            let at = ms(20 * i64::from(i) + 20);
            let placed = timeline
                .place(&header(65_500u16.wrapping_add(i as u16), (u32::MAX - 10 * TICKS).wrapping_add(i * TICKS)), at)
                .expect("in order");
            assert_eq!(placed.sequence, 65_500 + i64::from(i));
            assert_eq!(placed.span.end, at);
        }
    }

    #[test]
    fn a_late_packet_keeps_its_own_place() {
        let mut timeline = running(100);
        timeline.place(&header(101, 101 * TICKS), ms(2040)).expect("ahead");
        let late = timeline.place(&header(100, 100 * TICKS), ms(2060)).expect("late");
        assert_eq!((late.sequence, late.span), (100, span(2000, 2020)));
    }

    #[test]
    fn silence_with_a_running_counter_is_silence() {
        let mut timeline = running(100);
        let after = timeline.place(&header(100, 100 * TICKS + 48_000 * 300), ms(2020 + 300_000)).expect("in order");
        assert_eq!(after.span, span(302_000, 302_020));
    }

    #[test]
    fn one_stray_packet_is_dropped_and_changes_nothing() {
        let mut timeline = running(100);
        for (sequence, timestamp) in [(100, 0), (100, 4_000_000_000), (40_000, 100 * TICKS)] {
            assert_eq!(timeline.place(&header(sequence, timestamp), ms(2015)), Err(Discard::Jump));
        }
        let next = timeline.place(&header(101, 101 * TICKS), ms(2040)).expect("goes on");
        assert_eq!((next.sequence, next.span), (101, span(2020, 2040)));
    }

    #[test]
    fn a_counter_that_jumps_is_placed_by_its_arrival() {
        for (sequence, timestamp) in [(100, 0x7000_0000), (100, 0), (30_000, 0xf000_0000), (100, 101 * TICKS + 48_000)]
        {
            let mut timeline = running(100);
            let first = timeline.place(&header(sequence, timestamp), ms(2020));
            assert_eq!(first, Err(Discard::Jump), "{sequence} {timestamp}");
            let second =
                timeline.place(&header(sequence + 1, timestamp.wrapping_add(TICKS)), ms(2040)).expect("confirmed");
            assert_eq!(second.span, span(2020, 2040), "{sequence} {timestamp}");
            let third =
                timeline.place(&header(sequence + 2, timestamp.wrapping_add(2 * TICKS)), ms(2060)).expect("goes on");
            assert_eq!((third.sequence, third.span), (second.sequence + 1, span(2040, 2060)));
        }
    }

    #[test]
    fn a_counter_that_stood_still_goes_on_at_its_arrival() {
        let mut timeline = running(100);
        let mut placed = Vec::new();
        for i in 100..110u16 {
            let at = ms(60_000 + 20 * i64::from(i) + 20);
            placed.extend(timeline.place(&header(i, u32::from(i) * TICKS), at).map(|packet| (packet.span.end, at)));
        }
        assert!(placed.len() >= 7, "{placed:?}");
        assert!(placed.iter().all(|(end, at)| end == at), "{placed:?}");
    }

    #[test]
    fn behind_a_stall_of_the_network_all_keep_their_places() {
        let mut timeline = running(100);
        let mut lost = 0;
        for i in 100..400u16 {
            let due = 20 * i64::from(i) + 20;
            match timeline.place(&header(i, u32::from(i) * TICKS), ms(due.max(6000 + i64::from(i) / 100))) {
                Ok(placed) => assert_eq!(placed.span, span(due - 20, due)),
                Err(_) => lost += 1,
            }
        }
        assert!(lost <= 5, "{lost} lost");
    }

    #[test]
    fn packets_of_another_length_abut() {
        let mut timeline = running(100);
        let mut timestamp = 100 * TICKS;
        let mut end = ms(2000);
        for (i, ticks) in [2880, 2880, 480, 480, 480, 960, 5760].into_iter().enumerate() {
            let header = Header { sequence: 100 + i as u16, timestamp, ticks };
            timestamp += ticks;
            let placed = timeline.place(&header, ms(i64::from(timestamp) / 48)).expect("in order");
            assert_eq!(placed.span, Span::new(end, ms(i64::from(timestamp) / 48)));
            end = placed.span.end;
        }
    }

    #[test]
    fn streams_of_one_sender_follow_the_quickest() {
        let mut senders = Senders::default();
        let at = |s: i64| MeetingTime(s * 1_000_000);
        assert_eq!(senders.align("ana", 1, Micros::from_ms(50), at(0)), Micros(0));
        assert_eq!(senders.align("ana", 2, Micros::from_ms(20), at(1)), Micros(0));
        assert_eq!(senders.align("ana", 1, Micros::from_ms(51), at(5)), Micros::from_ms(-31));
        assert_eq!(senders.align("bob", 3, Micros::from_ms(90), at(5)), Micros(0));
        assert_eq!(senders.align("ana", 4, Micros::from_secs(7200), at(6)), Micros(0), "another clock");
        senders.remove(2);
        assert_eq!(senders.align("ana", 1, Micros::from_ms(51), at(9)), Micros(0));
    }
}
