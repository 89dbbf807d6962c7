//! Something between a process and its object storage that misbehaves on demand: slow, refusing,
//! swallowing, answering errors. What it lets through reaches the real server unchanged, signatures
//! included.

use super::s3::Bucket;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpSocket, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// What happens to the requests that a [`Rule`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Answered with this status and S3 error code, e.g. `(403, "RequestTimeTooSkewed")`.
    Answer(u16, &'static str),
    /// Taken and never answered.
    Swallow,
    /// Passed on, and the answer thrown away: the client sees the connection end.
    Cut,
}

/// A fault and which requests it is for.
#[derive(Clone, Debug)]
pub struct Rule {
    pub fault: Fault,
    /// Empty: every method.
    pub methods: Vec<Method>,
    /// Only requests with this in their path; empty: every one.
    pub path: String,
    /// Only requests with a header whose name begins so (lower case); empty: every one.
    pub header: String,
    /// Only for so many requests, and then no more; none: for all.
    pub left: Option<u32>,
}

impl Rule {
    pub fn all(fault: Fault) -> Self {
        Self {
            left: None,
            fault,
            methods: Vec::new(),
            path: String::new(),
            header: String::new(),
        }
    }

    pub fn on(fault: Fault, methods: &[Method]) -> Self {
        Self {
            methods: methods.to_vec(),
            ..Self::all(fault)
        }
    }

    pub fn at(self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self
        }
    }

    pub fn with_header(self, name: &str) -> Self {
        Self {
            header: name.to_owned(),
            ..self
        }
    }

    pub fn times(self, requests: u32) -> Self {
        Self {
            left: Some(requests),
            ..self
        }
    }

    fn is_for(&self, request: &Request) -> bool {
        self.left != Some(0)
            && (self.header.is_empty()
                || request
                    .headers()
                    .keys()
                    .any(|name| name.as_str().starts_with(&self.header)))
            && (self.methods.is_empty() || self.methods.contains(request.method()))
            && request.uri().path().contains(&self.path)
    }
}

/// A request as it was answered.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub status: u16,
    /// The storage class that a copy is to be in.
    pub copied_to: Option<String>,
}

#[derive(Default)]
struct Now {
    rules: Vec<Rule>,
    delay: Duration,
    seen: Vec<Seen>,
    running: usize,
    most: usize,
    swallowed: usize,
}

#[derive(Clone)]
struct Way {
    now: Arc<Mutex<Now>>,
    upstream: String,
    http: reqwest::Client,
}

/// The switchable layer; gone when dropped.
pub struct Faults {
    /// What a process is given instead of the server's own address.
    pub endpoint: String,
    now: Arc<Mutex<Now>>,
    /// Whether connections are taken.
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Faults {
    /// In front of this bucket's server, letting everything through.
    pub async fn before(bucket: &Bucket) -> Self {
        let now = Arc::<Mutex<Now>>::default();
        // Holds the port, so that nobody else gets it while connections are refused.
        let holder = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = holder.local_addr().expect("it is bound");
        let way = Way {
            now: now.clone(),
            upstream: bucket.settings.endpoint.clone(),
            http: reqwest::Client::new(),
        };
        let (open, opened) = watch::channel(true);
        let task = tokio::spawn(async move {
            let _holder = holder;
            accept(address, way, opened).await;
        });
        Self {
            endpoint: format!("http://{address}"),
            now,
            open,
            task,
        }
    }

    /// These rules from now on, the first that fits counts; connections are taken.
    pub fn set(&self, rules: &[Rule]) {
        self.lock().rules = rules.to_vec();
        self.open.send_replace(true);
    }

    /// Everything works again.
    pub fn heal(&self) {
        self.set(&[]);
    }

    /// Connections are refused and those that stand are closed, until [`Faults::set`] or
    /// [`Faults::heal`].
    pub fn refuse(&self) {
        self.open.send_replace(false);
    }

    /// Every answer comes later by this much: the round trip to a store that is far away.
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// What was asked so far, in the order of the answers.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// How many requests were swallowed so far.
    pub fn swallowed(&self) -> usize {
        self.lock().swallowed
    }

    /// How many requests are under way, copies of clients that are gone included.
    pub fn running(&self) -> usize {
        self.lock().running
    }

    /// The most requests that were under way at a time.
    pub fn most_at_once(&self) -> usize {
        self.lock().most
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().expect("nobody panicked with it")
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("it can be shared");
    socket.bind(address).expect("the port is ours");
    socket
}

async fn accept(address: SocketAddr, way: Way, mut open: watch::Receiver<bool>) {
    let app = axum::Router::new().fallback(pass).with_state(way);
    loop {
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        let listener = socket(address).listen(1024).expect("it listens");
        let close = CancellationToken::new();
        let _closes = close.clone().drop_guard();
        loop {
            let stream = tokio::select! {
                Ok((stream, _)) = listener.accept() => stream,
                closed = open.wait_for(|open| !*open) => match closed {
                    Ok(_) => break,
                    Err(_) => return,
                },
            };
            let (app, close) = (app.clone(), close.clone());
            tokio::spawn(async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let serving =
                    server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
                let _ = close.run_until_cancelled(serving).await;
            });
        }
    }
}

async fn pass(State(way): State<Way>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (fault, delay) = {
        let mut now = way.now.lock().expect("nobody panicked with it");
        now.running += 1;
        now.most = now.most.max(now.running);
        let rule = now.rules.iter_mut().find(|rule| rule.is_for(&request));
        let fault = rule.map(|rule| {
            rule.left = rule.left.map(|left| left - 1);
            rule.fault
        });
        (fault, now.delay)
    };
    // Counted down also when the client gives up in between.
    let running = Running(way.now.clone());
    tokio::time::sleep(delay).await;
    let answer = match fault {
        Some(Fault::Swallow) => {
            way.now.lock().expect("nobody panicked with it").swallowed += 1;
            std::future::pending().await
        }
        Some(Fault::Answer(status, code)) => {
            // The body is read first, as servers do: else the client may see a reset instead of the
            // answer.
            let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            refusal(status, code, &method)
        }
        Some(Fault::Cut) => {
            let _ = forward(&way, request).await;
            let cut = futures_util::stream::once(async {
                Err::<bytes::Bytes, _>(std::io::Error::other("cut"))
            });
            Body::from_stream(cut).into_response()
        }
        // The store goes on with it, whoever waits for that.
        None if is_copy(&request) => {
            let way = way.clone();
            let copying = tokio::spawn(async move {
                let class = request.headers().get("x-amz-storage-class").cloned();
                let class = class.and_then(|class| class.to_str().map(str::to_owned).ok());
                let answer = forward(&way, request).await;
                way.note(method, path, answer.status(), class);
                drop(running);
                answer
            });
            return copying.await.expect("it does not panic");
        }
        None => forward(&way, request).await,
    };
    drop(running);
    way.note(method, path, answer.status(), None);
    answer
}

fn is_copy(request: &Request) -> bool {
    request.headers().contains_key("x-amz-copy-source")
}

impl Way {
    fn note(&self, method: Method, path: String, status: StatusCode, copied_to: Option<String>) {
        let seen = Seen {
            method,
            path,
            status: status.as_u16(),
            copied_to,
        };
        let mut now = self.now.lock().expect("nobody panicked with it");
        now.seen.push(seen);
    }
}

struct Running(Arc<Mutex<Now>>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(mut now) = self.0.lock() {
            now.running -= 1;
        }
    }
}

fn refusal(status: u16, code: &str, method: &Method) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    if method == Method::HEAD {
        return status.into_response();
    }
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"#
    );
    (status, [("content-type", "application/xml")], body).into_response()
}

/// The `Host` stays as it was signed.
async fn forward(way: &Way, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let url = format!("{}{}", way.upstream, parts.uri);
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let asked = way
        .http
        .request(parts.method.clone(), url)
        .headers(parts.headers)
        .body(body);
    let Ok(answer) = asked.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = if parts.method == Method::HEAD {
        Body::empty()
    } else {
        Body::from_stream(answer.bytes_stream())
    };
    let mut response = (status, body).into_response();
    *response.headers_mut() = headers;
    response
        .headers_mut()
        .insert("x-test-faults", HeaderValue::from_static("passed"));
    response
}
