//! The mix of a meeting, made of its finished tracks: summed on the meeting's timeline, brought to
//! the loudness that [`gain`] finds, encoded as AAC in MP4.
//!
//! Tracks are decoded a thread each and meet second by second, so memory does not grow with the
//! meeting. The sum goes to a scratch file, because its gain is known only at its end; then it is
//! limited, encoded, and the file's length made true.

pub use crate::media::rendering::mix_input::Source;
use crate::{
    domain::{
        peaks::PeakMeter,
        recording::union,
        time::{MeetingTime, Micros, Span},
    },
    media::containers::mp4,
    media::rendering::{
        aac::Encoder,
        gain::{self, Meter, Progress, limiter},
        mix_input::{self, Block, RATE, sample_at},
        scratch::{BLOCK, Scratch, Take},
    },
};
use anyhow::{Context, Result, anyhow};
use std::{
    fs,
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, ScopedJoinHandle},
};

/// Blocks that a track's thread may be ahead.
const AHEAD: usize = 2;
/// Players play the last frame whole, whatever the edit list says (ffmpeg does). A last frame of so
/// few samples (2 ms) is left out, so that no mix is more than 20 ms longer than it should be.
const STUMP_MAX: u64 = 96;

/// A finished mix.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// MeetingTime of the file's time 0.
    pub start_ms: i64,
    /// From there to the last recorded sample; what the file says of itself.
    pub duration: Micros,
    /// Where anything was recorded, by anybody.
    pub rendered: Vec<Span>,
    /// Of the mix before its gain; `None`: too short or too silent to have one.
    pub measured_lufs: Option<f64>,
    pub gain_db: f64,
    /// How loud it is along its length ([`crate::domain::peaks`]).
    pub peaks: Vec<u8>,
    /// The same of each source, along its own file.
    pub of_sources: Vec<PeakMeter>,
}

/// What a mix that is rendered again keeps of the one before it, so that what stays is heard as it
/// was, where it was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Before {
    /// The whole file; its edges are silence where nothing is left there.
    pub span: Span,
    pub gain_db: f64,
}

/// Renders the mix of `sources` to `out`. Blocks; at most about a second of CPU per minute of
/// meeting, most of it in threads that decode tracks and encode parts. `progress` is told 0…1 about once per second of
/// meeting, and ends the work by an error.
///
/// Beside `out` a file is made while it works, and removed. `None`: nothing was recorded, and there
/// is no file.
///
/// # Errors
/// When a track cannot be read, `out` cannot be written, GStreamer fails, or `progress` says so.
pub fn render(
    sources: &[Source],
    out: &Path,
    progress: &mut (dyn FnMut(f64) -> Result<()> + Send),
) -> Result<Option<Mixed>> {
    render_again(sources, None, out, progress)
}

/// The same, with the place and the gain of the mix before it.
///
/// # Errors
/// As [`render`].
pub fn render_again(
    sources: &[Source],
    before: Option<Before>,
    out: &Path,
    progress: &mut (dyn FnMut(f64) -> Result<()> + Send),
) -> Result<Option<Mixed>> {
    let at = before.map(|before| before.span);
    let Some(mut sum) = sum(sources, at, out, &mut |part| progress(0.6 * part))? else {
        return Ok(None);
    };
    let gain_db = match before {
        Some(before) => before.gain_db,
        None => gain::of(&mut sum.take, sum.lufs, sum.peak, &mut |part| {
            progress(0.6 + 0.15 * part)
        })?,
    };
    let written = encode(&mut sum.take, gain_db, out, &mut |part| {
        progress(0.75 + 0.25 * part)
    });
    if written.is_err() {
        // The error is told; the rest of a file is of no use.
        let _ = fs::remove_file(out);
    }
    let peaks = written?;
    let duration = Micros(i64::try_from(sum.take.length())? * 1_000_000 / RATE);
    Ok(Some(Mixed {
        start_ms: sum.start_ms,
        duration,
        rendered: sum.rendered,
        measured_lufs: sum.lufs,
        gain_db,
        peaks,
        of_sources: sum.of_sources,
    }))
}

struct Sum {
    take: Take,
    start_ms: i64,
    rendered: Vec<Span>,
    lufs: Option<f64>,
    peak: f32,
    of_sources: Vec<PeakMeter>,
}

/// All tracks, added up from the first recorded sample to the last, and at least over `span`.
fn sum(
    sources: &[Source],
    span: Option<Span>,
    out: &Path,
    progress: Progress,
) -> Result<Option<Sum>> {
    let size = sources
        .iter()
        .filter_map(|source| Some(fs::metadata(&source.path).ok()?.len()))
        .sum::<u64>()
        .max(1);
    let read = AtomicU64::new(0);
    thread::scope(|scope| {
        let read = &read;
        let mut players: Vec<Player> = Vec::new();
        for source in sources {
            let (to, from) = sync_channel(AHEAD);
            let thread = thread::Builder::new()
                .name("mix".into())
                .spawn_scoped(scope, move || mix_input::play(source, read, &to))
                .context("no thread for a track")?;
            players.push(Player {
                from,
                next: None,
                thread: Some(thread),
                peaks: TrackPeaks::from(source),
            });
        }
        let mut told = || progress((read.load(Ordering::Relaxed) as f64 / size as f64).min(1.0));
        let mixing = add_up(&mut players, span, out, &mut told)?;
        let of_sources = players.into_iter().map(|player| player.peaks.meter);
        mixing
            .map(|mixing| mixing.finish(of_sources.collect()))
            .transpose()
    })
}

/// How loud a track is along its file, while it passes.
pub(super) struct TrackPeaks {
    pub meter: PeakMeter,
    /// Where it goes on, on the meeting's timeline: first with the file's time 0.
    at: i64,
}

impl TrackPeaks {
    pub fn from(source: &Source) -> Self {
        Self {
            meter: PeakMeter::new(RATE as u32),
            at: sample_at(source.start),
        }
    }

    pub fn take(&mut self, block: &Block) {
        let from = block.n * BLOCK as i64;
        self.meter.silence((from - self.at).max(0) as usize);
        let begun = (self.at - from).max(0) as usize;
        if let Some(samples) = block.samples.get(begun..) {
            self.meter.push(samples);
            self.at = from + BLOCK as i64;
        }
    }
}

/// One track's thread, and its next block.
struct Player<'scope> {
    from: Receiver<Block>,
    next: Option<Block>,
    thread: Option<ScopedJoinHandle<'scope, Result<()>>>,
    peaks: TrackPeaks,
}

impl Player<'_> {
    fn look(&mut self) -> Result<Option<i64>> {
        if self.next.is_none() && self.thread.is_some() {
            self.next = self.from.recv().ok();
            if let Some(block) = &self.next {
                self.peaks.take(block);
            } else {
                let thread = self.thread.take().context("a track ends once")?;
                thread
                    .join()
                    .map_err(|_| anyhow!("a track's thread panicked"))?
                    .context("a track cannot be mixed")?;
            }
        }
        Ok(self.next.as_ref().map(|block| block.n))
    }
}

fn add_up(
    players: &mut [Player],
    span: Option<Span>,
    out: &Path,
    progress: &mut dyn FnMut() -> Result<()>,
) -> Result<Option<Mixing>> {
    let mut mixing: Option<Mixing> = None;
    loop {
        let mut now = None;
        for player in &mut *players {
            if let Some(n) = player.look()? {
                now = Some(now.map_or(n, |first: i64| first.min(n)));
            }
        }
        let Some(now) = now else { break };
        let blocks: Vec<Block> = players
            .iter_mut()
            .filter_map(|player| player.next.take_if(|block| block.n == now))
            .collect();
        let mixing = match &mut mixing {
            Some(mixing) => mixing,
            none => none.insert(Mixing::begin(now, &blocks, span, out)?),
        };
        mixing.add(now, blocks)?;
        progress()?;
    }
    Ok(mixing)
}

/// The sum while it grows.
struct Mixing {
    scratch: Scratch,
    meter: Meter,
    peak: f32,
    /// The first sample.
    start: i64,
    /// It reaches to here at least.
    until: i64,
    /// What was written last goes to here.
    at: i64,
    /// A block not written yet, because it may be the last: its number, and where its recorded part
    /// ends.
    open: Option<(i64, Vec<f32>, i64)>,
    filled: Vec<Span>,
}

impl Mixing {
    fn begin(now: i64, blocks: &[Block], span: Option<Span>, out: &Path) -> Result<Self> {
        let first = blocks
            .iter()
            .flat_map(|block| &block.filled)
            .map(|filled| filled.start)
            .min();
        let first = now * BLOCK as i64 + first.context("a block without sound")? as i64;
        let span = span.map(|span| (sample_at(span.start), sample_at(span.end)));
        let first = span.map_or(first, |(start, _)| first.min(start));
        // A file begins on a whole millisecond.
        let start = first.div_euclid(RATE / 1000) * (RATE / 1000);
        Ok(Self {
            scratch: Scratch::create(&out.with_extension("pcm.part"))?,
            meter: Meter::new()?,
            peak: 0.0,
            start,
            until: span.map_or(start, |(_, end)| end),
            at: start,
            open: None,
            filled: Vec::new(),
        })
    }

    fn add(&mut self, n: i64, blocks: Vec<Block>) -> Result<()> {
        self.write_open(BLOCK as i64)?;
        let mut total = vec![0.0; BLOCK];
        let mut end = 0;
        for block in blocks {
            for (total, sample) in total.iter_mut().zip(&block.samples) {
                *total += sample;
            }
            for filled in block.filled {
                let at = |sample: usize| (n * BLOCK as i64 + sample as i64) * 1_000_000;
                let span = Span::new(
                    MeetingTime(at(filled.start) / RATE),
                    MeetingTime(at(filled.end) / RATE),
                );
                end = end.max(filled.end);
                self.filled.push(span);
            }
        }
        self.open = Some((n, total, end as i64));
        Ok(())
    }

    fn write_open(&mut self, until: i64) -> Result<()> {
        let Some((n, samples, _)) = self.open.take() else {
            return Ok(());
        };
        let from = n * BLOCK as i64;
        self.write_silence(from)?;
        self.write(&samples[(self.at - from) as usize..until as usize])
    }

    fn write_silence(&mut self, until: i64) -> Result<()> {
        let silence = vec![0.0; BLOCK];
        while self.at < until {
            let count = (until - self.at).min(BLOCK as i64);
            self.write(&silence[..count as usize])?;
        }
        Ok(())
    }

    fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.peak = samples
            .iter()
            .fold(self.peak, |peak, sample| peak.max(sample.abs()));
        self.meter.add(samples)?;
        self.at += samples.len() as i64;
        self.scratch.write(samples)
    }

    fn finish(mut self, of_sources: Vec<PeakMeter>) -> Result<Sum> {
        let until = self.open.as_ref().map_or(0, |(_, _, end)| *end);
        self.write_open(until)?;
        self.write_silence(self.until)?;
        let mut take = self.scratch.finish()?;
        let rest = take.length() % u64::from(mp4::FRAME);
        if rest <= STUMP_MAX {
            take.shorten(rest);
        }
        Ok(Sum {
            take,
            start_ms: self.start / (RATE / 1000),
            rendered: union(&self.filled),
            lufs: self.meter.lufs()?,
            peak: self.peak,
            of_sources,
        })
    }
}

/// Answers with the peaks of what was encoded.
fn encode(take: &mut Take, gain_db: f64, out: &Path, progress: Progress) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new(out);
    let mut meter = PeakMeter::new(RATE as u32);
    gain::pass(take, 1, Some(limiter(gain_db)), &mut |samples, part| {
        progress(part)?;
        meter.push(samples);
        encoder.push(samples)
    })?;
    encoder.finish()?;
    Ok(meter.finish())
}
