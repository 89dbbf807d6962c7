//! What the holder of a meeting says to a participant about its peer connection: never durable, and
//! for nobody else.

use crate::{
    event::data,
    id::{ParticipantId, StreamId},
    stream::{MediaKind, MediaSource},
    word::words,
};
use serde::Serialize;
use serde_json::Value;

words! {
    /// What a client shall do about its media.
    pub enum MediaAction(
        "action about media",
        schema "MediaAction": "What to do: `offer` a new peer connection, as the one before ended with its process."
    ) {
        Offer = "offer",
    }
}

/// The data of `answer`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OfferAnswered {
    pub sdp: String,
    /// Of the worker that answers.
    pub epoch: i64,
    pub tracks: Vec<PeerTrack>,
}

/// A media section of a peer connection that is a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeerTrack {
    pub mid: String,
    pub stream_id: StreamId,
    pub kind: MediaKind,
    pub source: MediaSource,
}

/// The data of the server's `offer`: what of the others is sent, and to be answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OfferMade {
    pub sdp: String,
    /// For its answer.
    pub id: String,
    /// Of the worker that offers.
    pub epoch: i64,
    pub tracks: Vec<OfferedTrack>,
}

/// A media section of a server's offer, and what of whom it carries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OfferedTrack {
    pub mid: String,
    pub participant_id: ParticipantId,
    pub kind: MediaKind,
    pub source: MediaSource,
}

/// The data of `media`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MediaRequest {
    /// Of the worker that says it.
    pub epoch: i64,
    pub action: MediaAction,
}

words! {
    /// Why a picture is not sent on.
    pub enum PauseReason(
        "reason of a pause",
        schema "PauseReason": "Why a picture is not sent: `bandwidth`, the way to this participant has no room for it."
    ) {
        Bandwidth = "bandwidth",
    }
}

/// The data of `video_paused`: all that is not sent to this participant now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VideoPaused {
    /// Of the worker that says it.
    pub epoch: i64,
    pub paused: Vec<PausedVideo>,
}

/// A picture of another participant that is not sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PausedVideo {
    pub participant_id: ParticipantId,
    pub source: MediaSource,
    pub reason: PauseReason,
}

/// One of them, with its name in the envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerMessage {
    Answer(OfferAnswered),
    Offer(OfferMade),
    Media(MediaRequest),
    VideoPaused(VideoPaused),
}

impl PeerMessage {
    pub const ANSWER: &'static str = "answer";
    pub const OFFER: &'static str = "offer";
    pub const MEDIA: &'static str = "media";
    pub const VIDEO_PAUSED: &'static str = "video_paused";

    /// The envelope's `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Answer(_) => Self::ANSWER,
            Self::Offer(_) => Self::OFFER,
            Self::Media(_) => Self::MEDIA,
            Self::VideoPaused(_) => Self::VIDEO_PAUSED,
        }
    }

    /// The envelope's `data`.
    pub fn data(&self) -> Value {
        match self {
            Self::Answer(answered) => data(answered),
            Self::Offer(made) => data(made),
            Self::Media(asked) => data(asked),
            Self::VideoPaused(paused) => data(paused),
        }
    }
}
