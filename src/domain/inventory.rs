//! The inventory: what is in the bucket, or may be. Its rows are written before their objects, so
//! whoever deletes or moves objects finds all of them, whoever died on the way.

use crate::{
    id::RecordingId,
    object_key::{PeaksFile, RecordingFile},
    time::Micros,
    word::words,
};
use std::collections::{BTreeMap, BTreeSet};

words! {
    /// What an object holds.
    pub enum ObjectKind("kind of object") {
        /// A few seconds of a track, as they were sealed.
        Segment = "segment",
        /// Minutes of a track's segments.
        Block = "block",
        Track = "track",
        Mix = "mix",
        /// Made from a recording and shown with it: peaks, a poster.
        Derived = "derived",
    }
}

words! {
    /// What has become of an object.
    pub enum ObjectState("state of an object") {
        /// It may be there, whole or in parts: somebody is storing it, or died meanwhile.
        Planned = "planned",
        /// It is there, and a row tells of it.
        Stored = "stored",
        /// Nobody needs it any more, and it may still be there.
        Going = "going",
        Deleted = "deleted",
    }
}

/// For so long an upload may still be on its way after it was noted: a process that was killed may
/// have sent all of it.
pub const UPLOAD_MAX: Micros = Micros::from_secs(600);

/// An object as the inventory has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub key: String,
    pub recording: RecordingId,
    pub kind: ObjectKind,
    pub state: ObjectState,
    /// Somebody stores it, or died doing so.
    pub uploading: bool,
    /// How long ago somebody last said that it was going to be stored.
    pub noted_ago: Micros,
}

impl Entry {
    /// Whether an upload may still put it there after it was deleted.
    pub fn may_come(&self) -> bool {
        self.uploading && self.noted_ago < UPLOAD_MAX
    }
}

/// What a meeting's rows say of its objects.
#[derive(Clone, Debug, Default)]
pub struct RowObjects {
    /// Segments and blocks that tracks are still to be made of.
    pub needed: BTreeSet<String>,
    /// Segments that are in their track's file.
    pub merged: BTreeSet<String>,
    /// The revision of each recording's file.
    pub revisions: BTreeMap<RecordingId, i32>,
    /// The key of each recording's file, where it is known.
    pub files: BTreeMap<RecordingId, String>,
    /// What a redaction deletes itself, once the ledger has the files that stand for it.
    pub kept: BTreeSet<String>,
    /// Nobody stores segments now: capture is over, and no spool waits.
    pub quiet: bool,
}

/// The keys of objects that nobody needs any more.
pub fn superfluous(entries: &[Entry], told: &RowObjects) -> Vec<String> {
    let is_superfluous = |entry: &&Entry| match (entry.state, entry.kind) {
        (ObjectState::Deleted, _) => false,
        (ObjectState::Going, _) => true,
        (_, ObjectKind::Segment | ObjectKind::Block) => {
            !told.needed.contains(&entry.key) && (told.quiet || told.merged.contains(&entry.key))
        }
        (_, ObjectKind::Derived) => {
            !told.kept.contains(&entry.key)
                && told.revisions.get(&entry.recording).is_none_or(|revision| {
                    PeaksFile::parse(&entry.key).is_some_and(|file| file.revision < *revision)
                })
        }
        // Its row is made before its file: without one it was taken away.
        (_, ObjectKind::Track | ObjectKind::Mix) => {
            !told.kept.contains(&entry.key)
                && told.revisions.get(&entry.recording).is_none_or(|revision| {
                    // One in another container that nobody tells of yet is being made.
                    let is_other = entry.state == ObjectState::Stored
                        && told
                            .files
                            .get(&entry.recording)
                            .is_some_and(|key| *key != entry.key);
                    RecordingFile::parse(&entry.key).is_some_and(|file| {
                        file.revision < *revision || file.revision == *revision && is_other
                    })
                })
        }
    };
    let superfluous = entries.iter().filter(is_superfluous);
    superfluous.map(|entry| entry.key.clone()).collect()
}

/// Of these keys, those of files that somebody may have been told of and that are not being deleted
/// yet: the ledger hears of them first.
pub fn untold(entries: &[Entry], superfluous: &[String]) -> Vec<String> {
    let superfluous: BTreeSet<&str> = superfluous.iter().map(String::as_str).collect();
    let is_untold = |entry: &&Entry| {
        let is_file = match entry.kind {
            ObjectKind::Segment | ObjectKind::Block => false,
            ObjectKind::Track | ObjectKind::Mix | ObjectKind::Derived => true,
        };
        let is_there = matches!(entry.state, ObjectState::Planned | ObjectState::Stored);
        is_file && is_there && superfluous.contains(entry.key.as_str())
    };
    let untold = entries.iter().filter(is_untold);
    untold.map(|entry| entry.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const TRACK: RecordingId = RecordingId(Uuid::from_u128(1));
    const GONE: RecordingId = RecordingId(Uuid::from_u128(2));

    fn entry(key: &str, kind: ObjectKind, state: ObjectState) -> Entry {
        Entry {
            key: key.to_owned(),
            recording: TRACK,
            kind,
            state,
            uploading: false,
            noted_ago: Micros(0),
        }
    }

    fn key(revision: i32, ending: &str) -> String {
        let place = format!("recordings/{}/{}", Uuid::nil(), Uuid::nil());
        format!("{place}/{TRACK}-{revision}.{ending}")
    }

    fn told(quiet: bool) -> RowObjects {
        RowObjects {
            needed: ["needed".to_owned()].into(),
            merged: ["merged".to_owned()].into(),
            revisions: [(TRACK, 3)].into(),
            files: [(TRACK, key(3, "webm"))].into(),
            kept: BTreeSet::new(),
            quiet,
        }
    }

    #[test]
    fn an_upload_that_nobody_ended_may_come_for_a_while() {
        let noted = |uploading, noted_ago| Entry {
            uploading,
            noted_ago,
            ..entry("a", ObjectKind::Segment, ObjectState::Going)
        };
        assert!(noted(true, UPLOAD_MAX - Micros(1)).may_come());
        assert!(!noted(true, UPLOAD_MAX).may_come());
        assert!(!noted(false, Micros(0)).may_come());
    }

    #[test]
    fn segments_go_when_they_are_in_a_track_or_nobody_tells_of_them() {
        use ObjectKind::{Block, Segment};
        use ObjectState::{Deleted, Going, Planned, Stored};
        // key, state, gone while segments are stored, gone afterwards
        for (key, state, now, later) in [
            ("needed", Stored, false, false),
            ("needed", Planned, false, false),
            ("needed", Going, true, true),
            ("merged", Stored, true, true),
            ("merged", Deleted, false, false),
            ("unnamed", Planned, false, true),
            ("unnamed", Stored, false, true),
        ] {
            for kind in [Segment, Block] {
                let entry = [entry(key, kind, state)];
                let goes = [false, true].map(|quiet| !superfluous(&entry, &told(quiet)).is_empty());
                assert_eq!(goes, [now, later], "{key} {state}");
            }
        }
    }

    #[test]
    fn files_go_when_a_newer_revision_is_told_of_or_their_recording_is_gone() {
        for revision in 1..=4 {
            let key = key(revision, "webm");
            for state in [ObjectState::Planned, ObjectState::Stored] {
                let file = entry(&key, ObjectKind::Track, state);
                let goes = !superfluous(std::slice::from_ref(&file), &told(true)).is_empty();
                assert_eq!(goes, revision < 3, "{key}");
                let kept = RowObjects {
                    kept: [key.clone()].into(),
                    ..told(true)
                };
                assert!(superfluous(std::slice::from_ref(&file), &kept).is_empty());
                let orphan = Entry {
                    recording: GONE,
                    ..file
                };
                assert_eq!(superfluous(&[orphan], &told(false)), [key.as_str()]);
            }
        }
    }

    #[test]
    fn what_is_made_of_a_file_goes_with_its_revision() {
        for (state, revision, goes) in [
            (ObjectState::Stored, 2, true),
            (ObjectState::Planned, 2, true),
            (ObjectState::Stored, 3, false),
            // The next file is being made.
            (ObjectState::Planned, 4, false),
        ] {
            let peaks = entry(&key(revision, "peaks"), ObjectKind::Derived, state);
            let found = superfluous(std::slice::from_ref(&peaks), &told(true));
            assert_eq!(!found.is_empty(), goes, "{state} {revision}");
            let orphan = Entry {
                recording: GONE,
                ..peaks
            };
            assert_eq!(superfluous(&[orphan], &told(true)).len(), 1);
        }
    }

    /// As a track was that failed before it was made anew.
    #[test]
    fn of_one_revision_the_file_stays_that_is_told_of() {
        for (state, ending, goes) in [
            (ObjectState::Stored, "webm", false),
            (ObjectState::Stored, "mkv", true),
            // It is being made.
            (ObjectState::Planned, "mkv", false),
        ] {
            let file = entry(&key(3, ending), ObjectKind::Track, state);
            let found = superfluous(std::slice::from_ref(&file), &told(true));
            assert_eq!(!found.is_empty(), goes, "{state} {ending}");
            // Of a file that lies in another bucket nothing is known.
            let unknown = RowObjects {
                files: BTreeMap::new(),
                ..told(true)
            };
            assert!(superfluous(&[file], &unknown).is_empty());
        }
    }

    #[test]
    fn files_are_told_of_once_before_they_go() {
        use ObjectKind::{Block, Derived, Mix, Segment, Track};
        use ObjectState::{Deleted, Going, Planned, Stored};
        let keys = ["a".to_owned()];
        for kind in [Segment, Block, Track, Mix, Derived] {
            for state in [Planned, Stored, Going, Deleted] {
                let entries = [entry("a", kind, state), entry("b", kind, state)];
                let is_file = matches!(kind, Track | Mix | Derived);
                let is_told = is_file && matches!(state, Planned | Stored);
                let wanted: &[&str] = if is_told { &["a"] } else { &[] };
                assert_eq!(untold(&entries, &keys), wanted, "{kind} {state}");
                assert!(untold(&entries, &[]).is_empty());
            }
        }
    }
}
