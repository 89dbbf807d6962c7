//! The task that owns one running meeting.
//!
//! Its loop turns what happens into inputs of [`Meeting`] and carries out its commands; packets go
//! past the rules, through the gate. Nothing in here waits for Postgres, storage or the decoder:
//! reads are tasks that answer by [`Fact`], writes go to the commits, sealed segments to the
//! uploads. So a withdrawal is acted on within one turn of the loop, whatever else is slow.
//!
//! Only the files of this folder see its state: [`requests`] carries out what is asked of it,
//! [`reading`] reads the consent log, [`streams`] opens and closes, [`peers`] answers browsers,
//! [`whip`] those who publish over HTTP, [`captions`] lets words out,
//! [`start`] begins it and [`closing`] ends it.

mod captions;
mod closing;
mod outside;
mod peers;
mod reading;
mod requests;
mod start;
mod streams;
mod whip;

use super::{
    Deps,
    commit::{Commits, Holder, Write},
    fact::Fact,
    recorder_events,
    track::Tracks,
    upload::Uploads,
};
use crate::{
    clock::MeetingClock,
    domain::{
        consent::Use,
        event::RecordingReport,
        id::{ConsentId, MeetingId, ParticipantId, RecordingId, StreamId},
        log_reader::LogReader,
        meeting::{Command, Input, Meeting},
        settings::MeetingSettings,
        stream::CloseReason,
        time::MeetingTime,
    },
    ingest::{Arrival, Notice},
    media::live::spool,
    queue::{
        Responder,
        message::{Ask, Reply},
    },
    speech,
    worker::{Claimed, Outcome},
};
use closing::Outputs;
use outside::{Outside, OutsideEvent};
use peers::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Packets taken in one turn, so that many packets never keep a withdrawal waiting.
const BATCH: usize = 64;
/// The longest sleep, for what has no timer of its own (idle segments).
const TICK: Duration = Duration::from_millis(500);
/// The same while somebody speaks: utterances end by being told the time.
const TICK_LIVELY: Duration = Duration::from_millis(40);

/// A running meeting.
pub struct RunningMeeting {
    deps: Arc<Deps>,
    meeting: MeetingId,
    holder: Holder,
    clock: MeetingClock,
    rules: Meeting,
    tracks: Tracks,
    commits: Commits,
    uploads: Uploads,
    /// `None` once it is being finished.
    speech: Option<speech::Meeting>,
    settings: MeetingSettings,
    /// Display names, for captions.
    names: BTreeMap<ParticipantId, String>,
    lost: CancellationToken,
    facts: mpsc::Sender<Fact>,
    peers: BTreeMap<ParticipantId, Connection>,
    /// Where goes what the peers tell their participants.
    notices: mpsc::Sender<(ParticipantId, Notice)>,
    /// Offers so far.
    attempts: u64,
    /// Those heard of in this epoch; they are repeated until they stand in the log.
    withdrawals: BTreeSet<ConsentId>,
    reader: LogReader,
    ticked: MeetingTime,
}

/// What comes into the loop from inside the process.
struct Inputs {
    arrivals: mpsc::Receiver<(StreamId, Arrival)>,
    notices: mpsc::Receiver<(ParticipantId, Notice)>,
    facts: mpsc::Receiver<Fact>,
}

/// Why the loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoopEnd {
    /// The meeting is over; `stored`: the store says so already.
    Ended { stored: bool },
    /// Somebody else may go on with it.
    Released,
    /// Somebody else has it.
    Lost,
}

/// Runs a claimed meeting to its end.
pub async fn run(deps: Arc<Deps>, claimed: Claimed) -> anyhow::Result<Outcome> {
    start::attempt(&deps, claimed).await
}

impl RunningMeeting {
    async fn run(
        mut self,
        mut outside: Outside,
        Inputs {
            mut arrivals,
            mut notices,
            mut facts,
        }: Inputs,
        mut outputs: Outputs,
        waiting: Option<(Ask, Responder)>,
    ) -> anyhow::Result<Outcome> {
        if let Some((ask, responder)) = waiting {
            self.ask(ask, responder);
        }
        let mut batch = Vec::with_capacity(BATCH);
        let over = loop {
            if let Some(over) = self.commands() {
                break over;
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                () = self.lost.cancelled() => break LoopEnd::Lost,
                event = outside.next() => match event {
                    OutsideEvent::Stop if self.deps.end_on_stop => break LoopEnd::Ended { stored: false },
                    OutsideEvent::Stop | OutsideEvent::Unserved => break LoopEnd::Released,
                    OutsideEvent::LeaseLost => break LoopEnd::Lost,
                    OutsideEvent::Ask(ask, responder) => self.ask(ask, responder),
                    OutsideEvent::Head(news) => self.polled(&news),
                },
                Some(fact) = facts.recv() => self.fact(fact),
                Some((participant, notice)) = notices.recv() => self.tell(participant, notice),
                Some(caption) = outputs.captions.recv() => self.caption(caption),
                Some(event) = outputs.spool_events.recv() => self.spool_event(event),
                _ = arrivals.recv_many(&mut batch, BATCH) => {
                    for (stream, arrival) in batch.drain(..) {
                        self.arrival(stream, arrival);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.tick();
        };
        // Nothing is asked of it any more; its head is watched until it is closed.
        let Outside {
            claimed,
            serving,
            watched: _watched,
        } = outside;
        drop(serving);
        closing::close(self, claimed, over, outputs).await
    }

    /// Runs what is due.
    fn tick(&mut self) {
        let now = self.clock.now();
        if let Some(after) = self.reader.begin(now) {
            self.start_reading(after);
        }
        if self.tracks.next_timeout().is_some_and(|due| due <= now) {
            self.tracks.give_up(now, &self.commits);
        }
        if self.rules.poll_timeout().is_some_and(|due| due <= now) {
            self.input(Input::Tick);
        }
        for recording in std::mem::take(&mut self.tracks.overflowed) {
            self.kept(recording, false);
        }
        for recording in std::mem::take(&mut self.tracks.resumed) {
            self.kept(recording, true);
        }
        let every = if self.tracks.lively(now) {
            TICK_LIVELY
        } else {
            TICK
        };
        if (now - self.ticked).0 >= every.as_micros() as i64 {
            self.ticked = now;
            self.tracks.tick(now);
            self.look_at_media();
        }
    }

    fn spool_event(&mut self, event: spool::SpoolEvent) {
        match &event {
            spool::SpoolEvent::Failed { recording, .. } => self.kept(*recording, false),
            spool::SpoolEvent::Resumed { recording } => self.kept(*recording, true),
            _ => {}
        }
        recorder_events::take(&self.uploads, &self.commits, event);
    }

    /// Whether what comes of a recording can be written.
    fn kept(&mut self, recording: RecordingId, kept: bool) {
        if let Some((participant, kept)) = self.tracks.kept(recording, kept) {
            self.input(Input::Kept { participant, kept });
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        self.rules.handle(input, now);
    }

    /// The next moment at which something is due without being told.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let time = self.clock.at(now);
        let due = self
            .rules
            .poll_timeout()
            .into_iter()
            .chain(self.tracks.next_timeout())
            .chain(self.reader.due(time))
            .min();
        let every = if self.tracks.lively(time) {
            TICK_LIVELY
        } else {
            TICK
        };
        let wait = due.map_or(every, |due| {
            Duration::from_micros((due - time).0.max(0).unsigned_abs())
        });
        now + wait.min(every)
    }

    /// Carries out what the rules want.
    fn commands(&mut self) -> Option<LoopEnd> {
        self.tracks.room().recheck();
        while let Some(command) = self.rules.poll_command() {
            match command {
                Command::CloseStream { stream, reason } => self.close(stream, reason),
                Command::Leave {
                    participant,
                    removed,
                } => {
                    self.peers.remove(&participant);
                    self.write(Write::Leave {
                        participant,
                        removed,
                    });
                }
                Command::Tell(state) => {
                    let transcribes = self.settings.uses().contains(&Use::Transcription);
                    let model = transcribes.then(|| self.deps.speech.model().clone());
                    let state = RecordingReport::live(&state, self.holder.epoch, model);
                    self.write(Write::State(state));
                }
                Command::Recheck { participant } => {
                    self.tracks.recheck(participant);
                    if let Some(speech) = &self.speech {
                        speech.withdrawn();
                    }
                    self.uploads.recheck();
                }
                Command::End { stored } => return Some(LoopEnd::Ended { stored }),
            }
        }
        None
    }

    fn write(&self, write: Write) {
        // What found no room was counted; a final's words are looked for again after the end.
        let _ = self.commits.write(write);
    }

    fn fact(&mut self, fact: Fact) {
        match fact {
            Fact::Read(read) => self.read(read),
            Fact::Open(Ok(found), responder) => {
                let (stream, found) = *found;
                self.open(stream, found, Some(responder));
            }
            Fact::Open(Err(reply), responder) => responder.reply(reply),
            Fact::MakeRoom(stream, done) => {
                for replaced in self.tracks.replaced_by(&stream) {
                    self.close(replaced, CloseReason::Replaced);
                }
                let _ = done.send(());
            }
            Fact::Negotiated(offered, done, responder) => {
                self.negotiated(*offered, done, responder);
            }
            Fact::Journalled(journalled, responder) => {
                responder.reply(Reply::Withdrawn { journalled })
            }
            Fact::SaidBefore { id, head } => self.input(Input::SaidBefore { id, head }),
        }
    }
}
