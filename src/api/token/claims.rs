//! What each kind of token has signed: exactly these claims.

use super::{
    ISSUER, JOIN_TTL_S, LEEWAY_S, MEETING_TTL_S_MAX, Reader, Refused, SESSION_TTL_S_MAX, Session,
    Subject, WHIP_TTL_S_MAX,
};
use crate::{
    api::body::present,
    domain::{
        id::{MeetingId, ParticipantId, TenantId, UserId},
        participant::Role,
    },
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Join,
    Resume,
    Consent,
    Session,
    Whip,
    Observe,
    Play,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Join,
        Self::Resume,
        Self::Consent,
        Self::Session,
        Self::Whip,
        Self::Observe,
        Self::Play,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Resume => "resume",
            Self::Consent => "consent",
            Self::Session => "session",
            Self::Whip => "whip",
            Self::Observe => "observe",
            Self::Play => "play",
        }
    }

    /// The claims beside those of every token.
    pub(super) const fn claims(self) -> &'static [&'static str] {
        match self {
            Self::Join => &["exp", "nbf", "meeting", "role", "minted"],
            Self::Resume => &["nbf", "meeting", "role", "minted"],
            Self::Consent => &["meeting", "minted"],
            Self::Session => &["exp", "nbf"],
            Self::Whip => &["exp", "nbf", "meeting", "minted"],
            Self::Observe | Self::Play => &["exp", "nbf", "minted"],
        }
    }

    /// The longest life of a token that ends by itself, in seconds.
    pub(super) const fn ttl_s_max(self) -> Option<i64> {
        match self {
            Self::Join => Some(JOIN_TTL_S),
            Self::Session => Some(SESSION_TTL_S_MAX),
            Self::Whip => Some(WHIP_TTL_S_MAX),
            Self::Observe | Self::Play => Some(MEETING_TTL_S_MAX),
            Self::Resume | Self::Consent => None,
        }
    }
}

/// The claims of every kind; [`Kind::claims`] says which of the optional ones there have to be. One
/// that is there has a value: null is none.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    /// A participant, a user, or the meeting that is read.
    sub: Uuid,
    jti: Uuid,
    tenant: TenantId,
    #[serde(default, deserialize_with = "present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meeting: Option<MeetingId>,
    #[serde(default, deserialize_with = "present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<Role>,
    #[serde(default, deserialize_with = "present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    minted: Option<i64>,
}

impl Claims {
    /// Minted now. What only some kinds have, apart from the times of minting, is the caller's to
    /// add.
    pub(super) fn new(kind: Kind, sub: Uuid, tenant: TenantId, now: DateTime<Utc>) -> Self {
        let has = |name| kind.claims().contains(&name);
        Self {
            iss: ISSUER.into(),
            aud: kind.as_str().into(),
            sub,
            jti: Uuid::now_v7(),
            tenant,
            exp: None,
            nbf: has("nbf").then(|| now.timestamp()),
            meeting: None,
            role: None,
            minted: has("minted").then(|| now.timestamp_millis()),
        }
    }

    /// Those of the optional claims that are there.
    fn names(&self) -> Vec<&'static str> {
        [
            ("exp", self.exp.is_some()),
            ("nbf", self.nbf.is_some()),
            ("meeting", self.meeting.is_some()),
            ("role", self.role.is_some()),
            ("minted", self.minted.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect()
    }

    /// Whether they are those of a token of this kind that is good now.
    pub(super) fn check(&self, kind: Kind, now: DateTime<Utc>) -> Result<(), Refused> {
        if self.iss != ISSUER || self.aud != kind.as_str() || self.names() != kind.claims() {
            return Err(Refused::Claims);
        }
        if self.nbf.is_some_and(|nbf| nbf > now.timestamp() + LEEWAY_S) {
            return Err(Refused::Early);
        }
        if let (Some(nbf), Some(exp), Some(ttl_s_max)) = (self.nbf, self.exp, kind.ttl_s_max()) {
            match exp.checked_sub(nbf) {
                Some(ttl) if (1..=ttl_s_max).contains(&ttl) => {}
                _ => return Err(Refused::Claims),
            }
            if exp <= now.timestamp() - LEEWAY_S {
                return Err(Refused::Expired);
            }
        }
        Ok(())
    }

    pub(super) fn subject(&self) -> Result<Subject, Refused> {
        Ok(Subject {
            tenant: self.tenant,
            meeting: self.meeting.ok_or(Refused::Claims)?,
            participant: ParticipantId(self.sub),
            role: self.role.unwrap_or(Role::Participant),
            minted: self.minted()?,
        })
    }

    pub(super) fn session(&self) -> Result<Session, Refused> {
        Ok(Session {
            tenant: self.tenant,
            user: UserId(self.sub),
            expires: self.expires()?,
        })
    }

    pub(super) fn reader(&self) -> Result<Reader, Refused> {
        Ok(Reader {
            tenant: self.tenant,
            meeting: MeetingId(self.sub),
            minted: self.minted()?,
            expires: self.expires()?,
        })
    }

    fn minted(&self) -> Result<DateTime<Utc>, Refused> {
        self.minted
            .and_then(DateTime::from_timestamp_millis)
            .ok_or(Refused::Claims)
    }

    fn expires(&self) -> Result<DateTime<Utc>, Refused> {
        self.exp
            .and_then(|exp| DateTime::from_timestamp(exp, 0))
            .ok_or(Refused::Claims)
    }
}
