//! Withdrawals that were acknowledged and do not stand in the log yet. [`super::repeat`]
//! repeats each of them.

use crate::{domain::id::Request, store::consent::ConsentDecision};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::task::TaskTracker;

/// Those of one process. It does not end while there are any.
#[derive(Debug, Default)]
pub struct Unwritten {
    pub(super) tasks: TaskTracker,
    waiting: Mutex<Vec<ConsentDecision>>,
}

impl Unwritten {
    pub(super) fn waiting(&self) -> MutexGuard<'_, Vec<ConsentDecision>> {
        self.waiting.lock()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// What the same request said, while it waits.
    pub fn of(&self, request: &Request) -> Option<ConsentDecision> {
        self.waiting()
            .iter()
            .find(|decision| decision.once.as_ref() == Some(request))
            .cloned()
    }

    /// Waits until every one is written, however long that takes.
    pub async fn written(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
