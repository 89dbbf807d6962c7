//! Sweeping the bucket: what is in it and in no row. An object goes only when the bucket is surely
//! this database's, the database surely has all that it should have, and two listings a day apart
//! saw the object, and only where few do.

use crate::{
    id::MeetingId,
    object_key::{DOCTOR, LiveBlock, LiveSegment, PROBE, PeaksFile, RecordingFile, is_plain},
    word::words,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The object that says whose the bucket is.
pub const MARK: &str = "deployment/mark";
/// So far apart are the first and the last listing that have to have seen an object.
pub const SEEN_APART: TimeDelta = TimeDelta::hours(24);
/// An upload in parts that began so long ago is nobody's any more: a whole one takes minutes.
pub const UPLOAD_MAX: TimeDelta = TimeDelta::hours(24);
/// The longest key of a trial of the storage; a longer one is not ours.
const TRIAL_BYTES_MAX: usize = 160;
/// At most one object of so many goes in one sweep.
pub const ONE_OF: u64 = 100;
/// Between two sweeps. More than [`SEEN_APART`], so that the second can delete.
pub const PERIOD: TimeDelta = TimeDelta::minutes(24 * 60 + 1);
/// After one that was held up.
pub const AGAIN: TimeDelta = TimeDelta::hours(6);

words! {
    /// Why a sweep deletes no objects.
    pub enum SweepHold("reason why nothing is swept") {
        /// The bucket's mark is another database's.
        OtherDeployment = "other_deployment",
        /// The bucket's mark is of a later sweep than the database knows: a backup was put back.
        OlderDatabase = "older_database",
        /// The bucket had a mark and has none any more.
        MarkLost = "mark_lost",
        /// It is not known whether the rows have all of the ledger.
        Ledger = "ledger",
        /// A machine has sound that it has not stored yet.
        Spools = "spools",
        /// More than one object of [`ONE_OF`] would go.
        TooMany = "too_many",
    }
}

impl SweepHold {
    /// What an operator does about it.
    pub fn mend(self) -> &'static str {
        match self {
            Self::OtherDeployment => {
                "another database sweeps this bucket: give each its own. If it is no more, delete the object \
                 deployment/mark and run `hansard sweep --mark`"
            }
            Self::OlderDatabase => {
                "the database is older than the bucket: a backup was put back, and objects that were stored since \
                 have no rows. `hansard sweep --mark` gives them up, so that they go in two days"
            }
            Self::MarkLost => {
                "the bucket lacks the object deployment/mark, which it had: is it the right bucket? If so, \
                 `hansard sweep --mark` writes it again"
            }
            Self::Ledger => "see `hansard ledger verify`",
            Self::Spools => {
                "machines have sound that is not stored yet: start their workers once more on the same data folders, or \
                 say by `hansard spools forget` that their disks are destroyed"
            }
            Self::TooMany => {
                "more than 1 % of the bucket would go: `hansard sweep --dry-run` lists it, and `hansard sweep --all` \
                 deletes it"
            }
        }
    }
}

/// What stands in [`MARK`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    pub deployment: Uuid,
    /// How many sweeps there were.
    pub sweeps: i64,
}

/// The mark as it was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    Nothing,
    Mark(Mark),
    /// Something that is no mark of ours.
    Other,
}

impl Found {
    /// Of the object's content.
    pub fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).map_or(Self::Other, Self::Mark)
    }
}

/// What the database knows of itself and of its bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deployment {
    pub id: Uuid,
    pub sweeps: i64,
    /// The bucket that was marked.
    pub marked_in: Option<String>,
}

impl Deployment {
    /// Whether this bucket is this database's, and not of a later time; `accepts`: an operator says
    /// that it is. Answers with the number of the sweep that begins.
    ///
    /// # Errors
    /// Why it may not be swept.
    pub fn begin(&self, bucket: &str, found: Found, accepts: bool) -> Result<i64, SweepHold> {
        let next = self.sweeps + 1;
        match found {
            Found::Other => Err(SweepHold::OtherDeployment),
            Found::Mark(mark) if mark.deployment != self.id => Err(SweepHold::OtherDeployment),
            Found::Mark(mark) if mark.sweeps > self.sweeps && !accepts => {
                Err(SweepHold::OlderDatabase)
            }
            Found::Mark(mark) => Ok(next.max(mark.sweeps.saturating_add(1))),
            Found::Nothing if self.marked_in.as_deref() == Some(bucket) && !accepts => {
                Err(SweepHold::MarkLost)
            }
            Found::Nothing => Ok(next),
        }
    }

    /// Whether what was seen before was seen in this bucket.
    pub fn knows(&self, bucket: &str) -> bool {
        self.marked_in.as_deref() == Some(bucket)
    }
}

/// Whose an object is, by its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectOwner {
    Meeting(MeetingId),
    /// Of a trial of the storage, which deletes it at once if it does not die.
    Trial,
    /// Not of what has rows: the ledger, the mark, and whatever else lies in the bucket.
    Other,
}

impl ObjectOwner {
    pub fn of(key: &str) -> Self {
        let meeting = LiveSegment::parse(key)
            .map(|segment| segment.meeting)
            .or_else(|| LiveBlock::parse(key).map(|block| block.meeting))
            .or_else(|| RecordingFile::parse(key).map(|file| file.meeting))
            .or_else(|| PeaksFile::parse(key).map(|file| file.meeting));
        match meeting {
            Some(meeting) => Self::Meeting(meeting),
            None if is_trial(key) => Self::Trial,
            None => Self::Other,
        }
    }
}

fn is_trial(key: &str) -> bool {
    let mut parts = key.split('/');
    matches!(parts.next(), Some(PROBE | DOCTOR))
        && parts.next().is_some_and(|id| id.parse::<Uuid>().is_ok())
        && key.len() <= TRIAL_BYTES_MAX
        && is_plain(key)
}

/// Whether an object goes that was first seen without a row at `first_seen`.
pub fn is_due(first_seen: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - first_seen >= SEEN_APART
}

/// Whether an upload in parts goes.
pub fn is_abandoned(begun: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - begun >= UPLOAD_MAX
}

/// What decides, besides each object, whether objects go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Whether the rows have all of the ledger.
    pub ledger_is_current: bool,
    /// Folders in spools of meetings that are over.
    pub spools: i64,
    /// Objects in the bucket that may have rows.
    pub objects: u64,
    /// Of these, those that are due to go.
    pub due: u64,
    /// An operator says that any number may go.
    pub any_number: bool,
}

impl Facts {
    pub fn held(&self) -> Option<SweepHold> {
        let is_too_many = self.due.saturating_mul(ONE_OF) > self.objects;
        if !self.ledger_is_current {
            Some(SweepHold::Ledger)
        } else if self.spools > 0 {
            Some(SweepHold::Spools)
        } else if is_too_many && !self.any_number {
            Some(SweepHold::TooMany)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{RecordingId, TenantId},
        media_type::MediaType,
    };

    const OWN: Uuid = Uuid::from_u128(1);

    fn own(sweeps: i64, marked_in: Option<&str>) -> Deployment {
        Deployment {
            id: OWN,
            sweeps,
            marked_in: marked_in.map(str::to_owned),
        }
    }

    fn mark(id: u128, sweeps: i64) -> Found {
        let mark = Mark {
            deployment: Uuid::from_u128(id),
            sweeps,
        };
        Found::read(&serde_json::to_vec(&mark).expect("it is JSON"))
    }

    #[test]
    fn only_its_own_bucket_is_swept_and_none_of_later() {
        let (fresh, known) = (own(0, None), own(7, Some("b")));
        for (database, found, begun, accepted) in [
            (&fresh, Found::Nothing, Ok(1), Ok(1)),
            (&known, mark(1, 7), Ok(8), Ok(8)),
            // It died between the row and the mark.
            (&known, mark(1, 6), Ok(8), Ok(8)),
            (&known, mark(1, 9), Err(SweepHold::OlderDatabase), Ok(10)),
            (&known, Found::Nothing, Err(SweepHold::MarkLost), Ok(8)),
            (
                &known,
                mark(2, 7),
                Err(SweepHold::OtherDeployment),
                Err(SweepHold::OtherDeployment),
            ),
            (
                &fresh,
                mark(2, 7),
                Err(SweepHold::OtherDeployment),
                Err(SweepHold::OtherDeployment),
            ),
            (
                &known,
                Found::read(b"what?"),
                Err(SweepHold::OtherDeployment),
                Err(SweepHold::OtherDeployment),
            ),
        ] {
            assert_eq!(database.begin("b", found, false), begun, "{found:?}");
            assert_eq!(database.begin("b", found, true), accepted, "{found:?}");
        }
        // Another bucket has no mark yet, and nothing was seen in it.
        assert_eq!(known.begin("c", Found::Nothing, false), Ok(8));
        assert!(known.knows("b") && !known.knows("c"));
    }

    #[test]
    fn keys_say_whose_an_object_is() {
        let meeting = MeetingId(Uuid::from_u128(2));
        let file = RecordingFile {
            tenant: TenantId(OWN),
            meeting,
            recording: RecordingId(OWN),
            revision: 1,
            media: MediaType::AudioWebm,
        };
        let key = file.to_string();
        let probe = format!("probe/{OWN}");
        for (key, whose) in [
            (key.as_str(), ObjectOwner::Meeting(meeting)),
            (&file.peaks().to_string(), ObjectOwner::Meeting(meeting)),
            (
                &format!("live/{OWN}/{meeting}/1/{OWN}/1-1.mkv"),
                ObjectOwner::Meeting(meeting),
            ),
            (
                &format!("live/{OWN}/{meeting}/1/{OWN}/b1-9-1-1.mkv"),
                ObjectOwner::Meeting(meeting),
            ),
            (&probe, ObjectOwner::Trial),
            (&format!("doctor/{OWN}/kept"), ObjectOwner::Trial),
            ("probe/mine", ObjectOwner::Other),
            (&format!("doctor/{OWN}/not ours"), ObjectOwner::Other),
            (&format!("doctor/{OWN}/../x"), ObjectOwner::Other),
            (&format!("{key}.txt"), ObjectOwner::Other),
            (&format!("ledger/{OWN}/000000000001"), ObjectOwner::Other),
            (MARK, ObjectOwner::Other),
            ("holidays/2026.jpg", ObjectOwner::Other),
        ] {
            assert_eq!(ObjectOwner::of(key), whose, "{key}");
        }
    }

    #[test]
    fn an_object_goes_after_a_day_and_only_if_few_do() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(9);
        for (hours, due) in [(0, false), (23, false), (24, true), (99, true)] {
            let then = now - TimeDelta::hours(hours);
            assert_eq!((is_due(then, now), is_abandoned(then, now)), (due, due));
        }
        let well = Facts {
            ledger_is_current: true,
            objects: 1000,
            due: 10,
            ..Facts::default()
        };
        assert_eq!(well.held(), None);
        for (facts, held) in [
            (Facts { due: 11, ..well }, Some(SweepHold::TooMany)),
            (
                Facts {
                    due: 11,
                    any_number: true,
                    ..well
                },
                None,
            ),
            (
                Facts {
                    objects: 0,
                    due: 1,
                    ..well
                },
                Some(SweepHold::TooMany),
            ),
            (
                Facts {
                    objects: 0,
                    due: 0,
                    ..well
                },
                None,
            ),
            (Facts { spools: 1, ..well }, Some(SweepHold::Spools)),
            (
                Facts {
                    ledger_is_current: false,
                    any_number: true,
                    ..well
                },
                Some(SweepHold::Ledger),
            ),
        ] {
            assert_eq!(facts.held(), held, "{facts:?}");
        }
    }
}
