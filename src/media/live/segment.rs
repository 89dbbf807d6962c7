//! The file branch of one recording: admitted frames in, sealed Matroska segments out.
//!
//! Three things guard a segment. Every frame is asked for once more before it is written; a segment
//! never reaches across a withdrawal or a pause, so that what is cut off later is its end only; and
//! sealing asks for the whole of it and trims. What is sealed can be trimmed again
//! ([`Sealed::recheck`]) until it is uploaded.

use crate::{
    domain::{
        gate::{Admitted, Gate, Pass, Recording, Verdict},
        id::{MeetingId, RecordingId},
        recording::{Cutter, SegmentName, Track, recut},
        spool_path,
        time::{MeetingTime, Span},
    },
    media::{
        containers::{
            ebml::EBML,
            matroska::{Shape, Writer},
        },
        frame::Frame,
        live::disk::OwnedFolder,
        rendering::remux,
    },
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The ending of a segment that cannot be read.
const ASIDE: &str = "broken";
/// The most that a segment takes before its first frame is whole.
const UNBEGUN_MAX: u64 = 8192;

/// A finished segment file, to be uploaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    pub track: Track,
    pub epoch: i64,
    pub name: SegmentName,
    pub path: PathBuf,
    /// Participant, span of the frames in it, and consent entry: what exits ask [`Gate::still`]
    /// with.
    pub pass: Pass,
    pub size: u64,
    pub sha256: String,
}

impl Sealed {
    /// Asks the gate once more and trims the file where it says so. `None`: nothing of it may stay,
    /// the file is gone.
    ///
    /// # Errors
    /// When the file cannot be trimmed; then it must not go anywhere.
    pub fn recheck(self, gate: &Gate) -> Result<Option<Self>> {
        if recut::is_whole(gate, &self.pass) {
            return Ok(Some(self));
        }
        reseal(self, gate, &[])
    }
}

/// Trims to what the gate allows without what is redacted, and measures anew.
fn reseal(sealed: Sealed, gate: &Gate, redacted: &[Span]) -> Result<Option<Sealed>> {
    let allowed = recut::allowed(gate, &sealed.pass);
    let Some(content) = remux::keep_without(&sealed.path, &allowed, redacted)? else {
        return Ok(None);
    };
    let Some(pass) = recut::rest(gate, &sealed.pass, content.span) else {
        fs::remove_file(&sealed.path).context("a segment cannot be removed")?;
        return Ok(None);
    };
    let digested = remux::digest(&sealed.path)?;
    Ok(Some(Sealed {
        pass,
        size: digested.size,
        sha256: digested.sha256,
        ..sealed
    }))
}

/// What came of a frame or a seal. A segment that failed may still give what was in it.
#[derive(Default, Debug)]
pub struct Outcome {
    pub sealed: Option<Sealed>,
    /// One segment ended with this; the recording goes on.
    pub fault: Option<anyhow::Error>,
    /// The frame was late, or no longer allowed, or in the pause after a fault.
    pub dropped: bool,
    /// This was to be kept and is not.
    pub lost: Option<Span>,
    /// This lies on the disk and could not be sealed now.
    pub left: Option<Leftover>,
}

impl Outcome {
    fn or(self, before: Self) -> Self {
        Self {
            sealed: self.sealed.or(before.sealed),
            fault: self.fault.or(before.fault),
            dropped: self.dropped || before.dropped,
            lost: self.lost.into_iter().chain(before.lost).reduce(Span::cover),
            left: self.left.or(before.left),
        }
    }
}

/// Writes one recording's segments into its folder of the spool,
/// `<spool>/<meeting>/<epoch>/<recording>`, which is made when it is needed. Blocks on the disk:
/// lives in [`crate::media::live::spool`].
pub struct SegmentWriter {
    gate: Arc<Gate>,
    owned: Arc<OwnedFolder>,
    folder: PathBuf,
    track: Track,
    cutter: Cutter,
    open: Option<(PathBuf, Writer)>,
}

impl SegmentWriter {
    pub fn new(owned: Arc<OwnedFolder>, track: Track, gate: Arc<Gate>) -> Self {
        let folder = folder(&owned, &track);
        Self {
            gate,
            owned,
            folder,
            track,
            cutter: Cutter::new(0),
            open: None,
        }
    }

    /// Appends a frame, after sealing what had to end before it.
    pub fn write(&mut self, frame: Admitted<Recording, Frame>) -> Outcome {
        let (frame, pass) = frame.into_parts();
        if pass.participant != self.track.participant
            || self.gate.still::<Recording>(&pass) != Verdict::Keep
        {
            return Outcome {
                dropped: true,
                ..Outcome::default()
            };
        }
        let channels = self.track.codec.channels(&frame.payload);
        let (ended, put) = self.cutter.frame(&self.gate, &pass, channels);
        let mut outcome = if ended.is_some() {
            self.close(ended)
        } else {
            Outcome::default()
        };
        let Some(put) = put else {
            outcome.dropped = true;
            outcome.lost = outcome
                .lost
                .or(self.cutter.is_pausing(pass.span.start).then_some(pass.span));
            return outcome;
        };
        if let Err(error) = self.append(put.start, put.channels, &frame) {
            let open = self.cutter.fail(pass.span.start);
            outcome = self.close(open).or(outcome);
            outcome.fault = Some(error);
            outcome.dropped = true;
            outcome.lost = Some(outcome.lost.map_or(pass.span, |lost| lost.cover(pass.span)));
        }
        outcome
    }

    fn append(&mut self, start: Option<SegmentName>, channels: u8, frame: &Frame) -> Result<()> {
        if let Some(name) = start {
            if self.owned.disk().is_full() {
                bail!("the spool has no room for more; see spool-max");
            }
            self.prepare()?;
            let path = self.folder.join(name.file());
            let writer = Writer::create(
                &path,
                Shape::Segment,
                self.track.codec,
                channels,
                MeetingTime::ZERO,
            )?;
            self.open = Some((path, writer));
        }
        match &self.open {
            Some((_, writer)) => writer.write(frame),
            None => bail!("no segment is open"),
        }
    }

    /// Makes the folder and says in it whose it is. Asked before each segment, because either may
    /// be gone.
    fn prepare(&self) -> Result<()> {
        let description = self.folder.join(spool_path::TRACK_FILE);
        if description.exists() {
            return Ok(());
        }
        // The recovery may take away an empty folder above this one between two steps.
        let mut made = fs::create_dir_all(&self.folder);
        for _ in 0..3 {
            if made.is_ok() {
                break;
            }
            made = fs::create_dir_all(&self.folder);
        }
        made.with_context(|| format!("{} cannot be made", self.folder.display()))?;
        let text = serde_json::to_vec(&self.track).context("a track has no text")?;
        // Half a description would be worse than none.
        let beside = description.with_extension("part");
        fs::write(&beside, text).context("a track's description cannot be written")?;
        fs::rename(&beside, &description).context("a track's description cannot be put in place")
    }

    pub fn is_idle(&self, now: MeetingTime) -> bool {
        self.cutter.is_idle(now)
    }

    /// Ends the open segment, if any: no frames for a while, a withdrawal, the end.
    pub fn seal(&mut self) -> Outcome {
        let open = self.cutter.seal();
        self.close(open)
    }

    fn close(&mut self, open: Option<(SegmentName, Span)>) -> Outcome {
        let (Some((path, writer)), Some((name, span))) = (self.open.take(), open) else {
            return Outcome::default();
        };
        let finished = writer.finish();
        let pass = name.pass(self.track.participant, span);
        let (track, epoch) = (self.track, self.owned.epoch());
        let left = Leftover {
            track,
            epoch,
            name,
            path: path.clone(),
        };
        let raw = Sealed {
            track,
            epoch,
            name,
            path,
            pass,
            size: 0,
            sha256: String::new(),
        };
        let whole = finished.is_ok();
        let sealed = if whole && recut::is_whole(&self.gate, &pass) {
            remux::digest(&raw.path).map(|digested| {
                Some(Sealed {
                    size: digested.size,
                    sha256: digested.sha256,
                    ..raw
                })
            })
        } else {
            reseal(raw, &self.gate, &[])
        };
        let mut outcome = Outcome {
            fault: finished.err(),
            ..Outcome::default()
        };
        match sealed {
            Ok(sealed) => {
                // What a broken segment still gives ends somewhere within it.
                let end = sealed
                    .as_ref()
                    .map_or(span.start, |sealed| sealed.pass.span.end);
                outcome.lost = (!whole && end < span.end).then_some(Span::new(end, span.end));
                outcome.sealed = sealed;
            }
            Err(error) => {
                outcome.fault.get_or_insert(error);
                outcome.left = Some(left);
            }
        }
        outcome
    }
}

fn folder(owned: &OwnedFolder, track: &Track) -> PathBuf {
    let spool = owned.disk().folder();
    spool_path::recording(spool, track.meeting, owned.epoch(), track.recording)
}

fn names(folder: &Path) -> Result<Vec<SegmentName>> {
    let mut names = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?
    {
        names.extend(entry?.file_name().to_str().and_then(SegmentName::parse));
    }
    names.sort();
    Ok(names)
}

/// A segment file that a process left in the spool when it died, or whose upload failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leftover {
    pub track: Track,
    pub epoch: i64,
    pub name: SegmentName,
    pub path: PathBuf,
}

impl Leftover {
    /// Makes a clean segment of what can be read and what the gate (replayed from the log) still
    /// allows. `None`: nothing of it stays, and the file is gone. A file that holds something else
    /// than a segment is an error. May run twice.
    pub fn repair(self, gate: &Gate) -> Result<Option<Sealed>> {
        self.repair_without(gate, &[])
    }

    /// The same, without what was taken out of the meeting before anybody could store it.
    pub fn repair_without(self, gate: &Gate, redacted: &[Span]) -> Result<Option<Sealed>> {
        let Some(content) = remux::inspect(&self.path)? else {
            ensure!(is_unbegun(&self.path)?, "it holds no segment");
            fs::remove_file(&self.path).context("an empty segment cannot be removed")?;
            return Ok(None);
        };
        let pass = self.name.pass(self.track.participant, content.span);
        let sealed = Sealed {
            track: self.track,
            epoch: self.epoch,
            name: self.name,
            path: self.path,
            pass,
            size: 0,
            sha256: String::new(),
        };
        reseal(sealed, gate, redacted)
    }
}

/// Whether a file without a frame is one whose process died before the first: empty, or a Matroska
/// header and no more.
fn is_unbegun(path: &Path) -> Result<bool> {
    let mut file = fs::File::open(path)?;
    let mut begin = Vec::new();
    file.by_ref()
        .take(UNBEGUN_MAX + 1)
        .read_to_end(&mut begin)?;
    let is_matroska = begin
        .iter()
        .zip(EBML.to_be_bytes())
        .all(|(byte, wanted)| *byte == wanted);
    Ok(is_matroska && begin.len() as u64 <= UNBEGUN_MAX)
}

/// The epochs of a meeting that have a folder in the spool.
pub fn epochs(spool: &Path, meeting: MeetingId) -> Result<Vec<i64>> {
    Ok(folders::<i64>(&spool_path::meeting(spool, meeting))?
        .into_iter()
        .map(|(_, epoch)| epoch)
        .collect())
}

/// The folders of recordings that an epoch left in a meeting's spool.
pub fn recordings(
    spool: &Path,
    meeting: MeetingId,
    epoch: i64,
) -> Result<Vec<(PathBuf, RecordingId)>> {
    folders::<RecordingId>(&spool_path::epoch(spool, meeting, epoch))
}

/// The segments that an epoch left in a meeting's spool, by recording and number. What says nothing
/// about itself (no readable `track.json`) is left where it is.
pub fn leftovers(spool: &Path, meeting: MeetingId, epoch: i64) -> Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for (folder, recording) in folders::<RecordingId>(&spool_path::epoch(spool, meeting, epoch))? {
        let names = names(&folder)?;
        if names.is_empty() {
            continue;
        }
        let track = fs::read(folder.join(spool_path::TRACK_FILE))
            .ok()
            .and_then(|text| serde_json::from_slice::<Track>(&text).ok());
        let Some(track) =
            track.filter(|track| track.recording == recording && track.meeting == meeting)
        else {
            tracing::warn!(folder = %folder.display(), "a spool folder does not say whose it is");
            continue;
        };
        found.extend(names.into_iter().map(|name| Leftover {
            track,
            epoch,
            name,
            path: folder.join(name.file()),
        }));
    }
    found.sort_by_key(|left| (left.track.recording, left.name));
    Ok(found)
}

/// Puts a broken segment aside: it is none any more.
pub fn put_aside(path: &Path) -> Result<()> {
    fs::rename(path, path.with_added_extension(ASIDE))
        .context("a broken segment cannot be put aside")
}

/// Whether disk and descriptors suffice for another file here.
pub fn can_write_beside(path: &Path) -> bool {
    let beside = path.with_added_extension("part");
    let written = fs::write(&beside, [0; 1 << 16]).is_ok();
    let open: Vec<_> = (0..8).map(|_| fs::File::open(path)).collect();
    fs::remove_file(&beside).is_ok() && written && open.iter().all(std::result::Result::is_ok)
}

/// Takes away the folders of an epoch in which no segment lies any more, and what is in them beside
/// segments.
pub fn tidy(spool: &Path, meeting: MeetingId, epoch: i64) -> Result<()> {
    for (folder, _) in folders::<RecordingId>(&spool_path::epoch(spool, meeting, epoch))? {
        if names(&folder)?.is_empty() {
            // What was put aside stays for somebody to look at, with the word whose it is.
            let files: Vec<PathBuf> = fs::read_dir(&folder)?
                .flatten()
                .map(|entry| entry.path())
                .collect();
            if files
                .iter()
                .any(|file| file.extension().is_some_and(|extension| extension == ASIDE))
            {
                continue;
            }
            for file in files {
                fs::remove_file(file)?;
            }
            fs::remove_dir(&folder)?;
        }
    }
    // Those that are not empty stay: another epoch may be written beside this one.
    let _ = fs::remove_dir(spool_path::epoch(spool, meeting, epoch));
    let _ = fs::remove_dir(spool_path::meeting(spool, meeting));
    Ok(())
}

/// The meetings that have a folder in the spool.
pub fn leftover_meetings(spool: &Path) -> Result<Vec<MeetingId>> {
    Ok(folders::<MeetingId>(spool)?
        .into_iter()
        .map(|(_, meeting)| meeting)
        .collect())
}

fn folders<T: std::str::FromStr>(of: &Path) -> Result<Vec<(PathBuf, T)>> {
    let entries = match fs::read_dir(of) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be listed", of.display()));
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(name) = spool_path::part(&entry.file_name()) {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}
