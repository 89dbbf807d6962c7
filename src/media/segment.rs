//! The file branch of one recording: admitted frames in, sealed Matroska segments out.
//!
//! Three things guard a segment. Every frame is asked for once more before it is written; a segment never reaches across
//! a withdrawal or a pause, so that what is cut off later is its end only; and sealing asks for the whole of it and
//! trims. What is sealed can be trimmed again ([`Sealed::recheck`]) until it is uploaded.

use crate::{
    domain::{
        consent::Use,
        gate::{Admitted, Gate, Pass, Recording, Verdict},
        id::{MeetingId, RecordingId},
        recording::{Cutter, SegmentName, Track},
        time::{MeetingTime, Span},
    },
    media::{
        frame::{self, Frame},
        matroska::{Shape, Writer},
        remux,
    },
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

const TRACK_FILE: &str = "track.json";

/// A finished segment file, to be uploaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    pub track: Track,
    pub epoch: i64,
    pub name: SegmentName,
    pub path: PathBuf,
    /// Participant, span of the frames in it, and consent entry: what exits ask [`Gate::still`] with.
    pub pass: Pass,
    pub size: u64,
    pub sha256: String,
}

impl Sealed {
    /// Asks the gate once more and trims the file where it says so. `None`: nothing of it may stay, the file is gone.
    ///
    /// # Errors
    /// When the file cannot be trimmed; then it must not go anywhere.
    pub fn recheck(self, gate: &Gate) -> Result<Option<Self>> {
        if gate.still::<Recording>(&self.pass) == Verdict::Keep {
            return Ok(Some(self));
        }
        reseal(self, gate)
    }
}

/// Trims to what the gate allows, and measures anew.
fn reseal(sealed: Sealed, gate: &Gate) -> Result<Option<Sealed>> {
    // By its own entry only: a later grant may reach back over the cut, by its time stamp.
    let allowed = gate.allowed_by(sealed.pass.participant, Use::Recording, sealed.pass.entry);
    let Some(content) = remux::keep(&sealed.path, &allowed)? else { return Ok(None) };
    let pass = Pass { span: content.span, ..sealed.pass };
    if matches!(gate.still::<Recording>(&pass), Verdict::Drop) {
        fs::remove_file(&sealed.path).context("a segment cannot be removed")?;
        return Ok(None);
    }
    let digested = remux::digest(&sealed.path)?;
    Ok(Some(Sealed { pass, size: digested.size, sha256: digested.sha256, ..sealed }))
}

/// What came of a frame or a seal. A segment that failed may still give what was in it.
#[derive(Default, Debug)]
pub struct Outcome {
    pub sealed: Option<Sealed>,
    /// One segment ended with this; the recording goes on.
    pub fault: Option<anyhow::Error>,
    /// The frame was late, or no longer allowed, or in the pause after a fault.
    pub dropped: bool,
}

/// Writes one recording's segments into its folder of the spool. Blocks on the disk: lives in [`crate::media::spool`].
pub struct SegmentWriter {
    gate: Arc<Gate>,
    folder: PathBuf,
    track: Track,
    epoch: i64,
    cutter: Cutter,
    open: Option<(PathBuf, Writer)>,
}

impl SegmentWriter {
    /// Makes the folder `<spool>/<meeting>/<epoch>/<recording>` and says in it whose it is.
    pub fn new(spool: &Path, epoch: i64, track: Track, gate: Arc<Gate>) -> Result<Self> {
        let folder = folder(spool, epoch, &track);
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let text = serde_json::to_vec(&track).context("a track has no text")?;
        fs::write(folder.join(TRACK_FILE), text).context("a track's description cannot be written")?;
        let next = names(&folder)?.iter().map(|name| name.n + 1).max().unwrap_or(0);
        Ok(Self { gate, folder, track, epoch, cutter: Cutter::new(next), open: None })
    }

    /// Appends a frame, after sealing what had to end before it.
    pub fn write(&mut self, frame: Admitted<Recording, Frame>) -> Outcome {
        let (frame, pass) = frame.into_parts();
        if pass.participant != self.track.participant || self.gate.still::<Recording>(&pass) != Verdict::Keep {
            return Outcome { dropped: true, ..Outcome::default() };
        }
        let mut outcome = Outcome::default();
        if let Some((name, span)) = self.cutter.open() {
            let whole = Pass { span: span.cover(pass.span), ..pass };
            if name.entry == pass.entry && self.gate.still::<Recording>(&whole) != Verdict::Keep {
                outcome = self.seal();
            }
        }
        let channels = frame::channels(self.track.codec, &frame.payload);
        let open = self.cutter.open();
        let Some(put) = self.cutter.put(pass.span, pass.entry, channels) else {
            outcome.dropped = true;
            return outcome;
        };
        if put.seal {
            let sealed = self.close(open);
            outcome.sealed = sealed.sealed.or(outcome.sealed);
            outcome.fault = sealed.fault.or(outcome.fault);
        }
        if let Err(error) = self.append(put.start, put.channels, &frame) {
            let open = self.cutter.fail(pass.span.start);
            let rest = self.close(open);
            outcome.sealed = rest.sealed.or(outcome.sealed);
            outcome.fault = Some(error);
            outcome.dropped = true;
        }
        outcome
    }

    fn append(&mut self, start: Option<SegmentName>, channels: u8, frame: &Frame) -> Result<()> {
        if let Some(name) = start {
            let path = self.folder.join(name.file());
            let writer = Writer::create(&path, Shape::Segment, self.track.codec, channels, MeetingTime::ZERO)?;
            self.open = Some((path, writer));
        }
        match &self.open {
            Some((_, writer)) => writer.write(frame),
            None => bail!("no segment is open"),
        }
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
        let (Some((path, writer)), Some((name, span))) = (self.open.take(), open) else { return Outcome::default() };
        let finished = writer.finish();
        let pass = Pass { participant: self.track.participant, span, entry: name.entry };
        let raw = Sealed { track: self.track, epoch: self.epoch, name, path, pass, size: 0, sha256: String::new() };
        let sealed = if finished.is_ok() && self.gate.still::<Recording>(&pass) == Verdict::Keep {
            remux::digest(&raw.path)
                .map(|digested| Some(Sealed { size: digested.size, sha256: digested.sha256, ..raw }))
        } else {
            reseal(raw, &self.gate)
        };
        match (sealed, finished.err()) {
            (Ok(sealed), fault) => Outcome { sealed, fault, dropped: false },
            (Err(error), fault) => Outcome { sealed: None, fault: Some(fault.unwrap_or(error)), dropped: false },
        }
    }
}

fn folder(spool: &Path, epoch: i64, track: &Track) -> PathBuf {
    spool.join(track.meeting.to_string()).join(epoch.to_string()).join(track.recording.to_string())
}

fn names(folder: &Path) -> Result<Vec<SegmentName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))? {
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
    /// Makes a clean segment of what can be read and what the gate (replayed from the log) still allows. `None`: nothing
    /// of it stays, and the file is gone. May run twice.
    pub fn repair(self, gate: &Gate) -> Result<Option<Sealed>> {
        let Some(content) = remux::inspect(&self.path)? else {
            fs::remove_file(&self.path).context("an empty segment cannot be removed")?;
            return Ok(None);
        };
        let pass = Pass { participant: self.track.participant, span: content.span, entry: self.name.entry };
        let sealed = Sealed {
            track: self.track,
            epoch: self.epoch,
            name: self.name,
            path: self.path,
            pass,
            size: 0,
            sha256: String::new(),
        };
        reseal(sealed, gate)
    }
}

/// The segments that lie in a meeting's spool, by epoch, recording and number. What says nothing about itself (no
/// readable `track.json`) is left where it is.
pub fn leftovers(spool: &Path, meeting: MeetingId) -> Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for (epoch_folder, epoch) in folders::<i64>(&spool.join(meeting.to_string()))? {
        for (folder, recording) in folders::<RecordingId>(&epoch_folder)? {
            let track =
                fs::read(folder.join(TRACK_FILE)).ok().and_then(|text| serde_json::from_slice::<Track>(&text).ok());
            let Some(track) = track.filter(|track| track.recording == recording && track.meeting == meeting) else {
                tracing::warn!(folder = %folder.display(), "a spool folder does not say whose it is");
                continue;
            };
            for name in names(&folder)? {
                found.push(Leftover { track, epoch, name, path: folder.join(name.file()) });
            }
        }
    }
    found.sort_by_key(|left| (left.epoch, left.track.recording, left.name));
    Ok(found)
}

/// The meetings that have a folder in the spool.
pub fn leftover_meetings(spool: &Path) -> Result<Vec<MeetingId>> {
    Ok(folders::<MeetingId>(spool)?.into_iter().map(|(_, meeting)| meeting).collect())
}

fn folders<T: std::str::FromStr>(of: &Path) -> Result<Vec<(PathBuf, T)>> {
    let entries = match fs::read_dir(of) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be listed", of.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((entry.path(), name));
        }
    }
    Ok(found)
}
