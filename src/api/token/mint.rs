//! How each kind of token is made.

use super::{
    ISSUER, JOIN_TTL_S, Keys, Kind, MEETING_TTL_S_MAX, Minted, SESSION_TTL_S_MAX, Subject,
    WHIP_TTL_S_MAX,
    claims::{ConsentClaims, JoinClaims, MeetingClaims, ResumeClaims, SessionClaims, WhipClaims},
};
use crate::domain::id::{MeetingId, TenantId, UserId};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

impl Keys {
    /// For `join_room`, and the participant's REST calls. `subject.minted` is ignored: it is `now`.
    pub fn mint_join(&self, subject: Subject, now: DateTime<Utc>) -> Minted {
        let (exp, expires) = end(now, JOIN_TTL_S);
        let claims = JoinClaims {
            iss: ISSUER.into(),
            aud: Kind::Join.as_str().into(),
            sub: subject.participant,
            exp,
            nbf: now.timestamp(),
            jti: Uuid::now_v7(),
            tenant: subject.tenant,
            meeting: subject.meeting,
            role: subject.role,
            minted: now.timestamp_millis(),
        };
        Minted {
            token: self.sign(Kind::Join, &claims),
            expires,
        }
    }

    /// For `join_room` again, while the participant is present.
    pub fn mint_resume(&self, subject: Subject, now: DateTime<Utc>) -> String {
        self.sign(
            Kind::Resume,
            &ResumeClaims {
                iss: ISSUER.into(),
                aud: Kind::Resume.as_str().into(),
                sub: subject.participant,
                nbf: now.timestamp(),
                jti: Uuid::now_v7(),
                tenant: subject.tenant,
                meeting: subject.meeting,
                role: subject.role,
                minted: now.timestamp_millis(),
            },
        )
    }

    /// For the participant's own consent entries, nothing else.
    pub fn mint_consent(&self, subject: Subject, now: DateTime<Utc>) -> String {
        self.sign(
            Kind::Consent,
            &ConsentClaims {
                iss: ISSUER.into(),
                aud: Kind::Consent.as_str().into(),
                sub: subject.participant,
                jti: Uuid::now_v7(),
                tenant: subject.tenant,
                meeting: subject.meeting,
                minted: now.timestamp_millis(),
            },
        )
    }

    /// For a host's pages; `ttl_s` is brought between 1 and [`SESSION_TTL_S_MAX`].
    pub fn mint_session(
        &self,
        tenant: TenantId,
        user: UserId,
        ttl_s: i64,
        now: DateTime<Utc>,
    ) -> Minted {
        let (exp, expires) = end(now, ttl_s.clamp(1, SESSION_TTL_S_MAX));
        let claims = SessionClaims {
            iss: ISSUER.into(),
            aud: Kind::Session.as_str().into(),
            sub: user,
            exp,
            nbf: now.timestamp(),
            jti: Uuid::now_v7(),
            tenant,
        };
        Minted {
            token: self.sign(Kind::Session, &claims),
            expires,
        }
    }

    /// To publish by WHIP as the participant, nothing else; `ttl_s` is brought between 1 and
    /// [`WHIP_TTL_S_MAX`].
    pub fn mint_whip(&self, subject: Subject, ttl_s: i64, now: DateTime<Utc>) -> Minted {
        let (exp, expires) = end(now, ttl_s.clamp(1, WHIP_TTL_S_MAX));
        let claims = WhipClaims {
            iss: ISSUER.into(),
            aud: Kind::Whip.as_str().into(),
            sub: subject.participant,
            exp,
            nbf: now.timestamp(),
            jti: Uuid::now_v7(),
            tenant: subject.tenant,
            meeting: subject.meeting,
            minted: now.timestamp_millis(),
        };
        Minted {
            token: self.sign(Kind::Whip, &claims),
            expires,
        }
    }

    /// To hear what is told of one meeting; `ttl_s` is brought between 1 and [`MEETING_TTL_S_MAX`].
    pub fn mint_observe(
        &self,
        tenant: TenantId,
        meeting: MeetingId,
        ttl_s: i64,
        now: DateTime<Utc>,
    ) -> Minted {
        self.mint_reader(Kind::Observe, tenant, meeting, ttl_s, now)
    }

    /// To play and read what one meeting left; `ttl_s` is brought between 1 and
    /// [`MEETING_TTL_S_MAX`].
    pub fn mint_play(
        &self,
        tenant: TenantId,
        meeting: MeetingId,
        ttl_s: i64,
        now: DateTime<Utc>,
    ) -> Minted {
        self.mint_reader(Kind::Play, tenant, meeting, ttl_s, now)
    }

    pub(super) fn mint_reader(
        &self,
        kind: Kind,
        tenant: TenantId,
        meeting: MeetingId,
        ttl_s: i64,
        now: DateTime<Utc>,
    ) -> Minted {
        let (exp, expires) = end(now, ttl_s.clamp(1, MEETING_TTL_S_MAX));
        let claims = MeetingClaims {
            iss: ISSUER.into(),
            aud: kind.as_str().into(),
            sub: meeting,
            exp,
            nbf: now.timestamp(),
            jti: Uuid::now_v7(),
            tenant,
            minted: now.timestamp_millis(),
        };
        Minted {
            token: self.sign(kind, &claims),
            expires,
        }
    }

    fn sign<T: Serialize>(&self, kind: Kind, claims: &T) -> String {
        let key = self
            .0
            .iter()
            .find(|key| key.kind == kind)
            .expect("every kind has a key");
        jsonwebtoken::encode(&key.header, claims, &key.sign)
            .expect("our claims serialise and the key fits HS256")
    }
}

fn end(now: DateTime<Utc>, ttl_s: i64) -> (i64, DateTime<Utc>) {
    let exp = now.timestamp() + ttl_s;
    (
        exp,
        DateTime::from_timestamp(exp, 0).unwrap_or(now + TimeDelta::seconds(ttl_s)),
    )
}
