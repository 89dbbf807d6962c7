//! Requests' database connections, shared fairly among tenants: one tenant's crowd, however its
//! requests wait for each other's locks, leaves connections to the others. What the rule is stands
//! in [`crate::domain::fair_share`].

use super::{ACQUIRE_MAX, Result, StoreError};
use crate::domain::{
    fair_share::{Asked, Shares, Ticket},
    id::TenantId,
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::oneshot;

/// Whose a connection is; `None` while a secret is looked up and its tenant is not known yet.
type Whose = Option<uuid::Uuid>;

/// Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FairShare(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    shares: Shares<Whose>,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
}

/// One connection's worth, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    fair: FairShare,
    whose: Whose,
}

impl FairShare {
    pub fn new(connections: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            shares: Shares::new(connections),
            waiting: HashMap::new(),
        })))
    }

    /// Waits for its turn, not for long.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when its turn does not come in time.
    pub async fn take(&self, tenant: Option<TenantId>) -> Result<Share> {
        let whose = tenant.map(|tenant| tenant.0);
        let (ticket, turn) = {
            let mut state = self.state();
            match state.shares.ask(whose) {
                Asked::Granted => {
                    return Ok(Share {
                        fair: self.clone(),
                        whose,
                    });
                }
                Asked::Refused => return Err(too_many()),
                Asked::Wait(ticket) => {
                    let (tell, turn) = oneshot::channel();
                    state.waiting.insert(ticket, tell);
                    (ticket, turn)
                }
            }
        };
        let mut place = Place {
            fair: self.clone(),
            whose,
            ticket,
            left: false,
        };
        match tokio::time::timeout(ACQUIRE_MAX, turn).await {
            Ok(Ok(())) => {
                place.left = true;
                Ok(Share {
                    fair: self.clone(),
                    whose,
                })
            }
            _ => Err(too_many()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    fn give_back(&self, whose: Whose) {
        let mut state = self.state();
        for ticket in state.shares.give_back(whose) {
            // Who no longer listens gives it back itself when its place is dropped.
            if let Some(turn) = state.waiting.remove(&ticket) {
                let _ = turn.send(());
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.fair.give_back(self.whose);
    }
}

/// A place in the queue, left when dropped: also by a request that was given up.
struct Place {
    fair: FairShare,
    whose: Whose,
    ticket: Ticket,
    left: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let waited = {
            let mut state = self.fair.state();
            state.waiting.remove(&self.ticket);
            state.shares.give_up(self.whose, self.ticket)
        };
        if !waited {
            self.fair.give_back(self.whose);
        }
    }
}

fn too_many() -> StoreError {
    metrics::counter!("hansard_database_shares_refused_total").increment(1);
    StoreError::Unavailable(sqlx::Error::PoolTimedOut)
}
