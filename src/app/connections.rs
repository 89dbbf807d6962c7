//! The connections of an address that is listened on: how long they may wait, how many there may
//! be, and their descriptors. What is asked over them is the router's.

use crate::{
    api::limit::{ConnectionHandle, Peer, counted_as},
    domain::connections::{Activity, Admission, ConnectionId, Connections},
    ingest::Network,
};
use axum::{Router, body::Body, extract::Request, http::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{Instant, Sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::warn;

/// From the connection to the end of its first request's head.
const FIRST_MAX: Duration = Duration::from_secs(10);
/// From one answer to the end of the next request's head. Longer than proxies keep a connection (60
/// s is usual), so that they close it, and not we just as they use it.
const NEXT_MAX: Duration = Duration::from_secs(75);
/// The longest that a client may not take what is sent to it.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// The largest head of a request, and what is buffered of one, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After the system refused a connection: it may have no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for what still runs when an address is closed.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// How many connections there may be.
#[derive(Clone, Debug)]
pub struct Room {
    /// In all.
    pub all: usize,
    /// From one address, sockets in a meeting apart; 0: no limit.
    pub per_address: usize,
    /// Proxies: many clients' connections come from one, so it has no limit of its own.
    pub trusted: Arc<[Network]>,
}

/// All connections to one address.
struct Front {
    state: Mutex<State>,
}

struct State {
    connections: Connections<IpAddr>,
    tasks: HashMap<ConnectionId, AbortHandle>,
}

impl Front {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn set(&self, id: ConnectionId, activity: Activity) {
        self.state().connections.set(id, activity);
    }

    fn leave(&self, id: ConnectionId) {
        let mut state = self.state();
        state.connections.leave(id);
        state.tasks.remove(&id);
        metrics::gauge!("hansard_http_connections").set(state.connections.open() as f64);
    }
}

/// Serves until `closing`, then lets what runs end, not for long.
pub async fn serve(listener: TcpListener, router: Router, room: Room, closing: CancellationToken) {
    let connections = Connections::new(room.all, room.per_address);
    let front = Arc::new(Front {
        state: Mutex::new(State {
            connections,
            tasks: HashMap::new(),
        }),
    });
    let tracker = TaskTracker::new();
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                metrics::counter!("hansard_http_accept_errors_total").increment(1);
                if warned.is_none_or(|warned| warned.elapsed() > Duration::from_secs(60)) {
                    warned = Some(Instant::now());
                    warn!(%error, "connections cannot be taken");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // A caption must not wait for the ACK of the one before (Nagle's algorithm).
        let _ = stream.set_nodelay(true);
        admit(&front, &room, stream, peer, &router, &tracker, &closing);
    }
    tracker.close();
    let _ = tokio::time::timeout(CLOSE_MAX, tracker.wait()).await;
}

fn admit(
    front: &Arc<Front>,
    room: &Room,
    stream: TcpStream,
    peer: SocketAddr,
    router: &Router,
    tracker: &TaskTracker,
    closing: &CancellationToken,
) {
    let ip = peer.ip().to_canonical();
    let mut state = front.state();
    let is_proxy = room.trusted.iter().any(|network| network.contains(ip));
    let Admission::Admitted { id, displaced } = state.connections.admit(counted_as(ip), !is_proxy)
    else {
        metrics::counter!("hansard_http_connections_refused_total").increment(1);
        return;
    };
    if let Some(task) = displaced.and_then(|displaced| state.tasks.remove(&displaced)) {
        metrics::counter!("hansard_http_connections_displaced_total").increment(1);
        task.abort();
    }
    metrics::gauge!("hansard_http_connections").set(state.connections.open() as f64);
    let pass = Arc::new(Pass {
        front: front.clone(),
        id,
    });
    let connection = {
        let pass = pass.clone();
        ConnectionHandle::new(move |activity| pass.front.set(pass.id, activity))
    };
    drop(state);
    let task = tracker.spawn(serve_one(
        Timed::new(stream, pass),
        ip,
        connection,
        router.clone(),
        closing.clone(),
    ));
    let mut state = front.state();
    // It may be over already.
    if state.connections.is_open(id) {
        state.tasks.insert(id, task.abort_handle());
    }
}

/// A connection's place, kept by whatever reads and writes it: the HTTP connection, then the socket
/// that it became.
struct Pass {
    front: Arc<Front>,
    id: ConnectionId,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.front.leave(self.id);
    }
}

async fn serve_one(
    io: Timed,
    ip: IpAddr,
    connection: ConnectionHandle,
    router: Router,
    closing: CancellationToken,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = asked.clone();
        service_fn(move |mut request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            connection.set(Activity::Busy);
            request.extensions_mut().insert(Peer(ip));
            request.extensions_mut().insert(connection.clone());
            let (router, connection) = (router.clone(), connection.clone());
            let request: Request = request.map(Body::new);
            async move {
                let response: Response<Body> = match router.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                if response.status() != axum::http::StatusCode::SWITCHING_PROTOCOLS {
                    connection.set(Activity::Waiting);
                }
                Ok::<_, Infallible>(response)
            }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    tokio::pin!(connection);
    let first = tokio::time::sleep(FIRST_MAX);
    tokio::pin!(first);
    let (mut waiting, mut draining) = (true, false);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = first.as_mut(), if waiting => {
                if !asked.load(Ordering::Relaxed) {
                    metrics::counter!("hansard_http_connections_silent_total").increment(1);
                    return;
                }
                waiting = false;
            }
            () = closing.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// A stream whose writes end.
struct Timed {
    stream: TcpStream,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    _pass: Arc<Pass>,
}

impl Timed {
    fn new(stream: TcpStream, pass: Arc<Pass>) -> Self {
        Self {
            stream,
            stalled: None,
            _pass: pass,
        }
    }

    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_MAX)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bounded(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
