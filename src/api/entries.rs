//! Requests that the ledger is told of before they are answered.

use super::{problem::Problem, state::Shared};
use crate::{
    command,
    domain::id::{MeetingId, TenantId},
    ledger::Refused,
    store::Tx,
};

/// How often a request is begun again when others write into the ledger meanwhile.
pub const TRIES_MAX: usize = 5;

/// How one try of a request ended that is not answered by it.
pub enum Tried {
    /// The ledger has entries that the database has not: [`catch_up`], then begin again.
    Behind,
    Failed(Problem),
}

impl<E: Into<Problem>> From<E> for Tried {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a refusal of the ledger means.
pub fn refused(state: &Shared, refused: Refused) -> Tried {
    match refused {
        Refused::Behind => Tried::Behind,
        Refused::Command(error) => {
            if matches!(error, command::Refused::Store(_)) {
                // Its entry may stand there.
                state.ledger.look_soon();
            }
            error.into()
        }
    }
}

/// Tells the ledger what this transaction accepted of a meeting.
pub async fn accept(
    state: &Shared,
    tx: &mut Tx,
    tenant: TenantId,
    meeting: MeetingId,
) -> Result<(), Tried> {
    let told = state.ledger.accept(tx, tenant, meeting).await;
    told.map_err(|error| refused(state, error))
}

/// Commits what the ledger was told of.
pub async fn commit(state: &Shared, tx: Tx) -> Result<(), Tried> {
    let committed = tx.commit().await;
    if committed.is_err() {
        state.ledger.look_soon();
    }
    Ok(committed?)
}

/// Carries out what the ledger has and the database has not.
pub async fn catch_up(state: &Shared, tenant: TenantId) -> Result<(), Problem> {
    let caught = state.ledger.catch_up(tenant, false).await;
    caught
        .map(drop)
        .map_err(|error| Problem::unavailable(error.to_string()))
}

/// After [`TRIES_MAX`] tries.
pub fn busy() -> Problem {
    Problem::unavailable("the ledger is written by many just now")
}
