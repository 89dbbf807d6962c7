use super::*;

mod load;

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
