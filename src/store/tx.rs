//! A transaction with its role. Nothing about a role or a tenant is ever set for longer: behind a
//! pooler that lends server connections by the transaction, what one client left on a session would
//! be the next one's.

use super::{Result, fair_share::Share, pooler::Pooler};
use crate::domain::{consent::hex, id::TenantId};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::ops::{Deref, DerefMut};

/// The longest that one statement may run: a request waits no longer than this for a lock.
const STATEMENT_MAX: &str = "10s";
/// The longest that a transaction may sit between two statements, so that a stuck process never
/// keeps a row's lock.
const IDLE_IN_TX_MAX: &str = "15s";

/// As whom a transaction acts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Acting<'a> {
    /// `hansard_app`: one tenant's rows.
    Tenant(TenantId),
    /// `hansard_app` without a tenant: API keys, and the one link or code that has this hash.
    Holder(&'a [u8; 32]),
    /// `hansard_worker`: all tenants' rows.
    Worker,
}

impl Acting<'_> {
    /// Begins and says who acts, in one message: there is no instant at which the transaction runs
    /// as somebody else. A role that cannot be taken fails the whole.
    fn begin(self, pooler: Pooler) -> String {
        let (role, setting) = match self {
            // An id is hexadecimal digits and hyphens, and so is nothing to be escaped.
            Self::Tenant(tenant) => (
                "hansard_app",
                format!("; set local app.tenant = '{tenant}'"),
            ),
            Self::Holder(hash) => (
                "hansard_app",
                format!("; set local app.secret = '{}'", hex(hash)),
            ),
            Self::Worker => ("hansard_worker", String::new()),
        };
        let first = pooler.before_each_transaction();
        format!(
            "begin{first}; set local role {role}; set local statement_timeout = '{STATEMENT_MAX}'; \
             set local idle_in_transaction_session_timeout = '{IDLE_IN_TX_MAX}'{setting}"
        )
    }
}

/// How far a transaction is on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// From before its beginning was sent: only a rollback ends it.
    Open,
    /// Its end was sent, or was about to be: nobody knows.
    Ending,
    Over,
}

/// A transaction that was begun with its role. Rolled back when dropped, wherever it is: a request
/// whose client has gone, or that ran out of time, is dropped at any await, also before the database
/// has answered to the beginning. A connection that went back within a transaction would be the next
/// one's, with its snapshot and its locks.
#[derive(Debug)]
pub struct Tx {
    /// There until it is dropped.
    conn: Option<PoolConnection<Postgres>>,
    phase: Phase,
    /// Given back after the connection.
    share: Option<Share>,
}

impl Tx {
    pub(super) async fn begin(
        pool: &PgPool,
        acting: Acting<'_>,
        pooler: Pooler,
        share: Option<Share>,
    ) -> Result<Self> {
        let mut tx = Self {
            conn: Some(pool.acquire().await?),
            phase: Phase::Open,
            share,
        };
        let begin = AssertSqlSafe(acting.begin(pooler));
        sqlx::raw_sql(begin).execute(&mut *tx).await?;
        Ok(tx)
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("commit").await
    }

    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("rollback").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        self.phase = Phase::Ending;
        let ended = sqlx::raw_sql(how).execute(&mut *self).await;
        // What the database answers to it, also by refusing, ends it.
        if matches!(ended, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.phase = Phase::Over;
        }
        ended.map(|_| ())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        match self.phase {
            Phase::Over => {}
            Phase::Ending => conn.close_on_drop(),
            Phase::Open => {
                let share = self.share.take();
                tokio::spawn(async move {
                    // Behind whatever is still on its way there.
                    if sqlx::raw_sql("rollback").execute(&mut *conn).await.is_err() {
                        conn.close_on_drop();
                    }
                    drop(conn);
                    drop(share);
                });
            }
        }
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn.as_mut().expect("it is there until it is dropped")
    }
}
