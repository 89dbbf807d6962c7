//! What is sent, and what is found of it again.

use anyhow::{Context, Result, ensure};
use hansard_client::{
    meeting::{Meeting, Voice},
    tone::{self, OpusSettings},
};
use std::{
    f64::consts::TAU,
    path::{Path, PathBuf},
    process::Command,
};

/// Of everything that is sent.
pub const RATE: u32 = 48_000;

/// Samples in so many milliseconds at [`RATE`].
pub fn at(ms: i64) -> usize {
    usize::try_from(ms).unwrap_or(0) * RATE as usize / 1_000
}

/// A voice of the bundled sets, decoded.
pub fn voice(set: &str, name: &str, rate: u32) -> Result<Vec<f32>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/data/speech/{set}/{name}.opus"));
    tone::decode(&path, rate)
}

pub fn spoken_by(name: &str, samples: &[f32]) -> Result<Voice> {
    Ok(Voice {
        name: name.into(),
        frames: tone::opus(samples, OpusSettings::default())?.into(),
    })
}

/// A meeting of sounds in which nothing is said.
pub fn wordless(name: &str, voices: Vec<Voice>) -> Meeting {
    let frames = voices
        .iter()
        .map(|voice| voice.frames.len())
        .max()
        .unwrap_or(0);
    let duration = std::time::Duration::from_millis(20 * frames as u64);
    Meeting {
        name: name.into(),
        duration,
        voices,
        utterances: Vec::new(),
    }
}

/// Seeded noise at a level in dBFS RMS: white, or with a spectrum falling by 6 dB per octave.
pub fn noise(seed: u64, level_db: f32, brown: bool, samples: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut last = 0.0;
    let mut pcm: Vec<f32> = (0..samples)
        .map(|_| {
            let white = random.f32() * 2.0 - 1.0;
            last = if brown {
                last * 0.997 + white * 0.05
            } else {
                white
            };
            last
        })
        .collect();
    let gain = 10f32.powf(level_db / 20.0) / (tone::rms(&pcm) as f32).max(1e-9);
    pcm.iter_mut()
        .for_each(|sample| *sample = (*sample * gain).clamp(-1.0, 1.0));
    pcm
}

fn tone_at(n: usize, hz: f64) -> f32 {
    (TAU * hz * n as f64 / f64::from(RATE)).sin() as f32
}

/// Music without a voice: a chord of decaying strings every 600 ms.
pub fn chords(samples: usize) -> Vec<f32> {
    const ROOTS: [f64; 4] = [220.0, 174.6, 261.6, 196.0];
    let every = at(600);
    (0..samples)
        .map(|n| {
            let (chord, within) = (n / every, n % every);
            let root = ROOTS[chord / 2 % ROOTS.len()];
            let decay = (-(within as f32) / at(250) as f32).exp();
            let strings: f32 = [1.0, 1.26, 1.5, 2.0, 3.0]
                .iter()
                .map(|ratio| tone_at(n, root * ratio) * 0.06)
                .sum();
            strings * decay
        })
        .collect()
}

/// Breathing close to the microphone: noise that rises and falls every 4 s.
pub fn breath(samples: usize) -> Vec<f32> {
    let noise = noise(62, -28.0, false, samples);
    let swell = |n: usize| ((TAU * n as f64 / at(4_000) as f64).sin().max(0.0) as f32).powi(2);
    noise
        .iter()
        .enumerate()
        .map(|(n, sample)| sample * swell(n))
        .collect()
}

/// A car horn: two reeds a third apart, 700 ms every 5 s.
pub fn horn(samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|n| {
            if n % at(5_000) > at(700) {
                return 0.0;
            }
            let reed = |hz: f64| {
                (1..8)
                    .map(|k| tone_at(n, hz * f64::from(k)) / k as f32)
                    .sum::<f32>()
            };
            (reed(400.0) + reed(500.0)) * 0.08
        })
        .collect()
}

/// Laughter: every 4 s a bout of six calls of voice that fall in pitch, 75 ms each and 130 ms of
/// breath between them, as measured of people by Bachorowski et al. (2001).
pub fn laughter(samples: usize) -> Vec<f32> {
    const CALLS: usize = 6;
    const FORMANTS: [(f64, f32); 3] = [(650.0, 1.0), (1_500.0, 0.5), (2_600.0, 0.25)];
    let (bout, call, voiced) = (at(4_000), at(205), at(75));
    let breath = noise(63, -34.0, false, samples);
    let mut phase = 0.0f64;
    (0..samples)
        .map(|n| {
            let within = n % bout;
            let (nth, in_call) = (within / call, within % call);
            if nth >= CALLS {
                return 0.0;
            }
            if in_call >= voiced {
                return breath[n];
            }
            let through = in_call as f64 / voiced as f64;
            let hz = 290.0 - 15.0 * nth as f64 - 40.0 * through;
            phase += TAU * hz / f64::from(RATE);
            // Harmonics, as loud as the formants let them be.
            let voice: f32 = (1..12)
                .map(|k| {
                    let at_hz = hz * f64::from(k);
                    let loud: f32 = FORMANTS
                        .iter()
                        .map(|(formant, level)| {
                            level / (1.0 + ((at_hz - formant) / 120.0).powi(2)) as f32
                        })
                        .sum();
                    (phase * f64::from(k)).sin() as f32 * loud
                })
                .sum();
            let swell = (std::f64::consts::PI * through).sin() as f32;
            voice * swell * 0.15 * 0.9f32.powi(nth as i32) + breath[n]
        })
        .collect()
}

pub fn add(to: &mut [f32], from: usize, what: &[f32]) {
    to.iter_mut()
        .skip(from)
        .zip(what)
        .for_each(|(sample, more)| *sample += more);
}

/// Everything that ffmpeg decodes of a file, with all it does about priming and edit lists.
pub fn ffmpeg(path: &Path) -> Result<Vec<f32>> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "f32le", "-ac", "1", "-ar", &RATE.to_string(), "-"])
        .output()
        .context("ffmpeg is not installed")?;
    ensure!(
        out.status.success(),
        "ffmpeg: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(out
        .stdout
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

/// The end of a file's last packet in milliseconds, by its time stamps; `None` when it has none.
pub fn last_packet_ms(path: &Path) -> Result<Option<f64>> {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "packet=pts_time,duration_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .context("ffprobe is not installed")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.split(',');
        let from: f64 = fields.next()?.parse().ok()?;
        // Of a segment's packets Matroska knows no durations; all that is sent here is 20 ms.
        let length = fields
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0.02);
        Some((from + length) * 1_000.0)
    });
    Ok(ends.max_by(f64::total_cmp))
}

/// Where a burst of `hz` that lasts `length_ms` begins, in milliseconds: the best place within
/// `within_ms` of `near_ms`. `None` when less than a third of `amplitude` is there.
pub fn find(
    samples: &[f32],
    hz: f64,
    length_ms: i64,
    near_ms: f64,
    within_ms: f64,
    amplitude: f64,
) -> Option<f64> {
    let wide = at(length_ms);
    let from = at((near_ms - within_ms) as i64);
    let to = (at((near_ms + within_ms) as i64) + wide).min(samples.len());
    // Sums up to each place of the sound turned by the frequency; a window's is the difference of
    // two.
    let mut sums = vec![(0.0, 0.0)];
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.get(from..to)?.iter().enumerate() {
        let (sin, cos) = (TAU * hz * n as f64 / f64::from(RATE)).sin_cos();
        (re, im) = (re + cos * f64::from(*sample), im - sin * f64::from(*sample));
        sums.push((re, im));
    }
    let heard = |n: usize| {
        (sums[n + wide].0 - sums[n].0).hypot(sums[n + wide].1 - sums[n].1) * 2.0 / wide as f64
    };
    let best = (0..sums.len().checked_sub(wide)?).max_by(|a, b| heard(*a).total_cmp(&heard(*b)))?;
    (heard(best) > amplitude / 3.0).then(|| (from + best) as f64 * 1_000.0 / f64::from(RATE))
}

/// The end of the last 5 ms that are louder than this, in milliseconds.
pub fn last_heard_ms(samples: &[f32], rate: u32, above_db: f64) -> Option<f64> {
    let window = rate as usize / 200;
    let last = samples
        .chunks(window)
        .rposition(|chunk| tone::dbfs(tone::rms(chunk)) > above_db)?;
    Some((last + 1) as f64 * 5.0)
}
