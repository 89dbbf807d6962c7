//! The tenant's glossary.

use super::{
    auth::Caller,
    body::{Body, Valid, check_line},
    permit::{self, Operation},
    problem::{FieldError, Problem},
    state::Shared,
};
use crate::store::glossary;
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Terms of a glossary, a tenant's or a meeting's, and the characters of each.
const TERMS_MAX: usize = 100;
const TERM_CHARS_MAX: usize = 64;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, put))
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlossaryInput {
    /// At most 100 of at most 64 characters, the most important first.
    #[schema(max_items = 100, example = json!(["Hansard", "Erskine May"]))]
    pub terms: Vec<String>,
}

impl Valid for GlossaryInput {
    fn check(&self, errors: &mut Vec<FieldError>) {
        check("/terms", &self.terms, errors);
    }
}

/// Adds what is wrong with the terms of a glossary.
pub(super) fn check(pointer: &str, terms: &[String], errors: &mut Vec<FieldError>) {
    if terms.len() > TERMS_MAX {
        errors.push(FieldError::new(
            pointer,
            format!("must have at most {TERMS_MAX} terms"),
        ));
    }
    for (n, term) in terms.iter().take(TERMS_MAX).enumerate() {
        check_line(&format!("{pointer}/{n}"), term, 1, TERM_CHARS_MAX, errors);
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Glossary)]
pub struct GlossaryView {
    #[schema(example = json!(["Hansard", "Erskine May"]))]
    pub terms: Vec<String>,
}

/// Reads the tenant's glossary.
#[utoipa::path(
    operation_id = "getGlossary",
    get, path = "/v1/glossary", tag = "recordings",
    responses((status = 200, description = "The glossary; without terms where none was set", body = GlossaryView))
)]
async fn read(State(state): State<Shared>, caller: Caller) -> Result<Json<GlossaryView>, Problem> {
    permit::at_all(&caller, Operation::Glossary)?;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let terms = glossary::get(&mut tx, caller.tenant).await?;
    Ok(Json(GlossaryView { terms }))
}

/// Sets the tenant's glossary: names and terms that all its meetings expect, before their own.
///
/// A meeting reads it when its capture starts or moves to another worker.
#[utoipa::path(
    operation_id = "putGlossary",
    put, path = "/v1/glossary", tag = "recordings",
    request_body = GlossaryInput,
    responses((status = 200, description = "The glossary", body = GlossaryView))
)]
async fn put(
    State(state): State<Shared>,
    caller: Caller,
    body: Body<GlossaryInput>,
) -> Result<Json<GlossaryView>, Problem> {
    permit::at_all(&caller, Operation::Glossary)?;
    let terms = body.value.terms;
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    glossary::put(&mut tx, caller.tenant, &terms).await?;
    tx.commit().await?;
    Ok(Json(GlossaryView { terms }))
}
