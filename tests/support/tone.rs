//! Tones made, encoded and found again, and what ffmpeg says of a file.

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSrc};
use hansard::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::frame::Frame,
};
use std::{f64::consts::TAU, path::Path, process::Command};

/// Samples per second of everything here.
pub const RATE: usize = 48_000;

/// A sine of this amplitude.
pub fn sine(hz: f64, amplitude: f64, seconds: f64) -> Vec<f32> {
    let count = (seconds * RATE as f64).round() as usize;
    (0..count)
        .map(|n| (amplitude * (TAU * hz * n as f64 / RATE as f64).sin()) as f32)
        .collect()
}

/// A tone in syllables of different loudness with pauses, so that peaks stand far over the mean as
/// in speech.
pub fn syllables(hz: f64, amplitude: f64, seconds: f64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(hz as u64);
    let mut level = 0.0;
    sine(hz, 1.0, seconds)
        .into_iter()
        .enumerate()
        .map(|(n, sample)| {
            if n % 6_000 == 0 {
                level = if random.u8(..4) == 0 {
                    0.0
                } else {
                    amplitude * 10f64.powf(-random.f64())
                };
            }
            let swell = ((n % 6_000) as f64 / 6_000.0 * std::f64::consts::PI).sin();
            sample * (level * swell) as f32
        })
        .collect()
}

/// Amplitude of a frequency in samples at `rate`, under a Hann window, so that neighbours and edges
/// leak little.
pub fn amplitude(samples: &[f32], hz: f64, rate: usize) -> f64 {
    let count = samples.len() as f64;
    let (mut re, mut im, mut weight) = (0.0, 0.0, 1e-9);
    for (n, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / count).cos();
        let (sin, cos) = (TAU * hz * n as f64 / rate as f64).sin_cos();
        re += window * cos * f64::from(*sample);
        im += window * sin * f64::from(*sample);
        weight += window;
    }
    2.0 * re.hypot(im) / weight
}

/// Root mean square in dBFS.
pub fn level_db(samples: &[f32]) -> f64 {
    let power = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum::<f64>()
        / samples.len().max(1) as f64;
    10.0 * power.max(1e-20).log10()
}

/// The largest normalised correlation of two equally long signals over small shifts.
pub fn correlation(a: &[f32], b: &[f32], shift_max: usize) -> f64 {
    let norm = |samples: &[f32]| {
        samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    (0..=shift_max)
        .step_by(7)
        .flat_map(|shift| [(&a[shift.min(a.len())..], b), (a, &b[shift.min(b.len())..])])
        .map(|(a, b)| {
            let product: f64 = a
                .iter()
                .zip(b)
                .map(|(x, y)| f64::from(*x) * f64::from(*y))
                .sum();
            (product / (norm(a) * norm(b)).max(1e-12)).abs()
        })
        .fold(0.0, f64::max)
}

/// Milliseconds from the first to the last sample above a level, from the beginning.
pub fn audible_ms(samples: &[f32], above: f32) -> Option<(f64, f64)> {
    let ms = |n: usize| n as f64 * 1000.0 / RATE as f64;
    let first = samples.iter().position(|sample| sample.abs() > above)?;
    let last = samples.iter().rposition(|sample| sample.abs() > above)?;
    Some((ms(first), ms(last)))
}

/// What GStreamer elements make of mono samples at [`RATE`], buffer by buffer.
pub fn packets(encoder: &str, samples: &[f32]) -> Vec<Vec<u8>> {
    gst::init().expect("GStreamer starts");
    let graph = gst::parse::launch(&format!(
        "appsrc name=in format=time caps=audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved \
         ! audioconvert ! {encoder} ! appsink name=out sync=false"
    ))
    .expect("the encoders are there")
    .downcast::<gst::Pipeline>()
    .expect("a pipeline");
    let input = graph
        .by_name("in")
        .and_then(|element| element.downcast::<AppSrc>().ok())
        .expect("an appsrc");
    let output = graph
        .by_name("out")
        .and_then(|element| element.downcast::<AppSink>().ok())
        .expect("an appsink");
    graph.set_state(gst::State::Playing).expect("plays");
    let bytes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let mut buffer = gst::Buffer::from_slice(bytes);
    buffer
        .get_mut()
        .expect("ours")
        .set_pts(gst::ClockTime::ZERO);
    input.push_buffer(buffer).expect("takes the samples");
    input.end_of_stream().expect("ends");
    let mut payloads = Vec::new();
    while let Ok(sample) = output.pull_sample() {
        let buffer = sample.buffer().expect("a buffer");
        payloads.push(buffer.map_readable().expect("readable").to_vec());
    }
    graph.set_state(gst::State::Null).expect("stops");
    payloads
}

/// Encodes mono samples at [`RATE`] into frames of 20 ms, captured from `start_ms` on.
pub fn encode(codec: AudioCodec, samples: &[f32], start_ms: i64) -> Vec<Frame> {
    let encoder = match codec {
        AudioCodec::Opus => {
            "opusenc frame-size=20 bitrate=32000 inband-fec=true packet-loss-percentage=20 audio-type=voice"
        }
        AudioCodec::Pcmu => "mulawenc",
        AudioCodec::Pcma => "alawenc",
    };
    let rate = if codec == AudioCodec::Opus {
        48_000
    } else {
        8_000
    };
    let encoder = format!("audioresample ! audio/x-raw,rate={rate},channels=1 ! {encoder}");
    let mut payloads = packets(&encoder, samples);
    if codec != AudioCodec::Opus {
        let all = payloads.concat();
        payloads = all.chunks_exact(160).map(<[u8]>::to_vec).collect();
    }
    let frame = |(n, payload): (usize, Vec<u8>)| Frame {
        payload: payload.into(),
        span: Span::of(
            MeetingTime::from_ms(start_ms + 20 * n as i64),
            Micros::from_ms(20),
        ),
    };
    payloads.into_iter().enumerate().map(frame).collect()
}

/// What ffmpeg decodes of a file: mono at [`RATE`], with all it does about priming and edit lists.
pub fn ffmpeg_decode(path: &Path) -> Vec<f32> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "f32le", "-ac", "1", "-ar", "48000", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    out.stdout
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// Integrated loudness in LUFS and true peak in dBTP, as ffmpeg measures them.
pub fn ffmpeg_loudness(path: &Path) -> (f64, f64) {
    let out = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(path)
        .args([
            "-af",
            "ebur128=peak=true:framelog=verbose",
            "-f",
            "null",
            "-",
        ])
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .rev()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(f64::NEG_INFINITY)
    };
    (value("I:"), value("Peak:"))
}

/// `ffprobe`'s value of one entry of the file or its stream, e.g. `format=duration`.
pub fn ffprobe(path: &Path, entry: &str) -> String {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            entry,
            "-of",
            "default=nw=1:nk=1",
        ])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}
