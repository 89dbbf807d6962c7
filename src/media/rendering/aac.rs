//! PCM into AAC-LC in MP4.
//!
//! Sound is encoded in parts, several at a time, each by an encoder of its own: a frame of AAC-LC
//! depends on nothing but the samples around it and on what the encoder has learned of them. A part
//! therefore begins some frames early and reaches some further, and only the frames between are
//! kept.

use crate::media::{
    containers::mp4,
    graph::{Graph, Inlet},
};
use anyhow::{Context, Result, anyhow};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use std::{
    collections::VecDeque,
    fs, mem,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

/// Bits per second for one voice channel; transparent for speech. From 88,000 on the coder takes
/// three times as long, because its rate loop repeats frames; at 72,000 it drops one of several
/// tones for tenths of a second, and moves peaks by 2 dB.
const BIT_RATE: i32 = 80_000;
const RATE: u64 = 48_000;
const FRAME: usize = mp4::FRAME as usize;
/// Samples that an encoder puts before the first one: a frame.
const PRIMING: u32 = mp4::FRAME;
/// Frames of a part: half a minute.
const PART: usize = 1_408;
/// Frames that an encoder gets before those that are kept, to have learned what it would know by
/// then.
const BEFORE: usize = 16;
/// Frames that it gets behind them: it looks ahead.
const BEHIND: usize = 4;
/// Parts encoded at a time. More would take memory, and cores from live meetings.
const AT_A_TIME: usize = 2;

/// A mix being encoded. Mono, 48 kHz.
pub struct Encoder {
    /// Samples of the part that is not complete yet, from those before it on.
    open: Vec<f32>,
    /// Frames in front of it that are not kept.
    before: usize,
    encoding: VecDeque<JoinHandle<Result<Frames>>>,
    file: Option<File>,
    /// What the muxer writes; finished into `out`.
    raw: PathBuf,
    out: PathBuf,
    samples: u64,
}

impl Encoder {
    /// Writes to `out` and, until it is finished, a file beside it.
    pub fn new(out: &Path) -> Self {
        Self {
            open: Vec::new(),
            before: 0,
            encoding: VecDeque::new(),
            file: None,
            raw: out.with_extension("aac.part"),
            out: out.to_owned(),
            samples: 0,
        }
    }

    /// Appends samples; waits while the encoders are behind.
    ///
    /// # Errors
    /// When the file cannot be written or GStreamer fails.
    pub fn push(&mut self, mut samples: &[f32]) -> Result<()> {
        self.samples += samples.len() as u64;
        while !samples.is_empty() {
            let whole = (self.before + PART + BEHIND) * FRAME;
            let (now, later) = samples.split_at(samples.len().min(whole - self.open.len()));
            self.open.extend_from_slice(now);
            samples = later;
            if self.open.len() == whole {
                let next = self.open[(self.before + PART - BEFORE) * FRAME..].to_vec();
                let part = mem::replace(&mut self.open, next);
                self.encode(part, Some(PART))?;
                self.before = BEFORE;
            }
        }
        Ok(())
    }

    /// Ends the file at `out`.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn finish(mut self) -> Result<()> {
        let part = mem::take(&mut self.open);
        self.encode(part, None)?;
        while !self.encoding.is_empty() {
            self.write_next()?;
        }
        let file = self.file.take().context("a mix without a frame")?;
        file.finish()?;
        mp4::finish(&self.raw, &self.out, PRIMING, self.samples)
    }

    /// `keep`: so many frames of it, or all.
    fn encode(&mut self, part: Vec<f32>, keep: Option<usize>) -> Result<()> {
        while self.encoding.len() >= AT_A_TIME {
            self.write_next()?;
        }
        let before = self.before;
        let thread = thread::Builder::new()
            .name("aac".into())
            .spawn(move || encode(&part, before, keep))
            .context("no thread for an encoder")?;
        self.encoding.push_back(thread);
        Ok(())
    }

    fn write_next(&mut self) -> Result<()> {
        let Some(thread) = self.encoding.pop_front() else {
            return Ok(());
        };
        let frames = thread
            .join()
            .map_err(|_| anyhow!("an encoder's thread panicked"))??;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.raw, &frames.caps)?),
        };
        frames.buffers.iter().try_for_each(|frame| file.push(frame))
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        for thread in self.encoding.drain(..) {
            // Nobody needs its frames any more.
            let _ = thread.join();
        }
        // Ours alone, and of no use any more; it may not exist yet.
        let _ = fs::remove_file(&self.raw);
    }
}

/// Frames of AAC, and what they are.
struct Frames {
    caps: gst::Caps,
    buffers: Vec<gst::Buffer>,
}

/// Encodes all of these samples; leaves out the first `before` frames and what follows `keep` more.
fn encode(samples: &[f32], before: usize, keep: Option<usize>) -> Result<Frames> {
    let graph = Graph::load(include_str!("../../../pipelines/mix_encode.gst"))?;
    graph.element("encoder")?.set_property("bitrate", BIT_RATE);
    let sink = graph.sink("aac")?;
    let pcm = graph
        .element("pcm")?
        .static_pad("sink")
        .context("a converter without a sink")?;
    graph.start()?;
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", RATE as i32)
        .field("channels", 1)
        .build();
    let inlet = Inlet::open(&pcm, &caps)?;
    let mut frames: Option<Frames> = None;
    let mut count = 0;
    let mut take = || -> Result<()> {
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::ZERO) {
            let frames = match &mut frames {
                Some(frames) => frames,
                none => none.insert(Frames {
                    caps: sample.caps().context("frames of no kind")?.to_owned(),
                    buffers: Vec::new(),
                }),
            };
            if count >= before && keep.is_none_or(|keep| count < before + keep) {
                let frame = sample.buffer_owned().context("a frame without bytes")?;
                frames.buffers.push(frame);
            }
            count += 1;
        }
        Ok(())
    };
    for (n, piece) in samples.chunks(16 * FRAME).enumerate() {
        let bytes: Vec<u8> = piece
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let at = (n * 16 * FRAME) as u64;
        inlet
            .push(stamped(bytes, at, piece.len() as u64)?)
            .map_err(|flow| graph.explain(flow))?;
        take()?;
    }
    inlet.end()?;
    take()?;
    if let Some((_, error)) = graph.fault() {
        return Err(error);
    }
    frames.context("the encoder gave no frame")
}

/// An MP4 being written.
struct File {
    input: AppSrc,
    graph: Graph,
    frames: u64,
}

impl File {
    fn create(raw: &Path, caps: &gst::Caps) -> Result<Self> {
        let graph = Graph::load(include_str!("../../../pipelines/mix_file.gst"))?;
        graph
            .element("file")?
            .set_property("location", raw.to_str().context("a path that is no UTF-8")?);
        let input: AppSrc = graph
            .element("aac")?
            .downcast()
            .map_err(|_| anyhow!("aac is no appsrc"))?;
        input.set_caps(Some(caps));
        graph.start()?;
        Ok(Self {
            input,
            graph,
            frames: 0,
        })
    }

    fn push(&mut self, frame: &gst::Buffer) -> Result<()> {
        let bytes = frame.map_readable().context("a frame cannot be read")?;
        let at = self.frames * FRAME as u64;
        self.frames += 1;
        self.input
            .push_buffer(stamped(bytes.to_vec(), at, FRAME as u64)?)
            .map(|_| ())
            .map_err(|flow| self.graph.explain(flow))
    }

    fn finish(self) -> Result<()> {
        self.input
            .end_of_stream()
            .map_err(|flow| self.graph.explain(flow))?;
        self.graph.end()
    }
}

/// `at` and `length` in samples.
fn stamped(bytes: Vec<u8>, at: u64, length: u64) -> Result<gst::Buffer> {
    let mut buffer = gst::Buffer::from_slice(bytes);
    let own = buffer.get_mut().context("a buffer that others hold")?;
    own.set_pts(clock(at));
    own.set_duration(clock(at + length).saturating_sub(clock(at)));
    Ok(buffer)
}

fn clock(samples: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(samples * 1_000_000_000 / RATE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{f64::consts::TAU, process::Command};

    /// Samples over which an error is measured: 50 ms.
    const PIECE: usize = 2_400;

    /// A tone that glides, in syllables, over some noise.
    fn voice(samples: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(1);
        let mut phase = 0.0;
        let sample = |n| {
            let at = n as f64 / RATE as f64;
            phase += TAU * (300.0 + 200.0 * (TAU * at / 3.7).sin()) / RATE as f64;
            let loud = (TAU * at * 2.3).sin().max(0.0);
            (0.3 * loud * (phase.sin() + 0.4 * (3.0 * phase).sin())) as f32
                + 0.002 * (random.f32() - 0.5)
        };
        (0..samples).map(sample).collect()
    }

    fn decoded(path: &Path) -> Vec<f32> {
        let out = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(path)
            .args(["-f", "f32le", "-"])
            .output()
            .expect("ffmpeg is installed");
        let samples = out.stdout.chunks_exact(4);
        samples
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    }

    #[test]
    fn nobody_hears_where_a_part_ends() {
        let folder = std::env::temp_dir().join(format!("hansard-aac-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("makes a folder");
        // Ends: in a frame, with a frame, and right behind a part, with what is encoded beside it.
        for frames in [2 * PART + 300, PART, PART + BEHIND] {
            let out = folder.join("mix.mp4");
            let length = frames * FRAME + if frames == PART { 0 } else { 77 };
            let samples = voice(length);
            let mut encoder = Encoder::new(&out);
            for piece in samples.chunks(47_777) {
                encoder.push(piece).expect("takes it");
            }
            encoder.finish().expect("ends");
            let decoded = decoded(&out);
            let more = decoded.len() as i64 - samples.len() as i64;
            assert!((0..FRAME as i64).contains(&more), "{frames}: {more} more");
            let errors: Vec<f64> = samples
                .chunks_exact(PIECE)
                .zip(decoded.chunks_exact(PIECE))
                .map(|(a, b)| {
                    let power = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
                    (power.sum::<f64>() / PIECE as f64).sqrt()
                })
                .collect();
            let ends = (1..=frames / PART).map(|n| n * PART * FRAME / PIECE);
            let near: Vec<usize> = ends.flat_map(|at| at.saturating_sub(2)..at + 3).collect();
            let largest = |of: &mut dyn Iterator<Item = usize>| {
                of.filter_map(|n| errors.get(n))
                    .copied()
                    .fold(0.0, f64::max)
            };
            let there = largest(&mut near.iter().copied());
            let elsewhere = largest(&mut (0..errors.len()).filter(|n| !near.contains(n)));
            assert!(
                there <= elsewhere && elsewhere < 0.01,
                "{frames}: {there} where parts end, {elsewhere} elsewhere"
            );
        }
        fs::remove_dir_all(&folder).expect("removes the folder");
    }
}
