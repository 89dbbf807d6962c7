//! A year in minutes: a thousand recordings of mixed sizes on a clock that is set forward day by
//! day, by workers that are killed at random points.

use super::{
    jobs,
    world::{Made, World, dear},
};
use crate::support::eventually;
use chrono::{DateTime, Utc};
use hansard::{
    domain::{
        tenant_settings::TierDays,
        tiering::{Tier, plan},
    },
    worker::Outcome,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const MEETINGS: i64 = 250;
/// Of each meeting.
const FILES: usize = 4;
const KILLS: u32 = 50;
/// Meetings end on as many days.
const ENDS: i64 = 20;
const DAYS: i64 = 400;
/// The longest that one of them may take, on a busy machine.
const DAY_MAX: Duration = Duration::from_secs(120);

/// A file's life, as the store's log of operations tells it.
struct Life {
    made: Made,
    began: DateTime<Utc>,
    ended: DateTime<Utc>,
    /// The class from each day on.
    classes: Vec<(i64, String)>,
    /// Copies into a class that it was in already: of workers that died before they could say so.
    again: u32,
}

fn size(n: usize) -> usize {
    // A few bytes, which stay, and up to some kilobytes.
    if n.is_multiple_of(10) {
        return 1 + n / 10 % 20;
    }
    100 + n * n % 9_973 * 2 / (1 + n % 7)
}

/// What a file costs, by the published rules and none of our code: days in each class, at least the
/// shortest, requests and retrieval.
fn bill(life: &Life, days: i64) -> f64 {
    // A month, a thousand writes, reading, shortest days, smallest size: a byte as a kilobyte.
    let tariff = |class: &str| match class {
        "STANDARD" => (0.023, 0.005, 0.0, 0, 0),
        "STANDARD_IA" => (0.0125, 0.01, 0.01, 30, 128),
        "GLACIER_IR" => (0.004, 0.02, 0.03, 90, 128),
        "DEEP_ARCHIVE" => (0.000_99, 0.05, 0.02, 180, 0),
        other => panic!("{other}"),
    };
    let size = life.made.content.len();
    let gb = |bytes: usize| bytes as f64 / 1_048_576.0;
    let mut sum = 0.0;
    for (n, (from, class)) in life.classes.iter().enumerate() {
        let (month, writes, _, shortest, smallest) = tariff(class);
        let next = life.classes.get(n + 1).map(|(day, _)| *day);
        let paid = match next {
            Some(next) => (next - from).max(shortest),
            None => days - from,
        };
        sum += gb(size.max(smallest)) * month * paid as f64 * 24.0 / 730.0;
        if n > 0 {
            let (_, _, read, ..) = tariff(&life.classes[n - 1].1);
            sum += writes / 1000.0 + gb(size) * read;
        }
    }
    sum
}

/// The same as it was planned on the first day.
fn planned(life: &Life, days: i64) -> f64 {
    let tariff = dear();
    let file = plan::File {
        size_bytes: life.made.content.len() as u64,
        tier: Tier::Hot,
        class: Tier::Hot.class(),
        since: life.began,
        ended: life.ended,
        played: None,
        expires: None,
    };
    let until = life.began + chrono::TimeDelta::days(days);
    let moves = plan::moves(&file, &TierDays::default(), &tariff, life.began, until);
    let mut way = vec![(0, Tier::Hot)];
    way.extend(
        moves
            .into_iter()
            .map(|(at, tier)| ((at - life.began).num_days(), tier)),
    );
    let (mut sum, prices) = (0.0, &tariff.prices);
    for (n, (from, tier)) in way.iter().enumerate() {
        let price = prices.of(tier.class()).expect("it is known");
        let next = way.get(n + 1);
        let stays = (next.map_or(days, |(day, _)| *day) - from) as f64;
        sum += prices.of_days(price, file.size_bytes, stays);
        if let Some((_, next)) = next {
            let to = prices.of(next.class()).expect("it is known");
            sum += prices.of_leaving(price, file.size_bytes, stays);
            sum += prices.of_copy(price, to, file.size_bytes);
        }
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_in_minutes() {
    let world = World::start().await;
    let mut lives: BTreeMap<String, Life> = BTreeMap::new();
    let began = world.clock.now();
    for n in 0..MEETINGS {
        // They age from then on; some ended before.
        let meeting = world.ended(n % ENDS).await;
        let ended: DateTime<Utc> =
            sqlx::query_scalar("select end_time from meetings where id = $1")
                .bind(meeting.0)
                .fetch_one(&mut world.app.sql().await)
                .await
                .expect("Postgres answers");
        for of in 0..FILES {
            let n = n as usize * FILES + of;
            let made = world.file(meeting, vec![(n % 251) as u8; size(n)]).await;
            let life = Life {
                made,
                began,
                ended,
                classes: vec![(0, Tier::Hot.class().to_owned())],
                again: 0,
            };
            lives.insert(life.made.key.clone(), life);
        }
    }
    let (mut kills, mut seen, mut waits) = (0, 0, 0);
    let mut dice = fastrand::Rng::with_seed(11);
    for day in 0..=DAYS {
        world.plan().await;
        let began = Instant::now();
        loop {
            while let Some(claimed) = world.claim().await {
                if kills < KILLS && dice.u32(..6) == 0 {
                    let after = Duration::from_micros(dice.u64(..60_000));
                    kills += u32::from(world.kill(claimed, after).await);
                    continue;
                }
                let outcome = world.run(claimed).await;
                assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
            }
            if jobs(&world, "queued").await + jobs(&world, "running").await == 0 {
                break;
            }
            // The row of a job whose worker was killed may be locked until Postgres has heard of
            // it, and whole days pass here in that time.
            waits += 1;
            assert!(began.elapsed() < DAY_MAX, "day {day} does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Also what a dead worker asked for is done by the store.
        let what = "the store is through";
        eventually(what, Duration::from_secs(60), async || {
            world.faults.running() == 0
        })
        .await;
        let copies = world.copies();
        for (path, class) in &copies[seen..] {
            let key = path.trim_start_matches("/hansard/");
            let life = lives.get_mut(key).unwrap_or_else(|| panic!("{path}"));
            if life.classes.last().is_some_and(|(_, last)| last == class) {
                life.again += 1;
            } else {
                life.classes.push((day, class.clone()));
            }
        }
        seen = copies.len();
        world.pass(1);
    }
    assert_eq!(kills, KILLS, "workers that were killed");

    let (mut paid, mut wanted, mut again) = (0.0, 0.0, 0);
    let mut tiers: BTreeMap<String, u32> = BTreeMap::new();
    for life in lives.values() {
        let place = world.place(&life.made).await;
        let tier: Tier = place.tier.parse().expect("a tier");
        world.is_in(&life.made, tier).await;
        assert_eq!(
            life.classes.last().map(|(_, class)| class.as_str()),
            Some(tier.class())
        );
        *tiers.entry(place.tier).or_default() += 1;
        let (one, planned) = (bill(life, DAYS + 1), planned(life, DAYS + 1));
        assert!(
            (one - planned).abs() < 1e-9 + planned * 1e-9,
            "{}: {one}, planned {planned}: {:?} from {} on",
            life.made.key,
            life.classes,
            life.ended
        );
        paid += one;
        wanted += planned;
        again += life.again;
    }
    println!(
        "{tiers:?}, {paid} paid, {wanted} planned, {again} copies made again, {kills} kills, waited {waits} times"
    );
    assert!(tiers["hot"] > 50 && tiers["archive"] > 500, "{tiers:?}");
    // Nothing is there without a row, or twice.
    let listed = crate::support::inventory::listed(&world.bucket).await;
    assert!(listed.iter().eq(lives.keys()), "{} objects", listed.len());
    assert!(again <= KILLS * 8, "{again}");
}
