//! Joining a meeting: the one way to become a participant with tokens.

use super::{
    auth::{Caller, Who},
    body::{Body, Path, Valid, check_length, check_line},
    ice::IceServer,
    idempotency::{Begun, IdempotencyKey, Once},
    limit::Client,
    password::PASSWORD_CHARS_MAX,
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
    time::Time,
    token::{Credential, Subject, TOKEN_BYTES_MAX},
    user::NAME_CHARS_MAX,
};
use crate::{
    command::{
        self,
        join::{Admitted, Entrant},
    },
    domain::{
        consent::Use,
        id::{MeetingId, ParticipantId, UserId},
    },
    store::{
        Tx, erasure,
        meeting::{self, Meeting},
        participant, user,
    },
};
use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Wrong passwords a minute, per meeting and who tries.
const TRIES_MAX: i32 = 5;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(join))
}

/// Who joins: an API key names `userId`, a session sends nothing, a link gives `displayName`.
#[derive(Clone, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinInput {
    /// With an API key: who joins.
    pub user_id: Option<Uuid>,
    /// With a link: the guest's name.
    #[schema(min_length = 1, max_length = 128, example = "Ana")]
    pub display_name: Option<String>,
    #[schema(min_length = 1, max_length = 256, format = Password)]
    pub password: Option<String>,
    /// With a link: of the guest's earlier join to this meeting. It is the same participant again;
    /// a `displayName` changes nothing then, and the password is not asked for.
    #[schema(min_length = 1, max_length = 2048)]
    pub consent_token: Option<String>,
}

impl Valid for JoinInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        if let Some(name) = &self.display_name {
            check_line("/displayName", name, 1, NAME_CHARS_MAX, errors);
        }
        if let Some(password) = &self.password {
            check_length("/password", password, 1, PASSWORD_CHARS_MAX, errors);
        }
        if let Some(token) = &self.consent_token {
            check_length("/consentToken", token, 1, TOKEN_BYTES_MAX, errors);
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// For signaling, streams and consent, at most 10 minutes.
    pub token: String,
    pub expires_at: Time,
    pub participant_id: Uuid,
    /// Where `join_room` is sent.
    #[schema(example = "wss://hansard.example.org/v1/signal")]
    pub signal_url: String,
    /// For own consent entries only; has no expiry of its own.
    pub consent_token: String,
    pub ice_servers: Vec<IceServer>,
    /// Under policy `required`: the purposes this user has not accepted yet.
    #[schema(example = json!(["recording", "transcription"]))]
    pub consent_required: Vec<Use>,
}

/// Joins a meeting.
///
/// One participant per user and meeting. The password is asked of link and API-key joins, never of
/// the host. Each join by link is a guest of its own, whatever `Idempotency-Key` it has, unless it
/// has the `consentToken` of an earlier one.
#[utoipa::path(
    operation_id = "joinMeeting",
    post, path = "/v1/meetings/{id}/join", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    request_body(content = JoinInput, example = json!({"userId": "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10"})),
    responses(
        (status = 200, description = "Tokens of the participant", body = Joined),
        (status = 403, description = "Wrong password, removed, or a guest who came by this link was removed"),
        (status = 409, description = "The meeting has ended"),
        (status = 429, description = "More than 5 wrong passwords in a minute"),
    )
)]
async fn join(
    State(state): State<Shared>,
    caller: Caller,
    client: Option<Extension<Client>>,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    body: Body<JoinInput>,
) -> Result<Json<Joined>, Problem> {
    let id = MeetingId(id);
    // Guests of one link cannot be told apart: a key of one of them must not bring another one's
    // tokens.
    let once = match caller.who {
        Who::Guest { .. } => Once::NEVER,
        _ => Once::new(
            key,
            &caller,
            format!("POST /v1/meetings/{id}/join"),
            body.hash,
        ),
    };
    let now = state.clock.now();
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let meeting = permit::on_meeting(&mut tx, &caller, Operation::Join, id, now).await?;
    check_fields(&caller, &body.value)?;
    if meeting.ended() {
        return Err(Problem::ended());
    }
    let user = match body.value.user_id {
        Some(user) => Some(
            user::of(&mut tx, caller.tenant, UserId(user))
                .await?
                .ok_or_else(|| Problem::field("/userId", "there is no such user"))?,
        ),
        None => None,
    };
    if let Some(user) = &user
        && erasure::is_erased(&mut tx, caller.tenant, UserId(user.id)).await?
    {
        return Err(Problem::field("/userId", "the user was erased"));
    }
    let again = returning(&state, &mut tx, id, &body.value, now).await?;
    drop(tx);

    let is_host = match caller.who {
        Who::Host(_) => true,
        _ => user
            .as_ref()
            .is_some_and(|user| meeting.hosted_by(UserId(user.id))),
    };
    // Who comes again was let in by it before.
    if let (Some(phc), false) = (&meeting.password_hash, is_host || again.is_some()) {
        let who = who_tries(
            &caller,
            client.map(|Extension(client)| client),
            body.value.user_id,
        );
        check_password(
            &state,
            &caller,
            &meeting,
            phc,
            body.value.password.clone(),
            &who,
        )
        .await?;
    }

    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let begun = once.begin(&mut tx).await?;
    // The meeting may have ended while the password was checked.
    let meeting = meeting::of(&mut tx, caller.tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("meeting"))?;
    if meeting.ended() {
        return Err(Problem::ended());
    }
    let Admitted {
        participant,
        missing,
    } = match (begun, again) {
        (Begun::Done(Some(made)), _) => {
            let again = command::join::admit_again(&mut tx, &meeting, ParticipantId(made)).await;
            again.map_err(|refused| match refused {
                command::Refused::NoParticipant => Problem::not_found("participant"),
                other => other.into(),
            })?
        }
        (_, Some(guest)) => command::join::admit_again(&mut tx, &meeting, guest).await?,
        _ => {
            let comes = comes(&caller, user.map(|user| UserId(user.id)), &body.value)?;
            let made = command::join::admit(&mut tx, &meeting, comes).await?;
            once.done(&mut tx, Some(made.participant.id)).await?;
            made
        }
    };
    tx.commit().await?;

    let now = state.clock.now();
    let subject = Subject {
        tenant: caller.tenant,
        meeting: id,
        participant: ParticipantId(participant.id),
        role: participant.role,
        minted: now,
    };
    let minted = state.keys.mint_join(subject, now);
    Ok(Json(Joined {
        token: minted.token,
        expires_at: minted.expires.into(),
        participant_id: participant.id,
        signal_url: state.address.signal_url(),
        consent_token: state.keys.mint_consent(subject, now),
        ice_servers: state.ice.told(Some(ParticipantId(participant.id)), now),
        consent_required: missing,
    }))
}

/// The guest whose consent token comes with a link. Other participants have a user or a session to
/// come again by, and a consent token alone never brings more than its own rights.
async fn returning(
    state: &Shared,
    tx: &mut Tx,
    meeting: MeetingId,
    input: &JoinInput,
    now: DateTime<Utc>,
) -> Result<Option<ParticipantId>, Problem> {
    let Some(token) = &input.consent_token else {
        return Ok(None);
    };
    let guest = match state.keys.read(token, now) {
        Ok(Credential::Consent(subject)) if subject.meeting == meeting => subject.participant,
        _ => {
            return Err(Problem::field(
                "/consentToken",
                "is not a consent token of this meeting; join without it",
            ));
        }
    };
    if !participant::is_guest(tx, meeting, guest).await? {
        return Err(Problem::field(
            "/consentToken",
            "is of somebody who did not come by a link; join as that user",
        ));
    }
    if erasure::is_of(tx, meeting, guest).await? {
        return Err(Problem::field("/consentToken", "the user was erased"));
    }
    Ok(Some(guest))
}

/// Each kind of caller names itself in its own way, and in no other.
fn check_fields(caller: &Caller, input: &JoinInput) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let is_guest = matches!(caller.who, Who::Guest { .. });
    if input.consent_token.is_some() && !is_guest {
        errors.push(FieldError::new(
            "/consentToken",
            "is not for this credential",
        ));
    }
    let comes_again = input.consent_token.is_some() && is_guest;
    let mut want = |pointer: &str, there: bool, wanted: bool| match (there, wanted) {
        (false, true) => errors.push(FieldError::new(pointer, "is required with this credential")),
        (true, false) => errors.push(FieldError::new(pointer, "is not for this credential")),
        _ => {}
    };
    want(
        "/userId",
        input.user_id.is_some(),
        matches!(caller.who, Who::Server { .. }),
    );
    want(
        "/displayName",
        input.display_name.is_some() || comes_again,
        is_guest,
    );
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}

fn comes<'a>(
    caller: &Caller,
    user: Option<UserId>,
    input: &'a JoinInput,
) -> Result<Entrant<'a>, Problem> {
    match (caller.who, user) {
        (Who::Host(user), _) | (_, Some(user)) => Ok(Entrant::User(user)),
        (Who::Guest { role, link, .. }, _) => Ok(Entrant::Guest {
            link,
            role,
            name: input.display_name.as_deref().unwrap_or_default().trim(),
        }),
        (_, None) => Err(Problem::field(
            "/userId",
            "is required with this credential",
        )),
    }
}

/// Whose wrong passwords count together. Not all of a link's guests: one could lock the others out.
/// A server joins many users from one address, so there it is the user.
fn who_tries(caller: &Caller, client: Option<Client>, user: Option<Uuid>) -> String {
    match (&caller.who, client, user) {
        (Who::Server { .. }, _, Some(user)) => format!("user {user}"),
        (_, Some(Client(ip)), _) => format!("address {ip}"),
        _ => caller.scope(),
    }
}

/// 403 for a wrong or missing password; 429 after five wrong ones within a minute. The count is
/// read, and a wrong one written, while holding one of the few turns, so that guesses sent at once
/// cannot outrun it.
async fn check_password(
    state: &Shared,
    caller: &Caller,
    meeting: &Meeting,
    phc: &str,
    password: Option<String>,
    credential: &str,
) -> Result<(), Problem> {
    let turn = state.passwords.turn().await?;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let (tries, left_s) = meeting::password_tries(&mut tx, meeting.id(), credential).await?;
    drop(tx);
    if tries >= TRIES_MAX {
        return Err(Problem::too_many_tries(u64::try_from(left_s).unwrap_or(60)));
    }
    let Some(password) = password else {
        return Err(Problem::wrong_password("the password is missing"));
    };
    let (right, turn) = turn.verify(password, phc.to_owned()).await?;
    if right {
        return Ok(());
    }
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    meeting::count_wrong_password(&mut tx, caller.tenant, meeting.id(), credential).await?;
    tx.commit().await?;
    drop(turn);
    Err(Problem::wrong_password("the password is wrong"))
}
