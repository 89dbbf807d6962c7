//! What each kind of token has signed: exactly these claims.

use super::{Refused, Subject, minted};
use crate::domain::{
    id::{MeetingId, ParticipantId, TenantId, UserId},
    participant::Role,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: ParticipantId,
    pub(super) exp: i64,
    pub(super) nbf: i64,
    pub(super) jti: Uuid,
    pub(super) tenant: TenantId,
    pub(super) meeting: MeetingId,
    pub(super) role: Role,
    pub(super) minted: i64,
}

impl JoinClaims {
    pub(super) fn subject(self) -> Result<Subject, Refused> {
        let minted = minted(self.minted)?;
        let Self {
            tenant,
            meeting,
            sub: participant,
            role,
            ..
        } = self;
        Ok(Subject {
            tenant,
            meeting,
            participant,
            role,
            minted,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: ParticipantId,
    pub(super) nbf: i64,
    pub(super) jti: Uuid,
    pub(super) tenant: TenantId,
    pub(super) meeting: MeetingId,
    pub(super) role: Role,
    pub(super) minted: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: ParticipantId,
    pub(super) jti: Uuid,
    pub(super) tenant: TenantId,
    pub(super) meeting: MeetingId,
    pub(super) minted: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: UserId,
    pub(super) exp: i64,
    pub(super) nbf: i64,
    pub(super) jti: Uuid,
    pub(super) tenant: TenantId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhipClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: ParticipantId,
    pub(super) exp: i64,
    pub(super) nbf: i64,
    pub(super) jti: Uuid,
    pub(super) tenant: TenantId,
    pub(super) meeting: MeetingId,
    pub(super) minted: i64,
}

/// Of a token that reads one meeting; `aud` says how.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeetingClaims {
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) sub: MeetingId,
    pub(super) exp: i64,
    pub(super) nbf: i64,
    pub(super) jti: Uuid,
    pub(super) tenant: TenantId,
    pub(super) minted: i64,
}
