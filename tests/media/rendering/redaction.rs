//! What is left of a voice when a span of it is taken out: nothing of the span, and everything else
//! as it was.

use super::support::*;
use hansard::{
    domain::{
        codec::AudioCodec,
        recording::subtract,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::track::Reader,
        frame::Frame,
        rendering::{
            join::{Finalised, Part, join},
            mix::{Before, Source},
            redundancy::repeats,
        },
    },
};
use opusic_c::{Application, Bitrate, Channels, Encoder, InbandFec, SampleRate, Signal};
use std::path::Path;

/// Opus with redundancy now and then, as voices over lossy paths have it.
fn redundant(samples: &[f32]) -> Voice {
    let mut encoder =
        Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Voip).expect("an encoder");
    encoder
        .set_bitrate(Bitrate::Value(24_000))
        .expect("a bitrate");
    encoder
        .set_inband_fec(InbandFec::Mode1)
        .expect("redundancy");
    encoder.set_packet_loss(40).expect("a loss");
    encoder.set_signal(Signal::Voice).expect("a signal");
    let packet = |piece: &[f32]| {
        let mut packet = vec![0; 1_275];
        let size = encoder
            .encode_float_to_slice(piece, &mut packet)
            .expect("encodes");
        packet.truncate(size);
        packet
    };
    Voice {
        codec: AudioCodec::Opus,
        payloads: samples.chunks_exact(960).map(packet).collect(),
    }
}

/// Syllables of a tone with harmonics.
fn syllables(hertz: f32, level: f32, seconds: f32) -> Vec<f32> {
    let (tone, octave) = (
        sine(hertz, level, seconds),
        sine(2.0 * hertz, level, seconds),
    );
    let beat = |n: usize| if n % 14_400 < 9_600 { 1.0 } else { 0.0 };
    let both = tone.iter().zip(&octave).enumerate();
    both.map(|(n, (a, b))| (a + 0.5 * b) * beat(n)).collect()
}

fn frames(path: &Path, zero: MeetingTime) -> Vec<Frame> {
    let mut reader = Reader::open(path, zero)
        .expect("opens")
        .expect("has frames");
    let mut frames = Vec::new();
    while let Some(frame) = reader.read().expect("reads") {
        frames.push(frame);
    }
    frames
}

/// The track without what is redacted, beside it.
fn without(source: &Source, redacted: &[Span]) -> Option<(Source, Finalised)> {
    let mut part = Part::of(&source.path, source.start, always())
        .expect("reads")
        .expect("has frames");
    part.redacted = redacted.to_vec();
    let path = source.path.with_extension("redacted");
    let made = join(&[part], &path).expect("joins")?;
    let source = Source {
        path,
        start: ms(made.start_ms),
        allowed: subtract(&always(), redacted),
        redacted: redacted.to_vec(),
    };
    Some((source, made))
}

/// The container keeps whole milliseconds.
fn near(start: MeetingTime, frame: &Frame) -> bool {
    (frame.span.start - start).0.abs() < 1_000
}

/// Every packet that a decoder could make sound of the span from is gone, and no other.
#[test]
fn nothing_is_left_that_the_span_can_be_decoded_from() {
    let folder = Folder::new("redacted");
    let voice = redundant(&syllables(300.0, 0.3, 8.0));
    let source = voice.track(folder.0.join("1.webm"), ms(1_000), |_| true);
    let all = frames(&source.path, source.start);
    assert_eq!(all.len(), 400);
    let repeating: Vec<usize> = (1..all.len())
        .filter(|n| repeats(AudioCodec::Opus, &all[*n].payload).is_some())
        .collect();
    assert!(
        (40..380).contains(&repeating.len()),
        "{} of them repeat the one before",
        repeating.len()
    );
    let mut by_redundancy = 0;
    for (n, at) in repeating.iter().step_by(repeating.len() / 12).enumerate() {
        // From some packets before the one that is repeated to within it.
        let until = all[at - 1].span.start + Micros::from_ms(12);
        let redacted = Span::new(until - Micros::from_ms(30 * (n as i64 + 1)), until);
        let Some((rest, made)) = without(&source, &[redacted]) else {
            panic!("something stays");
        };
        let left = frames(&rest.path, rest.start);
        let holds = |frame: &Frame| {
            let sound = Span::new(frame.span.start - Micros::from_ms(7), frame.span.end);
            sound.overlaps(redacted)
        };
        let mut expected = Vec::new();
        for (k, frame) in all.iter().enumerate() {
            let again =
                k > 0 && repeats(AudioCodec::Opus, &frame.payload).is_some() && holds(&all[k - 1]);
            by_redundancy += usize::from(again && !holds(frame));
            if !holds(frame) && !again {
                expected.push(frame.span.start);
            }
        }
        // Rounded times may cost one packet more at either end.
        let other = left
            .iter()
            .find(|frame| !expected.iter().any(|start| near(*start, frame)));
        assert!(other.is_none(), "{redacted:?}: {other:?}");
        assert!(expected.len() - left.len() <= 2, "{redacted:?}");
        assert_eq!(made.dropped, (all.len() - left.len()) as u64);
        assert!(left.iter().all(|frame| {
            let same = all.iter().find(|one| near(one.span.start, frame));
            same.is_some_and(|same| same.payload == frame.payload)
        }));
    }
    assert!(by_redundancy >= 6, "{by_redundancy}");
    assert!(without(&source, &[Span::new(ms(0), ms(9_001))]).is_none());
}

fn alike(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn the_mix_is_what_it_was_outside_of_the_span() {
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu] {
        let folder = Folder::new("redacted-mix");
        // Ana is the first and the last to be heard.
        let ana = Voice::of(codec, &syllables(300.0, 0.05, 16.0)).track(
            folder.0.join("1.track"),
            ms(2_003),
            |_| true,
        );
        let bob = Voice::of(codec, &syllables(1_100.0, 0.1, 10.0)).track(
            folder.0.join("2.track"),
            ms(5_000),
            |_| true,
        );
        let (mixed, pcm) = folder.mix(&[ana.clone(), bob.clone()]).expect("a mix");
        let before = Before {
            span: Span::of(ms(mixed.start_ms), mixed.duration),
            gain_db: mixed.gain_db,
        };
        let at = |from: i64, to: i64| (from - mixed.start_ms, to - mixed.start_ms);
        let heard = |pcm: &[f32], from, to, hertz| {
            let (from, to) = at(from, to);
            correlation(part(pcm, from, to), hertz)
        };

        let redacted = span(7_000, 9_000);
        let (rest, made) = without(&bob, &[redacted]).expect("something stays");
        assert!((made.start_ms - 5_000).abs() <= 1, "{made:?}");
        let (again, other) = folder
            .mix_again(&[ana.clone(), rest], Some(before))
            .expect("a mix");
        assert_eq!(
            (again.start_ms, again.duration, again.gain_db),
            (mixed.start_ms, mixed.duration, mixed.gain_db),
            "{codec:?}"
        );
        assert!(heard(&pcm, 7_000, 9_000, 1_100.0) > 0.5, "{codec:?}");
        assert!(heard(&other, 7_000, 9_000, 1_100.0) < 0.02, "{codec:?}");
        assert!(heard(&other, 7_000, 9_000, 300.0) > 0.5, "{codec:?}");
        // Packets that touch the span go whole.
        for (from, to) in [(2_100, 6_950), (9_050, 17_900)] {
            let (from, to) = at(from, to);
            let alike = alike(part(&pcm, from, to), part(&other, from, to));
            println!("{codec:?} {from} {to}: {alike}");
            // A resampler that begins anew may be a sample off at 48 kHz: 20 us.
            let least = if codec == AudioCodec::Opus {
                0.999
            } else {
                0.98
            };
            assert!(alike > least, "{codec:?} {from} {to}: {alike}");
        }

        // All of Ana: the mix begins, and ends, as it did.
        assert!(without(&ana, &[always()[0]]).is_none());
        let (again, other) = folder.mix_again(&[bob], Some(before)).expect("a mix");
        assert_eq!(again.start_ms, mixed.start_ms, "{codec:?}");
        let shorter = (mixed.duration - again.duration).0;
        assert!((0..1_000).contains(&shorter), "{codec:?} {shorter} us");
        let (from, to) = at(2_100, 4_900);
        assert!(level_db(part(&other, from, to)) < -80.0, "{codec:?}");
        for (from, to) in [(5_100, 14_900), (15_100, 17_900)] {
            assert!(heard(&other, from, to, 300.0) < 0.02, "{codec:?} {from}");
        }
        let (from, to) = at(5_100, 14_900);
        assert!(heard(&other, 5_100, 14_900, 1_100.0) > 0.5);
        assert!(level_db(part(&other, from, to)) > -30.0);
    }
}
