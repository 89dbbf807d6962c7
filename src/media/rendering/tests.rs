use super::{join::*, remux::*};
use crate::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::{
            matroska::{Shape, Writer},
            track::Reader,
        },
        frame::Frame,
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("hansard-remux-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("makes a folder");
        Self(path)
    }

    fn segment(&self, name: &str, from_ms: i64, to_ms: i64) -> PathBuf {
        let path = self.0.join(name);
        let writer = Writer::create(
            &path,
            Shape::Segment,
            AudioCodec::Pcmu,
            1,
            MeetingTime::ZERO,
        )
        .expect("creates a segment");
        for ms in (from_ms..to_ms).step_by(20) {
            writer.write(&frame(ms)).expect("writes");
        }
        writer.finish().expect("finishes");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn frame(ms: i64) -> Frame {
    let mut payload = vec![0xff; 160];
    payload[..8].copy_from_slice(&ms.to_le_bytes());
    Frame {
        payload: payload.into(),
        span: span(ms, ms + 20),
    }
}

fn span(from_ms: i64, to_ms: i64) -> Span {
    Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms))
}

const ALWAYS: Span = Span::new(MeetingTime(i64::MIN), MeetingTime::MAX);

#[test]
fn trims_to_what_is_allowed() {
    let folder = Folder::new("trim");
    let path = folder.segment("0-1.mkv", 1_000, 3_000);
    assert_eq!(
        inspect(&path).expect("reads"),
        Some(Content {
            span: span(1_000, 3_000),
            frames: 100
        })
    );
    let kept = keep(&path, &[span(0, 1_510), span(2_000, 2_100)]).expect("rewrites");
    assert_eq!(
        kept,
        Some(Content {
            span: span(1_000, 2_100),
            frames: 25 + 5
        })
    );
    assert_eq!(inspect(&path).expect("reads"), kept);
    assert_eq!(keep(&path, &[span(0, 1_010)]).expect("rewrites"), None);
    assert!(!path.exists());
    assert_eq!(
        fs::read_dir(&folder.0).expect("lists").count(),
        0,
        "nothing is left beside"
    );
}

#[test]
fn a_torn_segment_is_repaired() {
    let folder = Folder::new("torn");
    let path = folder.segment("0-1.mkv", 1_000, 3_000);
    let whole = fs::read(&path).expect("reads");
    for length in (0..whole.len()).step_by(997) {
        fs::write(&path, &whole[..length]).expect("writes");
        let before = inspect(&path).expect("reads");
        let kept = keep(&path, &[ALWAYS]).expect("repairs");
        assert_eq!(kept, before, "at {length}");
        // A frame is 160 bytes and a header.
        let least = (length.saturating_sub(1_000) / 175) as u64;
        assert!(
            kept.map_or(0, |kept| kept.frames) >= least,
            "{kept:?} at {length}"
        );
    }
}

#[test]
fn what_turns_up_late_goes_where_it_belongs() {
    let folder = Folder::new("late");
    let early = [
        folder.segment("1-1.mkv", 64_000, 68_000),
        folder.segment("3-1.mkv", 72_000, 76_000),
    ];
    let made = folder.0.join("made.mkv");
    let first = finalise_track(&early, &[ALWAYS], &made)
        .expect("joins")
        .expect("has frames");
    let zero = MeetingTime::from_ms(first.start_ms);
    // Before it, in its hole (and a little over both edges), behind it; and one that is in it
    // already.
    let late = [
        folder.segment("0-1.mkv", 60_000, 64_000),
        folder.segment("2-1.mkv", 67_990, 72_010),
        folder.segment("4-1.mkv", 76_000, 80_000),
        folder.segment("1-1.again.mkv", 64_000, 68_000),
    ];
    let part = |path: &Path, zero| {
        Part::of(path, zero, vec![ALWAYS])
            .expect("reads")
            .expect("has frames")
    };
    let mut parts = vec![part(&made, zero)];
    parts.extend(late.iter().map(|path| part(path, MeetingTime::ZERO)));
    let out = folder.0.join("track.mka");
    let track = join(&parts, &out).expect("joins").expect("has frames");
    assert_eq!((track.start_ms, track.duration_ms), (60_000, 20_000));
    // Where the late one's frames lie across an edge, half a frame is missing, and nothing is
    // there twice.
    let holes = track
        .recorded
        .windows(2)
        .map(|two| two[1].start - two[0].end);
    assert!(
        holes.clone().count() <= 2 && holes.clone().all(|hole| hole <= Micros::from_ms(10)),
        "{:?}",
        track.recorded
    );
    let mut reader = Reader::open(&out, MeetingTime::from_ms(60_000))
        .expect("opens")
        .expect("has frames");
    let mut last = MeetingTime::ZERO;
    while let Some(frame) = reader.read().expect("reads") {
        assert!(
            (frame.span.start - last).0 >= 9_000,
            "{:?} behind {last:?}",
            frame.span
        );
        last = frame.span.start;
    }
    assert!((998..=1_000).contains(&track.frames), "{}", track.frames);
}

#[test]
fn joins_segments_and_drops_what_comes_twice() {
    let folder = Folder::new("join");
    let segments = [
        folder.segment("0-1.mkv", 60_000, 64_000),
        folder.segment("1-1.mkv", 64_000, 66_000),
        // Another epoch took over and has some of it again, a little shifted.
        folder.segment("2-1.mkv", 65_010, 67_010),
        folder.segment("3-4.mkv", 70_000, 72_000),
    ];
    let out = folder.0.join("track.mka");
    let track = finalise_track(&segments, &[span(0, 71_000)], &out)
        .expect("joins")
        .expect("has frames");
    assert_eq!((track.start_ms, track.duration_ms), (60_000, 11_000));
    assert_eq!(track.recorded, [span(60_000, 67_010), span(70_000, 71_000)]);
    assert_eq!(
        (track.frames, track.dropped),
        (200 + 100 + 51 + 50, 49 + 50)
    );
    let mut reader = Reader::open(&out, MeetingTime::from_ms(track.start_ms))
        .expect("opens")
        .expect("has frames");
    let mut starts = Vec::new();
    while let Some(frame) = reader.read().expect("reads") {
        starts.push(frame.span.start);
    }
    assert_eq!(starts.len() as u64, track.frames);
    assert!(starts.is_sorted());
    assert_eq!(finalise_track(&segments, &[], &out).expect("joins"), None);
    assert!(!out.exists());
    assert_eq!(finalise_track(&[], &[ALWAYS], &out).expect("joins"), None);
}
