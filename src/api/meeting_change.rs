//! What can be changed of a meeting that there is: how long it is kept.

use super::{
    auth::Caller,
    body::{Body, Path, Valid, present},
    meeting::MeetingView,
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
};
use crate::{
    domain::{id::MeetingId, retention::Retention},
    store::{event, meeting},
};
use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(change))
}

/// What to change; what is left out stays.
#[derive(Clone, Copy, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsChange {
    /// Null: as the tenant says.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Retention>)]
    pub retention_days: Option<Option<Retention>>,
}

#[derive(Clone, Copy, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeetingChange {
    pub settings: Option<SettingsChange>,
}

impl Valid for MeetingChange {
    fn check(&self, _: &mut Vec<FieldError>) {}
}

/// Changes how long what was recorded of a meeting is kept, before, during or after it.
#[utoipa::path(
    operation_id = "updateMeeting",
    patch, path = "/v1/meetings/{id}", tag = "meetings", params(("id" = Uuid, Path, description = "Meeting")),
    request_body(content = MeetingChange, example = json!({"settings": {"retentionDays": 90}})),
    responses((status = 200, description = "The meeting", body = MeetingView))
)]
async fn change(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Body<MeetingChange>,
) -> Result<Json<MeetingView>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let (id, now) = (MeetingId(id), state.clock.now());
    permit::on_meeting(&mut tx, &caller, Operation::ChangeMeeting, id, now).await?;
    if let Some(retention) = body.value.settings.unwrap_or_default().retention_days {
        event::lock(&mut tx, id).await?;
        meeting::set_retention(&mut tx, id, retention).await?;
    }
    let changed = meeting::of(&mut tx, caller.tenant, id).await?;
    let changed = changed.ok_or_else(|| Problem::not_found("meeting"))?;
    tx.commit().await?;
    Ok(Json(changed.into()))
}
