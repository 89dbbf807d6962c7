//! Meetings: create, read, list, end.

use super::{
    auth::{Caller, Who},
    body::{Body, Path, Query, Valid, check_length},
    glossary,
    idempotency::{Begun, IdempotencyKey, Once},
    page::{self, Page},
    password::PASSWORD_CHARS_MAX,
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
};
use crate::{
    command,
    domain::{
        id::{MeetingId, UserId},
        meeting::MeetingStatus,
        retention::Retention,
        settings::{ConsentPolicy, MeetingSettings, RecordingMode},
        transcript::language::LANGUAGES_MAX,
    },
    speech::TRANSLATED_TO,
    store::{
        erasure,
        meeting::{self, Filter, Meeting, NewMeeting},
        translation, user,
    },
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

const MODEL_CHARS_MAX: usize = 64;
const TRANSLATE_TO: &str = "/settings/translateTo";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read))
        .routes(routes!(end))
}

/// What to set; what is left out or null has its default.
#[derive(Clone, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsInput {
    /// Whether the meeting is transcribed. Default true.
    pub ai_enabled: Option<bool>,
    /// Default `audio`.
    pub recording: Option<RecordingMode>,
    /// Default `exclude`.
    pub consent_policy: Option<ConsentPolicy>,
    /// ISO 639 code of the language spoken; null: found out.
    #[schema(example = "en", pattern = "^[a-z]{2,3}$")]
    pub language: Option<String>,
    /// ISO 639 codes of the languages that may be spoken, where `language` is null: at most 8. Each
    /// speaker's is found out among them, and followed when it changes.
    #[schema(max_items = 8, example = json!(["en", "de"]))]
    pub languages: Option<Vec<String>>,
    /// Finals are translated into this language as well. Whisper knows `en` only, and only
    /// multilingual models can: 422 while workers are there and none can.
    #[schema(example = "en", pattern = "^en$")]
    pub translate_to: Option<String>,
    /// Names and terms to expect: at most 100 of at most 64 characters.
    #[schema(max_items = 100, example = json!(["Hansard"]))]
    pub glossary: Option<Vec<String>>,
    /// The model that transcribes the meeting once more after its end; the workers must have it.
    /// Null: it stays as it was heard live.
    #[schema(
        example = "base.en",
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
    )]
    pub refine_model: Option<String>,
    /// The meeting ends this long after nobody is present. Default 300.
    #[schema(minimum = 10, maximum = 86400)]
    pub end_when_empty_seconds: Option<u32>,
    /// From the meeting's end to the deletion of what was recorded of it: days, or `keep`. Null: as
    /// the tenant says.
    pub retention_days: Option<Retention>,
}

impl SettingsInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if let Some(language) = &self.language {
            check_language("/settings/language", language, errors);
        }
        let languages = self.languages.as_deref().unwrap_or_default();
        if languages.len() > LANGUAGES_MAX {
            errors.push(FieldError::new(
                "/settings/languages",
                format!("must have at most {LANGUAGES_MAX} languages"),
            ));
        }
        for (n, language) in languages.iter().take(LANGUAGES_MAX).enumerate() {
            check_language(&format!("/settings/languages/{n}"), language, errors);
        }
        if self
            .translate_to
            .as_deref()
            .is_some_and(|language| language != TRANSLATED_TO)
        {
            errors.push(FieldError::new(
                TRANSLATE_TO,
                format!("must be {TRANSLATED_TO}: Whisper translates into nothing else"),
            ));
        }
        let terms = self.glossary.as_deref().unwrap_or_default();
        glossary::check("/settings/glossary", terms, errors);
        if let Some(name) = &self.refine_model {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            let begins = name
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric());
            if !begins || name.len() > MODEL_CHARS_MAX || !name.bytes().all(fits) {
                errors.push(FieldError::new(
                    "/settings/refineModel",
                    "must be the name of a model, like base.en",
                ));
            }
        }
        if self
            .end_when_empty_seconds
            .is_some_and(|seconds| !(10..=86_400).contains(&seconds))
        {
            errors.push(FieldError::new(
                "/settings/endWhenEmptySeconds",
                "must be 10 to 86400",
            ));
        }
    }

    fn settings(self) -> MeetingSettings {
        let default = MeetingSettings::default();
        MeetingSettings {
            ai_enabled: self.ai_enabled.unwrap_or(default.ai_enabled),
            recording: self.recording.unwrap_or(default.recording),
            consent_policy: self.consent_policy.unwrap_or(default.consent_policy),
            language: self.language,
            languages: self.languages.unwrap_or_default(),
            translate_to: self.translate_to,
            glossary: self.glossary.unwrap_or_default(),
            refine_model: self.refine_model,
            end_when_empty_seconds: self
                .end_when_empty_seconds
                .unwrap_or(default.end_when_empty_seconds),
            retention_days: self.retention_days,
        }
    }
}

fn check_language(at: &str, language: &str, errors: &mut Vec<FieldError>) {
    if !((2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase())) {
        errors.push(FieldError::new(at, "must be an ISO 639 code like en"));
    }
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMeetingInput {
    /// The user who hosts it.
    pub host_id: Uuid,
    pub scheduled_time: Option<Time>,
    /// Asked of everybody but the host.
    #[schema(min_length = 1, max_length = 256, format = Password)]
    pub password: Option<String>,
    pub settings: Option<SettingsInput>,
}

impl Valid for NewMeetingInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if let Some(password) = &self.password {
            check_length("/password", password, 1, PASSWORD_CHARS_MAX, errors);
        }
        if let Some(settings) = &self.settings {
            settings.check(errors);
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub struct SettingsView {
    pub ai_enabled: bool,
    pub recording: RecordingMode,
    pub consent_policy: ConsentPolicy,
    pub language: Option<String>,
    pub languages: Vec<String>,
    pub translate_to: Option<String>,
    pub glossary: Vec<String>,
    pub refine_model: Option<String>,
    pub end_when_empty_seconds: u32,
    pub retention_days: Option<Retention>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Meeting)]
pub struct MeetingView {
    pub id: Uuid,
    pub host_id: Uuid,
    pub status: MeetingStatus,
    pub scheduled_time: Option<Time>,
    /// When the first participant became present: the zero of all `startMs` and `endMs`.
    pub start_time: Option<Time>,
    pub end_time: Option<Time>,
    pub settings: SettingsView,
    pub password_required: bool,
    pub created_at: Time,
}

impl From<Meeting> for MeetingView {
    fn from(meeting: Meeting) -> Self {
        let settings = meeting.settings.0;
        Self {
            id: meeting.id,
            host_id: meeting.host_id,
            status: meeting.status,
            scheduled_time: meeting.scheduled_time.map(Time),
            start_time: meeting.start_time.map(Time),
            end_time: meeting.end_time.map(Time),
            settings: SettingsView {
                ai_enabled: settings.ai_enabled,
                recording: settings.recording,
                consent_policy: settings.consent_policy,
                language: settings.language,
                languages: settings.languages,
                translate_to: settings.translate_to,
                glossary: settings.glossary,
                refine_model: settings.refine_model,
                end_when_empty_seconds: settings.end_when_empty_seconds,
                retention_days: settings.retention_days,
            },
            password_required: meeting.password_hash.is_some(),
            created_at: meeting.created_at.into(),
        }
    }
}

/// Creates a meeting.
#[utoipa::path(
    operation_id = "createMeeting",
    post, path = "/v1/meetings", tag = "meetings",
    request_body(content = NewMeetingInput, example = json!({
        "hostId": "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10", "password": "open sesame",
        "settings": {"consentPolicy": "exclude", "language": "en", "glossary": ["Hansard"]}
    })),
    responses((status = 201, description = "Created", body = MeetingView))
)]
async fn create(
    State(state): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: Body<NewMeetingInput>,
) -> Result<Response, Problem> {
    permit::at_all(&caller, Operation::CreateMeeting)?;
    let once = Once::new(key, &caller, "POST /v1/meetings".to_owned(), body.hash);
    let NewMeetingInput {
        host_id,
        scheduled_time,
        password,
        settings,
    } = body.value;
    let host = UserId(host_id);
    if let Who::Host(user) = caller.who
        && user != host
    {
        return Err(Problem::forbidden(
            "a session creates meetings of its own user only",
        ));
    }
    let password_hash = match password {
        Some(password) => Some(state.passwords.turn().await?.hash(password).await?),
        None => None,
    };
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    if let Begun::Replay(replay) = once.begin(&mut tx).await? {
        return Ok(replay);
    }
    if user::of(&mut tx, caller.tenant, host).await?.is_none() {
        return Err(Problem::field("/hostId", "there is no such user"));
    }
    if erasure::is_erased(&mut tx, caller.tenant, host).await? {
        return Err(Problem::field("/hostId", "the user was erased"));
    }
    let settings = settings.unwrap_or_default().settings();
    if settings.translate_to.is_some()
        && let Some(models) = translation::cannot_translate(&mut tx).await?
    {
        let models = models.join(", ");
        return Err(Problem::field(
            TRANSLATE_TO,
            format!(
                "no worker can translate (their models: {models}): run one with a multilingual model, as base"
            ),
        ));
    }
    let new = NewMeeting {
        tenant: caller.tenant,
        host,
        scheduled_time: scheduled_time.map(|time| time.0),
        settings,
        password_hash,
    };
    let made = MeetingView::from(meeting::insert(&mut tx, &new).await?);
    let answer = once.answer(&mut tx, StatusCode::CREATED, &made).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Reads a meeting.
#[utoipa::path(
    operation_id = "getMeeting",
    get, path = "/v1/meetings/{id}", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The meeting", body = MeetingView))
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<MeetingView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting =
        permit::on_meeting(&mut tx, &caller, Operation::ReadMeeting, MeetingId(id), now).await?;
    Ok(Json(meeting.into()))
}

/// Which meetings to list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only meetings of this host. A session lists its own user's.
    #[param(required = false)]
    pub host_id: Option<Uuid>,
    /// Only meetings at or after this time (start, else scheduled, else created).
    #[param(required = false, value_type = Option<String>, format = DateTime)]
    pub from: Option<Time>,
    /// Only meetings before this time.
    #[param(required = false, value_type = Option<String>, format = DateTime)]
    pub to: Option<Time>,
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    pub limit: Option<i64>,
    /// `nextCursor` of the page before.
    #[param(required = false)]
    pub cursor: Option<String>,
}

/// Lists meetings, newest first by start, else scheduled, else created time.
#[utoipa::path(
    operation_id = "listMeetings",
    get, path = "/v1/meetings", tag = "meetings", params(ListQuery),
    responses((status = 200, description = "A page of meetings", body = Page<MeetingView>))
)]
async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<MeetingView>>, Problem> {
    permit::at_all(&caller, Operation::ListMeetings)?;
    let host = match caller.who {
        Who::Host(user) if query.host_id.is_some_and(|host| host != user.0) => {
            return Err(Problem::forbidden(
                "a session lists meetings of its own user only",
            ));
        }
        Who::Host(user) => Some(user),
        _ => query.host_id.map(UserId),
    };
    let after = query
        .cursor
        .as_deref()
        .map(page::open_by_time)
        .transpose()?;
    let limit = page::limit(query.limit)? + 1;
    let filter = Filter {
        host,
        from: query.from.map(|t| t.0),
        to: query.to.map(|t| t.0),
        after,
        limit,
    };
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let rows = meeting::list(&mut tx, caller.tenant, &filter).await?;
    Ok(Json(Page::of(
        rows,
        limit,
        |row| (row.list_time.timestamp_micros(), row.id),
        MeetingView::from,
    )))
}

/// Ends a meeting. Repeating it changes nothing.
#[utoipa::path(
    operation_id = "endMeeting",
    put, path = "/v1/meetings/{id}/end", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    responses((status = 200, description = "The ended meeting", body = MeetingView))
)]
async fn end(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let id = MeetingId(id);
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let now = state.clock.now();
    let meeting = permit::on_meeting(&mut tx, &caller, Operation::EndMeeting, id, now).await?;
    let Some((ended, effects)) = command::end::end(&mut tx, id).await? else {
        return Ok(Json(MeetingView::from(
            meeting::of(&mut tx, caller.tenant, id)
                .await?
                .unwrap_or(meeting),
        ))
        .into_response());
    };
    tx.commit().await?;
    state.publish(id, effects);
    Ok(Json(MeetingView::from(ended)).into_response())
}
