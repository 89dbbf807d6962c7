//! A transaction with its role. Nothing about a role or a tenant is ever set for longer: behind a
//! pooler that lends server connections by the transaction, what one client left on a session would
//! be the next one's.

use super::{Result, fair_share::Share, pooler::Pooler};
use crate::domain::{consent::hex, id::TenantId};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
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
    /// as somebody else, and a role that cannot be taken leaves no transaction at all.
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

/// A transaction that was begun with its role. Rolled back when dropped.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    /// Given back after the connection.
    _share: Option<Share>,
}

impl Tx {
    pub(super) async fn begin(
        pool: &PgPool,
        acting: Acting<'_>,
        pooler: Pooler,
        share: Option<Share>,
    ) -> Result<Self> {
        let inner = pool.begin_with(AssertSqlSafe(acting.begin(pooler))).await?;
        Ok(Self {
            inner,
            _share: share,
        })
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
