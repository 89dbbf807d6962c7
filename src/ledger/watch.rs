//! When it is looked whether the rows are behind the ledger: before a process is ready, when an
//! entry may have been left without its rows, and when the database was put back meanwhile.

use super::Ledger;
use crate::{
    domain::object_key::LEDGERS,
    health::{self, Reason},
};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The longest wait for storage at the start; meetings go on without it.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// Between two looks while it is not known.
const SOON: Duration = Duration::from_secs(1);
/// Between two tries of a process that cannot get ready.
const RETRY: Duration = Duration::from_secs(5);
/// How often it is looked whether the database went back.
const BACK: Duration = Duration::from_secs(30);
/// How often the bucket is looked at without any reason.
const LOOK: Duration = Duration::from_secs(600);

impl Ledger {
    /// Carries out what is missing, before the process is ready. With storage away it is left open
    /// ([`Self::watch`] goes on); a chain that does not hold is waited for until it does.
    pub async fn open(&self) {
        self.set_current(false);
        loop {
            let probed = tokio::time::timeout(PROBE_MAX, self.objects.list(LEDGERS, 1)).await;
            let away = match probed {
                Ok(Ok(_)) => match self.try_once().await {
                    Ok(()) => return,
                    Err(error) if error.is_away() => error.to_string(),
                    Err(error) => {
                        health::degrade(Reason::Ledger, &error);
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer for {} s", PROBE_MAX.as_secs()),
            };
            health::degrade(
                Reason::Ledger,
                format!("it is not known whether the database has all of it: {away}"),
            );
            return;
        }
    }

    async fn try_once(&self) -> Result<(), super::ReplayError> {
        let caught = self.catch_up_all(false).await?;
        if caught.replayed > 0 {
            warn!(
                entries = caught.replayed,
                "the database was behind the ledger; what was missing is carried out"
            );
        }
        match caught.missing.first() {
            Some(key) => health::degrade(
                Reason::Ledger,
                format!(
                    "the bucket does not have {key}, which the database knows: is it the right bucket?"
                ),
            ),
            None => health::restore(Reason::Ledger),
        }
        self.set_current(true);
        Ok(())
    }

    /// Looks again, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let mut looked = Instant::now();
        loop {
            let wait = if self.is_current() { BACK } else { SOON };
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.known.look.notified() => true,
                () = tokio::time::sleep(wait) => false,
            };
            if self.went_back().await {
                error!("the database is older than it was: is a backup being restored?");
                self.set_current(false);
            }
            if !asked && self.is_current() && looked.elapsed() < LOOK {
                self.write_rest().await;
                continue;
            }
            looked = Instant::now();
            let was = self.is_current();
            let Some(tried) = stop.run_until_cancelled(self.try_once()).await else {
                return;
            };
            match tried {
                Ok(()) if !was => info!("the database has all of the ledger"),
                Ok(()) => {}
                Err(error) => {
                    if was && error.is_away() {
                        // What was known is still true.
                        continue;
                    }
                    self.set_current(false);
                    health::degrade(Reason::Ledger, &error);
                }
            }
        }
    }

    /// Whether the rows know less than they knew before.
    async fn went_back(&self) -> bool {
        // With Postgres away nothing is known, and that is told elsewhere.
        let Ok(heads) = self.heads().await else {
            return false;
        };
        let mut seen = self.known.seen.lock();
        let back = seen
            .iter()
            .any(|(tenant, n)| heads.get(tenant).is_none_or(|head| head.n < *n));
        *seen = heads
            .iter()
            .map(|(tenant, head)| (*tenant, head.n))
            .collect();
        back
    }
}
