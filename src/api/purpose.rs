//! What consent is given for, as answers name it.

use serde::Serialize;
use utoipa::ToSchema;

/// What media is taken for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    Recording,
    Transcription,
}
