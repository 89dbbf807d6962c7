//! One connection with all that hangs on it, and the task that builds another whenever anything in
//! it fails.

use super::{ASK, Bound, CLOSE_MAX, Parcel, STEP_MAX, Shared, TOLD, kind, wake_queue};
use crate::{
    domain::{id::MeetingId, retry::backoff},
    queue::JobKind,
};
use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant as Deadline, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Deliveries to the inbox that we did not acknowledge yet: what lapin holds in memory at most.
const INBOX_PREFETCH: u16 = 256;
/// What the broker holds for a process that does not read. Far more than it ever should; older
/// messages go first.
const INBOX_MAX: u32 = 50_000;
/// Wake-ups that nobody took. The sweeper says them again, so that older ones may go.
const WAKES_MAX: u32 = 10_000;
/// Messages under way to the broker. A broker that is short of memory stops reading; then we stop
/// sending.
const UNCONFIRMED_MAX: usize = 256;
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// After this a probe counts as lost, and the broker as away.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// All steps of a connection together.
const BUILD_MAX: Duration = Duration::from_secs(10);

pub(super) struct Link {
    pub connection: Connection,
    /// Confirms; for wake-ups.
    pub wakes: Channel,
    /// Confirms; for asks.
    pub asks: Channel,
    /// The name of our inbox.
    pub inbox: ShortString,
    pub built: Instant,
    /// Not this process's first.
    pub again: bool,
    /// Confirms; for everything told and answered.
    publishing: Channel,
    /// Consumes and binds the inbox.
    listen: Channel,
    probed: watch::Sender<u64>,
    failed: CancellationToken,
    why: Mutex<String>,
}

impl Link {
    /// Gives this link up; another is built.
    pub fn fail(&self, why: &str) {
        if !self.failed.is_cancelled() {
            why.clone_into(&mut self.why.lock());
            self.failed.cancel();
        }
    }

    pub fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    /// Our own probe came back.
    pub fn probed(&self, number: u64) {
        self.probed.send_replace(number);
    }

    async fn build(shared: &Shared) -> anyhow::Result<(Self, Consumer)> {
        let name = format!("hansard {}", std::process::id());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = Connection::connect_uri(shared.uri.clone(), properties)
            .await
            .context("connecting")?;
        let wakes = connection.create_channel().await?;
        wakes
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        for kind in JobKind::ALL {
            let mut arguments = FieldTable::default();
            arguments.insert(
                "x-queue-type".into(),
                AMQPValue::LongString("quorum".into()),
            );
            arguments.insert("x-max-length".into(), AMQPValue::LongUInt(WAKES_MAX));
            let options = QueueDeclareOptions {
                durable: true,
                ..Default::default()
            };
            wakes
                .queue_declare(wake_queue(kind), options, arguments)
                .await
                .context("declaring a queue of wake-ups")?;
        }
        let asks = connection.create_channel().await?;
        asks.confirm_select(ConfirmSelectOptions::default()).await?;
        let publishing = connection.create_channel().await?;
        publishing
            .confirm_select(ConfirmSelectOptions::default())
            .await?;

        let listen = connection.create_channel().await?;
        for exchange in [TOLD, ASK] {
            let options = ExchangeDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let declare = listen.exchange_declare(
                exchange.into(),
                ExchangeKind::Direct,
                options,
                FieldTable::default(),
            );
            declare.await.context("declaring an exchange")?;
        }
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongUInt(INBOX_MAX));
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..Default::default()
        };
        let inbox = listen
            .queue_declare("".into(), options, arguments)
            .await
            .context("declaring the inbox")?;
        let inbox = inbox.name().clone();
        listen
            .basic_qos(INBOX_PREFETCH, BasicQosOptions::default())
            .await?;
        let consume = BasicConsumeOptions {
            exclusive: true,
            ..Default::default()
        };
        let consumer = listen
            .basic_consume(inbox.clone(), "".into(), consume, FieldTable::default())
            .await?;
        let link = Self {
            connection,
            wakes,
            asks,
            inbox,
            built: Instant::now(),
            again: shared.linked.swap(true, Ordering::Relaxed),
            publishing,
            listen,
            probed: watch::Sender::new(0),
            failed: CancellationToken::new(),
            why: Mutex::default(),
        };
        Ok((link, consumer))
    }
}

/// Keeps a link until the queue is closed.
pub(super) async fn keep(shared: Arc<Shared>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut failures = 0;
    loop {
        let built = tokio::select! {
            built = timeout(BUILD_MAX, Link::build(&shared)) => built,
            () = shared.closed.cancelled() => return,
        };
        let ended = match built {
            Ok(Ok((link, consumer))) => {
                use_up(
                    &shared,
                    Arc::new(link),
                    consumer,
                    &mut parcels,
                    &mut failures,
                )
                .await
            }
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("no connection within {} s", BUILD_MAX.as_secs()),
        };
        if shared.closed.is_cancelled() {
            return;
        }
        failures += 1;
        // Others may have been here, and lost the broker as well.
        shared.linked.store(true, Ordering::Relaxed);
        // Once per outage, for somebody to look.
        if failures == 1 {
            tracing::warn!(
                error = format!("{ended:#}"),
                "RabbitMQ cannot be reached; trying again and again"
            );
        } else {
            tracing::debug!(
                error = format!("{ended:#}"),
                failures,
                "RabbitMQ cannot be reached"
            );
        }
        // Never more than some 3 s, so that everything is back soon after the broker is.
        let wait =
            Duration::from_micros(backoff(failures.min(4), fastrand::f64()).0.unsigned_abs());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.closed.cancelled() => return,
        }
    }
}

/// Uses a link until it fails or the queue is closed; says why it ended.
async fn use_up(
    shared: &Arc<Shared>,
    link: Arc<Link>,
    consumer: Consumer,
    parcels: &mut mpsc::Receiver<Parcel>,
    failures: &mut u32,
) -> anyhow::Error {
    // What was left when the last link broke is stale by now.
    while parcels.try_recv().is_ok() {}
    let mut answered_at = None;
    let ended = {
        let work = async {
            tokio::try_join!(listen(shared, consumer), speak(&link, parcels), async {
                bind_all(shared, &link).await?;
                shared.link.send_replace(Some(link.clone()));
                tokio::try_join!(
                    bind(shared, &link),
                    probe(shared, &link, failures, &mut answered_at)
                )
            },)
        };
        tokio::select! {
            ended = work => match ended {
                Ok(_) => anyhow::anyhow!("it ended"),
                Err(error) => error,
            },
            () = link.failed.cancelled() => anyhow::anyhow!("{}", link.why.lock()),
            () = shared.closed.cancelled() => anyhow::anyhow!("closed"),
        }
    };
    shared.link.send_replace(None);
    link.failed.cancel();
    {
        let mut since = shared.unreachable_since.lock();
        *since = since.or(answered_at).or_else(|| Some(Instant::now()));
    }
    *shared.bound.lock() = Bound::default();
    // Their askers hear at once that no answer will come.
    shared.pending.lock().clear();
    if shared.closed.is_cancelled() {
        // What was accepted before the close is still said.
        parcels.close();
        let last_words = async {
            let _ = speak(&link, parcels).await;
            // The last ones are confirmed in order with everything before.
            let _ = link.connection.close(200, "bye".into()).await;
        };
        let _ = timeout(CLOSE_MAX / 2, last_words).await;
    } else {
        // Not in order: it is broken. Dropping it would leave the socket to time out.
        let _ = timeout(
            Duration::from_millis(200),
            link.connection.close(200, "broken".into()),
        )
        .await;
    }
    ended
}

/// Takes what comes to the inbox.
async fn listen(shared: &Arc<Shared>, mut consumer: Consumer) -> anyhow::Result<()> {
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        shared.dispatch(&delivery);
        let ack = timeout(STEP_MAX, delivery.ack(BasicAckOptions::default()));
        ensure!(
            ack.await.context("acknowledging")??,
            "an acknowledgement came too late"
        );
    }
    bail!("the broker cancelled the inbox")
}

/// Publishes what is handed over, in order; ends when no more can come and all is confirmed.
async fn speak(link: &Link, parcels: &mut mpsc::Receiver<Parcel>) -> anyhow::Result<()> {
    let mut unconfirmed: VecDeque<(Deadline, PublisherConfirm)> = VecDeque::new();
    let mut ended = false;
    while !(ended && unconfirmed.is_empty()) {
        let room = unconfirmed.len() < UNCONFIRMED_MAX && !ended;
        tokio::select! {
            parcel = parcels.recv(), if room => match parcel {
                None => ended = true,
                Some(parcel) => unconfirmed.push_back((Deadline::now() + STEP_MAX, send(link, parcel).await?)),
            },
            confirmed = confirmed(unconfirmed.front_mut()) => {
                // A refusal of something that may be lost is no reason to give up.
                confirmed.context("nothing is confirmed any more")?;
                unconfirmed.pop_front();
            }
        }
    }
    Ok(())
}

async fn confirmed(oldest: Option<&mut (Deadline, PublisherConfirm)>) -> anyhow::Result<()> {
    match oldest {
        None => std::future::pending().await,
        Some((deadline, confirm)) => {
            timeout_at(*deadline, confirm).await??;
            Ok(())
        }
    }
}

async fn send(link: &Link, parcel: Parcel) -> anyhow::Result<PublisherConfirm> {
    let Parcel {
        exchange,
        key,
        kind,
        correlation,
        body,
    } = parcel;
    let properties = BasicProperties::default()
        .with_type(kind.into())
        .with_content_type("application/json".into())
        .with_correlation_id(correlation.to_string().into());
    let options = BasicPublishOptions::default();
    let publish =
        link.publishing
            .basic_publish(exchange.into(), key.into(), options, &body, properties);
    timeout(STEP_MAX, publish)
        .await
        .context("publishing")?
        .context("publishing")
}

/// Sends a probe through the broker to our own inbox, every second.
async fn probe(
    shared: &Shared,
    link: &Link,
    failures: &mut u32,
    answered_at: &mut Option<Instant>,
) -> anyhow::Result<()> {
    let mut answered = link.probed.subscribe();
    for number in 1.. {
        let parcel = Parcel {
            exchange: "",
            key: link.inbox.to_string(),
            kind: kind::PROBE,
            correlation: number,
            body: Vec::new(),
        };
        // Its confirm comes before or after itself; what counts is that it comes.
        let confirm = send(link, parcel).await?;
        let back = async {
            answered.wait_for(|answered| *answered >= number).await?;
            confirm.await?;
            anyhow::Ok(())
        };
        timeout(PROBE_MAX, back)
            .await
            .context("nothing comes back any more")??;
        *answered_at = Some(Instant::now());
        *failures = 0;
        if let Some(since) = shared.unreachable_since.lock().take() {
            tracing::info!(after_s = since.elapsed().as_secs(), "RabbitMQ is reached");
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
    Ok(())
}

/// Binds everything there is, on a new link.
async fn bind_all(shared: &Shared, link: &Link) -> anyhow::Result<()> {
    adjust(shared, link).await?;
    let subscribed: Vec<MeetingId> = shared.bound.lock().subscribed.iter().copied().collect();
    shared.routes.lagged(subscribed);
    shared.late.lock().clear();
    Ok(())
}

/// Follows those who begin and cease to listen and serve.
async fn bind(shared: &Shared, link: &Link) -> anyhow::Result<()> {
    loop {
        shared.routes.changed.notified().await;
        adjust(shared, link).await?;
    }
}

/// Makes the bindings of the inbox those that are wanted.
async fn adjust(shared: &Shared, link: &Link) -> anyhow::Result<()> {
    let (too_many, missing) = {
        // Both locks: nobody may find a meeting bound that is about to be unbound.
        let mut bound = shared.bound.lock();
        let (subscribed, asks) = (shared.routes.listened(), shared.routes.served());
        let too_many: Vec<(&str, MeetingId)> = (bound
            .subscribed
            .difference(&subscribed)
            .map(|meeting| (TOLD, *meeting)))
        .chain(bound.asks.difference(&asks).map(|meeting| (ASK, *meeting)))
        .collect();
        let missing: Vec<(&str, MeetingId)> = (subscribed
            .difference(&bound.subscribed)
            .map(|meeting| (TOLD, *meeting)))
        .chain(asks.difference(&bound.asks).map(|meeting| (ASK, *meeting)))
        .collect();
        bound
            .subscribed
            .retain(|meeting| subscribed.contains(meeting));
        bound.asks.retain(|meeting| asks.contains(meeting));
        (too_many, missing)
    };
    for (exchange, meeting) in too_many {
        let key = ShortString::from(meeting.to_string());
        let unbind = link.listen.queue_unbind(
            link.inbox.clone(),
            exchange.into(),
            key,
            FieldTable::default(),
        );
        timeout(STEP_MAX, unbind).await.context("unbinding")??;
    }
    for (exchange, meeting) in missing {
        let key = ShortString::from(meeting.to_string());
        let options = QueueBindOptions::default();
        let bind = link.listen.queue_bind(
            link.inbox.clone(),
            exchange.into(),
            key,
            options,
            FieldTable::default(),
        );
        timeout(STEP_MAX, bind).await.context("binding")??;
        let late = exchange == TOLD && shared.late.lock().remove(&meeting);
        {
            let mut bound = shared.bound.lock();
            let bound = if exchange == TOLD {
                &mut bound.subscribed
            } else {
                &mut bound.asks
            };
            bound.insert(meeting);
        }
        shared.bound_changed.send_replace(());
        if late {
            shared.routes.lagged([meeting]);
        }
    }
    Ok(())
}
