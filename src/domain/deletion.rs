//! What a deletion takes along, and in which order what is done to a finished meeting takes its turn.

use crate::{id::RecordingId, job::JobKind, recording::RecordingKind, word::words};

words! {
    /// What somebody asked to delete.
    pub enum Deletable("thing that can be deleted", schema "Deletable") {
        Recording = "recording",
        Transcript = "transcript",
        /// All of it but the ConsentLog.
        Meeting = "meeting",
    }
}

/// Which recordings go with the one that is asked for, of those that a meeting has: with the last
/// track its mix goes, too, since nobody is left whose sound it may hold.
pub fn taken_along(
    recordings: &[(RecordingId, RecordingKind)],
    asked: RecordingId,
) -> Vec<RecordingId> {
    let is_track_left = recordings
        .iter()
        .any(|(id, kind)| *kind == RecordingKind::Track && *id != asked);
    let is_track = recordings
        .iter()
        .any(|(id, kind)| *kind == RecordingKind::Track && *id == asked);
    recordings
        .iter()
        .filter(|(id, kind)| {
            *id == asked || is_track && !is_track_left && *kind == RecordingKind::Mix
        })
        .map(|(id, _)| *id)
        .collect()
}

/// What is done to an ended meeting's objects, one at a time per meeting, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Change {
    Delete,
    Redact,
    Restore,
    Move,
}

/// Which change is next, of those that wait: none while one runs, but for one that comes before it,
/// which takes its turn away.
pub fn next(waiting: &[Change], running: Option<Change>) -> Option<Change> {
    let first = waiting.iter().min().copied()?;
    running
        .is_none_or(|running| first < running)
        .then_some(first)
}

/// Whether a running job of this kind loses its lease to a deletion and begins anew with what is
/// there then. What is live is not deleted, and deletions take up what others asked for.
pub fn gives_way(kind: JobKind) -> bool {
    !matches!(kind, JobKind::Capture | JobKind::Delete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const fn id(n: u128) -> RecordingId {
        RecordingId(Uuid::from_u128(n))
    }

    #[test]
    fn the_last_track_takes_the_mix_along() {
        use RecordingKind::{Mix, Track};
        let all = [(id(1), Mix), (id(2), Track), (id(3), Track)];
        assert_eq!(taken_along(&all, id(2)), [id(2)]);
        assert_eq!(taken_along(&all, id(1)), [id(1)]);
        assert_eq!(taken_along(&all[..2], id(2)), [id(1), id(2)]);
        assert_eq!(taken_along(&all[1..2], id(2)), [id(2)]);
        // The mix alone, whatever tracks there were.
        assert_eq!(taken_along(&all[..1], id(1)), [id(1)]);
        assert_eq!(taken_along(&all, id(9)), []);
    }

    #[test]
    fn whatever_makes_or_moves_something_gives_way_to_a_deletion() {
        for kind in JobKind::ALL {
            let stays = [JobKind::Capture, JobKind::Delete].contains(&kind);
            assert_eq!(gives_way(kind), !stays, "{kind}");
        }
    }

    #[test]
    fn a_deletion_comes_before_a_redaction_before_a_restore_before_a_move() {
        use Change::{Delete, Move, Redact, Restore};
        let order = [Delete, Redact, Restore, Move];
        for (n, change) in order.into_iter().enumerate() {
            assert_eq!(next(&order[n..], None), Some(change));
            for (m, running) in order.into_iter().enumerate() {
                let expected = (n < m).then_some(change);
                assert_eq!(next(&order[n..], Some(running)), expected, "{running:?}");
            }
        }
        assert_eq!(next(&[], None), None);
    }
}
