//! A lease: liveness by time, safety by epoch. The database decides; this decides what its holder
//! does meanwhile ([`Lease`]), and when somebody else may take one that ran out ([`Wanted`]).
//!
//! Renewal *impossible* is not renewal *refused*. Unreachable: go on capturing to the spool, commit
//! and tell nothing final. Refused (somebody took it, or the job is gone): stop at once and leave
//! the spool to `recover`.
//!
//! Nor is a lease that ran out a dead holder: after an outage of the database everybody's ran out.
//! A live meeting moves its media with it, so whoever wants it asks the holder first, over the
//! queue.

use crate::{
    limits::{LEASE_MOVE_MAX, LEASE_RENEW, LEASE_UNHEARD},
    time::Micros,
};

/// What came of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    Renewed,
    Unreachable,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseState {
    /// Ours: capture, commit and tell.
    Held,
    /// Unknown: capture to the spool only.
    Unsure,
    /// Somebody else's: stop. Final.
    Lost,
}

/// One lease as its holder sees it. Times are any monotonic clock's microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    state: LeaseState,
    renew_at: Micros,
}

impl Lease {
    /// Just claimed.
    pub fn new(now: Micros) -> Self {
        Self {
            state: LeaseState::Held,
            renew_at: now + LEASE_RENEW,
        }
    }

    pub fn state(&self) -> LeaseState {
        self.state
    }

    /// When to try to renew; `None` once it is lost.
    pub fn poll_timeout(&self) -> Option<Micros> {
        (self.state != LeaseState::Lost).then_some(self.renew_at)
    }

    /// Takes the outcome of a renewal that was *asked for* at `now`.
    pub fn handle(&mut self, renewal: Renewal, now: Micros) -> LeaseState {
        self.renew_at = now + LEASE_RENEW;
        self.state = match (self.state, renewal) {
            (LeaseState::Lost, _) | (_, Renewal::Refused) => LeaseState::Lost,
            (_, Renewal::Renewed) => LeaseState::Held,
            (_, Renewal::Unreachable) => LeaseState::Unsure,
        };
        self.state
    }
}

/// What asking the holder of a lease came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// It answered.
    Alive,
    /// No process takes questions for it.
    Nobody,
    /// Its process is there and did not answer within [`LEASE_ASK`](crate::limits::LEASE_ASK).
    Silent,
    /// The question could not be put: the broker is away, or just came back and may not have
    /// everybody yet.
    Unreachable,
}

/// What to do about a lease that ran out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask the holder, and tell the outcome to [`Wanted::answered`].
    Ask,
    /// Take it, if the row still says the same epoch and that it ran out.
    Claim,
    /// Nothing yet: look at the row again.
    Wait,
}

/// A lease of one epoch that ran out, as somebody sees it who would take it. Made when its row is
/// first read so, dropped when a later read shows it renewed, taken or gone.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The first read that showed it.
    since: Micros,
    /// When it ran out, on this clock.
    expired: Micros,
    asking: bool,
    /// The last answer, and when it came.
    answer: Option<(Holder, Micros)>,
}

impl Wanted {
    /// Read at `now` to have run out so long ago.
    pub fn new(now: Micros, ago: Micros) -> Self {
        Self {
            since: now,
            expired: now - ago,
            asking: false,
            answer: None,
        }
    }

    pub fn step(&self, now: Micros) -> Step {
        // Whatever is the matter with a holder that lives and does not renew, its meeting is not
        // kept waiting for ever.
        if now - self.since >= LEASE_MOVE_MAX {
            return Step::Claim;
        }
        let again = |at: Micros| {
            if self.asking || now - at < LEASE_RENEW {
                Step::Wait
            } else {
                Step::Ask
            }
        };
        match self.answer {
            None if self.asking => Step::Wait,
            None => Step::Ask,
            Some((Holder::Nobody | Holder::Silent, _)) => Step::Claim,
            Some((Holder::Alive, at)) => again(at),
            // A holder that had the database back only now gets the time for one renewal in any
            // case.
            Some((Holder::Unreachable, at))
                if now - self.expired < LEASE_UNHEARD
                    || now - self.since < LEASE_RENEW + LEASE_RENEW =>
            {
                again(at)
            }
            Some((Holder::Unreachable, _)) => Step::Claim,
        }
    }

    /// The holder is being asked.
    pub fn asked(&mut self) {
        self.asking = true;
    }

    /// What asking came to.
    pub fn answered(&mut self, holder: Holder, now: Micros) {
        self.asking = false;
        self.answer = Some((holder, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_is_survived_and_refused_is_final() {
        let mut lease = Lease::new(Micros(0));
        assert_eq!(
            lease.handle(Renewal::Unreachable, Micros::from_secs(1)),
            LeaseState::Unsure
        );
        assert_eq!(
            lease.handle(Renewal::Renewed, Micros::from_secs(2)),
            LeaseState::Held
        );
        assert_eq!(lease.poll_timeout(), Some(Micros::from_secs(3)));
        assert_eq!(
            lease.handle(Renewal::Refused, Micros::from_secs(3)),
            LeaseState::Lost
        );
        assert_eq!(
            lease.handle(Renewal::Renewed, Micros::from_secs(4)),
            LeaseState::Lost
        );
        assert_eq!(lease.poll_timeout(), None);
    }

    /// Looks every half second from the first read on, with a holder that always answers the same;
    /// when it is taken.
    fn taken(holder: Holder, ago: Micros) -> Micros {
        let mut wanted = Wanted::new(Micros(0), ago);
        for n in 0.. {
            let now = Micros::from_ms(500 * n);
            match wanted.step(now) {
                Step::Claim => return now,
                Step::Ask => {
                    wanted.asked();
                    assert_eq!(wanted.step(now), Step::Wait, "one question at a time");
                    wanted.answered(holder, now);
                    if wanted.step(now) == Step::Claim {
                        return now;
                    }
                }
                Step::Wait => {}
            }
        }
        unreachable!("it is taken in the end")
    }

    #[test]
    fn the_dead_are_followed_at_once_and_the_living_are_waited_for() {
        let just = Micros::from_ms(100);
        assert_eq!(taken(Holder::Nobody, just), Micros(0));
        assert_eq!(taken(Holder::Silent, just), Micros(0));
        assert_eq!(taken(Holder::Alive, just), Micros::from_secs(30));
        // However long ago it ran out: nobody could read it before.
        assert_eq!(
            taken(Holder::Alive, Micros::from_secs(3_600)),
            Micros::from_secs(30)
        );
    }

    #[test]
    fn without_a_broker_ten_seconds_after_it_ran_out() {
        assert_eq!(taken(Holder::Unreachable, Micros(0)), Micros::from_secs(10));
        assert_eq!(
            taken(Holder::Unreachable, Micros::from_secs(4)),
            Micros::from_secs(6)
        );
        assert_eq!(
            taken(Holder::Unreachable, Micros::from_secs(3_600)),
            Micros::from_secs(2),
            "time for one renewal"
        );
    }

    #[test]
    fn a_holder_that_dies_while_it_is_waited_for_is_noticed() {
        let mut wanted = Wanted::new(Micros(0), Micros(0));
        wanted.answered(Holder::Alive, Micros(0));
        assert_eq!(wanted.step(Micros::from_ms(500)), Step::Wait);
        assert_eq!(wanted.step(Micros::from_secs(1)), Step::Ask);
        wanted.asked();
        wanted.answered(Holder::Nobody, Micros::from_secs(1));
        assert_eq!(wanted.step(Micros::from_secs(1)), Step::Claim);
    }
}
