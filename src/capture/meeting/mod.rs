//! THE loop: one task that owns one running meeting.
//!
//! It turns the world into inputs of [`Meeting`] and carries out its commands; packets go past the
//! rules, through the gate. Nothing in here waits for Postgres, storage or the decoder: reads are
//! tasks that answer by [`Fact`], writes go to the commits, sealed segments to the uploads. So a
//! withdrawal is acted on within one turn of the loop, whatever else is slow.

use super::{
    Deps,
    closing::{self, Outlets},
    commit::{self, Commits, Holder, Write},
    head_watch::{News, Watched},
    journal,
    port::{self, Found},
    read::{self, MeetingRead},
    recorder_events,
    settings::{self, Speaking},
    track::Tracks,
    upload::{self, Uploads},
};
use crate::{
    clock::MeetingClock,
    domain::{
        id::{ConsentId, MeetingId, ParticipantId, RecordingId, StreamId},
        log_reader::{self, LogReader},
        meeting::{Command, Input, Meeting},
        time::MeetingTime,
    },
    ingest::Arrival,
    media::live::{decode::Decoded, spool},
    queue::{
        Responder, Serving,
        message::{Ask, Reply},
    },
    speech,
    store::{capture::Loaded, stream::Stream},
    worker::{Claimed, Outcome},
};
use anyhow::Context;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Packets that may wait for the loop: two seconds of forty voices.
const ARRIVALS_MAX: usize = 4096;
/// Answers that may wait; each belongs to an ask or a poll.
const FACTS_MAX: usize = 256;
/// Packets taken in one turn, so that a flood never keeps a withdrawal waiting.
const BATCH: usize = 64;
/// The longest sleep, for what has no timer of its own (idle segments).
const TICK: Duration = Duration::from_millis(500);
/// The same while somebody speaks: utterances end by being told the time.
const TICK_LIVELY: Duration = Duration::from_millis(40);

/// What tasks started by the loop answer.
pub enum Fact {
    /// Read from the store; `None`: it could not be read, try again at the next poll.
    Read(Option<MeetingRead>),
    /// A stream's participant is present, its row and a port are here: open it.
    Open(Result<Box<(Stream, Found)>, Reply>, Responder),
    /// A stream has no port but that of the stream whose place it takes.
    MakeRoom(Box<Stream>, oneshot::Sender<()>),
    /// A withdrawal is (or is not) on disk.
    Journalled(bool, Responder),
    /// A withdrawal had been said before, under another id: what the log says up to `head` stands.
    SaidBefore { id: ConsentId, head: i64 },
}

/// A running meeting.
pub struct Live {
    pub deps: Arc<Deps>,
    pub meeting: MeetingId,
    pub holder: Holder,
    pub clock: MeetingClock,
    pub rules: Meeting,
    pub tracks: Tracks,
    pub commits: Commits,
    pub uploads: Uploads,
    /// `None` once it is being finished.
    pub speech: Option<speech::Meeting>,
    pub speaking: Speaking,
    /// Display names, for captions.
    pub names: BTreeMap<ParticipantId, String>,
    pub lost: CancellationToken,
    pub facts: mpsc::Sender<Fact>,
    /// Those heard of in this epoch; they are repeated until they stand in the log.
    pub withdrawals: BTreeSet<ConsentId>,
    reader: LogReader,
    ticked: MeetingTime,
}

/// What comes into the loop beside asks and news.
pub struct Inlets {
    arrivals: mpsc::Receiver<(StreamId, Arrival)>,
    facts: mpsc::Receiver<Fact>,
}

/// Why the loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// The meeting is over; `stored`: the store says so already.
    Ended { stored: bool },
    /// Somebody else may go on with it.
    Released,
    /// Somebody else has it.
    Lost,
}

/// Runs a claimed meeting to its end.
pub async fn run(deps: Arc<Deps>, claimed: Claimed) -> Outcome {
    match attempt(&deps, claimed).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(error),
    }
}

async fn attempt(deps: &Arc<Deps>, mut claimed: Claimed) -> anyhow::Result<Outcome> {
    let meeting = claimed.job.meeting;
    deps.store
        .sync_clock(&deps.clock, 5)
        .await
        .context("reading Postgres's clock")?;
    let mut serving = deps.queue.serve(meeting).await;
    let mut watched = deps.head_watch.watch(meeting);
    let Some(loaded) = read::load(&deps.store, meeting).await? else {
        return Ok(Outcome::Done);
    };
    let (settings, speaking) =
        settings::read(&loaded.settings).context("reading the meeting's settings")?;

    // Nobody was present yet: a stream is about to be asked for. Its ask brings the first
    // participant, and with it time 0.
    let mut waiting: Option<(Ask, Responder)> = None;
    let start = loop {
        if let Some(start) = read::start_time(&deps.store, meeting).await? {
            break start;
        }
        if read::has_ended(&watched) {
            return Ok(Outcome::Done);
        }
        tokio::select! {
            () = claimed.stop.cancelled() => return Ok(Outcome::Release),
            _ = claimed.lease.changed() => if *claimed.lease.borrow() == crate::domain::lease::Standing::Lost {
                return Ok(Outcome::Settled);
            },
            _ = watched.news.changed() => {}
            ask = serving.recv() => match ask {
                Some((Ask::OpenStream { stream }, responder)) => {
                    if let Err(reply) = read::admit(&deps.store, &deps.queue, meeting, stream).await {
                        responder.reply(reply);
                    } else {
                        waiting = Some((Ask::OpenStream { stream }, responder));
                    }
                }
                Some((_, responder)) => responder.reply(Reply::Done),
                None => return Ok(Outcome::Release),
            },
        }
    };

    // Loaded before time 0 was known; streams may have been asked for since.
    let loaded = read::load(&deps.store, meeting).await?.unwrap_or(loaded);
    let now = deps.clock.meeting(start).now();
    let (live, inlets, outlets) = Live::begin(
        deps.clone(),
        &claimed,
        loaded,
        Meeting::new(settings, now),
        start,
        speaking,
    )
    .await?;
    live.run(claimed, serving, watched, inlets, outlets, waiting)
        .await
}

impl Live {
    async fn begin(
        deps: Arc<Deps>,
        claimed: &Claimed,
        loaded: Loaded,
        rules: Meeting,
        start: chrono::DateTime<chrono::Utc>,
        speaking: Speaking,
    ) -> anyhow::Result<(Self, Inlets, Outlets)> {
        let meeting = claimed.job.meeting;
        let clock = deps.clock.meeting(start);
        let lost = CancellationToken::new();
        let holder = Holder {
            tenant: loaded.tenant,
            meeting,
            owner: claimed.owner,
            epoch: claimed.job.epoch,
            spool: deps.spool.clone(),
        };
        let (facts_tx, facts) = mpsc::channel(FACTS_MAX);
        let commits = commit::start(
            deps.store.clone(),
            deps.queue.clone(),
            rules.gate().clone(),
            holder.clone(),
            facts_tx.clone(),
            lost.clone(),
        );
        let owned = Arc::new(deps.disk.own(meeting, holder.epoch));
        let uploads = upload::start(
            deps.uploader.clone(),
            rules.gate().clone(),
            commits.clone(),
            holder.clone(),
            owned.clone(),
            lost.clone(),
        );
        let (speech, captions) = deps.speech.meeting(rules.gate().clone());
        let (to_loop, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let (tracks, told, heard) = Tracks::new(
            deps.clone(),
            holder.clone(),
            rules.gate().clone(),
            owned,
            to_loop,
            &loaded,
        )?;
        let mut live = Self {
            deps,
            meeting,
            holder,
            clock,
            rules,
            tracks,
            commits,
            uploads,
            speech: Some(speech),
            speaking,
            names: BTreeMap::new(),
            lost,
            facts: facts_tx,
            withdrawals: BTreeSet::new(),
            reader: LogReader::default(),
            ticked: MeetingTime::ZERO,
        };
        // What was withdrawn while Postgres was away comes before anything that Postgres says.
        let spool = live.deps.spool.clone();
        for withdrawal in
            tokio::task::spawn_blocking(move || journal::read(&spool, meeting)).await??
        {
            live.withdrawn(&withdrawal);
        }
        let first = read::read(&live.deps.store, meeting, 0, start).await?;
        live.read(Some(first));
        for stream in loaded
            .streams
            .into_iter()
            .filter(|stream| stream.state == "open")
        {
            let deps = live.deps.clone();
            match port::find(&deps.store, &deps.rtp, meeting, &stream).await {
                Ok(found) => live.open(stream, found, None),
                Err(error) if port::is_final(&error) => {
                    live.refuse(&stream, None, "unavailable", format!("{error:#}"));
                }
                Err(error) => {
                    return Err(error.context("finding the ports of the meeting's streams"));
                }
            }
        }
        info!(%meeting, epoch = live.holder.epoch, "the meeting runs here");
        Ok((
            live,
            Inlets { arrivals, facts },
            Outlets {
                told,
                heard,
                captions,
            },
        ))
    }

    async fn run(
        mut self,
        mut claimed: Claimed,
        mut serving: Serving,
        mut watched: Watched,
        Inlets {
            mut arrivals,
            mut facts,
        }: Inlets,
        mut outlets: Outlets,
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
                () = self.lost.cancelled() => break Over::Lost,
                () = claimed.stop.cancelled() => break if self.deps.end_on_stop {
                    Over::Ended { stored: false }
                } else {
                    Over::Released
                },
                Ok(()) = claimed.lease.changed() => {
                    if *claimed.lease.borrow_and_update() == crate::domain::lease::Standing::Lost {
                        break Over::Lost;
                    }
                }
                ask = serving.recv() => match ask {
                    Some((ask, responder)) => self.ask(ask, responder),
                    None => break Over::Released,
                },
                Some(fact) = facts.recv() => self.fact(fact),
                Ok(()) = watched.news.changed() => {
                    let news = watched.news.borrow_and_update().clone();
                    self.polled(&news);
                }
                Some(caption) = outlets.captions.recv() => self.caption(caption),
                Some(told) = outlets.told.recv() => self.sealed(told),
                Some(heard) = outlets.heard.recv(), if self.deps.speech.has_room() => self.heard(heard),
                _ = arrivals.recv_many(&mut batch, BATCH) => {
                    for (stream, arrival) in batch.drain(..) {
                        self.arrival(stream, arrival);
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.tick();
        };
        drop(serving);
        closing::close(self, claimed, over, outlets).await
    }

    /// The head of the meeting was polled.
    fn polled(&mut self, news: &News) {
        let head = news.head.as_ref().map(|head| log_reader::Head {
            entry: head.consent_entry,
            roster: head.roster,
            ended: head.ended,
        });
        let unreachable_since = news.unreachable_since.map(|at| self.clock.at(at));
        self.reader.polled(head, unreachable_since);
        self.tell_gate();
    }

    /// Tells the rules whether a withdrawal can reach this gate.
    fn tell_gate(&mut self) {
        if let Some(input) = self.reader.gate_input() {
            self.input(input);
        }
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

    pub fn heard(&mut self, heard: Decoded) {
        if let Some(speech) = &self.speech {
            self.tracks.heard(heard, speech);
        }
    }

    pub fn sealed(&mut self, told: spool::SpoolEvent) {
        match &told {
            spool::SpoolEvent::Failed { recording, .. } => self.kept(*recording, false),
            spool::SpoolEvent::Resumed { recording } => self.kept(*recording, true),
            _ => {}
        }
        recorder_events::take(&self.uploads, &self.commits, self.meeting, told);
    }

    /// Whether what comes of a recording can be written.
    fn kept(&mut self, recording: RecordingId, kept: bool) {
        if let Some((participant, kept)) = self.tracks.kept(recording, kept) {
            self.input(Input::Kept { participant, kept });
        }
    }

    pub fn input(&mut self, input: Input) {
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
    fn commands(&mut self) -> Option<Over> {
        while let Some(command) = self.rules.poll_command() {
            match command {
                Command::CloseStream { stream, reason } => self.close(stream, reason),
                Command::Leave {
                    participant,
                    removed,
                } => self.write(Write::Leave {
                    participant,
                    removed,
                }),
                Command::Tell(state) => {
                    let data = closing::recording_state(&state, self.holder.epoch);
                    self.write(Write::State(data));
                }
                Command::Recheck { participant } => {
                    self.tracks.recheck(participant);
                    if let Some(speech) = &self.speech {
                        speech.withdrawn();
                    }
                    self.uploads.recheck();
                }
                Command::End { stored } => return Some(Over::Ended { stored }),
            }
        }
        None
    }

    pub fn write(&self, write: Write) {
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
                    self.close(replaced, "replaced");
                }
                let _ = done.send(());
            }
            Fact::Journalled(journalled, responder) => {
                responder.reply(Reply::Withdrawn { journalled })
            }
            Fact::SaidBefore { id, head } => self.input(Input::SaidBefore { id, head }),
        }
    }

    /// The last entry of the log that the gate has applied.
    pub fn applied(&self) -> i64 {
        self.reader.applied()
    }

    /// Reads log, roster, streams and status again because somebody says that they changed.
    pub fn look(&mut self) {
        if let Some(after) = self.reader.begin_now() {
            self.start_reading(after);
        }
    }

    /// Reads beside the loop; a [`Fact`] answers.
    fn start_reading(&self, after: i64) {
        let (store, meeting, facts) = (self.deps.store.clone(), self.meeting, self.facts.clone());
        let start = self.clock.to_wall(MeetingTime::ZERO);
        tokio::spawn(async move {
            let read = read::read(&store, meeting, after, start).await.ok();
            let _ = facts.send(Fact::Read(read)).await;
        });
    }

    fn read(&mut self, read: Option<MeetingRead>) {
        let Some(read) = read else {
            let now = self.clock.now();
            return self.reader.failed(now);
        };
        self.reader
            .read(read.consent.last().map(|last| last.entry), read.roster);
        self.names.extend(
            read.people
                .iter()
                .map(|person| (person.id, person.display_name.clone())),
        );
        if !read.consent.is_empty() {
            self.input(Input::Consent(read.consent));
        }
        self.input(Input::Roster(read.listed));
        for stream in self.tracks.ids() {
            if !read.streams.contains(&stream) {
                self.drop_track(stream);
            }
        }
        if read.ended {
            self.input(Input::End);
        }
        self.tell_gate();
    }
}
