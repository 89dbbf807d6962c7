//! Wake-ups out of a durable queue.
//!
//! A delivery is held only while somebody waits for it: a worker without room leaves wake-ups to
//! others, and the broker never sees one unacknowledged for longer than [`HOLD_MAX`].

use super::{STEP_MAX, Shared, link::Link, wake_queue};
use crate::queue::{JobKind, message::Wake};
use anyhow::{Context, ensure};
use futures_util::StreamExt;
use lapin::{
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::DropGuard;

/// How long a wake-up is kept for a worker that just looked away, before it goes back.
const HOLD_MAX: Duration = Duration::from_secs(1);
/// Looked at again after this while there is no broker.
const WAIT: Duration = Duration::from_secs(60);
/// Before a channel that failed is opened again.
const AGAIN: Duration = Duration::from_millis(500);

pub struct AmqpWakes {
    taken: mpsc::Receiver<Wake>,
    waiting: Arc<watch::Sender<bool>>,
    _stop: DropGuard,
}

impl AmqpWakes {
    pub(super) fn new(shared: Arc<Shared>, kind: JobKind) -> Self {
        let (hand_over, taken) = mpsc::channel(1);
        let waiting = Arc::new(watch::Sender::new(false));
        let stop = shared.closed.child_token();
        let consumer = Consumer {
            shared: shared.clone(),
            kind,
            hand_over,
            waiting: waiting.subscribe(),
        };
        shared
            .tasks
            .spawn(stop.clone().run_until_cancelled_owned(consumer.run()));
        Self {
            taken,
            waiting,
            _stop: stop.drop_guard(),
        }
    }

    pub(in crate::queue) async fn recv(&mut self) -> Option<Wake> {
        let _looks_away = LooksAway(&self.waiting);
        self.waiting.send_replace(true);
        self.taken.recv().await
    }
}

/// Says that nobody waits any more, also when the wait is cancelled.
struct LooksAway<'a>(&'a watch::Sender<bool>);

impl Drop for LooksAway<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

struct Consumer {
    shared: Arc<Shared>,
    kind: JobKind,
    hand_over: mpsc::Sender<Wake>,
    waiting: watch::Receiver<bool>,
}

impl Consumer {
    async fn run(mut self) {
        loop {
            let Ok(link) = self.shared.link(WAIT).await else {
                if self.shared.closed.is_cancelled() {
                    return;
                }
                continue;
            };
            let failed = link.failed().clone();
            let consumed = tokio::select! {
                consumed = self.consume(&link) => consumed,
                () = failed.cancelled() => Ok(()),
            };
            drop(link);
            if let Err(error) = consumed {
                tracing::warn!(kind = %self.kind, error = format!("{error:#}"), "wake-ups are interrupted");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Consumes from when somebody waits until a wake-up finds nobody.
    async fn consume(&mut self, link: &Link) -> anyhow::Result<()> {
        // The sender lives as long as we do.
        self.waiting.wait_for(|waiting| *waiting).await?;
        let channel = timeout(STEP_MAX, link.connection.create_channel())
            .await
            .context("opening a channel")??;
        timeout(STEP_MAX, channel.basic_qos(1, BasicQosOptions::default()))
            .await
            .context("basic.qos")??;
        let consume = channel.basic_consume(
            wake_queue(self.kind),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut deliveries = timeout(STEP_MAX, consume)
            .await
            .context("basic.consume")??;
        loop {
            let delivery = deliveries
                .next()
                .await
                .context("the broker cancelled the consumer")??;
            if self.take(delivery).await?.is_break() {
                // Dropping the consumer and its channel gives back what came meanwhile.
                return Ok(());
            }
        }
    }

    async fn take(&mut self, delivery: Delivery) -> anyhow::Result<ControlFlow<()>> {
        let wake: Wake = match serde_json::from_slice(&delivery.data) {
            Ok(wake) => wake,
            Err(error) => {
                tracing::warn!(kind = %self.kind, %error, "a wake-up that cannot be read is thrown away");
                acknowledge(&delivery).await?;
                return Ok(ControlFlow::Continue(()));
            }
        };
        let hand_over = async {
            self.waiting.wait_for(|waiting| *waiting).await.ok()?;
            self.hand_over.reserve().await.ok()
        };
        match timeout(HOLD_MAX, hand_over).await {
            Ok(Some(place)) => {
                acknowledge(&delivery).await?;
                place.send(wake);
                Ok(ControlFlow::Continue(()))
            }
            _ => {
                let back = BasicNackOptions {
                    requeue: true,
                    ..Default::default()
                };
                timeout(STEP_MAX, delivery.nack(back))
                    .await
                    .context("basic.nack")??;
                Ok(ControlFlow::Break(()))
            }
        }
    }
}

async fn acknowledge(delivery: &Delivery) -> anyhow::Result<()> {
    let acknowledged = timeout(STEP_MAX, delivery.ack(BasicAckOptions::default()))
        .await
        .context("basic.ack")??;
    ensure!(acknowledged, "an acknowledgement came too late");
    Ok(())
}
