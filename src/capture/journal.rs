//! Withdrawals that Postgres could not be told of, written down and flushed to disk before anybody
//! is answered.
//!
//! One JSON line each, in a file per meeting. Read again at claim and by `recover`, appended to the
//! ConsentLog (the same ids, so twice is once), and removed once that committed. One process writes
//! here, in whose spool it is.

use crate::domain::{
    consent::{ConsentStatus, ConsentType},
    id::{ConsentId, MeetingId, ParticipantId, Request, TenantId},
    spool_path,
};
use anyhow::Context;
use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// What a withdrawal needs to become an entry of the ConsentLog.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    pub id: ConsentId,
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    pub consent_type: ConsentType,
    pub status: ConsentStatus,
    pub actor: String,
    pub statement: Option<String>,
    /// Its receipt, on Postgres's clock.
    pub received_at: DateTime<Utc>,
    /// The request that said it, when that named a key.
    #[serde(default)]
    pub once: Option<Request>,
}

/// A line is never appended to a file that is being removed.
static WRITING: Mutex<()> = Mutex::new(());

fn writing() -> MutexGuard<'static, ()> {
    WRITING.lock()
}

/// Writes it down; when this returns `Ok` it survives a crash of the process and of the machine.
/// Blocks.
pub fn append(spool: &Path, withdrawal: &Withdrawal) -> anyhow::Result<()> {
    let path = spool_path::journal(spool, withdrawal.meeting);
    let dir = path.parent().context("the journal has a directory")?;
    fs::create_dir_all(dir)?;
    let mut line = serde_json::to_vec(withdrawal)?;
    line.push(b'\n');
    let _writing = writing();
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(&path)
        .context("opening the consent journal")?;
    if is_torn(&mut file)? {
        // What was cut by a crash stays a line of its own.
        line.insert(0, b'\n');
    }
    file.write_all(&line)?;
    file.sync_data()?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

/// Whether the last line was cut by a crash.
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// What stands in the meeting's journal. A line cut by a crash, wherever the cut fell, was never
/// answered and is left out; those before and after it stand. Blocks.
pub fn read(spool: &Path, meeting: MeetingId) -> anyhow::Result<Vec<Withdrawal>> {
    let file = match File::open(spool_path::journal(spool, meeting)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("opening the consent journal"),
    };
    let mut withdrawals: Vec<Withdrawal> = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(withdrawal) = serde_json::from_slice(&line?) {
            withdrawals.push(withdrawal);
        }
    }
    Ok(withdrawals)
}

/// The meetings that have a journal. Blocks.
pub fn meetings(spool: &Path) -> Vec<MeetingId> {
    let Ok(entries) = fs::read_dir(spool_path::journals(spool)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| spool_path::journal_of(&entry.path()))
        .collect()
}

/// Removes the journal, of which `committed` became entries of the log; `false` when there is more
/// in it by now. Blocks.
pub fn remove(spool: &Path, meeting: MeetingId, committed: &[Withdrawal]) -> anyhow::Result<bool> {
    let _writing = writing();
    if read(spool, meeting)?.len() > committed.len() {
        return Ok(false);
    }
    match fs::remove_file(spool_path::journal(spool, meeting)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// A journal cut at every byte of its last line, and then written on.
    #[test]
    fn a_tear_costs_nothing_before_or_behind_it() {
        let spool = std::env::temp_dir().join(format!("hansard-journal-{}", Uuid::now_v7()));
        let meeting = MeetingId(Uuid::now_v7());
        let said = |statement: &str| Withdrawal {
            id: ConsentId(Uuid::now_v7()),
            tenant: TenantId(Uuid::now_v7()),
            meeting,
            participant: ParticipantId(Uuid::now_v7()),
            consent_type: ConsentType::Transcription,
            status: ConsentStatus::Withdrawn,
            actor: "self".into(),
            statement: Some(statement.into()),
            received_at: Utc::now(),
            once: None,
        };
        let (first, torn, next) = (
            said("zurückgezogen"),
            said("もう録音しないで"),
            said("никогда"),
        );
        append(&spool, &first).expect("writes");
        let file = spool_path::journal(&spool, meeting);
        let whole = fs::read(&file).expect("is there").len();
        append(&spool, &torn).expect("writes");
        let both = fs::read(&file).expect("is there");
        for length in whole..both.len() - 1 {
            fs::write(&file, &both[..length]).expect("writes");
            assert_eq!(
                read(&spool, meeting).expect("reads"),
                std::slice::from_ref(&first),
                "cut at {length}"
            );
            append(&spool, &next).expect("writes");
            assert_eq!(
                read(&spool, meeting).expect("reads"),
                [first.clone(), next.clone()],
                "cut at {length}"
            );
        }
        fs::remove_dir_all(&spool).expect("cleans up");
    }

    #[test]
    fn keeps_whole_lines_and_forgets_a_torn_one() {
        let spool = std::env::temp_dir().join(format!("hansard-journal-{}", Uuid::now_v7()));
        let meeting = MeetingId(Uuid::now_v7());
        let withdrawal = Withdrawal {
            id: ConsentId(Uuid::now_v7()),
            tenant: TenantId(Uuid::now_v7()),
            meeting,
            participant: ParticipantId(Uuid::now_v7()),
            consent_type: ConsentType::RecordingAi,
            status: ConsentStatus::Withdrawn,
            actor: "self".into(),
            statement: Some("no\nmore".into()),
            received_at: Utc::now(),
            once: None,
        };
        append(&spool, &withdrawal).expect("writes");
        append(
            &spool,
            &Withdrawal {
                id: ConsentId(Uuid::now_v7()),
                ..withdrawal.clone()
            },
        )
        .expect("writes");
        let file = spool_path::journal(&spool, meeting);
        let whole = fs::read(&file).expect("is there");
        fs::write(&file, &whole[..whole.len() - 9]).expect("writes");
        assert_eq!(
            read(&spool, meeting).expect("reads"),
            std::slice::from_ref(&withdrawal)
        );
        assert_eq!(meetings(&spool), [meeting]);
        assert!(
            !remove(&spool, meeting, &[]).expect("reads"),
            "what came since is kept"
        );
        assert_eq!(
            read(&spool, meeting).expect("reads"),
            std::slice::from_ref(&withdrawal)
        );
        assert!(remove(&spool, meeting, std::slice::from_ref(&withdrawal)).expect("removes"));
        assert!(remove(&spool, meeting, &[withdrawal]).expect("twice is once"));
        assert_eq!(read(&spool, meeting).expect("reads"), []);
        fs::remove_dir_all(&spool).expect("cleans up");
    }
}
