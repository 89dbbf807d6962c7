//! The mix, rendered from real tracks by real GStreamer, and judged by ffmpeg.

mod faults;
mod redaction;
mod support;

use hansard::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::rendering::{
        mix::{Source, render},
        peaks,
    },
};
use std::{f32::consts::TAU, path::Path};
use support::*;

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
    // The peaks are those of the file.
    let each = 50 * RATE / 1000;
    assert!(mixed.peaks.len().abs_diff(pcm.len() / each) <= 1);
    for (n, (heard, peak)) in pcm.chunks(each).zip(&mixed.peaks).enumerate() {
        let heard = heard
            .iter()
            .fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        let peak = f32::from(*peak) / 255.0;
        assert!((heard - peak).abs() < 0.1, "{n}: {heard} {peak}");
    }
}

/// Whether both are so for as long, each about as loud as the other.
fn assert_alike(what: &str, one: &[u8], other: &[u8]) {
    assert!(one.len().abs_diff(other.len()) <= 1, "{what}");
    for (n, (one, other)) in one.iter().zip(other).enumerate() {
        assert!(one.abs_diff(*other) <= 26, "{what} {n}: {one} {other}");
    }
}

/// Peaks that come with a mix, and those that are read of its files afterwards.
#[test]
fn peaks_are_the_same_whoever_finds_them() {
    let folder = Folder::new("peaks");
    let tones = |hz, loud: [f32; 3]| -> Vec<f32> {
        let each = loud.map(|amplitude| sine(hz, amplitude, 1.0));
        each.concat()
    };
    // Time stamps of files are whole milliseconds.
    let sources = [
        Voice::of(AudioCodec::Opus, &tones(440.0, [0.1, 0.4, 0.2])).track(
            folder.0.join("1.mkv"),
            ms(7_000),
            |_| true,
        ),
        // Nothing comes for half a second.
        Voice::of(AudioCodec::Pcma, &tones(900.0, [0.3, 0.1, 0.3])).track(
            folder.0.join("2.mkv"),
            ms(8_730),
            |n| !(75..100).contains(&n),
        ),
    ];
    let (mixed, _) = folder.mix(&sources).expect("a mix");
    let of_mix = peaks::of_mix(&folder.file()).expect("it is decoded");
    assert_alike("mix", &of_mix.finish_at(mixed.duration), &mixed.peaks);
    let length = Micros::from_ms(3_000);
    let level = |peaks: &[u8], at: usize| f32::from(peaks[at]) / 255.0;
    for (n, (source, meter)) in sources.iter().zip(mixed.of_sources).enumerate() {
        let along = meter.finish_at(length);
        let read = peaks::of_track(&source.path, source.start).expect("it is read");
        assert_alike(&format!("track {n}"), &read.finish_at(length), &along);
        // In each second, and in the hole.
        let wanted: [(usize, f32); 3] = [
            [(10, 0.1), (30, 0.4), (50, 0.2)],
            [(10, 0.3), (35, 0.0), (50, 0.3)],
        ][n];
        for (at, loud) in wanted {
            let found = level(&along, at);
            assert!((found - loud).abs() < 0.05, "{n} {at}: {found} {loud}");
        }
    }
    std::fs::write(folder.file(), b"no sound").expect("it is ours");
    assert!(peaks::of_mix(&folder.file()).is_err());
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
