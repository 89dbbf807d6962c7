//! Who calls: reads the credential of a request. What it may do is [`super::permit`]'s.

use super::{
    problem::Problem,
    state::Shared,
    token::{COOKIE, Credential, Reader, Subject},
};
use crate::{
    domain::{
        id::{MeetingId, ParticipantId, TenantId, UserId},
        participant::Role,
    },
    store::{erasure, key, link},
};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, Method, header, request::Parts},
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Somebody with a credential that holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub who: Who,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The tenant's server.
    Server { key: Uuid },
    /// A host's pages.
    Host(UserId),
    /// A guest who came by a link of this meeting and did not join yet.
    Guest {
        link: Uuid,
        meeting: MeetingId,
        role: Role,
    },
    /// A participant with a join token.
    Joined(Subject),
    /// A participant with a resume token: good while it is present.
    Resumed(Subject),
    /// Anybody who joined, about its own consent only.
    Consenting(Subject),
    /// A participant with a token that publishes by WHIP.
    Publishing(Subject),
    /// Anybody with a token that hears what is told of one meeting.
    Observing(Reader),
    /// Anybody with a token that plays what one meeting left.
    Playing(Reader),
}

impl Caller {
    /// A participant who speaks of its own consent, on a socket that it joined.
    pub fn speaking(
        tenant: TenantId,
        meeting: MeetingId,
        participant: ParticipantId,
        minted: DateTime<Utc>,
    ) -> Self {
        let subject = Subject {
            tenant,
            meeting,
            participant,
            role: Role::Participant,
            minted,
        };
        Self {
            tenant,
            who: Who::Consenting(subject),
        }
    }

    /// Who it is, for scoping what callers name themselves (idempotency keys) and for counting
    /// tries. All API keys of a tenant are one server's.
    pub fn scope(&self) -> String {
        match self.who {
            Who::Server { .. } => "server".to_owned(),
            Who::Host(user) => format!("user {user}"),
            Who::Guest { link, .. } => format!("link {link}"),
            Who::Joined(subject)
            | Who::Resumed(subject)
            | Who::Consenting(subject)
            | Who::Publishing(subject) => {
                format!("participant {}", subject.participant)
            }
            Who::Observing(reader) => format!("observer of {}", reader.meeting),
            Who::Playing(reader) => format!("player of {}", reader.meeting),
        }
    }

    /// The `actor` of a consent entry for this participant.
    pub fn actor(&self) -> String {
        match self.who {
            Who::Server { key } => format!("api_key:{key}"),
            Who::Guest { .. }
            | Who::Host(_)
            | Who::Joined(_)
            | Who::Resumed(_)
            | Who::Consenting(_)
            | Who::Publishing(_)
            | Who::Observing(_)
            | Who::Playing(_) => "self".to_owned(),
        }
    }

    /// The author of what the caller writes into a transcript.
    pub fn author(&self) -> String {
        match self.who {
            Who::Server { key } => format!("api_key:{key}"),
            Who::Host(user) => format!("user:{user}"),
            Who::Guest { link, .. } => format!("link:{link}"),
            Who::Joined(subject)
            | Who::Resumed(subject)
            | Who::Consenting(subject)
            | Who::Publishing(subject) => {
                format!("participant:{}", subject.participant)
            }
            Who::Observing(reader) => format!("observer:{}", reader.meeting),
            Who::Playing(reader) => format!("player:{}", reader.meeting),
        }
    }

    pub fn subject(&self) -> Option<Subject> {
        match self.who {
            Who::Joined(subject)
            | Who::Resumed(subject)
            | Who::Consenting(subject)
            | Who::Publishing(subject) => Some(subject),
            _ => None,
        }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Problem> {
        if let Some(token) = bearer(&parts.headers)? {
            return identify(state, token).await;
        }
        let Some(token) = cookie(&parts.headers) else {
            return Err(Problem::unauthorized(
                "send the header Authorization: Bearer …",
            ));
        };
        if !cookie_counts(state, &parts.method, &parts.headers) {
            return Err(Problem::unauthorized(
                "the cookie counts only on GET and from this server's own pages",
            ));
        }
        match state.keys.read(token, state.clock.now())? {
            Credential::Session(session) => host(state, session.tenant, session.user).await,
            _ => Err(Problem::unauthorized("the cookie is not a session")),
        }
    }
}

impl OptionalFromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Shared,
    ) -> Result<Option<Self>, Problem> {
        match <Self as FromRequestParts<Shared>>::from_request_parts(parts, state).await {
            Ok(caller) => Ok(Some(caller)),
            Err(problem) if problem.status() == axum::http::StatusCode::UNAUTHORIZED => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

/// Reads a bearer credential; asks the store about those that are only a hash there.
pub async fn identify(state: &Shared, token: &str) -> Result<Caller, Problem> {
    Ok(match state.keys.read(token, state.clock.now())? {
        Credential::ApiKey(hash) => {
            let mut tx = state.store.secret_tx(&hash).await?;
            let owner = key::find(&mut tx, &hash)
                .await?
                .ok_or_else(|| Problem::unauthorized("unknown or revoked API key"))?;
            Caller {
                tenant: TenantId(owner.tenant_id),
                who: Who::Server { key: owner.key_id },
            }
        }
        Credential::Link(hash) => {
            let mut tx = state.store.secret_tx(&hash).await?;
            let link = link::find(&mut tx, &hash)
                .await?
                .ok_or_else(|| Problem::unauthorized("unknown, revoked or expired link"))?;
            Caller {
                tenant: TenantId(link.tenant_id),
                who: Who::Guest {
                    link: link.id,
                    meeting: MeetingId(link.meeting_id),
                    role: link.role,
                },
            }
        }
        Credential::Join(subject) => Caller {
            tenant: subject.tenant,
            who: Who::Joined(subject),
        },
        Credential::Resume(subject) => Caller {
            tenant: subject.tenant,
            who: Who::Resumed(subject),
        },
        Credential::Consent(subject) => Caller {
            tenant: subject.tenant,
            who: Who::Consenting(subject),
        },
        Credential::Session(session) => host(state, session.tenant, session.user).await?,
        Credential::Whip(subject) => Caller {
            tenant: subject.tenant,
            who: Who::Publishing(subject),
        },
        Credential::Observe(reader) => Caller {
            tenant: reader.tenant,
            who: Who::Observing(reader),
        },
        Credential::Play(reader) => Caller {
            tenant: reader.tenant,
            who: Who::Playing(reader),
        },
    })
}

/// The user of a session, unless it was erased since.
async fn host(state: &Shared, tenant: TenantId, user: UserId) -> Result<Caller, Problem> {
    let mut tx = state.store.tenant_tx(tenant).await?;
    if erasure::is_erased(&mut tx, tenant, user).await? {
        return Err(Problem::unauthorized("the user was erased"));
    }
    Ok(Caller {
        tenant,
        who: Who::Host(user),
    })
}

/// What follows `Bearer`; a header that is there and says something else is refused.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::unauthorized("more than one Authorization header"));
    }
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Problem::unauthorized("send the header Authorization: Bearer …"))?;
    Ok(Some(token))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// A cookie travels with requests that another site's page caused. Reading is harmless then (its
/// script cannot see the answer); anything else must say that it comes from our own pages.
fn cookie_counts(state: &Shared, method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return true;
    }
    headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok())
        .is_some_and(|origin| state.address.is_own(origin))
}
