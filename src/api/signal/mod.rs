//! `GET /v1/signal`: the WebSocket through which a meeting is lived in. [`socket`] is one
//! connection, [`room`] decides who gets which event, [`rooms`] carries that out per meeting,
//! [`message`] is the envelope.
//!
//! Nothing here decides about media: that is the worker's, behind the queue.

mod join;
mod log;
pub mod message;
mod outbox;
mod rate_limit;
mod replay;
mod request_queue;
mod room;
mod rooms;
pub mod server_message;
mod socket;
mod writer;

use super::{limit::ConnectionHandle, problem::Problem, state::Shared, token::Credential};
use crate::{domain::id::TenantId, store::key};
use axum::{
    Router,
    extract::{Extension, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rooms::Rooms;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "hansard.v1";
/// Sockets of one process that joined a meeting; more are asked to come again elsewhere.
const SOCKETS_MAX: usize = 10_000;
/// Frames up to this are read whole, so that their sender can be told that they are too large, in
/// bytes.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// What a socket keeps to read into, in bytes; what it writes leaves at once. The library's own 128
/// KiB would be most of what a socket costs.
const BUFFER_BYTES: usize = 2048;

/// The signaling of one process. Cheap to clone.
#[derive(Clone)]
pub struct Signal(Arc<Inner>);

struct Inner {
    state: Shared,
    rooms: Arc<Rooms>,
    tracker: TaskTracker,
    draining: CancellationToken,
    stopped: CancellationToken,
    open: AtomicUsize,
    numbers: AtomicU64,
}

impl Signal {
    /// Starts to watch the heads of meetings that will have sockets here.
    pub fn start(state: Shared) -> Self {
        let tracker = TaskTracker::new();
        let rooms = Rooms::new(state.clone(), tracker.clone());
        let hearing = Arc::downgrade(&rooms);
        state.here.listen(move |meeting, told| {
            if let Some(rooms) = hearing.upgrade() {
                rooms.publish(meeting, told);
            }
        });
        let stopped = CancellationToken::new();
        tracker.spawn(rooms.clone().watch_heads(stopped.clone()));
        Self(Arc::new(Inner {
            state,
            rooms,
            tracker,
            draining: CancellationToken::new(),
            stopped,
            open: AtomicUsize::new(0),
            numbers: AtomicU64::new(1),
        }))
    }

    /// `GET /v1/signal`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/signal", get(upgrade))
            .with_state(self.clone())
    }

    /// How many sockets are open.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Refuses new sockets and asks those that are open to go elsewhere (`server_draining`, 1012).
    pub fn drain(&self) {
        self.0.draining.cancel();
    }

    /// Drains, and waits until every socket and everything it was doing has ended. Each wait in
    /// them is bounded, by some 20 s at most; usually this takes as long as the slowest client
    /// takes to answer the close.
    pub async fn stop(&self) {
        self.drain();
        self.0.stopped.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    fn state(&self) -> &Shared {
        &self.0.state
    }

    fn rooms(&self) -> &Arc<Rooms> {
        &self.0.rooms
    }

    fn tracker(&self) -> &TaskTracker {
        &self.0.tracker
    }

    fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    fn number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn place(&self) -> Option<Place> {
        let taken = self
            .0
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < SOCKETS_MAX).then_some(open + 1)
            });
        metrics::gauge!("hansard_signal_sockets").set(self.open() as f64);
        taken.ok().map(|_| Place {
            signal: self.clone(),
        })
    }
}

/// One of the process's sockets, from its `join_room` on: whoever only opens one takes no place
/// from others.
struct Place {
    signal: Signal,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.signal.0.open.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("hansard_signal_sockets").set(self.signal.open() as f64);
    }
}

async fn upgrade(
    State(signal): State<Signal>,
    connection: Option<Extension<ConnectionHandle>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let state = signal.state();
    // A page of another site must not get a socket; programs send no Origin.
    if let Some(origin) = headers.get(header::ORIGIN)
        && !origin
            .to_str()
            .is_ok_and(|origin| state.address.allows(origin))
    {
        return Err(Problem::forbidden(
            "pages of this origin may not open a socket here",
        ));
    }
    let upgrade = upgrade.map_err(|rejection| Problem::bad_request(rejection.to_string()))?;
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::bad_request(format!(
            "ask for the subprotocol {SUBPROTOCOL}"
        )));
    }
    let connection = connection.map(|Extension(connection)| connection);
    let observes = observer(&signal, &headers).await?;
    if signal.draining().is_cancelled() {
        return Err(Problem::unavailable("this server restarts"));
    }
    let (socket, tracked) = (signal.clone(), signal.0.tracker.token());
    let request = Span::current();
    Ok(upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(READ_BYTES_MAX)
        .max_frame_size(READ_BYTES_MAX)
        .on_upgrade(move |ws| {
            let running = async move {
                socket.run(ws, observes, connection).await;
                drop(tracked);
            };
            running.instrument(request)
        })
        .into_response())
}

/// The tenant of the API key on the upgrade. No other credential counts here, and a cookie least of
/// all: it would come with any page's request.
async fn observer(signal: &Signal, headers: &HeaderMap) -> Result<Option<TenantId>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let state = signal.state();
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            Problem::unauthorized("send Authorization: Bearer with an API key, or no such header")
        })?;
    let Credential::ApiKey(hash) = state.keys.read(token, state.clock.now())? else {
        return Err(Problem::unauthorized(
            "only an API key opens a socket by header; tokens go into join_room",
        ));
    };
    let mut tx = state.store.secret_tx(&hash).await?;
    let owner = key::find(&mut tx, &hash).await?;
    owner
        .map(|owner| Some(TenantId(owner.tenant_id)))
        .ok_or_else(|| Problem::unauthorized("unknown or revoked API key"))
}
