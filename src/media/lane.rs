//! One track on the mix's timeline: decoded, placed to the sample, concealed where packets were lost, cut to what is
//! allowed.

use crate::{
    domain::{
        recording::{CONCEAL_MAX, union},
        time::{MeetingTime, Micros, Span},
    },
    media::{decode::Decoder, frame::Pcm, matroska::Reader},
};
use anyhow::{Result, bail};
use std::{collections::VecDeque, path::Path};

/// Samples per second of a mix.
pub const RATE: u32 = 48_000;
/// At beginnings and ends of sound, inside the allowed side: 5 ms, so that nothing clicks.
const FADE: i64 = 240;
/// Time stamps may be this wrong (1.5 ms): rounding, jitter.
const SLACK: i64 = 72;
/// Up to here (20 ms) a wrong time is a drifting clock and is caught up with; beyond it is another place.
const DRIFT_MAX: i64 = 960;
/// Samples put in or left out per packet to catch up: 0.2 %, which nobody hears.
const CATCH_UP: i64 = 2;
/// A hole of half a packet or less is none.
const HOLE_MIN: Micros = Micros::from_ms(10);

/// The place of a MeetingTime on a timeline that begins at `zero`, in samples.
pub fn sample_at(time: MeetingTime, zero: MeetingTime) -> i64 {
    let us = i128::from(time.0) - i128::from(zero.0);
    i64::try_from((us * i128::from(RATE)).div_euclid(1_000_000)).unwrap_or(if us < 0 { i64::MIN } else { i64::MAX })
}

/// Reads one track forwards.
pub struct Lane {
    reader: Option<Reader>,
    decoder: Decoder,
    zero: MeetingTime,
    /// Allowed ranges of samples, sorted.
    allowed: Vec<(i64, i64)>,
    last: Option<MeetingTime>,
    run: Run,
}

impl Lane {
    /// Opens a finished track whose time 0 is `start`, for a timeline that begins at `zero`.
    ///
    /// # Errors
    /// When the file cannot be read or has no frames.
    pub fn open(path: &Path, start: MeetingTime, zero: MeetingTime, allowed: &[Span]) -> Result<Self> {
        let Some(reader) = Reader::open(path, start)? else { bail!("{} has no frames", path.display()) };
        let decoder = Decoder::new(reader.codec(), RATE)?;
        // From the first sample wholly inside to the one behind the last.
        let inside = |span: Span| (sample_at(span.start - Micros(1), zero) + 1, sample_at(span.end, zero));
        let allowed = union(allowed).into_iter().map(inside).collect();
        Ok(Self { reader: Some(reader), decoder, zero, allowed, last: None, run: Run::default() })
    }

    /// Adds this track's samples from place `from` on to `out`. Calls must follow each other without holes.
    pub fn add(&mut self, from: i64, out: &mut [f32]) -> Result<()> {
        let to = from + out.len() as i64;
        while self.run.ready() < to && self.reader.is_some() {
            self.advance()?;
        }
        let allowed = self.allowed.partition_point(|(_, end)| *end <= from);
        let allowed = &self.allowed[allowed..];
        self.run.take(to, |place, samples| {
            for (open, close) in allowed {
                let (first, last) = ((*open).max(place).max(from), (*close).min(place + samples.len() as i64).min(to));
                for at in first..last {
                    let near = (at - open).min(close - 1 - at);
                    let fade = if near < FADE { (near + 1) as f32 / (FADE + 1) as f32 } else { 1.0 };
                    out[(at - from) as usize] += samples[(at - place) as usize] * fade;
                }
            }
        });
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let (run, zero) = (&mut self.run, self.zero);
        let mut put = |pcm: Pcm| run.put(sample_at(pcm.span.start, zero), pcm.samples);
        let Some(frame) = reader.read()? else {
            self.reader = None;
            self.decoder.flush(&mut put)?;
            run.end();
            return Ok(());
        };
        if let Some(last) = self.last {
            let hole = Span::new(last, frame.span.start);
            if hole.length() > HOLE_MIN && hole.length() <= CONCEAL_MAX {
                self.decoder.lost(hole, &mut put)?;
            }
        }
        self.last = Some(frame.span.end);
        self.decoder.push(&frame, &mut put)
    }
}

/// Samples placed on the timeline, in order. A run is sound without a hole; its last samples are held back until it is
/// known whether it goes on, because its end is faded.
#[derive(Default)]
struct Run {
    pieces: VecDeque<(i64, Vec<f32>)>,
    /// Where the run's next sample belongs.
    next: Option<i64>,
    begin: i64,
    /// Behind the last sample of the runs before.
    floor: Option<i64>,
}

impl Run {
    /// Everything before this place is final.
    fn ready(&self) -> i64 {
        match self.next {
            Some(next) => next - FADE,
            None => self.floor.unwrap_or(i64::MIN),
        }
    }

    fn put(&mut self, place: i64, mut samples: Vec<f32>) {
        if samples.is_empty() {
            return;
        }
        let place = match self.next {
            Some(next) if (place - next).abs() <= DRIFT_MAX => {
                let off = place - next;
                if off.abs() > SLACK {
                    samples = stretch(&samples, off.clamp(-CATCH_UP, CATCH_UP));
                }
                next
            }
            _ => {
                self.end();
                // What would lie before the end of the last run is left out.
                let taken = self.floor.map_or(0, |floor| (floor - place).max(0));
                let taken = usize::try_from(taken).unwrap_or(usize::MAX).min(samples.len());
                samples.drain(..taken);
                if samples.is_empty() {
                    return;
                }
                let count = samples.len().min(FADE as usize);
                for (n, sample) in samples[..count].iter_mut().enumerate() {
                    *sample *= (n + 1) as f32 / (FADE + 1) as f32;
                }
                self.begin = place + taken as i64;
                self.begin
            }
        };
        self.next = Some(place + samples.len() as i64);
        self.pieces.push_back((place, samples));
    }

    /// The run ends here: fades its last samples.
    fn end(&mut self) {
        let Some(next) = self.next.take() else { return };
        self.floor = Some(next);
        for (place, samples) in self.pieces.iter_mut().rev() {
            let from = (next - FADE).max(self.begin) - *place;
            for n in from.max(0)..samples.len() as i64 {
                samples[n as usize] *= (next - (*place + n)) as f32 / (FADE + 1) as f32;
            }
            if from >= 0 {
                break;
            }
        }
    }

    /// Gives what lies before `to`, and lets go of it.
    fn take(&mut self, to: i64, mut give: impl FnMut(i64, &[f32])) {
        while let Some((place, samples)) = self.pieces.front_mut() {
            let count = usize::try_from(to - *place).unwrap_or(0).min(samples.len());
            give(*place, &samples[..count]);
            if count < samples.len() {
                samples.drain(..count);
                *place += count as i64;
                return;
            }
            self.pieces.pop_front();
        }
    }
}

/// Makes `samples` longer (or shorter) by `by`, by cubic interpolation (Catmull-Rom).
fn stretch(samples: &[f32], by: i64) -> Vec<f32> {
    let count = samples.len();
    let wanted = usize::try_from(count as i64 + by).unwrap_or(count);
    if wanted < 2 || count < 4 || wanted == count {
        return samples.to_vec();
    }
    let step = (count - 1) as f64 / (wanted - 1) as f64;
    let at = |n: i64| samples[n.clamp(0, count as i64 - 1) as usize];
    (0..wanted)
        .map(|n| {
            let place = n as f64 * step;
            let whole = place.floor() as i64;
            let t = (place - place.floor()) as f32;
            let (a, b, c, d) = (at(whole - 1), at(whole), at(whole + 1), at(whole + 2));
            b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(run: &mut Run, to: i64) -> Vec<(i64, f32)> {
        let mut all = Vec::new();
        run.take(to, |place, samples| all.extend(samples.iter().enumerate().map(|(n, s)| (place + n as i64, *s))));
        all
    }

    #[test]
    fn a_run_is_faded_at_both_ends_and_nowhere_else() {
        let mut run = Run::default();
        run.put(1_000, vec![1.0; 960]);
        run.put(1_970, vec![1.0; 960]); // ten samples late: within the slack
        assert_eq!(run.ready(), 2_920 - FADE);
        run.put(9_000, vec![1.0; 960]);
        assert_eq!(run.ready(), 9_960 - FADE);
        run.end();
        let all = taken(&mut run, i64::MAX);
        assert_eq!(all.len(), 3 * 960);
        let value = |place: i64| all.iter().find(|(at, _)| *at == place).map(|(_, value)| *value);
        for (place, about) in
            [(1_000, 0.0), (1_120, 0.5), (1_240, 1.0), (1_960, 1.0), (2_679, 1.0), (2_800, 0.5), (2_919, 0.0)]
        {
            assert!((value(place).expect("is there") - about).abs() < 0.01, "{place}: {:?}", value(place));
        }
        assert_eq!(value(2_920), None);
        assert!(value(9_000).expect("is there") < 0.01 && value(9_959).expect("is there") < 0.01);
    }

    #[test]
    fn a_drifting_clock_is_followed_and_an_overlap_left_out() {
        let mut run = Run::default();
        let mut place = 0.0;
        for _ in 0..3_000 {
            run.put(place as i64, vec![0.5; 960]);
            place += 960.0 * 1.0003; // 300 ppm
        }
        let next = run.next.expect("goes on");
        assert!((next as f64 - place).abs() <= (SLACK + 4) as f64, "{next} for {place}");
        assert!(taken(&mut run, i64::MAX).windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "one run");
        run.put(next - 2_000, vec![0.5; 960]);
        run.put(next - 1_040, vec![0.5; 2_000]);
        run.end();
        let rest = taken(&mut run, i64::MAX);
        assert!(rest.iter().all(|(place, _)| *place >= next), "{:?}", rest.first());
    }

    #[test]
    fn stretching_keeps_the_sound() {
        let sine: Vec<f32> = (0..960).map(|n| (n as f32 * 0.05).sin()).collect();
        for by in [-2, 2] {
            let other = stretch(&sine, by);
            assert_eq!(other.len() as i64, 960 + by);
            let step = 959.0 / (other.len() - 1) as f32;
            for (n, sample) in other.iter().enumerate() {
                assert!((sample - (n as f32 * step * 0.05).sin()).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn places_are_exact_for_a_day() {
        assert_eq!(sample_at(MeetingTime::from_ms(86_400_000), MeetingTime::ZERO), 86_400 * 48_000);
        assert_eq!(sample_at(MeetingTime(20), MeetingTime::ZERO), 0);
        assert_eq!(sample_at(MeetingTime(21), MeetingTime::ZERO), 1);
        assert_eq!(sample_at(MeetingTime::from_ms(1), MeetingTime::from_ms(2)), -48);
        assert!(sample_at(MeetingTime::MAX, MeetingTime::ZERO) > i64::MAX / 100);
        assert!(sample_at(MeetingTime::ZERO, MeetingTime::MAX) < i64::MIN / 100);
    }
}
