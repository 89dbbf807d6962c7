//! How loud a recording is along its length: what a waveform is drawn from, without its sound.

use crate::time::Micros;

/// One peak stands for so long: an hour has 72,000 of them, a byte each.
pub const INTERVAL: Micros = Micros::from_ms(50);

/// Finds the peaks of a file while it is made.
#[derive(Clone, Debug)]
pub struct PeakMeter {
    /// Samples in an interval.
    each: usize,
    /// Samples that the interval has so far, and the loudest of them.
    open: (usize, f32),
    peaks: Vec<u8>,
}

impl PeakMeter {
    /// `rate`: samples a second.
    pub fn new(rate: u32) -> Self {
        let each = i64::from(rate) * INTERVAL.as_ms() / 1000;
        Self {
            each: usize::try_from(each).unwrap_or(1).max(1),
            open: (0, 0.0),
            peaks: Vec::new(),
        }
    }

    /// Takes what comes next, of full scale 1.
    pub fn push(&mut self, mut samples: &[f32]) {
        while !samples.is_empty() {
            let (count, peak) = self.open;
            let (now, later) = samples.split_at(samples.len().min(self.each - count));
            let peak = now.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
            self.open = (count + now.len(), peak);
            if self.open.0 == self.each {
                self.close();
            }
            samples = later;
        }
    }

    /// So many samples of silence come next.
    pub fn silence(&mut self, mut samples: usize) {
        while samples > 0 {
            let now = samples.min(self.each - self.open.0);
            self.open.0 += now;
            if self.open.0 == self.each {
                self.close();
            }
            samples -= now;
        }
    }

    /// The loudest sample of each interval, of 255; a last one that is not full counts, too.
    pub fn finish(mut self) -> Vec<u8> {
        if self.open.0 > 0 {
            self.close();
        }
        self.peaks
    }

    /// The same of a file of this length: what it holds behind its last sound is silence.
    pub fn finish_at(self, length: Micros) -> Vec<u8> {
        let mut peaks = self.finish();
        let intervals = length
            .0
            .max(0)
            .unsigned_abs()
            .div_ceil(INTERVAL.0.unsigned_abs());
        peaks.resize(usize::try_from(intervals).unwrap_or(usize::MAX), 0);
        peaks
    }

    fn close(&mut self) {
        let (_, peak) = std::mem::take(&mut self.open);
        // Whatever is not silent is to be seen.
        self.peaks.push((peak.min(1.0) * 255.0).ceil() as u8);
    }
}

/// At most so many, each the loudest of an equal part, 0 to 1.
pub fn pooled(peaks: &[u8], points: usize) -> Vec<f64> {
    let count = points.min(peaks.len());
    let at = |n: usize| n * peaks.len() / count;
    (0..count)
        .map(|n| {
            let loudest = peaks[at(n)..at(n + 1)].iter().copied().max();
            let loudest = f64::from(loudest.unwrap_or(0)) / 255.0;
            (loudest * 1000.0).round() / 1000.0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peaks(rate: u32, samples: &[f32], pieces: usize) -> Vec<u8> {
        let mut meter = PeakMeter::new(rate);
        samples.chunks(pieces).for_each(|piece| meter.push(piece));
        meter.finish()
    }

    #[test]
    fn the_loudest_of_each_interval_in_whatever_pieces_they_come() {
        // 50 samples an interval, and half of one.
        let mut samples = vec![0.0; 125];
        samples[49] = -0.5;
        samples[50] = 0.001;
        samples[124] = 2.0;
        for pieces in [1, 7, 50, 51, 125] {
            assert_eq!(peaks(1000, &samples, pieces), [128, 1, 255], "{pieces}");
        }
        assert_eq!(peaks(1000, &[0.0; 50], 9), [0]);
        assert_eq!(peaks(48_000, &[0.1; 48_000], 1024).len(), 20);
        assert!(PeakMeter::new(1000).finish().is_empty());
    }

    #[test]
    fn silence_is_as_long_as_it_is_said_and_a_file_as_long_as_it_says() {
        let mut meter = PeakMeter::new(1000);
        meter.push(&[0.2; 30]);
        meter.silence(10);
        meter.push(&[0.4; 20]);
        meter.silence(131);
        meter.push(&[1.0]);
        let all = [102, 102, 0, 255];
        assert_eq!(meter.finish(), all);
        for (ms, peaks) in [
            (0, vec![]),
            (51, vec![51, 0]),
            (100, vec![51, 0]),
            (101, vec![51, 0, 0]),
        ] {
            let mut meter = PeakMeter::new(1000);
            meter.push(&[0.2; 10]);
            assert_eq!(meter.finish_at(Micros::from_ms(ms)), peaks, "{ms}");
        }
    }

    #[test]
    fn fewer_points_lose_no_peak_and_more_than_there_are_make_none() {
        let all = [0, 255, 51, 0, 0, 102, 0];
        assert_eq!(pooled(&all, 3), [1.0, 0.2, 0.4]);
        assert_eq!(pooled(&all, 7)[1], 1.0);
        assert_eq!(pooled(&all, 1000).len(), 7);
        assert_eq!(pooled(&all, 1), [1.0]);
        assert!(pooled(&[], 5).is_empty());
        for points in 1..=7 {
            let most = pooled(&all, points).into_iter().fold(0.0, f64::max);
            assert_eq!(most, 1.0, "{points}");
        }
    }
}
