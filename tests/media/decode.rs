//! Decoding to PCM: where it stands, what conceals loss, and what speech hears.

use crate::{
    meeting::{ms, said, span, who},
    tone,
};
use hansard::{
    domain::{
        codec::AudioCodec,
        consent::{ConsentStatus, Use},
        gate::{Admitted, Entry, Gate, Recording, Transcription},
        id::{ConsentId, StreamId},
        time::{MeetingTime, Span},
    },
    media::{
        decode::Decoder,
        frame::{Frame, Pcm},
        live::decode_thread::DecodeThread,
    },
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// PCM laid on one timeline from 0 at `rate`, checked to be in order and as long as it says.
fn laid(pcm: &[Pcm], rate: usize) -> Vec<f32> {
    let mut all: Vec<f32> = Vec::new();
    for piece in pcm {
        let at = (piece.span.start.0 as f64 * rate as f64 / 1e6).round() as usize;
        let length = piece.samples.len() as f64 * 1e6 / rate as f64;
        assert!(
            (piece.span.length().0 as f64 - length).abs() <= 2.0,
            "{piece:?}"
        );
        assert!(
            at + 2 >= all.len(),
            "{piece:?} begins before {} samples",
            all.len()
        );
        all.resize(at.max(all.len()), 0.0);
        all.extend(&piece.samples);
    }
    all
}

fn decode(
    codec: AudioCodec,
    rate: u32,
    frames: &[Frame],
    lost: impl Fn(usize) -> bool,
) -> Vec<Pcm> {
    let mut decoder = Decoder::new(codec, rate).expect("a decoder");
    let mut pcm = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        if lost(n) {
            decoder
                .lost(frame.span, &mut |piece| pcm.push(piece))
                .expect("conceals");
        } else {
            decoder
                .push(frame, &mut |piece| pcm.push(piece))
                .expect("decodes");
        }
    }
    decoder
        .flush(&mut |piece| pcm.push(piece))
        .expect("flushes");
    pcm
}

/// Silence with a click of `hz` from 500 ms to 600 ms, to see when it comes.
fn click(hz: f64) -> Vec<f32> {
    let mut samples = vec![0.0; tone::RATE];
    for (at, sample) in samples[24_000..28_800]
        .iter_mut()
        .zip(tone::sine(hz, 0.8, 0.1))
    {
        *at = sample;
    }
    samples
}

#[test]
fn pcm_stands_where_the_sound_was_made() {
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
        for rate in [16_000, 48_000] {
            let frames = tone::encode(codec, &click(1_000.0), 10_000);
            let pcm = decode(codec, rate, &frames, |_| false);
            let all = laid(&pcm, rate as usize);
            let loud = |n: usize| {
                tone::amplitude(&all[n..n + rate as usize / 100], 1_000.0, rate as usize) > 0.25
            };
            let places: Vec<usize> = (10 * rate as usize..all.len() - 500)
                .step_by(16)
                .filter(|n| loud(*n))
                .collect();
            let first = *places.first().expect("it is there");
            let last = *places.last().expect("it is there") + rate as usize / 100;
            let ms = |n: usize| n as f64 * 1000.0 / f64::from(rate) - 10_000.0;
            assert!(
                (ms(first) - 496.0).abs() < 4.0 && (ms(last) - 604.0).abs() < 4.0,
                "{codec:?} at {rate}: {} to {}",
                ms(first),
                ms(last)
            );
        }
    }
}

#[test]
fn loss_is_concealed_and_keeps_the_timeline() {
    let frames = tone::encode(AudioCodec::Opus, &tone::syllables(440.0, 0.5, 10.0), 0);
    let mut random = fastrand::Rng::with_seed(7);
    let lost: Vec<bool> = frames
        .iter()
        .enumerate()
        .map(|(n, _)| n > 2 && random.u8(..10) == 0)
        .collect();
    assert!(lost.iter().filter(|lost| **lost).count() > 30);
    let pcm = decode(AudioCodec::Opus, 16_000, &frames, |n| lost[n]);
    for pair in pcm.windows(2) {
        assert!(
            (pair[1].span.start - pair[0].span.end).0.abs() <= 2,
            "{pair:?}"
        );
    }
    let all = laid(&pcm, 16_000);
    assert!(
        (all.len() as f64 / 16_000.0 - 10.0).abs() < 0.03,
        "{} samples",
        all.len()
    );
    // Where one packet is lost, the next one's redundancy brings it back.
    let whole = laid(
        &decode(AudioCodec::Opus, 16_000, &frames, |_| false),
        16_000,
    );
    let place = |n: usize| n * 320..n * 320 + 200;
    let single = |n: &usize| lost[*n] && !lost[n - 1] && lost.get(n + 1) == Some(&false);
    let spoken: Vec<usize> = (5..490)
        .filter(single)
        .filter(|n| tone::level_db(&whole[place(*n)]) > -25.0)
        .collect();
    let alike = spoken
        .iter()
        .filter(|n| tone::correlation(&whole[place(**n)], &all[place(**n)], 0) > 0.9)
        .count();
    assert!(
        spoken.len() >= 10 && alike * 10 >= spoken.len() * 8,
        "{alike} of {}",
        spoken.len()
    );
}

#[test]
fn a_pause_leaves_a_hole_and_what_follows_is_whole() {
    let all = tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.5, 3.0), 0);
    let frames: Vec<Frame> = all
        .into_iter()
        .filter(|frame| !frame.span.overlaps(span(1_000, 2_000)))
        .collect();
    let pcm = decode(AudioCodec::Opus, 16_000, &frames, |_| false);
    let at = pcm.windows(2).position(|pair| {
        pair[1].span.start - pair[0].span.end > hansard::domain::time::Micros(100_000)
    });
    let at = at.expect("there is a hole");
    assert!(
        (pcm[at].span.end - ms(1_000)).0.abs() <= 7_000,
        "the last frame before it came out: {:?}",
        pcm[at]
    );
    assert!(
        (pcm[at + 1].span.start - ms(2_000)).0.abs() <= 100,
        "{:?}",
        pcm[at + 1]
    );
    assert!(tone::amplitude(&laid(&pcm, 16_000)[33_000..47_000], 440.0, 16_000) > 0.4);
}

#[test]
fn garbage_is_survived() {
    let mut random = fastrand::Rng::with_seed(1);
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu] {
        let mut decoder = Decoder::new(codec, 16_000).expect("a decoder");
        for n in 0..500 {
            let payload: Vec<u8> = (0..random.usize(1..300)).map(|_| random.u8(..)).collect();
            let frame = Frame {
                payload: payload.into(),
                span: span(n * 20, n * 20 + 20),
            };
            let _ = decoder.push(&frame, &mut |_| {});
        }
    }
}

/// What comes out of the decoder's thread, in its order.
enum Decoded {
    Pcm(Admitted<Transcription, Pcm>),
    Time(MeetingTime),
    Closed,
}

/// Tells when it is dropped.
struct Outlet(tokio::sync::mpsc::Sender<Decoded>);

impl Outlet {
    fn give(&self, decoded: Decoded) {
        assert!(self.0.try_send(decoded).is_ok(), "there is room");
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.give(Decoded::Closed);
    }
}

#[test]
fn speech_hears_only_what_was_agreed_to() {
    let gate = Arc::new(Gate::new(&Use::ALL));
    let stream = StreamId(Uuid::from_u128(5));
    let (heard, mut pcm) = tokio::sync::mpsc::channel(1_000);
    let (outlet, time) = (Outlet(heard.clone()), heard);
    let time = Box::new(move |now| assert!(time.try_send(Decoded::Time(now)).is_ok(), "room"));
    let decode_thread = DecodeThread::start(Arc::clone(&gate), time).expect("a decoder");
    let sink = Box::new(move |pcm| outlet.give(Decoded::Pcm(pcm)));
    assert!(decode_thread.open(stream, who(1), AudioCodec::Opus, sink));
    let frames = tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.3, 6.0), 0);
    let agreed = |entry, status, at_ms| Entry {
        uses: vec![Use::Transcription],
        ..said(entry, who(1), status, at_ms)
    };
    let mut pieces = Vec::new();
    let mut drain = |until: i64| {
        // A tick brings out the last frame, so this ends.
        let begun = std::time::Instant::now();
        while pieces
            .last()
            .is_none_or(|(_, piece): &(i64, Pcm)| piece.span.end < ms(until - 15))
        {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "no sound up to {until} ms"
            );
            match pcm.try_recv() {
                Ok(Decoded::Pcm(pcm)) => {
                    let (piece, pass) = pcm.into_parts();
                    assert_eq!(pass.span, piece.span);
                    pieces.push((pass.entry, piece));
                }
                Ok(Decoded::Closed) => panic!("not closed yet"),
                Ok(Decoded::Time(now)) => {
                    assert!(pieces.last().is_none_or(|(_, piece)| piece.span.end <= now))
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    };
    for frame in frames {
        match frame.span.start.as_ms() {
            1_000 => gate.apply(&agreed(1, ConsentStatus::Accepted, 1_000), ms(1_000)),
            3_000 => {
                // Known 100 ms late: what was decoded since stays inside.
                decode_thread.tick(ms(3_200));
                drain(3_000);
                gate.withdraw(
                    ConsentId(Uuid::from_u128(9)),
                    who(1),
                    &[Use::Transcription],
                    ms(2_900),
                );
            }
            4_000 => {
                let entry = Entry {
                    id: ConsentId(Uuid::from_u128(9)),
                    ..agreed(2, ConsentStatus::Withdrawn, 2_900)
                };
                gate.apply(&entry, ms(4_000));
                gate.apply(&agreed(3, ConsentStatus::Accepted, 4_000), ms(4_000));
            }
            _ => {}
        }
        assert!(
            gate.admit::<Recording, _>(who(1), frame.span.end, frame.span, ())
                .is_err(),
            "another use"
        );
        if let Ok(frame) = gate.admit(who(1), frame.span.end, frame.span, frame) {
            assert!(decode_thread.push(stream, frame));
        }
    }
    decode_thread.tick(ms(6_500));
    drain(6_000);
    let spans: Vec<(i64, Span)> = pieces
        .iter()
        .map(|(entry, piece)| (*entry, piece.span))
        .collect();
    assert_eq!(spans[0].1.start, ms(1_000));
    assert!(spans.iter().all(|(entry, span)| match entry {
        1 => ms(1_000) <= span.start && span.end <= ms(3_000),
        3 => ms(4_000) <= span.start,
        _ => false,
    }));
    assert!(
        spans
            .windows(2)
            .filter(|pair| (pair[1].1.start - pair[0].1.end).0.abs() > 2)
            .count()
            == 1,
        "{spans:?}"
    );
    assert_eq!(
        decode_thread.counts().overflowed + decode_thread.counts().broken,
        0
    );
    decode_thread.close(stream);
    let end =
        std::iter::from_fn(|| pcm.blocking_recv()).find(|heard| matches!(heard, Decoded::Closed));
    assert!(end.is_some(), "told when it is closed");
    drop(decode_thread);
    assert!(pcm.blocking_recv().is_none(), "the thread ends");
}

/// Every kind of first byte (RFC 6716 section 3.1), behind it what a broken or malicious sender may
/// put there.
#[test]
fn a_packet_that_libopus_refuses_costs_itself_only() {
    let voice = tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.3, 1.0), 0);
    let mut random = fastrand::Rng::with_seed(7);
    let mut tried = 0;
    for toc in 0..=255u8 {
        for length in [0, 1, 2, 3, 7, 40, 400] {
            let mut payload = vec![toc];
            payload.extend((0..length).map(|_| random.u8(..)));
            if length == 3 {
                payload = vec![toc, 1, 2, 3];
            }
            let Some(lasting) = AudioCodec::Opus.duration(&payload) else {
                continue;
            };
            tried += 1;
            for rate in [16_000, 48_000] {
                let mut frames = voice[..5].to_vec();
                let at = frames[4].span.end;
                frames.push(Frame {
                    payload: payload.as_slice().into(),
                    span: Span::of(at, lasting),
                });
                // Also right behind a loss, where it is asked for its redundancy.
                let mut after = at + lasting;
                for frame in &voice[8..12] {
                    frames.push(Frame {
                        span: Span::of(after, frame.span.length()),
                        ..frame.clone()
                    });
                    after = after + frame.span.length();
                }
                for lost in [usize::MAX, 4] {
                    let pcm = decode(AudioCodec::Opus, rate, &frames, |n| n == lost);
                    let end = pcm.last().expect("sound").span.end;
                    assert!(
                        (end - after).0.abs() <= 7_000,
                        "{payload:02x?} at {rate}: {end:?} instead of {after:?}"
                    );
                    assert!(
                        laid(&pcm, rate as usize)
                            .iter()
                            .all(|sample| sample.is_finite()),
                        "{payload:02x?}"
                    );
                }
            }
        }
    }
    assert!(tried > 800, "{tried}");
}

#[test]
fn any_bytes_are_g711() {
    let mut random = fastrand::Rng::with_seed(8);
    for codec in [AudioCodec::Pcmu, AudioCodec::Pcma] {
        let mut frames = tone::encode(codec, &tone::sine(440.0, 0.3, 1.0), 0);
        for (n, frame) in frames.iter_mut().enumerate().skip(10).step_by(3) {
            let length = [1, 2, 80, 159, 160][n % 5];
            let payload: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            frame.payload = payload.as_slice().into();
        }
        let pcm = decode(codec, 48_000, &frames, |_| false);
        assert!(
            pcm.iter().map(|piece| piece.samples.len()).sum::<usize>() > 20_000,
            "{codec:?}"
        );
    }
}
