//! What kinds of work a worker takes on.

use crate::word::words;

words! {
    /// The kind of a row in `jobs`, and the name of the queue that wakes its workers.
    pub enum JobKind("kind of job") {
        /// A live meeting: receive, record, transcribe.
        Capture = "capture",
        /// Finalise the tracks of an ended meeting and render its mix.
        Mix = "mix",
        /// Upload and close what a dead worker left in its spool.
        Recover = "recover",
        /// Move a recording to another storage tier.
        Tier = "tier",
        /// Delete objects that no row names any more.
        Clean = "clean",
    }
}

words! {
    /// How a job that is not done stands, as operators are told.
    pub enum OpenJob("state of an open job") {
        Queued = "queued",
        /// Queued, for something that is away.
        Waiting = "waiting",
        Running = "running",
        Failed = "failed",
    }
}

words! {
    /// What has become of a job.
    pub enum JobState("state of a job") {
        Queued = "queued",
        Running = "running",
        Done = "done",
        Failed = "failed",
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
