//! How processes start and stop, in order.
//!
//! **Start**: operations address opened (`/readyz` says `starting`) → data folder locked →
//! Postgres, migrations (`serve` only) → queue → bucket → clock → what the bucket's ledger has and
//! the database does not is carried out → speech model (fetched where it is named and missing) →
//! speech → what a dead process left is listed → jobs are claimed → addresses are opened → said on
//! stdout.
//!
//! **Stop** ([`Running::stop`]): nothing new is claimed → meetings end (`serve`) or are handed over
//! (`worker`) → their files are made (`serve`) → jobs drained → sockets told to go elsewhere (1012)
//! → addresses closed → queue, stores. The first SIGTERM does all of this within the grace time; a
//! second one, or the end of that time, is like a kill, which loses nothing that was stored either.

mod bench;
pub mod commands;
mod connections;
pub mod demo;
pub mod jobs_command;
pub mod ledger_command;
mod media;
mod model;
mod owner;
mod services;
pub mod spools_command;
pub mod sweep_command;
pub mod tier_command;
mod watch;

use crate::{
    api::{
        self,
        ice::IceServers,
        limit::Limits,
        ops,
        password::Passwords,
        signal::Signal,
        state::{Address, ApiState, Shared},
        token::Keys,
        unwritten::Unwritten,
    },
    config::Settings,
    descriptor,
    health::{self, Phase},
    ingest::Network,
    published::LocalSockets,
    speech::model::Model,
    store::seal::Seal,
};
use anyhow::Context;
use media::Media;
use metrics_exporter_prometheus::PrometheusHandle;
use services::{OwnKey, Services};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Connections to the operations address, at most.
const OPS_CONNECTIONS: usize = 256;

/// What a process takes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Serve,
    Api,
    Worker,
}

/// A started process.
pub struct Running {
    /// `http://…`; none for a worker.
    pub url: Option<String>,
    pub ops: String,
    /// What writes captions; none where there is no media.
    pub model: Option<Model>,
    /// The key of `serve`'s own tenant.
    pub key: Option<OwnKey>,
    pub metrics: PrometheusHandle,
    part: Part,
    grace: Duration,
    services: Services,
    media: Option<Media>,
    signal: Option<Signal>,
    api: Option<Shared>,
    servers: Vec<JoinHandle<()>>,
    closing: CancellationToken,
    upkeep: CancellationToken,
}

/// Starts everything that the part needs.
pub async fn start(settings: Settings, part: Part) -> anyhow::Result<Running> {
    let metrics = ops::install_metrics().context("metrics")?;
    let descriptors = descriptor::raise();
    let (closing, upkeep) = (CancellationToken::new(), CancellationToken::new());
    // First, so that whoever waits for the process can see that it starts.
    let (listener, ops_address) = listen(settings.ops_listen)
        .await
        .context("the operations address")?;
    let ops = ops::Ops {
        metrics: metrics.clone(),
        health: health::process(),
    };
    let room = connections::Room {
        all: OPS_CONNECTIONS,
        per_address: 0,
        trusted: Arc::default(),
    };
    let mut servers = vec![tokio::spawn(connections::serve(
        listener,
        ops::router(ops),
        room,
        closing.clone(),
    ))];
    let services = Services::start(&settings, part).await?;
    services.ledger.open().await;

    let media = match part {
        Part::Api => None,
        Part::Serve | Part::Worker => Some(Media::start(&settings, &services, part).await?),
    };

    let mut running = Running {
        url: None,
        ops: format!("http://{ops_address}"),
        model: media.as_ref().map(|media| media.model.clone()),
        key: None,
        metrics: metrics.clone(),
        part,
        grace: settings.grace,
        services,
        media,
        signal: None,
        api: None,
        servers: Vec::new(),
        closing: closing.clone(),
        upkeep: upkeep.clone(),
    };
    let services = &running.services;
    if part != Part::Worker {
        let (listener, address) = listen(settings.listen)
            .await
            .context("the address to listen on")?;
        let trusted = networks(&settings.trusted_proxies)?;
        let public_url = settings
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{address}"));
        // Without an address of its own for browsers the storage is read by ours: links work
        // wherever the API does.
        let files = services.files();
        let (objects, media_origin) = match &files {
            Some(_) => (
                services
                    .objects
                    .clone()
                    .served_at(&format!("{public_url}/files")),
                origin(&public_url),
            ),
            None => (services.objects.clone(), origin(&services.public_endpoint)),
        };
        let state = Arc::new(ApiState {
            store: services.store.clone(),
            queue: services.queue.clone(),
            objects,
            clock: services.clock.clone(),
            ledger: services.ledger.clone(),
            keys: Keys::new(services.secret.as_bytes())?,
            seal: Seal::new(services.secret.as_bytes())?,
            address: Address::new(&public_url, &settings.origins)?,
            ice: IceServers::new(
                &settings.ice_urls,
                settings
                    .turn_secret
                    .as_ref()
                    .map(|secret| secret.reveal().as_bytes()),
            ),
            metrics,
            passwords: Passwords::default(),
            media_origin,
            here: LocalSockets::default(),
            unwritten: Unwritten::default(),
            limits: Limits::new(
                settings.requests_per_address,
                settings.requests_per_credential,
                trusted.clone(),
            ),
        });
        let signal = Signal::start(state.clone());
        let mut router = api::router(state.clone(), &signal);
        if let Some(files) = files {
            router = router.nest_service("/files", files);
        }
        let room = connections::Room {
            all: descriptor::connections(descriptors),
            per_address: settings.connections_per_address,
            trusted,
        };
        let router = api::below(state.address.path(), router);
        servers.push(tokio::spawn(connections::serve(
            listener,
            router,
            room,
            closing.clone(),
        )));
        running.api = Some(state);
        running.signal = Some(signal);
        running.url = Some(public_url);
    }
    if part != Part::Api {
        // For health checks and metrics of those that take any free port.
        let kept = settings.data.join("ops");
        if let Err(error) = std::fs::write(&kept, format!("{ops_address}\n")) {
            // A disk that is full holds nobody up.
            warn!(%error, "{} cannot be written; who looks for it there does not find the operations address", kept.display());
        }
    }
    running.servers = servers;
    running.key = services.key.clone();
    tokio::spawn(keep_time(
        services.store.clone(),
        services.clock.clone(),
        upkeep.clone(),
    ));
    tokio::spawn(watch::run(
        services.store.clone(),
        services.queue.clone(),
        upkeep.clone(),
    ));
    tokio::spawn(services.ledger.clone().watch(upkeep.clone()));
    tokio::spawn(watch::jobs(services.store.clone(), upkeep.clone()));
    tokio::spawn(watch::storage(
        services.objects.clone(),
        services.bucket.clone(),
        upkeep,
    ));
    health::process().enter(Phase::Ready);
    Ok(running)
}

impl Running {
    /// Prints where it can be reached.
    #[allow(clippy::print_stdout, reason = "these lines are what scripts wait for")]
    pub fn announce(&self) {
        if let Some(url) = &self.url {
            println!("url {url}");
        }
        println!("ops {}", self.ops);
        // Where somebody begins who has just started it.
        if let (Some(url), Some(_)) = (&self.url, &self.key) {
            println!("docs {url}/docs/");
        }
        match &self.key {
            // A terminal's history and the journal keep what they are shown; a script that reads
            // our lines wants it.
            Some(OwnKey {
                kept_in,
                is_new: false,
                ..
            }) if is_kept() => println!("key in {}", kept_in.display()),
            Some(OwnKey { key, .. }) => println!("key {key}"),
            None => {}
        }
    }

    /// Stops in the order that stands at the top of this file. A second signal, or the end of the
    /// grace time, ends the process at once.
    pub async fn stop(self) -> anyhow::Result<()> {
        let grace = self.grace;
        let api = self.api.clone();
        let told_again = stop_signal()?;
        info!(grace_s = grace.as_secs(), "stopping");
        health::process().enter(Phase::Draining);
        tokio::select! {
            () = self.wind_down() => {
                info!("stopped");
                Ok(())
            }
            () = told_again => {
                warn!("told twice to stop; ending at once");
                std::process::exit(1)
            }
            () = grace_and_withdrawals(grace, api) => {
                warn!("the grace time is over; ending at once");
                std::process::exit(1)
            }
        }
    }

    async fn wind_down(mut self) {
        if let Some(media) = self.media.take() {
            media.stop(&self.services.store, self.part).await;
        }
        if let Some(signal) = self.signal.take() {
            signal.stop().await;
        }
        self.upkeep.cancel();
        self.closing.cancel();
        for server in self.servers {
            let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
        }
        if let Some(api) = &self.api {
            api.unwritten.written().await;
        }
        self.services.remove().await;
    }
}

/// Until the process may end by itself: after the grace time, and not before every withdrawal that
/// it acknowledged is written.
async fn grace_and_withdrawals(grace: Duration, api: Option<Shared>) {
    tokio::time::sleep(grace).await;
    while let Some(waiting) = api
        .as_ref()
        .map(|api| api.unwritten.len())
        .filter(|waiting| *waiting > 0)
    {
        warn!(
            waiting,
            "the grace time is over; acknowledged withdrawals wait for the database"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Whether stdout is a terminal or systemd's journal, rather than a script.
fn is_kept() -> bool {
    use std::io::IsTerminal;
    std::io::stdout().is_terminal() || std::env::var_os("JOURNAL_STREAM").is_some()
}

async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn networks(settings: &[String]) -> anyhow::Result<Arc<[Network]>> {
    let parsed = settings.iter().map(|network| {
        network
            .parse()
            .map_err(|why| anyhow::anyhow!("trusted-proxies: {why}"))
    });
    parsed.collect()
}

/// Scheme and authority of an address.
fn origin(url: &str) -> String {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find('/').map_or(url.len(), |at| after + at);
    url[..end].to_owned()
}

/// Maps our clock to Postgres's anew every minute, and forgets what has had its time.
async fn keep_time(
    store: crate::store::Store,
    clock: crate::clock::Clock,
    stop: CancellationToken,
) {
    while stop
        .run_until_cancelled(tokio::time::sleep(Duration::from_secs(60)))
        .await
        .is_some()
    {
        // With Postgres away the last mapping stays good.
        let _ = store.sync_clock(&clock, 5).await;
        // What is left over is taken the next time, here or in another process.
        let _ = crate::store::sweep(&store).await;
    }
}

/// Ends when the process is told to stop (SIGTERM, SIGINT) after this call: from here on that ends
/// nothing by itself.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Where a process keeps what is being made.
pub fn work_folder(settings: &Settings) -> PathBuf {
    settings.data.join("work")
}
