//! The tenant itself: what holds for all its meetings.

use super::{
    auth::Caller,
    body::{Body, Valid},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
};
use crate::{
    command,
    domain::{
        id::TenantId,
        tenant_settings::{Change, Days, SelfErasure, TenantSettings},
    },
    store::tenant,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, change))
}

/// Days from a meeting's end, or from when its file was last fetched, to each storage tier.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TierDays)]
pub struct TierDaysView {
    pub warm: Days,
    pub cold: Days,
    pub archive: Days,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tenant)]
pub struct TenantView {
    pub id: Uuid,
    pub name: String,
    pub tier_days: TierDaysView,
    /// From a meeting's end to the deletion of what was recorded of it.
    pub retention_days: Days,
    pub self_erasure: SelfErasure,
}

impl TenantView {
    fn new(id: TenantId, name: String, settings: &TenantSettings) -> Self {
        let days = settings.tier_days;
        Self {
            id: id.0,
            name,
            tier_days: TierDaysView {
                warm: days.warm,
                cold: days.cold,
                archive: days.archive,
            },
            retention_days: settings.retention,
            self_erasure: settings.self_erasure,
        }
    }
}

/// Days to each storage tier; what is left out or null stays.
#[derive(Clone, Copy, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierDaysInput {
    pub warm: Option<Days>,
    pub cold: Option<Days>,
    pub archive: Option<Days>,
}

/// What to change; what is left out or null stays.
#[derive(Clone, Copy, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantInput {
    pub tier_days: Option<TierDaysInput>,
    pub retention_days: Option<Days>,
    pub self_erasure: Option<SelfErasure>,
}

impl Valid for TenantInput {
    fn check(&self, _: &mut Vec<FieldError>) {}
}

impl From<TenantInput> for Change {
    fn from(input: TenantInput) -> Self {
        let days = input.tier_days.unwrap_or_default();
        Self {
            warm: days.warm,
            cold: days.cold,
            archive: days.archive,
            retention: input.retention_days,
            self_erasure: input.self_erasure,
        }
    }
}

/// Reads what the tenant set for all its meetings.
#[utoipa::path(
    operation_id = "getTenant",
    get, path = "/v1/tenant", tag = "recordings",
    responses((status = 200, description = "The tenant", body = TenantView))
)]
async fn read(State(state): State<Shared>, caller: Caller) -> Result<Json<TenantView>, Problem> {
    permit::at_all(&caller, Operation::Tenant)?;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let settings = tenant::settings(&mut tx, caller.tenant).await?;
    let name = tenant::name(&mut tx, caller.tenant).await?;
    Ok(Json(TenantView::new(caller.tenant, name, &settings)))
}

/// Sets what holds for all the tenant's meetings, also for those that there are.
///
/// A recording that gets to a tier moves within minutes where that saves more than it costs, and
/// never back.
#[utoipa::path(
    operation_id = "updateTenant",
    patch, path = "/v1/tenant", tag = "recordings",
    request_body(content = TenantInput, example = json!({"tierDays": {"warm": 30, "cold": "never"}})),
    responses((status = 200, description = "The tenant", body = TenantView))
)]
async fn change(
    State(state): State<Shared>,
    caller: Caller,
    body: Body<TenantInput>,
) -> Result<Json<TenantView>, Problem> {
    permit::at_all(&caller, Operation::Tenant)?;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let changed = command::tenant::change(&mut tx, caller.tenant, &body.value.into()).await?;
    let settings = changed.map_err(|disorder| {
        Problem::field(format!("/tierDays/{}", disorder.tier), disorder.to_string())
    })?;
    let name = tenant::name(&mut tx, caller.tenant).await?;
    tx.commit().await?;
    Ok(Json(TenantView::new(caller.tenant, name, &settings)))
}
