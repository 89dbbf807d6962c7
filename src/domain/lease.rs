//! A lease: liveness by time, safety by epoch. The database decides; this decides what the holder does meanwhile.
//!
//! Renewal *impossible* is not renewal *refused*. Unreachable: go on capturing to the spool, commit and tell nothing
//! final. Refused (somebody took it, or the job is gone): stop at once and leave the spool to `recover`.

use crate::{limits::LEASE_RENEW, time::Micros};

/// What came of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    Renewed,
    Unreachable,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
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
    standing: Standing,
    renew_at: Micros,
}

impl Lease {
    /// Just claimed.
    pub fn new(now: Micros) -> Self {
        Self { standing: Standing::Held, renew_at: now + LEASE_RENEW }
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// When to try to renew; `None` once it is lost.
    pub fn poll_timeout(&self) -> Option<Micros> {
        (self.standing != Standing::Lost).then_some(self.renew_at)
    }

    /// Takes the outcome of a renewal that was *asked for* at `now`.
    pub fn handle(&mut self, renewal: Renewal, now: Micros) -> Standing {
        self.renew_at = now + LEASE_RENEW;
        self.standing = match (self.standing, renewal) {
            (Standing::Lost, _) | (_, Renewal::Refused) => Standing::Lost,
            (_, Renewal::Renewed) => Standing::Held,
            (_, Renewal::Unreachable) => Standing::Unsure,
        };
        self.standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_is_survived_and_refused_is_final() {
        let mut lease = Lease::new(Micros(0));
        assert_eq!(lease.handle(Renewal::Unreachable, Micros::from_secs(1)), Standing::Unsure);
        assert_eq!(lease.handle(Renewal::Renewed, Micros::from_secs(2)), Standing::Held);
        assert_eq!(lease.poll_timeout(), Some(Micros::from_secs(3)));
        assert_eq!(lease.handle(Renewal::Refused, Micros::from_secs(3)), Standing::Lost);
        assert_eq!(lease.handle(Renewal::Renewed, Micros::from_secs(4)), Standing::Lost);
        assert_eq!(lease.poll_timeout(), None);
    }
}
