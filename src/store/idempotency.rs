//! `Idempotency-Key`: what was answered to a request, kept in the transaction of its effect, for 24
//! hours.

use super::Result;
pub use crate::domain::id::Request;
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// What became of an earlier request with the same key.
#[derive(Clone, PartialEq, Debug)]
pub enum Earlier {
    /// There was none: go on. Until this transaction ends, others with the key are told
    /// [`Earlier::Running`].
    None,
    /// One is still running.
    Running,
    /// One with another body.
    OtherBody,
    /// Answered with this.
    Answered { status: u16, response: Value },
    /// It took effect; its answer is not kept. What it made, if anything.
    Done { made: Option<Uuid> },
}

/// Looks for an earlier request and, when there is none, keeps others with the key out until this
/// transaction ends.
pub async fn begin(conn: &mut PgConnection, request: &Request) -> Result<Earlier> {
    let free: bool =
        sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(lock(request))
            .fetch_one(&mut *conn)
            .await?;
    if !free {
        return Ok(Earlier::Running);
    }
    earlier(conn, request).await
}

/// As [`begin`], but waits for one that is still running. For whoever holds the lock that the other
/// needed before this one: Postgres lets go of rows before it lets go of these.
pub async fn begin_next(conn: &mut PgConnection, request: &Request) -> Result<Earlier> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(lock(request))
        .execute(&mut *conn)
        .await?;
    earlier(conn, request).await
}

fn lock(request: &Request) -> String {
    format!("{}\n{}\n{}", request.tenant, request.route, request.key)
}

async fn earlier(conn: &mut PgConnection, request: &Request) -> Result<Earlier> {
    type Row = (Vec<u8>, Option<i32>, Option<Json<Value>>, Option<Uuid>);
    let row: Option<Row> = sqlx::query_as(
        "select body_hash, status, response, existing_id from idempotency_keys
         where tenant_id = $1 and route = $2 and key = $3 and created_at > clock_timestamp() - interval '24 hours'",
    )
    .bind(request.tenant.0)
    .bind(&request.route)
    .bind(&request.key)
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        None => Earlier::None,
        Some((body_hash, ..)) if body_hash != request.body_hash => Earlier::OtherBody,
        Some((_, Some(status), Some(Json(response)), _)) => Earlier::Answered {
            status: u16::try_from(status).unwrap_or(200),
            response,
        },
        Some((_, _, _, made)) => Earlier::Done { made },
    })
}

/// What an earlier request made, as far as it is committed. Keeps nobody out.
pub async fn made(conn: &mut PgConnection, request: &Request) -> Result<Option<Uuid>> {
    let made: Option<Option<Uuid>> = sqlx::query_scalar(
        "select existing_id from idempotency_keys
         where tenant_id = $1 and route = $2 and key = $3 and body_hash = $4
           and created_at > clock_timestamp() - interval '24 hours'",
    )
    .bind(request.tenant.0)
    .bind(&request.route)
    .bind(&request.key)
    .bind(&request.body_hash[..])
    .fetch_optional(conn)
    .await?;
    Ok(made.flatten())
}

/// Keeps the answer (`None`: it carries a secret, or is not known yet) and what was made.
pub async fn keep(
    conn: &mut PgConnection,
    request: &Request,
    answer: Option<(u16, &Value)>,
    made: Option<Uuid>,
) -> Result<()> {
    sqlx::query(
        "insert into idempotency_keys (tenant_id, route, key, body_hash, status, response, existing_id)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant_id, route, key) do update set
             body_hash = excluded.body_hash, status = excluded.status, response = excluded.response,
             existing_id = excluded.existing_id, created_at = clock_timestamp()",
    )
    .bind(request.tenant.0)
    .bind(&request.route)
    .bind(&request.key)
    .bind(&request.body_hash[..])
    .bind(answer.map(|(status, _)| i32::from(status)))
    .bind(answer.map(|(_, response)| Json(response)))
    .bind(made)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets a request whose effect was taken back.
pub async fn forget(conn: &mut PgConnection, request: &Request) -> Result<()> {
    sqlx::query("delete from idempotency_keys where tenant_id = $1 and route = $2 and key = $3")
        .bind(request.tenant.0)
        .bind(&request.route)
        .bind(&request.key)
        .execute(conn)
        .await?;
    Ok(())
}
