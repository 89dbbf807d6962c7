//! Requests that the ledger is told of before they are answered.

use super::{problem::Problem, state::Shared};
use crate::{
    command,
    domain::id::{MeetingId, TenantId},
    ledger::Refused,
    store::Tx,
};

/// How often a request is begun when others write into the ledger meanwhile.
const TRIES_MAX: usize = 5;

/// How one try of a request ended that is not answered by it.
pub enum Attempt {
    /// The ledger has entries that the database has not: they are carried out, then it begins
    /// again.
    Behind,
    Failed(Problem),
}

impl<E: Into<Problem>> From<E> for Attempt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a refusal of the ledger means.
pub fn refused(state: &Shared, refused: Refused) -> Attempt {
    match refused {
        Refused::Behind => Attempt::Behind,
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
) -> Result<(), Attempt> {
    let told = state.ledger.accept(tx, tenant, meeting).await;
    told.map_err(|error| refused(state, error))
}

/// Commits what the ledger was told of.
pub async fn commit(state: &Shared, tx: Tx) -> Result<(), Attempt> {
    let committed = tx.commit().await;
    if committed.is_err() {
        state.ledger.look_soon();
    }
    Ok(committed?)
}

/// Tries a request until the database had all of the ledger when it was carried out.
pub async fn until_current<T, F: Future<Output = Result<T, Attempt>>>(
    state: &Shared,
    tenant: TenantId,
    once: impl Fn() -> F,
) -> Result<T, Problem> {
    for _ in 0..TRIES_MAX {
        match once().await {
            Ok(answer) => return Ok(answer),
            Err(Attempt::Failed(problem)) => return Err(problem),
            Err(Attempt::Behind) => {
                let caught = state.ledger.catch_up(tenant, false).await;
                caught.map_err(|error| Problem::unavailable(error.to_string()))?;
            }
        }
    }
    Err(Problem::unavailable(
        "the ledger is written by many just now",
    ))
}
