//! Looks every second at what the process stands on, and tells the registry of [`crate::health`].

use crate::{
    health::{self, Reason},
    queue::Queue,
    store::Store,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_secs(1);
/// The longest wait for Postgres's answer.
const PING_MAX: Duration = Duration::from_secs(3);
/// How long a queue may be unreachable before it is told: reconnecting takes a moment.
const QUEUE_AWAY_MAX: Duration = Duration::from_secs(5);

pub async fn run(store: Store, queue: Queue, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        match tokio::time::timeout(PING_MAX, store.ping()).await {
            Ok(Ok(())) => health::restore(Reason::Database),
            Ok(Err(error)) => health::degrade(Reason::Database, error),
            Err(_) => health::degrade(Reason::Database, format!("no answer for {} s", PING_MAX.as_secs())),
        }
        match queue.unreachable_since().map(|since| since.elapsed()) {
            Some(away) if away > QUEUE_AWAY_MAX => {
                health::degrade(Reason::Broker, format!("away for {} s", away.as_secs()));
            }
            _ => health::restore(Reason::Broker),
        }
        health::process().remind();
    }
}
