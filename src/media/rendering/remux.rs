//! Files made of files, without re-encoding: [`keep`] trims or repairs a segment,
//! [`finalise_track`] joins a recording's segments into the file that a host gets.

use crate::{
    domain::{
        codec::AudioCodec,
        consent,
        recording::{recut::is_within, union},
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::matroska::{Reader, Shape, Writer},
        frame::Frame,
    },
};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Frames this near to each other count as without a hole between them: what rounding of time
/// stamps makes.
const TOUCH: Micros = Micros::from_ms(5);

/// What is in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// From the first frame to the end of the last.
    pub span: Span,
    pub frames: u64,
}

/// Size in bytes and SHA-256 in lower-case hex.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digested {
    pub size: u64,
    pub sha256: String,
}

/// Reads a whole file for its checksum, in pieces.
pub fn digest(path: &Path) -> Result<Digested> {
    let mut file =
        File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut sha = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = file
            .read(&mut piece)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        if read == 0 {
            return Ok(Digested {
                size,
                sha256: consent::hex(&sha.finalize()),
            });
        }
        sha.update(&piece[..read]);
        size += read as u64;
    }
}

/// What a segment holds, as far as it can be read.
pub fn inspect(path: &Path) -> Result<Option<Content>> {
    let mut content: Option<Content> = None;
    let Some(mut reader) = Reader::open(path, MeetingTime::ZERO)? else {
        return Ok(None);
    };
    while let Some(frame) = reader.read()? {
        content = Some(grown(content, &frame));
    }
    Ok(content)
}

fn grown(content: Option<Content>, frame: &Frame) -> Content {
    content.map_or(
        Content {
            span: frame.span,
            frames: 1,
        },
        |content| Content {
            span: content.span.cover(frame.span),
            frames: content.frames + 1,
        },
    )
}

/// Rewrites a segment with only those frames that lie wholly within `allowed`; a torn end is gone
/// afterwards, too. The file is replaced at once or not at all. `None`: nothing was left, and the
/// file is removed.
pub fn keep(path: &Path, allowed: &[Span]) -> Result<Option<Content>> {
    let beside = path.with_extension("mkv.part");
    let made = Unfinished(beside.clone());
    let content = copy_allowed(path, &beside, &union(allowed))?;
    if content.is_some() {
        fs::rename(&beside, path)
            .with_context(|| format!("{} cannot be replaced", path.display()))?;
        made.finished();
    } else {
        fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(content)
}

fn copy_allowed(from: &Path, to: &Path, allowed: &[Span]) -> Result<Option<Content>> {
    let Some(mut reader) = Reader::open(from, MeetingTime::ZERO)? else {
        return Ok(None);
    };
    let mut writer = None;
    let mut content: Option<Content> = None;
    while let Some(frame) = reader.read()? {
        if !is_within(frame.span, allowed) {
            continue;
        }
        if writer.is_none() {
            writer = Some(Writer::create(
                to,
                Shape::Segment,
                reader.codec(),
                reader.channels(),
                MeetingTime::ZERO,
            )?);
        }
        if let Some(writer) = &writer {
            writer.write(&frame)?;
        }
        content = Some(grown(content, &frame));
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    Ok(content)
}

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
    /// MeetingTime of its time 0: 0 for a segment, `startMs` for a track made before.
    pub zero: MeetingTime,
    /// What of it may be kept: for a segment by its own consent entry, because another's may reach
    /// back over a cut.
    pub allowed: Vec<Span>,
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
        let Some(mut reader) = Reader::open(path, zero)? else {
            return Ok(None);
        };
        let (codec, channels) = (reader.codec(), reader.channels());
        let mut content: Option<Content> = None;
        while let Some(frame) = reader.read()? {
            content = Some(grown(content, &frame));
        }
        let part = |content: Content| Self {
            path: path.into(),
            zero,
            allowed,
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
    allowed: Vec<Span>,
    /// Its place among the parts.
    place: usize,
    next: Frame,
}

impl Reading {
    /// Opens a part at its first frame that may be kept; adds to `dropped` those that may not.
    fn open(part: &Part, place: usize, dropped: &mut u64) -> Result<Option<Self>> {
        let Some(mut reader) = Reader::open(&part.path, part.zero)? else {
            return Ok(None);
        };
        let allowed = union(&part.allowed);
        let next = following(&mut reader, &allowed, dropped)?;
        Ok(next.map(|next| Self {
            reader,
            allowed,
            place,
            next,
        }))
    }
}

fn following(reader: &mut Reader, allowed: &[Span], dropped: &mut u64) -> Result<Option<Frame>> {
    while let Some(frame) = reader.read()? {
        if is_within(frame.span, allowed) {
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
        let following = following(&mut reading.reader, &reading.allowed, &mut dropped)?;
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
    let writer = Writer::create(
        out,
        Shape::Track,
        codec,
        channels,
        MeetingTime::from_ms(start_ms),
    )?;
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

/// A file that is removed unless it was finished.
pub(crate) struct Unfinished(pub PathBuf);

impl Unfinished {
    pub fn finished(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Mostly it was never made.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("hansard-remux-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("makes a folder");
            Self(path)
        }

        fn segment(&self, name: &str, from_ms: i64, to_ms: i64) -> PathBuf {
            let path = self.0.join(name);
            let writer = Writer::create(
                &path,
                Shape::Segment,
                AudioCodec::Pcmu,
                1,
                MeetingTime::ZERO,
            )
            .expect("creates a segment");
            for ms in (from_ms..to_ms).step_by(20) {
                writer.write(&frame(ms)).expect("writes");
            }
            writer.finish().expect("finishes");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn frame(ms: i64) -> Frame {
        let mut payload = vec![0xff; 160];
        payload[..8].copy_from_slice(&ms.to_le_bytes());
        Frame {
            payload: payload.into(),
            span: span(ms, ms + 20),
        }
    }

    fn span(from_ms: i64, to_ms: i64) -> Span {
        Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms))
    }

    const ALWAYS: Span = Span::new(MeetingTime(i64::MIN), MeetingTime::MAX);

    #[test]
    fn trims_to_what_is_allowed() {
        let folder = Folder::new("trim");
        let path = folder.segment("0-1.mkv", 1_000, 3_000);
        assert_eq!(
            inspect(&path).expect("reads"),
            Some(Content {
                span: span(1_000, 3_000),
                frames: 100
            })
        );
        let kept = keep(&path, &[span(0, 1_510), span(2_000, 2_100)]).expect("rewrites");
        assert_eq!(
            kept,
            Some(Content {
                span: span(1_000, 2_100),
                frames: 25 + 5
            })
        );
        assert_eq!(inspect(&path).expect("reads"), kept);
        assert_eq!(keep(&path, &[span(0, 1_010)]).expect("rewrites"), None);
        assert!(!path.exists());
        assert_eq!(
            fs::read_dir(&folder.0).expect("lists").count(),
            0,
            "nothing is left beside"
        );
    }

    #[test]
    fn a_torn_segment_is_repaired() {
        let folder = Folder::new("torn");
        let path = folder.segment("0-1.mkv", 1_000, 3_000);
        let whole = fs::read(&path).expect("reads");
        for length in (0..whole.len()).step_by(997) {
            fs::write(&path, &whole[..length]).expect("writes");
            let before = inspect(&path).expect("reads");
            let kept = keep(&path, &[ALWAYS]).expect("repairs");
            assert_eq!(kept, before, "at {length}");
            // A frame is 160 bytes and a header.
            let least = (length.saturating_sub(1_000) / 175) as u64;
            assert!(
                kept.map_or(0, |kept| kept.frames) >= least,
                "{kept:?} at {length}"
            );
        }
    }

    #[test]
    fn what_turns_up_late_goes_where_it_belongs() {
        let folder = Folder::new("late");
        let early = [
            folder.segment("1-1.mkv", 64_000, 68_000),
            folder.segment("3-1.mkv", 72_000, 76_000),
        ];
        let made = folder.0.join("made.mkv");
        let first = finalise_track(&early, &[ALWAYS], &made)
            .expect("joins")
            .expect("has frames");
        let zero = MeetingTime::from_ms(first.start_ms);
        // Before it, in its hole (and a little over both edges), behind it; and one that is in it
        // already.
        let late = [
            folder.segment("0-1.mkv", 60_000, 64_000),
            folder.segment("2-1.mkv", 67_990, 72_010),
            folder.segment("4-1.mkv", 76_000, 80_000),
            folder.segment("1-1.again.mkv", 64_000, 68_000),
        ];
        let part = |path: &Path, zero| {
            Part::of(path, zero, vec![ALWAYS])
                .expect("reads")
                .expect("has frames")
        };
        let mut parts = vec![part(&made, zero)];
        parts.extend(late.iter().map(|path| part(path, MeetingTime::ZERO)));
        let out = folder.0.join("track.mka");
        let track = join(&parts, &out).expect("joins").expect("has frames");
        assert_eq!((track.start_ms, track.duration_ms), (60_000, 20_000));
        // Where the late one's frames lie across an edge, half a frame is missing, and nothing is
        // there twice.
        let holes = track
            .recorded
            .windows(2)
            .map(|two| two[1].start - two[0].end);
        assert!(
            holes.clone().count() <= 2 && holes.clone().all(|hole| hole <= Micros::from_ms(10)),
            "{:?}",
            track.recorded
        );
        let mut reader = Reader::open(&out, MeetingTime::from_ms(60_000))
            .expect("opens")
            .expect("has frames");
        let mut last = MeetingTime::ZERO;
        while let Some(frame) = reader.read().expect("reads") {
            assert!(
                (frame.span.start - last).0 >= 9_000,
                "{:?} behind {last:?}",
                frame.span
            );
            last = frame.span.start;
        }
        assert!((998..=1_000).contains(&track.frames), "{}", track.frames);
    }

    #[test]
    fn joins_segments_and_drops_what_comes_twice() {
        let folder = Folder::new("join");
        let segments = [
            folder.segment("0-1.mkv", 60_000, 64_000),
            folder.segment("1-1.mkv", 64_000, 66_000),
            // Another epoch took over and has some of it again, a little shifted.
            folder.segment("2-1.mkv", 65_010, 67_010),
            folder.segment("3-4.mkv", 70_000, 72_000),
        ];
        let out = folder.0.join("track.mka");
        let track = finalise_track(&segments, &[span(0, 71_000)], &out)
            .expect("joins")
            .expect("has frames");
        assert_eq!((track.start_ms, track.duration_ms), (60_000, 11_000));
        assert_eq!(track.recorded, [span(60_000, 67_010), span(70_000, 71_000)]);
        assert_eq!(
            (track.frames, track.dropped),
            (200 + 100 + 51 + 50, 49 + 50)
        );
        let mut reader = Reader::open(&out, MeetingTime::from_ms(track.start_ms))
            .expect("opens")
            .expect("has frames");
        let mut starts = Vec::new();
        while let Some(frame) = reader.read().expect("reads") {
            starts.push(frame.span.start);
        }
        assert_eq!(starts.len() as u64, track.frames);
        assert!(starts.is_sorted());
        assert_eq!(finalise_track(&segments, &[], &out).expect("joins"), None);
        assert!(!out.exists());
        assert_eq!(finalise_track(&[], &[ALWAYS], &out).expect("joins"), None);
    }
}
