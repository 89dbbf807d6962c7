//! Joins a recording's segments into the file that a host gets, without re-encoding.

use super::remux::{Content, Kept, Unfinished, grown};
use crate::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::track::{Reader, Writer},
        frame::Frame,
    },
};
use anyhow::{Result, bail};
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Frames this near to each other count as without a hole between them: what rounding of time
/// stamps makes.
const TOUCH: Micros = Micros::from_ms(5);

/// A finished track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finalised {
    pub codec: AudioCodec,
    /// MeetingTime of the file's time 0, rounded down to the millisecond.
    pub start_ms: i64,
    /// From there to the end of the last frame.
    pub duration_ms: i64,
    /// Where there is sound, without the holes.
    pub recorded: Vec<Span>,
    pub frames: u64,
    /// Frames left out because another segment already had that time (a take-over), or not allowed.
    pub dropped: u64,
}

impl Finalised {
    /// The whole file on the meeting's timeline.
    pub fn span(&self) -> Span {
        Span::of(
            MeetingTime::from_ms(self.start_ms),
            Micros::from_ms(self.duration_ms),
        )
    }
}

/// Joins a recording's segments into one file at `out`. Only frames wholly within `allowed` go in;
/// of two frames for the same time the first. `None`: nothing to keep, and there is no file.
///
/// # Errors
/// When a segment cannot be read, or `out` not written; `out` is removed then.
pub fn finalise_track(
    segments: &[PathBuf],
    allowed: &[Span],
    out: &Path,
) -> Result<Option<Finalised>> {
    let parts = segments
        .iter()
        .filter_map(|path| Part::of(path, MeetingTime::ZERO, allowed.to_vec()).transpose());
    join(&parts.collect::<Result<Vec<_>>>()?, out)
}

/// A file to be joined with others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub path: PathBuf,
    /// Of a segment in a block, what of the file it is.
    pub bytes: Option<Range<u64>>,
    /// MeetingTime of its time 0: 0 for a segment, `startMs` for a track made before.
    pub zero: MeetingTime,
    /// What of it may be kept: for a segment by its own consent entry, because another's may reach
    /// back over a cut.
    pub allowed: Vec<Span>,
    /// What is taken out of it all the same, with every packet that holds sound of it.
    pub redacted: Vec<Span>,
    /// What is in it.
    pub span: Span,
    pub codec: AudioCodec,
    pub channels: u8,
}

impl Part {
    /// Reads the whole file for what is in it; `None` when that is not one frame.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that we do not write.
    pub fn of(path: &Path, zero: MeetingTime, allowed: Vec<Span>) -> Result<Option<Self>> {
        Self::read(path, None, zero, allowed)
    }

    /// The same for a segment in a block.
    ///
    /// # Errors
    /// As [`Part::of`].
    pub fn within(path: &Path, bytes: Range<u64>, allowed: Vec<Span>) -> Result<Option<Self>> {
        Self::read(path, Some(bytes), MeetingTime::ZERO, allowed)
    }

    fn read(
        path: &Path,
        bytes: Option<Range<u64>>,
        zero: MeetingTime,
        allowed: Vec<Span>,
    ) -> Result<Option<Self>> {
        let Some(mut reader) = open(path, bytes.as_ref(), zero)? else {
            return Ok(None);
        };
        let (codec, channels) = (reader.codec(), reader.channels());
        let mut content: Option<Content> = None;
        while let Some(frame) = reader.read()? {
            content = Some(grown(content, &frame));
        }
        let part = |content: Content| Self {
            path: path.into(),
            bytes,
            zero,
            allowed,
            redacted: Vec::new(),
            span: content.span,
            codec,
            channels,
        };
        Ok(content.map(part))
    }
}

/// A part while it is read.
struct Reading {
    reader: Reader,
    kept: Kept,
    /// Its place among the parts.
    place: usize,
    next: Frame,
}

impl Reading {
    /// Opens a part at its first frame that may be kept; adds to `dropped` those that may not.
    fn open(part: &Part, place: usize, dropped: &mut u64) -> Result<Option<Self>> {
        let Some(mut reader) = open(&part.path, part.bytes.as_ref(), part.zero)? else {
            return Ok(None);
        };
        let kept = Kept::new(&part.allowed, &part.redacted);
        let next = following(&mut reader, &kept, dropped)?;
        Ok(next.map(|next| Self {
            reader,
            kept,
            place,
            next,
        }))
    }
}

fn open(path: &Path, bytes: Option<&Range<u64>>, zero: MeetingTime) -> Result<Option<Reader>> {
    match bytes {
        Some(bytes) => Reader::open_within(path, bytes.clone()),
        None => Reader::open(path, zero),
    }
}

fn following(reader: &mut Reader, kept: &Kept, dropped: &mut u64) -> Result<Option<Frame>> {
    let codec = reader.codec();
    while let Some(frame) = reader.read()? {
        if kept.has(&frame, codec) {
            return Ok(Some(frame));
        }
        *dropped += 1;
    }
    Ok(None)
}

/// As [`finalise_track`], in the order of their sound, also of a track that was made before and
/// segments that turned up since, whether they lie before it, behind it or in its holes. While a
/// part goes on, another's frames go in only where it has none.
pub fn join(parts: &[Part], out: &Path) -> Result<Option<Finalised>> {
    let channels = parts.iter().map(|part| part.channels).max().unwrap_or(1);
    if let Some(other) = parts.iter().find(|part| part.codec != parts[0].codec) {
        bail!(
            "segments of one recording in {} and {}",
            parts[0].codec.as_str(),
            other.codec.as_str()
        );
    }
    let unfinished = Unfinished(out.to_owned());
    let mut waiting: Vec<(usize, &Part)> = parts.iter().enumerate().collect();
    waiting.sort_by_key(|(place, part)| std::cmp::Reverse((part.span.start, *place)));
    // Few at a time: those that overlap.
    let mut open: Vec<Reading> = Vec::new();
    let mut current: Option<usize> = None;
    let mut joined: Option<(Writer, Finalised)> = None;
    let mut dropped = 0;
    let mut last: Option<Span> = None;
    loop {
        let next = open.iter().map(|reading| reading.next.span.start).min();
        if let Some((place, part)) =
            waiting.pop_if(|(_, part)| next.is_none_or(|next| part.span.start <= next))
        {
            open.extend(Reading::open(part, place, &mut dropped)?);
            continue;
        }
        let earliest = open
            .iter()
            .enumerate()
            .min_by_key(|(_, reading)| (reading.next.span.start, Some(reading.place) != current));
        let Some((at, _)) = earliest else { break };
        // Where the part that goes on has its next frame, if this one is another's.
        let goes_on = open
            .iter()
            .find(|reading| Some(reading.place) == current)
            .map(|reading| reading.next.span.start);
        let other = goes_on.filter(|_| Some(open[at].place) != current);
        let reading = &mut open[at];
        let following = following(&mut reading.reader, &reading.kept, &mut dropped)?;
        let place = reading.place;
        let frame = match following {
            Some(following) => std::mem::replace(&mut reading.next, following),
            None => open.swap_remove(at).next,
        };
        let again = match (last, other) {
            (Some(last), Some(goes_on)) => {
                frame.span.start + TOUCH < last.end || frame.span.end > goes_on + TOUCH
            }
            // Half a frame's overlap is a corrected clock, more is the same sound again.
            (Some(last), None) => (frame.span.start - last.start).0 * 2 < last.length().0,
            (None, _) => false,
        };
        if again {
            dropped += 1;
            continue;
        }
        if other.is_none() {
            current = Some(place);
        }
        last = Some(frame.span);
        let (writer, track) = match &mut joined {
            Some(joined) => joined,
            none => none.insert(begin(parts[place].codec, channels, frame.span.start, out)?),
        };
        writer.write(&frame)?;
        track.frames += 1;
        match track.recorded.last_mut() {
            Some(run) if frame.span.start <= run.end + TOUCH => {
                run.end = run.end.max(frame.span.end)
            }
            _ => track.recorded.push(frame.span),
        }
    }
    let Some((writer, mut track)) = joined else {
        return Ok(None);
    };
    writer.finish()?;
    let end = track
        .recorded
        .iter()
        .map(|run| run.end)
        .max()
        .unwrap_or_default();
    track.duration_ms = (end.0 + 999).div_euclid(1000) - track.start_ms;
    track.dropped = dropped;
    unfinished.finished();
    Ok(Some(track))
}

fn begin(
    codec: AudioCodec,
    channels: u8,
    first: MeetingTime,
    out: &Path,
) -> Result<(Writer, Finalised)> {
    let start_ms = first.as_ms();
    let writer = Writer::create(out, codec, channels, MeetingTime::from_ms(start_ms))?;
    Ok((
        writer,
        Finalised {
            codec,
            start_ms,
            duration_ms: 0,
            recorded: Vec::new(),
            frames: 0,
            dropped: 0,
        },
    ))
}
