//! Finding what the ledger has and the rows do not.

use super::Ledger;
use crate::{
    domain::{
        id::TenantId,
        ledger::{Broken, Head, follow, read},
        object_key::{LEDGERS, LedgerKey, ledger_prefix},
    },
    objects::{ObjectError, Objects},
    store::{StoreError, ledger},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use tracing::warn;

/// Entries that are listed at a time.
const PAGE: usize = 200;
/// Tenants at a time.
const TENANTS_AT_ONCE: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the ledger of tenant {tenant} does not hold: {broken}. If the object {key} cannot be brought back, \
         `hansard ledger replay --accept-breaks` carries out what can be read"
    )]
    Broken {
        tenant: TenantId,
        key: String,
        broken: Broken,
    },
}

impl ReplayError {
    /// Whether it works by itself once storage and the database are there.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Objects(error) => error.is_away(),
            Self::Store(error) => error.is_unavailable(),
            Self::Broken { .. } => false,
        }
    }
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CatchUp {
    /// Entries that were carried out.
    pub replayed: u64,
    /// The last entry that the rows know, where the bucket does not have it: it is another bucket,
    /// or lost it.
    pub missing: Vec<LedgerKey>,
    /// What does not hold and was accepted.
    pub breaks: Vec<(TenantId, Broken)>,
}

impl Ledger {
    /// Carries out what the ledgers of all tenants have and the rows do not.
    pub async fn catch_up_all(&self, accept_breaks: bool) -> Result<CatchUp, ReplayError> {
        let heads = self.heads().await?;
        let mut tenants: BTreeSet<TenantId> = heads.keys().copied().collect();
        tenants.extend(tenants_of(&self.objects).await?);
        let mut all = CatchUp::default();
        let mut caught = stream::iter(tenants)
            .map(|tenant| self.catch_up(tenant, accept_breaks))
            .buffer_unordered(TENANTS_AT_ONCE);
        while let Some(caught) = caught.try_next().await? {
            all.replayed += caught.replayed;
            all.missing.extend(caught.missing);
            all.breaks.extend(caught.breaks);
        }
        Ok(all)
    }

    /// The same of one tenant.
    pub async fn catch_up(
        &self,
        tenant: TenantId,
        accept_breaks: bool,
    ) -> Result<CatchUp, ReplayError> {
        let mut caught = CatchUp::default();
        let mut head = self.head(tenant).await?;
        // The last entry that the rows know is listed, too: whether it is there.
        let mut known = (head.n > 0).then_some(LedgerKey { tenant, n: head.n });
        loop {
            let from = head.n - i64::from(known.is_some());
            let mut keys = self.keys(tenant, from, PAGE).await?;
            if let Some(known) = known.take() {
                if keys.first() == Some(&known) {
                    keys.remove(0);
                } else {
                    caught.missing.push(known);
                }
            }
            if keys.is_empty() {
                return Ok(caught);
            }
            for key in keys {
                let bytes = self.objects.get_bytes(&key.to_string()).await?;
                let (entry, next) = match follow(&head, tenant, key.n, &bytes) {
                    Ok(followed) => followed,
                    Err(broken) if accept_breaks => {
                        warn!(%tenant, %broken, "a break in a ledger is accepted");
                        caught.breaks.push((tenant, broken));
                        let next = Head::of(key.n, &bytes);
                        let Ok(entry) = read(tenant, key.n, &bytes) else {
                            self.skip(tenant, &head, &next).await?;
                            head = next;
                            continue;
                        };
                        (entry, next)
                    }
                    Err(broken) => {
                        let key = LedgerKey {
                            tenant,
                            n: broken.n(),
                        };
                        return Err(ReplayError::Broken {
                            tenant,
                            key: key.to_string(),
                            broken,
                        });
                    }
                };
                caught.replayed += u64::from(self.carry_out(&entry, &head, &next).await?);
                head = next;
            }
        }
    }

    /// The tenant's entries behind this number, at most `limit`.
    async fn keys(
        &self,
        tenant: TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LedgerKey>, ReplayError> {
        let after = LedgerKey { tenant, n: after }.to_string();
        let prefix = ledger_prefix(tenant);
        let listed = self.objects.list_after(&prefix, Some(after), limit).await?;
        // Nobody else writes there.
        let keys = listed.iter().filter_map(|one| LedgerKey::parse(&one.key));
        Ok(keys.collect())
    }

    async fn head(&self, tenant: TenantId) -> Result<Head, ReplayError> {
        let mut tx = self.store.worker_tx().await?;
        // Waits for whoever is between an entry and its rows.
        let head = ledger::lock(&mut tx, tenant).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(head)
    }

    /// Goes on behind an entry that cannot be read.
    async fn skip(&self, tenant: TenantId, from: &Head, to: &Head) -> Result<(), ReplayError> {
        let mut tx = self.store.worker_tx().await?;
        if ledger::lock(&mut tx, tenant).await? == *from {
            ledger::advance(&mut tx, tenant, to).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// How far the rows are, of each tenant that has a ledger.
    pub async fn heads(&self) -> Result<BTreeMap<TenantId, Head>, ReplayError> {
        let mut tx = self.store.worker_tx().await?;
        let heads = ledger::heads(&mut tx).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(heads)
    }

    /// Walks the whole chain of every tenant, and changes nothing. Answers with the number of
    /// entries of each, or why it does not hold.
    pub async fn verify(&self) -> Result<BTreeMap<TenantId, Result<i64, Broken>>, ReplayError> {
        let mut all = BTreeMap::new();
        for tenant in tenants_of(&self.objects).await? {
            all.insert(tenant, self.walk(tenant).await?);
        }
        Ok(all)
    }

    async fn walk(&self, tenant: TenantId) -> Result<Result<i64, Broken>, ReplayError> {
        let mut head = Head::genesis(tenant);
        loop {
            let keys = self.keys(tenant, head.n, PAGE).await?;
            if keys.is_empty() {
                return Ok(Ok(head.n));
            }
            for key in keys {
                let bytes = self.objects.get_bytes(&key.to_string()).await?;
                match follow(&head, tenant, key.n, &bytes) {
                    Ok((_, next)) => head = next,
                    Err(broken) => return Ok(Err(broken)),
                }
            }
        }
    }
}

/// Whose ledgers lie in the bucket: one listing, however many and long they are.
async fn tenants_of(objects: &Objects) -> Result<BTreeSet<TenantId>, ObjectError> {
    let folders = objects.folders(LEDGERS).await?;
    let tenant = |folder: &String| folder.strip_suffix('/')?.parse::<TenantId>().ok();
    Ok(folders.iter().filter_map(tenant).collect())
}
