//! How recordings are cut into segments, and what a finished file says about its holes.
//!
//! [`Cutter`] decides where one recording's segments begin and end; [`gaps`] and [`gaps_of_mix`]
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
/// Holes up to here are concealed by the decoder and not told: six 20 ms packets, which is what
/// Opus can bridge.
pub const CONCEAL_MAX: Micros = Micros::from_ms(120);
/// A silent sender is told as `muted` from here on; less is a breath, or the 400 ms beat of Opus
/// DTX.
pub const MUTED_MIN: Micros = Micros::from_ms(1000);
/// Other holes are told from here on: two packets, so that rounding does not show.
pub const GAP_MIN: Micros = Micros::from_ms(40);

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

words! {
    /// Why something is not in a file.
    pub enum GapReason(
        "reason for a gap",
        schema "GapReason": "Why something is not in a file: `no_consent` the participant had not agreed, `paused` it had, and others had not."
    ) {
        /// Nothing was sent.
        Muted = "muted",
        /// The participant was not in the meeting.
        Left = "left",
        /// The participant had not agreed.
        NoConsent = "no_consent",
        /// The participant had agreed, but recording was paused for everybody.
        Paused = "paused",
        /// It was sent and did not arrive, or nobody listened.
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

    pub fn file(self) -> String {
        match self.late.as_ms() {
            0 => format!("{}-{}.mkv", self.n, self.entry),
            late => format!("{}-{}-{late}.mkv", self.n, self.entry),
        }
    }

    /// Reads a file's name back; `None` for anything else that lies in the folder.
    pub fn parse(file: &str) -> Option<Self> {
        let (n, rest) = file.strip_suffix(".mkv")?.split_once('-')?;
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

/// Whose last sample is this close before the end of listening was sending then: a segment may
/// still lie with a dead process, and its last sign of life and the last packet that it could store
/// are each a second old.
const SENDING_WITHIN: Micros = Micros(SEGMENT_LENGTH.0 + 3_000_000);

/// A hole in a file, in milliseconds of MeetingTime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    pub start_ms: i64,
    pub end_ms: i64,
    pub reason: GapReason,
}

impl Gap {
    pub const fn span(self) -> Span {
        Span::new(
            MeetingTime::from_ms(self.start_ms),
            MeetingTime::from_ms(self.end_ms),
        )
    }
}

/// What is known of one participant's meeting, to tell holes by. Spans may overlap; order does not
/// matter.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Circumstances {
    /// When the participant was in the meeting. Empty: always.
    pub present: Vec<Span>,
    /// When the participant's consent to recording stood, pauses left out of account.
    pub agreed: Vec<Span>,
    /// When recording was paused for everybody.
    pub paused: Vec<Span>,
    /// When packets are known to be lost.
    pub lost: Vec<Span>,
    /// When nobody listened: between two holders of the meeting.
    pub unheard: Vec<Span>,
}

impl Circumstances {
    /// What of a track's holes was lost. Whoever was sending when nobody listened any more lost
    /// everything until the first packet that came again: a sender may have to learn of another
    /// address first.
    fn lost(&self, holes: &[Span]) -> Vec<Span> {
        let mut lost = self.lost.clone();
        for unheard in &self.unheard {
            lost.push(*unheard);
            let cut_off = |hole: &&Span| {
                hole.overlaps(*unheard) && hole.start >= unheard.start - SENDING_WITHIN
            };
            lost.extend(holes.iter().filter(cut_off));
        }
        lost
    }

    /// What was lost behind the end of a track: its sender was cut off, and when somebody listened
    /// again the meeting, or the sender's stay, was over.
    fn lost_behind(&self, end: MeetingTime) -> Vec<Span> {
        let cut_off = |unheard: &&Span| end >= unheard.start - SENDING_WITHIN && end < unheard.end;
        let behind: Vec<Span> = self
            .unheard
            .iter()
            .filter(cut_off)
            .map(|unheard| Span::new(end, unheard.end))
            .collect();
        let behind = if self.present.is_empty() {
            behind
        } else {
            intersect(&behind, &self.present)
        };
        subtract(&intersect(&behind, &self.agreed), &self.paused)
    }
}

/// The holes of a track: `file` is its whole span, `recorded` what is in it. Where several reasons
/// hold, the first of left, not agreed, paused, lost is told; where none does, the sender was mute.
/// What a crash cost behind the end of the file is told, too.
pub fn gaps(file: Span, recorded: &[Span], why: &Circumstances) -> Vec<Gap> {
    let always = [Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)];
    let present = if why.present.is_empty() {
        &always[..]
    } else {
        &why.present
    };
    let mut rest = subtract(&[file], recorded);
    let lost = why.lost(&rest);
    let mut found = Vec::new();
    let mut tell = |rest: &mut Vec<Span>, inside: Vec<Span>, reason, shortest: Micros| {
        found.extend(
            inside
                .iter()
                .filter(|span| span.length() >= shortest)
                .map(|span| (*span, reason)),
        );
        *rest = subtract(rest, &inside);
    };
    let left = subtract(&rest, present);
    tell(&mut rest, left, GapReason::Left, GAP_MIN);
    let no_consent = subtract(&rest, &why.agreed);
    tell(&mut rest, no_consent, GapReason::NoConsent, GAP_MIN);
    let paused = intersect(&rest, &why.paused);
    tell(&mut rest, paused, GapReason::Paused, GAP_MIN);
    let lost = intersect(&rest, &lost);
    tell(&mut rest, lost, GapReason::Lost, CONCEAL_MAX + Micros(1));
    let mut behind = why.lost_behind(file.end);
    let all = behind.clone();
    tell(&mut behind, all, GapReason::Lost, CONCEAL_MAX + Micros(1));
    found.extend(
        rest.iter()
            .filter(|span| span.length() >= MUTED_MIN)
            .map(|span| (*span, GapReason::Muted)),
    );
    listed(found)
}

/// The holes of a mix: where every track then running is paused, or every one is lost. A track
/// whose participant had left or had not agreed is not running there.
pub fn gaps_of_mix(mix: Span, tracks: &[(Span, Vec<Gap>)]) -> Vec<Gap> {
    let holes = |gaps: &[Gap], reasons: &[GapReason]| -> Vec<Span> {
        gaps.iter()
            .filter(|gap| reasons.contains(&gap.reason))
            .map(|gap| gap.span())
            .collect()
    };
    let mut found = Vec::new();
    for reason in [GapReason::Paused, GapReason::Lost] {
        let mut common = vec![mix];
        let mut somebody = Vec::new();
        for (file, gaps) in tracks {
            let running = subtract(
                &[*file],
                &holes(gaps, &[GapReason::Left, GapReason::NoConsent]),
            );
            let heard = subtract(&running, &holes(gaps, &[reason]));
            common = subtract(&common, &heard);
            somebody.extend(running);
        }
        found.extend(
            intersect(&common, &union(&somebody))
                .into_iter()
                .map(|span| (span, reason)),
        );
    }
    listed(found)
}

fn listed(mut found: Vec<(Span, GapReason)>) -> Vec<Gap> {
    found.sort_by_key(|(span, _)| span.start);
    found
        .into_iter()
        .map(|(span, reason)| Gap {
            start_ms: span.start.as_ms(),
            end_ms: span.end.as_ms(),
            reason,
        })
        .collect()
}

/// The spans sorted, those that touch or overlap joined, empty ones left out.
pub fn union(spans: &[Span]) -> Vec<Span> {
    let mut sorted: Vec<Span> = spans
        .iter()
        .copied()
        .filter(|span| !span.is_empty())
        .collect();
    sorted.sort_by_key(|span| (span.start, span.end));
    let mut joined: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What lies in both.
pub fn intersect(a: &[Span], b: &[Span]) -> Vec<Span> {
    let (a, b) = (union(a), union(b));
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let span = Span::new(x.start.max(y.start), x.end.min(y.end));
        if !span.is_empty() {
            both.push(span);
        }
        if x.end < y.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}

/// What lies in `from` and not in `what`.
pub fn subtract(from: &[Span], what: &[Span]) -> Vec<Span> {
    let what = union(what);
    let mut rest = Vec::new();
    let mut first = 0;
    for mut span in union(from) {
        while what.get(first).is_some_and(|hole| hole.end <= span.start) {
            first += 1;
        }
        for hole in &what[first..] {
            if hole.start >= span.end {
                break;
            }
            if hole.start > span.start {
                rest.push(Span::new(span.start, hole.start));
            }
            span.start = span.start.max(hole.end);
        }
        if !span.is_empty() {
            rest.push(span);
        }
    }
    rest
}

#[cfg(test)]
mod tests;
