//! Keeps true peaks below a limit, by looking ahead.
//!
//! True peaks as in ITU-R BS.1770-4 annex 2: four times oversampled. Gain as usual in look-ahead
//! limiters: the least gain that any sample of the next 5 ms needs, let go slowly, then averaged
//! over 5 ms, so that it has arrived when the peak does. Silence in, silence out, sample by sample.

use std::collections::VecDeque;

/// Samples of look-ahead: 5 ms at 48 kHz.
const AHEAD: usize = 240;
/// Samples on each side that the oversampling filter sees.
const SIDE: usize = 6;
/// What goes in comes out this much later.
const LATENCY: usize = AHEAD + SIDE;
/// How much of the way back to no reduction goes per sample: a time constant of 60 ms.
const RELEASE: f32 = 1.0 / (0.060 * 48_000.0);
/// Peaks are looked for in pieces of this length.
const PIECE: usize = 64;
/// Between samples a signal rises to at most this much of its samples' peak (worse ones exist on
/// paper).
const BETWEEN: f32 = 2.0;

/// The oversampling filter at a quarter, a half and three quarters of a sample.
type Phases = [[f32; 2 * SIDE]; 3];

pub struct Limiter {
    gain: f32,
    limit: f32,
    phases: Phases,
    /// The last samples that were pushed, amplified.
    recent: Vec<f32>,
    /// Samples whose gain is known so far, counted from the first.
    known: u64,
    /// The reductions of the last `AHEAD` samples that can still be the least; rising.
    least: VecDeque<(u64, f32)>,
    released: f32,
    window: VecDeque<f32>,
    sum: f64,
    /// Samples still to be held back at the start.
    skip: usize,
}

impl Limiter {
    /// Amplifies by `gain`, then keeps below `limit`, both as factors.
    pub fn new(gain: f32, limit: f32) -> Self {
        Self {
            gain,
            limit,
            phases: phases(),
            recent: vec![0.0; LATENCY + SIDE],
            known: 0,
            least: VecDeque::new(),
            released: 1.0,
            window: VecDeque::from(vec![1.0; AHEAD + 1]),
            sum: (AHEAD + 1) as f64,
            skip: LATENCY,
        }
    }

    /// Appends to `out` as many samples as went in, after the first [`LATENCY`].
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let before = self.recent.len();
        self.recent
            .extend(samples.iter().map(|sample| sample * self.gain));
        let mut from = before - SIDE;
        let end = self.recent.len() - SIDE;
        while from < end {
            let to = (from + PIECE).min(end);
            self.piece(from, to, out);
            from = to;
        }
        self.recent.drain(..samples.len());
    }

    /// Brings out what is held back.
    pub fn finish(mut self, out: &mut Vec<f32>) {
        self.push(&[0.0; LATENCY], out);
    }

    fn piece(&mut self, from: usize, to: usize, out: &mut Vec<f32>) {
        let peak = self.recent[from - SIDE..to + SIDE]
            .iter()
            .fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        let quiet = peak * BETWEEN <= self.limit;
        if quiet && self.least.is_empty() && self.released == 1.0 && self.sum == (AHEAD + 1) as f64
        {
            self.known += (to - from) as u64;
            self.emit(from - AHEAD, &vec![1.0; to - from], out);
            return;
        }
        let mut gains = Vec::with_capacity(to - from);
        for at in from..to {
            let peak = if quiet { 0.0 } else { self.peak_at(at) };
            if peak > self.limit {
                let needed = self.limit / peak;
                while self.least.back().is_some_and(|(_, least)| *least >= needed) {
                    self.least.pop_back();
                }
                self.least.push_back((self.known, needed));
            }
            if self
                .least
                .front()
                .is_some_and(|(since, _)| since + (AHEAD as u64) < self.known)
            {
                self.least.pop_front();
            }
            let least = self.least.front().map_or(1.0, |(_, least)| *least);
            let mut released = self.released + (1.0 - self.released) * RELEASE;
            if released > 0.9999 {
                released = 1.0;
            }
            self.released = released.min(least);
            self.sum += f64::from(self.released);
            self.window.push_back(self.released);
            self.sum -= self.window.pop_front().map_or(1.0, f64::from);
            if self.released == 1.0 && (self.sum - (AHEAD + 1) as f64).abs() < 1e-6 {
                self.sum = (AHEAD + 1) as f64;
            }
            self.known += 1;
            gains.push((self.sum / (AHEAD + 1) as f64) as f32);
        }
        self.emit(from - AHEAD, &gains, out);
    }

    fn emit(&mut self, from: usize, gains: &[f32], out: &mut Vec<f32>) {
        let skip = self.skip.min(gains.len());
        self.skip -= skip;
        let samples = &self.recent[from..from + gains.len()];
        out.extend(
            samples
                .iter()
                .zip(gains)
                .skip(skip)
                .map(|(sample, gain)| sample * gain),
        );
    }

    /// The true peak between this sample's neighbours.
    fn peak_at(&self, at: usize) -> f32 {
        let near = &self.recent[at + 1 - SIDE..at + 1 + SIDE];
        let left = &self.recent[at - SIDE..at + SIDE];
        let mut peak = self.recent[at].abs();
        for taps in &self.phases {
            peak = peak.max(dot(taps, near).abs()).max(dot(taps, left).abs());
        }
        peak
    }
}

fn dot(taps: &[f32; 2 * SIDE], samples: &[f32]) -> f32 {
    taps.iter()
        .zip(samples)
        .map(|(tap, sample)| tap * sample)
        .sum()
}

/// A sinc, windowed by a raised cosine, with unity gain at frequency 0.
fn phases() -> Phases {
    use std::f64::consts::PI;
    [0.25, 0.5, 0.75].map(|phase| {
        let taps: Vec<f64> = (0..2 * SIDE)
            .map(|tap| {
                let x = tap as f64 - (SIDE as f64 - 1.0) - phase;
                (PI * x).sin() / (PI * x) * 0.5 * (1.0 + (PI * x / (SIDE as f64 + 0.5)).cos())
            })
            .collect();
        let sum: f64 = taps.iter().sum();
        std::array::from_fn(|tap| (taps[tap] / sum) as f32)
    })
}

/// The true peak of samples, as the limiter sees it.
#[cfg(test)]
fn true_peak(samples: &[f32]) -> f32 {
    let phases = phases();
    let between = samples
        .windows(2 * SIDE)
        .flat_map(|near| phases.iter().map(|taps| dot(taps, near).abs()));
    between.fold(
        samples
            .iter()
            .fold(0.0, |peak: f32, sample| peak.max(sample.abs())),
        f32::max,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::loudness::factor;

    fn run(gain: f32, limit: f32, samples: &[f32], piece: usize) -> Vec<f32> {
        let mut limiter = Limiter::new(gain, limit);
        let mut out = Vec::new();
        for piece in samples.chunks(piece) {
            limiter.push(piece, &mut out);
        }
        limiter.finish(&mut out);
        out
    }

    fn noise(seed: u64, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count)
            .map(|n| (random.f32() * 2.0 - 1.0) * if n % 9_000 < 3_000 { 1.0 } else { 0.05 })
            .collect()
    }

    #[test]
    fn leaves_what_is_below_the_limit_alone() {
        let samples: Vec<f32> = noise(1, 20_000).iter().map(|sample| sample * 0.2).collect();
        for piece in [1, 63, 480, 20_000] {
            assert_eq!(run(1.0, factor(-2.5), &samples, piece), samples, "{piece}");
        }
    }

    #[test]
    fn keeps_true_peaks_below_the_limit() {
        let limit = factor(-2.5);
        for seed in 0..8 {
            let samples = noise(seed, 48_000);
            let out = run(4.0, limit, &samples, 4_800);
            assert_eq!(out.len(), samples.len());
            assert!(
                true_peak(&out) <= limit * 1.02,
                "{} {}",
                true_peak(&out),
                limit
            );
            // A quarter of the rate at 45 degrees: the samples say 3 dB less than the truth.
            let sine: Vec<f32> = (0..9_600)
                .map(|n| (0.785 + n as f32 * std::f32::consts::FRAC_PI_2).sin())
                .collect();
            let out = run(1.2, limit, &sine, 100);
            assert!(
                true_peak(&out[1000..8000]) <= limit * 1.02,
                "{}",
                true_peak(&out[1000..8000])
            );
        }
    }

    #[test]
    fn does_not_depend_on_how_it_is_fed() {
        let samples = noise(3, 30_000);
        let whole = run(3.0, 0.7, &samples, 30_000);
        for piece in [7, 480, 1_023] {
            let pieces = run(3.0, 0.7, &samples, piece);
            let far = whole
                .iter()
                .zip(&pieces)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(far < 1e-6, "{piece}: {far}");
        }
    }

    #[test]
    fn lets_go_and_keeps_silence_silent() {
        let mut samples = vec![0.0; 96_000];
        samples[10_000] = 4.0;
        samples[90_000] = 0.5;
        let out = run(1.0, 0.7, &samples, 4_800);
        assert!(out[10_000] <= 0.7 && out[10_000] > 0.6);
        assert_eq!(out[90_000], 0.5);
        assert!(
            out.iter()
                .enumerate()
                .all(|(n, sample)| *sample == 0.0 || n == 10_000 || n == 90_000)
        );
    }
}
