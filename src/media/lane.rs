//! One track on its way into a mix: decoded, placed on the meeting's timeline, cut to what its speaker allowed.

use crate::{
    domain::{
        recording::{CONCEAL_MAX, union},
        time::{MeetingTime, Span},
    },
    media::{decode::Decoder, frame::Pcm, matroska::Reader, mix::Source, scratch::BLOCK},
};
use anyhow::Result;
use std::{
    ops::{ControlFlow, Range},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
};

pub const RATE: i64 = 48_000;
/// Fade at every edge, inside what is allowed: 1 ms, enough against clicks.
const FADE: i64 = 48;
/// A frame this much later than the last one's end leaves a hole; less is rounding of time stamps, or a sender's clock.
const HOLE: f64 = 0.010 * RATE as f64;
/// A sender's clock is followed when it is this far off, until it is a quarter of that. Rounding of time stamps to the
/// millisecond stays below.
const OFF: f64 = 0.001 * RATE as f64;
/// Pieces this much before what was already placed are left out.
const BEHIND: f64 = 0.1 * RATE as f64;
/// At most this much is a piece stretched or squeezed: what `domain/timeline` may bend.
const BEND: f64 = 0.02;

/// What Matroska writes before each frame, in bytes.
const BLOCK_HEADER: u64 = 7;

/// One second of a track. `samples` begins at `n * BLOCK` on the meeting's timeline; `filled` is where something was
/// recorded, in samples from there, silence included.
pub struct Block {
    pub n: i64,
    pub samples: Vec<f32>,
    pub filled: Vec<Range<usize>>,
}

/// The first sample that is not before `time`.
pub fn sample_at(time: MeetingTime) -> i64 {
    let at = (i128::from(time.0) * i128::from(RATE) + 999_999).div_euclid(1_000_000);
    at.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Decodes a track and sends its blocks in order, those without sound left out; adds to `read` the bytes of the file
/// that are done with. Ends early when nobody listens.
pub fn play(source: &Source, read: &AtomicU64, to: &SyncSender<Block>) -> Result<()> {
    let Some(mut reader) = Reader::open(&source.path, source.start)? else { return Ok(()) };
    let codec = reader.codec();
    let allowed = union(&source.allowed);
    let mut decoder = Decoder::new(codec, RATE as u32)?;
    let mut lane = Lane::new(&allowed, to);
    while let Some(frame) = reader.read()? {
        read.fetch_add(frame.payload.len() as u64 + BLOCK_HEADER, Ordering::Relaxed);
        // What nobody allowed is not even decoded.
        let sound = Span::new(frame.span.start - codec.delay(), frame.span.end - codec.delay());
        let next = allowed.partition_point(|span| span.end <= sound.start);
        if !allowed.get(next).is_some_and(|span| span.overlaps(sound)) {
            continue;
        }
        let mut pieces = Vec::new();
        if let Some(end) = decoder.end() {
            let hole = Span::new(end, frame.span.start);
            if !hole.is_empty() && hole.length() <= CONCEAL_MAX {
                decoder.lost(hole, &mut |pcm| pieces.push(pcm))?;
            }
        }
        decoder.push(&frame, &mut |pcm| pieces.push(pcm))?;
        if pieces.into_iter().any(|pcm| lane.put(&pcm).is_break()) {
            return Ok(());
        }
    }
    let mut pieces = Vec::new();
    decoder.flush(&mut |pcm| pieces.push(pcm))?;
    if pieces.into_iter().any(|pcm| lane.put(&pcm).is_break()) {
        return Ok(());
    }
    lane.finish();
    Ok(())
}

/// Nobody listens any more.
type Flow<T = ()> = ControlFlow<(), T>;

struct Lane<'a> {
    /// Sorted and apart, in samples.
    allowed: Vec<Range<i64>>,
    to: &'a SyncSender<Block>,
    block: Option<Block>,
    /// The end of the running sound, held back until it is known whether it goes on: where it begins, and samples.
    tail: (i64, Vec<f32>),
    /// Samples still to be faded in.
    fade_in: i64,
    /// How far the running sound is behind its time stamps, smoothed, in samples.
    behind: f64,
    bending: bool,
}

impl<'a> Lane<'a> {
    fn new(allowed: &[Span], to: &'a SyncSender<Block>) -> Self {
        let allowed = allowed.iter().map(|span| sample_at(span.start)..sample_at(span.end)).collect();
        Self { allowed, to, block: None, tail: (i64::MIN, Vec::new()), fade_in: 0, behind: 0.0, bending: false }
    }

    /// Places a decoded piece: right behind the last one if that is what its time stamp means.
    fn put(&mut self, pcm: &Pcm) -> Flow {
        let meant = pcm.span.start.0 as f64 * RATE as f64 / 1e6;
        let end = self.tail.0.saturating_add(self.tail.1.len() as i64);
        let late = meant - end as f64;
        if self.tail.1.is_empty() || late >= HOLE {
            self.end_run()?;
            self.tail = (meant.round() as i64, Vec::new());
            (self.fade_in, self.behind, self.bending) = (FADE, 0.0, false);
            return self.extend(&pcm.samples);
        }
        if late <= -BEHIND {
            return Flow::Continue(());
        }
        self.behind += (late - self.behind) * 0.25;
        self.bending = self.behind.abs() > if self.bending { OFF / 4.0 } else { OFF };
        if !self.bending {
            return self.extend(&pcm.samples);
        }
        let most = pcm.samples.len() as f64 * BEND;
        let by = (self.behind / 4.0).clamp(-most, most).round();
        self.behind -= by;
        self.extend(&stretched(&pcm.samples, by as i64))
    }

    fn extend(&mut self, samples: &[f32]) -> Flow {
        let from = self.tail.1.len();
        self.tail.1.extend_from_slice(samples);
        for sample in &mut self.tail.1[from..] {
            if self.fade_in == 0 {
                break;
            }
            *sample *= (FADE + 1 - self.fade_in) as f32 / (FADE + 1) as f32;
            self.fade_in -= 1;
        }
        let ready = self.tail.1.len().saturating_sub(FADE as usize);
        let rest = self.tail.1.split_off(ready);
        let ready = std::mem::replace(&mut self.tail.1, rest);
        let at = self.tail.0;
        self.tail.0 += ready.len() as i64;
        self.give(at, &ready)
    }

    fn end_run(&mut self) -> Flow {
        let (at, mut samples) = std::mem::take(&mut self.tail);
        let count = samples.len();
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample *= (count - n) as f32 / (FADE + 1) as f32;
        }
        self.give(at, &samples)
    }

    fn finish(mut self) {
        // Whether anybody listens makes no difference any more.
        let _ = self.end_run();
        if let Some(block) = self.block.take() {
            let _ = self.to.send(block);
        }
    }

    /// Cuts to what is allowed and copies into blocks.
    fn give(&mut self, at: i64, samples: &[f32]) -> Flow {
        let end = at + samples.len() as i64;
        let mut next = self.allowed.partition_point(|span| span.end <= at);
        while let Some(span) = self.allowed.get(next).cloned().filter(|span| span.start < end) {
            next += 1;
            let mut from = span.start.max(at);
            let until = span.end.min(end);
            while from < until {
                let n = from.div_euclid(BLOCK as i64);
                let to = until.min((n + 1) * BLOCK as i64);
                let block = self.block_at(n)?;
                let (first, last) = ((from - n * BLOCK as i64) as usize, (to - n * BLOCK as i64) as usize);
                match block.filled.last_mut() {
                    Some(filled) if filled.end == first => filled.end = last,
                    _ => block.filled.push(first..last),
                }
                for (sample, to) in samples[(from - at) as usize..].iter().zip(&mut block.samples[first..last]) {
                    *to = *sample;
                }
                fade(&mut block.samples[first..last], from, &span);
                from = to;
            }
        }
        Flow::Continue(())
    }

    fn block_at(&mut self, n: i64) -> Flow<&mut Block> {
        if let Some(done) = self.block.take_if(|block| block.n != n)
            && self.to.send(done).is_err()
        {
            return Flow::Break(());
        }
        Flow::Continue(self.block.get_or_insert_with(|| Block { n, samples: vec![0.0; BLOCK], filled: Vec::new() }))
    }
}

/// Fades near the ends of what is allowed; `samples` begin at `at`, within it.
fn fade(samples: &mut [f32], at: i64, span: &Range<i64>) {
    let gain = |to_edge: i64| to_edge.min(FADE + 1) as f32 / (FADE + 1) as f32;
    let end = at + samples.len() as i64;
    for n in at..end.min(span.start.saturating_add(FADE)) {
        samples[(n - at) as usize] *= gain(n - span.start + 1);
    }
    for n in at.max(span.end.saturating_sub(FADE))..end {
        samples[(n - at) as usize] *= gain(span.end - n);
    }
}

/// Longer or shorter by so many samples, with straight lines between them.
fn stretched(samples: &[f32], by: i64) -> Vec<f32> {
    let count = (samples.len() as i64 + by).max(1) as usize;
    let step = samples.len() as f64 / count as f64;
    (0..count)
        .map(|n| {
            let at = n as f64 * step;
            let (whole, part) = (at as usize, at.fract() as f32);
            let (a, b) = (samples[whole], samples[(whole + 1).min(samples.len() - 1)]);
            a + (b - a) * part
        })
        .collect()
}
