//! Tracks to render, and what is heard in the mix.

use crate::tone::packets;
use hansard::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::track::Writer,
        frame::Frame,
        rendering::mix::{Before, Mixed, Source, render_again},
    },
};
use hansard_client::ogg;
use std::{
    f32::consts::TAU,
    path::{Path, PathBuf},
    process::Command,
};

pub const RATE: usize = 48_000;

pub fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

pub fn span(from: i64, to: i64) -> Span {
    Span::new(ms(from), ms(to))
}

pub fn always() -> Vec<Span> {
    vec![Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)]
}

/// A folder that is gone at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hansard-mix-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn mix(&self, sources: &[Source]) -> Option<(Mixed, Vec<f32>)> {
        self.mix_again(sources, None)
    }

    pub fn mix_again(
        &self,
        sources: &[Source],
        before: Option<Before>,
    ) -> Option<(Mixed, Vec<f32>)> {
        let out = self.0.join("mix.mp4");
        let mut last = 0.0;
        let mixed = render_again(sources, before, &out, &mut |part| {
            assert!((last..=1.0).contains(&part), "{last} {part}");
            last = part;
            Ok(())
        })
        .expect("renders");
        let others: Vec<_> = std::fs::read_dir(&self.0)
            .expect("lists")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(
            others
                .iter()
                .all(|path| path.extension().is_some_and(|end| end != "part")),
            "{others:?}"
        );
        let mixed = mixed?;
        assert_eq!(last, 1.0);
        let pcm = decoded(&out);
        // What the file says of itself is what comes out of it.
        let samples = mixed.duration.0 as f64 * RATE as f64 / 1e6;
        assert!(
            (pcm.len() as f64 - samples).abs() <= 0.020 * RATE as f64,
            "{} of {samples}",
            pcm.len()
        );
        let told: f64 = probe(&out, "format=duration").parse().expect("a duration");
        assert!(
            (told - mixed.duration.0 as f64 / 1e6).abs() < 0.020,
            "{told} {:?}",
            mixed.duration
        );
        let start: f64 = probe(&out, "format=start_time").parse().expect("a start");
        assert!(start.abs() < 0.001, "{start}");
        Some((mixed, pcm))
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("mix.mp4")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a participant says, packet by packet.
pub struct Voice {
    pub codec: AudioCodec,
    pub payloads: Vec<Vec<u8>>,
}

impl Voice {
    /// `samples` are mono at 48 kHz; sample 0 is made at the first packet's time.
    pub fn of(codec: AudioCodec, samples: &[f32]) -> Self {
        let encoder = match codec {
            AudioCodec::Opus => "audio/x-raw,channels=1 ! opusenc bitrate=32000 audio-type=voice",
            AudioCodec::Pcmu => "audioresample ! audio/x-raw,rate=8000 ! audioconvert ! mulawenc",
            AudioCodec::Pcma => "audioresample ! audio/x-raw,rate=8000 ! audioconvert ! alawenc",
        };
        Self::encoded(codec, encoder, samples)
    }

    pub fn encoded(codec: AudioCodec, encoder: &str, samples: &[f32]) -> Self {
        let mut payloads = packets(encoder, samples);
        if codec != AudioCodec::Opus {
            payloads = payloads.concat().chunks(160).map(<[u8]>::to_vec).collect();
        }
        Self { codec, payloads }
    }

    /// A recorded participant of `tests/data/speech`.
    pub fn recorded(meeting: &str, name: &str) -> Self {
        let path = format!(
            "{}/tests/data/speech/{meeting}/{name}.opus",
            env!("CARGO_MANIFEST_DIR")
        );
        let frames = ogg::read(std::fs::File::open(path).expect("opens")).expect("reads");
        Self {
            codec: AudioCodec::Opus,
            payloads: frames.iter().map(|frame| frame.payload.to_vec()).collect(),
        }
    }

    /// Writes the packets that `keep` keeps, by number, as a track of its own time 0.
    pub fn track(&self, path: PathBuf, start: MeetingTime, keep: impl Fn(usize) -> bool) -> Source {
        let channels = self.codec.channels(&self.payloads[0]);
        let mut writer =
            Writer::create(&path, self.codec, channels, ms(start.as_ms())).expect("creates");
        let mut at = start;
        for (n, payload) in self.payloads.iter().enumerate() {
            // What is no packet was stored for as long as its neighbours by earlier versions.
            let length = self.codec.duration(payload).unwrap_or(Micros::from_ms(20));
            if keep(n) {
                let frame = Frame {
                    payload: payload.as_slice().into(),
                    span: Span::of(at, length),
                };
                writer.write(&frame).expect("writes");
            }
            at = at + length;
        }
        writer.finish().expect("finishes");
        Source {
            path,
            start: ms(start.as_ms()),
            allowed: always(),
            redacted: Vec::new(),
        }
    }
}

pub fn sine(hertz: f32, level: f32, seconds: f32) -> Vec<f32> {
    let count = (seconds * RATE as f32) as usize;
    (0..count)
        .map(|n| level * (TAU * hertz * n as f32 / RATE as f32).sin())
        .collect()
}

pub fn ffmpeg(args: &[&str], file: &Path) -> std::process::Output {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-i"])
        .arg(file)
        .args(args)
        .output();
    let output = output.expect("ffmpeg runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub fn probe(file: &Path, entry: &str) -> String {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "default=nw=1:nk=1",
            "-show_entries",
            entry,
        ])
        .arg(file)
        .output()
        .expect("ffprobe runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn decoded(file: &Path) -> Vec<f32> {
    let output = ffmpeg(&["-f", "f32le", "-"], file);
    output
        .stdout
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect()
}

/// Integrated loudness in LUFS and true peak in dBTP.
pub fn loudness(file: &Path) -> (f64, f64) {
    let output = ffmpeg(&["-af", "ebur128=peak=true", "-f", "null", "-"], file);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = &text[text.rfind("Summary:").expect("a summary")..];
    let value = |label: &str| -> f64 {
        let rest = &summary[summary.find(label).expect("a value") + label.len()..];
        rest.split_whitespace()
            .next()
            .expect("a number")
            .parse()
            .expect("a number")
    };
    (value("I:"), value("Peak:"))
}

pub fn part(pcm: &[f32], from_ms: i64, to_ms: i64) -> &[f32] {
    let at = |ms: i64| (usize::try_from(ms).expect("not negative") * RATE / 1000).min(pcm.len());
    &pcm[at(from_ms)..at(to_ms)]
}

pub fn level_db(samples: &[f32]) -> f64 {
    let energy: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    10.0 * (energy / samples.len() as f64 + 1e-20).log10()
}

/// How much of the samples is this tone, 0…1.
pub fn correlation(samples: &[f32], hertz: f32) -> f64 {
    let (mut re, mut im, mut energy) = (0.0, 0.0, 1e-20);
    for (n, sample) in samples.iter().enumerate() {
        let phase = f64::from(TAU * hertz) * n as f64 / RATE as f64;
        let sample = f64::from(*sample);
        re += sample * phase.cos();
        im += sample * phase.sin();
        energy += sample * sample;
    }
    (2.0 * (re * re + im * im) / (energy * samples.len() as f64)).sqrt()
}

/// When the sound's envelope first passes half of `level`, in ms.
pub fn onset_ms(samples: &[f32], level: f32) -> f64 {
    let at = samples
        .iter()
        .position(|sample| sample.abs() > level / 2.0)
        .expect("sound");
    at as f64 * 1000.0 / RATE as f64
}
