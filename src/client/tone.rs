//! Sounds that are known exactly, and how to find them again in a file.
//!
//! Everything here blocks: call it before a meeting starts, or from a blocking thread.

use super::{impair::random, opus, sender::Frame};
use anyhow::{Context, Result, anyhow, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSrc};
use std::{f64::consts::TAU, path::Path, time::Duration};
use tokio_util::bytes::Bytes;

/// The length of one packet.
const FRAME: Duration = Duration::from_millis(20);
/// The length over which a level is measured.
pub const WINDOW: Duration = Duration::from_millis(100);
/// How long a graph may give nothing.
const STEP_MAX: gst::ClockTime = gst::ClockTime::from_seconds(10);
/// A decoded buffer may begin this much off its place before silence is filled in.
const PLACE_MS_MAX: u64 = 5;

// 16 bit samples go in as they are: `audioconvert` would add dither, and silence would be none.
const ENCODE: &str = "appsrc name=in format=time ! opusenc name=opus frame-size=20 ! \
    appsink name=out sync=false max-buffers=0";
const DECODE: &str = "filesrc name=file ! decodebin ! audioconvert ! audioresample ! capsfilter name=form ! \
    appsink name=out sync=false max-buffers=64";

/// A sine of an amplitude (1 is full scale), mono.
pub fn sine(hz: f64, amplitude: f64, length: Duration, rate: u32) -> Vec<f32> {
    (0..count(length, rate))
        .map(|n| (amplitude * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32)
        .collect()
}

/// Digital silence.
pub fn silence(length: Duration, rate: u32) -> Vec<f32> {
    vec![0.0; count(length, rate)]
}

/// White noise of a peak amplitude; the same seed gives the same noise.
pub fn noise(seed: u64, amplitude: f64, length: Duration, rate: u32) -> Vec<f32> {
    let mut random = random(seed);
    (0..count(length, rate))
        .map(|_| (amplitude * (2.0 * random.f64() - 1.0)) as f32)
        .collect()
}

/// What the encoder is asked for.
#[derive(Clone, Copy, Debug)]
pub struct OpusSettings {
    pub bitrate: i32,
    /// In-band forward error correction, for this expected loss.
    pub fec_for_loss_percent: Option<i32>,
    pub dtx: bool,
}

impl Default for OpusSettings {
    fn default() -> Self {
        Self {
            bitrate: 32_000,
            fec_for_loss_percent: None,
            dtx: false,
        }
    }
}

/// Encodes 48 kHz mono samples to 20 ms packets.
///
/// # Errors
/// When GStreamer's `opusenc` is missing or fails.
pub fn opus(samples: &[f32], settings: OpusSettings) -> Result<Vec<Frame>> {
    let graph = Graph::load(ENCODE)?;
    let encoder = graph.element("opus")?;
    encoder.set_property("bitrate", settings.bitrate);
    encoder.set_property("dtx", settings.dtx);
    if let Some(percent) = settings.fec_for_loss_percent {
        encoder.set_property("inband-fec", true);
        encoder.set_property("packet-loss-percentage", percent);
        encoder.set_property_from_str("audio-type", "voice");
    }
    let source: AppSrc = graph
        .element("in")?
        .downcast()
        .map_err(|_| anyhow!("`in` is no appsrc"))?;
    source.set_caps(Some(&form("S16LE", opus::CLOCK_RATE)));
    source.set_max_bytes(0);
    graph.play()?;
    let bytes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sixteen(*sample).to_le_bytes())
        .collect();
    let mut buffer = gst::Buffer::from_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    source.push_buffer(buffer)?;
    source.end_of_stream()?;
    let mut frames = Vec::new();
    while let Some(sample) = graph.pull()? {
        let map = sample
            .buffer()
            .context("a sample without a buffer")?
            .map_readable()?;
        let ticks = opus::ticks(&map).context("the encoder gave no Opus packet")?;
        frames.push(Frame {
            payload: Bytes::copy_from_slice(&map),
            ticks,
        });
    }
    // The encoder pads with one packet more for its own delay.
    frames.truncate(samples.len().div_ceil(count(FRAME, opus::CLOCK_RATE)));
    Ok(frames)
}

/// 8 kHz mono samples as 20 ms of G.711 µ-law.
pub fn pcmu(samples: &[f32]) -> Vec<Frame> {
    g711(samples, ulaw)
}

/// 8 kHz mono samples as 20 ms of G.711 A-law.
pub fn pcma(samples: &[f32]) -> Vec<Frame> {
    g711(samples, alaw)
}

fn g711(samples: &[f32], encode: fn(i16) -> u8) -> Vec<Frame> {
    samples
        .chunks(count(FRAME, 8_000))
        .map(|chunk| Frame {
            payload: chunk
                .iter()
                .map(|sample| encode(sixteen(*sample)))
                .collect(),
            ticks: chunk.len() as u32,
        })
        .collect()
}

/// ITU-T G.711 table 2, as its reference code does it: a biased magnitude, its leading bit and the
/// four below.
pub fn ulaw(sample: i16) -> u8 {
    const BIAS: u16 = 0x84;
    const CLIP: u16 = 32_635;
    let magnitude = sample.unsigned_abs().min(CLIP) + BIAS;
    let exponent = 15 - magnitude.leading_zeros() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// ITU-T G.711 table 1: 13 bits in one's complement, even bits inverted.
pub fn alaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = (if sample < 0 { !sample } else { sample } as u16) >> 3;
    let exponent = (16 - magnitude.leading_zeros()).saturating_sub(5);
    let mantissa = (magnitude >> exponent.max(1)) & 0x0f;
    (sign | (exponent as u8) << 4 | mantissa as u8) ^ 0x55
}

/// Decodes any audio file of one's own to mono. What the file leaves out by time stamps is silence.
///
/// # Errors
/// When there is no such file or GStreamer finds no audio in it.
pub fn decode(path: &Path, rate: u32) -> Result<Vec<f32>> {
    std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let graph = Graph::load(DECODE)?;
    graph.element("file")?.set_property("location", path);
    graph
        .element("form")?
        .set_property("caps", form("F32LE", rate));
    graph.play()?;
    let mut samples: Vec<f32> = Vec::new();
    while let Some(sample) = graph
        .pull()
        .with_context(|| format!("cannot decode {}", path.display()))?
    {
        let buffer = sample.buffer().context("a sample without a buffer")?;
        if let Some(pts) = buffer.pts() {
            let place = (u128::from(pts.nseconds()) * u128::from(rate) / 1_000_000_000) as usize;
            let tolerance = (PLACE_MS_MAX * u64::from(rate) / 1_000) as usize;
            if place > samples.len() + tolerance {
                samples.resize(place, 0.0);
            }
        }
        let map = buffer.map_readable()?;
        let (whole, _) = map.as_chunks::<4>();
        samples.extend(whole.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(samples)
}

/// The amplitude of one frequency in each whole [`WINDOW`] (Goertzel's algorithm). A frequency that
/// is a multiple of 10 Hz fits the window exactly.
pub fn amplitudes(samples: &[f32], rate: u32, hz: f64) -> Vec<f64> {
    samples
        .chunks_exact(count(WINDOW, rate))
        .map(|window| amplitude(window, rate, hz))
        .collect()
}

/// The amplitude of one frequency in all of `samples`.
pub fn amplitude(samples: &[f32], rate: u32, hz: f64) -> f64 {
    let step = 2.0 * (TAU * hz / f64::from(rate)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        (last, before) = (f64::from(sample) + step * last - before, last);
    }
    let power = last * last + before * before - step * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len().max(1) as f64
}

/// An amplitude in decibels of full scale; silence is −infinity.
pub fn dbfs(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

/// The root of the mean square.
pub fn rms(samples: &[f32]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// How much of one sound is in another, 0 to 1: the largest normalised correlation over shifts of
/// up to `lag_max` samples either way. Costs the product of lengths and shifts: decode to 8 kHz
/// first.
pub fn correlation(sound: &[f32], other: &[f32], lag_max: usize) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        // Short sums in f32, so that the compiler may use vectors; the long one in f64.
        a.chunks(256)
            .zip(b.chunks(256))
            .map(|(a, b)| f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()))
            .sum()
    };
    let power = dot(sound, sound) * dot(other, other);
    if power <= 0.0 {
        return 0.0;
    }
    let shifted = |lag: usize, a: &[f32], b: &[f32]| a.get(lag..).map_or(0.0, |a| dot(a, b).abs());
    let most = (0..=lag_max).map(|lag| shifted(lag, sound, other).max(shifted(lag, other, sound)));
    most.fold(0.0, f64::max) / power.sqrt()
}

fn count(length: Duration, rate: u32) -> usize {
    (length.as_nanos() * u128::from(rate) / 1_000_000_000) as usize
}

fn sixteen(sample: f32) -> i16 {
    (sample * 32_767.0).round() as i16
}

/// Mono samples.
fn form(format: &str, rate: u32) -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", format)
        .field("layout", "interleaved")
        .field("channels", 1i32)
        .field("rate", rate as i32)
        .build()
}

/// A graph with an `appsink` named `out`; stopped on drop.
struct Graph {
    pipeline: gst::Pipeline,
    sink: AppSink,
}

impl Graph {
    fn load(text: &str) -> Result<Self> {
        gst::init().context("GStreamer does not start")?;
        let pipeline = gst::parse::launch(text)
            .context("a graph does not load: is a GStreamer plugin missing?")?
            .downcast::<gst::Pipeline>()
            .map_err(|_| anyhow!("a graph of one element"))?;
        let sink = pipeline
            .by_name("out")
            .and_then(|sink| sink.downcast().ok())
            .context("a graph without its sink")?;
        Ok(Self { pipeline, sink })
    }

    fn element(&self, name: &str) -> Result<gst::Element> {
        self.pipeline
            .by_name(name)
            .with_context(|| format!("the graph has no element {name}"))
    }

    fn play(&self) -> Result<()> {
        self.pipeline
            .set_state(gst::State::Playing)
            .map(|_| ())
            .or_else(|_| self.fault("the graph does not start"))
    }

    /// The next output; `None` at the end.
    fn pull(&self) -> Result<Option<gst::Sample>> {
        match self.sink.try_pull_sample(STEP_MAX) {
            Some(sample) => Ok(Some(sample)),
            None if self.sink.is_eos() => Ok(None),
            None => self.fault("the graph stands still").map(|()| None),
        }
    }

    fn fault(&self, otherwise: &str) -> Result<()> {
        match self
            .pipeline
            .bus()
            .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]))
        {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => bail!("{}", error.error()),
                _ => bail!("{otherwise}"),
            },
            None => bail!("{otherwise}"),
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_is_the_same_as_gstreamers() {
        for (element, encode) in [("mulawenc", ulaw as fn(i16) -> u8), ("alawenc", alaw)] {
            let graph = Graph::load(&format!(
                "appsrc name=in format=time ! {element} ! appsink name=out sync=false"
            ))
            .expect("the graph loads");
            let source: AppSrc = graph
                .element("in")
                .expect("named")
                .downcast()
                .expect("an appsrc");
            source.set_caps(Some(&form("S16LE", 8_000)));
            graph.play().expect("it plays");
            let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
            let bytes: Vec<u8> = all.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            source
                .push_buffer(gst::Buffer::from_slice(bytes))
                .expect("takes a buffer");
            source.end_of_stream().expect("ends");
            let sample = graph.pull().expect("encodes").expect("a buffer");
            let map = sample
                .buffer()
                .expect("a buffer")
                .map_readable()
                .expect("readable");
            assert_eq!(map.len(), all.len());
            for (&sample, &theirs) in all.iter().zip(map.iter()) {
                // G.711's A-law is in one's complement; GStreamer's negates instead, one 16-bit
                // step off.
                let ours = if element == "alawenc" && sample < 0 {
                    sample.saturating_sub(1)
                } else {
                    sample
                };
                assert_eq!(encode(ours), theirs, "{element} of {sample}");
            }
        }
    }

    #[test]
    fn a_sound_is_found_in_a_mix_however_shifted() {
        let second = Duration::from_secs(1);
        let (a, b) = (noise(1, 0.5, second, 8_000), noise(2, 0.5, second, 8_000));
        let mixed: Vec<f32> = silence(Duration::from_millis(5), 8_000)
            .iter()
            .chain(&a)
            .zip(&b)
            .map(|(a, b)| a + b)
            .collect();
        for (sound, lag_max, least, most) in
            [(&a, 80, 0.6, 0.8), (&a, 20, 0.0, 0.06), (&b, 0, 0.6, 0.8)]
        {
            let found = correlation(&mixed, sound, lag_max);
            assert!((least..=most).contains(&found), "{lag_max}: {found}");
        }
        assert!((correlation(&a, &a, 0) - 1.0).abs() < 1e-6);
        assert_eq!(correlation(&a, &silence(second, 8_000), 10), 0.0);
    }

    #[test]
    fn finds_a_tone_and_only_it() {
        let rate = 48_000;
        let mut samples = sine(440.0, 0.5, Duration::from_secs(1), rate);
        samples.extend(silence(Duration::from_secs(1), rate));
        let levels = amplitudes(&samples, rate, 440.0);
        assert_eq!(levels.len(), 20);
        assert!(
            levels[..10].iter().all(|level| (level - 0.5).abs() < 1e-3),
            "{levels:?}"
        );
        assert!(levels[10..].iter().all(|level| *level == 0.0), "{levels:?}");
        assert!(
            amplitudes(&samples, rate, 600.0)
                .iter()
                .all(|level| *level < 1e-3)
        );
        assert!(
            (dbfs(0.5) + 6.02).abs() < 0.01
                && (rms(&samples[..rate as usize]) - 0.5 / 2f64.sqrt()).abs() < 1e-3
        );
    }
}
