//! What a deletion takes along, and which jobs give way to it.

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
}
