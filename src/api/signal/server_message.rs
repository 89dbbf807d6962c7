//! What a server says on a socket by itself: answers, and that it goes. Events and what the worker
//! says come from `domain`.

use crate::{
    api::ice::IceServer,
    domain::{
        error_code::ErrorCode,
        event::RecordingReport,
        id::ParticipantId,
        participant::{Answers, Person},
    },
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub const JOINED: &str = "joined";
pub const ERROR: &str = "error";
pub const PONG: &str = "pong";
pub const MUTE: &str = "mute";
pub const DRAINING: &str = "server_draining";

/// The data of `joined`: the meeting at the instant of joining. What came after `lastSeq` follows.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Joined)]
pub struct JoinedData {
    /// Null for observers, as are `consent` and the tokens.
    pub participant_id: Option<ParticipantId>,
    /// Who is or was there.
    #[schema(value_type = Vec<Person>)]
    pub participants: Vec<Value>,
    pub consent: Option<Answers>,
    #[schema(value_type = RecordingReport)]
    pub recording: Value,
    pub ice_servers: Vec<IceServer>,
    /// For `join_room` again, while the participant is present.
    pub resume_token: Option<String>,
    /// For own consent entries, and to join again by link.
    pub consent_token: Option<String>,
    /// The last durable event before this.
    pub seq: i64,
}

/// The data of `error`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorData {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

/// The data of `server_draining`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(as = ServerDraining)]
pub struct DrainingData {
    pub action: DrainingAction,
}

/// What to do: open a socket elsewhere and resume.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrainingAction {
    Reconnect,
}
