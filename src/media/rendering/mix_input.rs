//! One track on its way into a mix: decoded, placed on the meeting's timeline, cut to what its
//! speaker allowed.

use crate::{
    domain::{
        recording::{CONCEAL_MAX, union},
        time::{MeetingTime, Span},
    },
    media::{containers::track::Reader, decode::Decoder, frame::Pcm, rendering::scratch::BLOCK},
};
use anyhow::Result;
use std::{
    ops::{ControlFlow, Range},
    path::PathBuf,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
};

/// A finished track, and what its speaker allowed of it.
#[derive(Clone, Debug)]
pub struct Source {
    /// A track, of [`crate::media::rendering::join`].
    pub path: PathBuf,
    /// MeetingTime of the file's time 0.
    pub start: MeetingTime,
    /// On the meeting's timeline, from [`crate::domain::gate::Gate::allowed`]. Nothing else is
    /// decoded; sound is cut to it at the sample, with the coder's delay taken out.
    pub allowed: Vec<Span>,
    /// What was taken out of it after it had been mixed: what is behind that stays in its place, to
    /// the sample, though time stamps are rounded. Sorted and apart.
    pub redacted: Vec<Span>,
}

pub const RATE: i64 = 48_000;
/// Fade at every edge, inside what is allowed: 1 ms, enough against clicks.
const FADE: i64 = 48;
/// A frame this much later than the last one's end leaves a hole; less is rounding of time stamps,
/// or a sender's clock.
const HOLE: f64 = 0.010 * RATE as f64;
/// A sender's clock is followed when it is this far off, until it is a quarter of that. Rounding of
/// time stamps to the millisecond stays below.
const OFF: f64 = 0.001 * RATE as f64;
/// Holes up to here are filled by what was heard before them: what no decoder concealed, and a
/// resampler's delay.
const FILL_MAX: f64 = (CONCEAL_MAX.as_ms() + 10) as f64 * RATE as f64 / 1e3;
/// What fills a hole fades to silence over this many samples (60 ms), as in G.711 appendix I.
const FILL_FADE: f32 = 0.060 * RATE as f32;
/// Periods of a voice, in samples: 400 Hz to 66 Hz.
const PERIOD: Range<usize> = 120..721;
/// Pieces this much before what was already placed are left out.
const BEHIND: f64 = 0.1 * RATE as f64;
/// At most this much is a piece stretched or squeezed: a little more than `domain/timeline` bends
/// (2 %).
const BEND: f64 = 0.03;

/// Packets of Opus last a multiple of this (2.5 ms), in samples.
const TICK: f64 = 120.0;

/// What Matroska writes before each frame, in bytes.
const BLOCK_HEADER: u64 = 7;

/// One second of a track. `samples` begins at `n * BLOCK` on the meeting's timeline; `filled` is
/// where something was recorded, in samples from there, silence included.
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

/// Decodes a track and sends its blocks in order, those without sound left out; adds to `read` the
/// bytes of the file that are done with. Ends early when nobody listens.
pub fn play(source: &Source, read: &AtomicU64, to: &SyncSender<Block>) -> Result<()> {
    let Some(mut reader) = Reader::open(&source.path, source.start)? else {
        return Ok(());
    };
    let codec = reader.codec();
    let allowed = union(&source.allowed);
    let mut decoder = Decoder::new(codec, RATE as u32)?;
    let mut input = MixInput::new(&allowed, to);
    let mut end: Option<MeetingTime> = None;
    while let Some(frame) = reader.read()? {
        let hole = end.map(|end| Span::new(end, frame.span.start));
        end = Some(frame.span.end);
        if let Some(hole) = hole.filter(|hole| source.redacted.iter().any(|of| of.overlaps(*hole)))
        {
            input.goes_on_behind(hole);
        }
        read.fetch_add(frame.payload.len() as u64 + BLOCK_HEADER, Ordering::Relaxed);
        // What nobody allowed is not even decoded; but a decoder settles for the length of its
        // delay.
        let reach = Span::new(frame.span.start - codec.delay(), frame.span.end);
        let next = allowed.partition_point(|span| span.end <= reach.start);
        if !allowed.get(next).is_some_and(|span| span.overlaps(reach)) {
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
        if pieces.into_iter().any(|pcm| input.put(&pcm).is_break()) {
            return Ok(());
        }
    }
    let mut pieces = Vec::new();
    decoder.flush(&mut |pcm| pieces.push(pcm))?;
    if pieces.into_iter().any(|pcm| input.put(&pcm).is_break()) {
        return Ok(());
    }
    input.finish();
    Ok(())
}

/// Nobody listens any more.
type Flow<T = ()> = ControlFlow<(), T>;

struct MixInput<'a> {
    /// Sorted and apart, in samples.
    allowed: Vec<Range<i64>>,
    to: &'a SyncSender<Block>,
    block: Option<Block>,
    /// The end of the running sound, held back until it is known whether it goes on: where it
    /// begins, and samples.
    tail: (i64, Vec<f32>),
    /// The last two periods at the longest of the running sound.
    heard: Vec<f32>,
    /// Samples still to be faded in.
    fade_in: i64,
    /// How far the running sound is behind its time stamps, smoothed, in samples.
    behind: f64,
    bending: bool,
    /// Where the last piece ended by its time stamp, in samples.
    meant_end: f64,
    /// The next hole was none when it was mixed before: how much longer it is than its time stamps
    /// say, in samples.
    redacted: Option<f64>,
}

impl<'a> MixInput<'a> {
    fn new(allowed: &[Span], to: &'a SyncSender<Block>) -> Self {
        let allowed = allowed
            .iter()
            .map(|span| sample_at(span.start)..sample_at(span.end))
            .collect();
        Self {
            allowed,
            to,
            block: None,
            tail: (i64::MIN, Vec::new()),
            heard: Vec::new(),
            fade_in: 0,
            behind: 0.0,
            bending: false,
            meant_end: 0.0,
            redacted: None,
        }
    }

    /// Packets were taken out here. What follows is placed as if they were there: they were whole
    /// ticks, and only their time stamps are rounded.
    fn goes_on_behind(&mut self, hole: Span) {
        let length = hole.length().0 as f64 * RATE as f64 / 1e6;
        let ticks = (length / TICK).round() * TICK;
        let longer = ticks - length;
        self.redacted = Some(if longer.abs() <= OFF { longer } else { 0.0 });
    }

    /// Places a decoded piece: right behind the last one if that is what its time stamp means.
    fn put(&mut self, pcm: &Pcm) -> Flow {
        let meant = pcm.span.start.0 as f64 * RATE as f64 / 1e6;
        let end = self.tail.0.saturating_add(self.tail.1.len() as i64);
        let late = meant - end as f64;
        let meant_end = std::mem::replace(
            &mut self.meant_end,
            pcm.span.end.0 as f64 * RATE as f64 / 1e6,
        );
        if !self.tail.1.is_empty()
            && late >= HOLE
            && let Some(longer) = self.redacted.take()
        {
            let at = end + (meant - meant_end + longer).round() as i64;
            self.end_run()?;
            self.heard.clear();
            self.tail = (at, Vec::new());
            self.fade_in = FADE;
            return self.extend(&pcm.samples);
        }
        if self.tail.1.is_empty() || late >= HOLE {
            if !self.tail.1.is_empty() && late <= FILL_MAX {
                self.extend(&filling(&self.heard, late.round() as usize))?;
            }
            self.end_run()?;
            self.heard.clear();
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
        let by = (self.behind / 8.0).clamp(-most, most).round();
        self.behind -= by;
        self.extend(&stretched(&pcm.samples, by as i64))
    }

    fn extend(&mut self, samples: &[f32]) -> Flow {
        self.heard.extend_from_slice(samples);
        self.heard
            .drain(..self.heard.len().saturating_sub(2 * PERIOD.end));
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
        self.emit(at, &ready)
    }

    fn end_run(&mut self) -> Flow {
        let (at, mut samples) = std::mem::take(&mut self.tail);
        let count = samples.len();
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample *= (count - n) as f32 / (FADE + 1) as f32;
        }
        self.emit(at, &samples)
    }

    fn finish(mut self) {
        // Whether anybody listens makes no difference any more.
        let _ = self.end_run();
        if let Some(block) = self.block.take() {
            let _ = self.to.send(block);
        }
    }

    /// Cuts to what is allowed and copies into blocks.
    fn emit(&mut self, at: i64, samples: &[f32]) -> Flow {
        let end = at + samples.len() as i64;
        let mut next = self.allowed.partition_point(|span| span.end <= at);
        while let Some(span) = self
            .allowed
            .get(next)
            .cloned()
            .filter(|span| span.start < end)
        {
            next += 1;
            let mut from = span.start.max(at);
            let until = span.end.min(end);
            while from < until {
                let n = from.div_euclid(BLOCK as i64);
                let to = until.min((n + 1) * BLOCK as i64);
                let block = self.block_at(n)?;
                let (first, last) = (
                    (from - n * BLOCK as i64) as usize,
                    (to - n * BLOCK as i64) as usize,
                );
                match block.filled.last_mut() {
                    Some(filled) if filled.end == first => filled.end = last,
                    _ => block.filled.push(first..last),
                }
                for (sample, to) in samples[(from - at) as usize..]
                    .iter()
                    .zip(&mut block.samples[first..last])
                {
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
        Flow::Continue(self.block.get_or_insert_with(|| Block {
            n,
            samples: vec![0.0; BLOCK],
            filled: Vec::new(),
        }))
    }
}

/// Goes on as the last period went, more and more softly.
fn filling(heard: &[f32], count: usize) -> Vec<f32> {
    let alike = |period: usize| {
        let now = &heard[heard.len() - PERIOD.end..];
        let before = &heard[heard.len() - PERIOD.end - period..];
        let (mut both, mut energy) = (0.0, 1e-9);
        for (a, b) in now.iter().zip(before).step_by(2) {
            both += a * b;
            energy += b * b;
        }
        both / energy.sqrt()
    };
    if heard.len() < 2 * PERIOD.end {
        return vec![0.0; count];
    }
    let period = PERIOD
        .max_by(|a, b| alike(*a).total_cmp(&alike(*b)))
        .unwrap_or(PERIOD.start);
    let last = &heard[heard.len() - period..];
    (0..count)
        .map(|n| last[n % period] * (1.0 - n as f32 / FILL_FADE).max(0.0))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Micros;
    use std::{f64::consts::TAU, sync::mpsc::sync_channel};

    /// Puts pieces of 20 ms of a 440 Hz tone at these times, and returns what comes out, from its
    /// first sample on.
    fn placed(
        allowed: &[Span],
        times: impl Iterator<Item = i64>,
    ) -> (i64, Vec<f32>, Vec<Range<i64>>) {
        let (to, from) = sync_channel(1_000);
        let mut input = MixInput::new(allowed, &to);
        for (n, time) in times.enumerate() {
            let tone = |at: usize| (TAU * 440.0 * (n * 960 + at) as f64 / RATE as f64).sin() as f32;
            let span = Span::of(MeetingTime(time), Micros::from_ms(20));
            assert!(
                input
                    .put(&Pcm {
                        samples: (0..960).map(tone).collect(),
                        span
                    })
                    .is_continue()
            );
        }
        input.finish();
        drop(to);
        let blocks: Vec<Block> = from.iter().collect();
        let mut filled: Vec<Range<i64>> = Vec::new();
        let start = blocks[0].n * BLOCK as i64;
        let mut samples =
            vec![0.0; ((blocks[blocks.len() - 1].n + 1) * BLOCK as i64 - start) as usize];
        for block in &blocks {
            let at = block.n * BLOCK as i64;
            samples[(at - start) as usize..][..BLOCK].copy_from_slice(&block.samples);
            for part in &block.filled {
                let part = at + part.start as i64..at + part.end as i64;
                match filled.last_mut() {
                    Some(last) if last.end == part.start => last.end = part.end,
                    _ => filled.push(part),
                }
            }
        }
        let first = filled[0].start;
        (first, samples.split_off((first - start) as usize), filled)
    }

    fn always() -> Vec<Span> {
        vec![Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)]
    }

    /// The largest second difference, which a click or a kink makes large.
    fn roughness(samples: &[f32]) -> f32 {
        samples
            .windows(3)
            .map(|w| (w[0] - 2.0 * w[1] + w[2]).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn rounded_time_stamps_change_nothing() {
        let times = || (0..500).map(|n| 1_000_000 + n * 20_000);
        let (at, exact, _) = placed(&always(), times());
        assert_eq!(at, 48_000);
        let mut random = fastrand::Rng::with_seed(1);
        let (_, rounded, _) = placed(&always(), times().map(|time| time + random.i64(0..1_000)));
        let (exact, rounded) = (&exact[100..479_000], &rounded[100..479_000]);
        assert!((0..48).any(|off| exact[48 - off..400_000] == rounded[48..400_000 + off]));
        let smooth = (TAU as f32 * 440.0 / RATE as f32).powi(2);
        assert!(roughness(exact) < smooth * 1.01);
    }

    #[test]
    fn a_sender_whose_clock_drifts_stays_in_its_place_without_clicks() {
        let smooth = (TAU as f32 * 440.0 / RATE as f32).powi(2);
        for ppm in [-500, 500, 20_000] {
            let times = (0..2_000).map(|n: i64| {
                (n * 20_000 * (1_000_000 + ppm) / 1_000_000).div_euclid(1_000) * 1_000
            });
            let (_, samples, filled) = placed(&always(), times.clone());
            assert_eq!(filled.len(), 1);
            let end = times.clone().next_back().expect("some") * RATE / 1_000_000 + 960;
            assert!(
                (filled[0].end - end).abs() < 400,
                "{ppm}: {:?} {end}",
                filled[0]
            );
            let rough = roughness(&samples[100..samples.len().min(filled[0].end as usize) - 100]);
            assert!(rough < 2.5 * smooth, "{ppm}: {rough} {smooth}");
        }
    }

    #[test]
    fn short_holes_are_filled_and_long_ones_stay() {
        let times = (0..10).map(|n: i64| {
            n * 20_000 + if n < 4 { 0 } else { 40_000 } + if n < 7 { 0 } else { 200_000 }
        });
        let (_, samples, filled) = placed(&always(), times);
        assert_eq!(filled, [0..8_640, 18_240..21_120]);
        let peak = |range: Range<usize>| {
            samples[range]
                .iter()
                .fold(0.0, |peak: f32, sample| peak.max(sample.abs()))
        };
        assert!(peak(3_840..4_000) > 0.9 && (0.2..0.6).contains(&peak(5_500..5_700)));
        assert!(samples[8_640..18_240].iter().all(|sample| *sample == 0.0));
        assert!(roughness(&samples) < 0.05, "{}", roughness(&samples));
    }

    #[test]
    fn nothing_outside_of_what_is_allowed_comes_out() {
        // 100.01 ms is sample 4800.48: the first one allowed is 4801, and the last before 1,500 ms
        // is 71,999.
        let allowed = [
            Span::new(MeetingTime(100_010), MeetingTime(1_500_000)),
            Span::new(MeetingTime(1_600_000), MeetingTime(1_600_100)),
        ];
        let (at, samples, filled) = placed(&allowed, (0..100).map(|n| n * 20_000));
        assert_eq!(filled, [4_801..72_000, 76_800..76_805]);
        let outside = |n: i64| filled.iter().all(|part| !part.contains(&n));
        assert!(
            samples
                .iter()
                .enumerate()
                .all(|(n, sample)| !outside(at + n as i64) || *sample == 0.0)
        );
        assert!(
            samples[30].abs() > 0.0 && samples[60..67_000].iter().any(|sample| *sample > 0.999)
        );
    }
}
