//! The ConsentLog: what was said, by whom, in which order, chained so that a change shows.
//!
//! `hash` = hex SHA-256 of `prevHash` (its 64 lower-case hex characters; for entry 1 the hex
//! SHA-256 of the meeting id's text) followed by the RFC 8785 JSON of the entry. From version 2 on
//! that has a salted hash of the statement, so that the statement can be erased and the chain still
//! verifies. RFC 8785 (JCS)
//! orders members by UTF-16 code units and escapes strings as `serde_json` does; the values here
//! are strings, integers and arrays of strings only, so a struct whose fields stand in that order
//! is already canonical (a test holds it to that).

use crate::{
    id::{ConsentId, MeetingId, ParticipantId},
    word::words,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

words! {
    /// What captured media may be used for. Consent to one says nothing about the other.
    pub enum Use("use of media", schema "Purpose": "What media is taken for.") {
        Recording = "recording",
        Transcription = "transcription",
    }
}

words! {
    /// What a consent entry is about; one entry may speak for both uses.
    pub enum ConsentType(
        "consent type",
        schema "ConsentType": "What the entry is about; `recording_ai` is both in one entry."
    ) {
        Recording = "recording",
        Transcription = "transcription",
        RecordingAi = "recording_ai",
    }
}

impl ConsentType {
    pub const fn uses(self) -> &'static [Use] {
        match self {
            Self::Recording => &[Use::Recording],
            Self::Transcription => &[Use::Transcription],
            Self::RecordingAi => &[Use::Recording, Use::Transcription],
        }
    }
}

words! {
    /// What somebody says about it.
    pub enum ConsentStatus("consent status", schema "ConsentStatus") {
        Accepted = "accepted",
        Declined = "declined",
        Withdrawn = "withdrawn",
    }
}

impl ConsentStatus {
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Accepted)
    }
}

/// What entries are written as now. Version 1 had the statement itself in the chain.
pub const VERSION: i16 = 2;

const fn first_version() -> i16 {
    1
}

/// What stands for a statement in the chain: hex SHA-256 of the salt's text and the statement.
pub fn statement_hash(salt: &str, statement: &str) -> String {
    let mut sha = Sha256::new();
    sha.update(salt.as_bytes());
    sha.update(statement.as_bytes());
    hex(&sha.finalize())
}

/// The hashed content of an entry.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainEntry {
    /// Who said it: `self`, `api_key` or `system`, with the id where there is one.
    pub actor: String,
    /// Position in the meeting's chain: 1, 2, 3 …
    pub entry: i64,
    pub id: ConsentId,
    pub meeting_id: MeetingId,
    pub participant_id: ParticipantId,
    /// In the order recording, transcription.
    pub purposes: Vec<Use>,
    /// In the chain of version 1 only.
    #[serde(default)]
    pub statement: Option<String>,
    /// From version 2 on: [`statement_hash`].
    #[serde(default)]
    pub statement_hash: Option<String>,
    pub status: ConsentStatus,
    /// RFC 3339, UTC, milliseconds.
    pub timestamp: String,
    #[serde(default = "first_version")]
    pub version: i16,
}

/// Version 1. Field order is RFC 8785's; do not sort otherwise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content1<'a> {
    actor: &'a str,
    entry: i64,
    id: ConsentId,
    meeting_id: MeetingId,
    participant_id: ParticipantId,
    purposes: &'a [Use],
    statement: Option<&'a str>,
    status: ConsentStatus,
    timestamp: &'a str,
}

/// Version 2. Field order is RFC 8785's; do not sort otherwise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content2<'a> {
    actor: &'a str,
    entry: i64,
    id: ConsentId,
    meeting_id: MeetingId,
    participant_id: ParticipantId,
    purposes: &'a [Use],
    statement_hash: Option<&'a str>,
    status: ConsentStatus,
    timestamp: &'a str,
    version: i16,
}

impl ChainEntry {
    /// The RFC 8785 JSON that is hashed.
    pub fn content(&self) -> String {
        let Self {
            actor,
            entry,
            id,
            meeting_id,
            participant_id,
            purposes,
            statement,
            statement_hash,
            status,
            timestamp,
            version,
        } = self;
        let json = if *version == first_version() {
            serde_json::to_string(&Content1 {
                actor,
                entry: *entry,
                id: *id,
                meeting_id: *meeting_id,
                participant_id: *participant_id,
                purposes,
                statement: statement.as_deref(),
                status: *status,
                timestamp,
            })
        } else {
            serde_json::to_string(&Content2 {
                actor,
                entry: *entry,
                id: *id,
                meeting_id: *meeting_id,
                participant_id: *participant_id,
                purposes,
                statement_hash: statement_hash.as_deref(),
                status: *status,
                timestamp,
                version: *version,
            })
        };
        json.expect("strings, integers and lists always serialise")
    }
}

/// What entry 1 of a meeting's chain names as its predecessor.
pub fn genesis(meeting: MeetingId) -> String {
    hex(&Sha256::digest(meeting.to_string().as_bytes()))
}

/// The hash of an entry behind `prev_hash` (64 lower-case hex characters).
pub fn hash(prev_hash: &str, entry: &ChainEntry) -> String {
    let mut sha = Sha256::new();
    sha.update(prev_hash.as_bytes());
    sha.update(entry.content().as_bytes());
    hex(&sha.finalize())
}

/// Why a chain does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    #[error("entry {0} is missing or out of order")]
    Order(i64),
    #[error("entry {0} does not follow the hash before it")]
    Link(i64),
    #[error("entry {0} was changed after it was written")]
    Content(i64),
}

/// Walks a whole chain of `(entry, prev_hash, hash)`, oldest first; `Ok` gives the head's hash.
pub fn verify<'a>(
    meeting: MeetingId,
    chain: impl IntoIterator<Item = (&'a ChainEntry, &'a str, &'a str)>,
) -> Result<String, Broken> {
    let mut head = genesis(meeting);
    for (n, (entry, prev, said)) in (1..).zip(chain) {
        if entry.entry != n || entry.meeting_id != meeting {
            return Err(Broken::Order(n));
        }
        if prev != head {
            return Err(Broken::Link(n));
        }
        if hash(prev, entry) != said {
            return Err(Broken::Content(n));
        }
        head = said.to_owned();
    }
    Ok(head)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string never fails");
            text
        })
}

/// What every participant last said, per use; decided by the highest entry, never by a time stamp.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ConsentState(BTreeMap<(ParticipantId, Use), (i64, ConsentStatus)>);

impl ConsentState {
    pub fn apply(
        &mut self,
        participant: ParticipantId,
        uses: &[Use],
        entry: i64,
        status: ConsentStatus,
    ) {
        for &purpose in uses {
            let last = self
                .0
                .entry((participant, purpose))
                .or_insert((entry, status));
            if entry > last.0 {
                *last = (entry, status);
            }
        }
    }

    /// `None`: never asked, or never answered.
    pub fn get(&self, participant: ParticipantId, purpose: Use) -> Option<ConsentStatus> {
        self.0
            .get(&(participant, purpose))
            .map(|(_, status)| *status)
    }

    pub fn accepts(&self, participant: ParticipantId, purpose: Use) -> bool {
        self.get(participant, purpose)
            .is_some_and(ConsentStatus::accepts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn entry(n: i64) -> ChainEntry {
        ChainEntry {
            actor: "self".into(),
            entry: n,
            id: ConsentId(Uuid::from_u128(n as u128)),
            meeting_id: MeetingId(Uuid::from_u128(7)),
            participant_id: ParticipantId(Uuid::from_u128(9)),
            purposes: vec![Use::Recording, Use::Transcription],
            statement: Some("I agree, \"gladly\" \u{1f}é\n".into()),
            statement_hash: Some(statement_hash("salt", "I agree")),
            status: ConsentStatus::Accepted,
            timestamp: "2026-11-22T16:17:01.230Z".into(),
            // Meetings have both, where they were live during an upgrade.
            version: if n < 3 { 1 } else { VERSION },
        }
    }

    #[test]
    fn serialises_as_rfc_8785() {
        for (n, holds, not) in [
            (
                1,
                r#""statement":"I agree, \"gladly\" \u001fé\n""#,
                "statementHash",
            ),
            (3, r#""statementHash":""#, "gladly"),
        ] {
            let json = entry(n).content();
            let sorted: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(&json).expect("parses");
            assert_eq!(json, serde_json::to_string(&sorted).expect("serialises"));
            assert!(json.contains(holds) && !json.contains(not), "{json}");
        }
    }

    #[test]
    fn a_statement_can_be_erased_and_the_chain_still_holds() {
        let mut erased = chain(4);
        erased[2].0.statement = None;
        assert!(check(&erased).is_ok());
        erased[3].0.statement_hash = None;
        assert_eq!(check(&erased), Err(Broken::Content(4)));
        erased[1].0.statement = None;
        assert_eq!(check(&erased), Err(Broken::Content(2)));
        // As those who read the log over REST have it.
        let read: ChainEntry = serde_json::from_value(serde_json::json!({
            "actor": "self", "entry": 1, "id": Uuid::nil(), "meetingId": Uuid::nil(), "accepted": true,
            "participantId": Uuid::nil(), "purposes": ["recording"], "statement": null,
            "status": "accepted", "timestamp": "2026-11-22T16:17:01.230Z"
        }))
        .expect("an entry of before");
        assert_eq!(read.version, 1);
    }

    fn chain(n: i64) -> Vec<(ChainEntry, String, String)> {
        let mut head = genesis(MeetingId(Uuid::from_u128(7)));
        (1..=n)
            .map(|n| {
                let entry = entry(n);
                let prev = head.clone();
                head = hash(&prev, &entry);
                (entry, prev, head.clone())
            })
            .collect()
    }

    fn check(chain: &[(ChainEntry, String, String)]) -> Result<String, Broken> {
        verify(
            MeetingId(Uuid::from_u128(7)),
            chain.iter().map(|(e, p, h)| (e, p.as_str(), h.as_str())),
        )
    }

    #[test]
    fn a_whole_chain_verifies_and_every_change_shows() {
        let whole = chain(4);
        assert_eq!(check(&whole), Ok(whole[3].2.clone()));

        let mut edited = whole.clone();
        edited[1].0.status = ConsentStatus::Declined;
        assert_eq!(check(&edited), Err(Broken::Content(2)));

        let mut missing = whole.clone();
        missing.remove(1);
        assert_eq!(check(&missing), Err(Broken::Order(2)));

        let mut relinked = whole.clone();
        relinked[2].1 = genesis(MeetingId(Uuid::from_u128(8)));
        assert_eq!(check(&relinked), Err(Broken::Link(3)));
    }

    #[test]
    fn the_highest_entry_decides() {
        let who = ParticipantId(Uuid::from_u128(9));
        let mut state = ConsentState::default();
        state.apply(who, &[Use::Recording], 3, ConsentStatus::Withdrawn);
        state.apply(who, &[Use::Recording], 2, ConsentStatus::Accepted);
        assert_eq!(
            state.get(who, Use::Recording),
            Some(ConsentStatus::Withdrawn)
        );
        assert_eq!(state.get(who, Use::Transcription), None);
    }
}
