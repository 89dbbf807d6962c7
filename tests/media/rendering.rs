//! The mix, rendered from real tracks by real GStreamer, and judged by ffmpeg.

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSrc};
use hansard::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::matroska::{Shape, Writer},
        frame::Frame,
        rendering::mix::{Mixed, Source, render},
    },
};
use hansard_client::ogg;
use std::{
    f32::consts::TAU,
    path::{Path, PathBuf},
    process::Command,
};

const RATE: usize = 48_000;

fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

fn span(from: i64, to: i64) -> Span {
    Span::new(ms(from), ms(to))
}

fn always() -> Vec<Span> {
    vec![Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)]
}

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hansard-mix-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn mix(&self, sources: &[Source]) -> Option<(Mixed, Vec<f32>)> {
        let out = self.0.join("mix.mp4");
        let mut last = 0.0;
        let mixed = render(sources, &out, &mut |part| {
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

    fn file(&self) -> PathBuf {
        self.0.join("mix.mp4")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a participant says, packet by packet.
struct Voice {
    codec: AudioCodec,
    payloads: Vec<Vec<u8>>,
}

impl Voice {
    /// `samples` are mono at 48 kHz; sample 0 is made at the first packet's time.
    fn of(codec: AudioCodec, samples: &[f32]) -> Self {
        let encoder = match codec {
            AudioCodec::Opus => "audio/x-raw,channels=1 ! opusenc bitrate=32000 audio-type=voice",
            AudioCodec::Pcmu => "audioresample ! audio/x-raw,rate=8000 ! audioconvert ! mulawenc",
            AudioCodec::Pcma => "audioresample ! audio/x-raw,rate=8000 ! audioconvert ! alawenc",
        };
        Self::encoded(codec, encoder, samples)
    }

    fn encoded(codec: AudioCodec, encoder: &str, samples: &[f32]) -> Self {
        gst::init().expect("GStreamer");
        let graph = gst::parse::launch(&format!(
            "appsrc name=in format=time caps=audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1 \
             ! audioconvert ! {encoder} ! appsink name=out sync=false"
        ))
        .expect("a graph")
        .downcast::<gst::Pipeline>()
        .expect("a pipeline");
        let input: AppSrc = graph.by_name("in").expect("in").downcast().expect("appsrc");
        let output: AppSink = graph
            .by_name("out")
            .expect("out")
            .downcast()
            .expect("appsink");
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
        input.push_buffer(buffer).expect("pushes");
        input.end_of_stream().expect("ends");
        let mut payloads = Vec::new();
        while let Ok(sample) = output.pull_sample() {
            payloads.push(
                sample
                    .buffer()
                    .expect("a buffer")
                    .map_readable()
                    .expect("bytes")
                    .to_vec(),
            );
        }
        graph.set_state(gst::State::Null).expect("stops");
        if codec != AudioCodec::Opus {
            payloads = payloads.concat().chunks(160).map(<[u8]>::to_vec).collect();
        }
        Self { codec, payloads }
    }

    /// A recorded participant of `tests/data/speech`.
    fn recorded(meeting: &str, name: &str) -> Self {
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
    fn track(&self, path: PathBuf, start: MeetingTime, keep: impl Fn(usize) -> bool) -> Source {
        let channels = self.codec.channels(&self.payloads[0]);
        let writer = Writer::create(&path, Shape::Track, self.codec, channels, ms(start.as_ms()))
            .expect("creates");
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
        }
    }
}

fn sine(hertz: f32, level: f32, seconds: f32) -> Vec<f32> {
    let count = (seconds * RATE as f32) as usize;
    (0..count)
        .map(|n| level * (TAU * hertz * n as f32 / RATE as f32).sin())
        .collect()
}

fn ffmpeg(args: &[&str], file: &Path) -> std::process::Output {
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

fn probe(file: &Path, entry: &str) -> String {
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

fn decoded(file: &Path) -> Vec<f32> {
    let output = ffmpeg(&["-f", "f32le", "-"], file);
    output
        .stdout
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect()
}

/// Integrated loudness in LUFS and true peak in dBTP.
fn loudness(file: &Path) -> (f64, f64) {
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

fn part(pcm: &[f32], from_ms: i64, to_ms: i64) -> &[f32] {
    let at = |ms: i64| (usize::try_from(ms).expect("not negative") * RATE / 1000).min(pcm.len());
    &pcm[at(from_ms)..at(to_ms)]
}

fn level_db(samples: &[f32]) -> f64 {
    let energy: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    10.0 * (energy / samples.len() as f64 + 1e-20).log10()
}

/// How much of the samples is this tone, 0…1.
fn correlation(samples: &[f32], hertz: f32) -> f64 {
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
fn onset_ms(samples: &[f32], level: f32) -> f64 {
    let at = samples
        .iter()
        .position(|sample| sample.abs() > level / 2.0)
        .expect("sound");
    at as f64 * 1000.0 / RATE as f64
}

#[test]
fn everybody_is_heard_where_they_spoke_and_gaps_are_silent() {
    let folder = Folder::new("everybody");
    let one = Voice::of(AudioCodec::Opus, &sine(440.0, 0.2, 4.0)).track(
        folder.0.join("1.mkv"),
        ms(10_000),
        |_| true,
    );
    let two = Voice::of(AudioCodec::Opus, &sine(1000.0, 0.2, 4.0)).track(
        folder.0.join("2.mkv"),
        ms(12_000),
        |_| true,
    );
    let three = Voice::of(AudioCodec::Pcmu, &sine(1500.0, 0.2, 2.0)).track(
        folder.0.join("3.mkv"),
        ms(18_000),
        |_| true,
    );
    let (mixed, pcm) = folder.mix(&[one, two, three]).expect("a mix");
    assert!((9_993..=10_001).contains(&mixed.start_ms), "{mixed:?}");
    let at = |from: i64, to: i64| part(&pcm, from - mixed.start_ms, to - mixed.start_ms);
    for (from, to, tones) in [
        (10_200, 11_800, &[440.0][..]),
        (12_200, 13_800, &[440.0, 1000.0]),
        (14_200, 15_800, &[1000.0]),
        (18_200, 19_800, &[1500.0]),
    ] {
        for tone in [440.0, 1000.0, 1500.0] {
            let heard = correlation(at(from, to), tone);
            let meant = if tones.contains(&tone) {
                0.68..1.01
            } else {
                0.0..0.05
            };
            assert!(meant.contains(&heard), "{from} {tone}: {heard}");
        }
    }
    assert!(
        at(16_100, 17_900).iter().all(|sample| sample.abs() < 1e-5),
        "{}",
        level_db(at(16_100, 17_900))
    );
    assert_eq!(mixed.rendered.len(), 2, "{mixed:?}");
    let end = mixed.start_ms as f64 + mixed.duration.0 as f64 / 1000.0;
    assert!((end - 20_000.0).abs() < 15.0, "{end}");
    let (lufs, peak) = loudness(&folder.file());
    assert!((lufs + 16.0).abs() < 1.0 && peak <= -1.0, "{lufs} {peak}");
}

#[test]
fn time_stamps_decide_where_sound_is_to_the_millisecond() {
    let folder = Folder::new("places");
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
        // A click train: every 500 ms 20 ms of tone, its beginning known.
        let mut samples = vec![0.0; 5 * RATE];
        for beat in 1..9 {
            for (n, sample) in sine(1000.0, 0.5, 0.02).iter().enumerate() {
                samples[beat * RATE / 2 + n] = *sample;
            }
        }
        let source = Voice::of(codec, &samples).track(
            folder.0.join("1.mkv"),
            MeetingTime(7_000_400),
            |_| true,
        );
        let (mixed, pcm) = folder.mix(&[source]).expect("a mix");
        for beat in 1..9 {
            let meant = 7_000.4 + 500.0 * f64::from(beat) - mixed.start_ms as f64;
            let near = part(&pcm, meant as i64 - 100, meant as i64 + 100);
            let top = near
                .iter()
                .fold(0.0f32, |top, sample| top.max(sample.abs()));
            let heard = (meant as i64 - 100) as f64 + onset_ms(near, top * 0.6);
            println!("{codec:?} {beat}: {:.2} ms", heard - meant);
            assert!(
                (heard - meant).abs() < 2.0,
                "{codec:?} beat {beat}: {heard} for {meant}"
            );
        }
    }
}

#[test]
fn stereo_becomes_mono_of_the_same_level() {
    let folder = Folder::new("stereo");
    let tone = sine(440.0, 0.2, 2.0);
    let stereo = Voice::encoded(
        AudioCodec::Opus,
        "audio/x-raw,channels=2 ! opusenc bitrate=48000",
        &tone,
    );
    assert_eq!(AudioCodec::Opus.channels(&stereo.payloads[0]), 2);
    let two = stereo.track(folder.0.join("2.mkv"), ms(0), |_| true);
    let one = Voice::of(AudioCodec::Opus, &tone).track(folder.0.join("1.mkv"), ms(0), |_| true);
    let [one, two] = [one, two].map(|source| {
        folder
            .mix(&[source])
            .expect("a mix")
            .0
            .measured_lufs
            .expect("loud")
    });
    assert!((one - two).abs() < 0.5, "{one} {two}");
}

#[test]
fn sound_is_cut_to_what_was_allowed() {
    let folder = Folder::new("cut");
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu] {
        let mut source =
            Voice::of(codec, &sine(1000.0, 0.2, 6.0))
                .track(folder.0.join("1.mkv"), ms(0), |_| true);
        source.allowed = vec![
            Span::new(MeetingTime(501_300), MeetingTime(2_003_700)),
            span(4_000, 4_507),
        ];
        let (mixed, pcm) = folder.mix(&[source]).expect("a mix");
        println!(
            "{:?}",
            mixed
                .rendered
                .iter()
                .map(|span| (span.start.0, span.end.0))
                .collect::<Vec<_>>()
        );
        assert_eq!(mixed.start_ms, 501);
        for (is, meant) in [(0, 501_300), (1, 4_000_000)] {
            assert!(
                (mixed.rendered[is].start.0 - meant).abs() <= 30,
                "{mixed:?}"
            );
        }
        for (is, meant) in [(0, 2_003_700), (1, 4_507_000)] {
            assert!((mixed.rendered[is].end.0 - meant).abs() <= 30, "{mixed:?}");
        }
        // AAC smears an edge over a few milliseconds, 30 dB below; half of the level is where it
        // was. A decoder of Opus that knows nothing of what came before needs a frame to be at the
        // level.
        let level = level_db(part(&pcm, 200, 1_400));
        let half = 10f64.powf(level / 20.0) as f32 / std::f32::consts::SQRT_2;
        let (early, late) = (1.0, if codec == AudioCodec::Opus { 25.0 } else { 1.0 });
        for (from, to, around) in [
            (501.3, 2_003.7, 501..3_000),
            (4_000.0, 4_507.0, 3_000..5_000),
        ] {
            let piece = part(&pcm, around.start - 501, around.end - 501);
            let ms = |sample: Option<usize>| {
                around.start as f64 + sample.expect("sound") as f64 * 1000.0 / RATE as f64
            };
            let first = ms(piece.iter().position(|sample| sample.abs() > half));
            let last = ms(piece.iter().rposition(|sample| sample.abs() > half));
            println!("{codec:?} {first:.2} {last:.2}");
            assert!(
                first - from > -early && first - from < late,
                "{codec:?} {first} for {from}"
            );
            assert!((last - to).abs() < 1.0, "{codec:?} {last} for {to}");
        }
        assert!(level_db(part(&pcm, 2_030 - 501, 3_970 - 501)) < -90.0);
    }
}

#[test]
fn who_declined_is_absent_and_nothing_allowed_is_no_file() {
    let folder = Folder::new("declined");
    let mut bob = Voice::of(AudioCodec::Opus, &sine(1000.0, 0.4, 5.0)).track(
        folder.0.join("2.mkv"),
        ms(0),
        |_| true,
    );
    bob.allowed = Vec::new();
    assert!(folder.mix(std::slice::from_ref(&bob)).is_none());
    assert!(!folder.file().exists());
    assert!(folder.mix(&[]).is_none());

    let ana = Voice::of(AudioCodec::Opus, &sine(440.0, 0.2, 2.0)).track(
        folder.0.join("1.mkv"),
        ms(0),
        |_| true,
    );
    let mut late = ana.clone();
    late.start = ms(4_000);
    let (mixed, pcm) = folder.mix(&[ana, bob, late]).expect("a mix");
    assert!(correlation(&pcm, 1000.0) < 0.05);
    assert!(level_db(part(&pcm, 2_050 - mixed.start_ms, 3_950 - mixed.start_ms)) <= -60.0);
}

#[test]
fn loudness_reaches_its_target_within_its_bounds() {
    let folder = Folder::new("loudness");
    let mut random = fastrand::Rng::with_seed(7);
    // Noise in bursts, like syllables, with rare full peaks.
    let mut voice = |level: f32| -> Vec<f32> {
        let mut slow = 0.0;
        (0..12 * RATE)
            .map(|n| {
                slow += (random.f32() * 2.0 - 1.0 - slow) * 0.2;
                let beat = (n as f32 / RATE as f32 * 4.0 * TAU).sin().max(0.0);
                let burst = if n % 100_000 < 500 { 4.0 } else { 1.0 };
                (level * slow * beat * burst).clamp(-1.0, 1.0)
            })
            .collect()
    };
    for (level, min, max) in [
        (0.3, -17.0, -15.0),
        (1.0, -17.0, -15.0),
        (4.0, -17.0, -15.0),
    ] {
        let source =
            Voice::of(AudioCodec::Opus, &voice(level))
                .track(folder.0.join("1.mkv"), ms(0), |_| true);
        let (mixed, _) = folder.mix(&[source]).expect("a mix");
        let (lufs, peak) = loudness(&folder.file());
        println!(
            "{level}: {:?} {} -> {lufs} LUFS {peak} dBTP",
            mixed.measured_lufs, mixed.gain_db
        );
        assert!((min..=max).contains(&lufs), "{level}: {lufs}");
        assert!(peak <= -1.0, "{level}: {peak}");
    }
    for (level, gain) in [(0.006, 20.0), (0.0005, 0.0)] {
        let source = Voice::of(AudioCodec::Pcma, &sine(700.0, level, 6.0)).track(
            folder.0.join("1.mkv"),
            ms(0),
            |_| true,
        );
        let (mixed, _) = folder.mix(&[source]).expect("a mix");
        let (lufs, _) = loudness(&folder.file());
        println!(
            "{level}: {:?} {} -> {lufs} LUFS",
            mixed.measured_lufs, mixed.gain_db
        );
        assert!((mixed.gain_db - gain).abs() < 1e-9, "{mixed:?}");
        if let Some(measured) = mixed.measured_lufs.filter(|lufs| *lufs > -60.0) {
            assert!((lufs - measured - gain).abs() < 1.0, "{lufs} {mixed:?}");
        }
    }
}

#[test]
fn a_meeting_of_three_is_understood_without_the_one_who_declined() {
    let folder = Folder::new("speech");
    let told = format!(
        "{}/tests/data/speech/planning/meeting.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let told: serde_json::Value =
        serde_json::from_slice(&std::fs::read(told).expect("reads")).expect("the meeting's script");
    let mut sources: Vec<Source> = ["Alice", "Bob", "Carol"]
        .iter()
        .map(|name| {
            let path = folder.0.join(format!("{name}.mkv"));
            Voice::recorded("planning", name).track(path, ms(2_000), |_| true)
        })
        .collect();
    for declined in [None, Some("Bob")] {
        if declined.is_some() {
            sources[1].allowed = Vec::new();
        }
        let begun = std::time::Instant::now();
        let (mixed, pcm) = folder.mix(&sources).expect("a mix");
        println!(
            "{:?} for {:?}, with decoding it again",
            begun.elapsed(),
            mixed.duration
        );
        for utterance in told["utterances"].as_array().expect("utterances") {
            let at = |key: &str| utterance[key].as_i64().expect("a time") + 2_000 - mixed.start_ms;
            let level = level_db(part(&pcm, at("start_ms") + 100, at("end_ms") - 100));
            if declined.is_some_and(|name| utterance["speaker"] == name) {
                assert!(level < -60.0, "{utterance}: {level} dB");
            } else {
                assert!(level > -30.0, "{utterance}: {level} dB");
            }
        }
        let (lufs, peak) = loudness(&folder.file());
        println!(
            "{:?} LUFS, {:.1} dB: {lufs} LUFS, {peak} dBTP",
            mixed.measured_lufs, mixed.gain_db
        );
        assert!((lufs + 16.0).abs() < 1.0 && peak <= -1.0, "{lufs} {peak}");
    }
}

#[test]
fn lost_packets_are_concealed_and_longer_holes_are_silent() {
    let folder = Folder::new("lost");
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu] {
        let voice = Voice::of(codec, &sine(440.0, 0.2, 6.0));
        // One packet, three packets, half a second.
        let lost = |n: usize| n == 50 || (100..103).contains(&n) || (200..225).contains(&n);
        let source = voice.track(folder.0.join("1.mkv"), ms(0), |n| !lost(n));
        let (mixed, pcm) = folder.mix(&[source]).expect("a mix");
        let at = |from: i64, to: i64| part(&pcm, from - mixed.start_ms, to - mixed.start_ms);
        let usual = level_db(at(200, 900));
        for (from, to, least) in [(993, 1_013, 6.0), (1_993, 2_053, 10.0)] {
            let heard = level_db(at(from, to));
            assert!(
                heard > usual - least,
                "{codec:?} {from}: {heard} of {usual} dB"
            );
        }
        assert!(level_db(at(4_020, 4_470)) < -80.0, "{codec:?}");
        // And behind them all goes on in its place.
        assert!(correlation(at(1_100, 1_900), 440.0) > 0.98, "{codec:?}");
        assert!(
            (level_db(at(4_600, 5_900)) - usual).abs() < 1.0,
            "{codec:?}"
        );
        assert_eq!(mixed.rendered.len(), 2, "{codec:?} {mixed:?}");
    }
}

#[test]
fn progress_can_end_the_work_and_a_missing_track_is_an_error() {
    let folder = Folder::new("ends");
    let source = Voice::of(AudioCodec::Opus, &sine(440.0, 0.2, 3.0)).track(
        folder.0.join("1.mkv"),
        ms(0),
        |_| true,
    );
    for until in [0.0, 0.6, 0.8] {
        let sources = [source.clone(), source.clone()];
        let stopped = render(&sources, &folder.file(), &mut |part| {
            anyhow::ensure!(part < until, "enough");
            Ok(())
        });
        assert_eq!(stopped.expect_err("stops").to_string(), "enough");
        assert_eq!(std::fs::read_dir(&folder.0).expect("lists").count(), 1);
    }
    let missing = Source {
        path: folder.0.join("2.mkv"),
        ..source.clone()
    };
    assert!(render(&[source.clone(), missing], &folder.file(), &mut |_| Ok(())).is_err());
    assert!(
        render(
            &[source],
            Path::new("/nonexistent/mix.mp4"),
            &mut |_| Ok(())
        )
        .is_err()
    );
}

#[test]
fn a_packet_that_cannot_be_decoded_costs_nobody_the_mix() {
    let folder = Folder::new("invalid");
    let ana = Voice::of(AudioCodec::Opus, &sine(440.0, 0.2, 3.0)).track(
        folder.0.join("1.mkv"),
        ms(0),
        |_| true,
    );
    let mut bob = Voice::of(AudioCodec::Opus, &sine(1000.0, 0.2, 3.0));
    bob.payloads[50] = vec![0xf1, 1, 2, 3];
    bob.payloads[75] = vec![0xf1, 1, 2, 3];
    bob.payloads[76] = vec![0xff, 0xff];
    let bob = bob.track(folder.0.join("2.mkv"), ms(0), |n| n != 74);
    let (_, pcm) = folder.mix(&[ana, bob]).expect("a mix");
    for (from, to) in [(200, 950), (1_100, 1_450), (1_700, 2_900)] {
        assert!(correlation(part(&pcm, from, to), 440.0) > 0.65, "{from}");
        assert!(correlation(part(&pcm, from, to), 1000.0) > 0.65, "{from}");
    }
    // Concealed, not silent and not loud.
    let around = level_db(part(&pcm, 1_000, 1_040)) - level_db(part(&pcm, 500, 900));
    assert!(around.abs() < 4.0, "{around}");
}
