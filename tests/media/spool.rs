//! The spool: cut by a withdrawal, left by a dead process, and on a full disk.

use crate::{
    meeting::{Folder, Meeting, both, ms, said, span, who},
    tone,
};
use hansard::{
    domain::{
        codec::AudioCodec,
        consent::{ConsentStatus, Use},
        gate::{Gate, Recording},
        id::RecordingId,
        quota::Quota,
        recording::union,
        time::{Micros, Span},
    },
    media::live::{
        disk::Disk,
        segment::{self, Sealed},
        spool::{Spool, SpoolEvent},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::{self, error::TryRecvError};

/// On a busy machine.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn what_is_in_the_spool_after_a_withdrawal_ends_before_it() {
    let meeting = Meeting::new(AudioCodec::Pcmu);
    let frames = tone::encode(AudioCodec::Pcmu, &tone::sine(440.0, 0.3, 3.0), 0);
    let takes = meeting.record(&[(who(1), &frames)], vec![both(who(1), 1, 0)]);
    assert_eq!(takes[0].segments.len(), 1);
    // SpoolEvent late, of a time in the midst of what was sealed already.
    let segment = takes[0].segments[0].clone();
    meeting
        .gate
        .apply(&said(2, who(1), ConsentStatus::Withdrawn, 1_500), ms(3_500));
    let trimmed = segment
        .clone()
        .recheck(&meeting.gate)
        .expect("trims")
        .expect("something is left");
    assert!(
        trimmed.pass.span.end <= ms(1_500) && trimmed.pass.span.end >= ms(1_480),
        "{trimmed:?}"
    );
    assert!(trimmed.size < segment.size && trimmed.sha256 != segment.sha256);
    meeting
        .gate
        .apply(&said(3, who(1), ConsentStatus::Accepted, 4_000), ms(4_000));
    assert_eq!(
        trimmed.clone().recheck(&meeting.gate).expect("asks"),
        Some(trimmed.clone()),
        "and again"
    );
    let another = Meeting::new(AudioCodec::Pcmu);
    assert_eq!(
        trimmed.clone().recheck(&another.gate).expect("asks"),
        None,
        "no consent at all"
    );
    assert!(!trimmed.path.exists());
}

/// Its counter stood still for a second and a half: until that shows, what it sends is placed so
/// much early. The process dies before it hears of a withdrawal; nothing that arrived after it is
/// taken up from the spool.
#[test]
fn what_arrived_after_a_withdrawal_is_cut_though_it_is_placed_before() {
    let meeting = Meeting::new(AudioCodec::Pcmu);
    let spool = meeting.folder.0.join("spool");
    let track = meeting.track(who(1));
    meeting
        .gate
        .apply(&said(1, who(1), ConsentStatus::Accepted, 0), ms(0));
    let owned = Disk::new(spool.clone(), Quota::default()).own(track.meeting, 1);
    let mut writer = segment::SegmentWriter::new(Arc::new(owned), track, Arc::clone(&meeting.gate));
    for frame in tone::encode(AudioCodec::Pcmu, &tone::sine(440.0, 0.3, 3.0), 0) {
        let stood = Micros::from_ms(if frame.span.start < ms(1_000) {
            0
        } else {
            1_500
        });
        let arrived = frame.span.end + stood;
        let admitted = meeting
            .gate
            .admit::<Recording, _>(who(1), arrived, frame.span, frame)
            .expect("agreed");
        let written = writer.write(admitted);
        assert!(written.fault.is_none() && !written.dropped, "{written:?}");
    }
    assert!(writer.seal().sealed.is_some());
    let after = Gate::new(&Use::ALL);
    after.replay(&[
        said(1, who(1), ConsentStatus::Accepted, 0),
        said(2, who(1), ConsentStatus::Withdrawn, 3_500),
    ]);
    let left = segment::leftovers(&spool, track.meeting, 1).expect("lists");
    let kept = left
        .into_iter()
        .filter_map(|left| left.repair(&after).expect("repairs"));
    let spans: Vec<Span> = kept.map(|sealed| sealed.pass.span).collect();
    // Placed until 2,000 ms it had arrived before; and not much of that is lost.
    let end = spans
        .iter()
        .map(|span| span.end)
        .max()
        .expect("something is left");
    assert!((ms(1_850)..=ms(2_000)).contains(&end), "{spans:?}");
    assert_eq!(union(&spans), [Span::new(ms(0), end)]);
}

const KILL_ME: &str = "HANSARD_TEST_SPOOL";

/// Not a test of its own: the process that is killed in the one below.
#[test]
fn writes_until_killed() {
    let Ok(folder) = std::env::var(KILL_ME) else {
        return;
    };
    let gate = Arc::new(Gate::new(&Use::ALL));
    gate.apply(&said(1, who(1), ConsentStatus::Accepted, 0), ms(0));
    let meeting = Meeting {
        folder: Folder::new(),
        gate: Arc::clone(&gate),
        codec: AudioCodec::Opus,
    };
    let track = meeting.track(who(1));
    let frames = tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.3, 30.0), 0);
    let owned = Disk::new(folder.into(), Quota::default()).own(track.meeting, 1);
    let (spool, _told) = Spool::start(Arc::new(owned), Arc::clone(&gate)).expect("a recorder");
    spool.open(track);
    println!("ready");
    let begun = std::time::Instant::now();
    for frame in frames {
        // A real sender's pace, since the kill is measured against it.
        let due = Duration::from_micros(frame.span.end.0.unsigned_abs());
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let frame = gate
            .admit::<Recording, _>(who(1), frame.span.end, frame.span, frame)
            .expect("agreed");
        let end = frame.pass().span.end;
        spool.write(track.recording, frame);
        println!("{}", end.as_ms());
    }
}

#[test]
fn a_killed_process_leaves_what_it_received_playable() {
    use std::io::{BufRead, BufReader};
    let meeting = Meeting::new(AudioCodec::Opus);
    let spool = meeting.folder.0.join("spool");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["spool::writes_until_killed", "--exact", "--nocapture"])
        .env(KILL_ME, &spool)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts itself");
    let (mut last, mut is_killed) = (0, false);
    // To its end: what it said before it died it had handed over, however late that is read here.
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        last = line.expect("reads").trim().parse().unwrap_or(last);
        if last >= 5_500 && !is_killed {
            child.kill().expect("kills");
            is_killed = true;
        }
    }
    child.wait().expect("is dead");
    assert!(is_killed);

    meeting
        .gate
        .replay(&[said(1, who(1), ConsentStatus::Accepted, 0)]);
    assert_eq!(
        segment::leftover_meetings(&spool).expect("lists"),
        [meeting.track(who(1)).meeting]
    );
    let left = segment::leftovers(&spool, meeting.track(who(1)).meeting, 1).expect("lists");
    assert!(left.len() >= 2, "one sealed at least, and one open");
    let sealed: Vec<Sealed> = left
        .iter()
        .filter_map(|left| left.clone().repair(&meeting.gate).expect("repairs"))
        .collect();
    let take = meeting.take(who(1), &sealed);
    let (path, track) = take.track.expect("a track");
    assert_eq!(track.start_ms, 0);
    assert!(
        (last - 1_000..=last + 60).contains(&track.duration_ms),
        "{} ms of {last}",
        track.duration_ms
    );
    assert_eq!(track.recorded.len(), 1);
    let samples = tone::ffmpeg_decode(&path);
    assert!((samples.len() as i64 / 48 - track.duration_ms).abs() <= 20);
    assert!(tone::amplitude(&samples[4_800..240_000], 440.0, tone::RATE) > 0.25);
}

/// What the recorder of a recording told.
struct End {
    recording: RecordingId,
    told: mpsc::Receiver<SpoolEvent>,
    sealed: Vec<Sealed>,
    failed: usize,
    /// After the last failure.
    resumed: usize,
    lost: Vec<Span>,
    left: usize,
}

impl End {
    /// `false`: it tells no more.
    fn hear(&mut self) -> bool {
        let begun = std::time::Instant::now();
        let told = loop {
            match self.told.try_recv() {
                Ok(told) => break told,
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => {}
            }
            assert!(begun.elapsed() < SOON, "nothing is told");
            std::thread::sleep(Duration::from_millis(1));
        };
        match told {
            SpoolEvent::Sealed(segment) => self.sealed.push(segment),
            SpoolEvent::Failed { .. } => (self.failed, self.resumed) = (self.failed + 1, 0),
            SpoolEvent::Resumed { .. } => self.resumed += 1,
            SpoolEvent::Lost { recording, span } => {
                assert_eq!(recording, self.recording);
                self.lost.push(span);
            }
            SpoolEvent::Left(_) => self.left += 1,
        }
        true
    }

    /// Ends the open segment, and waits until it is sealed.
    fn seal(&mut self, spool: &Spool) {
        let before = self.sealed.len();
        assert!(spool.seal(self.recording));
        while self.sealed.len() == before {
            assert!(self.hear(), "it is told before the end");
        }
    }
}

/// Records four seconds, with something done to the spool before the frame of a number; nobody
/// helps the recorder.
fn record_through(
    meeting: &Meeting,
    disk: &Disk,
    mut before: impl FnMut(usize, &Spool, &mut End),
) -> End {
    meeting
        .gate
        .apply(&said(1, who(1), ConsentStatus::Accepted, 0), ms(0));
    let track = meeting.track(who(1));
    let owned = Arc::new(disk.own(track.meeting, 1));
    let (spool, told) = Spool::start(owned, Arc::clone(&meeting.gate)).expect("a recorder");
    let mut end = End {
        recording: track.recording,
        told,
        sealed: Vec::new(),
        failed: 0,
        resumed: 0,
        lost: Vec::new(),
        left: 0,
    };
    spool.open(track);
    for (n, frame) in tone::encode(AudioCodec::Opus, &tone::sine(440.0, 0.3, 4.0), 0)
        .into_iter()
        .enumerate()
    {
        let begun = std::time::Instant::now();
        while spool.counts().written + spool.counts().refused < n as u64 {
            assert!(begun.elapsed() < SOON, "{:?}", spool.counts());
            std::thread::sleep(Duration::from_millis(1));
        }
        before(n, &spool, &mut end);
        let frame = meeting
            .gate
            .admit::<Recording, _>(who(1), frame.span.end, frame.span, frame)
            .expect("agreed");
        assert!(spool.write(track.recording, frame));
    }
    spool.finish();
    while end.hear() {}
    end.sealed.sort_by_key(|sealed| sealed.pass.span.start);
    end
}

#[test]
fn a_folder_that_cannot_be_written_costs_its_segments_and_not_the_recording() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let disk = Disk::new(meeting.folder.0.join("spool"), Quota::default());
    let folder = disk
        .folder()
        .join(meeting.track(who(1)).meeting.to_string());
    // From the beginning, so that the recording's folder was never made: a file is in its way.
    std::fs::create_dir_all(disk.folder()).expect("makes");
    std::fs::write(&folder, b"").expect("writes");
    let end = record_through(&meeting, &disk, |n, _, _| {
        if n == 75 {
            std::fs::remove_file(&folder).expect("removes");
        }
    });
    assert!(
        (1..=3).contains(&end.failed) && end.left == 0,
        "{} failures told",
        end.failed
    );
    assert_eq!(end.resumed, 1, "that it goes on is told once");
    let [sealed] = &end.sealed[..] else {
        panic!("{:?}", end.sealed)
    };
    assert!(
        sealed.pass.span.start <= ms(2_600) && sealed.pass.span.end >= ms(3_980),
        "{sealed:?}"
    );
    // All of what is missing is told, and nothing else.
    assert_eq!(union(&end.lost), [span(0, sealed.pass.span.start.as_ms())]);
}

#[test]
fn folders_that_somebody_took_away_are_made_again() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let disk = Disk::new(meeting.folder.0.join("spool"), Quota::default());
    let folder = disk
        .folder()
        .join(meeting.track(who(1)).meeting.to_string());
    let end = record_through(&meeting, &disk, |n, spool, end| {
        if n == 50 {
            end.seal(spool);
            std::fs::remove_dir_all(&folder).expect("removes");
        }
    });
    assert_eq!((end.failed, end.left), (0, 0));
    assert_eq!(
        end.sealed.len(),
        2,
        "the first was told before its file went"
    );
    assert!(
        end.sealed[1].pass.span.start == ms(1_000) && end.sealed[1].pass.span.end >= ms(4_000),
        "{:?}",
        end.sealed
    );
    assert!(end.sealed[1].path.exists() && end.lost.is_empty());
}

#[test]
fn a_full_spool_drops_new_segments_and_says_so() {
    let meeting = Meeting::new(AudioCodec::Opus);
    let disk = Disk::new(meeting.folder.0.join("spool"), Quota::Bytes(3_000));
    let end = record_through(&meeting, &disk, |n, spool, _| match n {
        50 => {
            assert!(disk.measure().full);
            spool.seal(meeting.track(who(1)).recording);
        }
        100 => {
            let left =
                segment::leftovers(disk.folder(), meeting.track(who(1)).meeting, 1).expect("lists");
            for left in left {
                std::fs::remove_file(left.path).expect("removes");
            }
            assert!(!disk.measure().full);
        }
        _ => {}
    });
    assert_eq!((end.sealed.len(), end.resumed), (2, 1), "before and after");
    let hole = span(1_000, end.sealed[1].pass.span.start.as_ms());
    assert_eq!(
        (union(&end.lost), hole.start),
        (vec![hole], end.sealed[0].pass.span.end)
    );
    assert!(hole.end <= ms(3_000), "{hole:?}");
}

const FEW: &str = "HANSARD_TEST_FEW_DESCRIPTORS";

/// Not a test of its own: a process that runs out of descriptors in the one below.
#[test]
fn runs_out_of_descriptors() {
    if std::env::var(FEW).is_err() {
        return;
    }
    let meeting = Meeting::new(AudioCodec::Opus);
    let disk = Disk::new(meeting.folder.0.join("spool"), Quota::default());
    let limit = |most: u64| {
        let had = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let limit = rustix::process::Rlimit {
            current: Some(most),
            maximum: had.maximum,
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)
            .expect("it may be lowered");
    };
    let mut taken = Vec::new();
    let end = record_through(&meeting, &disk, |n, spool, end| {
        if n == 50 {
            limit(64);
            end.seal(spool);
        }
        // Also what the recorder gives back is taken at once.
        while (50..100).contains(&n)
            && let Ok(file) = std::fs::File::open("/dev/null")
        {
            taken.push(file);
        }
        if n == 100 {
            taken.clear();
        }
    });
    assert!(end.failed > 0);
    let kept: Vec<Span> = union(
        &end.sealed
            .iter()
            .map(|sealed| sealed.pass.span)
            .collect::<Vec<_>>(),
    );
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(
        kept[0] == span(0, 1_000) && kept[1].end >= ms(4_000),
        "what was written is not lost: {kept:?}"
    );
    assert_eq!(union(&end.lost), [Span::new(kept[0].end, kept[1].start)]);
    assert!(kept[1].start <= ms(3_200), "{kept:?}");
    println!("went on");
}

#[test]
fn exhausted_descriptors_cost_the_segments_meanwhile() {
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["spool::runs_out_of_descriptors", "--exact", "--nocapture"])
        .env(FEW, "1")
        .output()
        .expect("starts itself");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("went on"),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}
