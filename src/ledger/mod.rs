//! The ledger in the bucket: what is deleted, taken out, erased or held is first an object there,
//! then rows.
//!
//! A tenant's head ([`ledger::lock`]) is locked from before its next entry is written until the
//! rows are committed. Whoever dies in between leaves an entry that no row knows; whoever restores
//! a backup has many such. Both are the same to [`Ledger::catch_up`]: it carries out what follows
//! the head, in order. Every process does so before it is ready ([`Ledger::open`]).

mod accept;
mod carry;
mod replay;
mod watch;

pub use replay::{CatchUp, ReplayError};

use crate::{
    command::{
        self,
        delete::{self, Plan, Target},
    },
    domain::{
        id::{MeetingId, TenantId},
        ledger::{Act, Draft, Head},
        object_key::LedgerKey,
        wire_time::wire_time,
    },
    objects::{ObjectError, Objects},
    store::{Store, StoreError, deletion::Asked, effect::Effects, ledger},
};
use sqlx::PgConnection;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tracing::info;

/// The longest that an entry may take to be written, while a request waits and rows are locked.
const APPEND_MAX: Duration = Duration::from_secs(3);
/// What an entry is.
const JSON: &str = "application/json";

/// The ledgers of all tenants, in one bucket. Clones share what is known of them.
#[derive(Clone)]
pub struct Ledger {
    store: Store,
    objects: Objects,
    known: Arc<Known>,
}

struct Known {
    /// Whether the rows have all that the bucket's ledger has, as far as is known.
    current: AtomicBool,
    /// Told when it is.
    became_current: Notify,
    /// Told when an entry may have been written whose rows were not.
    look: Notify,
    /// How far each tenant's rows were: they never go back, unless the database was put back.
    seen: parking_lot::Mutex<BTreeMap<TenantId, i64>>,
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
pub enum Unappended {
    /// The ledger has entries that the rows do not: catch up, then begin again.
    #[error("the database is behind the ledger")]
    Behind,
    /// Storage is away. What was asked for is kept in the rows, and the job writes the entry.
    #[error("the ledger cannot be written: {0}")]
    Away(String),
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Catch up, then begin again.
    #[error("the database is behind the ledger")]
    Behind,
    #[error(transparent)]
    Command(#[from] command::Refused),
}

impl Ledger {
    /// Nothing is known to be missing until [`Self::open`] looks.
    pub fn new(store: Store, objects: Objects) -> Self {
        Self {
            store,
            objects,
            known: Arc::new(Known {
                current: AtomicBool::new(true),
                became_current: Notify::new(),
                look: Notify::new(),
                seen: parking_lot::Mutex::default(),
            }),
        }
    }

    /// Whether the rows have all that the ledger has. While it is not known, nothing is read out of
    /// the bucket for anybody, and nothing that was left somewhere is brought into it.
    pub fn is_current(&self) -> bool {
        self.known.current.load(Ordering::Acquire)
    }

    /// Waits until it is.
    pub async fn current(&self) {
        loop {
            let told = self.known.became_current.notified();
            if self.is_current() {
                return;
            }
            told.await;
        }
    }

    /// An entry may have been written whose rows were not: somebody looks soon.
    pub fn look_soon(&self) {
        self.known.look.notify_one();
    }

    fn set_current(&self, current: bool) {
        self.known.current.store(current, Ordering::Release);
        if current {
            self.known.became_current.notify_waiters();
        }
    }

    /// Writes an entry. The rows that it tells of are written in the same transaction, which holds
    /// the tenant's head until its end; where that is no commit, [`Self::look_soon`].
    ///
    /// # Errors
    /// [`Unappended`]; then the transaction has nothing of it.
    pub async fn append(&self, conn: &mut PgConnection, draft: Draft) -> Result<i64, Unappended> {
        if !self.is_current() {
            return Err(Unappended::Away("it is not known how far it is".to_owned()));
        }
        let tenant = draft.tenant;
        let before = ledger::lock(conn, tenant).await?;
        let (entry, object) = draft.behind(&before);
        let key = LedgerKey { tenant, n: entry.n }.to_string();
        let put = self.objects.put_new(&key, &object, JSON);
        let is_there = match tokio::time::timeout(APPEND_MAX, put).await {
            Ok(Ok(is_there)) => is_there,
            Ok(Err(error)) if error.is_away() => return Err(Unappended::Away(error.to_string())),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let waited = APPEND_MAX.as_secs();
                return Err(Unappended::Away(format!("no answer for {waited} s")));
            }
        };
        if !is_there {
            return Err(Unappended::Behind);
        }
        ledger::advance(conn, tenant, &Head::of(entry.n, &object)).await?;
        metrics::counter!("hansard_ledger_entries_total").increment(1);
        Ok(entry.n)
    }

    /// Asks for a deletion: the entry first, then the rows. With storage away the rows alone, and
    /// the job writes the entry before it deletes anything. Once more changes nothing.
    pub async fn delete(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
        target: Target,
        asked: Asked,
    ) -> Result<Effects, Refused> {
        let Some(plan) = delete::plan(conn, meeting, target).await? else {
            return Ok(Effects::default());
        };
        let store = |error: StoreError| Refused::Command(error.into());
        let draft = draft(conn, tenant, meeting, &plan, &asked)
            .await
            .map_err(store)?;
        let n = match self.append(conn, draft).await {
            Ok(n) => Some(n),
            Err(Unappended::Behind) => return Err(Refused::Behind),
            Err(Unappended::Store(error)) => return Err(store(error)),
            Err(Unappended::Away(error)) => {
                info!(error, "a deletion is written into the ledger by its job");
                None
            }
            Err(Unappended::Objects(error)) => {
                info!(%error, "a deletion is written into the ledger by its job");
                None
            }
        };
        let asked = Asked { ledger: n, ..asked };
        delete::carry_out(conn, tenant, meeting, &plan, &asked)
            .await
            .map_err(store)
    }

    /// Writes the entries of the deletions that were asked for of a meeting while that could not be
    /// done. Under the meeting's head.
    async fn write_deletions(
        &self,
        conn: &mut PgConnection,
        tenant: TenantId,
        meeting: MeetingId,
    ) -> Result<(), Unappended> {
        for asked in ledger::unwritten(conn, meeting).await? {
            let recordings = asked.recordings();
            let deletion = ledger::deletion(conn, meeting, asked.what(), &recordings).await?;
            let draft = asked.draft(tenant, meeting, deletion);
            let n = self.append(conn, draft).await?;
            ledger::written(conn, meeting, &asked, n).await?;
        }
        Ok(())
    }
}

async fn draft(
    conn: &mut PgConnection,
    tenant: TenantId,
    meeting: MeetingId,
    plan: &Plan,
    asked: &Asked,
) -> Result<Draft, StoreError> {
    let deletion = ledger::deletion(conn, meeting, plan.what, &plan.recordings).await?;
    Ok(Draft {
        tenant,
        meeting: Some(meeting),
        author: asked.author.clone(),
        reason: asked.reason.clone(),
        asked_at: wire_time(asked.at),
        act: Act::Deletion(deletion),
    })
}
