//! One audio stream's way from RTP header to ordered frames: [`Timeline`] and [`Reorder`] together.
//!
//! ```text
//! on_packet ─► Placed ─► (the gate) ─► keep ─► release ─► Frame | Lost
//!                                 └──► refuse
//! ```

use crate::{
    reorder::{Counts, Release, Reorder},
    time::{MeetingTime, Micros},
    timeline::{Discard, Header, Placed, Timeline},
};

/// Told packets in order of arrival; holds no media.
#[derive(Debug)]
pub struct Intake {
    timeline: Timeline,
    reorder: Reorder,
}

impl Intake {
    /// `clock_rate` in ticks per second.
    pub fn new(clock_rate: u32) -> Self {
        Self { timeline: Timeline::new(clock_rate), reorder: Reorder::default() }
    }

    /// Places a packet. The caller asks the gate next, then calls [`Intake::keep`] or [`Intake::refuse`].
    pub fn on_packet(&mut self, header: &Header, arrived: MeetingTime) -> Result<Placed, Discard> {
        let placed = self.timeline.place(header, arrived)?;
        if header.ticks == 0 {
            self.reorder.skip(placed, arrived);
            return Err(Discard::Empty);
        }
        Ok(placed)
    }

    /// The packet was let in; its bytes wait under `id`. On an error they can be thrown away.
    pub fn keep(&mut self, placed: Placed, id: u64, arrived: MeetingTime) -> Result<(), Discard> {
        self.reorder.insert(placed, id, arrived)
    }

    /// The packet was not let in. Only its number is noted, so that it is not missed.
    pub fn refuse(&mut self, placed: Placed, arrived: MeetingTime) {
        self.reorder.skip(placed, arrived);
    }

    /// The next frame or loss whose turn it is; call until `None`, after each packet and at [`Intake::next_timeout`].
    pub fn release(&mut self, now: MeetingTime) -> Option<Release> {
        self.reorder.release(now)
    }

    pub fn next_timeout(&self) -> Option<MeetingTime> {
        self.reorder.poll_timeout()
    }

    /// A sender report; answers with what [`crate::timeline::Senders::align`] wants to know, if anything.
    pub fn sender_report(&mut self, ntp: u64, timestamp: u32, arrived: MeetingTime) -> Option<Micros> {
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
