//! Errors as clients see them: `application/problem+json` (RFC 9457). Every refusal of this API is
//! one [`Problem`].

use crate::{
    api::tombstone::TombstoneView,
    command::Refused,
    domain::{admission::Barred, consent::Use, wire_time::wire_time},
    store::{StoreError, deletion::Tombstone, hold::Hold},
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong with one member of the body or one parameter of the query.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    #[schema(example = "/settings/glossary/3")]
    pub pointer: String,
    #[schema(example = "must have 1 to 64 characters")]
    pub detail: String,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// The body of every error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `/problems/<name>`; the name is stable.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    pub kind: String,
    #[schema(example = "The request is well-formed but not valid")]
    pub title: String,
    #[schema(value_type = i32, example = 422)]
    pub status: u16,
    pub detail: String,
    /// What is wrong where, when the body was understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<Uuid>,
    /// The purposes that policy `required` still asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consent_required: Vec<Use>,
    /// What is left to know of what was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tombstone: Option<TombstoneView>,
}

/// A refusal on its way to the client. Boxed: it travels in every `Result`.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    body: ProblemBody,
    retry_after_s: Option<u64>,
}

/// `(name, status, title)` of every problem there is; the documentation lists them.
pub const KINDS: &[(&str, u16, &str)] = &[
    ("bad_request", 400, "The request cannot be read"),
    ("unauthorized", 401, "No valid credential"),
    ("forbidden", 403, "This credential does not allow it"),
    (
        "consent_required",
        403,
        "The participant has not agreed to what this meeting requires",
    ),
    (
        "wrong_password",
        403,
        "The meeting's password is missing or wrong",
    ),
    ("removed", 403, "The participant was removed"),
    ("not_found", 404, "There is no such thing"),
    (
        "method_not_allowed",
        405,
        "This address does not take this method",
    ),
    ("conflict", 409, "It exists already"),
    ("ended", 409, "The meeting has ended"),
    ("not_ready", 409, "Not in a state to be fetched"),
    (
        "stale",
        409,
        "It has changed since the revision that was named",
    ),
    ("not_final", 409, "The segment is not final"),
    ("not_archived", 409, "The file can be fetched as it is"),
    ("held", 409, "The meeting has a legal hold"),
    ("too_late", 409, "The time for it is over"),
    (
        "running",
        409,
        "The first request with this Idempotency-Key is still running",
    ),
    ("gone", 410, "It was deleted"),
    (
        "precondition_failed",
        412,
        "It has changed since the entity tag that was named",
    ),
    ("too_large", 413, "The body is larger than 64 KiB"),
    (
        "unsupported_media_type",
        415,
        "The body is of another media type than is taken here",
    ),
    ("invalid", 422, "The request is well-formed but not valid"),
    (
        "precondition_required",
        428,
        "The header If-Match is missing",
    ),
    (
        "too_many_requests",
        429,
        "Too many requests from one address or with one credential",
    ),
    ("too_many_tries", 429, "Too many wrong passwords"),
    ("too_many", 429, "Too many of these"),
    ("internal", 500, "Something went wrong on our side"),
    ("unavailable", 503, "Not possible at the moment"),
];

const INTERNAL: (&str, u16, &str) = ("internal", 500, "Something went wrong on our side");

impl Problem {
    fn new(name: &'static str, detail: impl Into<String>) -> Self {
        let (_, status, title) = KINDS
            .iter()
            .find(|(known, ..)| *known == name)
            .copied()
            .unwrap_or(INTERNAL);
        Self(Box::new(Inner {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body: ProblemBody {
                kind: format!("/problems/{name}"),
                title: title.to_owned(),
                status,
                detail: detail.into(),
                errors: Vec::new(),
                id: None,
                consent_required: Vec::new(),
                tombstone: None,
            },
            retry_after_s: None,
        }))
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new("bad_request", detail)
    }

    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new("unauthorized", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new("forbidden", detail)
    }

    pub fn wrong_password(detail: impl Into<String>) -> Self {
        Self::new("wrong_password", detail)
    }

    pub fn removed() -> Self {
        Self::new("removed", "this participant was removed from the meeting")
    }

    /// Under policy `required`, with the purposes still missing.
    pub fn consent_required(purposes: Vec<Use>) -> Self {
        let mut problem = Self::new("consent_required", "give consent to these purposes first");
        problem.0.body.consent_required = purposes;
        problem
    }

    pub fn not_found(what: &str) -> Self {
        Self::new("not_found", format!("there is no such {what}"))
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            "method_not_allowed",
            "the header Allow says which methods there are",
        )
    }

    pub fn ended() -> Self {
        Self::new("ended", "the meeting has ended")
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new("conflict", detail)
    }

    /// It exists already, under this id.
    pub fn exists(detail: impl Into<String>, id: Option<Uuid>) -> Self {
        let mut problem = Self::new("conflict", detail);
        problem.0.body.id = id;
        problem
    }

    pub fn not_ready(detail: impl Into<String>) -> Self {
        Self::new("not_ready", detail)
    }

    /// It has this revision by now.
    pub fn stale(current: i32) -> Self {
        Self::new(
            "stale",
            format!(
                "the segment has revision {current} by now: read it again, and send the edit with \
                 baseRevision {current} if it still applies"
            ),
        )
    }

    pub fn not_final() -> Self {
        Self::new(
            "not_final",
            "no final segment has this id: wait for the segment's final. One that was retracted stays away",
        )
    }

    pub fn running() -> Self {
        let mut problem = Self::new("running", "try again when it is done");
        problem.0.retry_after_s = Some(1);
        problem
    }

    pub fn gone(what: &str) -> Self {
        Self::new("gone", format!("the {what} was deleted"))
    }

    pub fn not_archived() -> Self {
        Self::new(
            "not_archived",
            "the recording is not archived: fetch it as it is",
        )
    }

    /// Its meeting has a legal hold.
    pub fn held(hold: &Hold) -> Self {
        let since = wire_time(hold.placed_at);
        Self::new(
            "held",
            format!(
                "the meeting is held since {since}, for {:?}: lift that first",
                hold.reason
            ),
        )
    }

    /// Somebody wishes to be taken out by their own hand, longer after the end than they may.
    pub fn too_late() -> Self {
        Self::new(
            "too_late",
            "the withdrawal is in the log, but the meeting ended more than 30 days ago: ask its host, or \
             whoever runs this service, to take out what was recorded (`POST /v1/meetings/{id}/redactions`)",
        )
    }

    /// It was deleted, by whom, when and why.
    pub fn deleted(tombstone: Tombstone) -> Self {
        let mut problem = Self::gone(tombstone.what.as_str());
        problem.0.body.tombstone = Some(tombstone.into());
        problem
    }

    pub fn too_large() -> Self {
        Self::new("too_large", "the limit is 65536 bytes")
    }

    /// `kind`: what is taken.
    pub fn unsupported_media_type(kind: &str) -> Self {
        Self::new(
            "unsupported_media_type",
            format!("send the header Content-Type: {kind}"),
        )
    }

    pub fn precondition_failed() -> Self {
        Self::new(
            "precondition_failed",
            "the ICE session has another entity tag by now",
        )
    }

    pub fn precondition_required() -> Self {
        Self::new(
            "precondition_required",
            "send the header If-Match with the entity tag of the session, or *",
        )
    }

    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|e| format!("{} {}", e.pointer, e.detail))
            .collect::<Vec<_>>()
            .join("; ");
        let mut problem = Self::new("invalid", detail);
        problem.0.body.errors = errors;
        problem
    }

    /// One member is wrong.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    pub fn too_many_tries(retry_after_s: u64) -> Self {
        let mut problem = Self::new("too_many_tries", "wait before the next try");
        problem.0.retry_after_s = Some(retry_after_s.max(1));
        problem
    }

    /// A limit for the whole meeting: waiting does not help soon.
    pub fn too_many(what: &str) -> Self {
        let mut problem = Self::new(
            "too_many",
            format!("no more of these in one meeting: {what}"),
        );
        problem.0.retry_after_s = Some(3600);
        problem
    }

    pub fn too_many_requests(retry_after_s: u64) -> Self {
        let mut problem = Self::new("too_many_requests", "wait before the next request");
        problem.0.retry_after_s = Some(retry_after_s.max(1));
        problem
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new("unavailable", detail);
        problem.0.retry_after_s = Some(2);
        problem
    }

    /// Ours to mend: `what` goes to the log, not to the client.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        tracing::error!(error = %what, "a request failed");
        Self::new("internal", "it was written to the log")
    }

    /// Its name among [`KINDS`].
    pub fn name(&self) -> &str {
        self.0.body.kind.trim_start_matches("/problems/")
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "Postgres is not available");
                Self::unavailable("the database cannot be reached")
            }
            StoreError::NotFound => Self::not_found("thing"),
            StoreError::Conflict { constraint } => {
                Self::internal(format!("unexpected conflict on {constraint}"))
            }
            StoreError::Other(cause) => Self::internal(cause),
            StoreError::OtherBody => {
                Self::field("", "this Idempotency-Key was used with another body")
            }
            StoreError::TooMany(what) => Self::too_many(what),
            StoreError::Fenced => Self::internal("fenced, though only workers hold leases"),
            StoreError::Going => Self::internal("an object, though only workers store them"),
            StoreError::Pooler => {
                Self::internal("only an operator's command opens a session of its own")
            }
        }
    }
}

impl From<Barred> for Problem {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::Ended => Self::ended(),
            Barred::Removed => Self::removed(),
            Barred::Absent => Self::forbidden("the participant is no longer present"),
            Barred::ConsentRequired(missing) => Self::consent_required(missing),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Store(error) => error.into(),
            Refused::Barred(barred) => barred.into(),
            Refused::LinkClosed => Self::forbidden(
                "a guest who came by this link was removed: ask the host for another",
            ),
            Refused::NoParticipant => Self::field(
                "/participantId",
                "there is no such participant in this meeting",
            ),
            Refused::Live => Self::not_ready("the meeting is live: end it first"),
            Refused::NotBegun => Self::not_ready(
                "the meeting has not begun, and nothing of it is there yet: to cancel it, delete the meeting",
            ),
            Refused::Held(hold) => Self::held(&hold),
            Refused::Deleting => Self::not_ready(
                "something of the meeting is being deleted or redacted: wait until that is done",
            ),
            Refused::TooLate => Self::too_late(),
            Refused::NoMix(why) => Self::not_ready(why),
            Refused::SsrcTaken => Self::conflict("a stream of this meeting has this SSRC"),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner {
            status,
            body,
            retry_after_s,
        } = *self.0;
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"hansard\""),
            );
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
