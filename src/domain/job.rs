//! What kinds of work a worker takes on.

use crate::{
    id::{MeetingId, RecordingId, UserId},
    time::Micros,
    word::words,
};
use std::fmt;
use uuid::Uuid;

words! {
    /// The kind of a row in `jobs`, and the name of the queue that wakes its workers.
    pub enum JobKind("kind of job") {
        /// A live meeting: receive, record, transcribe.
        Capture = "capture",
        /// Join the tracks of an ended meeting.
        Join = "join",
        /// Render an ended meeting's mix from its tracks.
        Mix = "mix",
        /// Transcribe what nobody heard of an ended meeting while it was said.
        Transcript = "transcript",
        /// Make the tracks of earlier versions what those of today are, without encoding.
        Remux = "remux",
        /// Find how loud the files of earlier versions are along their length.
        Peaks = "peaks",
        /// Upload and close what a dead worker left in its spool.
        Recover = "recover",
        /// Move a meeting's files to the storage tiers that they belong into.
        Tier = "tier",
        /// Have a recording back from the archive.
        Restore = "restore",
        /// Delete objects that no row names any more.
        Clean = "clean",
        /// Delete what somebody asked to delete, everywhere.
        Delete = "delete",
        /// See to it that nothing is left of who is taken out of a meeting.
        Redact = "redact",
        /// Take somebody out of all meetings, and forget the name.
        Erase = "erase",
    }
}

impl JobKind {
    /// The kinds that a worker takes which was given these names: `mix` has always stood for all
    /// that is made after a meeting's end, `clean` for all that is deleted, `tier` for restores,
    /// too.
    pub fn taken(named: &[Self]) -> Vec<Self> {
        let is_taken = |kind: &Self| {
            let is_made_after = matches!(
                kind,
                Self::Join | Self::Transcript | Self::Remux | Self::Peaks
            );
            let is_deletion = matches!(kind, Self::Delete | Self::Redact | Self::Erase);
            let is_of_tiers = matches!(kind, Self::Restore);
            named.contains(kind)
                || is_made_after && named.contains(&Self::Mix)
                || is_deletion && named.contains(&Self::Clean)
                || is_of_tiers && named.contains(&Self::Tier)
        };
        Self::ALL.into_iter().filter(is_taken).collect()
    }
}

words! {
    /// What sort of thing a job is about.
    pub enum SubjectKind("subject of a job") {
        Meeting = "meeting",
        Recording = "recording",
        Person = "person",
    }
}

/// What a job is about. Its kind and its subject are its key: there is one row of each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    Meeting(MeetingId),
    Recording(RecordingId),
    Person(UserId),
}

impl Subject {
    pub fn new(kind: SubjectKind, id: Uuid) -> Self {
        match kind {
            SubjectKind::Meeting => Self::Meeting(MeetingId(id)),
            SubjectKind::Recording => Self::Recording(RecordingId(id)),
            SubjectKind::Person => Self::Person(UserId(id)),
        }
    }

    pub fn kind(self) -> SubjectKind {
        match self {
            Self::Meeting(_) => SubjectKind::Meeting,
            Self::Recording(_) => SubjectKind::Recording,
            Self::Person(_) => SubjectKind::Person,
        }
    }

    pub fn id(self) -> Uuid {
        match self {
            Self::Meeting(id) => id.0,
            Self::Recording(id) => id.0,
            Self::Person(id) => id.0,
        }
    }

    /// `None`: it is about something else.
    pub fn meeting(self) -> Option<MeetingId> {
        match self {
            Self::Meeting(id) => Some(id),
            Self::Recording(_) | Self::Person(_) => None,
        }
    }
}

impl Subject {
    /// `None`: it is about something else.
    pub fn person(self) -> Option<UserId> {
        match self {
            Self::Person(id) => Some(id),
            Self::Meeting(_) | Self::Recording(_) => None,
        }
    }
}

/// How much of its work a job has done, in all of its runs: one that goes on where another was cut
/// off begins with the share that was done then, and spreads what is left over the rest.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    before: f32,
    left: Micros,
    done: Micros,
}

impl Progress {
    /// Of a run that finds so much left to do; `before`: the share that the runs before had done.
    pub fn new(before: Option<f32>, left: Micros) -> Self {
        Self {
            before: before.unwrap_or_default(),
            left,
            done: Micros(0),
        }
    }

    /// So much was done.
    pub fn did(&mut self, work: Micros) {
        self.done = Micros(self.done.0 + work.0);
    }

    /// From 0 to 1, and never less than before.
    pub fn share(&self) -> f32 {
        let of_rest = self.done.0 as f32 / self.left.0.max(1) as f32;
        self.before + (1.0 - self.before) * of_rest.min(1.0)
    }
}

impl From<MeetingId> for Subject {
    fn from(id: MeetingId) -> Self {
        Self::Meeting(id)
    }
}

impl From<RecordingId> for Subject {
    fn from(id: RecordingId) -> Self {
        Self::Recording(id)
    }
}

impl From<UserId> for Subject {
    fn from(id: UserId) -> Self {
        Self::Person(id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.id())
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
    fn progress_is_of_all_runs_and_never_goes_back() {
        let minutes = |n: i64| Micros::from_secs(60 * n);
        let mut first = Progress::new(None, minutes(10));
        assert_eq!(first.share(), 0.0);
        first.did(minutes(4));
        assert_eq!(first.share(), 0.4);
        // Cut off there: six of ten minutes are left.
        let mut second = Progress::new(Some(first.share()), minutes(6));
        assert_eq!(second.share(), 0.4);
        second.did(minutes(3));
        assert!((second.share() - 0.7).abs() < 1e-6);
        second.did(minutes(4));
        assert_eq!(second.share(), 1.0, "at most all");
        assert_eq!(Progress::new(None, Micros(0)).share(), 0.0);
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("Capture".parse::<JobKind>().is_err());
    }

    #[test]
    fn mix_stands_for_all_that_is_made_after_the_end() {
        use JobKind::{
            Clean, Delete, Erase, Join, Mix, Peaks, Redact, Remux, Restore, Tier, Transcript,
        };
        assert_eq!(
            JobKind::taken(&[Mix, Clean]),
            [
                Join, Mix, Transcript, Remux, Peaks, Clean, Delete, Redact, Erase
            ]
        );
        assert_eq!(JobKind::taken(&[Join]), [Join]);
        assert_eq!(JobKind::taken(&[Tier]), [Tier, Restore]);
        assert_eq!(JobKind::taken(&[Restore]), [Restore]);
        assert_eq!(
            JobKind::taken(&[Clean, Clean]),
            [Clean, Delete, Redact, Erase]
        );
        assert_eq!(JobKind::taken(&JobKind::ALL), JobKind::ALL);
    }

    #[test]
    fn a_subject_is_read_as_it_was_written() {
        for kind in SubjectKind::ALL {
            let subject = Subject::new(kind, Uuid::from_u128(7));
            assert_eq!(Subject::new(subject.kind(), subject.id()), subject);
            assert_eq!(
                subject.meeting().is_some(),
                kind == SubjectKind::Meeting,
                "{subject}"
            );
        }
    }
}
