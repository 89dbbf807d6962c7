//! Sounds that tell their own time, and what a file still knows of them.

pub use crate::support::place::files;
use crate::tone::{amplitude, ffmpeg_decode};
use hansard_client::{
    sender::Frame,
    tone::{self, OpusSettings},
};
use std::{
    collections::{BTreeSet, HashMap},
    f64::consts::TAU,
    path::{Path, PathBuf},
    time::Duration,
};

pub const RATE: u32 = 48_000;
/// How long a staircase stays on one frequency, and how finely a file is looked at.
pub const STEP_MS: i64 = 100;
const AMPLITUDE: f64 = 0.3;
/// Less than this is not there (dBFS).
pub const ABSENT_DB: f64 = -60.0;
/// More than this is there: full tones are near −10, the mix makes them quieter.
const PRESENT_DB: f64 = -35.0;

/// Beside the runtime: senders of the same test must leave in time.
fn encoded(samples: &[f32]) -> Vec<Frame> {
    tokio::task::block_in_place(|| tone::opus(samples, OpusSettings::default()).expect("encodes"))
}

fn count(ms: i64) -> usize {
    usize::try_from(ms * i64::from(RATE) / 1000).expect("not before the beginning")
}

/// One tone, with silence in these spans (ms).
pub fn hum(hz: f64, length_ms: i64, quiet: &[(i64, i64)]) -> Vec<Frame> {
    let mut samples = tone::sine(
        hz,
        AMPLITUDE,
        Duration::from_millis(length_ms.unsigned_abs()),
        RATE,
    );
    for (from, to) in quiet {
        samples[count(*from)..count(*to)].fill(0.0);
    }
    encoded(&samples)
}

/// The frequency of a staircase's n-th step.
fn step_hz(n: i64) -> f64 {
    500.0 + 50.0 * n as f64
}

/// A tone without a break that climbs every [`STEP_MS`].
pub fn staircase(length_ms: i64) -> Vec<Frame> {
    let mut phase = 0.0;
    let samples: Vec<f32> = (0..count(length_ms))
        .map(|n| {
            let step = n as i64 * 1000 / i64::from(RATE) / STEP_MS;
            phase = (phase + TAU * step_hz(step) / f64::from(RATE)) % TAU;
            (AMPLITUDE * f64::sin(phase)) as f32
        })
        .collect();
    encoded(&samples)
}

/// A decoded file on the meeting's timeline.
pub struct Sound {
    /// MeetingTime of the first sample, in ms.
    pub start_ms: i64,
    pub samples: Vec<f32>,
}

impl Sound {
    /// As ffmpeg decodes it where that keeps time (mp4), else by time stamps.
    pub fn read(bytes: &[u8], media_type: &str, start_ms: i64) -> Self {
        let folder =
            std::env::temp_dir().join(format!("hansard-gate-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("makes a folder");
        let path = folder.join("file");
        std::fs::write(&path, bytes).expect("writes");
        let samples = if media_type == "audio/mp4" {
            ffmpeg_decode(&path)
        } else {
            tone::decode(&path, RATE).expect("plays")
        };
        std::fs::remove_dir_all(&folder).expect("removes it");
        Self { start_ms, samples }
    }

    fn at(&self, meeting_ms: i64) -> usize {
        count((meeting_ms - self.start_ms).max(0)).min(self.samples.len())
    }

    /// dBFS of a frequency from one MeetingTime (ms) to another; silence outside of the file.
    pub fn level(&self, hz: f64, from_ms: i64, to_ms: i64) -> f64 {
        level(&self.samples[self.at(from_ms)..self.at(to_ms)], hz)
    }

    /// dBFS of everything from one MeetingTime (ms) to another.
    pub fn loudness(&self, from_ms: i64, to_ms: i64) -> f64 {
        tone::dbfs(tone::rms(&self.samples[self.at(from_ms)..self.at(to_ms)]))
    }

    pub fn end_ms(&self) -> i64 {
        self.start_ms + self.samples.len() as i64 * 1000 / i64::from(RATE)
    }

    /// Which steps of a staircase are in the file, each with where (ms of MeetingTime), by windows
    /// of half a step.
    pub fn steps(&self, steps: i64) -> Vec<(i64, i64)> {
        let (window, edge) = (count(STEP_MS / 2), count(10));
        self.samples
            .chunks_exact(window)
            .enumerate()
            .filter_map(|(n, samples)| {
                // An edge of the sound that a window has little more of is no step: what is so
                // short has no frequency. Sound of 100 ms fills a window, wherever it lies.
                let (head, tail) = (&samples[..edge], &samples[window - edge..]);
                let absent = |samples| tone::dbfs(tone::rms(samples)) < ABSENT_DB;
                if absent(head) || absent(tail) {
                    return None;
                }
                let level = |step: i64| level(samples, step_hz(step));
                let loudest = (0..steps).max_by(|a, b| level(*a).total_cmp(&level(*b)))?;
                Some((loudest, self.start_ms + n as i64 * STEP_MS / 2))
            })
            .collect()
    }
}

/// dBFS of one frequency.
fn level(samples: &[f32], hz: f64) -> f64 {
    tone::dbfs(amplitude(samples, hz, RATE as usize))
}

/// Heard in every window of 100 ms of this span (MeetingTime, ms).
pub fn assert_heard(sound: &Sound, hz: f64, from_ms: i64, to_ms: i64, who: &str) {
    for at in (from_ms..to_ms - 100).step_by(100) {
        let level = sound.level(hz, at, at + 100);
        assert!(
            level > PRESENT_DB,
            "{who} is not heard at {at} ms of {from_ms}..{to_ms}: {level:.1} dBFS"
        );
    }
}

/// Which of these frames lie, byte for byte, in any file of a meeting below a folder, or of no
/// meeting: nothing re-encodes them on their way, so what is kept anywhere (spool, objects, the
/// database's files) is found. By the frame's index; those too short or too much like others to be
/// sure of are left out.
pub async fn kept(folder: &Path, meeting: &str, frames: &[Frame]) -> BTreeSet<usize> {
    let (folder, meeting, frames) = (folder.to_owned(), meeting.to_owned(), frames.to_vec());
    let looking = tokio::task::spawn_blocking(move || {
        let wanted = Wanted::new(&frames);
        let ours = |path: &PathBuf| {
            let path = path
                .strip_prefix(&folder)
                .expect("it is below")
                .to_string_lossy();
            path.contains(&meeting)
                || !["spool", "s3", "live", "recordings", "work"]
                    .iter()
                    .any(|of| path.starts_with(of))
        };
        let bytes = |path| std::fs::read(path).ok();
        // A file that goes while it is looked for is not kept.
        files(&folder)
            .into_iter()
            .filter(ours)
            .filter_map(bytes)
            .flat_map(|bytes| wanted.in_bytes(&bytes))
            .collect()
    });
    looking.await.expect("it does not panic")
}

/// The same in one file's bytes.
pub fn kept_in(bytes: &[u8], frames: &[Frame]) -> BTreeSet<usize> {
    Wanted::new(frames).in_bytes(bytes)
}

/// The first byte of a packet is shared by many; these after it are not.
const SURE: usize = 24;

struct Wanted<'a> {
    frames: HashMap<&'a [u8], usize>,
    /// By the first two bytes, because every byte of a database is looked at.
    maybe: Vec<bool>,
}

impl<'a> Wanted<'a> {
    fn new(frames: &'a [Frame]) -> Self {
        let mut seen: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (n, frame) in frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| frame.payload.len() > SURE)
        {
            seen.entry(&frame.payload[1..=SURE]).or_default().push(n);
        }
        let mut maybe = vec![false; 1 << 16];
        let frames: HashMap<&[u8], usize> = seen
            .into_iter()
            .filter(|(_, n)| n.len() == 1)
            .map(|(k, n)| (k, n[0]))
            .collect();
        for key in frames.keys() {
            maybe[usize::from(key[0]) << 8 | usize::from(key[1])] = true;
        }
        Self { frames, maybe }
    }

    fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for at in 0..bytes.len().saturating_sub(SURE) {
            if self.maybe[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])]
                && let Some(frame) = self.frames.get(&bytes[at..at + SURE])
            {
                found.insert(*frame);
            }
        }
        found
    }
}
