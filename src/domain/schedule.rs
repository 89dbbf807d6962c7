//! Which decode runs next: one queue over all meetings.
//!
//! Finals go before guesses (speculative finals) before partials; within a class the earliest deadline goes first, moved
//! back a little for a meeting that already had more than its share. Finals are never dropped: beyond five minutes of
//! waiting audio of one meeting they are refused, and the caller says so. A stream has one waiting partial, the latest; a
//! partial that could not start in time is dropped.
//!
//! Under load the queue degrades in steps ([`Step`]), up at once and down slowly: partials thin out first, then stop, then
//! speculation stops, then new meetings are refused. Decodes cannot be interrupted in the encoder, so a partial starts on the
//! last free worker only when it is predicted to be short.
//!
//! Time is microseconds since any fixed instant of the process.

use crate::time::Micros;
use std::collections::{BTreeMap, VecDeque};

/// Waiting audio of one meeting's finals; beyond it they are refused.
pub const WAITING_MAX: Micros = Micros::from_secs(300);
/// A partial on the last free worker may take this long at most.
const SHORT: Micros = Micros::from_ms(300);
/// A running partial with more than this left gives way to a final.
const WORTH_ABORTING: Micros = Micros::from_ms(100);
/// How much later a greedy meeting's jobs may become due.
const PENALTY_MAX: Micros = Micros::from_secs(2);
/// Use of the workers is forgotten by half in this time.
const HALF_LIFE: Micros = Micros::from_secs(5);
/// New voice until the next partial: at least, and at most.
const PARTIAL_MIN: Micros = Micros::from_ms(600);
const PARTIAL_MAX: Micros = Micros::from_secs(3);
/// Finals that waited this long mean too much work; this long is no trouble.
const LATE: Micros = Micros::from_ms(250);
/// Guesses save no work by stopping unless speech goes on after many of them, so they stop later than partials.
const TOO_LATE: Micros = Micros::from_ms(600);
const CALM: Micros = Micros::from_ms(100);
/// Share of the workers' time in use above which partials thin out, and below which they may come back.
const BUSY: f64 = 0.75;
const IDLE: f64 = 0.35;
/// Between two steps up, and of calm before a step down.
const UP_EVERY: Micros = Micros::from_ms(500);
const DOWN_AFTER: Micros = Micros::from_secs(10);
/// What load is measured over.
const RECENT: Micros = Micros::from_secs(2);

/// In order of rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Final,
    /// A final before its time: most likely the utterance is over.
    Guess,
    Partial,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Guess => "guess",
            Self::Partial => "partial",
        }
    }

    /// How long after it was asked for it should be done.
    const fn patience(self) -> Micros {
        match self {
            Self::Final | Self::Guess => Micros::from_ms(500),
            Self::Partial => Micros::from_ms(700),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    pub id: u64,
    pub meeting: u64,
    pub stream: u64,
    pub kind: Kind,
    /// How much there is to decode.
    pub audio: Micros,
}

/// How far the queue has degraded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    Normal = 0,
    /// Partials half as often.
    Slower = 1,
    /// Partials a quarter as often.
    Sparse = 2,
    /// Partials only in the trailing silence.
    Guesses = 3,
    /// Finals only, one pass each.
    Finals = 4,
    /// And no new meetings.
    Full = 5,
}

impl Step {
    const ALL: [Self; 6] = [Self::Normal, Self::Slower, Self::Sparse, Self::Guesses, Self::Finals, Self::Full];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Slower => "slower",
            Self::Sparse => "sparse",
            Self::Guesses => "guesses",
            Self::Finals => "finals",
            Self::Full => "full",
        }
    }

    /// By its number on the ladder.
    pub fn of(number: u8) -> Self {
        Self::ALL[usize::from(number).min(Self::ALL.len() - 1)]
    }

    fn up(self) -> Self {
        Self::ALL[(self as usize + 1).min(Self::ALL.len() - 1)]
    }

    fn down(self) -> Self {
        Self::ALL[(self as usize).saturating_sub(1)]
    }
}

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

/// Predicts what a decode takes: a line, scaled by what recent ones took.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    pub fixed: Micros,
    pub per_second: Micros,
    scale: f64,
}

impl Cost {
    pub const fn new(fixed: Micros, per_second: Micros) -> Self {
        Self { fixed, per_second, scale: 1.0 }
    }

    pub fn of(&self, audio: Micros) -> Micros {
        Micros((self.line(audio) * self.scale) as i64)
    }

    fn line(&self, audio: Micros) -> f64 {
        self.fixed.0 as f64 + self.per_second.0 as f64 * audio.0 as f64 / 1e6
    }

    fn learn(&mut self, audio: Micros, took: Micros) {
        let ratio = took.0 as f64 / self.line(audio).max(1.0);
        self.scale = (0.9 * self.scale + 0.1 * ratio).clamp(0.1, 50.0);
    }
}

/// See the module's text.
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
    /// The last time that there was anything to complain about.
    troubled: Micros,
    /// (when, how long) finals and guesses waited.
    waits: VecDeque<(Micros, Micros)>,
    /// (until when, how long) workers ran.
    busy: VecDeque<(Micros, Micros)>,
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
            troubled: Micros(0),
            waits: VecDeque::new(),
            busy: VecDeque::new(),
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
        self.waiting.iter().filter(|waiting| waiting.job.kind == kind).count()
    }

    /// Audio waiting to be decoded, partials apart.
    pub fn waiting_audio(&self, meeting: Option<u64>) -> Micros {
        let of_meeting = |job: &Job| meeting.is_none_or(|meeting| job.meeting == meeting);
        let waiting = self.waiting.iter().map(|waiting| waiting.job);
        Micros(waiting.filter(|job| job.kind != Kind::Partial && of_meeting(job)).map(|job| job.audio.0).sum())
    }

    /// New voice that makes the next partial of an utterance of this length worth its cost; `None`: no partials now.
    pub fn partial_after(&self, length: Micros) -> Option<Micros> {
        let factor = match self.step {
            Step::Normal => 1,
            Step::Slower => 2,
            Step::Sparse => 4,
            _ => return None,
        };
        // Covers at least what a pass takes, and grows with the length, so that all passes together grow linearly.
        let wanted = PARTIAL_MIN.0.max(self.cost.of(length).0 * 3 / 2).max(length.0 * 12 / 100);
        Some(Micros(wanted.min(PARTIAL_MAX.0) * factor))
    }

    /// Whether finals may have a second pass.
    pub fn is_thorough(&self) -> bool {
        self.step < Step::Finals
    }

    pub fn offer(&mut self, job: Job, now: Micros) -> Answer {
        let refused = match job.kind {
            Kind::Final => (self.waiting_audio(Some(job.meeting)) + job.audio).0 > WAITING_MAX.0,
            Kind::Guess => self.step >= Step::Finals,
            Kind::Partial => self.step >= Step::Guesses,
        };
        if refused {
            return Answer::Refused;
        }
        let earlier = (job.kind == Kind::Partial)
            .then(|| self.waiting.iter().position(|w| w.job.kind == Kind::Partial && w.job.stream == job.stream))
            .flatten();
        let instead_of = earlier.map(|at| self.waiting.swap_remove(at).job.id);
        let due = now + job.kind.patience() + self.penalty(job.meeting, now);
        self.waiting.push(Waiting { job, asked: now, due });
        Answer::Waits { instead_of }
    }

    /// The utterance of a guess has ended: it is a final now, waiting or running. `false`: not here any more.
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
            (waiting.job.kind, waiting.due, waiting.job.id)
        })?;
        let predicted = self.cost.of(self.waiting[best].job.audio);
        if self.waiting[best].job.kind == Kind::Partial && free == 1 && predicted > SHORT && self.workers > 1 {
            return None;
        }
        let Waiting { job, asked, .. } = self.waiting.swap_remove(best);
        if job.kind != Kind::Partial {
            self.waits.push_back((now, now - asked));
        }
        self.running.insert(job.id, Running { job, started: now, predicted, aborted: false });
        Some(job)
    }

    /// A job ended; `took` is its cost where it ran to its end.
    pub fn done(&mut self, id: u64, took: Option<Micros>, now: Micros) {
        let Some(running) = self.running.remove(&id) else { return };
        if let Some(took) = took {
            self.cost.learn(running.job.audio, took);
        }
        let ran = now - running.started;
        self.busy.push_back((now, ran));
        let used = self.used(running.job.meeting, now) + ran.0 as f64;
        self.used.insert(running.job.meeting, (used, now));
    }

    /// Running partials that should be aborted because finals or guesses wait without a worker.
    pub fn preempt(&mut self, now: Micros) -> Vec<u64> {
        let waiting = self.waiting.iter().filter(|waiting| waiting.job.kind != Kind::Partial).count();
        let mut room = self.workers.saturating_sub(self.running.len())
            + self.running.values().filter(|running| running.aborted).count();
        let mut aborted = Vec::new();
        for (id, running) in &mut self.running {
            if room >= waiting {
                break;
            }
            let left = running.started + running.predicted - now;
            if running.job.kind == Kind::Partial && !running.aborted && left > WORTH_ABORTING {
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
        self.waits.retain(|(at, _)| now - *at <= RECENT);
        self.busy.retain(|(until, _)| now - *until <= RECENT);
        self.used.retain(|_, (used, at)| decayed(*used, now - *at) > 1_000.0);
        let waited = self.waits.iter().map(|(_, waited)| *waited).max().unwrap_or_default();
        let oldest = self.waiting.iter().filter(|waiting| waiting.job.kind != Kind::Partial).map(|w| now - w.asked);
        let waited = oldest.max().unwrap_or_default().max(waited);
        let busy = self.busy_share(now);
        // Above `Guesses` only finals that really wait count: the workers may well be busy all the time.
        let thins = self.step < Step::Guesses;
        let late = waited > if thins { LATE } else { TOO_LATE } || busy > BUSY && thins;
        if late || waited > CALM || busy > IDLE && self.step <= Step::Guesses {
            self.troubled = now;
        }
        if late && (now - self.stepped >= UP_EVERY || self.step == Step::Normal) {
            // The last step only when minutes are waiting: refusing meetings is for those who come later.
            let hopeless = self.waiting_audio(None).0 > WAITING_MAX.0 / 10;
            if self.step < Step::Finals || hopeless {
                self.step = self.step.up();
                self.stepped = now;
            }
        } else if now - self.troubled >= DOWN_AFTER && now - self.stepped >= DOWN_AFTER {
            self.step = self.step.down();
            self.stepped = now;
        }
        self.step
    }

    /// Share of the workers' time in use lately, 0 to 1.
    pub fn busy_share(&self, now: Micros) -> f64 {
        let ended = self.busy.iter().map(|(until, ran)| ran.0.min((RECENT - (now - *until)).0));
        let running = self.running.values().map(|running| (now - running.started).0.min(RECENT.0));
        ended.chain(running).sum::<i64>() as f64 / (RECENT.0 * self.workers as i64) as f64
    }

    fn drop_stale(&mut self, now: Micros) {
        let dropped = &mut self.dropped;
        let none = self.step >= Step::Guesses;
        self.waiting.retain(|waiting| {
            let stale = waiting.job.kind == Kind::Partial && (none || now > waiting.due);
            if stale {
                dropped.push(waiting.job.id);
            }
            !stale
        });
    }

    fn used(&self, meeting: u64, now: Micros) -> f64 {
        self.used.get(&meeting).map_or(0.0, |(used, at)| decayed(*used, now - *at))
    }

    /// What a meeting used beyond an even share makes its next jobs due later.
    fn penalty(&self, meeting: u64, now: Micros) -> Micros {
        let all: f64 = self.used.values().map(|(used, at)| decayed(*used, now - *at)).sum();
        let even = all / self.used.len().max(1) as f64;
        Micros(((self.used(meeting, now) - even).max(0.0) as i64).min(PENALTY_MAX.0))
    }
}

fn decayed(used: f64, after: Micros) -> f64 {
    used * 0.5f64.powf(after.0 as f64 / HALF_LIFE.0 as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Micros {
        Micros::from_ms(ms)
    }

    fn job(id: u64, stream: u64, kind: Kind) -> Job {
        Job { id, meeting: stream / 10, stream, kind, audio: ms(2_000) }
    }

    fn schedule(workers: usize) -> Schedule {
        Schedule::new(workers, Cost::new(ms(10), ms(15)))
    }

    #[test]
    fn finals_before_guesses_before_partials_and_the_earliest_first() {
        let mut schedule = schedule(1);
        for (id, kind) in [(1, Kind::Partial), (2, Kind::Guess), (3, Kind::Final), (4, Kind::Final), (5, Kind::Guess)] {
            schedule.offer(job(id, id, kind), ms(id as i64));
        }
        let mut order = Vec::new();
        while let Some(job) = schedule.take(ms(10)) {
            schedule.done(job.id, Some(ms(40)), ms(10));
            order.push(job.id);
        }
        assert_eq!(order, [3, 4, 2, 5, 1]);
    }

    #[test]
    fn one_waiting_partial_per_stream_and_none_that_is_stale() {
        let mut schedule = schedule(1);
        assert_eq!(schedule.offer(job(1, 7, Kind::Partial), ms(0)), Answer::Waits { instead_of: None });
        assert_eq!(schedule.offer(job(2, 7, Kind::Partial), ms(300)), Answer::Waits { instead_of: Some(1) });
        assert_eq!(schedule.take(ms(1_001)), None);
        assert_eq!(schedule.dropped(), [2]);
    }

    #[test]
    fn a_guess_becomes_a_final() {
        let mut schedule = schedule(1);
        schedule.offer(job(1, 1, Kind::Guess), ms(0));
        schedule.offer(job(2, 2, Kind::Final), ms(1));
        assert!(schedule.promote(1));
        assert_eq!(schedule.take(ms(2)).map(|job| (job.id, job.kind)), Some((1, Kind::Final)));
        assert!(schedule.promote(1), "running");
        schedule.done(1, None, ms(50));
        assert!(!schedule.promote(1));
    }

    #[test]
    fn a_long_partial_leaves_a_worker_free_and_gives_way() {
        let mut schedule = Schedule::new(2, Cost::new(ms(100), ms(300)));
        schedule.offer(job(1, 1, Kind::Partial), ms(0));
        schedule.offer(job(2, 2, Kind::Partial), ms(0));
        assert!(schedule.take(ms(0)).is_some());
        assert_eq!(schedule.take(ms(0)), None, "700 ms on the last worker");
        for id in 3..5 {
            schedule.offer(job(id, id, Kind::Final), ms(10));
        }
        assert!(schedule.take(ms(10)).is_some());
        assert_eq!(schedule.preempt(ms(10)), [1]);
        assert_eq!(schedule.preempt(ms(11)), [] as [u64; 0], "once");
    }

    #[test]
    fn finals_are_refused_only_beyond_five_minutes_of_their_meeting() {
        let mut schedule = schedule(1);
        for id in 0..150 {
            assert!(matches!(schedule.offer(job(id, 3, Kind::Final), ms(0)), Answer::Waits { .. }));
        }
        assert_eq!(schedule.offer(job(999, 3, Kind::Final), ms(0)), Answer::Refused);
        assert!(matches!(schedule.offer(job(1_000, 30, Kind::Final), ms(0)), Answer::Waits { .. }), "another meeting");
    }

    /// A seeded meeting hall: every stream speaks for 1-5 s and pauses 1-6 s; guess at the end, final 350 ms later.
    struct Hall {
        schedule: Schedule,
        rng: u64,
        now: Micros,
        workers: Vec<Option<(u64, Micros)>>,
        /// (speaking until, or pausing until) by stream.
        streams: Vec<Talk>,
        jobs: BTreeMap<u64, (Job, Micros)>,
        next: u64,
        /// (meeting, how long after the end of speech)
        finals: Vec<(u64, Micros)>,
        partials: usize,
        asked_finals: usize,
        steps: Vec<Step>,
    }

    #[derive(Clone, Copy)]
    struct Talk {
        from: Micros,
        until: Micros,
        partial: Micros,
        guessed: Option<u64>,
    }

    impl Hall {
        fn new(streams: usize, cost: Cost, seed: u64) -> Self {
            let quiet = Talk { from: Micros(0), until: Micros(0), partial: Micros(0), guessed: None };
            Self {
                schedule: Schedule::new(2, cost),
                rng: seed,
                now: Micros(0),
                workers: vec![None; 2],
                streams: vec![quiet; streams],
                jobs: BTreeMap::new(),
                next: 1,
                finals: Vec::new(),
                partials: 0,
                asked_finals: 0,
                steps: Vec::new(),
            }
        }

        fn random(&mut self, from: i64, to: i64) -> Micros {
            self.rng = self.rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ms(from + (self.rng >> 33) as i64 % (to - from))
        }

        fn offer(&mut self, stream: usize, kind: Kind, audio: Micros) -> Option<u64> {
            let id = self.next;
            self.next += 1;
            let job = Job { id, meeting: stream as u64 / 3, stream: stream as u64, kind, audio };
            match self.schedule.offer(job, self.now) {
                Answer::Refused => None,
                Answer::Waits { .. } => {
                    self.jobs.insert(id, (job, self.now));
                    Some(id)
                }
            }
        }

        /// One step of 20 ms; `speaking`: whether new utterances begin.
        fn step(&mut self, speaking: bool, true_cost: Cost) {
            self.now = self.now + ms(20);
            for n in 0..self.streams.len() {
                let talk = self.streams[n];
                let (guess, end) = (talk.until + ms(200), talk.until + ms(550));
                if self.now > talk.from && self.now <= talk.until {
                    let new = self.now - talk.partial;
                    if self.schedule.partial_after(self.now - talk.from).is_some_and(|after| new >= after) {
                        self.offer(n, Kind::Partial, self.now - talk.from);
                        self.streams[n].partial = self.now;
                    }
                } else if self.now >= guess && self.now < end && talk.guessed.is_none() && talk.until > Micros(0) {
                    let guessed = self.offer(n, Kind::Guess, talk.until - talk.from);
                    self.streams[n].guessed = Some(guessed.unwrap_or(0));
                } else if self.now >= end {
                    if talk.until > Micros(0) {
                        self.asked_finals += 1;
                        let guess = talk.guessed.filter(|id| *id > 0);
                        let waiting = guess.is_some_and(|id| self.schedule.promote(id));
                        match guess {
                            Some(id) if waiting => self.jobs.get_mut(&id).expect("offered").1 = self.now,
                            Some(_) => self.finals.push((n as u64 / 3, ms(550))),
                            None => {
                                self.offer(n, Kind::Final, talk.until - talk.from).expect("finals are not refused");
                            }
                        }
                    }
                    self.streams[n] =
                        Talk { from: Micros::from_secs(1 << 30), until: Micros(0), partial: Micros(0), guessed: None };
                    if speaking {
                        let from = self.now + self.random(500, 4_000);
                        let until = from + self.random(1_000, 5_000);
                        self.streams[n] = Talk { from, until, partial: from, guessed: None };
                    }
                }
            }
            for n in 0..self.workers.len() {
                if let Some((id, until)) = self.workers[n]
                    && until <= self.now
                {
                    let (job, asked) = self.jobs.remove(&id).expect("running");
                    let took = true_cost.of(job.audio);
                    let kind = self.schedule.running.get(&id).map(|running| running.job.kind);
                    self.schedule.done(id, Some(took), self.now);
                    match kind {
                        Some(Kind::Final) => self.finals.push((job.meeting, self.now - asked + ms(550))),
                        Some(Kind::Partial) => self.partials += 1,
                        _ => {}
                    }
                    self.workers[n] = None;
                }
                if self.workers[n].is_none()
                    && let Some(job) = self.schedule.take(self.now)
                {
                    self.workers[n] = Some((job.id, self.now + true_cost.of(job.audio)));
                }
            }
            self.schedule.dropped();
            self.steps.push(self.schedule.tick(self.now));
        }

        fn p95(&self, meeting: Option<u64>) -> Micros {
            let mut late: Vec<Micros> =
                self.finals.iter().filter(|(m, _)| meeting.is_none_or(|meeting| meeting == *m)).map(|f| f.1).collect();
            late.sort();
            late[late.len() * 95 / 100]
        }
    }

    #[test]
    fn simulated_load_thins_partials_first_and_loses_no_final() {
        // The small model on one core: 10 ms and 15 ms a second.
        let cost = Cost::new(ms(10), ms(15));
        for seed in 1..=5 {
            let mut light = Hall::new(24, cost, seed);
            (0..3_000).for_each(|_| light.step(true, cost));
            let mut heavy = Hall::new(24, Cost::new(ms(10), ms(15)), seed);
            // The same hall with decodes eight times slower than believed.
            let slow = Cost::new(ms(80), ms(120));
            (0..3_000).for_each(|_| heavy.step(true, slow));
            assert!(light.steps.iter().max() <= Some(&Step::Slower), "seed {seed}");
            assert!(light.p95(None) < ms(700), "seed {seed}: {:?}", light.p95(None));
            assert!(heavy.steps.iter().max() >= Some(&Step::Guesses), "seed {seed}");
            assert!(heavy.partials * 3 < light.partials, "seed {seed}: {} {}", heavy.partials, light.partials);
            // Then nobody speaks any more: everything comes out, and the ladder comes down.
            for hall in [&mut light, &mut heavy] {
                (0..6_000).for_each(|_| hall.step(false, slow));
                assert_eq!(hall.finals.len(), hall.asked_finals, "seed {seed}");
                assert_eq!(hall.schedule.step(), Step::Normal, "seed {seed}");
                assert!(hall.schedule.waiting.is_empty());
            }
        }
    }

    #[test]
    fn a_greedy_meeting_does_not_starve_a_quiet_one() {
        let mut schedule = schedule(1);
        let mut now = ms(0);
        // Meeting 0 has had a lot already.
        for id in 0..40 {
            schedule.offer(job(id, 1, Kind::Final), now);
            let taken = schedule.take(now).expect("waits");
            now = now + ms(100);
            schedule.done(taken.id, Some(ms(100)), now);
        }
        schedule.offer(job(50, 11, Kind::Final), now);
        if let Some(job) = schedule.take(now) {
            schedule.done(job.id, Some(ms(10)), now);
        }
        for id in 100..120 {
            schedule.offer(job(id, 1, Kind::Final), now);
        }
        schedule.offer(job(200, 11, Kind::Final), now + ms(50));
        assert_eq!(schedule.take(now + ms(60)).map(|job| job.id), Some(200));
    }
}
