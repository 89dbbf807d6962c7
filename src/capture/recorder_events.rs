//! What becomes of what a meeting's recorder has to tell.

use super::{
    commit::{Commits, Write},
    upload::Uploads,
};
use crate::media::live::spool;
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Between two lines in the log about segments that fail: a full disk fails every recording every
/// second.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Segments are queued for upload, losses for the database.
pub fn take(uploads: &Uploads, commits: &Commits, told: spool::SpoolEvent) {
    match told {
        spool::SpoolEvent::Sealed(sealed) => {
            uploads.put(sealed);
        }
        spool::SpoolEvent::Lost { recording, span } => {
            metrics::counter!("hansard_spool_lost_milliseconds_total")
                .increment(span.length().0.unsigned_abs() / 1_000);
            let _ = commits.write(Write::Lost { recording, span });
        }
        spool::SpoolEvent::Resumed { recording } => {
            info!(%recording, "segments are written again")
        }
        spool::SpoolEvent::Left(left) => {
            uploads.missed();
            warn!(path = %left.path.display(), "a segment could not be sealed and stays in the spool");
        }
        spool::SpoolEvent::Failed { recording, error } => {
            metrics::counter!("hansard_segments_failed_total").increment(1);
            if seldom() {
                warn!(%recording, error, "a segment cannot be written; the recording goes on with the next one");
            }
        }
    }
}

/// Whether it may be said again.
fn seldom() -> bool {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock();
    let due = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
    if due {
        *said = Some(Instant::now());
    }
    due
}
