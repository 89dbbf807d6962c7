//! What a transaction has to tell once it is committed.

use super::event::StoredEvent;
use crate::domain::{id::JobId, job::JobKind};

/// Events to tell and jobs to wake for: carried out after commit, in one place for each process.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Effects {
    /// In this order.
    pub events: Vec<StoredEvent>,
    /// Jobs that were made or queued anew.
    pub jobs: Vec<(JobKind, JobId)>,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.jobs.is_empty()
    }

    /// These, and then those.
    pub fn extend(&mut self, more: Self) {
        self.events.extend(more.events);
        self.jobs.extend(more.jobs);
    }
}

impl From<Vec<StoredEvent>> for Effects {
    fn from(events: Vec<StoredEvent>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }
}

impl From<StoredEvent> for Effects {
    fn from(event: StoredEvent) -> Self {
        vec![event].into()
    }
}
