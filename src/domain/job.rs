//! What kinds of work a worker takes on.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The kind of a row in `jobs`, and the name of the queue that wakes its workers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// A live meeting: receive, record, transcribe.
    Capture,
    /// Finalise the tracks of an ended meeting and render its mix.
    Mix,
    /// Upload and close what a dead worker left in its spool.
    Recover,
    /// Move a recording to another storage tier.
    Tier,
    /// Delete objects that no row names any more.
    Clean,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no kind of job; there are capture, mix, recover, tier and clean")]
pub struct UnknownJobKind(pub String);

impl JobKind {
    pub const ALL: [Self; 5] = [
        Self::Capture,
        Self::Mix,
        Self::Recover,
        Self::Tier,
        Self::Clean,
    ];

    /// As it stands in the column `jobs.kind`, in `--queues` and in the queue's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Mix => "mix",
            Self::Recover => "recover",
            Self::Tier => "tier",
            Self::Clean => "clean",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobKind {
    type Err = UnknownJobKind;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownJobKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_are_refused() {
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("Capture".parse::<JobKind>().is_err());
    }
}
