//! Tracks and the mix: who is heard, when, and how loud.

use crate::{
    meeting::{Event, Meeting, both, ms, said, who},
    tone,
};
use hansard::{
    domain::{
        codec::AudioCodec,
        consent::{ConsentStatus, Use},
        time::{MeetingTime, Span},
    },
    media::{frame::Frame, rendering::mix::Mixed},
};
use std::path::Path;

/// The samples of a decoded mix between two MeetingTimes.
fn part<'a>(samples: &'a [f32], mixed: &Mixed, from_ms: i64, to_ms: i64) -> &'a [f32] {
    let at = |ms: i64| {
        usize::try_from((ms - mixed.start_ms) * 48)
            .expect("not before the mix")
            .min(samples.len())
    };
    &samples[at(from_ms)..at(to_ms)]
}

fn true_to_20_ms(path: &Path, samples: &[f32], mixed: &Mixed) {
    let decoded_ms = samples.len() as f64 / 48.0;
    assert!(
        (decoded_ms - mixed.duration.as_ms() as f64).abs() <= 20.0,
        "{decoded_ms} ms decoded of {mixed:?}"
    );
    let said: f64 = tone::ffprobe(path, "format=duration")
        .parse()
        .expect("a duration");
    assert!(
        (said * 1_000.0 - mixed.duration.as_ms() as f64).abs() <= 2.0,
        "{said} s said of {mixed:?}"
    );
}

#[test]
fn who_agreed_is_heard_and_who_declined_is_absent() {
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
        let meeting = Meeting::new(codec);
        let (ana, bob, carol) = (who(1), who(2), who(3));
        // Ana speaks 2…12 s, Bob 5…20 s, Carol all the time.
        let voices = [
            (
                ana,
                tone::encode(codec, &tone::syllables(440.0, 0.3, 10.0), 2_003),
            ),
            (
                bob,
                tone::encode(codec, &tone::syllables(1_000.0, 0.2, 15.0), 5_000),
            ),
            (
                carol,
                tone::encode(codec, &tone::syllables(1_700.0, 0.8, 24.0), 0),
            ),
        ];
        let voices = voices
            .each_ref()
            .map(|(who, frames)| (*who, frames.as_slice()));
        let takes = meeting.record(
            &voices,
            vec![
                (0, Event::Said(said(1, ana, ConsentStatus::Accepted, 0))),
                (0, Event::Said(said(2, bob, ConsentStatus::Accepted, 0))),
                (0, Event::Said(said(3, carol, ConsentStatus::Declined, 0))),
            ],
        );
        assert!(takes[2].track.is_none() && takes[2].segments.is_empty());
        let (_, track) = takes[0].track.as_ref().expect("Ana is recorded");
        assert_eq!(
            (track.start_ms, track.frames, track.codec),
            (2_003, voices[0].1.len() as u64, codec)
        );
        assert!(takes[1].segments.len() >= 4, "cut every 4 s");
        for (path, track) in takes.iter().filter_map(|take| take.track.as_ref()) {
            let said: f64 = tone::ffprobe(path, "format=duration")
                .parse()
                .expect("a duration");
            assert!(
                (said * 1_000.0 - track.duration_ms as f64).abs() <= 20.0,
                "{said} s said of {track:?}"
            );
            let decoded_ms = tone::ffmpeg_decode(path).len() as f64 / 48.0;
            assert!(
                (decoded_ms - track.duration_ms as f64).abs() <= 20.0,
                "{decoded_ms} ms of {track:?}"
            );
        }

        let (path, mixed) = meeting.mix(&takes).expect("a mix");
        assert_eq!(mixed.start_ms, 2_003);
        assert!((mixed.duration.as_ms() - 17_997).abs() <= 21, "{mixed:?}");
        let samples = tone::ffmpeg_decode(&path);
        true_to_20_ms(&path, &samples, &mixed);
        let heard = |from, to, hz| {
            20.0 * tone::amplitude(part(&samples, &mixed, from, to), hz, tone::RATE).log10()
        };
        assert!(
            heard(2_100, 4_900, 440.0) > -40.0 && heard(2_100, 4_900, 1_000.0) < -60.0,
            "{codec:?}"
        );
        assert!(
            heard(6_000, 11_900, 440.0) > -40.0 && heard(6_000, 11_900, 1_000.0) > -40.0,
            "{codec:?}"
        );
        assert!(
            heard(12_200, 19_900, 440.0) < -60.0 && heard(12_200, 19_900, 1_000.0) > -40.0,
            "{codec:?}"
        );
        assert!(
            heard(2_100, 19_900, 1_700.0) < -65.0,
            "{codec:?} {}",
            heard(2_100, 19_900, 1_700.0)
        );
        let theirs = tone::syllables(1_700.0, 0.8, 24.0);
        let (a, b) = (
            part(&samples, &mixed, 6_000, 9_000),
            &theirs[6 * 48_000..9 * 48_000],
        );
        assert!(tone::correlation(a, b, 480) < 0.05);

        let (lufs, peak) = tone::ffmpeg_loudness(&path);
        assert!(
            (lufs + 16.0).abs() <= 1.0 && peak <= -1.0,
            "{codec:?}: {lufs} LUFS, {peak} dBTP, {mixed:?}"
        );
    }
}

#[test]
fn a_withdrawal_and_a_pause_cut_to_the_instant() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let (ana, bob) = (who(1), who(2));
    let voices = [
        (
            ana,
            tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.3, 16.0), 1_000),
        ),
        (
            bob,
            tone::encode(AudioCodec::Opus, &tone::sine(1_000.0, 0.3, 16.0), 1_000),
        ),
    ];
    let voices = voices
        .each_ref()
        .map(|(who, frames)| (*who, frames.as_slice()));
    // The withdrawal was made at 6,003 ms and is known only at 6,150 ms; then Ana agrees again.
    let takes = meeting.record(
        &voices,
        vec![
            both(ana, 1, 0),
            both(bob, 2, 0),
            (
                6_150,
                Event::Said(said(3, ana, ConsentStatus::Withdrawn, 6_003)),
            ),
            (6_150, Event::Seal(ana)),
            both(ana, 4, 9_000),
            (11_007, Event::Hold),
            (11_907, Event::Release),
        ],
    );
    for segment in &takes[0].segments {
        let inside = meeting
            .gate
            .allowed(ana, Use::Recording)
            .iter()
            .any(|open| open.start <= segment.pass.span.start && segment.pass.span.end <= open.end);
        assert!(inside, "{:?}", segment.pass);
    }
    assert_eq!(
        takes[0]
            .segments
            .iter()
            .map(|segment| segment.name.entry)
            .max(),
        Some(4)
    );
    let (path, mixed) = meeting.mix(&takes).expect("a mix");
    let samples = tone::ffmpeg_decode(&path);
    true_to_20_ms(&path, &samples, &mixed);
    let heard = |from, to, hz| {
        20.0 * tone::amplitude(part(&samples, &mixed, from, to), hz, tone::RATE).log10()
    };
    for (from, to) in [(1_100, 5_980), (9_100, 10_980), (12_000, 16_900)] {
        assert!(
            heard(from, to, 440.0) > -30.0 && heard(from, to, 1_000.0) > -30.0,
            "{from}"
        );
    }
    assert!(
        heard(6_005, 8_990, 440.0) < -65.0 && heard(6_005, 8_990, 1_000.0) > -30.0,
        "{}",
        heard(6_005, 8_990, 440.0)
    );
    // Nobody is allowed in the pause: silence, but for what AAC smears over a frame.
    assert!(tone::level_db(part(&samples, &mixed, 11_035, 11_880)) < -80.0);
    let runs = &takes[0].track.as_ref().expect("a track").1.recorded;
    assert_eq!(runs.len(), 3, "{runs:?}");
    assert!(
        runs[0].end <= ms(6_003) && runs[1].start >= ms(9_000),
        "{runs:?}"
    );
}

#[test]
fn nothing_admitted_makes_no_mix() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let frames = tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.3, 1.0), 0);
    let takes = meeting.record(
        &[(who(1), &frames)],
        vec![(0, Event::Said(said(1, who(1), ConsentStatus::Declined, 0)))],
    );
    assert!(meeting.mix(&takes).is_none());
    assert!(meeting.mix(&[]).is_none());
    assert!(!meeting.folder.0.join("mix.m4a").exists());
}

/// What a meeting of one voice sounds like afterwards, in LUFS and dBTP.
fn loudness_of(samples: &[f32]) -> (f64, f64, Mixed) {
    let meeting = Meeting::new(AudioCodec::Opus);
    let frames = tone::encode(AudioCodec::Opus, samples, 0);
    let takes = meeting.record(&[(who(1), &frames)], vec![both(who(1), 1, 0)]);
    let (path, mixed) = meeting.mix(&takes).expect("a mix");
    let (lufs, peak) = tone::ffmpeg_loudness(&path);
    (lufs, peak, mixed)
}

#[test]
fn loudness_and_peaks_are_as_promised() {
    let clicks = |amplitude: f32| -> Vec<f32> {
        let mut samples = tone::syllables(300.0, 0.03, 12.0);
        for at in (10_000..samples.len()).step_by(24_000) {
            for (n, sample) in samples[at..at + 200].iter_mut().enumerate() {
                *sample = amplitude * if n % 20 < 10 { 1.0 } else { -1.0 };
            }
        }
        samples
    };
    for (what, samples) in [
        ("quiet", tone::syllables(300.0, 0.02, 12.0)),
        ("loud", tone::sine(300.0, 0.95, 12.0)),
        ("peaky", clicks(0.5)),
    ] {
        let (lufs, peak, mixed) = loudness_of(&samples);
        assert!(peak <= -1.0, "{what}: {peak} dBTP, {mixed:?}");
        let wanted = if mixed.gain_db >= 20.0 {
            None
        } else {
            Some(-16.0)
        };
        assert!(
            wanted.is_none_or(|wanted| (lufs - wanted).abs() <= 1.0),
            "{what}: {lufs} LUFS, {mixed:?}"
        );
        assert!(mixed.gain_db <= 20.0);
    }
    let (lufs, _, mixed) = loudness_of(&tone::sine(300.0, 0.001, 8.0));
    assert_eq!(mixed.gain_db, 0.0, "{lufs} LUFS, {mixed:?}");
    let (lufs, _, mixed) = loudness_of(&tone::sine(300.0, 0.01, 8.0));
    assert!(
        (mixed.gain_db - 20.0).abs() < 1e-9 && lufs < -17.0,
        "{lufs} LUFS, {mixed:?}"
    );
}

#[test]
fn loss_in_a_recording_is_concealed_in_the_mix() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let mut random = fastrand::Rng::with_seed(11);
    let whole = tone::encode(AudioCodec::Opus, &tone::syllables(440.0, 0.3, 20.0), 500);
    let mut torn = whole.clone();
    torn.retain(|frame| frame.span.start < ms(600) || random.u8(..10) > 0);
    assert!(torn.len() + 70 < whole.len());
    let heard = |frames: &[Frame]| {
        let takes = meeting.record(&[(who(1), frames)], vec![both(who(1), 1, 0)]);
        let (path, mixed) = meeting.mix(&takes).expect("a mix");
        let samples = tone::ffmpeg_decode(&path);
        true_to_20_ms(&path, &samples, &mixed);
        assert!((mixed.duration.as_ms() - 20_000).abs() <= 80, "{mixed:?}");
        std::fs::remove_dir_all(meeting.folder.0.join("spool")).expect("removes");
        samples
    };
    let (whole, torn) = (heard(&whole), heard(&torn));
    let levels = whole
        .chunks_exact(960)
        .zip(torn.chunks_exact(960))
        .map(|(a, b)| (tone::level_db(a), tone::level_db(b)));
    let missing = levels
        .filter(|(whole, torn)| *whole > -30.0 && whole - torn > 20.0)
        .count();
    assert!(missing <= 5, "{missing} pieces of 20 ms are missing");
    // Nothing was left out or put in: both are the same sound at the same time.
    let end = whole.len().min(torn.len()) - 48_000;
    assert!(tone::correlation(&whole[end - 96_000..end], &torn[end - 96_000..end], 21) > 0.9);
}

#[test]
fn a_clock_that_drifts_stays_true() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let mut voice = vec![0.0; 60 * tone::RATE];
    for second in 0..60 {
        for (n, sample) in tone::sine(1_000.0, 0.5, 0.05).into_iter().enumerate() {
            voice[second * tone::RATE + n] = sample;
        }
    }
    // The sender's clock is 500 ppm slow: a packet takes 20.01 ms.
    let mut frames = tone::encode(AudioCodec::Opus, &voice, 0);
    for (n, frame) in frames.iter_mut().enumerate() {
        let start = MeetingTime(n as i64 * 20_010);
        frame.span = Span::new(start, MeetingTime(start.0 + 20_010));
    }
    let takes = meeting.record(&[(who(1), &frames)], vec![both(who(1), 1, 0)]);
    let (path, mixed) = meeting.mix(&takes).expect("a mix");
    let samples = tone::ffmpeg_decode(&path);
    for second in [1, 20, 40, 58] {
        let wanted = second * 1_000 + second / 2;
        let from = wanted - 200;
        let (first, _) =
            tone::audible_ms(part(&samples, &mixed, from, from + 500), 0.1).expect("a beep");
        assert!(
            (first - 200.0).abs() <= 5.0,
            "beep {second} at {} ms, wanted at {wanted}",
            from as f64 + first
        );
    }
}
