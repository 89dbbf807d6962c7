//! Postgres: the facts. One file per noun; every function takes the connection of a transaction its
//! caller opened, so that effects compose and commit together.
//!
//! Two pools on one URL, so that requests never take the connections of a worker's jobs. Every
//! query runs in a transaction that begins with its role: [`Store::tenant_tx`] acts as
//! `hansard_app` and sees one tenant, [`Store::worker_tx`] acts as `hansard_worker` and sees all. A
//! session keeps neither, so a pooler may lend it to others between transactions. Migrations run on
//! a connection of their own, as whoever the URL names.

pub mod attendance;
pub mod backlog;
pub mod block;
pub mod capture;
pub mod consent;
pub mod correction;
pub mod deletion;
pub mod effect;
pub mod entry_row;
pub mod erasure;
pub mod event;
mod fair_share;
pub mod file_entry;
pub mod glossary;
pub mod hold;
pub mod idempotency;
pub mod inventory;
pub mod job;
pub mod key;
pub mod lease;
pub mod ledger;
pub mod link;
pub mod meeting;
pub mod missing;
pub mod participant;
pub mod pooler;
pub mod port;
pub mod presence;
pub mod recording;
pub mod recording_list;
pub mod redacted_file;
pub mod redaction;
pub mod redaction_entry;
pub mod refine;
pub mod requested_stream;
pub mod restore;
pub mod retention;
pub mod retract;
pub mod rewrap;
pub mod seal;
pub mod signature;
pub mod spoken;
pub mod spool;
pub mod stream;
pub mod tenant;
pub mod tier;
pub mod transcript;
pub mod translation;
pub mod tx;
pub mod unheard;
pub mod unknown;
pub mod user;
mod word;

use crate::{
    clock::Clock,
    domain::{
        fault::{Away, Fault},
        id::TenantId,
    },
};
use chrono::{DateTime, Utc};
use fair_share::FairShare;
use pooler::Pooler;
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    str::FromStr,
    time::{Duration, Instant},
};
use tx::Acting;
use uuid::Uuid;

pub use tx::Tx;

/// The longest wait for a connection. Longer than a failover's hiccup would only pile requests up.
const ACQUIRE_MAX: Duration = Duration::from_secs(2);

/// What a caller can branch on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such row")]
    NotFound,
    /// A unique, foreign key, check or exclusion constraint refused the write.
    #[error("constraint {constraint} refused the write")]
    Conflict { constraint: String },
    /// Postgres is away, starting, full or too slow. Trying again later may work. No `source`: the
    /// text has it already.
    #[error("the database is not available: {0}")]
    Unavailable(sqlx::Error),
    /// An `Idempotency-Key` that was used with another body.
    #[error("the key was used with another body")]
    OtherBody,
    /// A limit on how often somebody may do this in one meeting.
    #[error("no more of these: {0}")]
    TooMany(&'static str),
    /// The lease that this write named is somebody else's now: stop.
    #[error("the lease was taken over")]
    Fenced,
    /// An object that this write tells of is being deleted: it may not be told of.
    #[error("the object is being deleted")]
    Going,
    /// For what needs more than one transaction on the same session.
    #[error(
        "the database is reached through a transaction pooler without prepared statements (pgbouncer before 1.21, or \
         max_prepared_statements = 0): raise that, or name Postgres itself for migrate, key, tenant and serve"
    )]
    Pooler,
    #[error(transparent)]
    Other(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::RowNotFound => Self::NotFound,
            E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_) | E::Tls(_) => {
                Self::Unavailable(error)
            }
            // The server hung up in the middle of a message.
            E::Protocol(_) => Self::Unavailable(error),
            E::Database(database) => {
                let code = database.code().unwrap_or_default();
                if code.starts_with("23") {
                    return Self::Conflict {
                        constraint: database.constraint().unwrap_or_default().to_owned(),
                    };
                }
                // Connection lost, out of resources, operator intervention (also
                // statement_timeout), deadlock or serialisation failure, lock not available.
                let passing = ["08", "53", "57", "40"]
                    .iter()
                    .any(|class| code.starts_with(class))
                    || code == "55P03";
                if passing {
                    Self::Unavailable(error)
                } else {
                    Self::Other(error)
                }
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

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        if self.is_unavailable() {
            Fault::Away(Away::Database)
        } else {
            Fault::Ours
        }
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
    pooler: Pooler,
    fair: FairShare,
}

impl Store {
    /// Opens both pools lazily, on a URL that leads to Postgres itself. `connections` bounds each
    /// pool. Fails only on a URL that cannot be read.
    pub fn open(url: &str, connections: u32) -> Result<Self> {
        Ok(Self::with(&options(url)?, connections, Pooler::None))
    }

    /// Finds out what the URL leads to, and opens both pools for it.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        let options = options(url)?;
        let pooler = Pooler::find(&options).await?;
        if pooler != Pooler::None {
            tracing::info!(
                prepares = pooler == Pooler::Prepares,
                "the database is reached through a transaction pooler"
            );
        }
        Ok(Self::with(&options, connections, pooler))
    }

    fn with(options: &PgConnectOptions, connections: u32, pooler: Pooler) -> Self {
        let options = pooler.adapt(options.clone().application_name("hansard"));
        Self {
            app: pool(&options, connections),
            worker: pool(&options, connections),
            probe: pool(&options, 1),
            pooler,
            fair: FairShare::new(connections),
        }
    }

    /// What the database is reached through.
    pub fn pooler(&self) -> Pooler {
        self.pooler
    }

    /// A transaction that sees the rows of one tenant and nothing else.
    pub async fn tenant_tx(&self, tenant: TenantId) -> Result<Tx> {
        let share = self.fair.take(Some(tenant)).await?;
        Tx::begin(&self.app, Acting::Tenant(tenant), self.pooler, Some(share)).await
    }

    /// A transaction of the api's role without a tenant: it sees API keys, the one link or code
    /// that has this hash, and nothing else. [`enter`] makes it one of a tenant.
    pub async fn secret_tx(&self, hash: &[u8; 32]) -> Result<Tx> {
        let share = self.fair.take(None).await?;
        Tx::begin(&self.app, Acting::Holder(hash), self.pooler, Some(share)).await
    }

    /// A transaction that sees all tenants. To be committed, also by who reads only, or it costs a
    /// rollback.
    pub async fn worker_tx(&self) -> Result<Tx> {
        Tx::begin(&self.worker, Acting::Worker, self.pooler, None).await
    }

    /// Whether Postgres answers, on a connection that nothing else uses.
    pub async fn ping(&self) -> Result<()> {
        // Without a prepared statement, which a pooler might not know.
        sqlx::raw_sql("select 1").execute(&self.probe).await?;
        Ok(())
    }

    /// Maps the process's monotonic clock to Postgres's by one round trip; up to `tries` when it
    /// took too long. Answers whether a mapping was taken that is as good as it has to be: the
    /// quickest of them all is taken when there was none before.
    pub async fn sync_clock(&self, clock: &Clock, tries: u32) -> Result<bool> {
        // One connection for all tries: the first may have to be opened, and a round trip must not
        // count that.
        let mut tx = Tx::begin(&self.worker, Acting::Worker, self.pooler, None).await?;
        let mut quickest: Option<(Instant, Instant, DateTime<Utc>)> = None;
        for _ in 0..tries {
            let asked = Instant::now();
            let wall: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
                .fetch_one(&mut *tx)
                .await?;
            let answered = Instant::now();
            if clock.set(asked, answered, wall) {
                return Ok(true);
            }
            if quickest.is_none_or(|(asked_then, answered_then, _)| {
                answered - asked < answered_then - asked_then
            }) {
                quickest = Some((asked, answered, wall));
            }
        }
        if let Some((asked, answered, wall)) = quickest {
            let took_ms = (answered - asked).as_millis();
            let taken = clock.set_roughly(asked, answered, wall);
            tracing::warn!(
                took_ms,
                taken,
                "Postgres answers slowly: its clock is known only to within half of that"
            );
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

/// Statements are never logged: they hold what people said and are called. No setting is sent at
/// the start of a session that a pooler would refuse, not knowing it.
fn options(url: &str) -> Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url)?
        .disable_statement_logging()
        .extra_float_digits(None))
}

fn pool(options: &PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_MAX)
        .idle_timeout(Duration::from_secs(300))
        .connect_lazy_with(options.clone())
}

/// Batches of old events in one sweep. The next is a minute later.
const FORGETS_MAX: u32 = 50;

/// Forgets what has had its time: idempotency keys after 24 hours, session codes and counts of
/// wrong passwords after they ended, events 24 hours after the end of their meeting. All tenants',
/// in any process, at any time. Answers how many rows went (of events: meetings).
pub async fn sweep(store: &Store) -> Result<u64> {
    let mut gone = 0;
    let mut tx = store.worker_tx().await?;
    for statement in [
        "delete from idempotency_keys where created_at < clock_timestamp() - interval '24 hours'",
        "delete from session_codes where expires_at < clock_timestamp() - interval '1 hour'",
        "delete from password_tries where since < clock_timestamp() - interval '1 hour'",
    ] {
        gone += sqlx::query(statement)
            .execute(&mut *tx)
            .await?
            .rows_affected();
    }
    tx.commit().await?;
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
    sqlx::query("select set_config('app.tenant', $1, true)")
        .bind(tenant.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Statements that run for every request or packet's worth of work, each with its arguments
/// (`meeting` and `id` stand for ids). A test explains each and sees it touch one partition of
/// every partitioned table.
pub const HOT_QUERIES: &[(&str, &str, &[&str])] = &[
    ("participant", participant::GET, &["meeting", "id"]),
    (
        "participant of a user",
        participant::BY_USER,
        &["meeting", "id"],
    ),
    ("participants", participant::LIST, &["meeting", "id", "50"]),
    (
        "consent above an entry",
        consent::ABOVE,
        &["meeting", "0", "50"],
    ),
    ("events after a seq", event::AFTER, &["meeting", "0", "100"]),
    ("recordings", recording_list::LIST, &["meeting", "id", "50"]),
    ("transcript head", transcript::HEAD, &["meeting"]),
    ("transcript segments", transcript::SEGMENTS, &["meeting"]),
    ("transcript gaps", unheard::OF_MEETING, &["meeting"]),
    ("stream", requested_stream::FIND, &["meeting", "id"]),
    (
        "streams",
        requested_stream::LIST,
        &["meeting", "id", "50", "id"],
    ),
];

/// The number of the lock that migrations take turns by; any will do.
const MIGRATION_LOCK: i64 = 0x6861_6e73_6172_6400;

/// All migrations that this version knows.
pub fn migrations() -> Migrator {
    sqlx::migrate!("./migrations")
}

/// Brings the schema up to date, on a plain connection as the URL's own user. Safe to run from
/// several processes at once: they take turns.
pub async fn migrate(url: &str) -> anyhow::Result<()> {
    let mut conn = owner(url).await?;
    // The turn is a transaction's, on a connection of its own: a session's lock would stay behind
    // in a pooler.
    let mut turn =
        PgConnection::connect_with(&options(url)?.application_name("hansard-owner")).await?;
    let mut tx = turn.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *tx)
        .await?;
    migrations().set_locking(false).run(&mut conn).await?;
    tx.commit().await?;
    turn.close().await?;
    conn.close().await?;
    Ok(())
}

/// A plain connection as the URL's own user, for what operators do (migrations, tenants, keys).
///
/// # Errors
/// [`StoreError::Pooler`] where prepared statements of others would be mixed up with ours.
pub async fn owner(url: &str) -> Result<PgConnection> {
    let options = options(url)?.application_name("hansard-owner");
    if Pooler::find(&options).await? == Pooler::Plain {
        return Err(StoreError::Pooler);
    }
    Ok(PgConnection::connect_with(&options).await?)
}
