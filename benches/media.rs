//! What recording and decoding 20 streams costs beside 20 bare `gst-launch-1.0` graphs of the same
//! kind, what sealing takes, and how long the mix takes beside ffmpeg on the same tracks.
//! `cargo bench --bench media`.

#[path = "../tests/support/tone.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod tone;

use hansard::{
    domain::{
        codec::AudioCodec,
        consent::{ConsentStatus, Use},
        gate::{Entry, Gate, Recording, Transcription},
        id::{ConsentId, MeetingId, ParticipantId, RecordingId, StreamId},
        quota::Quota,
        recording::Track,
        stream::MediaSource,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::matroska::{Shape, Writer},
        frame::Frame,
        live::{
            decode_thread::DecodeThread,
            disk::{Disk, OwnedFolder},
            segment::{Sealed, SegmentWriter},
            spool::Spool,
        },
        rendering::{
            join,
            mix::{self, Source as MixSource},
        },
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

const STREAMS: u128 = 20;
const SECONDS: u64 = 10;

fn main() {
    let folder = std::env::temp_dir().join(format!("hansard-bench-{}", Uuid::new_v4().simple()));
    fs::create_dir(&folder).expect("the temporary directory can be written to");
    streams(&folder);
    sealing(&folder);
    joining(&folder);
    mixing(&folder);
    fs::remove_dir_all(&folder).expect("removes");
}

fn agreed() -> Arc<Gate> {
    let gate = Arc::new(Gate::new(&Use::ALL));
    for n in 0..STREAMS {
        let entry = Entry {
            entry: n as i64 + 1,
            id: ConsentId(Uuid::from_u128(n)),
            participant: ParticipantId(Uuid::from_u128(n)),
            uses: Use::ALL.to_vec(),
            status: ConsentStatus::Accepted,
            at: MeetingTime::ZERO,
        };
        gate.apply(&entry, MeetingTime::ZERO);
    }
    gate
}

fn track(n: u128) -> Track {
    Track {
        meeting: MeetingId(Uuid::from_u128(1)),
        recording: RecordingId(Uuid::from_u128(n)),
        participant: ParticipantId(Uuid::from_u128(n)),
        source: MediaSource::Microphone,
        codec: AudioCodec::Opus,
    }
}

/// Processor time of a process in seconds, threads and all.
fn cpu(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    let after = stat.rsplit(')').next().expect("a name");
    let ticks: Vec<u64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|word| word.parse().ok())
        .collect();
    ticks.iter().sum::<u64>() as f64 / 100.0
}

/// The folder of epoch 1 in a spool.
fn owned(spool: &Path) -> Arc<OwnedFolder> {
    Arc::new(Disk::new(spool.to_owned(), Quota::default()).own(track(0).meeting, 1))
}

/// Records and decodes the frames in every one of the streams at their pace; percent of a core.
fn ours(folder: &Path, frames: &[Frame]) -> f64 {
    let gate = agreed();
    let (spool, mut told) =
        Spool::start(owned(&folder.join("spool")), Arc::clone(&gate)).expect("a recorder");
    let (heard, mut pcm) = tokio::sync::mpsc::channel(1_000);
    let decode_thread =
        DecodeThread::start(Arc::clone(&gate), Box::new(|_| {})).expect("a decoder");
    for n in 0..STREAMS {
        spool.open(track(n));
        decode_thread.open(
            StreamId(Uuid::from_u128(n)),
            ParticipantId(Uuid::from_u128(n)),
            AudioCodec::Opus,
            {
                let heard = heard.clone();
                Box::new(move |pcm| drop(heard.blocking_send(pcm)))
            },
        );
    }
    let begun = Instant::now();
    let (mut before, mut from) = (None, begun);
    for frame in frames {
        let due = Duration::from_micros(frame.span.end.0.unsigned_abs());
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        if before.is_none() && begun.elapsed() > Duration::from_secs(2) {
            (before, from) = (Some(cpu("self")), Instant::now());
        }
        for n in 0..STREAMS {
            let who = ParticipantId(Uuid::from_u128(n));
            let recorded = gate
                .admit::<Recording, _>(who, frame.span.end, frame.span, frame.clone())
                .expect("agreed");
            let spoken = gate
                .admit::<Transcription, _>(who, frame.span.end, frame.span, frame.clone())
                .expect("agreed");
            spool.write(RecordingId(Uuid::from_u128(n)), recorded);
            decode_thread.push(StreamId(Uuid::from_u128(n)), spoken);
        }
        spool.tick(frame.span.end);
        decode_thread.tick(frame.span.end);
        while pcm.try_recv().is_ok() {}
        while told.try_recv().is_ok() {}
    }
    let used = (cpu("self") - before.expect("longer than 2 s")) / from.elapsed().as_secs_f64();
    assert_eq!(
        (
            spool.counts().overflowed,
            decode_thread.counts().overflowed,
            decode_thread.counts().broken
        ),
        (0, 0, 0)
    );
    spool.finish();
    while told.blocking_recv().is_some() {}
    used * 100.0
}

/// The same by `gst-launch-1.0`, one process per stream.
fn bare(folder: &Path, frames: &[Frame]) -> f64 {
    let source = folder.join("source.mka");
    let writer = Writer::create(
        &source,
        Shape::Track,
        AudioCodec::Opus,
        1,
        MeetingTime::ZERO,
    )
    .expect("creates");
    frames
        .iter()
        .for_each(|frame| writer.write(frame).expect("writes"));
    writer.finish().expect("finishes");
    let launch = |n: u128| {
        let graph = format!(
            "filesrc location={} ! matroskademux ! identity sync=true ! tee name=t \
             t. ! queue ! m.audio_0 matroskamux name=m streamable=true \
             ! filesink buffer-mode=unbuffered sync=false location={} \
             t. ! queue ! opusdec plc=true use-inband-fec=true ! audioconvert ! audioresample \
             ! audio/x-raw,format=F32LE,rate=16000,channels=1 ! appsink sync=false",
            source.display(),
            folder.join(format!("bare-{n}.mkv")).display()
        );
        Command::new("gst-launch-1.0")
            .arg("-q")
            .args(graph.split_whitespace())
            .stdout(Stdio::null())
            .spawn()
            .expect("gst-launch-1.0 is installed")
    };
    let mut children: Vec<_> = (0..STREAMS).map(launch).collect();
    let all = |children: &[std::process::Child]| -> f64 {
        children
            .iter()
            .map(|child| cpu(&child.id().to_string()))
            .sum()
    };
    std::thread::sleep(Duration::from_secs(4));
    let (before, from) = (all(&children), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS - 2));
    let used = (all(&children) - before) / from.elapsed().as_secs_f64();
    for child in &mut children {
        child.kill().expect("kills");
        child.wait().expect("is dead");
    }
    used * 100.0
}

fn streams(folder: &Path) {
    let seconds = (SECONDS + 6) as f64;
    let silence = tone::encode(
        AudioCodec::Opus,
        &vec![0.0; tone::RATE * (SECONDS as usize + 6)],
        0,
    );
    let speech = tone::encode(AudioCodec::Opus, &tone::syllables(300.0, 0.3, seconds), 0);
    // DTX: a packet every 400 ms.
    let dtx: Vec<Frame> = silence.iter().step_by(20).cloned().collect();
    let whole = |frames: &[Frame]| -> Vec<Frame> {
        frames
            .iter()
            .filter(|frame| frame.span.end.as_ms() <= 1_000 * (SECONDS as i64 + 2))
            .cloned()
            .collect()
    };
    println!("20 streams, recorded and decoded to 16 kHz, percent of a core:");
    for (name, frames) in [("digital silence", &silence), ("speech-like", &speech)] {
        let (ours, bare) = (ours(folder, &whole(frames)), bare(folder, frames));
        println!(
            "  {name:<16} ours {ours:5.1} %   20 x gst-launch-1.0 {bare:5.1} %   ratio {:.2}",
            ours / bare
        );
        fs::remove_dir_all(folder.join("spool")).expect("removes");
    }
    println!("  {:<16} ours {:5.1} %", "DTX", ours(folder, &whole(&dtx)));
    fs::remove_dir_all(folder.join("spool")).expect("removes");
}

fn sealing(folder: &Path) {
    let gate = agreed();
    let frames = tone::encode(AudioCodec::Opus, &tone::syllables(300.0, 0.3, 3.9), 0);
    let mut plain = Vec::new();
    let mut trimmed = Vec::new();
    for n in 0..STREAMS {
        let mut writer =
            SegmentWriter::new(owned(&folder.join("seal")), track(n), Arc::clone(&gate));
        let who = ParticipantId(Uuid::from_u128(n));
        for frame in &frames {
            let frame = gate
                .admit(who, frame.span.end, frame.span, frame.clone())
                .expect("agreed");
            assert!(!writer.write(frame).dropped);
        }
        let withdrawn = n % 2 == 1;
        if withdrawn {
            gate.withdraw(
                ConsentId(Uuid::from_u128(900 + n)),
                who,
                &Use::ALL,
                MeetingTime::from_ms(2_000),
            );
        }
        let begun = Instant::now();
        let sealed: Option<Sealed> = writer.seal().sealed;
        assert!(sealed.is_some());
        if withdrawn { &mut trimmed } else { &mut plain }.push(begun.elapsed());
    }
    let middle = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    println!(
        "sealing a segment of 4 s: {:?}, with a withdrawal to trim: {:?}",
        middle(&mut plain),
        middle(&mut trimmed)
    );
}

fn joining(folder: &Path) {
    let frames = tone::encode(AudioCodec::Opus, &tone::syllables(300.0, 0.3, 4.0), 0);
    let segments: Vec<PathBuf> = (0..900)
        .map(|n| {
            let path = folder.join(format!("{n}-1.mkv"));
            let writer = Writer::create(
                &path,
                Shape::Segment,
                AudioCodec::Opus,
                1,
                MeetingTime::ZERO,
            )
            .expect("creates");
            for frame in &frames[..200] {
                let by = Micros::from_secs(4 * n);
                let span = Span::new(frame.span.start + by, frame.span.end + by);
                writer
                    .write(&Frame {
                        span,
                        ..frame.clone()
                    })
                    .expect("writes");
            }
            writer.finish().expect("finishes");
            path
        })
        .collect();
    let always = [Span::new(MeetingTime::ZERO, MeetingTime::MAX)];
    let begun = Instant::now();
    let track = join::finalise_track(&segments, &always, &folder.join("hour.mka"))
        .expect("joins")
        .expect("has frames");
    println!(
        "joining the 900 segments of an hour ({} frames): {:.2?}",
        track.frames,
        begun.elapsed()
    );
}

fn mixing(folder: &Path) {
    const LENGTH: f64 = 90.0;
    let tracks: Vec<MixSource> = [(300.0, 0.1), (440.0, 0.05), (700.0, 0.2)]
        .into_iter()
        .map(|(hz, amplitude)| {
            let frames = tone::encode(AudioCodec::Opus, &tone::syllables(hz, amplitude, LENGTH), 0);
            let path = folder.join(format!("{hz}.mka"));
            let writer =
                Writer::create(&path, Shape::Track, AudioCodec::Opus, 1, MeetingTime::ZERO)
                    .expect("creates");
            frames
                .iter()
                .for_each(|frame| writer.write(frame).expect("writes"));
            writer.finish().expect("finishes");
            let whole = Span::new(MeetingTime::ZERO, MeetingTime::from_ms(90_000));
            MixSource {
                path,
                start: MeetingTime::ZERO,
                allowed: vec![whole],
                redacted: Vec::new(),
            }
        })
        .collect();
    let begun = Instant::now();
    let mixed = mix::render(&tracks, &folder.join("mix.m4a"), &mut |_| Ok(()))
        .expect("renders")
        .expect("a mix");
    let ours = begun.elapsed();
    let paths: Vec<PathBuf> = tracks.iter().map(|track| track.path.clone()).collect();
    let ffmpeg = |filter: &str, to: &[&str]| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y"]);
        paths.iter().for_each(|path| {
            command.arg("-i").arg(path);
        });
        command.args(["-filter_complex", filter]).args(to);
        let begun = Instant::now();
        assert!(
            command
                .current_dir(folder)
                .status()
                .expect("ffmpeg is installed")
                .success()
        );
        begun.elapsed()
    };
    let file = ["-c:a", "aac", "-b:a", "96k", "-ar", "48000", "ffmpeg.m4a"];
    let plain = ffmpeg("amix=inputs=3:normalize=0", &file);
    let measured = ffmpeg(
        "amix=inputs=3:normalize=0,ebur128=framelog=verbose",
        &["-f", "null", "-"],
    );
    let limited = ffmpeg(
        "amix=inputs=3:normalize=0,volume=6dB,alimiter=limit=0.8",
        &file,
    );
    println!(
        "mix of 3 tracks of 90 s: ours {ours:.2?} (gain {:.1} dB); ffmpeg plain {plain:.2?}, measured and then limited {:.2?}",
        mixed.gain_db,
        measured + limited
    );
}
