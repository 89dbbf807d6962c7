//! The queue over RabbitMQ (3.10 and later; 4 too), for many processes.
//!
//! # What is declared
//! - `hansard.wake.<kind>`: one durable quorum queue per kind of job. Published with confirm and
//!   `mandatory`.
//! - `hansard.told`, `hansard.ask`: durable direct exchanges; the routing key is the meeting.
//! - per process one inbox, exclusive and named by the server: bound to both exchanges by the
//!   meetings that somebody here listens to or holds, and addressed by its name for answers and for
//!   the probe.
//!
//! # When something breaks
//! [`link`] keeps one connection with its channels and inbox. Whatever fails, all of it is thrown
//! away and built anew; the meetings bound before are bound again, and their listeners hear
//! `Lagged`. lapin's own recovery is off, since it leaves calls hanging for as long as the broker
//! is away. A probe goes through the broker to ourselves every second: that a socket is open says
//! nothing.

mod link;
mod wakes;

pub use wakes::AmqpWakes;

use super::{
    AskError, JobKind, Unavailable,
    message::{Ask, Published, Reply, Wake},
    routes::{Responder, Routes, Serving, Subscription},
};
use crate::domain::id::MeetingId;
use lapin::{
    BasicProperties, Channel, Confirmation, options::BasicPublishOptions, types::ShortString,
    uri::AMQPUri,
};
use link::Link;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant as Deadline, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const TOLD: &str = "hansard.told";
const ASK: &str = "hansard.ask";

/// What waits to be published: some seconds of what a busy worker says. More is dropped and said
/// so.
const OUTBOUND_MAX: usize = 4096;
/// Asks under way. More means that nobody answers.
const PENDING_MAX: usize = 4096;
/// Of these, places that only a withdrawal takes.
const PENDING_KEPT: usize = 1024;
/// How long a call waits for a connection before it gives up.
const LINK_MAX: Duration = Duration::from_secs(1);
/// How long the broker may take for one step.
const STEP_MAX: Duration = Duration::from_secs(3);
/// After an outage of the broker, until everybody who was there can be expected to be back.
const BACK_MAX: Duration = Duration::from_secs(10);
/// How long `subscribe`, `serve` and `live_as` wait until they are bound; without a connection
/// [`LINK_MAX`] from its loss.
const BOUND_MAX: Duration = Duration::from_secs(2);
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// The `type` of a message in an inbox.
mod kind {
    pub const TOLD: &str = "told";
    pub const ASK: &str = "ask";
    pub const ANSWER: &str = "answer";
    pub const PROBE: &str = "probe";
}

/// What an answer looks like on the wire.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Reply(Reply),
    Nobody,
    Unavailable,
}

/// A message for an inbox or an exchange, without confirm for its sender.
struct Parcel {
    exchange: &'static str,
    key: String,
    kind: &'static str,
    correlation: u64,
    body: Vec<u8>,
}

#[derive(Default)]
struct Bound {
    subscribed: HashSet<MeetingId>,
    asks: HashSet<MeetingId>,
}

struct Shared {
    uri: AMQPUri,
    routes: Arc<Routes>,
    link: watch::Sender<Option<Arc<Link>>>,
    /// Lock order: before that of [`Routes`].
    bound: Mutex<Bound>,
    bound_changed: watch::Sender<()>,
    /// Those that `subscribe` gave up waiting for.
    late: Mutex<HashSet<MeetingId>>,
    outbound: mpsc::Sender<Parcel>,
    pending: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    correlation: AtomicU64,
    unreachable_since: Mutex<Option<Instant>>,
    /// There was a link before the one that is there or to come.
    linked: AtomicBool,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// The queue of one kind of job.
fn wake_queue(kind: JobKind) -> ShortString {
    format!("hansard.wake.{kind}").into()
}

#[derive(Clone)]
pub struct Amqp(Arc<Shared>);

impl Amqp {
    /// Begins to connect, and goes on for as long as it takes. Must be called within the runtime.
    pub(super) fn connect(url: &str) -> Result<Self, String> {
        let mut uri: AMQPUri = url.parse()?;
        // So that the broker, too, forgets a dead process's inbox soon.
        uri.query.heartbeat.get_or_insert(6);
        let (outbound, parcels) = mpsc::channel(OUTBOUND_MAX);
        let shared = Arc::new(Shared {
            uri,
            routes: Arc::default(),
            link: watch::Sender::new(None),
            bound: Mutex::default(),
            bound_changed: watch::Sender::new(()),
            late: Mutex::default(),
            outbound,
            pending: Mutex::default(),
            correlation: AtomicU64::new(1),
            unreachable_since: Mutex::new(Some(Instant::now())),
            linked: AtomicBool::new(false),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(link::keep(shared.clone(), parcels));
        Ok(Self(shared))
    }

    pub(super) async fn wake(&self, kind: JobKind, wake: &Wake) -> Result<(), Unavailable> {
        let link = self.0.link(LINK_MAX).await?;
        let body = serde_json::to_vec(wake).map_err(|_| Unavailable)?;
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into());
        match publish(&link.wakes, "", wake_queue(kind), &body, properties).await {
            Ok(Routed::Yes) => Ok(()),
            // The queue was deleted behind our back; the next link declares it again.
            Ok(Routed::No) | Err(Unavailable) => {
                link.fail("a wake-up was not confirmed");
                Err(Unavailable)
            }
        }
    }

    pub(super) fn wakes(&self, kind: JobKind) -> AmqpWakes {
        AmqpWakes::new(self.0.clone(), kind)
    }

    pub(super) fn publish(&self, meeting: MeetingId, told: &Published) -> Result<(), Unavailable> {
        let body = serde_json::to_vec(told).map_err(|_| Unavailable)?;
        self.0.send(Parcel {
            exchange: TOLD,
            key: meeting.to_string(),
            kind: kind::TOLD,
            correlation: 0,
            body,
        })
    }

    pub(super) async fn subscribe(&self, meeting: MeetingId) -> Subscription {
        let subscription = self.0.routes.subscribe(meeting);
        if !self
            .0
            .is_bound(|bound| bound.subscribed.contains(&meeting))
            .await
        {
            self.0.late.lock().insert(meeting);
        }
        subscription
    }

    pub(super) async fn serve(&self, meeting: MeetingId) -> Serving {
        let serving = self.0.routes.serve(meeting);
        self.0.is_bound(|bound| bound.asks.contains(&meeting)).await;
        serving
    }

    pub(super) async fn ask(
        &self,
        meeting: MeetingId,
        ask: &Ask,
        at_most: Duration,
    ) -> Result<Reply, AskError> {
        let deadline = Deadline::now() + at_most;
        let link = self.0.link(LINK_MAX.min(at_most)).await?;
        let body = serde_json::to_vec(ask).map_err(|_| AskError::Unavailable)?;
        let correlation = self.0.correlation.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        {
            let mut pending = self.0.pending.lock();
            if pending.len() + if ask.is_withdrawal() { 0 } else { PENDING_KEPT } >= PENDING_MAX {
                return Err(AskError::Unavailable);
            }
            pending.insert(correlation, sender);
        }
        let _forget = Forget {
            shared: &self.0,
            correlation,
        };
        let properties = BasicProperties::default()
            .with_type(kind::ASK.into())
            .with_reply_to(link.inbox.clone())
            .with_correlation_id(correlation.to_string().into())
            // What nobody waits for any more is not handed over.
            .with_expiration(at_most.as_millis().max(1).to_string().into());
        let published = publish(
            &link.asks,
            ASK,
            meeting.to_string().into(),
            &body,
            properties,
        );
        match timeout_at(deadline, published).await {
            Err(_) => return Err(AskError::Timeout),
            Ok(Ok(Routed::No)) => return Err(AskError::Nobody),
            Ok(Ok(Routed::Yes)) => {}
            Ok(Err(Unavailable)) => {
                link.fail("an ask was not confirmed");
                return Err(AskError::Unavailable);
            }
        }
        match timeout_at(deadline, answer).await {
            Err(_) => Err(AskError::Timeout),
            Ok(Ok(Answer::Reply(reply))) => Ok(reply),
            Ok(Ok(Answer::Nobody)) => Err(AskError::Nobody),
            // The link broke, and the answer with it.
            Ok(Ok(Answer::Unavailable) | Err(_)) => Err(AskError::Unavailable),
        }
    }

    pub(super) fn unreachable_since(&self) -> Option<Instant> {
        *self.0.unreachable_since.lock()
    }

    pub(super) fn may_lack_others(&self) -> bool {
        self.0
            .link
            .borrow()
            .as_ref()
            .is_none_or(|link| link.again && link.built.elapsed() < BACK_MAX)
    }

    pub(super) async fn close(&self) {
        self.0.closed.cancel();
        self.0.tasks.close();
        if timeout(CLOSE_MAX, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("the connection to RabbitMQ did not close in time");
        }
        self.0.routes.close();
    }
}

impl Shared {
    async fn link(&self, at_most: Duration) -> Result<Arc<Link>, Unavailable> {
        let mut link = self.link.subscribe();
        let ready = timeout(at_most, link.wait_for(Option::is_some));
        let link = tokio::select! {
            link = ready => link.ok().and_then(Result::ok).and_then(|link| link.clone()),
            () = self.closed.cancelled() => None,
        };
        link.ok_or(Unavailable)
    }

    /// Hands over to be published; never waits. Nothing is kept for a broker that is away: it would
    /// be stale.
    fn send(&self, parcel: Parcel) -> Result<(), Unavailable> {
        if self.link.borrow().is_none() || self.closed.is_cancelled() {
            return Err(Unavailable);
        }
        self.outbound.try_send(parcel).map_err(|_| Unavailable)
    }

    async fn is_bound(&self, bound: impl Fn(&Bound) -> bool) -> bool {
        let mut changed = self.bound_changed.subscribe();
        let begun = Deadline::now();
        loop {
            if bound(&self.bound.lock()) {
                return true;
            }
            // Without a broker nobody speaks that could be missed, and whoever waits has a meeting
            // to record.
            let away = self
                .unreachable_since
                .lock()
                .map(|since| Deadline::from(since) + LINK_MAX);
            let deadline = away.unwrap_or(begun + BOUND_MAX).min(begun + BOUND_MAX);
            tokio::select! {
                changed = timeout_at(deadline, changed.changed()) => if !matches!(changed, Ok(Ok(()))) { return false },
                () = self.closed.cancelled() => return false,
            }
        }
    }

    /// Hands on what came to the inbox. Never waits.
    fn dispatch(self: &Arc<Self>, delivery: &lapin::message::Delivery) {
        let properties = &delivery.properties;
        let text = |text: &Option<ShortString>| {
            text.as_ref()
                .map(|text| text.as_str().to_owned())
                .unwrap_or_default()
        };
        let correlation = text(properties.correlation_id())
            .parse::<u64>()
            .unwrap_or(0);
        let meeting = delivery.routing_key.as_str().parse::<MeetingId>().ok();
        let read = match (text(properties.kind()).as_str(), meeting) {
            (kind::TOLD, Some(meeting)) => serde_json::from_slice(&delivery.data)
                .map(|told| self.routes.publish(meeting, told)),
            (kind::ASK, Some(meeting)) => {
                let inbox = text(properties.reply_to());
                serde_json::from_slice(&delivery.data)
                    .map(|ask| self.dispatch_ask(meeting, ask, inbox, correlation))
            }
            (kind::ANSWER, _) => serde_json::from_slice(&delivery.data).map(|answer| {
                if let Some(asker) = self.pending.lock().remove(&correlation) {
                    // It may have ceased to wait.
                    let _ = asker.send(answer);
                }
            }),
            (kind::PROBE, _) => {
                if let Some(link) = self.link.borrow().as_ref() {
                    link.probed(correlation);
                }
                Ok(())
            }
            (other, _) => {
                tracing::warn!(kind = other, "a message of unknown kind in the inbox");
                Ok(())
            }
        };
        if let Err(error) = read {
            // Another version's, maybe.
            tracing::warn!(%error, kind = text(properties.kind()), "a message in the inbox cannot be read");
        }
    }

    fn dispatch_ask(
        self: &Arc<Self>,
        meeting: MeetingId,
        ask: Ask,
        inbox: String,
        correlation: u64,
    ) {
        if !self.routes.serves(meeting) {
            // It was let go while the ask was under way. Whoever holds it now may have got it as
            // well, so no word from here.
            return;
        }
        let shared = self.clone();
        let responder = Responder::new(move |answer| {
            let answer = match answer {
                Ok(reply) => Answer::Reply(reply),
                Err(AskError::Nobody) => Answer::Nobody,
                Err(AskError::Timeout | AskError::Unavailable) => Answer::Unavailable,
            };
            let Ok(body) = serde_json::to_vec(&answer) else {
                return;
            };
            let parcel = Parcel {
                exchange: "",
                key: inbox,
                kind: kind::ANSWER,
                correlation,
                body,
            };
            if shared.send(parcel).is_err() {
                tracing::warn!("an answer could not be sent; its asker times out");
            }
        });
        self.routes.ask(meeting, ask, responder);
    }
}

/// Takes an ask off the list when nobody waits for it any more.
struct Forget<'a> {
    shared: &'a Shared,
    correlation: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.pending.lock().remove(&self.correlation);
    }
}

enum Routed {
    Yes,
    No,
}

/// Publishes and waits for the confirm.
async fn publish(
    channel: &Channel,
    exchange: &str,
    key: ShortString,
    body: &[u8],
    properties: BasicProperties,
) -> Result<Routed, Unavailable> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let published = async {
        match channel
            .basic_publish(exchange.into(), key, options, body, properties)
            .await?
            .await?
        {
            Confirmation::Ack(None) => Ok(Ok(Routed::Yes)),
            Confirmation::Ack(Some(_)) => Ok(Ok(Routed::No)),
            Confirmation::Nack(_) | Confirmation::NotRequested => {
                Ok::<_, lapin::Error>(Err(Unavailable))
            }
        }
    };
    timeout(STEP_MAX, published)
        .await
        .map_err(|_| Unavailable)?
        .map_err(|_| Unavailable)?
}
