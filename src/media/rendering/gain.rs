//! How much a mix is amplified: to the loudness of [`loudness`], behind the limiter.

use crate::{
    domain::loudness,
    media::rendering::{
        limiter::Limiter,
        mix_input::RATE,
        scratch::{BLOCK, Take},
    },
};
use anyhow::{Context, Result};
use ebur128::{EbuR128, Mode};

/// Mixes longer than this, in samples, are heard in part to find out how much loudness the limiter
/// takes: every so many sections of so many blocks, a quarter of each two minutes.
const WHOLE_MAX: u64 = 600 * RATE as u64;
const SECTION: usize = 30;
const EVERY: usize = 4;
/// True peaks are at most this much above sample peaks; nearer to the limit, the limiter is tried.
const BETWEEN_DB: f64 = 3.0;

/// Is told 0…1, and ends the work by an error.
pub type Progress<'a> = &'a mut dyn FnMut(f64) -> Result<()>;

/// The gain in dB that brings a mix behind the limiter to its loudness. `lufs` and `peak` (of its
/// samples) are those of the mix as it is.
///
/// # Errors
/// When the mix cannot be read, or `progress` says so.
pub fn of(take: &mut Take, lufs: Option<f64>, peak: f32, progress: Progress) -> Result<f64> {
    let every = if take.length() > WHOLE_MAX { EVERY } else { 1 };
    heard(take, every, lufs, peak, progress)
}

/// The same by every `every`th section.
fn heard(
    take: &mut Take,
    every: usize,
    lufs: Option<f64>,
    peak: f32,
    progress: Progress,
) -> Result<f64> {
    let mut gain_db = loudness::gain_db(lufs);
    let near = loudness::factor(loudness::LIMIT_DBTP - BETWEEN_DB);
    let Some(lufs) = lufs.filter(|lufs| *lufs >= loudness::FLOOR_LUFS) else {
        return Ok(gain_db);
    };
    if peak * loudness::factor(gain_db) <= near {
        return Ok(gain_db);
    }
    let (every, part_lufs) = part(take, every, lufs)?;
    for correction in 0..loudness::CORRECTIONS_MAX {
        let behind = measure(take, every, Some(limiter(gain_db)), &mut |part| {
            progress((correction as f64 + part) / loudness::CORRECTIONS_MAX as f64)
        })?;
        let result = behind.map(|behind| lufs + (behind - part_lufs));
        match loudness::correct(gain_db, result) {
            Some(better) => gain_db = better,
            None => break,
        }
        if peak * loudness::factor(gain_db) <= near {
            break;
        }
    }
    Ok(gain_db)
}

/// Which sections are heard, and how loud they are without a limiter: all, where those that were
/// meant are too silent to tell anything.
fn part(take: &mut Take, every: usize, lufs: f64) -> Result<(usize, f64)> {
    if every > 1 {
        let part = measure(take, every, None, &mut |_| Ok(()))?;
        if let Some(part) = part.filter(|part| *part >= loudness::FLOOR_LUFS) {
            return Ok((every, part));
        }
    }
    Ok((1, lufs))
}

/// The loudness of every `every`th section, behind a limiter if one is given.
fn measure(
    take: &mut Take,
    every: usize,
    limiter: Option<Limiter>,
    progress: Progress,
) -> Result<Option<f64>> {
    let mut meter = Meter::new()?;
    pass(take, every, limiter, &mut |samples, part| {
        progress(part)?;
        meter.add(samples)
    })?;
    meter.lufs()
}

/// Gives every `every`th section to `to` in blocks, behind a limiter if one is given, with how far
/// in the whole it is.
///
/// # Errors
/// When the mix cannot be read, or `to` says so.
pub fn pass(
    take: &mut Take,
    every: usize,
    mut limiter: Option<Limiter>,
    to: &mut dyn FnMut(&[f32], f64) -> Result<()>,
) -> Result<()> {
    let (length, mut done, mut blocks) = (take.length() as f64, 0, 0);
    let mut out = Vec::with_capacity(BLOCK);
    take.read(|samples| {
        let is_heard = (blocks / SECTION).is_multiple_of(every);
        blocks += 1;
        done += samples.len();
        let part = done as f64 / length;
        match &mut limiter {
            _ if !is_heard => Ok(()),
            None => to(samples, part),
            Some(limiter) => {
                out.clear();
                limiter.push(samples, &mut out);
                to(&out, part)
            }
        }
    })?;
    if let Some(limiter) = limiter {
        out.clear();
        limiter.finish(&mut out);
        to(&out, 1.0)?;
    }
    Ok(())
}

/// Amplifies by so much, and keeps true peaks below the limit.
pub fn limiter(gain_db: f64) -> Limiter {
    Limiter::new(
        loudness::factor(gain_db),
        loudness::factor(loudness::LIMIT_DBTP),
    )
}

/// Integrated loudness, mono.
pub struct Meter(EbuR128);

impl Meter {
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Self> {
        Ok(Self(
            EbuR128::new(1, RATE as u32, Mode::I).context("no loudness meter")?,
        ))
    }

    /// # Errors
    /// When the meter fails.
    pub fn add(&mut self, samples: &[f32]) -> Result<()> {
        self.0
            .add_frames_f32(samples)
            .context("the loudness meter fails")
    }

    /// `None`: too short or too silent to have one.
    ///
    /// # Errors
    /// When the meter fails.
    pub fn lufs(&self) -> Result<Option<f64>> {
        let lufs = self
            .0
            .loudness_global()
            .context("the loudness meter fails")?;
        Ok(lufs.is_finite().then_some(lufs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rendering::scratch::Scratch;

    /// Syllables of noise whose level changes every few seconds, with full peaks.
    fn take(name: &str, seconds: usize) -> Take {
        let file = format!("hansard-gain-{name}-{}", std::process::id());
        let mut scratch = Scratch::create(&std::env::temp_dir().join(file)).expect("creates");
        let mut random = fastrand::Rng::with_seed(3);
        for second in 0..seconds {
            let level = [0.02, 0.08, 0.05, 0.0, 0.11][second / 7 % 5];
            let samples: Vec<f32> = (0..BLOCK)
                .map(|n| {
                    let peak = if n % 24_000 < 200 { 6.0 } else { 1.0 };
                    let beat = if n % 12_000 < 7_000 { 1.0 } else { 0.1 };
                    level * peak * beat * (random.f32() * 2.0 - 1.0)
                })
                .collect();
            scratch.write(&samples).expect("writes");
        }
        scratch.finish().expect("finishes")
    }

    #[test]
    fn a_part_of_a_long_mix_tells_what_the_limiter_takes() {
        let mut take = take("part", 4 * 2 * SECTION);
        let mut no_progress = |_| Ok(());
        let lufs = measure(&mut take, 1, None, &mut no_progress).expect("measures");
        let gain_db = heard(&mut take, EVERY, lufs, 0.66, &mut no_progress).expect("a gain");
        let without_limiter = loudness::gain_db(lufs);
        assert!(
            gain_db > without_limiter + 0.5,
            "the limiter has to take something: {gain_db} of {without_limiter}"
        );
        let result = measure(&mut take, 1, Some(limiter(gain_db)), &mut no_progress);
        let off = result.expect("measures").expect("loud enough") - loudness::TARGET_LUFS;
        assert!(off.abs() < 2.0 * loudness::NEAR_LU, "{off} LU off");
    }

    #[test]
    fn where_the_part_is_silent_all_is_heard() {
        let file = format!("hansard-gain-silent-{}", std::process::id());
        let mut scratch = Scratch::create(&std::env::temp_dir().join(file)).expect("creates");
        scratch.write(&vec![0.0; SECTION * BLOCK]).expect("writes");
        let mut random = fastrand::Rng::with_seed(4);
        let noise: Vec<f32> = (0..5 * BLOCK).map(|_| random.f32() - 0.5).collect();
        scratch.write(&noise).expect("writes");
        let mut take = scratch.finish().expect("finishes");
        let lufs = measure(&mut take, 1, None, &mut |_| Ok(()))
            .expect("measures")
            .expect("loud enough");
        let (every, heard) = part(&mut take, EVERY, lufs).expect("measures");
        assert_eq!((every, heard), (1, lufs));
    }
}
