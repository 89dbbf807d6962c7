//! Who a caller is: tokens that carry it signed, and secrets that a hash at rest is compared with.
//!
//! | credential | form | ends |
//! |---|---|---|
//! | API key `hk_…`, link `hl_…`, session code `hc_…` | 32 random bytes; SHA-256 at rest | its row says |
//! | join token | JWT | ≤ 10 minutes; void after a removal |
//! | resume token | JWT | when its participant is no longer present |
//! | consent token | JWT | never; `end_time` decides where it can be read |
//! | session token | JWT | ≤ 28800 s |
//! | WHIP token | JWT | ≤ 86400 s; void after a removal |
//! | observe token, play token | JWT | ≤ 3600 s |
//!
//! Every JWT is HS256 with exactly the header and the claims of its kind: no other algorithm,
//! header or claim, missing or additional, is accepted. Each kind has its own key, derived from
//! `HANSARD_SECRET`, and names it in `kid`.

mod claims;
mod mint;

use super::secret::Secret;
use crate::{
    domain::{
        id::{MeetingId, ParticipantId, TenantId, UserId},
        participant::Role,
    },
    store::seal::{self, SealError},
};
use chrono::{DateTime, Utc};
use claims::{Claims, Kind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;
use utoipa::ToSchema;

/// The cookie that opening a session's `url` sets.
pub const COOKIE: &str = "hansard_session";

/// Allowed difference between two processes' clocks, in seconds.
pub const LEEWAY_S: i64 = 5;
/// The longest life of a join token, in seconds.
pub const JOIN_TTL_S: i64 = 600;
/// The longest life of a session token, in seconds.
pub const SESSION_TTL_S_MAX: i64 = 28_800;
/// The longest life of a token that publishes by WHIP, in seconds.
pub const WHIP_TTL_S_MAX: i64 = 86_400;
/// The longest life of a token that reads one meeting, in seconds.
pub const MEETING_TTL_S_MAX: i64 = 3600;
/// No token of ours is longer; a longer one is not looked at.
pub const TOKEN_BYTES_MAX: usize = 2048;

const ISSUER: &str = "hansard";

/// What a credential proves. Rows (revoked keys, removed participants, ended meetings) are the
/// caller's to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credential {
    /// SHA-256 of the whole key.
    ApiKey([u8; 32]),
    /// SHA-256 of the whole secret.
    Link([u8; 32]),
    Join(Subject),
    Resume(Subject),
    Consent(Subject),
    Session(Session),
    /// Publishes by WHIP, as this participant.
    Whip(Subject),
    /// Hears what is told of this meeting, and is nobody in it.
    Observe(Reader),
    /// Plays and reads what this meeting left.
    Play(Reader),
}

/// A participant in its meeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    pub participant: ParticipantId,
    /// [`Role::Participant`] in a consent or WHIP token, which gives no other right.
    pub role: Role,
    /// When the token was minted; after a removal, join, resume and WHIP tokens minted before it
    /// are void.
    pub minted: DateTime<Utc>,
}

/// A host's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    pub tenant: TenantId,
    pub user: UserId,
    pub expires: DateTime<Utc>,
}

/// Whoever holds a token that reads one meeting: nobody in particular.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reader {
    pub tenant: TenantId,
    pub meeting: MeetingId,
    /// What was told before is not told to it.
    pub minted: DateTime<Utc>,
    pub expires: DateTime<Utc>,
}

/// A minted token with the end of its life, to the second.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    pub token: String,
    pub expires: DateTime<Utc>,
}

/// Why a credential says nothing. Callers answer 401 for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("not a credential of this server")]
    Malformed,
    #[error("signed with an unknown key")]
    Key,
    #[error("the signature does not hold")]
    Signature,
    #[error("a claim is missing, wrong or not known")]
    Claims,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    Early,
}

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenUse {
    /// To hear what is told of the meeting, captions among it, as an observer of signaling.
    Observe,
    /// To play its recordings and read its transcript.
    Play,
}

impl From<TokenUse> for Kind {
    fn from(purpose: TokenUse) -> Self {
        match purpose {
            TokenUse::Observe => Self::Observe,
            TokenUse::Play => Self::Play,
        }
    }
}

struct Key {
    kind: Kind,
    header: Header,
    sign: EncodingKey,
    verify: DecodingKey,
}

/// All signing keys, derived from the one secret.
pub struct Keys(Vec<Key>);

impl Keys {
    /// # Errors
    /// A secret shorter than [`seal::SECRET_BYTES_MIN`].
    pub fn new(secret: &[u8]) -> Result<Self, SealError> {
        let key = |kind: Kind| -> Result<Key, SealError> {
            let bytes = seal::derive(secret, &format!("hansard {} token v1", kind.as_str()))?;
            // The kid tells another secret's tokens apart without telling anything of the secret.
            let mark = Sha256::digest(seal::derive(secret, "hansard kid v1")?);
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some(format!(
                "{}-{}",
                kind.as_str(),
                crate::domain::consent::hex(&mark[..4])
            ));
            Ok(Key {
                kind,
                header,
                sign: EncodingKey::from_secret(&bytes),
                verify: DecodingKey::from_secret(&bytes),
            })
        };
        let keys: Result<_, _> = Kind::ALL.into_iter().map(key).collect();
        keys.map(Self)
    }

    /// Reads any credential (what follows `Bearer `). `now` is on Postgres's clock.
    pub fn read(&self, credential: &str, now: DateTime<Utc>) -> Result<Credential, Refused> {
        if credential.len() > TOKEN_BYTES_MAX {
            return Err(Refused::Malformed);
        }
        for (prefix, of) in [
            (
                Secret::API_KEY,
                Credential::ApiKey as fn([u8; 32]) -> Credential,
            ),
            (Secret::LINK, Credential::Link as fn([u8; 32]) -> Credential),
        ] {
            if credential.starts_with(prefix) {
                return Secret::parse(prefix, credential)
                    .map(|secret| of(secret.hash()))
                    .ok_or(Refused::Malformed);
            }
        }
        let header = jsonwebtoken::decode_header(credential).map_err(|_| Refused::Malformed)?;
        let key = self
            .0
            .iter()
            .find(|key| key.header == header)
            .ok_or(Refused::Key)?;
        let claims = key.open(credential)?;
        claims.check(key.kind, now)?;
        match key.kind {
            Kind::Join => claims.subject().map(Credential::Join),
            Kind::Resume => claims.subject().map(Credential::Resume),
            Kind::Consent => claims.subject().map(Credential::Consent),
            Kind::Session => claims.session().map(Credential::Session),
            Kind::Whip => claims.subject().map(Credential::Whip),
            Kind::Observe => claims.reader().map(Credential::Observe),
            Kind::Play => claims.reader().map(Credential::Play),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Key {
    /// The claims behind a signature that holds. Times, issuer and audience are checked by us,
    /// typed: the library takes a wrong-typed time for an absent one, and reads the machine's clock
    /// instead of Postgres's.
    fn open(&self, token: &str) -> Result<Claims, Refused> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<Claims>(token, &self.verify, &validation)
            .map(|data| data.claims)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => Refused::Signature,
                jsonwebtoken::errors::ErrorKind::Json(_) => Refused::Claims,
                _ => Refused::Malformed,
            })
    }
}

#[cfg(test)]
mod tests;
