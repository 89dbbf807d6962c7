//! Tones in, files out: what is in them, what must not be, and when.

#[path = "support/tone.rs"]
#[allow(dead_code, reason = "more than one test file uses it")]
mod tone;

use hansard::{
    domain::{
        consent::{ConsentStatus, Use},
        gate::{Entry, Gate, Recording},
        id::{ConsentId, MeetingId, ParticipantId, RecordingId, StreamId},
        recording::{Codec, Source, Track},
        time::{MeetingTime, Span},
    },
    media::{
        decode::{Decoder, Ears, Heard},
        frame::{Frame, Pcm},
        mix::{self, Mixed, Source as MixSource},
        remux::{self, Finalised},
        segment::{self, Sealed},
        spool::{Spool, Told},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

fn span(from_ms: i64, to_ms: i64) -> Span {
    Span::new(ms(from_ms), ms(to_ms))
}

/// PCM laid on one timeline from 0 at `rate`, checked to be in order and as long as it says.
fn laid(pcm: &[Pcm], rate: usize) -> Vec<f32> {
    let mut all: Vec<f32> = Vec::new();
    for piece in pcm {
        let at = (piece.span.start.0 as f64 * rate as f64 / 1e6).round() as usize;
        let length = piece.samples.len() as f64 * 1e6 / rate as f64;
        assert!((piece.span.length().0 as f64 - length).abs() <= 2.0, "{piece:?}");
        assert!(at + 2 >= all.len(), "{piece:?} begins before {} samples", all.len());
        all.resize(at.max(all.len()), 0.0);
        all.extend(&piece.samples);
    }
    all
}

fn decode(codec: Codec, rate: u32, frames: &[Frame], lost: impl Fn(usize) -> bool) -> Vec<Pcm> {
    let mut decoder = Decoder::new(codec, rate).expect("a decoder");
    let mut pcm = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        if lost(n) {
            decoder.lost(frame.span, &mut |piece| pcm.push(piece)).expect("conceals");
        } else {
            decoder.push(frame, &mut |piece| pcm.push(piece)).expect("decodes");
        }
    }
    decoder.flush(&mut |piece| pcm.push(piece)).expect("flushes");
    pcm
}

/// Silence with a click of `hz` from 500 ms to 600 ms, to see when it comes.
fn click(hz: f64) -> Vec<f32> {
    let mut samples = vec![0.0; tone::RATE];
    for (at, sample) in samples[24_000..28_800].iter_mut().zip(tone::sine(hz, 0.8, 0.1)) {
        *at = sample;
    }
    samples
}

#[test]
fn pcm_stands_where_the_sound_was_made() {
    for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
        for rate in [16_000, 48_000] {
            let frames = tone::encode(codec, &click(1_000.0), 10_000);
            let pcm = decode(codec, rate, &frames, |_| false);
            let all = laid(&pcm, rate as usize);
            let loud = |n: usize| tone::amplitude(&all[n..n + rate as usize / 100], 1_000.0, rate as usize) > 0.25;
            let places: Vec<usize> = (10 * rate as usize..all.len() - 500).step_by(16).filter(|n| loud(*n)).collect();
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
    let frames = tone::encode(Codec::Opus, &tone::syllables(440.0, 0.5, 10.0), 0);
    let mut random = fastrand::Rng::with_seed(7);
    let lost: Vec<bool> = frames.iter().enumerate().map(|(n, _)| n > 2 && random.u8(..10) == 0).collect();
    assert!(lost.iter().filter(|lost| **lost).count() > 30);
    let pcm = decode(Codec::Opus, 16_000, &frames, |n| lost[n]);
    for pair in pcm.windows(2) {
        assert!((pair[1].span.start - pair[0].span.end).0.abs() <= 2, "{pair:?}");
    }
    let all = laid(&pcm, 16_000);
    assert!((all.len() as f64 / 16_000.0 - 10.0).abs() < 0.03, "{} samples", all.len());
    // Where one packet is lost, the next one's redundancy brings it back.
    let whole = laid(&decode(Codec::Opus, 16_000, &frames, |_| false), 16_000);
    let place = |n: usize| n * 320..n * 320 + 200;
    let single = |n: &usize| lost[*n] && !lost[n - 1] && lost.get(n + 1) == Some(&false);
    let spoken: Vec<usize> = (5..490).filter(single).filter(|n| tone::level_db(&whole[place(*n)]) > -25.0).collect();
    let alike = spoken.iter().filter(|n| tone::correlation(&whole[place(**n)], &all[place(**n)], 0) > 0.9).count();
    assert!(spoken.len() >= 10 && alike * 10 >= spoken.len() * 8, "{alike} of {}", spoken.len());
}

#[test]
fn a_pause_leaves_a_hole_and_what_follows_is_whole() {
    let all = tone::encode(Codec::Opus, &tone::sine(440.0, 0.5, 3.0), 0);
    let frames: Vec<Frame> = all.into_iter().filter(|frame| !frame.span.overlaps(span(1_000, 2_000))).collect();
    let pcm = decode(Codec::Opus, 16_000, &frames, |_| false);
    let at =
        pcm.windows(2).position(|pair| pair[1].span.start - pair[0].span.end > hansard::domain::time::Micros(100_000));
    let at = at.expect("there is a hole");
    assert!((pcm[at].span.end - ms(1_000)).0.abs() <= 7_000, "the last frame before it came out: {:?}", pcm[at]);
    assert!((pcm[at + 1].span.start - ms(2_000)).0.abs() <= 100, "{:?}", pcm[at + 1]);
    assert!(tone::amplitude(&laid(&pcm, 16_000)[33_000..47_000], 440.0, 16_000) > 0.4);
}

#[test]
fn garbage_is_survived() {
    let mut random = fastrand::Rng::with_seed(1);
    for codec in [Codec::Opus, Codec::Pcmu] {
        let mut decoder = Decoder::new(codec, 16_000).expect("a decoder");
        for n in 0..500 {
            let payload: Vec<u8> = (0..random.usize(1..300)).map(|_| random.u8(..)).collect();
            let frame = Frame { payload: payload.into(), span: span(n * 20, n * 20 + 20) };
            let _ = decoder.push(&frame, &mut |_| {});
        }
    }
}

/// A folder of the test's own, removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hansard-media-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("the temporary directory can be written to");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn who(n: u128) -> ParticipantId {
    ParticipantId(Uuid::from_u128(n))
}

fn said(entry: i64, who: ParticipantId, status: ConsentStatus, at_ms: i64) -> Entry {
    Entry {
        entry,
        id: ConsentId(Uuid::from_u128(1_000 + entry as u128)),
        participant: who,
        uses: vec![Use::Recording],
        status,
        at: ms(at_ms),
    }
}

/// What happens in a test's meeting, by time.
enum Event {
    Said(Entry),
    Hold,
    Release,
    Seal(ParticipantId),
}

/// One meeting: everybody's frames go through the gate into the spool in order of time, and the files come out.
struct Meeting {
    folder: Folder,
    gate: Arc<Gate>,
    codec: Codec,
}

struct Take {
    who: ParticipantId,
    segments: Vec<Sealed>,
    track: Option<(PathBuf, Finalised)>,
}

impl Meeting {
    fn new(codec: Codec) -> Self {
        Self { folder: Folder::new(), gate: Arc::new(Gate::new(&Use::ALL)), codec }
    }

    fn track(&self, who: ParticipantId) -> Track {
        Track {
            meeting: MeetingId(Uuid::from_u128(1)),
            recording: RecordingId(Uuid::from_u128(who.0.as_u128() + 100)),
            participant: who,
            source: Source::Microphone,
            codec: self.codec,
        }
    }

    fn record(&self, voices: &[(ParticipantId, &[Frame])], events: Vec<(i64, Event)>) -> Vec<Take> {
        let (spool, mut told) =
            Spool::start(self.folder.0.join("spool"), 1, Arc::clone(&self.gate)).expect("a recorder");
        for (who, _) in voices {
            assert!(spool.open(self.track(*who)));
        }
        let mut frames: Vec<(ParticipantId, &Frame)> =
            voices.iter().flat_map(|(who, frames)| frames.iter().map(|frame| (*who, frame))).collect();
        frames.sort_by_key(|(_, frame)| frame.span.end);
        let mut events = events.into_iter().peekable();
        let mut sealed = Vec::new();
        let mut pushed = 0;
        for (who, frame) in frames {
            while let Some((at, event)) = events.next_if(|(at, _)| ms(*at) <= frame.span.end) {
                match event {
                    Event::Said(entry) => self.gate.apply(&entry, ms(at)),
                    Event::Hold => self.gate.hold(Use::Recording, ms(at)),
                    Event::Release => self.gate.release(Use::Recording, ms(at)),
                    Event::Seal(who) => assert!(spool.seal(self.track(who).recording)),
                }
            }
            if let Ok(frame) = self.gate.admit::<Recording, _>(who, frame.span.end, frame.span, frame.clone()) {
                assert!(spool.write(self.track(who).recording, frame));
                pushed += 1;
                // Faster than time, so the disk must be waited for.
                while pushed - spool.counts().written - spool.counts().refused > 1_000 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        spool.finish();
        while let Some(told) = told.blocking_recv() {
            match told {
                Told::Sealed(segment) => sealed.push(segment),
                Told::Failed { error, .. } => panic!("{error}"),
            }
        }
        voices.iter().map(|(who, _)| self.take(*who, &sealed)).collect()
    }

    fn take(&self, who: ParticipantId, sealed: &[Sealed]) -> Take {
        let mut segments: Vec<Sealed> = sealed
            .iter()
            .filter(|segment| segment.track.participant == who)
            .filter_map(|segment| segment.clone().recheck(&self.gate).expect("trims"))
            .collect();
        segments.sort_by_key(|segment| segment.pass.span.start);
        for segment in &segments {
            let digested = remux::digest(&segment.path).expect("is there");
            assert_eq!((digested.size, &digested.sha256), (segment.size, &segment.sha256));
            let content = remux::inspect(&segment.path).expect("reads").expect("has frames");
            assert!((content.span.start - segment.pass.span.start).0.abs() <= 100);
            assert!((content.span.end - segment.pass.span.end).0.abs() <= 1_000);
        }
        let paths: Vec<PathBuf> = segments.iter().map(|segment| segment.path.clone()).collect();
        let out = self.folder.0.join(format!("{who}.mka"));
        let allowed = self.gate.allowed(who, Use::Recording);
        let track = remux::finalise_track(&paths, &allowed, &out).expect("joins").map(|track| (out, track));
        Take { who, segments, track }
    }

    fn mix(&self, takes: &[Take]) -> Option<(PathBuf, Mixed)> {
        let tracks: Vec<MixSource> = takes
            .iter()
            .filter_map(|take| {
                let (path, track) = take.track.as_ref()?;
                Some(MixSource {
                    path: path.clone(),
                    start: MeetingTime::from_ms(track.start_ms),
                    allowed: self.gate.allowed(take.who, Use::Recording),
                })
            })
            .collect();
        let out = self.folder.0.join("mix.m4a");
        let mut last = 0.0;
        let mixed = mix::render(&tracks, &out, &mut |part| {
            assert!((last..=1.0).contains(&part), "{part} after {last}");
            last = part;
            Ok(())
        });
        let left: Vec<_> =
            std::fs::read_dir(&self.folder.0).expect("lists").flatten().map(|entry| entry.file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("mix.m4a.")), "{left:?}");
        mixed.expect("renders").map(|mixed| (out, mixed))
    }
}

/// The samples of a decoded mix between two MeetingTimes.
fn part<'a>(samples: &'a [f32], mixed: &Mixed, from_ms: i64, to_ms: i64) -> &'a [f32] {
    let at = |ms: i64| usize::try_from((ms - mixed.start_ms) * 48).expect("not before the mix").min(samples.len());
    &samples[at(from_ms)..at(to_ms)]
}

fn true_to_20_ms(path: &Path, samples: &[f32], mixed: &Mixed) {
    let decoded_ms = samples.len() as f64 / 48.0;
    assert!((decoded_ms - mixed.duration.as_ms() as f64).abs() <= 20.0, "{decoded_ms} ms decoded of {mixed:?}");
    let said: f64 = tone::ffprobe(path, "format=duration").parse().expect("a duration");
    assert!((said * 1_000.0 - mixed.duration.as_ms() as f64).abs() <= 2.0, "{said} s said of {mixed:?}");
}

#[test]
fn who_agreed_is_heard_and_who_declined_is_absent() {
    for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
        let meeting = Meeting::new(codec);
        let (ana, bob, carol) = (who(1), who(2), who(3));
        // Ana speaks 2…12 s, Bob 5…20 s, Carol all the time.
        let voices = [
            (ana, tone::encode(codec, &tone::syllables(440.0, 0.3, 10.0), 2_003)),
            (bob, tone::encode(codec, &tone::syllables(1_000.0, 0.2, 15.0), 5_000)),
            (carol, tone::encode(codec, &tone::syllables(1_700.0, 0.8, 24.0), 0)),
        ];
        let voices = voices.each_ref().map(|(who, frames)| (*who, frames.as_slice()));
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
        assert_eq!((track.start_ms, track.frames, track.codec), (2_003, voices[0].1.len() as u64, codec));
        assert!(takes[1].segments.len() >= 4, "cut every 4 s");
        for (path, track) in takes.iter().filter_map(|take| take.track.as_ref()) {
            let said: f64 = tone::ffprobe(path, "format=duration").parse().expect("a duration");
            assert!((said * 1_000.0 - track.duration_ms as f64).abs() <= 20.0, "{said} s said of {track:?}");
            let decoded_ms = tone::ffmpeg_decode(path).len() as f64 / 48.0;
            assert!((decoded_ms - track.duration_ms as f64).abs() <= 20.0, "{decoded_ms} ms of {track:?}");
        }

        let (path, mixed) = meeting.mix(&takes).expect("a mix");
        assert_eq!(mixed.start_ms, 2_003);
        assert!((mixed.duration.as_ms() - 17_997).abs() <= 21, "{mixed:?}");
        let samples = tone::ffmpeg_decode(&path);
        true_to_20_ms(&path, &samples, &mixed);
        let heard = |from, to, hz| 20.0 * tone::amplitude(part(&samples, &mixed, from, to), hz, tone::RATE).log10();
        assert!(heard(2_100, 4_900, 440.0) > -40.0 && heard(2_100, 4_900, 1_000.0) < -60.0, "{codec:?}");
        assert!(heard(6_000, 11_900, 440.0) > -40.0 && heard(6_000, 11_900, 1_000.0) > -40.0, "{codec:?}");
        assert!(heard(12_200, 19_900, 440.0) < -60.0 && heard(12_200, 19_900, 1_000.0) > -40.0, "{codec:?}");
        assert!(heard(2_100, 19_900, 1_700.0) < -65.0, "{codec:?} {}", heard(2_100, 19_900, 1_700.0));
        let theirs = tone::syllables(1_700.0, 0.8, 24.0);
        let (a, b) = (part(&samples, &mixed, 6_000, 9_000), &theirs[6 * 48_000..9 * 48_000]);
        assert!(tone::correlation(a, b, 480) < 0.05);

        let (lufs, peak) = tone::ffmpeg_loudness(&path);
        assert!((lufs + 16.0).abs() <= 1.0 && peak <= -1.0, "{codec:?}: {lufs} LUFS, {peak} dBTP, {mixed:?}");
    }
}

fn both(who: ParticipantId, entry: i64, from_ms: i64) -> (i64, Event) {
    (from_ms, Event::Said(said(entry, who, ConsentStatus::Accepted, from_ms)))
}

#[test]
fn a_withdrawal_and_a_pause_cut_to_the_instant() {
    let meeting = Meeting::new(Codec::Opus);
    let (ana, bob) = (who(1), who(2));
    let voices = [
        (ana, tone::encode(Codec::Opus, &tone::sine(440.0, 0.3, 16.0), 1_000)),
        (bob, tone::encode(Codec::Opus, &tone::sine(1_000.0, 0.3, 16.0), 1_000)),
    ];
    let voices = voices.each_ref().map(|(who, frames)| (*who, frames.as_slice()));
    // The withdrawal was made at 6,003 ms and is known only at 6,150 ms; then Ana agrees again.
    let takes = meeting.record(
        &voices,
        vec![
            both(ana, 1, 0),
            both(bob, 2, 0),
            (6_150, Event::Said(said(3, ana, ConsentStatus::Withdrawn, 6_003))),
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
    assert_eq!(takes[0].segments.iter().map(|segment| segment.name.entry).max(), Some(4));
    let (path, mixed) = meeting.mix(&takes).expect("a mix");
    let samples = tone::ffmpeg_decode(&path);
    true_to_20_ms(&path, &samples, &mixed);
    let heard = |from, to, hz| 20.0 * tone::amplitude(part(&samples, &mixed, from, to), hz, tone::RATE).log10();
    for (from, to) in [(1_100, 5_980), (9_100, 10_980), (12_000, 16_900)] {
        assert!(heard(from, to, 440.0) > -30.0 && heard(from, to, 1_000.0) > -30.0, "{from}");
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
    assert!(runs[0].end <= ms(6_003) && runs[1].start >= ms(9_000), "{runs:?}");
}

#[test]
fn what_is_in_the_spool_after_a_withdrawal_ends_before_it() {
    let meeting = Meeting::new(Codec::Pcmu);
    let frames = tone::encode(Codec::Pcmu, &tone::sine(440.0, 0.3, 3.0), 0);
    let takes = meeting.record(&[(who(1), &frames)], vec![both(who(1), 1, 0)]);
    assert_eq!(takes[0].segments.len(), 1);
    // Told late, of a time in the midst of what was sealed already.
    let segment = takes[0].segments[0].clone();
    meeting.gate.apply(&said(2, who(1), ConsentStatus::Withdrawn, 1_500), ms(3_500));
    let trimmed = segment.clone().recheck(&meeting.gate).expect("trims").expect("something is left");
    assert!(trimmed.pass.span.end <= ms(1_500) && trimmed.pass.span.end >= ms(1_480), "{trimmed:?}");
    assert!(trimmed.size < segment.size && trimmed.sha256 != segment.sha256);
    meeting.gate.apply(&said(3, who(1), ConsentStatus::Accepted, 4_000), ms(4_000));
    assert_eq!(trimmed.clone().recheck(&meeting.gate).expect("asks"), Some(trimmed.clone()), "and again");
    let another = Meeting::new(Codec::Pcmu);
    assert_eq!(trimmed.clone().recheck(&another.gate).expect("asks"), None, "no consent at all");
    assert!(!trimmed.path.exists());
}

#[test]
fn nothing_admitted_makes_no_mix() {
    let meeting = Meeting::new(Codec::Opus);
    let frames = tone::encode(Codec::Opus, &tone::sine(440.0, 0.3, 1.0), 0);
    let takes =
        meeting.record(&[(who(1), &frames)], vec![(0, Event::Said(said(1, who(1), ConsentStatus::Declined, 0)))]);
    assert!(meeting.mix(&takes).is_none());
    assert!(meeting.mix(&[]).is_none());
    assert!(!meeting.folder.0.join("mix.m4a").exists());
}

/// What a meeting of one voice sounds like afterwards, in LUFS and dBTP.
fn loudness_of(samples: &[f32]) -> (f64, f64, Mixed) {
    let meeting = Meeting::new(Codec::Opus);
    let frames = tone::encode(Codec::Opus, samples, 0);
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
    for (what, samples) in
        [("quiet", tone::syllables(300.0, 0.02, 12.0)), ("loud", tone::sine(300.0, 0.95, 12.0)), ("peaky", clicks(0.5))]
    {
        let (lufs, peak, mixed) = loudness_of(&samples);
        assert!(peak <= -1.0, "{what}: {peak} dBTP, {mixed:?}");
        let wanted = if mixed.gain_db >= 20.0 { None } else { Some(-16.0) };
        assert!(wanted.is_none_or(|wanted| (lufs - wanted).abs() <= 1.0), "{what}: {lufs} LUFS, {mixed:?}");
        assert!(mixed.gain_db <= 20.0);
    }
    let (lufs, _, mixed) = loudness_of(&tone::sine(300.0, 0.001, 8.0));
    assert_eq!(mixed.gain_db, 0.0, "{lufs} LUFS, {mixed:?}");
    let (lufs, _, mixed) = loudness_of(&tone::sine(300.0, 0.01, 8.0));
    assert!((mixed.gain_db - 20.0).abs() < 1e-9 && lufs < -17.0, "{lufs} LUFS, {mixed:?}");
}

#[test]
fn loss_in_a_recording_is_concealed_in_the_mix() {
    let meeting = Meeting::new(Codec::Opus);
    let mut random = fastrand::Rng::with_seed(11);
    let whole = tone::encode(Codec::Opus, &tone::syllables(440.0, 0.3, 20.0), 500);
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
    let levels =
        whole.chunks_exact(960).zip(torn.chunks_exact(960)).map(|(a, b)| (tone::level_db(a), tone::level_db(b)));
    let missing = levels.filter(|(whole, torn)| *whole > -30.0 && whole - torn > 20.0).count();
    assert!(missing <= 5, "{missing} pieces of 20 ms are missing");
    // Nothing was left out or put in: both are the same sound at the same time.
    let end = whole.len().min(torn.len()) - 48_000;
    assert!(tone::correlation(&whole[end - 96_000..end], &torn[end - 96_000..end], 21) > 0.9);
}

#[test]
fn a_clock_that_drifts_stays_true() {
    let meeting = Meeting::new(Codec::Opus);
    let mut voice = vec![0.0; 60 * tone::RATE];
    for second in 0..60 {
        for (n, sample) in tone::sine(1_000.0, 0.5, 0.05).into_iter().enumerate() {
            voice[second * tone::RATE + n] = sample;
        }
    }
    // The sender's clock is 500 ppm slow: a packet takes 20.01 ms.
    let mut frames = tone::encode(Codec::Opus, &voice, 0);
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
        let (first, _) = tone::heard_ms(part(&samples, &mixed, from, from + 500), 0.1).expect("a beep");
        assert!((first - 200.0).abs() <= 5.0, "beep {second} at {} ms, wanted at {wanted}", from as f64 + first);
    }
}

const KILL_ME: &str = "HANSARD_TEST_SPOOL";

/// Not a test of its own: the process that is killed in the one below.
#[test]
fn writes_until_killed() {
    let Ok(folder) = std::env::var(KILL_ME) else { return };
    let gate = Arc::new(Gate::new(&Use::ALL));
    gate.apply(&said(1, who(1), ConsentStatus::Accepted, 0), ms(0));
    let meeting = Meeting { folder: Folder::new(), gate: Arc::clone(&gate), codec: Codec::Opus };
    let track = meeting.track(who(1));
    let frames = tone::encode(Codec::Opus, &tone::sine(440.0, 0.3, 30.0), 0);
    let (spool, _told) = Spool::start(folder.into(), 1, Arc::clone(&gate)).expect("a recorder");
    spool.open(track);
    println!("ready");
    let begun = std::time::Instant::now();
    for frame in frames {
        // A real sender's pace, since the kill is measured against it.
        let due = Duration::from_micros(frame.span.end.0.unsigned_abs());
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let frame = gate.admit::<Recording, _>(who(1), frame.span.end, frame.span, frame).expect("agreed");
        let end = frame.pass().span.end;
        spool.write(track.recording, frame);
        println!("{}", end.as_ms());
    }
}

#[test]
fn a_killed_process_leaves_what_it_received_playable() {
    use std::io::{BufRead, BufReader};
    let meeting = Meeting::new(Codec::Opus);
    let spool = meeting.folder.0.join("spool");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["writes_until_killed", "--exact", "--nocapture"])
        .env(KILL_ME, &spool)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts itself");
    let mut last = 0;
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        last = line.expect("reads").trim().parse().unwrap_or(last);
        if last >= 5_500 {
            break;
        }
    }
    child.kill().expect("kills");
    child.wait().expect("is dead");
    assert!(last >= 5_500);

    meeting.gate.replay(&[said(1, who(1), ConsentStatus::Accepted, 0)]);
    assert_eq!(segment::leftover_meetings(&spool).expect("lists"), [meeting.track(who(1)).meeting]);
    let left = segment::leftovers(&spool, meeting.track(who(1)).meeting).expect("lists");
    assert!(left.len() >= 2, "one sealed at least, and one open");
    let sealed: Vec<Sealed> =
        left.iter().filter_map(|left| left.clone().repair(&meeting.gate).expect("repairs")).collect();
    let take = meeting.take(who(1), &sealed);
    let (path, track) = take.track.expect("a track");
    assert_eq!(track.start_ms, 0);
    assert!((last - 1_000..=last + 60).contains(&track.duration_ms), "{} ms of {last}", track.duration_ms);
    assert_eq!(track.recorded.len(), 1);
    let samples = tone::ffmpeg_decode(&path);
    assert!((samples.len() as i64 / 48 - track.duration_ms).abs() <= 20);
    assert!(tone::amplitude(&samples[4_800..240_000], 440.0, tone::RATE) > 0.25);
}

#[test]
fn a_full_disk_ends_a_segment_and_not_the_recorder() {
    let meeting = Meeting::new(Codec::Opus);
    meeting.gate.apply(&said(1, who(1), ConsentStatus::Accepted, 0), ms(0));
    let (spool, mut told) =
        Spool::start(meeting.folder.0.join("spool"), 1, Arc::clone(&meeting.gate)).expect("a recorder");
    let track = meeting.track(who(1));
    spool.open(track);
    // Its folder cannot be written to, because it is a file; then it can.
    let folder = meeting.folder.0.join(format!("spool/{}/1/{}", track.meeting, track.recording));
    let frames = tone::encode(Codec::Opus, &tone::sine(440.0, 0.3, 4.0), 0);
    let wait = |written: u64| {
        let begun = std::time::Instant::now();
        while spool.counts().written + spool.counts().refused < written {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", spool.counts());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let mut pushed = 0;
    for (n, frame) in frames.into_iter().enumerate() {
        if n == 10 {
            wait(pushed);
            std::fs::remove_dir_all(&folder).expect("removes");
            spool.seal(track.recording);
            std::fs::write(&folder, b"").expect("writes");
        }
        if n == 100 {
            wait(pushed);
            std::fs::remove_file(&folder).expect("removes");
            std::fs::create_dir(&folder).expect("makes");
        }
        let frame = meeting.gate.admit::<Recording, _>(who(1), frame.span.end, frame.span, frame).expect("agreed");
        assert!(spool.write(track.recording, frame));
        pushed += 1;
    }
    wait(pushed);
    spool.finish();
    let (mut sealed, mut failed) = (Vec::new(), 0);
    while let Some(told) = told.blocking_recv() {
        match told {
            Told::Sealed(segment) => sealed.push(segment),
            Told::Failed { recording, .. } => {
                assert_eq!(recording, track.recording);
                failed += 1;
            }
        }
    }
    assert!((2..=4).contains(&failed), "{failed} failures told");
    assert_eq!(sealed.len(), 1);
    assert!(sealed[0].pass.span.end >= ms(3_900), "{sealed:?}");
}

#[test]
fn speech_hears_only_what_was_agreed_to() {
    let gate = Arc::new(Gate::new(&Use::ALL));
    let stream = StreamId(Uuid::from_u128(5));
    let (heard, mut pcm) = tokio::sync::mpsc::channel(1_000);
    let ears = Ears::start(Arc::clone(&gate), heard).expect("a decoder");
    assert!(ears.open(stream, who(1), Codec::Opus));
    let frames = tone::encode(Codec::Opus, &tone::sine(440.0, 0.3, 6.0), 0);
    let agreed = |entry, status, at_ms| Entry { uses: vec![Use::Transcription], ..said(entry, who(1), status, at_ms) };
    let mut pieces = Vec::new();
    let mut drain = |until: i64| {
        // A tick brings out the last frame, so this ends.
        let begun = std::time::Instant::now();
        while pieces.last().is_none_or(|(_, piece): &(i64, Pcm)| piece.span.end < ms(until - 15)) {
            assert!(begun.elapsed() < Duration::from_secs(10), "no sound up to {until} ms");
            match pcm.try_recv() {
                Ok(Heard::Pcm { stream: of, pcm }) => {
                    assert_eq!(of, stream);
                    let (piece, pass) = pcm.into_parts();
                    assert_eq!(pass.span, piece.span);
                    pieces.push((pass.entry, piece));
                }
                Ok(Heard::Closed { .. }) => panic!("not closed yet"),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    };
    for frame in frames {
        match frame.span.start.as_ms() {
            1_000 => gate.apply(&agreed(1, ConsentStatus::Accepted, 1_000), ms(1_000)),
            3_000 => {
                // Known 100 ms late: what was decoded since stays inside.
                ears.tick(ms(3_200));
                drain(3_000);
                gate.withdraw(ConsentId(Uuid::from_u128(9)), who(1), &[Use::Transcription], ms(2_900));
            }
            4_000 => {
                let entry = Entry { id: ConsentId(Uuid::from_u128(9)), ..agreed(2, ConsentStatus::Withdrawn, 2_900) };
                gate.apply(&entry, ms(4_000));
                gate.apply(&agreed(3, ConsentStatus::Accepted, 4_000), ms(4_000));
            }
            _ => {}
        }
        assert!(gate.admit::<Recording, _>(who(1), frame.span.end, frame.span, ()).is_err(), "another use");
        if let Ok(frame) = gate.admit(who(1), frame.span.end, frame.span, frame) {
            assert!(ears.push(stream, frame));
        }
    }
    ears.tick(ms(6_500));
    drain(6_000);
    let spans: Vec<(i64, Span)> = pieces.iter().map(|(entry, piece)| (*entry, piece.span)).collect();
    assert_eq!(spans[0].1.start, ms(1_000));
    assert!(spans.iter().all(|(entry, span)| match entry {
        1 => ms(1_000) <= span.start && span.end <= ms(3_000),
        3 => ms(4_000) <= span.start,
        _ => false,
    }));
    assert!(spans.windows(2).filter(|pair| (pair[1].1.start - pair[0].1.end).0.abs() > 2).count() == 1, "{spans:?}");
    assert_eq!(ears.counts().overflowed + ears.counts().unheard + ears.counts().broken, 0);
    ears.close(stream);
    let end = std::iter::from_fn(|| pcm.blocking_recv()).find(|heard| matches!(heard, Heard::Closed { .. }));
    assert!(end.is_some(), "told when it is closed");
    drop(ears);
    assert!(pcm.blocking_recv().is_none(), "the thread ends");
}
