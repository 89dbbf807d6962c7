use super::*;

fn ms(ms: i64) -> Micros {
    Micros::from_ms(ms)
}

fn job(id: u64, stream: u64, kind: Kind) -> Job {
    Job {
        id,
        meeting: stream / 10,
        stream,
        kind,
        audio: ms(2_000),
        first: false,
    }
}

fn schedule(workers: usize) -> Schedule {
    Schedule::new(workers, Cost::new(ms(10), ms(15)))
}

#[test]
fn finals_and_guesses_before_further_partials_and_the_earliest_first() {
    let mut schedule = schedule(1);
    for (id, kind) in [
        (1, Kind::Partial),
        (2, Kind::Guess),
        (3, Kind::Final),
        (4, Kind::Final),
        (5, Kind::Guess),
    ] {
        schedule.offer(job(id, id, kind), ms(id as i64));
    }
    let mut order = Vec::new();
    while let Some(job) = schedule.take(ms(10)) {
        schedule.done(job.id, Some(ms(40)), ms(10));
        order.push(job.id);
    }
    assert_eq!(order, [2, 3, 4, 5, 1]);
}

#[test]
fn the_first_partial_of_an_utterance_is_not_kept_waiting_by_finals_for_ever() {
    let mut schedule = schedule(1);
    let first = Job {
        first: true,
        ..job(1, 1, Kind::Partial)
    };
    schedule.offer(first, ms(0));
    for (id, asked) in [(2, 0), (3, 900), (4, 1_100)] {
        schedule.offer(job(id, 10 * id, Kind::Final), ms(asked));
    }
    let mut order = Vec::new();
    while let Some(job) = schedule.take(ms(1_100)) {
        assert!(schedule.preempt(ms(1_100)).is_empty(), "nothing is wasted");
        schedule.done(job.id, Some(ms(40)), ms(1_100));
        order.push(job.id);
    }
    assert_eq!(order, [2, 3, 1, 4]);
}

#[test]
fn one_waiting_partial_per_stream_and_none_that_is_stale() {
    let mut schedule = schedule(1);
    assert_eq!(
        schedule.offer(job(1, 7, Kind::Partial), ms(0)),
        Answer::Waits { instead_of: None }
    );
    assert_eq!(
        schedule.offer(job(2, 7, Kind::Partial), ms(300)),
        Answer::Waits {
            instead_of: Some(1)
        }
    );
    assert_eq!(schedule.take(ms(1_001)), None);
    assert_eq!(schedule.dropped(), [2]);
}

#[test]
fn a_guess_becomes_a_final() {
    let mut schedule = schedule(1);
    schedule.offer(job(1, 1, Kind::Guess), ms(0));
    schedule.offer(job(2, 2, Kind::Final), ms(1));
    assert!(schedule.promote(1));
    assert_eq!(
        schedule.take(ms(2)).map(|job| (job.id, job.kind)),
        Some((1, Kind::Final))
    );
    assert!(schedule.promote(1), "running");
    schedule.done(1, None, ms(50));
    assert!(!schedule.promote(1));
}

#[test]
fn a_guess_whose_speaker_goes_on_gives_way_as_a_partial() {
    let mut schedule = Schedule::new(1, Cost::new(ms(100), ms(300)));
    schedule.offer(job(1, 1, Kind::Guess), ms(0));
    assert!(!schedule.demote(1), "not running");
    schedule.take(ms(0));
    schedule.offer(job(2, 2, Kind::Final), ms(1));
    assert_eq!(schedule.preempt(ms(1)), [0; 0], "a guess does not");
    assert!(schedule.demote(1));
    assert_eq!(schedule.preempt(ms(1)), [1]);
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
        assert!(matches!(
            schedule.offer(job(id, 3, Kind::Final), ms(0)),
            Answer::Waits { .. }
        ));
    }
    assert_eq!(
        schedule.offer(job(999, 3, Kind::Final), ms(0)),
        Answer::Refused
    );
    assert!(
        matches!(
            schedule.offer(job(1_000, 30, Kind::Final), ms(0)),
            Answer::Waits { .. }
        ),
        "another meeting"
    );
}

/// A seeded meeting hall: every stream speaks for 1-5 s and pauses 1-6 s; guess at the end, final
/// 350 ms later.
struct Hall {
    schedule: Schedule,
    rng: u64,
    now: Micros,
    workers: Vec<Option<(u64, Micros)>>,
    /// (speaking until, or pausing until) by stream.
    streams: Vec<Talk>,
    /// How long (ms) an utterance is, and the pause after it.
    lengths: [(i64, i64); 2],
    jobs: BTreeMap<u64, (Job, Micros)>,
    next: u64,
    /// (meeting, how long after the end of speech)
    finals: Vec<(u64, Micros)>,
    partials: usize,
    /// How long after the beginning of speech each utterance's first partial came.
    firsts: Vec<Micros>,
    asked_finals: usize,
    steps: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Talk {
    from: Micros,
    until: Micros,
    partial: Micros,
    shown: bool,
    guessed: Option<u64>,
}

impl Hall {
    fn new(streams: usize, cost: Cost, seed: u64) -> Self {
        let quiet = Talk {
            from: Micros(0),
            until: Micros(0),
            partial: Micros(0),
            shown: false,
            guessed: None,
        };
        Self {
            schedule: Schedule::new(2, cost),
            rng: seed,
            now: Micros(0),
            workers: vec![None; 2],
            streams: vec![quiet; streams],
            lengths: [(1_000, 5_000), (500, 4_000)],
            jobs: BTreeMap::new(),
            next: 1,
            finals: Vec::new(),
            partials: 0,
            firsts: Vec::new(),
            asked_finals: 0,
            steps: Vec::new(),
        }
    }

    fn random(&mut self, from: i64, to: i64) -> Micros {
        self.rng = self
            .rng
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ms(from + (self.rng >> 33) as i64 % (to - from))
    }

    fn offer(&mut self, stream: usize, kind: Kind, audio: Micros) -> Option<u64> {
        let id = self.next;
        self.next += 1;
        let job = Job {
            id,
            meeting: stream as u64 / 3,
            stream: stream as u64,
            kind,
            audio,
            first: !self.streams[stream].shown,
        };
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
                if self
                    .schedule
                    .partial_after(self.now - talk.from, talk.shown)
                    .is_some_and(|after| new >= after)
                {
                    self.offer(n, Kind::Partial, self.now - talk.from);
                    self.streams[n].partial = self.now;
                }
            } else if self.now >= guess
                && self.now < end
                && talk.guessed.is_none()
                && talk.until > Micros(0)
            {
                let guessed = self.offer(n, Kind::Guess, talk.until - talk.from);
                self.streams[n].guessed = Some(guessed.unwrap_or(0));
            } else if self.now >= end {
                if talk.until > Micros(0) {
                    self.asked_finals += 1;
                    let guess = talk.guessed.filter(|id| *id > 0);
                    let waiting = guess.is_some_and(|id| self.schedule.promote(id));
                    match guess {
                        Some(id) if waiting => {
                            self.jobs.get_mut(&id).expect("offered").1 = self.now
                        }
                        Some(_) => self.finals.push((n as u64 / 3, ms(550))),
                        None => {
                            self.offer(n, Kind::Final, talk.until - talk.from)
                                .expect("finals are not refused");
                        }
                    }
                }
                self.streams[n] = Talk {
                    from: Micros::from_secs(1 << 30),
                    until: Micros(0),
                    partial: Micros(0),
                    shown: false,
                    guessed: None,
                };
                if speaking {
                    let [length, pause] = self.lengths;
                    let from = self.now + self.random(pause.0, pause.1);
                    let until = from + self.random(length.0, length.1);
                    self.streams[n] = Talk {
                        from,
                        until,
                        partial: from,
                        shown: false,
                        guessed: None,
                    };
                }
            }
        }
        for n in 0..self.workers.len() {
            if let Some((id, until)) = self.workers[n]
                && until <= self.now
            {
                let (job, asked) = self.jobs.remove(&id).expect("running");
                let took = true_cost.of(job.audio);
                let kind = self
                    .schedule
                    .running
                    .get(&id)
                    .map(|running| running.job.kind);
                self.schedule.done(id, Some(took), self.now);
                match kind {
                    Some(Kind::Final) => {
                        self.finals.push((job.meeting, self.now - asked + ms(550)))
                    }
                    Some(Kind::Partial) => {
                        self.partials += 1;
                        let talk = &mut self.streams[job.stream as usize];
                        if !std::mem::replace(&mut talk.shown, true) && self.now > talk.from {
                            self.firsts.push(self.now - talk.from);
                        }
                    }
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
        let mut late: Vec<Micros> = self
            .finals
            .iter()
            .filter(|(m, _)| meeting.is_none_or(|meeting| meeting == *m))
            .map(|f| f.1)
            .collect();
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
        assert!(
            light.steps.iter().max() <= Some(&Step::Slower),
            "seed {seed}"
        );
        assert!(
            light.p95(None) < ms(700),
            "seed {seed}: {:?}",
            light.p95(None)
        );
        assert!(
            heavy.steps.iter().max() >= Some(&Step::Guesses),
            "seed {seed}"
        );
        assert!(
            heavy.partials * 3 < light.partials,
            "seed {seed}: {} {}",
            heavy.partials,
            light.partials
        );
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

#[test]
fn at_the_last_step_no_meeting_is_taken_and_what_runs_goes_on() {
    for step in Step::ALL {
        let takes = step != Step::Full;
        assert_eq!(step.room(4, 1), if takes { 3 } else { 0 }, "{step:?}");
        assert_eq!(step.room(4, 4), 0);
        // A capacity made smaller, or a meeting taken over, is no reason to give one up.
        assert_eq!(step.room(4, 6), 0);
    }
}

#[test]
fn what_was_missed_comes_after_everything_live_and_makes_no_load() {
    let mut schedule = Schedule::new(1, Cost::new(ms(100), ms(300)));
    for (id, kind) in [(1, Kind::Late), (2, Kind::Partial), (3, Kind::Final)] {
        schedule.offer(job(id, 10 * id, kind), ms(0));
    }
    assert_eq!(schedule.take(ms(0)).map(|job| job.id), Some(3));
    schedule.done(3, Some(ms(10)), ms(10));
    assert_eq!(schedule.take(ms(10)).map(|job| job.id), Some(2));
    schedule.done(2, Some(ms(10)), ms(20));
    assert_eq!(schedule.take(ms(20)).map(|job| job.id), Some(1));
    // Somebody speaks: it gives its worker up, and is asked for again.
    schedule.offer(job(4, 40, Kind::Final), ms(30));
    assert_eq!(schedule.preempt(ms(30)), [1]);
    schedule.done(1, None, ms(40));
    assert_eq!(schedule.take(ms(40)).map(|job| job.id), Some(4));
    schedule.done(4, Some(ms(10)), ms(50));
    // Hours of it are no reason to give anybody who speaks now less.
    for id in 100..300 {
        schedule.offer(job(id, 10 * id, Kind::Late), ms(60));
    }
    for now in (5_000..60_000).step_by(100) {
        assert_eq!(schedule.tick(ms(now)), Step::Normal);
        if let Some(job) = schedule.take(ms(now)) {
            schedule.done(job.id, Some(ms(90)), ms(now + 90));
        }
    }
}

#[test]
fn under_load_everybody_who_speaks_is_shown_something_soon_and_the_ladder_follows() {
    // An official model's costs on two cores, with about half of the streams speaking at a time.
    let cost = Cost::new(ms(170), ms(40));
    for seed in 1..=5 {
        let mut hall = Hall::new(16, cost, seed);
        (0..3_000).for_each(|_| hall.step(true, cost));
        hall.firsts.sort();
        let half = hall.firsts.len() / 2;
        assert!(hall.firsts[half] < ms(2_000), "{:?}", hall.firsts[half]);
        assert!(
            hall.firsts.len() * 10 >= hall.asked_finals * 7,
            "{} of {}",
            hall.firsts.len(),
            hall.asked_finals
        );
        assert!(hall.p95(None) < ms(2_000), "{:?}", hall.p95(None));
        // A burst is over: within seconds partials come as if there had been none.
        let quiet = hall.steps.len();
        (0..500).for_each(|_| hall.step(false, cost));
        let calm = hall.steps[quiet..]
            .iter()
            .rposition(|step| *step != Step::Normal)
            .unwrap_or(0);
        assert!(calm < 400, "{} ms", calm * 20);
    }
}

#[test]
fn translations_come_after_partials_give_way_and_count_for_no_load() {
    let mut schedule = schedule(2);
    for (id, kind) in [
        (1, Kind::Late),
        (2, Kind::Translation),
        (3, Kind::Partial),
        (4, Kind::Final),
    ] {
        let job = Job {
            audio: ms(200),
            ..job(id, id, kind)
        };
        assert_eq!(
            schedule.offer(job, ms(0)),
            Answer::Waits { instead_of: None }
        );
    }
    let first: Vec<u64> = [schedule.take(ms(0)), schedule.take(ms(0))]
        .into_iter()
        .flatten()
        .map(|job| job.id)
        .collect();
    assert_eq!(first, [4, 3]);
    schedule.done(4, Some(ms(10)), ms(10));
    schedule.done(3, Some(ms(10)), ms(10));
    assert_eq!(schedule.take(ms(10)).map(|job| job.id), Some(2));
    // Another that takes long does not take the last worker, and gives way to what presses.
    let long = |id| Job {
        audio: Micros::from_secs(20),
        ..job(id, 9, Kind::Translation)
    };
    let mut schedule = self::schedule(2);
    schedule.offer(long(5), ms(20));
    schedule.offer(long(6), ms(20));
    assert_eq!(schedule.take(ms(20)).map(|job| job.id), Some(5));
    assert_eq!(
        schedule.take(ms(20)),
        None,
        "the last free worker is for finals"
    );
    let busy = schedule.busy_share(ms(2_000));
    assert!(busy < 0.1, "{busy}");
    for id in [7, 8] {
        schedule.offer(job(id, id, Kind::Final), ms(30));
    }
    assert!(schedule.take(ms(30)).is_some());
    assert_eq!(schedule.preempt(ms(30)), [5]);
    // Waiting ones are bounded, and take no room from finals.
    let mut waiting = 0;
    while schedule.offer(long(100 + waiting), ms(40)) != Answer::Refused {
        waiting += 1;
    }
    assert_eq!(
        waiting, 2,
        "a minute of one meeting, with the one that waits"
    );
    assert_eq!(schedule.waiting_audio(Some(9)), Micros(0));
}

#[test]
fn readers_are_shown_something_while_finals_nearly_fill_the_workers() {
    let cost = Cost::new(ms(198), ms(77));
    for seed in 1..=5 {
        let mut hall = Hall::new(16, cost, seed);
        hall.lengths = [(2_000, 9_000), (700, 1_300)];
        (0..6_000).for_each(|_| hall.step(true, cost));
        let shown = hall.firsts.len() * 100 / hall.asked_finals;
        assert!(shown >= 80, "seed {seed}: {shown} %");
        hall.firsts.sort();
        let half = hall.firsts[hall.asked_finals / 2];
        assert!(half < ms(2_600), "seed {seed}: {half:?}");
        assert!(
            hall.p95(None) < ms(2_400),
            "seed {seed}: {:?}",
            hall.p95(None)
        );
    }
}
