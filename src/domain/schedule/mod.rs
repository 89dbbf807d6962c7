//! Which decode runs next: one queue over all meetings.
//!
//! Finals, guesses (speculative finals) and the first partial of each utterance share the workers
//! by their deadlines, so that under load neither text nor finals stand still for the other; then
//! come further partials, then translations. A meeting that already had more than its share has its
//! deadlines moved back a little. What was missed live and is decoded after the end comes last. It
//! and translations give way to all others and count for no load. Finals are never dropped: beyond
//! five minutes of waiting audio of one meeting they are refused, and the caller says so. A stream
//! has one waiting partial, the latest; a partial that could not start in time is dropped.
//!
//! Partials share what finals leave of the workers evenly among the streams that speak
//! ([`Schedule::partial_after`]). Where finals wait all the same, the queue degrades in steps
//! ([`Step`]) and comes back within seconds: partials stop but for the first, then speculation
//! stops, then first partials do and new meetings are refused. Decodes cannot be interrupted in the
//! encoder, so while few speak a partial starts on the last free worker only when it is predicted
//! to be short.
//!
//! Time is microseconds since any fixed instant of the process.

use crate::time::Micros;
use std::collections::{BTreeMap, VecDeque};

mod cost;
mod effort;
mod job;
mod step;

pub use cost::Cost;
pub use effort::Effort;
pub use job::{Job, Kind};
pub use step::Step;

/// Waiting audio of one meeting's finals; beyond it they are refused.
pub const WAITING_MAX: Micros = Micros::from_secs(300);
/// Waiting audio of one meeting's translations; beyond it they are refused.
const TRANSLATING_MAX: Micros = Micros::from_secs(60);
/// A partial on the last free worker may take this long at most.
const SHORT: Micros = Micros::from_ms(300);
/// A running partial with more than this left gives way to a final.
const WORTH_ABORTING: Micros = Micros::from_ms(100);
/// How much later a greedy meeting's jobs may become due.
const PENALTY_MAX: Micros = Micros::from_secs(2);
/// Use of the workers is forgotten by half in this time.
const HALF_LIFE: Micros = Micros::from_secs(5);
/// Audio of an utterance, pre-roll and all, until its first partial, and new voice until the next
/// while nothing is shown.
const FIRST_AFTER: Micros = Micros::from_ms(600);
const FIRST_AGAIN: Micros = Micros::from_ms(300);
/// New voice until the next partial: at least, and at most.
const PARTIAL_MIN: Micros = Micros::from_ms(600);
const PARTIAL_MAX: Micros = Micros::from_secs(8);
/// Share of the workers' time that finals and partials together may take, and what is left to
/// partials however much finals take.
const SHARE_MAX: f64 = 0.8;
const PARTIALS_SHARE_MIN: f64 = 0.05;
/// Finals that waited this long mean too much work for partials, and this long for guesses: these
/// save no work by stopping unless speech goes on after many of them.
const LATE: Micros = Micros::from_ms(500);
const TOO_LATE: Micros = Micros::from_ms(1_000);
/// Finals that take the workers this long mean too much work for anything else, and for new
/// meetings. By time, not by how much audio waits: a burst that a fast machine works off in a
/// second is no reason to stop.
const BACKLOG_MAX: Micros = Micros::from_secs(5);
/// Between two steps up, and down.
const UP_EVERY: Micros = Micros::from_ms(250);
const DOWN_EVERY: Micros = Micros::from_ms(250);
/// What load is measured over.
const RECENT: Micros = Micros::from_secs(2);
/// What waiting is looked at over.
const JUST_NOW: Micros = Micros::from_ms(500);
/// A stream that asked for a decode within this is speaking.
const SPEAKS: Micros = Micros::from_ms(2_500);

/// The queue's answer to a job offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It waits; the stream's earlier partial, if any, was dropped for it.
    Waits { instead_of: Option<u64> },
    /// Not now: the load is too high for its kind, or too much of this meeting waits.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    job: Job,
    asked: Micros,
    due: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    job: Job,
    started: Micros,
    predicted: Micros,
    aborted: bool,
}

/// One queue over all meetings: what is decoded next, and how far it has degraded.
#[derive(Clone, Debug)]
pub struct Schedule {
    workers: usize,
    cost: Cost,
    waiting: Vec<Waiting>,
    running: BTreeMap<u64, Running>,
    /// Decaying use of the workers by meeting, with the time it was last brought up to date.
    used: BTreeMap<u64, (f64, Micros)>,
    /// Partials dropped since last asked.
    dropped: Vec<u64>,
    step: Step,
    stepped: Micros,
    /// (when, how long) finals and guesses waited.
    waits: VecDeque<(Micros, Micros)>,
    /// (until when, how long) workers ran, and on what.
    busy: VecDeque<(Micros, Micros, Kind)>,
    /// When each stream last asked for a decode of what is said now.
    asked: BTreeMap<u64, Micros>,
    /// How much further apart partials are than they would be without any load.
    thinned: f64,
    /// The least time between two partials of a stream that shares the workers evenly.
    spread: Micros,
}

impl Schedule {
    pub fn new(workers: usize, cost: Cost) -> Self {
        Self {
            workers: workers.max(1),
            cost,
            waiting: Vec::new(),
            running: BTreeMap::new(),
            used: BTreeMap::new(),
            dropped: Vec::new(),
            step: Step::Normal,
            stepped: Micros(0),
            waits: VecDeque::new(),
            busy: VecDeque::new(),
            asked: BTreeMap::new(),
            thinned: 1.0,
            spread: Micros(0),
        }
    }

    pub fn step(&self) -> Step {
        self.step
    }

    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// Jobs waiting, of one kind.
    pub fn depth(&self, kind: Kind) -> usize {
        self.waiting
            .iter()
            .filter(|waiting| waiting.job.kind == kind)
            .count()
    }

    /// Audio waiting to be decoded, partials and translations apart; of all meetings that which
    /// presses.
    pub fn waiting_audio(&self, meeting: Option<u64>) -> Micros {
        let of_meeting =
            |job: &Job| meeting.map_or(job.kind.presses(), |meeting| job.meeting == meeting);
        let waiting = self.waiting.iter().map(|waiting| waiting.job);
        Micros(
            waiting
                .filter(|job| {
                    !matches!(job.kind, Kind::Partial | Kind::Translation) && of_meeting(job)
                })
                .map(|job| job.audio.0)
                .sum(),
        )
    }

    /// Audio of one meeting that waits to be translated.
    fn translating_audio(&self, meeting: u64) -> Micros {
        let waiting = self.waiting.iter().map(|waiting| waiting.job);
        let of_meeting =
            waiting.filter(|job| job.kind == Kind::Translation && job.meeting == meeting);
        Micros(of_meeting.map(|job| job.audio.0).sum())
    }

    /// New voice that makes the next partial of an utterance of this length worth its cost; `None`:
    /// no partials now. `shown`: whether something of it is on the screens.
    pub fn partial_after(&self, length: Micros, shown: bool) -> Option<Micros> {
        if shown {
            let wanted = self.alone(length).0.max(self.spread.0).min(PARTIAL_MAX.0);
            return (self.step < Step::Guesses).then_some(Micros(wanted));
        }
        let again = length > FIRST_AFTER + FIRST_AGAIN;
        let wanted = if again {
            // The first has not come yet, or showed nothing.
            Micros(FIRST_AGAIN.0.max(self.spread.0 / 2))
        } else {
            FIRST_AFTER
        };
        (self.step < Step::Full).then_some(wanted)
    }

    /// The same with all workers free. Covers at least what a pass takes, and grows with the
    /// length, so that all passes together grow linearly.
    fn alone(&self, length: Micros) -> Micros {
        let wanted = PARTIAL_MIN
            .0
            .max(self.cost.of(length).0 * 3 / 2)
            .max(length.0 * 12 / 100);
        Micros(wanted)
    }

    pub fn offer(&mut self, job: Job, now: Micros) -> Answer {
        let refused = match job.kind {
            Kind::Final | Kind::Late => {
                (self.waiting_audio(Some(job.meeting)) + job.audio).0 > WAITING_MAX.0
            }
            Kind::Guess => self.step >= Step::Finals,
            Kind::Partial if job.is_first() => self.step >= Step::Full,
            Kind::Partial => self.step >= Step::Guesses,
            Kind::Translation => {
                self.step >= Step::Finals
                    || (self.translating_audio(job.meeting) + job.audio).0 > TRANSLATING_MAX.0
            }
        };
        if refused {
            return Answer::Refused;
        }
        if job.kind.loads() {
            self.asked.insert(job.stream, now);
        }
        let earlier = (job.kind == Kind::Partial)
            .then(|| {
                self.waiting
                    .iter()
                    .position(|w| w.job.kind == Kind::Partial && w.job.stream == job.stream)
            })
            .flatten()
            .map(|at| self.waiting.swap_remove(at));
        let due = now + job.patience() + self.penalty(job.meeting, now);
        self.waiting.push(Waiting {
            job,
            asked: now,
            // The later one takes the place of the one that it replaces, or a stream whose partials
            // replace each other would never have its turn.
            due: earlier.map_or(due, |earlier| due.min(earlier.due.max(now))),
        });
        Answer::Waits {
            instead_of: earlier.map(|earlier| earlier.job.id),
        }
    }

    /// The utterance of a guess has ended: it is a final now, waiting or running. `false`: not here
    /// any more.
    pub fn promote(&mut self, id: u64) -> bool {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.job.id == id) {
            waiting.job.kind = Kind::Final;
            return true;
        }
        match self.running.get_mut(&id) {
            Some(running) if !running.aborted => {
                running.job.kind = Kind::Final;
                true
            }
            _ => false,
        }
    }

    /// The speaker of a guess went on while it ran: what comes of it is a partial. `false`: it does
    /// not run, or was stopped.
    pub fn demote(&mut self, id: u64) -> bool {
        match self.running.get_mut(&id) {
            Some(running) if !running.aborted => {
                running.job.kind = Kind::Partial;
                true
            }
            _ => false,
        }
    }

    /// Whether a guess that turns out wrong would keep nobody waiting.
    pub fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.running.len() < self.workers && self.thinned <= 1.0
    }

    /// Takes a waiting job out; `false` when it is running or unknown.
    pub fn cancel(&mut self, id: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.job.id != id);
        self.waiting.len() < before
    }

    /// The job to start now, if a worker is free and one is worth it.
    pub fn take(&mut self, now: Micros) -> Option<Job> {
        self.drop_stale(now);
        let free = self.workers.saturating_sub(self.running.len());
        if free == 0 {
            return None;
        }
        let best = (0..self.waiting.len()).min_by_key(|&at| {
            let waiting = &self.waiting[at];
            let job = &waiting.job;
            let later = !job.is_first() && !job.kind.presses();
            let class = if later { job.kind as u8 } else { 0 };
            (class, waiting.due, job.id)
        })?;
        let predicted = self.cost.of(self.waiting[best].job.audio);
        if matches!(
            self.waiting[best].job.kind,
            Kind::Partial | Kind::Translation
        ) && free == 1
            && predicted > SHORT
            && self.workers > 1
            && self.asked.len() <= self.workers
        {
            return None;
        }
        let Waiting { job, asked, .. } = self.waiting.swap_remove(best);
        if job.kind.presses() {
            self.waits.push_back((now, now - asked));
        }
        self.running.insert(
            job.id,
            Running {
                job,
                started: now,
                predicted,
                aborted: false,
            },
        );
        Some(job)
    }

    /// A job ended; `took` is its cost where it ran to its end.
    pub fn done(&mut self, id: u64, took: Option<Micros>, now: Micros) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        if let Some(took) = took {
            self.cost.learn(running.job.audio, took);
        }
        let ran = now - running.started;
        self.busy.push_back((now, ran, running.job.kind));
        let used = self.used(running.job.meeting, now) + ran.0 as f64;
        self.used.insert(running.job.meeting, (used, now));
    }

    /// Running partials (but the first of an utterance), translations and late jobs that should be
    /// aborted because finals or guesses wait without a worker.
    pub fn preempt(&mut self, now: Micros) -> Vec<u64> {
        let waiting = self
            .waiting
            .iter()
            .filter(|waiting| waiting.job.kind.presses())
            .count();
        let mut room = self.workers.saturating_sub(self.running.len())
            + self
                .running
                .values()
                .filter(|running| running.aborted)
                .count();
        let mut aborted = Vec::new();
        for (id, running) in &mut self.running {
            if room >= waiting {
                break;
            }
            let left = running.started + running.predicted - now;
            let gives_way = !running.job.kind.presses() && !running.job.is_first();
            if gives_way && !running.aborted && left > WORTH_ABORTING {
                running.aborted = true;
                aborted.push(*id);
                room += 1;
            }
        }
        aborted
    }

    /// Partials dropped since the last call.
    pub fn dropped(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.dropped)
    }

    /// Looks at the load; call it every 100 ms or so.
    pub fn tick(&mut self, now: Micros) -> Step {
        self.drop_stale(now);
        self.waits.retain(|(at, _)| now - *at <= JUST_NOW);
        self.busy.retain(|(until, ..)| now - *until <= RECENT);
        self.asked.retain(|_, at| now - *at <= SPEAKS);
        self.used
            .retain(|_, (used, at)| decayed(*used, now - *at) > 1_000.0);
        self.share_out(now);
        let wanted = self.wanted(now);
        let since = now - self.stepped;
        if wanted > self.step && (since >= UP_EVERY || self.step == Step::Normal) {
            self.step = self.step.up();
            self.stepped = now;
        } else if wanted < self.step && since >= DOWN_EVERY {
            self.step = self.step.down();
            self.stepped = now;
        }
        self.step
    }

    /// How far apart partials must be so that everybody who speaks has as many, in what finals
    /// leave.
    fn share_out(&mut self, now: Micros) {
        let left = (SHARE_MAX - self.share_of(now, Kind::presses)).max(PARTIALS_SHARE_MIN);
        let typical = Micros::from_secs(3);
        let all = self.asked.len() as f64 * self.cost.of(typical).0 as f64;
        self.spread = Micros((all / (left * self.workers as f64)) as i64);
        self.thinned = self.spread.0 as f64 / self.alone(typical).0 as f64;
    }

    /// The step that the load calls for now.
    fn wanted(&self, now: Micros) -> Step {
        let presses = |waiting: &&Waiting| waiting.job.kind.presses();
        let waiting = self.waiting.iter().filter(presses);
        let waited = waiting
            .map(|waiting| now - waiting.asked)
            .chain(self.waits.iter().map(|(_, waited)| *waited))
            .max()
            .unwrap_or_default();
        if self.backlog() > BACKLOG_MAX {
            Step::Full
        } else if waited > TOO_LATE {
            Step::Finals
        } else if waited > LATE {
            Step::Guesses
        } else if self.thinned > 4.0 {
            Step::Sparse
        } else if self.thinned > 2.0 {
            Step::Slower
        } else {
            Step::Normal
        }
    }

    /// How long the workers need for the finals and guesses that wait.
    fn backlog(&self) -> Micros {
        let waiting = self.waiting.iter().map(|waiting| waiting.job);
        let costs = waiting
            .filter(|job| job.kind.presses())
            .map(|job| self.cost.of(job.audio).0);
        Micros(costs.sum::<i64>() / self.workers as i64)
    }

    /// Share of the workers' time in use lately, 0 to 1.
    pub fn busy_share(&self, now: Micros) -> f64 {
        self.share_of(now, Kind::loads)
    }

    fn share_of(&self, now: Micros, of: impl Fn(Kind) -> bool) -> f64 {
        let ended = self
            .busy
            .iter()
            .filter(|(.., kind)| of(*kind))
            .map(|(until, ran, _)| ran.0.min((RECENT - (now - *until)).0));
        let live = self.running.values().filter(|running| of(running.job.kind));
        let running = live.map(|running| (now - running.started).0.min(RECENT.0));
        ended.chain(running).sum::<i64>() as f64 / (RECENT.0 * self.workers as i64) as f64
    }

    fn drop_stale(&mut self, now: Micros) {
        let dropped = &mut self.dropped;
        let step = self.step;
        self.waiting.retain(|waiting| {
            let none = step >= Step::Full || step >= Step::Guesses && !waiting.job.is_first();
            let stale = waiting.job.kind == Kind::Partial && (none || now > waiting.due);
            if stale {
                dropped.push(waiting.job.id);
            }
            !stale
        });
    }

    fn used(&self, meeting: u64, now: Micros) -> f64 {
        self.used
            .get(&meeting)
            .map_or(0.0, |(used, at)| decayed(*used, now - *at))
    }

    /// What a meeting used beyond an even share makes its next jobs due later.
    fn penalty(&self, meeting: u64, now: Micros) -> Micros {
        let all: f64 = self
            .used
            .values()
            .map(|(used, at)| decayed(*used, now - *at))
            .sum();
        let even = all / self.used.len().max(1) as f64;
        Micros(((self.used(meeting, now) - even).max(0.0) as i64).min(PENALTY_MAX.0))
    }
}

fn decayed(used: f64, after: Micros) -> f64 {
    used * 0.5f64.powf(after.0 as f64 / HALF_LIFE.0 as f64)
}

#[cfg(test)]
mod tests;
