//! Postgres: the facts. One file per noun; every function takes the connection of a transaction its caller opened, so
//! that effects compose and commit together.
//!
//! Two pools on one URL: [`Store::tenant_tx`] acts as `hansard_app` and sees one tenant, [`Store::worker_tx`] acts as
//! `hansard_worker` and sees all. Migrations run on a connection of their own, as whoever the URL names.

pub mod asked;
pub mod capture;
pub mod consent;
pub mod event;
pub mod idempotency;
pub mod job;
pub mod key;
pub mod link;
pub mod listing;
pub mod meeting;
pub mod participant;
pub mod presence;
pub mod recording;
pub mod seal;
pub mod stream;
pub mod tenant;
pub mod transcript;
pub mod unheard;
pub mod user;
pub mod visit;

use crate::{
    clock::Clock,
    domain::{consent::hex, id::TenantId},
};
use chrono::{DateTime, Utc};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    str::FromStr,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A transaction on either pool.
pub type Tx = Transaction<'static, Postgres>;

/// The longest wait for a connection. Longer than a failover's hiccup would only pile requests up.
const ACQUIRE_MAX: Duration = Duration::from_secs(2);
/// The longest that one statement may run: a request waits no longer than this for a lock.
const STATEMENT_MAX: &str = "10s";
/// The longest that a transaction may sit between two statements, so that a stuck process never keeps a row's lock.
const IDLE_IN_TX_MAX: &str = "15s";

/// What a caller can branch on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such row")]
    NotFound,
    /// A unique, foreign key, check or exclusion constraint refused the write.
    #[error("constraint {constraint} refused the write")]
    Conflict { constraint: String },
    /// Postgres is away, starting, full or too slow. Trying again later may work.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The lease that this write named is somebody else's now: stop.
    #[error("the lease was taken over")]
    Fenced,
    #[error(transparent)]
    Other(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::RowNotFound => Self::NotFound,
            E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_) | E::Tls(_) => Self::Unavailable(error),
            // The server hung up in the middle of a message.
            E::Protocol(_) => Self::Unavailable(error),
            E::Database(database) => {
                let code = database.code().unwrap_or_default();
                if code.starts_with("23") {
                    return Self::Conflict { constraint: database.constraint().unwrap_or_default().to_owned() };
                }
                // Connection lost, out of resources, operator intervention (also statement_timeout), deadlock or
                // serialisation failure, lock not available.
                let passing = ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)) || code == "55P03";
                if passing { Self::Unavailable(error) } else { Self::Other(error) }
            }
            _ => Self::Other(error),
        }
    }
}

impl StoreError {
    /// The name of the constraint that refused the write.
    pub fn on_constraint(&self, name: &str) -> bool {
        // A partition's constraint carries the partition's number in its name: `streams_03_…`.
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }

    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A fresh time-ordered id.
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// Both pools. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    app: PgPool,
    worker: PgPool,
    /// One connection of its own, so that a full pool is not taken for a database that is away.
    probe: PgPool,
}

impl Store {
    /// Opens both pools lazily: no connection is made before it is needed, so a process may start while Postgres is away.
    /// `connections` bounds each pool. Fails only on a URL that cannot be read.
    pub fn open(url: &str, connections: u32) -> Result<Self> {
        let options = options(url)?.application_name("hansard");
        Ok(Self {
            app: pool(&options, connections, "set role hansard_app"),
            worker: pool(&options, connections, "set role hansard_worker"),
            probe: pool(&options, 1, "set role hansard_app"),
        })
    }

    /// A transaction that sees the rows of one tenant and nothing else.
    pub async fn tenant_tx(&self, tenant: TenantId) -> Result<Tx> {
        let mut tx = self.app.begin().await?;
        enter(&mut tx, tenant).await?;
        Ok(tx)
    }

    /// A transaction of the api's role without a tenant: it sees API keys, the one link or code that has this hash, and
    /// nothing else. [`enter`] makes it one of a tenant.
    pub async fn secret_tx(&self, hash: &[u8; 32]) -> Result<Tx> {
        let mut tx = self.app.begin().await?;
        sqlx::query("select set_config('app.secret', $1, true)").bind(hex(hash)).execute(&mut *tx).await?;
        Ok(tx)
    }

    /// A transaction that sees all tenants.
    pub async fn worker_tx(&self) -> Result<Tx> {
        Ok(self.worker.begin().await?)
    }

    /// The workers' pool, for single statements.
    pub fn worker(&self) -> &PgPool {
        &self.worker
    }

    /// Whether Postgres answers, on a connection that nothing else uses.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("select 1").execute(&self.probe).await?;
        Ok(())
    }

    /// Maps the process's monotonic clock to Postgres's by one round trip; up to `tries` when it took too long.
    /// Answers whether a mapping was taken that is as good as it has to be: the quickest of them all is taken when there was
    /// none before.
    pub async fn sync_clock(&self, clock: &Clock, tries: u32) -> Result<bool> {
        // One connection for all tries: the first may have to be opened, and a round trip must not count that.
        let mut conn = self.app.acquire().await?;
        let mut quickest: Option<(Instant, Instant, DateTime<Utc>)> = None;
        for _ in 0..tries {
            let asked = Instant::now();
            let wall: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut *conn).await?;
            let answered = Instant::now();
            if clock.set(asked, answered, wall) {
                return Ok(true);
            }
            if quickest.is_none_or(|(asked_then, answered_then, _)| answered - asked < answered_then - asked_then) {
                quickest = Some((asked, answered, wall));
            }
        }
        if let Some((asked, answered, wall)) = quickest {
            let took_ms = (answered - asked).as_millis();
            let taken = clock.set_roughly(asked, answered, wall);
            tracing::warn!(took_ms, taken, "Postgres answers slowly: its clock is known only to within half of that");
        }
        Ok(false)
    }

    /// Closes both pools; waits for connections in use.
    pub async fn close(&self) {
        self.app.close().await;
        self.worker.close().await;
        self.probe.close().await;
    }
}

/// Statements are never logged: they hold what people said and are called.
fn options(url: &str) -> Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url)?.disable_statement_logging())
}

fn pool(options: &PgConnectOptions, connections: u32, role: &'static str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_MAX)
        .idle_timeout(Duration::from_secs(300))
        .after_connect(move |conn, _| {
            Box::pin(async move {
                sqlx::query(role).execute(&mut *conn).await?;
                sqlx::query("select set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $2, false)")
                    .bind(STATEMENT_MAX)
                    .bind(IDLE_IN_TX_MAX)
                    .execute(&mut *conn)
                    .await?;
                Ok(())
            })
        })
        .connect_lazy_with(options.clone())
}

/// Batches of old events in one sweep. The next is a minute later.
const FORGETS_MAX: u32 = 50;

/// Forgets what has had its time: idempotency keys after 24 hours, session codes and counts of wrong passwords after they
/// ended, events 24 hours after the end of their meeting. All tenants', in any process, at any time. Answers how many rows went
/// (of events: meetings).
pub async fn sweep(store: &Store) -> Result<u64> {
    let mut gone = 0;
    for statement in [
        "delete from idempotency_keys where created_at < clock_timestamp() - interval '24 hours'",
        "delete from session_codes where expires_at < clock_timestamp() - interval '1 hour'",
        "delete from password_tries where since < clock_timestamp() - interval '1 hour'",
    ] {
        gone += sqlx::query(statement).execute(store.worker()).await?.rows_affected();
    }
    for _ in 0..FORGETS_MAX {
        let mut tx = store.worker_tx().await?;
        let meetings = event::forget(&mut tx).await?;
        tx.commit().await?;
        gone += meetings as u64;
        if meetings == 0 {
            break;
        }
    }
    Ok(gone)
}

/// From here on the transaction sees the rows of this tenant.
pub async fn enter(conn: &mut PgConnection, tenant: TenantId) -> Result<()> {
    sqlx::query("select set_config('app.tenant', $1, true)").bind(tenant.to_string()).execute(conn).await?;
    Ok(())
}

/// Statements that run for every request or packet's worth of work, each with its arguments (`meeting` and `id` stand for
/// ids). A test explains each and sees it touch one partition of every partitioned table.
pub const HOT_QUERIES: &[(&str, &str, &[&str])] = &[
    ("participant", participant::GET, &["meeting", "id"]),
    ("participant of a user", participant::BY_USER, &["meeting", "id"]),
    ("participants", participant::LIST, &["meeting", "id", "50"]),
    ("consent above an entry", consent::ABOVE, &["meeting", "0"]),
    ("events after a seq", event::AFTER, &["meeting", "0", "100"]),
    ("recordings", listing::LIST, &["meeting", "id", "50"]),
    ("transcript head", transcript::HEAD, &["meeting"]),
    ("transcript segments", transcript::SEGMENTS, &["meeting"]),
    ("transcript gaps", unheard::OF_MEETING, &["meeting"]),
    ("stream", asked::FIND, &["meeting", "id"]),
];

/// Brings the schema up to date, on a plain connection as the URL's own user. Safe to run from several processes at
/// once: they take turns.
pub async fn migrate(url: &str) -> anyhow::Result<()> {
    let mut conn = owner(url).await?;
    sqlx::migrate!("./migrations").run(&mut conn).await?;
    conn.close().await?;
    Ok(())
}

/// A plain connection as the URL's own user, for what operators do (migrations, tenants, keys).
pub async fn owner(url: &str) -> Result<PgConnection> {
    let options = options(url)?.application_name("hansard-owner");
    Ok(PgConnection::connect_with(&options).await?)
}
