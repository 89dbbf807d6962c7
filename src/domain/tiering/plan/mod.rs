//! When a recording's file moves to which tier.
//!
//! Its age counts from the end of its meeting or from when it was last fetched, whichever is later.
//! Moves go one way. Of all ways through the tiers that are still to come the cheapest is taken,
//! with minimum days, billed sizes, requests and retrieval counted in: so what would cost more than
//! it saves stays, and a tier may be left out.

use super::{
    Tariff, Tier,
    price::{Price, Prices},
};
use crate::tenant_settings::{Days, TierDays};
use chrono::{DateTime, TimeDelta, Utc};

/// What is kept for longer is planned for so long: nobody knows the prices of what comes then.
pub const HORIZON: TimeDelta = TimeDelta::days(3650);

const SECONDS_PER_DAY: f64 = 86_400.0;

/// A recording's file as far as its moves are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File<'a> {
    pub size_bytes: u64,
    pub tier: Tier,
    /// The class that it is in.
    pub class: &'a str,
    /// Since when it is in that class.
    pub since: DateTime<Utc>,
    /// The end of its meeting.
    pub ended: DateTime<Utc>,
    /// When it was last fetched.
    pub played: Option<DateTime<Utc>>,
    /// When it will be deleted.
    pub expires: Option<DateTime<Utc>>,
}

/// What is to be done about a file.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decision {
    /// The tier that it belongs into now, where that is another than its own.
    pub to: Option<Tier>,
    /// When it is to be looked at again; `None`: nothing is to come.
    pub next: Option<DateTime<Utc>>,
    /// Its bill from now on, until it is deleted or the horizon is reached, as it is planned.
    pub costs: f64,
    /// The same, if it stayed where it is.
    pub stays: f64,
}

impl Decision {
    /// What moving saves, until the file is deleted or the horizon is reached.
    pub fn saves(&self) -> f64 {
        self.stays - self.costs
    }
}

/// A way through the tiers: where a file is, and since when.
#[derive(Clone, Copy)]
struct Place<'a> {
    tier: Tier,
    class: &'a str,
    since: DateTime<Utc>,
}

struct Planning<'a> {
    size_bytes: u64,
    prices: &'a Prices,
    /// When the file gets to each tier that is to come, in the order of time and of tiers.
    steps: Vec<(DateTime<Utc>, Tier, &'a str)>,
    end: DateTime<Utc>,
}

fn days(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_milliseconds() as f64 / 1000.0 / SECONDS_PER_DAY
}

fn later(at: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    at.checked_add_signed(TimeDelta::days(days.into()))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// When a file that ages from `reference` gets to a tier; `None`: never, or it begins there.
fn due(reference: DateTime<Utc>, days: &TierDays, tier: Tier) -> Option<DateTime<Utc>> {
    let after = match tier {
        Tier::Hot => Days::Never,
        Tier::Warm => days.warm,
        Tier::Cold => days.cold,
        Tier::Archive => days.archive,
    };
    after.number().map(|days| later(reference, days))
}

/// What to do about a file at `now`.
pub fn decide(
    file: &File<'_>,
    tier_days: &TierDays,
    tariff: &Tariff,
    now: DateTime<Utc>,
) -> Decision {
    let reference = file.played.map_or(file.ended, |at| at.max(file.ended));
    let end = file
        .expires
        .map_or(now + HORIZON, |at| at.min(now + HORIZON));
    let mut steps: Vec<_> = Tier::ALL
        .into_iter()
        .filter(|tier| *tier > file.tier)
        .filter_map(|tier| {
            let class = tariff.classes.of(tier);
            let is_open = tariff.prices.of(class).is_some() || class == file.class;
            let at = due(reference, tier_days, tier)?.max(now);
            (is_open && at < end).then_some((at, tier, class))
        })
        .collect();
    steps.sort_by_key(|(at, tier, _)| (*at, *tier));
    let planning = Planning {
        size_bytes: file.size_bytes,
        prices: &tariff.prices,
        steps,
        end,
    };
    let place = Place {
        tier: file.tier,
        class: file.class,
        since: file.since,
    };
    let stays = planning.stay(place, now, end) + planning.leave(place, end);
    let next = planning
        .steps
        .iter()
        .map(|(at, ..)| *at)
        .find(|at| *at > now);
    if end <= now {
        // It is about to be deleted.
        return Decision {
            to: None,
            next: None,
            costs: stays,
            stays,
        };
    }
    let (costs, to) = planning.cheapest(place, now, 0);
    Decision {
        to: to.filter(|_| planning.steps.first().is_some_and(|(at, ..)| *at == now)),
        next,
        costs,
        stays,
    }
}

impl<'a> Planning<'a> {
    fn price(&self, class: &str) -> Price {
        // What has no price costs nothing where it is, so it stays.
        self.prices.of(class).copied().unwrap_or_default()
    }

    fn stay(&self, place: Place<'_>, from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
        let days = days(from, to).max(0.0);
        self.prices
            .of_days(&self.price(place.class), self.size_bytes, days)
    }

    fn leave(&self, place: Place<'_>, at: DateTime<Utc>) -> f64 {
        let days = days(place.since, at).max(0.0);
        self.prices
            .of_leaving(&self.price(place.class), self.size_bytes, days)
    }

    /// A move at `at`: where the file is then, and what it cost. Within a class only the row moves.
    fn step(
        &self,
        place: Place<'a>,
        at: DateTime<Utc>,
        tier: Tier,
        class: &'a str,
    ) -> (Place<'a>, f64) {
        if class == place.class {
            return (Place { tier, ..place }, 0.0);
        }
        let (from, to) = (self.price(place.class), self.price(class));
        let cost = self.leave(place, at) + self.prices.of_copy(&from, &to, self.size_bytes);
        let there = Place {
            tier,
            class,
            since: at,
        };
        (there, cost)
    }

    /// The cheapest way on from `now`, of the steps from the `first` on: its bill until the end,
    /// and the tier that it goes to in the first moment in which steps are due.
    fn cheapest(&self, place: Place<'a>, now: DateTime<Utc>, first: usize) -> (f64, Option<Tier>) {
        let Some((at, ..)) = self.steps.get(first) else {
            return (
                self.stay(place, now, self.end) + self.leave(place, self.end),
                None,
            );
        };
        let at = *at;
        let same = self.steps[first..]
            .iter()
            .take_while(|(then, ..)| *then == at)
            .count();
        let until = self.stay(place, now, at);
        // Where it costs the same, the deeper tier is the right one.
        let moves = self.steps[first..first + same]
            .iter()
            .rev()
            .filter(|(_, tier, _)| *tier > place.tier)
            .map(|(_, tier, class)| {
                let (there, cost) = self.step(place, at, *tier, class);
                let (rest, _) = self.cheapest(there, at, first + same);
                (cost + rest, Some(*tier))
            });
        let stays = (self.cheapest(place, at, first + same).0, None);
        let best = moves
            .chain([stays])
            .reduce(|best, other| if other.0 < best.0 { other } else { best })
            .unwrap_or(stays);
        (until + best.0, best.1)
    }
}

/// The moves of a file from `now` until `until`, if nobody fetches it, each with its time.
pub fn moves(
    file: &File<'_>,
    tier_days: &TierDays,
    tariff: &Tariff,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, Tier)> {
    let (mut file, mut now, mut found) = (*file, now, Vec::new());
    loop {
        let decision = decide(&file, tier_days, tariff, now);
        if let Some(tier) = decision.to {
            found.push((now, tier));
            let class = tariff.classes.of(tier);
            if class != file.class {
                file.since = now;
            }
            (file.tier, file.class) = (tier, class);
        }
        match decision.next {
            Some(next) if next < until => now = next,
            _ => return found,
        }
    }
}

#[cfg(test)]
mod tests;
