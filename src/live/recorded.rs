//! What becomes of what a meeting's recorder has to tell.

use super::{
    ledger::{Ledger, Write},
    vault::Vault,
};
use crate::{domain::id::MeetingId, media::spool};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// Between two lines in the log about segments that fail: a full disk fails every recording every second.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Segments go to the vault, losses to the ledger.
pub fn take(vault: &Vault, ledger: &Ledger, meeting: MeetingId, told: spool::Told) {
    match told {
        spool::Told::Sealed(sealed) => {
            vault.put(sealed);
        }
        spool::Told::Lost { recording, span } => {
            metrics::counter!("hansard_spool_lost_milliseconds_total")
                .increment(span.length().0.unsigned_abs() / 1_000);
            let _ = ledger.write(Write::Lost { recording, span });
        }
        spool::Told::Resumed { recording } => info!(%meeting, %recording, "segments are written again"),
        spool::Told::Left(left) => {
            vault.missed();
            warn!(%meeting, path = %left.path.display(), "a segment could not be sealed and stays in the spool");
        }
        spool::Told::Failed { recording, error } => {
            metrics::counter!("hansard_segments_failed_total").increment(1);
            if seldom() {
                warn!(%meeting, %recording, error, "a segment cannot be written; the recording goes on with the next one");
            }
        }
    }
}

/// Whether it may be said again.
fn seldom() -> bool {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let due = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
    if due {
        *said = Some(Instant::now());
    }
    due
}
