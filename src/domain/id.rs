//! Identifiers. Each is a UUIDv7 in a type of its own, so that a meeting's id can never stand where
//! a stream's belongs. Making a new id reads a clock, so that happens in the shells, never here.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id! {
    /// An organisation whose data is apart from all others'.
    TenantId,
    /// A person known to a tenant.
    UserId,
    /// A meeting; the shard key of everything in it.
    MeetingId,
    /// One user in one meeting, however often it joins.
    ParticipantId,
    /// One RTP stream (one SSRC on one port).
    StreamId,
    /// A file that a host can retrieve: a mix or a track.
    RecordingId,
    /// One caption, from its first partial to its final.
    SegmentId,
    /// An entry of the ConsentLog.
    ConsentId,
    /// A row of `jobs`.
    JobId,
}

/// A request with an `Idempotency-Key`. Equal requests are equal in all four.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub tenant: TenantId,
    /// Method, path and caller.
    pub route: String,
    pub key: String,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
}
