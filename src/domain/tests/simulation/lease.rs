//! One meeting's lease among several workers, in virtual time: Postgres stalls, the broker goes
//! away, processes freeze and die. Each worker does what `worker` does: renews what it holds every
//! second, looks for what ran out every half second. A meeting whose holder lives never moves; one
//! whose holder does not is taken up in time; nobody commits but the one whom the row names.

use crate::random::Random;
use hansard_domain::{
    lease::{Holder, Lease, LeaseState, Renewal, Step, Wanted},
    limits::{LEASE_ASK, LEASE_TTL},
    time::Micros,
};
use std::ops::Range;

const STEP: i64 = 20_000;
const SWEEP: i64 = 500_000;
/// How long a renewal, and a read, may take before it counts as failed.
const PATIENCE: i64 = 2_000_000;
const LENGTH: i64 = 120_000_000;

/// The row in `jobs`.
struct Row {
    owner: usize,
    epoch: i64,
    until: i64,
}

struct Worker {
    dies: i64,
    frozen: Range<i64>,
    lease: Option<(i64, Lease)>,
    /// Since when it waits for the database to renew, or to look.
    renewing: Option<i64>,
    looking: Option<i64>,
    look_at: i64,
    /// The epoch that it would take.
    wanted: Option<(i64, Wanted)>,
    /// When the answer of the holder comes, and which.
    answer: Option<(i64, Holder)>,
}

impl Worker {
    fn lives(&self, now: i64) -> bool {
        now < self.dies
    }

    fn runs(&self, now: i64) -> bool {
        self.lives(now) && !self.frozen.contains(&now)
    }
}

pub struct World {
    row: Row,
    workers: Vec<Worker>,
    stalls: Vec<Range<i64>>,
    broker_away: Vec<Range<i64>>,
    random: Random,
    pub moves: Vec<i64>,
}

impl World {
    fn new(random: Random) -> Self {
        let worker = |n: usize| Worker {
            dies: i64::MAX,
            frozen: 0..0,
            lease: (n == 0).then(|| (1, Lease::new(Micros(0)))),
            renewing: None,
            looking: None,
            look_at: 170_000 * n as i64,
            wanted: None,
            answer: None,
        };
        Self {
            row: Row {
                owner: 0,
                epoch: 1,
                until: LEASE_TTL.0,
            },
            workers: (0..3).map(worker).collect(),
            stalls: Vec::new(),
            broker_away: Vec::new(),
            random,
            moves: Vec::new(),
        }
    }

    fn run(&mut self, until: i64) {
        for now in (0..until).step_by(STEP as usize) {
            let database = !self.stalls.iter().any(|stall| stall.contains(&now));
            for n in 0..self.workers.len() {
                if self.workers[n].runs(now) {
                    self.renew(n, now, database);
                    self.look(n, now, database);
                }
            }
            let commits = |n: &usize| {
                let held = self.workers[*n]
                    .lease
                    .filter(|(_, lease)| lease.state() == LeaseState::Held);
                held.is_some_and(|(epoch, _)| (self.row.owner, self.row.epoch) == (*n, epoch))
            };
            assert!(
                (0..self.workers.len()).filter(commits).count() <= 1,
                "two commit at {now}"
            );
        }
    }

    fn renew(&mut self, n: usize, now: i64, database: bool) {
        let worker = &mut self.workers[n];
        let Some((epoch, lease)) = &mut worker.lease else {
            return;
        };
        if worker.renewing.is_none() {
            if lease.poll_timeout().is_none_or(|due| due.0 > now) {
                return;
            }
            worker.renewing = Some(now);
        }
        let renewal = if database {
            let ours = (self.row.owner, self.row.epoch) == (n, *epoch);
            if ours {
                self.row.until = now + LEASE_TTL.0;
            }
            if ours {
                Renewal::Renewed
            } else {
                Renewal::Refused
            }
        } else if worker.renewing.is_some_and(|since| now - since >= PATIENCE) {
            Renewal::Unreachable
        } else {
            return;
        };
        worker.renewing = None;
        if lease.handle(renewal, Micros(now)) == LeaseState::Lost {
            worker.lease = None;
        }
    }

    fn look(&mut self, n: usize, now: i64, database: bool) {
        if let Some((_, holder)) = self.workers[n].answer.take_if(|(at, _)| *at <= now) {
            if let Some((_, wanted)) = &mut self.workers[n].wanted {
                wanted.answered(holder, Micros(now));
            }
            self.workers[n].look_at = now;
        }
        let worker = &mut self.workers[n];
        if worker.looking.is_none() {
            if worker.look_at > now {
                return;
            }
            worker.looking = Some(now);
        }
        if !database {
            if worker.looking.is_some_and(|since| now - since >= PATIENCE) {
                (worker.looking, worker.look_at, worker.wanted) = (None, now + SWEEP, None);
            }
            return;
        }
        (worker.looking, worker.look_at) = (None, now + SWEEP);
        let epoch = self.row.epoch;
        if self.row.owner == n || self.row.until >= now {
            worker.wanted = None;
            return;
        }
        let ago = Micros(now - self.row.until);
        let wanted = match worker.wanted.take() {
            Some((of, wanted)) if of == epoch => wanted,
            _ => Wanted::new(Micros(now), ago),
        };
        let (_, wanted) = worker.wanted.insert((epoch, wanted));
        match wanted.step(Micros(now)) {
            Step::Wait => {}
            Step::Ask => {
                wanted.asked();
                let answer = self.ask(now);
                self.workers[n].answer = Some(answer);
            }
            Step::Claim => {
                self.row = Row {
                    owner: n,
                    epoch: epoch + 1,
                    until: now + LEASE_TTL.0,
                };
                worker.wanted = None;
                worker.lease = Some((epoch + 1, Lease::new(Micros(now))));
                self.moves.push(now);
            }
        }
    }

    fn ask(&mut self, now: i64) -> (i64, Holder) {
        let holder = &self.workers[self.row.owner];
        let soon = now + self.random.within(1_000, 300_000);
        if self.broker_away.iter().any(|away| away.contains(&now)) {
            (now + STEP, Holder::Unreachable)
        } else if !holder.lives(now) {
            (now + STEP, Holder::Nobody)
        } else if !holder.runs(soon) {
            (now + LEASE_ASK.0, Holder::Silent)
        } else {
            (soon, Holder::Alive)
        }
    }
}

fn spans(random: &mut Random, most: i64, longest: i64) -> Vec<Range<i64>> {
    let span = |random: &mut Random| {
        let from = random.within(1_000_000, LENGTH - longest);
        from..from + random.within(200_000, longest)
    };
    (0..random.within(0, most)).map(|_| span(random)).collect()
}

/// Whatever fails around it: a holder that lives keeps its meeting.
pub fn stays(seed: u64) {
    let mut random = Random::new(seed);
    let (stalls, away) = (
        spans(&mut random, 5, 25_000_000),
        spans(&mut random, 5, 40_000_000),
    );
    let mut world = World::new(random);
    (world.stalls, world.broker_away) = (stalls, away);
    world.run(LENGTH);
    assert!(
        world.moves.is_empty(),
        "the holder lived all the time, and it moved at {:?}",
        world.moves
    );
}

/// A holder that dies, or stops for good, is followed.
pub fn moves(seed: u64) {
    let mut random = Random::new(seed);
    let gone = random.within(1_000_000, 20_000_000);
    let (frozen, broker) = (random.chance(0.5), random.chance(0.6));
    let stalls: Vec<_> = random
        .chance(0.3)
        .then(|| gone - 500_000..gone + random.within(0, 6_000_000))
        .into_iter()
        .collect();
    let mut world = World::new(random);
    if frozen {
        world.workers[0].frozen = gone..gone + 60_000_000;
    } else {
        world.workers[0].dies = gone;
    }
    if !broker {
        world.broker_away.push(gone - 1_000_000..LENGTH);
    }
    let able = stalls.first().map_or(gone, |stall| stall.end.max(gone));
    world.stalls = stalls;
    // Its lease, a sweep, and the answer.
    let within = if broker {
        LEASE_TTL.0 + SWEEP + LEASE_ASK.0
    } else {
        LEASE_TTL.0 + 10_000_000 + SWEEP
    };
    world.run(LENGTH);
    assert_eq!(world.moves.len(), 1, "once");
    let took = world.moves[0] - able;
    assert!(
        took <= within + 2 * SWEEP + PATIENCE,
        "taken up {took} µs after it could be"
    );
    assert!(
        world.workers[0]
            .lease
            .is_none_or(|(_, lease)| !frozen || lease.state() == LeaseState::Lost)
    );
}
