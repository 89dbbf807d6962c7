//! What stands between us and Postgres: nothing, or a pooler that lends a server connection for one
//! transaction at a time (pgbouncer with `pool_mode = transaction`). Found out by trying, since no
//! pooler says so.

use super::{Result, StoreError};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// Rounds of the probe. One is enough on a quiet pooler; others' transactions may come between.
const TRIES: usize = 8;

/// Who lends us server connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pooler {
    /// Nobody, or a pooler that lends one for a whole session.
    None,
    /// One by the transaction that keeps each client's prepared statements apart (pgbouncer ≥ 1.21
    /// with `max_prepared_statements`).
    Prepares,
    /// One by the transaction that knows nothing of prepared statements: the name that one client
    /// gave may be another's. Every transaction then begins by forgetting all names and prepares
    /// its statements anew.
    Plain,
}

impl Pooler {
    pub(super) const fn before_each_transaction(self) -> &'static str {
        match self {
            Self::None | Self::Prepares => "",
            Self::Plain => "; deallocate all",
        }
    }

    /// A statement that was prepared in an earlier transaction may be used only where its name
    /// still means the same.
    pub(super) fn adapt(self, options: PgConnectOptions) -> PgConnectOptions {
        match self {
            Self::None | Self::Prepares => options,
            Self::Plain => options.statement_cache_capacity(0),
        }
    }

    /// Tries it out with two connections, closed again.
    pub(super) async fn find(options: &PgConnectOptions) -> Result<Self> {
        let mut one = PgConnection::connect_with(options).await?;
        let mut other = PgConnection::connect_with(options).await?;
        let found = probe(&mut one, &mut other).await;
        let _ = one.close().await;
        let _ = other.close().await;
        found
    }
}

async fn probe(one: &mut PgConnection, other: &mut PgConnection) -> Result<Pooler> {
    let mut pooled = false;
    for _ in 0..TRIES {
        // Without a pooler these are equal, equal, and different, always.
        let (first, second, theirs) =
            (server(one).await?, server(one).await?, server(other).await?);
        if first != second || first == theirs || second == theirs {
            pooled = true;
            break;
        }
    }
    if !pooled {
        return Ok(Pooler::None);
    }
    // Both give the same name, sooner or later on the same server connection.
    for _ in 0..TRIES {
        let mine = named(one).await?;
        match named(other).await {
            Ok(theirs) if theirs == mine => return Ok(Pooler::Prepares),
            Ok(_) => {}
            Err(StoreError::Other(sqlx::Error::Database(error)))
                if is_mixed_up(error.code().as_deref()) =>
            {
                return Ok(Pooler::Plain);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Pooler::Plain)
}

/// The process that serves one transaction, asked without a prepared statement.
async fn server(conn: &mut PgConnection) -> Result<i32> {
    use sqlx::Row;
    let mut tx = conn.begin().await?;
    let row = sqlx::raw_sql("select pg_backend_pid()::text")
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(row.try_get::<String, _>(0)?.parse().unwrap_or_default())
}

/// The same by a statement with a name: the first of a connection has the same name as any other's
/// first.
async fn named(conn: &mut PgConnection) -> Result<i32> {
    let mut tx = conn.begin().await?;
    let pid = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut *tx)
        .await;
    // A failed one is rolled back when dropped.
    let pid = pid?;
    tx.commit().await?;
    Ok(pid)
}

/// The name is taken, or unknown.
fn is_mixed_up(code: Option<&str>) -> bool {
    matches!(code, Some("42P05" | "26000"))
}
