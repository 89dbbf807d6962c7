//! A tenant's meetings over two years of simulated hours: settings change, holds come and go, and
//! once an hour somebody looks what is due. Nothing goes early, by what was set at that hour,
//! nothing that is held goes, and nothing that is due is left.

use crate::random::Random;
use chrono::{DateTime, TimeDelta, Utc};
use hansard_domain::{
    retention::{Retention, RetentionFacts},
    tenant_settings::Days,
};

const HOURS: i64 = 2 * 365 * 24;

struct Meeting {
    ended_h: Option<i64>,
    own: Option<Retention>,
    held: bool,
    gone: bool,
}

fn days(random: &mut Random) -> u32 {
    u32::try_from(random.within(1, 200)).expect("it is small")
}

pub fn play(seed: u64) -> usize {
    let mut random = Random::new(seed);
    let begin: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
    let at = |hour: i64| begin + TimeDelta::hours(hour);
    let mut tenants = Days::Never;
    let mut meetings: Vec<Meeting> = Vec::new();
    for hour in 0..HOURS {
        if random.chance(0.02) {
            meetings.push(Meeting {
                ended_h: None,
                own: None,
                held: false,
                gone: false,
            });
        }
        if random.chance(0.001) {
            tenants = match random.within(0, 3) {
                0 => Days::Never,
                _ => Days::After(days(&mut random)),
            };
        }
        for one in &mut meetings {
            if one.ended_h.is_none() && random.chance(0.5) {
                one.ended_h = Some(hour);
            }
            if random.chance(0.0005) {
                one.own = match random.within(0, 4) {
                    0 => None,
                    1 => Some(Retention::Keep),
                    _ => Some(Retention::After(days(&mut random))),
                };
            }
            if random.chance(0.0005) {
                one.held = !one.held;
            }
        }
        for one in meetings.iter_mut().filter(|one| !one.gone) {
            // As it was meant, in hours.
            let days = match one.own {
                Some(Retention::Keep) => None,
                Some(Retention::After(days)) => Some(days),
                None => tenants.number(),
            };
            let old = one.ended_h.map(|ended| hour - ended);
            let goes = !one.held
                && old
                    .zip(days)
                    .is_some_and(|(old, days)| old >= i64::from(days) * 24);
            let kept = RetentionFacts {
                ended: one.ended_h.map(at),
                own: one.own,
                tenants,
                held: one.held,
            };
            assert_eq!(kept.is_due(at(hour)), goes, "seed {seed}, hour {hour}");
            one.gone = goes;
        }
    }
    meetings.iter().filter(|one| one.gone).count()
}
