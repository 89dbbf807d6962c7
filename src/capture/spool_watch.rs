//! What an operator sees of the spool: bytes, segments that wait, how old the oldest is, and
//! whether there is room.

use super::Deps;
use crate::{
    health::{self, Reason},
    media::live::disk::Measured,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often the spool is measured.
const EVERY: Duration = Duration::from_secs(5);
/// The same while segments cannot be written.
const SOON: Duration = Duration::from_secs(1);
/// Of a spool with very many files, measuring takes at most this part of the time.
const SHARE: u32 = 20;

/// Measures until `stop`; the first time at once.
pub async fn watch(deps: Arc<Deps>, stop: CancellationToken) {
    loop {
        let disk = deps.disk.clone();
        let begun = Instant::now();
        let measured = tokio::task::spawn_blocking(move || disk.measure())
            .await
            .unwrap_or_default();
        show(&deps, measured);
        if measured.full {
            let detail = format!(
                "{} bytes in {} segments: new ones are dropped and told as lost",
                measured.bytes, measured.segments
            );
            health::degrade(Reason::SpoolFull, detail);
        }
        let failed = deps.disk.last_failed(EVERY);
        for (reason, descriptors) in [(Reason::SpoolFull, false), (Reason::Descriptors, true)] {
            match failed
                .as_ref()
                .filter(|failed| failed.descriptors == descriptors)
            {
                Some(failed) if !measured.full => {
                    health::degrade(
                        reason,
                        format!(
                            "segments cannot be written and are told as lost: {}",
                            failed.error
                        ),
                    );
                }
                None if !(measured.full && reason == Reason::SpoolFull) => health::restore(reason),
                _ => {}
            }
        }
        // What is full may have room again at any moment.
        let every = if measured.full || failed.is_some() {
            SOON
        } else {
            EVERY
        };
        let pause = every.max(begun.elapsed() * SHARE);
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return;
        }
    }
}

fn show(deps: &Deps, measured: Measured) {
    let (waiting, oldest) = deps.uploader.waiting();
    metrics::gauge!("hansard_spool_bytes").set(measured.bytes as f64);
    metrics::gauge!("hansard_spool_full").set(if measured.full { 1.0 } else { 0.0 });
    metrics::gauge!("hansard_segments_waiting").set(waiting as f64);
    metrics::gauge!("hansard_segments_waiting_oldest_seconds").set(oldest.as_secs_f64());
    metrics::gauge!("hansard_storage_away_seconds")
        .set(deps.uploader.away().unwrap_or_default().as_secs_f64());
}
