//! The spool: cut by a withdrawal, left by a dead process, and on a full disk.

use crate::{
    meeting::{Folder, Meeting, both, ms, said, who},
    tone,
};
use hansard::{
    domain::{
        consent::{ConsentStatus, Use},
        gate::{Gate, Recording},
        recording::Codec,
    },
    media::{
        segment::{self, Sealed},
        spool::{Spool, Told},
    },
};
use std::{sync::Arc, time::Duration};

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
        .args(["spool::writes_until_killed", "--exact", "--nocapture"])
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
