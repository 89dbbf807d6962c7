//! One stream's way from RTP header to ordered frames, in three parts: [`Timeline`] places packets
//! in time, [`Reorder`] puts them in order, and a [`Framing`] makes frames of them.
//!
//! ```text
//! on_packet ─► Placed ─► (the gate) ─► keep ─► release ─► Frame | Lost
//!                                 └──► refuse
//! ```

use crate::{
    framing::{EachPacket, Framing},
    gate::{Gate, Refusal},
    id::ParticipantId,
    reorder::{Counts, Release, Reorder},
    time::{MeetingTime, Micros, Span},
    timeline::{Discard, Header, Placed, Timeline},
};

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// Its bytes wait for their turn.
    Kept,
    /// The gate did not let it in; only its number is noted.
    Refused(Refusal),
    Discarded(Discard),
}

/// What comes out, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output<F> {
    Frame(F),
    /// So many packets never came, or too late; when what they held was captured.
    Lost {
        span: Span,
        packets: u32,
    },
}

/// Told packets in order of arrival; holds no media.
#[derive(Debug)]
pub struct Intake<F: Framing = EachPacket> {
    timeline: Timeline,
    reorder: Reorder<F::Packet>,
    framing: F,
}

impl Intake {
    /// Of audio. `clock_rate` in ticks per second.
    pub fn new(clock_rate: u32) -> Self {
        Self::framed(clock_rate, EachPacket)
    }
}

impl<F: Framing> Intake<F> {
    /// `clock_rate` in ticks per second.
    pub fn framed(clock_rate: u32, framing: F) -> Self {
        Self {
            timeline: Timeline::new(clock_rate),
            reorder: Reorder::default(),
            framing,
        }
    }

    /// Places a packet. The caller asks the gate next, then calls [`Intake::keep`] or
    /// [`Intake::refuse`].
    pub fn on_packet(&mut self, header: &Header, arrived: MeetingTime) -> Result<Placed, Discard> {
        let placed = self.timeline.place(header, arrived)?;
        if header.ticks == 0 {
            self.reorder.skip(placed, arrived);
            return Err(Discard::Empty);
        }
        Ok(placed)
    }

    /// Takes a packet of this participant: placed, asked at the gate, put in its turn. Its bytes
    /// wait with the caller if it is kept.
    pub fn receive(
        &mut self,
        gate: &Gate,
        participant: ParticipantId,
        header: &Header,
        arrived: MeetingTime,
        packet: F::Packet,
    ) -> Received {
        let placed = match self.on_packet(header, arrived) {
            Ok(placed) => placed,
            Err(discard) => return Received::Discarded(discard),
        };
        if let Err(refusal) = gate.lets_in(participant, arrived) {
            self.refuse(placed, arrived);
            return Received::Refused(refusal);
        }
        self.keep(placed, packet, arrived)
            .map_or_else(Received::Discarded, |()| Received::Kept)
    }

    /// The packet was let in; its bytes wait with the caller. On an error they can be thrown away.
    pub fn keep(
        &mut self,
        placed: Placed,
        packet: F::Packet,
        arrived: MeetingTime,
    ) -> Result<(), Discard> {
        self.reorder.insert(placed, packet, arrived)
    }

    /// The packet was not let in. Only its number is noted, so that it is not missed.
    pub fn refuse(&mut self, placed: Placed, arrived: MeetingTime) {
        self.reorder.skip(placed, arrived);
    }

    /// A packet of the stream's sender that holds none of its media (comfort noise, a telephone
    /// event, another codec): its number is used up, and that is all it says.
    pub fn pass(&mut self, number: u16, arrived: MeetingTime) {
        if let Some(sequence) = self.timeline.count(number) {
            self.reorder.pass(sequence, arrived);
        }
    }

    /// See [`Timeline::begin_anew`].
    pub fn begin_anew(&mut self) {
        self.timeline.begin_anew();
    }

    /// Whether nothing can be placed, because the counter's steps mean nothing.
    pub fn is_unreadable(&self) -> bool {
        self.timeline.is_unreadable()
    }

    /// Ticks per second of the counter, when it is another than was said.
    pub fn other_rate(&self) -> Option<i64> {
        self.timeline.other_rate()
    }

    /// The next frame or loss whose turn it is; call until `None`, after each packet and at
    /// [`Intake::next_timeout`].
    pub fn release(&mut self, now: MeetingTime) -> Option<Output<F::Frame>> {
        loop {
            match self.reorder.release(now)? {
                Release::Packet {
                    packet,
                    span,
                    before,
                } => {
                    if let Some(frame) = self.framing.packet(packet, span, before) {
                        return Some(Output::Frame(frame));
                    }
                }
                Release::Lost { span, packets } => {
                    self.framing.lost();
                    return Some(Output::Lost { span, packets });
                }
            }
        }
    }

    pub fn next_timeout(&self) -> Option<MeetingTime> {
        self.reorder.poll_timeout()
    }

    /// A sender report; answers with what [`crate::timeline::Senders::align`] wants to know, if
    /// anything.
    pub fn sender_report(
        &mut self,
        ntp: u64,
        timestamp: u32,
        arrived: MeetingTime,
    ) -> Option<Micros> {
        self.timeline.sender_report(ntp, timestamp, arrived);
        self.timeline.sender_offset()
    }

    pub fn align(&mut self, by: Micros) {
        self.timeline.align(by);
    }

    /// See [`Timeline::skew`].
    pub fn skew(&self) -> Option<f64> {
        self.timeline.skew()
    }

    pub fn counts(&self) -> Counts {
        self.reorder.counts()
    }
}

/// The capture time of everything that a packet holds, which must be allowed, all of it.
///
/// Its own span; before that the codec's look-ahead, `delay`; and, when it `repeats` what came
/// before it, that much, and the whole packet before it: redundancy is of what was *encoded*
/// before, however long ago and of whatever length. With no packet `before` it known, nothing says
/// what that was.
pub fn reach(span: Span, delay: Micros, repeats: Option<Micros>, before: Option<Span>) -> Span {
    let from = repeats.map_or(span.start, |length| {
        let before = before.map_or(MeetingTime(i64::MIN / 2), |before| before.start);
        before.min(span.start - length)
    });
    Span::new(from - delay, span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redundancy_reaches_over_the_packet_before_and_over_a_pause() {
        let span =
            |from: i64, to: i64| Span::new(MeetingTime::from_ms(from), MeetingTime::from_ms(to));
        let ms = Micros::from_ms;
        let own = span(1_000, 1_060);
        for (repeats, before, from) in [
            (None, None, 994),
            (None, Some(span(940, 1_000)), 994),
            (Some(ms(60)), Some(span(940, 1_000)), 934),
            (Some(ms(20)), Some(span(880, 1_000)), 874),
            (Some(ms(60)), Some(span(200, 260)), 194),
            (Some(ms(60)), Some(span(980, 1_000)), 934),
        ] {
            assert_eq!(
                reach(own, ms(6), repeats, before),
                span(from, 1_060),
                "{repeats:?} {before:?}"
            );
        }
        assert!(reach(own, ms(6), Some(ms(20)), None).start < MeetingTime::from_ms(-1_000_000_000));
    }

    /// Whatever the numbers of another SSRC are, also just below the old ones, nothing of it is
    /// lost.
    #[test]
    fn another_ssrc_is_placed_from_its_first_packet_on() {
        for (number, timestamp) in [
            (90u16, 5u32),
            (149, 7),
            (40_000, u32::MAX - 3),
            (65_535, 144_000),
        ] {
            let mut intake = Intake::new(48_000);
            let mut out = Vec::new();
            for n in 0..100u16 {
                let anew = n >= 50;
                if n == 50 {
                    intake.begin_anew();
                }
                let (sequence, base) = if anew {
                    (number.wrapping_add(n - 50), timestamp)
                } else {
                    (100 + n, 0)
                };
                let ticks = u32::from(if anew { n - 50 } else { n }) * 960;
                let header = Header {
                    sequence,
                    timestamp: base.wrapping_add(ticks),
                    ticks: 960,
                };
                let arrived = MeetingTime::from_ms(20 * i64::from(n) + 20);
                let placed = intake.on_packet(&header, arrived).expect("placed");
                intake.keep(placed, n.into(), arrived).expect("kept");
                while let Some(release) = intake.release(arrived) {
                    out.push(release);
                }
            }
            assert_eq!(out.len(), 100, "{number} {timestamp}");
            assert!(
                out.iter()
                    .all(|release| matches!(release, Output::Frame(_))),
                "{number} {timestamp}: {out:?}"
            );
        }
    }

    /// Frames of several packets, as video has them: the last one is marked.
    #[derive(Default, Debug)]
    struct Marked {
        open: Vec<u64>,
        broken: bool,
    }

    impl Framing for Marked {
        type Packet = (u64, bool);
        type Frame = Vec<u64>;

        fn packet(
            &mut self,
            (id, ends): Self::Packet,
            _: Span,
            _: Option<Span>,
        ) -> Option<Self::Frame> {
            self.open.push(id);
            let frame = ends.then(|| std::mem::take(&mut self.open))?;
            (!std::mem::take(&mut self.broken)).then_some(frame)
        }

        fn lost(&mut self) {
            self.broken = true;
        }
    }

    #[test]
    fn several_packets_make_a_frame_in_order_and_one_without_all_of_them_is_none() {
        let mut intake = Intake::framed(48_000, Marked::default());
        let mut frames = Vec::new();
        let mut lost = 0;
        // By number; every third one ends a frame. 4 comes before 3, and 7 never.
        for n in [0u64, 1, 2, 4, 3, 5, 6, 8, 9, 10, 11] {
            let header = Header {
                sequence: n as u16,
                timestamp: n as u32 * 960,
                ticks: 960,
            };
            let arrived = MeetingTime::from_ms(20 * n as i64 + 20);
            let placed = intake.on_packet(&header, arrived).expect("placed");
            intake.keep(placed, (n, n % 3 == 2), arrived).expect("kept");
            while let Some(output) = intake.release(arrived) {
                match output {
                    Output::Frame(frame) => frames.push(frame),
                    Output::Lost { packets, .. } => lost += packets,
                }
            }
        }
        while let Some(output) = intake.release(MeetingTime::from_ms(2_000)) {
            match output {
                Output::Frame(frame) => frames.push(frame),
                Output::Lost { packets, .. } => lost += packets,
            }
        }
        assert_eq!(frames, [vec![0, 1, 2], vec![3, 4, 5], vec![9, 10, 11]]);
        assert_eq!(lost, 1);
    }
}
