//! The recorder of one meeting: a thread that writes all its recordings' segments.
//!
//! The meeting's loop hands frames over and never waits: a full queue drops the frame and counts
//! it. Ends of segments always find room. What is sealed comes back on a bounded channel, which
//! closes when the thread is through. A file operation that fails costs its segment: the recording
//! goes on with the next one, and what is missing is told.

use crate::{
    domain::{
        gate::{Admitted, Gate, Recording},
        id::RecordingId,
        recording::{SEGMENT_RETRY, Track},
        time::{MeetingTime, Micros, Span},
    },
    media::{
        frame::Frame,
        live::{
            disk::OwnedFolder,
            inbox::Inbox,
            segment::{Leftover, Outcome, Sealed, SegmentWriter},
        },
    },
};
use anyhow::{Context, Result};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Frames that wait for the disk: 2 s of 20 streams, so that a pause of the disk costs nothing.
const FRAMES_MAX: usize = 2_000;
/// Orders beside them; a meeting has fewer recordings.
const ORDERS_MAX: usize = 1_000;
/// What is sealed and not yet taken: the receiver has minutes before the thread holds more itself.
const EVENTS_MAX: usize = 256;
/// And then this much. More stays in the spool for `recover`, and is said.
const KEPT_MAX: usize = 4_096;
/// Frames are written together that come within this time: waking a thread for each costs more than
/// writing it. A crash loses no more than that of what came. The end of a segment waits for
/// nothing: a withdrawal may be what ends it.
const GATHER: Duration = Duration::from_millis(50);
/// How long the thread sleeps when it has something to tell and nobody takes it.
const NAP: Duration = Duration::from_millis(200);
/// A hole that goes on is told in pieces of this length, so that a crash forgets no more of it.
const HOLE_TOLD: Micros = Micros::from_secs(5);
/// After a failure, so much in a row must be written before the recording is said to go on.
const RESUMED: Micros = SEGMENT_RETRY;
/// Segments that could not be sealed and are tried again; more stay in the spool at once.
const LEFT_MAX: usize = 256;
/// Between two such tries.
const AGAIN: Duration = Duration::from_secs(1);

/// What the recorder has to tell.
#[derive(Debug)]
pub enum SpoolEvent {
    Sealed(Sealed),
    /// A segment ended with an error; the recording tries again.
    Failed {
        recording: RecordingId,
        error: String,
    },
    /// After a failure, what comes is written again.
    Resumed {
        recording: RecordingId,
    },
    /// This was to be recorded and is not.
    Lost {
        recording: RecordingId,
        span: Span,
    },
    /// A segment lies in the spool and could not be sealed: the recovery's, once the meeting ended
    /// here.
    Left(Leftover),
}

/// Counts since the start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    pub written: u64,
    /// Not written because the queue was full.
    pub overflowed: u64,
    /// Not written because late, no longer allowed, or in the pause after an error.
    pub refused: u64,
}

enum Order {
    Open(Track),
    Frame(RecordingId, Admitted<Recording, Frame>),
    Seal(RecordingId),
    Tick(MeetingTime),
    Finish,
}

#[derive(Default)]
struct Shared {
    inbox: Inbox<Order>,
    written: AtomicU64,
    overflowed: AtomicU64,
    refused: AtomicU64,
    /// What found no room in the queue, until the thread takes it to tell.
    spilled: Mutex<BTreeMap<RecordingId, Span>>,
}

impl Shared {
    fn spilled(&self) -> MutexGuard<'_, BTreeMap<RecordingId, Span>> {
        self.spilled.lock()
    }
}

/// Adds a span to a recording's hole.
fn widen(holes: &mut BTreeMap<RecordingId, Span>, recording: RecordingId, span: Span) {
    holes
        .entry(recording)
        .and_modify(|hole| *hole = hole.cover(span))
        .or_insert(span);
}

/// The handle of a meeting's recorder. Dropping it finishes, too.
pub struct Spool {
    shared: Arc<Shared>,
}

impl Spool {
    /// Starts the thread. Segments go into the owned folder, which is kept until the thread is
    /// through.
    pub fn start(
        owned: Arc<OwnedFolder>,
        gate: Arc<Gate>,
    ) -> Result<(Self, mpsc::Receiver<SpoolEvent>)> {
        let shared = Arc::new(Shared::default());
        let (tell, events) = mpsc::channel(EVENTS_MAX);
        let recorder = Recorder {
            shared: Arc::clone(&shared),
            owned,
            gate,
            events: tell,
            kept: VecDeque::new(),
            writers: BTreeMap::new(),
            holes: BTreeMap::new(),
            left: VecDeque::new(),
            tried: Instant::now(),
            failing: BTreeMap::new(),
        };
        let meeting = tracing::Span::current();
        std::thread::Builder::new()
            .name("spool".into())
            .spawn(move || meeting.in_scope(|| recorder.run()))
            .context("the recorder's thread does not start")?;
        Ok((Self { shared }, events))
    }

    /// Makes a recording known; before its first frame. `false`: too many orders wait.
    pub fn open(&self, track: Track) -> bool {
        self.shared
            .inbox
            .push_urgent(Order::Open(track), FRAMES_MAX + ORDERS_MAX)
    }

    /// Hands a frame over. `false`: the queue was full and it is lost (counted).
    pub fn write(&self, recording: RecordingId, frame: Admitted<Recording, Frame>) -> bool {
        let span = frame.pass().span;
        let taken = self
            .shared
            .inbox
            .push(Order::Frame(recording, frame), FRAMES_MAX);
        if !taken {
            widen(&mut self.shared.spilled(), recording, span);
            self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("hansard_frames_not_written_total").increment(1);
        }
        taken
    }

    /// Ends the recording's open segment: a withdrawal, a pause, a stream that closed.
    pub fn seal(&self, recording: RecordingId) -> bool {
        self.shared
            .inbox
            .push_urgent(Order::Seal(recording), FRAMES_MAX + ORDERS_MAX)
    }

    /// Tells the time, about every second: idle segments are sealed.
    pub fn tick(&self, now: MeetingTime) {
        self.shared.inbox.push(Order::Tick(now), FRAMES_MAX / 2);
    }

    /// Seals everything and ends the thread; the channel closes when all of it was told. Never
    /// waits; the thread does, for a receiver that is neither read nor dropped.
    pub fn finish(self) {}

    pub fn counts(&self) -> Counts {
        Counts {
            written: self.shared.written.load(Ordering::Relaxed),
            overflowed: self.shared.overflowed.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.inbox.push_urgent(Order::Finish, usize::MAX);
    }
}

struct Recorder {
    shared: Arc<Shared>,
    owned: Arc<OwnedFolder>,
    gate: Arc<Gate>,
    events: mpsc::Sender<SpoolEvent>,
    /// What found no room in the channel.
    kept: VecDeque<SpoolEvent>,
    writers: BTreeMap<RecordingId, SegmentWriter>,
    /// What could not be written and was not told yet.
    holes: BTreeMap<RecordingId, Span>,
    /// Segments that could not be sealed; tried again.
    left: VecDeque<Leftover>,
    tried: Instant,
    /// Recordings of which something could not be written; and since when all of it can.
    failing: BTreeMap<RecordingId, Option<MeetingTime>>,
}

impl Recorder {
    fn run(mut self) {
        loop {
            let nap = (!self.kept.is_empty()).then_some(NAP);
            for order in self.shared.inbox.take(nap) {
                match order {
                    Order::Open(track) => self.open(track),
                    Order::Frame(recording, frame) => self.frame(recording, frame),
                    Order::Seal(recording) => self.seal(recording),
                    Order::Tick(now) => self.tick(now),
                    Order::Finish => return self.finish(),
                }
            }
            self.flush();
            self.shared.inbox.gather(GATHER);
        }
    }

    fn open(&mut self, track: Track) {
        let make = || SegmentWriter::new(Arc::clone(&self.owned), track, Arc::clone(&self.gate));
        self.writers.entry(track.recording).or_insert_with(make);
    }

    fn frame(&mut self, recording: RecordingId, frame: Admitted<Recording, Frame>) {
        let span = frame.pass().span;
        let outcome = match self.writers.get_mut(&recording) {
            Some(writer) => writer.write(frame),
            None => Outcome {
                dropped: true,
                lost: Some(span),
                ..Outcome::default()
            },
        };
        let count = if outcome.dropped {
            &self.shared.refused
        } else {
            &self.shared.written
        };
        count.fetch_add(1, Ordering::Relaxed);
        if !outcome.dropped
            && let Some(span) = self.holes.remove(&recording)
        {
            self.send(SpoolEvent::Lost { recording, span });
        }
        if !outcome.dropped && self.is_resumed(recording, span) {
            self.failing.remove(&recording);
            self.send(SpoolEvent::Resumed { recording });
        }
        self.came(recording, outcome);
    }

    /// Whether a recording that failed goes on, with this frame written: a disk that is nearly full
    /// takes a little and fails.
    fn is_resumed(&mut self, recording: RecordingId, written: Span) -> bool {
        let since = self
            .failing
            .get_mut(&recording)
            .map(|since| *since.get_or_insert(written.start));
        since.is_some_and(|since| written.end - since >= RESUMED)
    }

    fn seal(&mut self, recording: RecordingId) {
        if let Some(outcome) = self.writers.get_mut(&recording).map(SegmentWriter::seal) {
            self.came(recording, outcome);
        }
    }

    fn tick(&mut self, now: MeetingTime) {
        let idle: Vec<RecordingId> = self
            .writers
            .iter()
            .filter(|(_, writer)| writer.is_idle(now))
            .map(|(recording, _)| *recording)
            .collect();
        for recording in idle {
            self.seal(recording);
        }
        let spilled = std::mem::take(&mut *self.shared.spilled());
        for (recording, span) in spilled {
            self.failing.insert(recording, None);
            self.send(SpoolEvent::Lost { recording, span });
        }
        let long: Vec<RecordingId> = self
            .holes
            .iter()
            .filter(|(_, hole)| hole.length() >= HOLE_TOLD)
            .map(|(recording, _)| *recording)
            .collect();
        for recording in long {
            if let Some(span) = self.holes.remove(&recording) {
                self.send(SpoolEvent::Lost { recording, span });
            }
        }
        if self.tried.elapsed() >= AGAIN
            && let Some(left) = self.left.pop_front()
        {
            self.tried = Instant::now();
            match left.clone().repair(&self.gate) {
                Ok(Some(sealed)) => self.send(SpoolEvent::Sealed(sealed)),
                Ok(None) => {}
                Err(_) => self.left.push_back(left),
            }
        }
    }

    fn came(&mut self, recording: RecordingId, outcome: Outcome) {
        if let Some(error) = outcome.fault {
            self.failed(recording, &error);
        }
        if let Some(sealed) = outcome.sealed {
            self.send(SpoolEvent::Sealed(sealed));
        }
        if let Some(span) = outcome.lost {
            widen(&mut self.holes, recording, span);
        }
        match outcome.left {
            Some(left) if self.left.len() < LEFT_MAX => self.left.push_back(left),
            Some(left) => self.send(SpoolEvent::Left(left)),
            None => {}
        }
    }

    fn failed(&mut self, recording: RecordingId, error: &anyhow::Error) {
        self.failing.insert(recording, None);
        self.owned.disk().failed(error);
        self.send(SpoolEvent::Failed {
            recording,
            error: format!("{error:#}"),
        });
    }

    fn send(&mut self, event: SpoolEvent) {
        self.kept.push_back(event);
        self.flush();
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
            tracing::warn!("nobody takes sealed segments; they stay in the spool");
        }
    }

    fn flush(&mut self) {
        while let Some(event) = self.kept.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.kept.push_front(event);
                    return;
                }
                // The meeting is gone; the spool keeps what was sealed.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }

    fn finish(mut self) {
        let all: Vec<RecordingId> = self.writers.keys().copied().collect();
        for recording in all {
            self.seal(recording);
        }
        let spilled = std::mem::take(&mut *self.shared.spilled());
        for (recording, span) in spilled {
            widen(&mut self.holes, recording, span);
        }
        for (recording, span) in std::mem::take(&mut self.holes) {
            self.send(SpoolEvent::Lost { recording, span });
        }
        for left in std::mem::take(&mut self.left) {
            self.send(match left.clone().repair(&self.gate) {
                Ok(Some(sealed)) => SpoolEvent::Sealed(sealed),
                Ok(None) => continue,
                Err(_) => SpoolEvent::Left(left),
            });
        }
        for told in std::mem::take(&mut self.kept) {
            if self.events.blocking_send(told).is_err() {
                return;
            }
        }
    }
}
