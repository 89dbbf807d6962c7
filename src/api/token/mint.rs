//! How each kind of token is made.

use super::{
    JOIN_TTL_S, Keys, Minted, Subject, TokenUse,
    claims::{Claims, Kind},
};
use crate::domain::id::{MeetingId, TenantId, UserId};
use chrono::{DateTime, TimeDelta, Utc};

impl Keys {
    /// For `join_room`, and the participant's REST calls. `subject.minted` is ignored: it is `now`.
    pub fn mint_join(&self, subject: Subject, now: DateTime<Utc>) -> Minted {
        let mut claims = of_participant(Kind::Join, subject, now);
        claims.role = Some(subject.role);
        self.sign_for(Kind::Join, claims, JOIN_TTL_S, now)
    }

    /// For `join_room` again, while the participant is present.
    pub fn mint_resume(&self, subject: Subject, now: DateTime<Utc>) -> String {
        let mut claims = of_participant(Kind::Resume, subject, now);
        claims.role = Some(subject.role);
        self.sign(Kind::Resume, &claims)
    }

    /// For the participant's own consent entries, nothing else.
    pub fn mint_consent(&self, subject: Subject, now: DateTime<Utc>) -> String {
        let claims = of_participant(Kind::Consent, subject, now);
        self.sign(Kind::Consent, &claims)
    }

    /// For a host's pages; `ttl_s` is brought between 1 and
    /// [`SESSION_TTL_S_MAX`](super::SESSION_TTL_S_MAX).
    pub fn mint_session(
        &self,
        tenant: TenantId,
        user: UserId,
        ttl_s: i64,
        now: DateTime<Utc>,
    ) -> Minted {
        let claims = Claims::new(Kind::Session, user.0, tenant, now);
        self.sign_for(Kind::Session, claims, ttl_s, now)
    }

    /// To publish by WHIP as the participant, nothing else; `ttl_s` is brought between 1 and
    /// [`WHIP_TTL_S_MAX`](super::WHIP_TTL_S_MAX).
    pub fn mint_whip(&self, subject: Subject, ttl_s: i64, now: DateTime<Utc>) -> Minted {
        let claims = of_participant(Kind::Whip, subject, now);
        self.sign_for(Kind::Whip, claims, ttl_s, now)
    }

    /// To read one meeting, in this way only; `ttl_s` is brought between 1 and
    /// [`MEETING_TTL_S_MAX`](super::MEETING_TTL_S_MAX).
    pub fn mint_reader(
        &self,
        purpose: TokenUse,
        tenant: TenantId,
        meeting: MeetingId,
        ttl_s: i64,
        now: DateTime<Utc>,
    ) -> Minted {
        let kind = Kind::from(purpose);
        let claims = Claims::new(kind, meeting.0, tenant, now);
        self.sign_for(kind, claims, ttl_s, now)
    }

    /// A token that ends by itself, no later than its kind may.
    fn sign_for(&self, kind: Kind, mut claims: Claims, ttl_s: i64, now: DateTime<Utc>) -> Minted {
        let ttl_s = ttl_s.clamp(1, kind.ttl_s_max().expect("its kind ends by itself"));
        let exp = now.timestamp() + ttl_s;
        claims.exp = Some(exp);
        Minted {
            token: self.sign(kind, &claims),
            expires: DateTime::from_timestamp(exp, 0).unwrap_or(now + TimeDelta::seconds(ttl_s)),
        }
    }

    fn sign(&self, kind: Kind, claims: &Claims) -> String {
        let key = self
            .0
            .iter()
            .find(|key| key.kind == kind)
            .expect("every kind has a key");
        jsonwebtoken::encode(&key.header, claims, &key.sign)
            .expect("our claims serialise and the key fits HS256")
    }
}

fn of_participant(kind: Kind, subject: Subject, now: DateTime<Utc>) -> Claims {
    let mut claims = Claims::new(kind, subject.participant.0, subject.tenant, now);
    claims.meeting = Some(subject.meeting);
    claims
}
