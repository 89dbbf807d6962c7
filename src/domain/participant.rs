//! A participant as everybody in the meeting sees it.

use crate::{
    consent::{ConsentStatus, Use},
    id::{ParticipantId, StreamId, UserId},
    stream::{CloseReason, MediaKind, MediaReason, MediaSource, StreamMedia, StreamState},
    wire_time::wire_time_or_null,
    word::words,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

words! {
    /// What a participant may do in its meeting.
    pub enum Role("role", schema "Role": "A role in a meeting.") {
        /// May also end the meeting and remove others.
        Host = "host",
        Participant = "participant",
    }
}

words! {
    /// Why somebody was removed.
    pub enum Removal("removal", schema "Removed": "How somebody was removed.") {
        /// By host or server: joining again is refused.
        Request = "request",
        /// By policy `required`: joining again works, with consent.
        Required = "required",
    }
}

/// What somebody last said about each use; `None`: nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Answers {
    pub recording: Option<ConsentStatus>,
    pub transcription: Option<ConsentStatus>,
}

impl Answers {
    pub const fn to(&self, purpose: Use) -> Option<ConsentStatus> {
        match purpose {
            Use::Recording => self.recording,
            Use::Transcription => self.transcription,
        }
    }

    pub fn accepts(&self, purpose: Use) -> bool {
        self.to(purpose).is_some_and(ConsentStatus::accepts)
    }
}

/// Since when somebody says that about each use; `None`: nothing was said.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnswersSince {
    #[serde(serialize_with = "wire_time_or_null")]
    pub recording: Option<DateTime<Utc>>,
    #[serde(serialize_with = "wire_time_or_null")]
    pub transcription: Option<DateTime<Utc>>,
}

/// The data of `participant_joined`, `participant_left` and `participant_updated`, and one of
/// `joined.participants`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Person {
    pub id: ParticipantId,
    #[serde(rename = "userId")]
    pub user: UserId,
    pub display_name: String,
    pub role: Role,
    #[serde(serialize_with = "wire_time_or_null")]
    pub joined_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "wire_time_or_null")]
    pub left_at: Option<DateTime<Utc>>,
    pub present: bool,
    pub removed: Option<Removal>,
    /// Join and resume tokens minted before this are void.
    #[serde(skip)]
    pub tokens_from: Option<DateTime<Utc>>,
    pub consent: Answers,
    pub consent_since: AnswersSince,
    pub streams: Vec<StreamSeen>,
}

/// A stream as everybody in the meeting sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StreamSeen {
    pub stream_id: StreamId,
    pub kind: MediaKind,
    pub source: MediaSource,
    /// Open or closed.
    pub state: StreamState,
    pub reason: Option<CloseReason>,
    /// Null once closed.
    pub media: Option<StreamMedia>,
    pub media_reason: Option<MediaReason>,
    /// Its sender says that it is silent on purpose.
    pub muted: bool,
    /// Where its media is received, while it is open. Not for everybody: see [`seen_by`].
    pub address: Option<Address>,
}

/// Where a stream's media is sent to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Address {
    pub ip: String,
    pub port: i32,
}

/// The data of a `participant_…` event, or of one of `joined.participants`, for a participant's
/// sockets (`None`: an observer's): where media is received is told to its sender and to observers
/// only.
pub fn seen_by(whom: Option<ParticipantId>, mut data: Value) -> Value {
    let own = whom.is_none_or(|whom| data["id"] == json!(whom));
    // An event that tells of no streams stays as it is.
    let streams = data.get_mut("streams").and_then(Value::as_array_mut);
    if let Some(streams) = streams.filter(|_| !own) {
        for stream in streams.iter_mut().filter_map(Value::as_object_mut) {
            stream.remove("address");
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_address_is_for_its_sender_and_observers() {
        let who = ParticipantId(Uuid::from_u128(1));
        let data =
            json!({"id": who, "streams": [{"state": "open", "address": {"ip": "::1", "port": 9}}]});
        for (whom, shown) in [
            (None, true),
            (Some(who), true),
            (Some(ParticipantId(Uuid::from_u128(2))), false),
        ] {
            let seen = seen_by(whom, data.clone());
            assert_eq!(seen["streams"][0].get("address").is_some(), shown);
        }
    }
}
