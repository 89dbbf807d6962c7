//! The permission table: which credential allows which operation, and on which meetings.

use super::{
    auth::{Caller, Who},
    problem::Problem,
    token::Subject,
};
use crate::{
    domain::{
        admission, deletion::Deletable, id::MeetingId, meeting::MeetingStatus, participant::Role,
        redaction::may_wish,
    },
    store::{
        Tx, deletion,
        meeting::{self, Meeting},
        participant,
    },
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    CreateMeeting,
    ListMeetings,
    ReadMeeting,
    ReadInvitation,
    ReadParticipants,
    CreateUser,
    CreateSession,
    Erase,
    ReadPersonalData,
    ReadProfile,
    Join,
    Streams,
    /// Publish by WHIP.
    Whip,
    /// Mint a token for it.
    WhipToken,
    EndMeeting,
    ChangeMeeting,
    RemoveParticipant,
    Links,
    /// Mint a token that reads one meeting.
    MeetingToken,
    GiveConsent,
    ReadConsents,
    ReadRecordings,
    RetryRecording,
    Delete,
    Redact,
    RestoreRecording,
    ReadTranscript,
    /// What a transcript said before it was edited.
    ReadRevisions,
    EditTranscript,
    Glossary,
    Tenant,
    Hold,
}

/// What a kind of credential allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    No,
    /// What is the caller's own: the meeting it hosts, joined or was invited to; itself.
    Own,
    /// Everything of the tenant.
    All,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub operation: Operation,
    pub server: Right,
    pub host: Right,
    pub participant: Right,
    /// A join or resume token with role `host`.
    pub participant_host: Right,
    pub consenting: Right,
    pub guest: Right,
    pub publishing: Right,
    pub observing: Right,
    pub playing: Right,
}

const fn row(operation: Operation, rights: [Right; 9]) -> Row {
    let [
        server,
        host,
        participant,
        participant_host,
        consenting,
        guest,
        publishing,
        observing,
        playing,
    ] = rights;
    Row {
        operation,
        server,
        host,
        participant,
        participant_host,
        consenting,
        guest,
        publishing,
        observing,
        playing,
    }
}

use Right::{All, No, Own};

/// The contract's table. The permission tests are generated from it.
// One line each: it is read by column.
#[rustfmt::skip]
pub const TABLE: [Row; 32] = [
    //                                 server  host  participant  (host)  consenting  guest
    //                                 publishing  observing  playing
    row(Operation::CreateMeeting,     [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::ListMeetings,      [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::ReadMeeting,       [All,    Own,  Own,         Own,    No,         No,    No,         Own,       Own]),
    row(Operation::ReadInvitation,    [All,    Own,  Own,         Own,    No,         Own,   No,         Own,       No]),
    row(Operation::ReadParticipants,  [All,    Own,  Own,         Own,    No,         No,    No,         Own,       Own]),
    row(Operation::CreateUser,        [All,    No,   No,          No,     No,         No,    No,         No,        No]),
    row(Operation::CreateSession,     [All,    No,   No,          No,     No,         No,    No,         No,        No]),
    row(Operation::Erase,             [All,    No,   No,          No,     No,         No,    No,         No,        No]),
    row(Operation::ReadPersonalData,  [All,    No,   No,          No,     No,         No,    No,         No,        No]),
    row(Operation::ReadProfile,       [All,    Own,  Own,         Own,    No,         No,    No,         No,        No]),
    row(Operation::Join,              [All,    Own,  No,          No,     No,         Own,   No,         No,        No]),
    row(Operation::Streams,           [All,    Own,  Own,         Own,    No,         No,    No,         No,        No]),
    row(Operation::Whip,              [No,     No,   No,          No,     No,         No,    Own,        No,        No]),
    row(Operation::WhipToken,         [All,    Own,  Own,         Own,    No,         No,    No,         No,        No]),
    row(Operation::ChangeMeeting,     [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::EndMeeting,        [All,    Own,  No,          Own,    No,         No,    No,         No,        No]),
    row(Operation::RemoveParticipant, [All,    Own,  No,          Own,    No,         No,    No,         No,        No]),
    row(Operation::Links,             [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::MeetingToken,      [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::GiveConsent,       [All,    Own,  Own,         Own,    Own,        No,    No,         No,        No]),
    row(Operation::ReadConsents,      [All,    Own,  Own,         Own,    Own,        No,    No,         No,        No]),
    row(Operation::ReadRecordings,    [All,    Own,  No,          No,     No,         No,    No,         No,        Own]),
    row(Operation::RetryRecording,    [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::Delete,            [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::Redact,            [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::RestoreRecording,  [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::ReadTranscript,    [All,    Own,  No,          No,     No,         No,    No,         No,        Own]),
    row(Operation::ReadRevisions,     [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::EditTranscript,    [All,    Own,  No,          No,     No,         No,    No,         No,        No]),
    row(Operation::Glossary,          [All,    No,   No,          No,     No,         No,    No,         No,        No]),
    row(Operation::Tenant,            [All,    No,   No,          No,     No,         No,    No,         No,        No]),
    row(Operation::Hold,              [All,    No,   No,          No,     No,         No,    No,         No,        No]),
];

/// What the caller may do, whatever the meeting.
pub fn right(caller: &Caller, operation: Operation) -> Right {
    let row = TABLE.iter().find(|row| row.operation == operation);
    let Some(row) = row else { return No };
    match caller.who {
        Who::Server { .. } => row.server,
        Who::Host(_) => row.host,
        Who::Guest { .. } => row.guest,
        Who::Joined(Subject {
            role: Role::Host, ..
        })
        | Who::Resumed(Subject {
            role: Role::Host, ..
        }) => row.participant_host,
        Who::Joined(_) | Who::Resumed(_) => row.participant,
        Who::Consenting(_) => row.consenting,
        Who::Publishing(_) => row.publishing,
        Who::Observing(_) => row.observing,
        Who::Playing(_) => row.playing,
    }
}

/// 403 unless the caller may do it at all.
pub fn at_all(caller: &Caller, operation: Operation) -> Result<Right, Problem> {
    match right(caller, operation) {
        No => Err(Problem::forbidden("this credential does not allow it")),
        right => Ok(right),
    }
}

/// The meeting, when the caller may do this with it. In a transaction of the caller's tenant:
/// another tenant's meeting is not there (404), one's own that is not allowed is 403.
pub async fn on_meeting(
    tx: &mut Tx,
    caller: &Caller,
    operation: Operation,
    id: MeetingId,
    now: DateTime<Utc>,
) -> Result<Meeting, Problem> {
    let found = meeting::of(tx, caller.tenant, id).await?;
    if let Some(subject) = caller.subject() {
        stands(tx, caller, subject, now).await?;
    }
    let meeting = found.ok_or_else(|| Problem::not_found("meeting"))?;
    let own = match caller.who {
        Who::Server { .. } => false,
        Who::Host(user) => meeting.hosted_by(user),
        Who::Guest { meeting, .. } => meeting == id,
        Who::Joined(subject)
        | Who::Resumed(subject)
        | Who::Consenting(subject)
        | Who::Publishing(subject) => subject.meeting == id,
        Who::Observing(reader) | Who::Playing(reader) => reader.meeting == id,
    };
    match right(caller, operation) {
        All => {}
        Own if own => {}
        _ => {
            return Err(Problem::forbidden("this credential does not allow it here"));
        }
    }
    is_there(tx, operation, &meeting).await?;
    Ok(meeting)
}

/// 410 when what the operation is about was deleted. The ConsentLog never is, and deleting again is
/// no error.
async fn is_there(tx: &mut Tx, operation: Operation, meeting: &Meeting) -> Result<(), Problem> {
    let what: &[Deletable] = match operation {
        Operation::Delete | Operation::ReadConsents | Operation::GiveConsent => return Ok(()),
        // What is live cannot be deleted.
        _ if meeting.status == MeetingStatus::Live => return Ok(()),
        Operation::ReadTranscript | Operation::ReadRevisions | Operation::EditTranscript => {
            &[Deletable::Meeting, Deletable::Transcript]
        }
        _ => &[Deletable::Meeting],
    };
    for what in what {
        let id = meeting.id();
        if let Some(deleted) = deletion::tombstone(tx, id, *what, id.0).await? {
            return Err(Problem::deleted(deleted));
        }
    }
    Ok(())
}

/// 401 unless the participant behind a token is still one that the token is good for.
pub async fn stands(
    conn: &mut PgConnection,
    caller: &Caller,
    subject: Subject,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if let Who::Consenting(_) = caller.who {
        let ended = meeting::of(conn, caller.tenant, subject.meeting)
            .await?
            .and_then(|meeting| meeting.end_time);
        // As long as it can wish for anything.
        return if may_wish(ended, now) {
            Ok(())
        } else {
            Err(Problem::unauthorized(
                "the meeting ended more than 30 days ago",
            ))
        };
    }
    let participant = participant::get(conn, subject.meeting, subject.participant)
        .await?
        .ok_or_else(|| Problem::unauthorized("the participant is no more"))?;
    if !admission::token_stands(&participant.record(), subject.minted) {
        return Err(Problem::unauthorized(
            "the participant was removed, or the user erased: its tokens are void",
        ));
    }
    if matches!(caller.who, Who::Resumed(_)) && !participant.present {
        return Err(Problem::unauthorized(
            "the participant is no longer present: its resume token is void",
        ));
    }
    Ok(())
}
