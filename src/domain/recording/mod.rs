//! How recordings are cut into segments, and what a finished file says about its holes.
//!
//! [`Cutter`] decides where one recording's segments begin and end; [`gaps()`] and [`gaps_of_mix`]
//! name what is missing.

use crate::{
    codec::AudioCodec,
    gate::{Gate, Pass, Recording, Verdict},
    id::{MeetingId, ParticipantId, RecordingId},
    stream::MediaSource,
    time::{MeetingTime, Micros, Span},
    word::words,
};
use serde::{Deserialize, Serialize};

/// A segment is sealed when it holds this much capture time: what a killed worker must repair, and
/// how long a recording waits to be uploaded. Each costs an object and a row, so not much shorter.
pub const SEGMENT_LENGTH: Micros = Micros::from_secs(4);
/// An open segment without a new frame for this long is sealed (mute, DTX, a pause).
pub const SEGMENT_IDLE: Micros = Micros::from_secs(2);
/// After a segment could not be written, this much is given up before the next try: a full disk
/// stays full for a while.
pub const SEGMENT_RETRY: Micros = Micros::from_secs(1);
pub mod block;
mod gaps;
pub mod recut;

pub use gaps::{
    CONCEAL_MAX, Circumstances, GAP_MIN, Gap, GapReason, MUTED_MIN, gaps, gaps_of_mix, intersect,
    subtract, union,
};

words! {
    /// What a recording holds.
    pub enum RecordingKind(
        "kind of recording",
        schema "RecordingKind": "`mix` is everybody in one file, `track` one source of one participant."
    ) {
        Mix = "mix",
        Track = "track",
    }
}

words! {
    /// What has become of a recording.
    pub enum RecordingStatus("status of a recording", schema "RecordingStatus") {
        /// Its meeting is live.
        Recording = "recording",
        /// Its file is being made.
        Processing = "processing",
        Ready = "ready",
        Failed = "failed",
        Deleting = "deleting",
    }
}

words! {
    /// What has become of a segment that is in storage.
    pub enum SegmentState("state of a segment") {
        Stored = "stored",
        /// It is in its track's file; its own object is deleted.
        Merged = "merged",
        /// Its object will not come, or is broken: its span is a gap.
        Lost = "lost",
    }
}

/// Whose recording a spool folder holds; stands beside its segments as `track.json`, so that a
/// folder left behind says what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    pub meeting: MeetingId,
    pub recording: RecordingId,
    pub participant: ParticipantId,
    pub source: MediaSource,
    pub codec: AudioCodec,
}

/// A segment's number within its recording and epoch, the consent entry that allowed all of it, and
/// how much later than its place any of it may have been made ([`crate::gate::Pass::late`], in
/// whole milliseconds). In the file's name, so that a file whose process died is cut as well as any
/// other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentName {
    pub n: u32,
    pub entry: i64,
    pub late: Micros,
}

impl SegmentName {
    /// What exits ask the gate with about what such a segment holds.
    pub const fn pass(self, participant: ParticipantId, span: Span) -> Pass {
        Pass {
            participant,
            span,
            entry: self.entry,
            late: self.late,
        }
    }

    /// What its file's name ends with.
    pub const EXTENSION: &str = "mkv";

    pub fn file(self) -> String {
        let (n, entry, extension) = (self.n, self.entry, Self::EXTENSION);
        match self.late.as_ms() {
            0 => format!("{n}-{entry}.{extension}"),
            late => format!("{n}-{entry}-{late}.{extension}"),
        }
    }

    /// Reads a file's name back; `None` for anything else that lies in the folder.
    pub fn parse(file: &str) -> Option<Self> {
        let name = file.strip_suffix(Self::EXTENSION)?.strip_suffix('.')?;
        let (n, rest) = name.split_once('-')?;
        let (entry, late) = rest
            .split_once('-')
            .map_or((rest, None), |(entry, late)| (entry, Some(late)));
        let late = late.map_or(Some(0), |late| late.parse::<u32>().ok())?;
        Some(Self {
            n: n.parse().ok()?,
            entry: entry.parse().ok()?,
            late: Micros::from_ms(late.into()),
        })
    }
}

/// What to do with a frame: seal what is open, then start a new segment that says it has so many
/// channels, then append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Put {
    pub seal: bool,
    pub start: Option<SegmentName>,
    pub channels: u8,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    name: SegmentName,
    span: Span,
    last: MeetingTime,
    /// The most that any frame in it was late.
    late: Micros,
}

/// Cuts one recording into segments. Knows frames by their span only.
#[derive(Clone, Debug)]
pub struct Cutter {
    next: u32,
    /// The most that a frame had. A decoder makes of every packet what its file says, so a file
    /// that says more is right for all, and packets that go to and fro between one and two cost one
    /// cut.
    channels: u8,
    /// What the last segment needed. The next begins with that, so that a path that holds packets
    /// up costs no cut each time.
    late: Micros,
    open: Option<Open>,
    retry: Option<MeetingTime>,
}

impl Cutter {
    /// Numbers go on from `next`.
    pub const fn new(next: u32) -> Self {
        Self {
            next,
            channels: 1,
            late: Micros(0),
            open: None,
            retry: None,
        }
    }

    /// A frame comes, allowed by `entry` and perhaps made `late` after its place. `None`: it is not
    /// later than the last one, or lies before the meeting; drop it.
    pub fn put(&mut self, span: Span, entry: i64, late: Micros, channels: u8) -> Option<Put> {
        if span.start < MeetingTime::ZERO
            || span.is_empty()
            || self.retry.is_some_and(|retry| span.start < retry)
        {
            return None;
        }
        self.retry = None;
        if let Some(open) = &mut self.open {
            if span.start <= open.last {
                return None;
            }
            let whole = span.start - open.span.start >= SEGMENT_LENGTH;
            if open.name.entry == entry
                && late <= open.name.late
                && channels <= self.channels
                && !whole
            {
                open.span.end = open.span.end.max(span.end);
                open.last = span.start;
                open.late = open.late.max(late);
                return Some(Put {
                    seal: false,
                    start: None,
                    channels: self.channels,
                });
            }
        }
        self.channels = self.channels.max(channels);
        let seal = self.seal().is_some();
        let name = SegmentName {
            n: self.next,
            entry,
            late: late.max(self.late),
        };
        self.next += 1;
        self.open = Some(Open {
            name,
            span,
            last: span.start,
            late,
        });
        Some(Put {
            seal,
            start: Some(name),
            channels: self.channels,
        })
    }

    /// A frame that passed the gate comes: the segment that ends before it, if one does, and what
    /// to do with it ([`Cutter::put`]).
    pub fn frame(
        &mut self,
        gate: &Gate,
        pass: &Pass,
        channels: u8,
    ) -> (Option<(SegmentName, Span)>, Option<Put>) {
        let across = self.reaches_across(gate, pass);
        let across = if across { self.seal() } else { None };
        let open = self.open();
        let put = self.put(pass.span, pass.entry, pass.late, channels);
        (
            across.or(open.filter(|_| put.is_some_and(|put| put.seal))),
            put,
        )
    }

    /// Whether the open segment must end before a frame of the same entry, because it would reach
    /// across a withdrawal or a pause: what is cut off later is then its end only.
    fn reaches_across(&self, gate: &Gate, pass: &Pass) -> bool {
        self.open.is_some_and(|Open { name, span, .. }| {
            let whole = Pass {
                span: span.cover(pass.span),
                late: name.late.max(pass.late),
                ..*pass
            };
            name.entry == pass.entry && gate.still::<Recording>(&whole) != Verdict::Keep
        })
    }

    /// Writing failed with the frame that began at `at`: the open segment is given up, and frames
    /// for a while.
    pub fn fail(&mut self, at: MeetingTime) -> Option<(SegmentName, Span)> {
        self.retry = Some(at + SEGMENT_RETRY);
        self.seal()
    }

    /// Whether a frame of this time falls into the pause after a failure.
    pub fn is_pausing(&self, at: MeetingTime) -> bool {
        self.retry.is_some_and(|retry| at < retry)
    }

    /// Whether the open segment has waited long enough for another frame.
    pub fn is_idle(&self, now: MeetingTime) -> bool {
        self.open
            .is_some_and(|open| now - open.span.end >= SEGMENT_IDLE)
    }

    pub fn open(&self) -> Option<(SegmentName, Span)> {
        self.open.map(|open| (open.name, open.span))
    }

    /// Closes the open segment, if any.
    pub fn seal(&mut self) -> Option<(SegmentName, Span)> {
        let open = self.open.take()?;
        self.late = open.late;
        Some((open.name, open.span))
    }
}

#[cfg(test)]
mod tests;
