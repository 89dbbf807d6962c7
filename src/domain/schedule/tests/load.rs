//! Two workers and many who speak: what the schedule does with more work than fits.

use super::*;

/// Seeded meetings: every stream speaks for 1-5 s and pauses 1-6 s; guess at the end, final
/// 350 ms later.
struct Load {
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

impl Load {
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

    /// Everybody stops at once; the step with which the last final of it is told.
    fn fall_silent(&mut self, true_cost: Cost) -> usize {
        for talk in &mut self.streams {
            if talk.from > self.now {
                (talk.from, talk.until) = (Micros::from_secs(1 << 30), Micros(0));
            }
            talk.until = talk.until.min(self.now);
        }
        let ends = self.now + ms(600);
        while self.now < ends || self.finals.len() < self.asked_finals {
            self.step(false, true_cost);
        }
        self.steps.len()
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
        let mut light = Load::new(24, cost, seed);
        (0..3_000).for_each(|_| light.step(true, cost));
        let mut heavy = Load::new(24, Cost::new(ms(10), ms(15)), seed);
        // The same load with decodes eight times slower than believed.
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
        for load in [&mut light, &mut heavy] {
            (0..6_000).for_each(|_| load.step(false, slow));
            assert_eq!(load.finals.len(), load.asked_finals, "seed {seed}");
            assert_eq!(load.schedule.step(), Step::Normal, "seed {seed}");
            assert!(load.schedule.waiting.is_empty());
        }
    }
}

#[test]
fn a_burst_stops_no_first_partials_and_more_than_fits_for_long_refuses_meetings() {
    // Twenty end at once, on two cores with an official model: 3.7 s of work.
    let cost = Cost::new(ms(170), ms(40));
    let mut schedule = Schedule::new(2, cost);
    let mut now = ms(0);
    for id in 0..20 {
        let five_seconds = Job {
            audio: ms(5_000),
            ..job(id, id, Kind::Final)
        };
        schedule.offer(five_seconds, now);
    }
    let mut running: Vec<(u64, Micros)> = Vec::new();
    let mut steps = Vec::new();
    while steps.len() < 400 {
        running.retain(|(id, until)| {
            if *until <= now {
                schedule.done(*id, Some(cost.of(ms(5_000))), now);
            }
            *until > now
        });
        while let Some(job) = schedule.take(now) {
            running.push((job.id, now + cost.of(job.audio)));
        }
        steps.push(schedule.tick(now));
        now = now + ms(20);
    }
    let first = |from: Step| steps.iter().position(|step| *step >= from);
    let late = first(Step::Guesses).expect("finals wait");
    assert!(late * 20 <= 2_000, "{} ms", late * 20);
    assert_eq!(first(Step::Full), None);
    assert_eq!(steps.last(), Some(&Step::Normal));

    // Twice as many finals as the workers can decode.
    let cost = Cost::new(ms(170), ms(40));
    let mut load = Load::new(16, cost, 1);
    let slow = Cost::new(ms(680), ms(160));
    (0..3_000).for_each(|_| load.step(true, slow));
    assert_eq!(load.steps.last(), Some(&Step::Full));
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
fn under_load_everybody_who_speaks_is_shown_something_soon_and_the_ladder_follows() {
    // An official model's costs on two cores, with about half of the streams speaking at a time.
    let cost = Cost::new(ms(170), ms(40));
    for seed in 1..=5 {
        let mut load = Load::new(16, cost, seed);
        (0..3_000).for_each(|_| load.step(true, cost));
        load.firsts.sort();
        let half = load.firsts.len() / 2;
        assert!(load.firsts[half] < ms(2_000), "{:?}", load.firsts[half]);
        assert!(
            load.firsts.len() * 10 >= load.asked_finals * 7,
            "{} of {}",
            load.firsts.len(),
            load.asked_finals
        );
        assert!(load.p95(None) < ms(2_000), "{:?}", load.p95(None));
        // Nobody speaks any more: within two seconds of the last final, partials come as if there
        // had been no load.
        let silent = load.steps.len();
        let told = load.fall_silent(cost);
        (0..500).for_each(|_| load.step(false, cost));
        let busy = load.steps.iter().rposition(|step| *step != Step::Normal);
        let calm = busy.unwrap_or(silent).saturating_sub(told) * 20;
        assert!(calm <= 2_000, "seed {seed}: {calm} ms");
    }
}

#[test]
fn readers_are_shown_something_while_finals_nearly_fill_the_workers() {
    let cost = Cost::new(ms(198), ms(77));
    for seed in 1..=5 {
        let mut load = Load::new(16, cost, seed);
        load.lengths = [(2_000, 9_000), (700, 1_300)];
        (0..6_000).for_each(|_| load.step(true, cost));
        let shown = load.firsts.len() * 100 / load.asked_finals;
        assert!(shown >= 80, "seed {seed}: {shown} %");
        load.firsts.sort();
        let half = load.firsts[load.asked_finals / 2];
        assert!(half < ms(2_600), "seed {seed}: {half:?}");
        assert!(
            load.p95(None) < ms(2_400),
            "seed {seed}: {:?}",
            load.p95(None)
        );
    }
}
