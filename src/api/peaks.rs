//! How loud a recording is along its length: what a waveform is drawn from, without its sound.

use super::{
    auth::Caller,
    body::{Path, Query},
    problem::Problem,
    recording,
    state::Shared,
};
use crate::{
    command,
    domain::{id::MeetingId, object_key::RecordingFile, peaks::pooled},
    objects::ObjectError,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// How many there are unless more or fewer are asked for, and at most.
const POINTS: usize = 1000;
const POINTS_MAX: usize = 4000;
/// The longest that the storage is waited for.
const READ_MAX: Duration = Duration::from_secs(5);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read))
}

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PeaksQuery {
    /// At most how many, 1 to 4000.
    #[param(minimum = 1, maximum = 4000, default = 1000, required = false)]
    pub points: Option<usize>,
}

/// How loud a recording is along its length.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingPeaks)]
pub struct PeaksView {
    pub recording_id: Uuid,
    /// Where in the meeting the file begins, in milliseconds since its `startTime`.
    #[schema(example = 1230)]
    pub start_ms: i64,
    pub duration_ms: Option<i64>,
    /// The loudest sample of each of as many equal parts of the file, 0 to 1; one stands for 50 ms at
    /// least. Null: there are none of this file, which is of an earlier version.
    #[schema(example = json!([0.02, 0.71, 0.64]))]
    pub peaks: Option<Vec<f64>>,
    /// They are being made: ask again in some seconds.
    pub making: bool,
}

/// Reads how loud a recording is along its length.
///
/// For a waveform, also while the recording is archived. They are made with the mix, of it and of
/// the tracks; those of files of earlier versions are made when they are first asked for, unless
/// the file is archived.
#[utoipa::path(
    operation_id = "getRecordingPeaks",
    get, path = "/v1/recordings/{id}/peaks", tag = "recordings",
    params(("id" = Uuid, Path, description = "Recording"), PeaksQuery),
    responses(
        (status = 200, description = "Its peaks", body = PeaksView),
        (status = 409, description = "It is not ready"),
        (status = 410, description = "It was deleted"),
    )
)]
async fn read(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<PeaksQuery>,
) -> Result<Json<PeaksView>, Problem> {
    let points = query.points.unwrap_or(POINTS);
    if !(1..=POINTS_MAX).contains(&points) {
        return Err(Problem::bad_request("bad query: points must be 1 to 4000"));
    }
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let found = recording::ready(&mut tx, &state, &caller, id).await?;
    tx.commit().await?;
    let meeting = MeetingId(found.meeting_id);
    let can_be_read = !found.is_archived(state.objects.classes());
    let url = found.blob_url.as_deref();
    let file = url
        .and_then(|url| state.objects.key(url))
        .and_then(RecordingFile::parse);
    let peaks = match file {
        Some(file) => stored(&state, &file.peaks().to_string()).await?,
        None => None,
    };
    let is_wanted = file.is_some() && peaks.is_none() && can_be_read;
    let making = is_wanted && make(&state, &caller, meeting).await?;
    Ok(Json(PeaksView {
        recording_id: found.id,
        start_ms: found.start_ms,
        duration_ms: found.duration_ms,
        peaks: peaks.map(|peaks| pooled(&peaks, points)),
        making,
    }))
}

/// Has them made; whether somebody does.
async fn make(state: &Shared, caller: &Caller, meeting: MeetingId) -> Result<bool, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let made = command::peaks::make(&mut tx, caller.tenant, meeting).await?;
    tx.commit().await?;
    let is_made = made.is_some();
    state.publish(meeting, made.unwrap_or_default());
    Ok(is_made)
}

async fn stored(state: &Shared, key: &str) -> Result<Option<Vec<u8>>, Problem> {
    let away = || Problem::unavailable("object storage does not answer");
    match tokio::time::timeout(READ_MAX, state.objects.get_bytes(key)).await {
        Ok(Ok(peaks)) => Ok(Some(peaks)),
        Ok(Err(ObjectError::Missing(_))) => Ok(None),
        Ok(Err(ObjectError::Transient(_))) | Err(_) => Err(away()),
        Ok(Err(error)) => Err(Problem::internal(error)),
    }
}
