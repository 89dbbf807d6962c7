//! What is true: who said what when, what was sent, and what reached whom.

mod judge;
mod log;
mod script;
mod sender;

pub use script::Plan;

use super::{dice::Dice, worker::Worker};
use hansard_domain::{
    consent::{ConsentStatus, Use},
    gate::{Entry, Pass},
    id::{ConsentId, ParticipantId, StreamId},
    limits::HEADS_POLL,
    log_reader::{Head, LogReader},
    meeting::{Input, Listed},
    settings::{ConsentPolicy, MeetingSettings, RecordingMode},
    source::Terms,
    time::{MeetingTime, Micros, Span},
    timeline::Header,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use uuid::Uuid;

const FRAME: i64 = 20_000;
/// How often an acknowledged withdrawal is repeated (µs).
const REPEAT: i64 = 250_000;
/// Nothing late begins in the last seconds (µs), so that the outcome can be judged.
const RETRIES_UNTIL: i64 = 10_000_000;
/// When a packet was made, and the one before it if it holds that, too.
type Made = (i64, Option<i64>);
/// Far more than happens in any seed.
const EVENTS_MAX: u64 = 1_000_000;

/// Something said about consent.
#[derive(Clone, Debug)]
pub struct Saying {
    pub id: ConsentId,
    pub who: ParticipantId,
    pub uses: Vec<Use>,
    pub status: ConsentStatus,
    /// Receipt, and so the entry's time stamp.
    pub received: i64,
    /// When it stood in the log, and where.
    pub committed: Option<(i64, i64)>,
    /// On the worker's disk.
    pub journalled: bool,
}

impl Saying {
    pub fn accepts(&self) -> bool {
        self.status == ConsentStatus::Accepted
    }
}

/// A packet's sound: whose, made when, and when it was received.
#[derive(Clone, Copy, Debug)]
pub struct Sound {
    pub who: ParticipantId,
    /// True time of its first sample, plus the path's shortest delay.
    pub made: i64,
    pub arrived: i64,
    /// When the packet before it was made, if this one holds it once more.
    pub repeats: Option<i64>,
}

/// A piece of sound in an output: which packet, which part of the timeline, and the entry named for
/// it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Piece {
    pub sound: usize,
    /// Where the packet was placed, and which part of it is kept.
    pub placed: Span,
    pub kept: Span,
    pub entry: i64,
    pub late: Micros,
}

impl Piece {
    pub fn of(sound: usize, pass: Pass) -> Self {
        Self {
            sound,
            placed: pass.span,
            kept: pass.span,
            entry: pass.entry,
            late: pass.late,
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Say {
        who: usize,
        uses: Vec<Use>,
        status: ConsentStatus,
    },
    Commit {
        saying: usize,
    },
    Message {
        saying: usize,
    },
    /// The process that answered 202 says it again: to the log, and to whoever holds the meeting.
    Repeat {
        saying: usize,
    },
    /// A request that was answered comes again, so slowly that it acts under an id of its own.
    Retry {
        saying: usize,
    },
    /// The worker finds out that it had been said before.
    SaidBefore {
        id: ConsentId,
        life: u32,
    },
    Poll,
    Read {
        result: Option<(usize, Vec<Listed>, i64)>,
        life: u32,
    },
    Again {
        entries: Vec<Entry>,
        life: u32,
    },
    Packet {
        stream: usize,
        header: Header,
        made: Made,
    },
    /// A packet of one stream's sender, sent to another's port by mistake.
    Stray {
        to: usize,
        stream: usize,
        header: Header,
    },
    Connect {
        stream: usize,
    },
    Opened {
        stream: usize,
    },
    Hang {
        stream: usize,
    },
    Leave {
        who: usize,
    },
    Postgres(bool),
    Queue(bool),
    Crash,
    Restart,
    Timer,
}

struct Sender {
    who: usize,
    id: StreamId,
    delay: i64,
    /// Where it sends from: first, and from when on from elsewhere.
    from: SocketAddr,
    moves: Option<(i64, SocketAddr)>,
    terms: Terms,
    /// By the store: where its media came from last.
    latched: Option<SocketAddr>,
    /// When the worker began to listen to it.
    since: i64,
    /// By the store.
    open: bool,
    /// By the worker.
    connected: bool,
}

pub struct World {
    plan: Plan,
    dice: Dice,
    /// Its own, so that the seeds stay what they were.
    twice: Dice,
    now: i64,
    events: BTreeMap<(i64, u64), Event>,
    count: u64,
    people: Vec<ParticipantId>,
    senders: Vec<Sender>,
    pub sayings: Vec<Saying>,
    /// Sayings by entry, oldest first.
    log: Vec<usize>,
    /// Whom the store has as present, and the version of that.
    present: BTreeSet<ParticipantId>,
    roster: i64,
    postgres: bool,
    queue: bool,
    pub sounds: Vec<Sound>,
    worker: Option<Worker>,
    /// Counts the workers.
    life: u32,
    reader: LogReader,
    /// What the worker was told, by message or by reading.
    known: BTreeMap<usize, i64>,
    seen: BTreeSet<ParticipantId>,
    unreachable_since: Option<i64>,
    /// When a use had to be closed for everybody.
    holds: BTreeMap<Use, Vec<(i64, Option<i64>)>>,
    /// Recorded segments that are safe, and words that were told: what a dead worker left, too.
    pub left: Vec<Piece>,
    pub words: Vec<Piece>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed ^ 0xabcd);
        let people: Vec<ParticipantId> = (0..plan.people)
            .map(|n| ParticipantId(Uuid::from_u128(1 + n as u128)))
            .collect();
        let mut world = Self {
            dice: Dice::new(plan.seed ^ 0x1234),
            twice: Dice::new(plan.seed ^ 0x4321),
            now: 0,
            events: BTreeMap::new(),
            count: 0,
            senders: Vec::new(),
            sayings: Vec::new(),
            log: Vec::new(),
            present: BTreeSet::new(),
            roster: 0,
            postgres: true,
            queue: true,
            sounds: Vec::new(),
            worker: None,
            life: 0,
            reader: LogReader::default(),
            known: BTreeMap::new(),
            seen: BTreeSet::new(),
            unreachable_since: None,
            holds: BTreeMap::new(),
            left: Vec::new(),
            words: Vec::new(),
            people,
            plan,
        };
        world.plan_ahead(&mut dice);
        world
    }

    fn at(&mut self, at: i64, event: Event) {
        self.count += 1;
        self.events.insert((at.max(self.now), self.count), event);
    }

    fn after(&mut self, wait: i64, event: Event) {
        self.at(self.now + wait, event);
    }

    fn upto(&mut self, most: i64) -> i64 {
        1 + (self.dice.roll() * most as f64) as i64
    }

    pub fn run(mut self) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at >= self.plan.length {
                break;
            }
            self.now = at;
            assert!(
                self.count < EVENTS_MAX,
                "the rules want to be asked again and again at {at}"
            );
            self.step(event);
            self.look();
            self.work();
        }
        self.judge_the_end();
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Say { who, uses, status } => self.say(who, uses, status),
            Event::Commit { saying } => self.commit(saying),
            Event::Message { saying } => self.message(saying),
            Event::Repeat { saying } => self.repeat(saying),
            Event::Retry { saying } => self.retry(saying),
            Event::SaidBefore { id, life } if life == self.life => self.said_before(id, life),
            Event::SaidBefore { .. } => {}
            Event::Poll => self.poll(),
            Event::Read { result, life } if life == self.life => self.read(result),
            Event::Again { entries, life } if life == self.life => self.again(entries),
            Event::Read { .. } | Event::Again { .. } | Event::Timer => {}
            Event::Packet {
                stream,
                header,
                made,
            } => self.packet(stream, header, made),
            Event::Stray { to, stream, header } => self.stray(to, stream, header),
            Event::Connect { stream } => self.connect(stream),
            Event::Opened { stream } => self.open(stream),
            Event::Hang { stream } => self.hang(stream),
            Event::Leave { who } if self.postgres => self.gone(self.people[who]),
            Event::Leave { .. } => {}
            Event::Postgres(up) => self.postgres = up,
            Event::Queue(up) => self.queue = up,
            Event::Crash => self.crash(),
            Event::Restart => self.restart(),
        }
    }

    fn poll(&mut self) {
        self.after(HEADS_POLL.0, Event::Poll);
        let hears = self.postgres || self.queue;
        self.unreachable_since = if hears {
            None
        } else {
            self.unreachable_since.or(Some(self.now))
        };
        let Some(worker) = &mut self.worker else {
            return;
        };
        let head = self.postgres.then_some(Head {
            entry: self.log.len() as i64,
            roster: self.roster,
            ended: false,
        });
        self.reader
            .polled(head, self.unreachable_since.map(MeetingTime));
        if let Some(input) = self.reader.gate_input() {
            worker.input(input, MeetingTime(self.now));
        }
        if self.postgres {
            let owed: Vec<usize> = std::mem::take(&mut worker.owes).into_iter().collect();
            for saying in owed {
                self.append(saying);
            }
        }
    }

    /// Begins to read if that is due.
    fn look(&mut self) {
        if self.worker.is_none() || self.reader.begin(MeetingTime(self.now)).is_none() {
            return;
        }
        let wait = self.upto(self.plan.read);
        let failed = self.dice.chance(0.1) || !self.postgres;
        let result = (!failed).then(|| (self.log.len(), self.listed(), self.roster));
        let life = self.life;
        self.after(wait, Event::Read { result, life });
    }

    /// Entries that the worker's gate has applied.
    fn applied(&self) -> usize {
        usize::try_from(self.reader.applied()).expect("counted here")
    }

    fn listed(&self) -> Vec<Listed> {
        self.people
            .iter()
            .map(|id| Listed {
                participant: *id,
                present: self.present.contains(id),
            })
            .collect()
    }

    fn read(&mut self, result: Option<(usize, Vec<Listed>, i64)>) {
        let now = MeetingTime(self.now);
        let (Some((until, listed, roster)), true) = (result, self.worker.is_some()) else {
            self.reader.failed(now);
            if let Some(due) = self.reader.due(now) {
                self.at(due.0, Event::Timer);
            }
            return;
        };
        let applied = self.applied();
        let entries: Vec<Entry> = (applied..until).map(|n| self.entry(n)).collect();
        for n in applied..until {
            self.known.entry(self.log[n]).or_insert(self.now);
        }
        let worker = self.worker.as_mut().expect("looked at above");
        self.reader
            .read(entries.last().map(|last| last.entry), roster);
        if !entries.is_empty() {
            worker.input(Input::Consent(entries.clone()), now);
        }
        self.seen = listed
            .iter()
            .filter(|row| row.present)
            .map(|row| row.participant)
            .collect();
        worker.input(Input::Roster(listed), now);
        if let Some(input) = self.reader.gate_input() {
            worker.input(input, now);
        }
        if self.twice.chance(0.5) {
            let wait = self.twice.within(0, 3_000_000);
            self.after(
                wait,
                Event::Again {
                    entries,
                    life: self.life,
                },
            );
        }
        for stream in 0..self.senders.len() {
            if self.senders[stream].connected && !self.senders[stream].open {
                self.hang(stream);
            }
        }
        self.judge();
    }

    /// What was read once comes again, perhaps behind later entries.
    fn again(&mut self, entries: Vec<Entry>) {
        if let Some(worker) = &mut self.worker {
            worker.input(Input::Consent(entries), MeetingTime(self.now));
        }
        self.judge();
    }

    fn crash(&mut self) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.left.extend(worker.on_disk());
        self.words.extend(worker.words);
        self.life += 1;
        if self.twice.chance(0.3) {
            // Its machine is gone, and the journal with it: whoever answered 202 repeats.
            self.sayings
                .iter_mut()
                .for_each(|said| said.journalled = false);
        }
    }

    /// A worker claims the meeting: the journal first, then the log, then the streams; and the dead
    /// one's spool.
    fn restart(&mut self) {
        if self.worker.is_some() {
            return;
        }
        if !self.postgres {
            self.after(100_000, Event::Restart);
            return;
        }
        let now = MeetingTime(self.now);
        let recording = if self.plan.uses.contains(&Use::Recording) {
            RecordingMode::Audio
        } else {
            RecordingMode::Off
        };
        let settings = MeetingSettings {
            ai_enabled: self.plan.uses.contains(&Use::Transcription),
            recording,
            consent_policy: self.plan.policy,
            ..MeetingSettings::default()
        };
        let mut worker = Worker::new(settings, now);
        self.reader = LogReader::default();
        self.known.clear();
        self.seen.clear();
        self.unreachable_since = None;
        let journal: Vec<usize> = (0..self.sayings.len())
            .filter(|n| self.sayings[*n].journalled)
            .collect();
        for saying in &journal {
            let said = &self.sayings[*saying];
            let at = MeetingTime(said.received);
            let (id, participant, uses, status) =
                (said.id, said.who, said.uses.clone(), said.status);
            worker.input(
                Input::Withdrawn {
                    id,
                    participant,
                    uses,
                    status,
                    at,
                },
                now,
            );
            worker.owes.insert(*saying);
            self.known.insert(*saying, self.now);
        }
        self.worker = Some(worker);
        // The dead one's spool, by the log as it is now and the journal.
        let gate = self.replayed();
        for saying in &journal {
            let said = &self.sayings[*saying];
            gate.withdraw(said.id, said.who, &said.uses, MeetingTime(said.received));
        }
        self.left = Worker::recut(&gate, std::mem::take(&mut self.left), &self.sounds);
        self.read(Some((self.log.len(), self.listed(), self.roster)));
        for stream in 0..self.senders.len() {
            if self.senders[stream].open {
                self.open(stream);
            }
        }
        if self.life == 0 {
            self.after(HEADS_POLL.0, Event::Poll);
        }
    }

    /// Lets the worker do what it has to, and looks at what came of it.
    fn work(&mut self) {
        let now = MeetingTime(self.now);
        if let Some(worker) = &mut self.worker {
            let done = worker.work(now, &self.sounds);
            assert!(!done.ended, "nobody asked for the end");
            if let Some(due) = worker.next_timeout() {
                self.at(due.0, Event::Timer);
            }
            for stream in done.closed {
                for sender in self.senders.iter_mut().filter(|sender| sender.id == stream) {
                    (sender.open, sender.connected) = (false, false);
                }
            }
            // Written when Postgres is there; here it always comes to be.
            for who in done.left {
                // The ledger asks the log: what removed somebody may have been said before, and
                // taken back since.
                let agrees =
                    |purpose: &Use| self.last_said(who, *purpose).is_some_and(Saying::accepts);
                let required = self.plan.policy == ConsentPolicy::Required;
                if !required || !self.plan.uses.iter().all(agrees) {
                    self.gone(who);
                }
            }
        }
        self.note_holds();
        self.judge_new();
    }
}
