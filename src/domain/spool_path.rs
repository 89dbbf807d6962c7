//! Where things lie in a worker's spool: segments in `<spool>/<meeting>/<epoch>/<recording>/` under
//! their [`crate::recording::SegmentName`], journals of withdrawals in `<spool>/journal/`.

use crate::id::{MeetingId, RecordingId};
use std::path::{Path, PathBuf};

/// Says in a recording's folder whose it is ([`crate::recording::Track`]).
pub const TRACK_FILE: &str = "track.json";

/// All that holders of the meeting left.
pub fn meeting(spool: &Path, meeting: MeetingId) -> PathBuf {
    spool.join(meeting.to_string())
}

/// What the meeting's holder of this epoch writes.
pub fn epoch(spool: &Path, of: MeetingId, epoch: i64) -> PathBuf {
    meeting(spool, of).join(epoch.to_string())
}

/// One recording's segments.
pub fn recording(spool: &Path, of: MeetingId, at: i64, recording: RecordingId) -> PathBuf {
    epoch(spool, of, at).join(recording.to_string())
}

/// The journals of all meetings.
pub fn journals(spool: &Path) -> PathBuf {
    spool.join("journal")
}

/// The withdrawals of a meeting that are not in the log yet.
pub fn journal(spool: &Path, meeting: MeetingId) -> PathBuf {
    journals(spool).join(format!("{meeting}.jsonl"))
}

/// Whose journal it is; `None`: no journal.
pub fn journal_of(path: &Path) -> Option<MeetingId> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// A folder of the spool, or the part of it that a name stands for: an id or a number.
pub fn part<T: std::str::FromStr>(name: &std::ffi::OsStr) -> Option<T> {
    name.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn paths_read_back_part_by_part() {
        let (of, track) = (
            MeetingId(Uuid::from_u128(2)),
            RecordingId(Uuid::from_u128(3)),
        );
        let path = recording(Path::new("spool"), of, 7, track);
        let expect = "spool/00000000-0000-0000-0000-000000000002/7/\
                      00000000-0000-0000-0000-000000000003";
        assert_eq!(path, Path::new(expect));
        let parts: Vec<_> = path.iter().collect();
        assert_eq!(part(parts[1]), Some(of));
        assert_eq!(part(parts[2]), Some(7_i64));
        assert_eq!(part(parts[3]), Some(track));
        let journals = journals(Path::new("spool"));
        assert_eq!(
            part::<MeetingId>(journals.file_name().expect("a name")),
            None
        );
        let path = journal(Path::new("spool"), of);
        assert_eq!(
            path,
            Path::new("spool/journal/00000000-0000-0000-0000-000000000002.jsonl")
        );
        assert_eq!(journal_of(&path), Some(of));
    }
}
