//! An S3 server on a directory, in this process. `s3s` speaks HTTP and checks signatures; the store
//! below is ours: storage classes, restores from the archive, versions, and files that are on disk
//! before they are acknowledged.
//!
//! Decisions are in `history` (versions), `archive` (classes, restores), `condition` and `place`
//! (where a key lies), which do no IO; `store`, `bucket`, `walk`, `upload` and `convert` are the
//! disk; `service` and the files that it names are the calls, over `answer`.

mod answer;
mod archive;
mod bucket;
mod condition;
mod convert;
mod disk;
mod format;
mod history;
mod listing;
mod multipart;
mod object;
mod place;
mod receive;
mod refusal;
mod service;
mod store;
mod upload;
mod walk;

use crate::clock::Clock;
use answer::Service;
use anyhow::Context;
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};
use store::Store;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tower_http::cors::{Any, CorsLayer};

/// How long requests under way may go on after a stop.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Who may ask. Random, made at the first start, kept in the directory.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The running server. Ends when stopped or dropped.
pub struct S3Server {
    pub credentials: Credentials,
    /// Where it really listens.
    pub address: SocketAddr,
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Others keep away from the directory.
    lock: Mutex<Option<File>>,
}

/// How the server is to be, besides where it is.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// By which objects are dated and restores come and go.
    pub clock: Clock,
    /// How long a restore from the archive takes.
    pub restore_delay: Duration,
}

impl S3Server {
    /// Serves what is in `directory`, which is made if there is none. What an older version stored
    /// there is taken over first.
    pub async fn start(
        directory: &Path,
        listen: SocketAddr,
        options: Options,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen} for S3"))?;
        let address = listener.local_addr()?;
        let data = directory.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let lock = lock(&data)?;
        let credentials = credentials(directory)?;
        let opened = tokio::task::spawn_blocking(move || open(&data, options)).await?;
        let store = Arc::new(opened?);
        let mut builder = S3ServiceBuilder::new(Service {
            store: store.clone(),
        });
        builder.set_auth(SimpleAuth::from_single(
            credentials.access_key_id.clone(),
            credentials.secret_access_key.as_str(),
        ));
        let service = builder.build();
        let answer = move |request: Request| {
            let service = service.clone();
            async move {
                match service.oneshot(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }
        };
        // A page may fetch what it has a link for: the link is the permission.
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods(Any)
            .allow_headers(Any)
            .expose_headers(Any);
        let router = Router::new().fallback(answer).layer(cors);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        // An object's head and body are two writes: with Nagle's algorithm the body waits 40 ms for
        // a delayed ACK.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serve = axum::serve(listener, router.clone())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the S3 server ended");
            }
        });
        let ends = stop.clone();
        tasks.spawn_blocking(move || {
            if let Err(error) = store.sweep(&|| ends.is_cancelled()) {
                tracing::warn!(%error, "what a kill left of objects could not be cleared away");
            }
        });
        tasks.close();
        Ok(Self {
            credentials,
            address,
            router,
            stop,
            tasks,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// The same objects for readers that come by another address, with a link and without: a link
    /// is signed for this server's own address, so it is asked under that. Nothing can be written
    /// this way, and what else a request carries (cookies, keys of the server in front) is none of
    /// the storage's business.
    pub fn gateway(&self) -> Router {
        let router = self.router.clone();
        let host =
            HeaderValue::from_str(&self.address.to_string()).expect("an address is visible ASCII");
        Router::new()
            .fallback(move |request: Request| read_only(router.clone(), host.clone(), request))
    }

    /// The credentials of the server that another process runs on `directory`, if there ever was
    /// one.
    pub fn kept_credentials(directory: &Path) -> Option<Credentials> {
        serde_json::from_slice(&fs::read(directory.join("credentials.json")).ok()?).ok()
    }

    /// Takes nothing new and lets requests under way end.
    pub async fn stop(&self) {
        self.stop.cancel();
        // The others are cut off with the process.
        let _ = tokio::time::timeout(STOP_MAX, self.tasks.wait()).await;
        self.lock.lock().take();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn credentials(directory: &Path) -> anyhow::Result<Credentials> {
    let path = directory.join("credentials.json");
    match fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let random = || {
                let mut bytes = [0; 24];
                aws_lc_rs::rand::fill(&mut bytes)
                    .map_err(|_| io::Error::other("no random numbers"))?;
                io::Result::Ok(URL_SAFE_NO_PAD.encode(bytes).replace(['-', '_'], "x"))
            };
            let made = Credentials {
                access_key_id: format!("HS{}", &random()?[..18]),
                secret_access_key: random()?,
            };
            crate::secret_file::write(&path, &serde_json::to_vec(&made)?)?;
            Ok(made)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// One process per directory: each would clear away what the other is writing.
fn lock(data: &Path) -> anyhow::Result<File> {
    let file = File::create(data.join("_lock"))
        .with_context(|| format!("{} is not writable", data.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| anyhow::anyhow!("another process serves {}", data.display()))?;
    Ok(file)
}

/// Ready to be served.
fn open(data: &Path, options: Options) -> anyhow::Result<Store> {
    let delay =
        chrono::Duration::from_std(options.restore_delay).context("the delay of restores")?;
    let store = Store::open(data, options.clock, delay)
        .with_context(|| format!("cannot use {}", data.display()))?;
    store
        .convert()
        .with_context(|| format!("cannot take over {}", data.display()))?;
    store.forget_uploads()?;
    Ok(store)
}

/// What [`S3Server::gateway`] does with a request.
async fn read_only(router: Router, host: HeaderValue, mut request: Request) -> Response {
    if !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "GET, HEAD")],
        )
            .into_response();
    }
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |asked| asked.as_str());
    if let Ok(plain) = path.parse::<Uri>() {
        *request.uri_mut() = plain;
    }
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    router.oneshot(request).await.into_response()
}
