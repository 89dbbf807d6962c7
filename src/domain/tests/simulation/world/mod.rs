//! What is true: who said what when, what was sent, and what reached whom.

mod judge;
mod lives;
mod log;
mod reader;
mod script;
mod sender;

pub use script::Plan;

use super::{random::Random, worker::Worker};
use hansard_domain::{
    consent::{ConsentStatus, Use},
    gate::{Entry, Pass},
    id::{ConsentId, ParticipantId, StreamId},
    log_reader::LogReader,
    meeting::Listed,
    settings::ConsentPolicy,
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
    random: Random,
    /// Its own, so that the seeds stay what they were.
    twice: Random,
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
    /// Made by all workers.
    blocks: usize,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed ^ 0xabcd);
        let people: Vec<ParticipantId> = (0..plan.people)
            .map(|n| ParticipantId(Uuid::from_u128(1 + n as u128)))
            .collect();
        let mut world = Self {
            random: Random::new(plan.seed ^ 0x1234),
            twice: Random::new(plan.seed ^ 0x4321),
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
            blocks: 0,
            people,
            plan,
        };
        world.plan_ahead(&mut random);
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
        1 + (self.random.fraction() * most as f64) as i64
    }

    /// Answers with how many blocks of segments were made.
    pub fn run(mut self) -> usize {
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
        self.judge_the_end()
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
