//! What is not as it should be in this process right now, for `/readyz`, the metrics and the log.
//!
//! Whoever sees that something is away calls [`degrade`], whoever sees that it is back calls
//! [`restore`]; both may be called as often as one likes. The process goes on meanwhile. One
//! registry per process, like the metrics' recorder: what is away is away for all parts of it.

use crate::domain::job::JobKind;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::BTreeMap,
    fmt,
    sync::LazyLock,
    time::{Duration, Instant},
};

/// How often something that lasts is said again in the log.
const REMINDER: Duration = Duration::from_secs(60);
/// Bytes of a detail, so that a long error does not fill the answer.
const DETAIL_MAX: usize = 500;

/// What can be wrong while the process works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Object storage cannot be used: segments wait in the spool, jobs wait.
    Storage,
    /// Postgres does not answer.
    Database,
    /// RabbitMQ does not answer.
    Broker,
    /// The spool has reached its quota, or its disk is full: new segments are dropped and told as
    /// `lost`.
    SpoolFull,
    /// No descriptors are left, or the limit is too low for what is asked of the process.
    Descriptors,
    /// The speech decoder does not run.
    Decoder,
    /// The speech model is being fetched.
    Model,
    /// The machine has more to do than it can: new meetings are refused.
    Overloaded,
    /// The ledger cannot be read or does not hold, so that it is not known whether the
    /// database has all of it.
    Ledger,
    /// Jobs of this kind are due and no worker takes them.
    NoWorker(JobKind),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage => f.write_str("storage"),
            Self::Database => f.write_str("database"),
            Self::Broker => f.write_str("broker"),
            Self::SpoolFull => f.write_str("spool_full"),
            Self::Descriptors => f.write_str("descriptors"),
            Self::Decoder => f.write_str("decoder"),
            Self::Model => f.write_str("model"),
            Self::Overloaded => f.write_str("overloaded"),
            Self::Ledger => f.write_str("ledger"),
            Self::NoWorker(kind) => write!(f, "no_worker:{kind}"),
        }
    }
}

/// How far the process is in its life. It only moves on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Phase {
    /// Not everything that it needs is there yet.
    #[default]
    Starting,
    Ready,
    /// It takes nothing new on and will end.
    Draining,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Degraded {
    pub reason: Reason,
    /// What was seen last, in a few words. Without secrets and without anybody's name.
    pub detail: String,
    pub since: Instant,
    reminded: Instant,
}

#[derive(Default)]
struct State {
    phase: Phase,
    degraded: BTreeMap<Reason, Degraded>,
}

/// The registry. Tests make their own; a process has one, behind the functions of this module.
#[derive(Default)]
pub struct Health(Mutex<State>);

static PROCESS: LazyLock<Health> = LazyLock::new(Health::default);

/// The process's registry.
pub fn process() -> &'static Health {
    &PROCESS
}

/// Notes in the process's registry that something is wrong, with what was seen.
pub fn degrade(reason: Reason, detail: impl fmt::Display) {
    PROCESS.degrade(reason, detail);
}

/// Notes in the process's registry that it is well again.
pub fn restore(reason: Reason) {
    PROCESS.restore(reason);
}

impl Health {
    pub fn degrade(&self, reason: Reason, detail: impl fmt::Display) {
        let mut detail = detail.to_string();
        if detail.len() > DETAIL_MAX {
            let end = (0..=DETAIL_MAX)
                .rev()
                .find(|at| detail.is_char_boundary(*at))
                .unwrap_or(0);
            detail.truncate(end);
        }
        let now = Instant::now();
        let mut state = self.lock();
        let news = match state.degraded.get_mut(&reason) {
            Some(known) => {
                known.detail = detail;
                now - known.reminded >= REMINDER
            }
            None => {
                state.degraded.insert(
                    reason,
                    Degraded {
                        reason,
                        detail,
                        since: now,
                        reminded: now,
                    },
                );
                gauge(reason, 1.0);
                true
            }
        };
        if news && let Some(known) = state.degraded.get_mut(&reason) {
            known.reminded = now;
            log(known);
        }
    }

    pub fn restore(&self, reason: Reason) {
        let Some(known) = self.lock().degraded.remove(&reason) else {
            return;
        };
        gauge(reason, 0.0);
        tracing::info!(%reason, after_s = known.since.elapsed().as_secs(), "well again");
    }

    /// Says in the log what has lasted for a minute since it was said last. Called every few
    /// seconds.
    pub fn remind(&self) {
        let now = Instant::now();
        for known in self
            .lock()
            .degraded
            .values_mut()
            .filter(|known| now - known.reminded >= REMINDER)
        {
            known.reminded = now;
            log(known);
        }
    }

    /// What is wrong now, in a fixed order.
    pub fn degraded(&self) -> Vec<Degraded> {
        self.lock().degraded.values().cloned().collect()
    }

    pub fn is_degraded(&self, reason: Reason) -> bool {
        self.lock().degraded.contains_key(&reason)
    }

    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Moves on to this phase; one that lies behind changes nothing.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = state.phase.max(phase);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

fn log(known: &Degraded) {
    tracing::warn!(reason = %known.reason, detail = known.detail, for_s = known.since.elapsed().as_secs(), "degraded");
}

fn gauge(reason: Reason, value: f64) {
    metrics::gauge!("hansard_degraded", "reason" => reason.to_string()).set(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_listed_until_it_is_well() {
        let health = Health::default();
        assert_eq!(health.degraded(), []);
        health.degrade(Reason::NoWorker(JobKind::Mix), "3 jobs wait");
        health.degrade(Reason::Storage, "refused");
        health.degrade(Reason::Storage, "ü".repeat(DETAIL_MAX));
        let listed = health.degraded();
        assert_eq!(
            listed
                .iter()
                .map(|one| one.reason.to_string())
                .collect::<Vec<_>>(),
            ["storage", "no_worker:mix"]
        );
        assert!(listed[0].detail.len() <= DETAIL_MAX && listed[0].detail.starts_with('ü'));
        health.restore(Reason::Storage);
        health.restore(Reason::Storage);
        assert!(
            !health.is_degraded(Reason::Storage)
                && health.is_degraded(Reason::NoWorker(JobKind::Mix))
        );
    }

    #[test]
    fn phases_only_move_on() {
        let health = Health::default();
        assert_eq!(health.phase(), Phase::Starting);
        health.enter(Phase::Draining);
        health.enter(Phase::Ready);
        assert_eq!(health.phase(), Phase::Draining);
    }
}
