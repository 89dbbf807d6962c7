//! How a file in the archive stands, as clients see it.

use super::time::Time;
use crate::domain::restore::{Restore, RestoreState};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// How a file in the archive stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Restore)]
pub struct RestoreView {
    pub state: RestoreState,
    /// Until when it can be fetched, where it is restored.
    pub until: Option<Time>,
}

impl RestoreView {
    pub fn new(restore: Restore, now: DateTime<Utc>) -> Self {
        let state = restore.state(now);
        let until = restore.until.filter(|_| state == RestoreState::Restored);
        Self {
            state,
            until: until.map(Time),
        }
    }
}
