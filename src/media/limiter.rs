//! A look-ahead true-peak limiter.
//!
//! Peaks between samples are found by fourfold interpolation (as ITU-R BS.1770 annex 2 does). The gain that each sample
//! needs is held over the look-ahead, released slowly, and averaged over the look-ahead: every value of that average is at
//! most what the sample needs, so nothing gets through, and the gain has no corners that one could hear.

use std::{collections::VecDeque, f32::consts::PI};

/// 5 ms at 48 kHz.
const AHEAD: usize = 240;
/// How much of the way back to 1 the gain goes per sample: a time constant of 80 ms at 48 kHz.
const RELEASE: f32 = 1.0 / (0.080 * 48_000.0);
const TAPS: usize = 12;
/// Interpolation looks at this many samples after the one it starts from.
const TAIL: usize = TAPS / 2;
const PHASES: usize = 3;

/// One channel at 48 kHz. Output comes behind input; [`Limiter::finish`] gives the rest, so that as much comes out as
/// went in, in place.
pub struct Limiter {
    ceiling: f32,
    phases: [[f32; TAPS]; PHASES],
    /// The last `TAPS` samples, for interpolation.
    near: [f32; TAPS],
    /// Samples that wait for their gain.
    waiting: VecDeque<f32>,
    /// Lowest needed gains of the look-ahead, with their places, rising.
    lowest: VecDeque<(u64, f32)>,
    gains: VecDeque<f32>,
    sum: f64,
    released: f32,
    place: u64,
    /// Samples at the beginning that are only delay.
    skip: usize,
}

impl Limiter {
    /// `ceiling` is the largest amplitude that may come out.
    pub fn new(ceiling: f32) -> Self {
        Self {
            ceiling,
            phases: interpolators(),
            near: [0.0; TAPS],
            waiting: VecDeque::from(vec![0.0; AHEAD + TAIL]),
            lowest: VecDeque::new(),
            gains: VecDeque::from(vec![1.0; AHEAD]),
            sum: AHEAD as f64,
            released: 1.0,
            place: 0,
            skip: AHEAD + TAIL,
        }
    }

    /// Takes samples; what is ready is appended to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        for &sample in samples {
            let limited = self.step(sample);
            if self.skip > 0 {
                self.skip -= 1;
            } else {
                out.push(limited);
            }
        }
    }

    /// The samples still inside.
    pub fn finish(mut self, out: &mut Vec<f32>) {
        self.push(&[0.0; AHEAD + TAIL], out);
    }

    fn step(&mut self, sample: f32) -> f32 {
        self.near.copy_within(1.., 0);
        self.near[TAPS - 1] = sample;
        let need = self.need();
        while self.lowest.back().is_some_and(|(_, gain)| *gain >= need) {
            self.lowest.pop_back();
        }
        self.lowest.push_back((self.place, need));
        if self.lowest.front().is_some_and(|(place, _)| place + AHEAD as u64 <= self.place) {
            self.lowest.pop_front();
        }
        self.place += 1;
        let held = self.lowest.front().map_or(1.0, |(_, gain)| *gain);
        self.released = held.min(self.released + (1.0 - self.released) * RELEASE);
        let oldest = self.gains.pop_front().unwrap_or(1.0);
        self.gains.push_back(self.released);
        self.sum += f64::from(self.released) - f64::from(oldest);
        self.waiting.push_back(sample);
        let ready = self.waiting.pop_front().unwrap_or(0.0);
        // Rounding must not let the sum drift over what it stands for.
        ready * (self.sum / AHEAD as f64).min(1.0) as f32
    }

    /// The gain that the sample `TAIL` places back and what lies right behind it need.
    fn need(&self) -> f32 {
        let largest = self.near.iter().fold(0f32, |most, sample| most.max(sample.abs()));
        // Interpolation cannot double what is near it.
        if largest * 2.0 <= self.ceiling {
            return 1.0;
        }
        let mut peak = self.near[TAPS - 1 - TAIL].abs();
        for phase in &self.phases {
            let between: f32 = phase.iter().zip(&self.near).map(|(tap, sample)| tap * sample).sum();
            peak = peak.max(between.abs());
        }
        if peak > self.ceiling { self.ceiling / peak } else { 1.0 }
    }
}

/// Windowed sinc filters for a quarter, a half and three quarters behind the sample at `TAPS - 1 - TAIL`.
fn interpolators() -> [[f32; TAPS]; PHASES] {
    std::array::from_fn(|phase| {
        let at = (TAPS - 1 - TAIL) as f32 + (phase + 1) as f32 / 4.0;
        let mut taps: [f32; TAPS] = std::array::from_fn(|n| {
            let x = n as f32 - at;
            let window = (PI * x / (TAPS as f32 + 1.0)).cos().powi(2);
            (PI * x).sin() / (PI * x) * window
        });
        let sum: f32 = taps.iter().sum();
        taps.iter_mut().for_each(|tap| *tap /= sum);
        taps
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(samples: &[f32], ceiling: f32) -> Vec<f32> {
        let mut limiter = Limiter::new(ceiling);
        let mut out = Vec::new();
        for piece in samples.chunks(777) {
            limiter.push(piece, &mut out);
        }
        limiter.finish(&mut out);
        out
    }

    #[test]
    fn leaves_what_is_below_the_ceiling_untouched_and_in_place() {
        let samples: Vec<f32> = (0..5_000).map(|n| (n as f32 * 0.37).sin() * 0.3).collect();
        assert_eq!(limit(&samples, 0.8), samples);
    }

    #[test]
    fn nothing_gets_over_the_ceiling_not_between_samples_either() {
        let mut random = 1u32;
        let mut noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        // A quarter of the sampling rate, 45 degrees off: its peaks lie between the samples.
        let between: Vec<f32> = (0..20_000).map(|n| (PI / 2.0 * n as f32 + PI / 4.0).sin() * 2.0).collect();
        let bursts: Vec<f32> = (0..20_000).map(|n| noise() * if n % 5_000 < 300 { 4.0 } else { 0.1 }).collect();
        for samples in [between, bursts] {
            let out = limit(&samples, 0.75);
            assert_eq!(out.len(), samples.len());
            assert!(out.iter().all(|sample| sample.abs() <= 0.7501));
            let mut meter = ebur128::EbuR128::new(1, 48_000, ebur128::Mode::TRUE_PEAK).expect("a meter");
            meter.add_frames_f32(&out).expect("takes samples");
            let peak = meter.true_peak(0).expect("measures");
            assert!(peak <= 0.75 * 1.03, "true peak {peak}");
        }
    }
}
