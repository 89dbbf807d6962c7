//! Renders a meeting's mix from its finished tracks.
//!
//! First pass: every track is decoded once, placed on the timeline and cut to what is allowed ([`Lane`]); the sum goes to
//! a scratch file of floats while its loudness is measured. Then the gain is chosen, and corrected for what the limiter
//! takes. Last pass: gain, limiter, encoder. Memory does not grow with the meeting; the scratch file takes 192 kB per second.

use crate::{
    domain::{
        loudness::{self, CORRECTIONS_MAX},
        recording::{intersect, union},
        time::{MeetingTime, Micros, Span},
    },
    media::{
        aac::{Encoder, FRAME, PRIMING},
        lane::{self, Lane},
        limiter::Limiter,
        mp4::{self, Edit},
        remux::Unfinished,
    },
};
use anyhow::{Context, Result};
use ebur128::{EbuR128, Mode};
use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

/// Samples handled at a time: one second.
const WINDOW: usize = lane::RATE as usize;
/// The decoder that a player uses cannot cut inside a frame at the end; up to this much (1.3 ms, faded) is left out so that
/// the file is not longer than it says by over 20 ms.
const TAIL: u64 = 64;

/// A finished track and how much of it may be heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MixTrack {
    pub path: PathBuf,
    /// MeetingTime of the file's time 0.
    pub start_ms: i64,
    /// Where it has sound ([`crate::media::remux::Finalised::recorded`]).
    pub recorded: Vec<Span>,
    /// `Gate::allowed` of its participant, for recording.
    pub allowed: Vec<Span>,
}

/// The rendered mix.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mixed {
    /// MeetingTime of the file's time 0.
    pub start_ms: i64,
    pub duration_ms: i64,
    /// Integrated loudness of the sum before the gain, `None` when too short or silent.
    pub measured_lufs: Option<f64>,
    pub gain_db: f64,
}

impl Mixed {
    /// The whole file on the meeting's timeline.
    pub fn span(&self) -> Span {
        Span::of(MeetingTime::from_ms(self.start_ms), Micros::from_ms(self.duration_ms))
    }
}

/// Renders `out` (`audio/mp4`) from the first to the last sample that is recorded and allowed in any track. `None`:
/// nothing is, and there is no file. `progress` is told 0…1.
///
/// # Errors
/// When a track cannot be read or a file not written; `out` is removed then.
pub fn render(tracks: &[MixTrack], out: &Path, mut progress: impl FnMut(f32)) -> Result<Option<Mixed>> {
    let heard: Vec<Vec<Span>> = tracks.iter().map(|track| intersect(&track.recorded, &track.allowed)).collect();
    let all = union(&heard.concat());
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(None) };
    let start_ms = first.start.as_ms();
    let zero = MeetingTime::from_ms(start_ms);
    let duration_ms = (last.end - zero).0.div_euclid(1_000).max(1);
    let total = duration_ms.unsigned_abs() * u64::from(lane::RATE) / 1_000;

    let mut lanes = Vec::new();
    for (track, _) in tracks.iter().zip(&heard).filter(|(_, heard)| !heard.is_empty()) {
        // Cut by what is allowed only: concealed packets lie outside what was recorded.
        lanes.push(Lane::open(&track.path, MeetingTime::from_ms(track.start_ms), zero, &track.allowed)?);
    }
    let scratch = Scratch::new(out, total)?;
    let measured = sum(&mut lanes, &scratch, |part| progress(part * 0.6))?;
    drop(lanes);
    let gain_db = settle(&scratch, measured)?;
    progress(0.7);

    let unfinished = Unfinished(out.to_owned());
    let encoded = Unfinished(beside(out, "aac"));
    encode(&scratch, gain_db, &encoded.0, |part| progress(0.7 + part * 0.28))?;
    let edit = Edit { priming: PRIMING, length: total, frame: u32::try_from(FRAME).expect("1024") };
    mp4::finish(&encoded.0, out, edit)?;
    unfinished.finished();
    progress(1.0);
    Ok(Some(Mixed { start_ms, duration_ms, measured_lufs: measured, gain_db }))
}

fn beside(out: &Path, what: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(what);
    out.with_file_name(name)
}

/// The sum of all tracks as floats on disk, removed on drop.
struct Scratch {
    path: Unfinished,
    total: u64,
}

impl Scratch {
    fn new(out: &Path, total: u64) -> Result<Self> {
        Ok(Self { path: Unfinished(beside(out, "sum")), total })
    }

    fn windows(&self) -> impl Iterator<Item = (u64, usize)> + use<> {
        let total = self.total;
        (0..total).step_by(WINDOW).map(move |at| (at, usize::try_from(total - at).unwrap_or(WINDOW).min(WINDOW)))
    }

    /// Reads it through once.
    fn read(&self, mut each: impl FnMut(u64, &[f32]) -> Result<()>) -> Result<()> {
        let mut file = BufReader::with_capacity(1 << 18, File::open(&self.path.0).context("the sum cannot be opened")?);
        let mut bytes = vec![0; WINDOW * 4];
        let mut samples = Vec::with_capacity(WINDOW);
        for (at, count) in self.windows() {
            let bytes = &mut bytes[..count * 4];
            file.read_exact(bytes).context("the sum cannot be read")?;
            samples.clear();
            samples.extend(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)));
            each(at, &samples)?;
        }
        Ok(())
    }
}

/// Adds up the tracks into the scratch file; returns the loudness in LUFS.
fn sum(lanes: &mut [Lane], scratch: &Scratch, mut progress: impl FnMut(f32)) -> Result<Option<f64>> {
    let mut meter = meter()?;
    let mut file =
        BufWriter::with_capacity(1 << 18, File::create(&scratch.path.0).context("the sum cannot be written")?);
    let mut window = vec![0f32; WINDOW];
    let mut bytes = Vec::with_capacity(WINDOW * 4);
    for (at, count) in scratch.windows() {
        let window = &mut window[..count];
        window.fill(0.0);
        for lane in lanes.iter_mut() {
            lane.add(i64::try_from(at)?, window)?;
        }
        meter.add_frames_f32(window)?;
        bytes.clear();
        bytes.extend(window.iter().flat_map(|sample| sample.to_le_bytes()));
        file.write_all(&bytes).context("the sum cannot be written: is the disk full?")?;
        progress((at + count as u64) as f32 / scratch.total as f32);
    }
    file.flush().context("the sum cannot be written: is the disk full?")?;
    Ok(lufs(&meter))
}

fn meter() -> Result<EbuR128> {
    EbuR128::new(1, lane::RATE, Mode::I).context("the loudness meter does not start")
}

fn lufs(meter: &EbuR128) -> Option<f64> {
    meter.loudness_global().ok().filter(|lufs| lufs.is_finite())
}

/// The gain that brings the finished mix to the target, the limiter counted in.
fn settle(scratch: &Scratch, measured: Option<f64>) -> Result<f64> {
    let mut gain_db = loudness::gain_db(measured);
    if gain_db == 0.0 {
        return Ok(gain_db);
    }
    for _ in 0..CORRECTIONS_MAX {
        let mut meter = meter()?;
        shape(scratch, gain_db, |samples| Ok(meter.add_frames_f32(samples)?))?;
        match loudness::correct(gain_db, lufs(&meter)) {
            Some(next) => gain_db = next,
            None => break,
        }
    }
    Ok(gain_db)
}

/// Reads the sum through gain and limiter.
fn shape(scratch: &Scratch, gain_db: f64, mut each: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
    let gain = loudness::factor(gain_db);
    let mut limiter = Limiter::new(loudness::factor(loudness::LIMIT_DBTP));
    let mut loud = Vec::with_capacity(WINDOW);
    let mut ready = Vec::with_capacity(WINDOW * 2);
    scratch.read(|_, samples| {
        loud.clear();
        loud.extend(samples.iter().map(|sample| sample * gain));
        ready.clear();
        limiter.push(&loud, &mut ready);
        each(&ready)
    })?;
    ready.clear();
    limiter.finish(&mut ready);
    each(&ready)
}

fn encode(scratch: &Scratch, gain_db: f64, to: &Path, mut progress: impl FnMut(f32)) -> Result<()> {
    let mut encoder = Encoder::create(to)?;
    let over = scratch.total % FRAME;
    let mut left = if over <= TAIL && scratch.total > FRAME { scratch.total - over } else { scratch.total };
    shape(scratch, gain_db, |samples| {
        let count = samples.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= count as u64;
        if count > 0 {
            encoder.write(&samples[..count])?;
        }
        progress(1.0 - left as f32 / scratch.total as f32);
        Ok(())
    })?;
    encoder.finish()?;
    Ok(())
}
