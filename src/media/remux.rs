//! Files made of files, without re-encoding: [`keep`] trims or repairs a segment, [`finalise_track`] joins a
//! recording's segments into the file that a host gets.

use crate::{
    domain::{
        consent,
        recording::{Codec, union},
        time::{MeetingTime, Micros, Span},
    },
    media::{
        frame::Frame,
        matroska::{Reader, Shape, Writer},
    },
};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Frames this near to each other count as without a hole between them: what rounding of time stamps makes.
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
    let mut file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let mut sha = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let read = file.read(&mut piece).with_context(|| format!("{} cannot be read", path.display()))?;
        if read == 0 {
            return Ok(Digested { size, sha256: consent::hex(&sha.finalize()) });
        }
        sha.update(&piece[..read]);
        size += read as u64;
    }
}

/// What a segment holds, as far as it can be read.
pub fn inspect(path: &Path) -> Result<Option<Content>> {
    let mut content: Option<Content> = None;
    let Some(mut reader) = Reader::open(path, MeetingTime::ZERO)? else { return Ok(None) };
    while let Some(frame) = reader.read()? {
        content = Some(grown(content, &frame));
    }
    Ok(content)
}

fn grown(content: Option<Content>, frame: &Frame) -> Content {
    content.map_or(Content { span: frame.span, frames: 1 }, |content| Content {
        span: content.span.cover(frame.span),
        frames: content.frames + 1,
    })
}

/// Rewrites a segment with only those frames that lie wholly within `allowed`; a torn end is gone afterwards, too.
/// The file is replaced at once or not at all. `None`: nothing was left, and the file is removed.
pub fn keep(path: &Path, allowed: &[Span]) -> Result<Option<Content>> {
    let beside = path.with_extension("mkv.part");
    let made = Unfinished(beside.clone());
    let content = copy_allowed(path, &beside, &union(allowed))?;
    if content.is_some() {
        fs::rename(&beside, path).with_context(|| format!("{} cannot be replaced", path.display()))?;
        made.finished();
    } else {
        fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    Ok(content)
}

fn copy_allowed(from: &Path, to: &Path, allowed: &[Span]) -> Result<Option<Content>> {
    let Some(mut reader) = Reader::open(from, MeetingTime::ZERO)? else { return Ok(None) };
    let mut writer = None;
    let mut content: Option<Content> = None;
    while let Some(frame) = reader.read()? {
        if !within(frame.span, allowed) {
            continue;
        }
        if writer.is_none() {
            writer = Some(Writer::create(to, Shape::Segment, reader.codec(), reader.channels(), MeetingTime::ZERO)?);
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

/// Whether a span lies wholly in one of the sorted, separate `allowed`.
fn within(span: Span, allowed: &[Span]) -> bool {
    let next = allowed.partition_point(|open| open.end < span.end);
    allowed.get(next).is_some_and(|open| open.start <= span.start)
}

/// A finished track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finalised {
    pub codec: Codec,
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
        Span::of(MeetingTime::from_ms(self.start_ms), Micros::from_ms(self.duration_ms))
    }
}

/// Joins a recording's segments, given in capture order, into one file at `out`. Only frames wholly within `allowed`
/// go in; of two frames for the same time the first. `None`: nothing to keep, and there is no file.
///
/// # Errors
/// When a segment cannot be read, or `out` not written; `out` is removed then.
pub fn finalise_track(segments: &[PathBuf], allowed: &[Span], out: &Path) -> Result<Option<Finalised>> {
    let part = |path: &PathBuf| Part { path: path.clone(), zero: MeetingTime::ZERO, allowed: allowed.to_vec() };
    join(&segments.iter().map(part).collect::<Vec<_>>(), out)
}

/// A file to be joined with others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub path: PathBuf,
    /// MeetingTime of its time 0: 0 for a segment, `startMs` for a track made before.
    pub zero: MeetingTime,
    /// What of it may be kept: for a segment by its own consent entry, because another's may reach back over a cut.
    pub allowed: Vec<Span>,
}

/// When the first frame of a part was captured.
pub fn first(part: &Part) -> Result<Option<MeetingTime>> {
    match Reader::open(&part.path, part.zero)? {
        Some(mut reader) => Ok(reader.read()?.map(|frame| frame.span.start)),
        None => Ok(None),
    }
}

/// As [`finalise_track`], also from a track that was made before and the segments that turned up since.
pub fn join(parts: &[Part], out: &Path) -> Result<Option<Finalised>> {
    let channels = parts
        .iter()
        .map(|part| Ok(Reader::open(&part.path, part.zero)?.map_or(1, |reader| reader.channels())))
        .try_fold(1, |most: u8, channels: Result<u8>| channels.map(|channels| most.max(channels)))?;
    let unfinished = Unfinished(out.to_owned());
    let mut joined: Option<(Writer, Finalised)> = None;
    let mut dropped = 0;
    let mut last: Option<Span> = None;
    for part in parts {
        let Some(mut reader) = Reader::open(&part.path, part.zero)? else { continue };
        let allowed = union(&part.allowed);
        while let Some(frame) = reader.read()? {
            // Half a frame's overlap is a corrected clock, more is the same sound again.
            let again = last.is_some_and(|last| (frame.span.start - last.start).0 * 2 < last.length().0);
            if again || !within(frame.span, &allowed) {
                dropped += 1;
                continue;
            }
            last = Some(frame.span);
            let (writer, track) = match &mut joined {
                Some(joined) => joined,
                none => {
                    let start_ms = frame.span.start.as_ms();
                    let zero = MeetingTime::from_ms(start_ms);
                    let writer = Writer::create(out, Shape::Track, reader.codec(), channels, zero)?;
                    let track = Finalised {
                        codec: reader.codec(),
                        start_ms,
                        duration_ms: 0,
                        recorded: Vec::new(),
                        frames: 0,
                        dropped: 0,
                    };
                    none.insert((writer, track))
                }
            };
            if reader.codec() != track.codec {
                bail!("segments of one recording in {} and {}", track.codec.as_str(), reader.codec().as_str());
            }
            writer.write(&frame)?;
            track.frames += 1;
            match track.recorded.last_mut() {
                Some(run) if frame.span.start <= run.end + TOUCH => run.end = run.end.max(frame.span.end),
                _ => track.recorded.push(frame.span),
            }
        }
    }
    let Some((writer, mut track)) = joined else { return Ok(None) };
    writer.finish()?;
    let end = track.recorded.iter().map(|run| run.end).max().unwrap_or_default();
    track.duration_ms = (end.0 + 999).div_euclid(1000) - track.start_ms;
    track.dropped = dropped;
    unfinished.finished();
    Ok(Some(track))
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
            let path = std::env::temp_dir().join(format!("hansard-remux-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("makes a folder");
            Self(path)
        }

        fn segment(&self, name: &str, from_ms: i64, to_ms: i64) -> PathBuf {
            let path = self.0.join(name);
            let writer =
                Writer::create(&path, Shape::Segment, Codec::Pcmu, 1, MeetingTime::ZERO).expect("creates a segment");
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
        Frame { payload: payload.into(), span: span(ms, ms + 20) }
    }

    fn span(from_ms: i64, to_ms: i64) -> Span {
        Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms))
    }

    const ALWAYS: Span = Span::new(MeetingTime(i64::MIN), MeetingTime::MAX);

    #[test]
    fn trims_to_what_is_allowed() {
        let folder = Folder::new("trim");
        let path = folder.segment("0-1.mkv", 1_000, 3_000);
        assert_eq!(inspect(&path).expect("reads"), Some(Content { span: span(1_000, 3_000), frames: 100 }));
        let kept = keep(&path, &[span(0, 1_510), span(2_000, 2_100)]).expect("rewrites");
        assert_eq!(kept, Some(Content { span: span(1_000, 2_100), frames: 25 + 5 }));
        assert_eq!(inspect(&path).expect("reads"), kept);
        assert_eq!(keep(&path, &[span(0, 1_010)]).expect("rewrites"), None);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(&folder.0).expect("lists").count(), 0, "nothing is left beside");
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
            assert!(kept.map_or(0, |kept| kept.frames) >= least, "{kept:?} at {length}");
        }
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
        let track = finalise_track(&segments, &[span(0, 71_000)], &out).expect("joins").expect("has frames");
        assert_eq!((track.start_ms, track.duration_ms), (60_000, 11_000));
        assert_eq!(track.recorded, [span(60_000, 67_010), span(70_000, 71_000)]);
        assert_eq!((track.frames, track.dropped), (200 + 100 + 51 + 50, 49 + 50));
        let mut reader = Reader::open(&out, MeetingTime::from_ms(track.start_ms)).expect("opens").expect("has frames");
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
