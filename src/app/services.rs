//! What every part stands on: Postgres, the queue, the bucket, the clock and the secret; given, or
//! brought along.

use super::Part;
use crate::{
    api::secret::Secret,
    clock::Clock,
    config::Settings,
    embed::{
        postgres::{Durability, Postgres},
        s3::{self, S3Server},
    },
    health::{self, Reason},
    ledger::Ledger,
    objects::{self, Objects},
    queue::Queue,
    secret_file,
    store::{self, Store, key, tenant},
};
use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};
use tracing::info;

/// The longest wait for one connection to it.
const DATABASE_TRY_MAX: Duration = Duration::from_secs(5);
/// The longest wait for the bucket at the start; meetings go on meanwhile, and the watch over
/// storage tries further.
const BUCKET_WAIT_MAX: Duration = Duration::from_secs(1);

/// The tenant of `serve` and `demo`.
const OWN_TENANT: &str = "default";

/// The API key of the own tenant, and the file it is kept in.
#[derive(Clone)]
pub struct OwnKey {
    pub key: String,
    pub kept_in: PathBuf,
    /// Made by this start.
    pub is_new: bool,
}

pub struct Services {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    /// What is deleted is written there first.
    pub ledger: Ledger,
    /// Where `objects` are, for those who look into why they cannot be had.
    pub bucket: objects::StorageConfig,
    pub clock: Clock,
    pub secret: String,
    /// Where browsers find the bucket.
    pub public_endpoint: String,
    /// The API key of `serve`'s own tenant.
    pub key: Option<OwnKey>,
    postgres: Option<Postgres>,
    s3: Option<S3Server>,
    /// The storage has an address that browsers reach.
    is_published: bool,
    /// Held for as long as the process lives. An `api` keeps nothing, so any number of them may run
    /// beside a worker.
    _lock: Option<File>,
}

impl Services {
    pub async fn start(settings: &Settings, part: Part) -> anyhow::Result<Self> {
        let lock = if part == Part::Api {
            None
        } else {
            Some(lock(&settings.data)?)
        };
        let (postgres, url) = match &settings.database_url {
            Some(url) => (None, url.reveal().to_owned()),
            None => {
                let folder = settings.data.join("postgres");
                let postgres =
                    tokio::task::spawn_blocking(move || Postgres::start(&folder, Durability::Real))
                        .await??;
                postgres.create_own().await?;
                let url = postgres.own_url();
                (Some(postgres), url)
            }
        };
        database(&url).await?;
        if part == Part::Serve {
            store::migrate(&url)
                .await
                .context("bringing the database up to date")?;
        }
        let store = Store::connect(&url, settings.database_connections)
            .await
            .context("the database of DATABASE_URL")?;
        let clock = Clock::default();
        store
            .sync_clock(&clock, 10)
            .await
            .context("Postgres does not answer")?;

        let secret = match &settings.secret {
            Some(secret) => secret.reveal().to_owned(),
            None => kept(&settings.data.join("secret"), || {
                Ok(Secret::random("")?.reveal().to_owned())
            })?,
        };
        let queue = match &settings.amqp_url {
            Some(url) => {
                Queue::amqp(url.reveal()).map_err(|why| anyhow::anyhow!("AMQP_URL: {why}"))?
            }
            None => Queue::local(),
        };
        let (s3, bucket) = match &settings.s3 {
            Some(bucket) => (None, bucket.clone()),
            None => {
                let server = S3Server::start(
                    &settings.data.join("s3"),
                    settings.s3_listen,
                    s3::Options {
                        clock: clock.clone(),
                        restore_delay: settings.s3_restore_delay,
                    },
                )
                .await?;
                let endpoint = format!("http://{}", server.address);
                let public_endpoint = settings
                    .s3_public_endpoint
                    .clone()
                    .unwrap_or_else(|| endpoint.clone());
                let bucket = objects::StorageConfig {
                    public_endpoint,
                    endpoint,
                    region: "us-east-1".into(),
                    bucket: settings.s3_bucket.clone(),
                    access_key_id: server.credentials.access_key_id.clone(),
                    secret_access_key: server.credentials.secret_access_key.clone(),
                    dialect: objects::Dialect::default(),
                };
                (Some(server), bucket)
            }
        };
        let objects = Objects::new(&bucket)
            .with_classes(settings.tariff.classes.clone(), settings.copy_bytes_max);
        // Storage that is away or refuses holds nothing up: media is kept in the spool and jobs
        // wait.
        match tokio::time::timeout(BUCKET_WAIT_MAX, objects.ensure_bucket()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => health::degrade(Reason::Storage, error),
            Err(_) => health::degrade(
                Reason::Storage,
                format!("no answer for {} s", BUCKET_WAIT_MAX.as_secs()),
            ),
        }
        let key = if part == Part::Serve {
            Some(own_key(&settings.data, &url).await?)
        } else {
            None
        };
        Ok(Self {
            ledger: Ledger::new(store.clone(), objects.clone()),
            store,
            queue,
            objects,
            clock,
            secret,
            public_endpoint: bucket.public_endpoint.clone(),
            bucket,
            key,
            postgres,
            s3,
            is_published: settings.s3.is_some() || settings.s3_public_endpoint.is_some(),
            _lock: lock,
        })
    }

    /// The files of the bucket, for our own address to serve; `None` where links lead to the
    /// storage itself.
    pub fn files(&self) -> Option<axum::Router> {
        self.s3
            .as_ref()
            .filter(|_| !self.is_published)
            .map(S3Server::gateway)
    }

    /// Takes it away again, last laid first.
    pub async fn remove(mut self) {
        self.queue.close().await;
        self.store.close().await;
        if let Some(s3) = self.s3.take() {
            s3.stop().await;
        }
        if let Some(mut postgres) = self.postgres.take() {
            match tokio::task::spawn_blocking(move || postgres.stop()).await {
                Ok(Ok(())) => {}
                _ => tracing::warn!(
                    "the private Postgres did not stop in order; it recovers at the next start"
                ),
            }
        }
    }
}

/// Waits for Postgres, which may be starting, too, for as long as it takes; the log says so every
/// minute. What it refuses for good (a password, a name) ends the start at once.
async fn database(url: &str) -> anyhow::Result<()> {
    loop {
        let error = match tokio::time::timeout(DATABASE_TRY_MAX, store::owner(url)).await {
            Ok(Ok(conn)) => {
                drop(conn);
                health::restore(Reason::Database);
                return Ok(());
            }
            Ok(Err(error)) if !error.is_unavailable() => {
                return Err(error).context("Postgres (DATABASE_URL)");
            }
            Ok(Err(error)) => anyhow::Error::from(error),
            Err(_) => anyhow::anyhow!("no answer for {} s", DATABASE_TRY_MAX.as_secs()),
        };
        health::degrade(
            Reason::Database,
            format!("waiting for Postgres to start with: {error:#}"),
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One process per data folder: two would take each other's spool for a dead one's.
fn lock(data: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    close_to_others(data).with_context(|| format!("closing {} to other users", data.display()))?;
    let file = File::create(data.join("lock"))
        .with_context(|| format!("{} is not writable", data.display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => {
            bail!(
                "another hansard process uses {}; stop it, or give this one its own with --data",
                data.display()
            )
        }
    }
}

/// Recordings are nobody's business but ours: the folder, and what an earlier version or somebody's
/// hand left open in it. New files are closed by the process's umask. Walks only a folder that was
/// open; the private Postgres looks after its own.
fn close_to_others(data: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if fs::metadata(data)?.mode() & 0o077 == 0 {
        return Ok(());
    }
    // The top last: a walk that was cut short is done again.
    let mut folders: Vec<_> = vec![data.to_owned()];
    let mut n = 0;
    while let Some(folder) = folders.get(n).cloned() {
        n += 1;
        for entry in fs::read_dir(&folder)?.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_symlink() || (n == 1 && entry.file_name() == "postgres") {
                continue;
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.mode() & 0o077 != 0 {
                // It may be gone by now.
                let _ = fs::set_permissions(
                    entry.path(),
                    fs::Permissions::from_mode(metadata.mode() & 0o700),
                );
            }
        }
    }
    for folder in folders.iter().rev() {
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    Ok(())
}

/// What stands in the file; made and written (mode 0600) when there is none.
fn kept(path: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = make()?;
            secret_file::write(path, text.as_bytes())
                .with_context(|| format!("writing {}", path.display()))?;
            Ok(text)
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// The key of the own tenant: the one in the file while the database knows it, else a new one.
async fn own_key(data: &Path, url: &str) -> anyhow::Result<OwnKey> {
    let path = data.join("key");
    let mut conn = store::owner(url).await?;
    if let Ok(text) = fs::read_to_string(&path)
        && let Some(secret) = Secret::parse(Secret::API_KEY, text.trim())
        && key::find(&mut conn, &secret.hash()).await?.is_some()
    {
        return Ok(OwnKey {
            key: secret.reveal().to_owned(),
            kept_in: path,
            is_new: false,
        });
    }
    let secret = Secret::random(Secret::API_KEY)?;
    let tenant = tenant::ensure(&mut conn, OWN_TENANT).await?;
    key::insert(&mut conn, tenant, &secret.hash(), secret.hint()).await?;
    secret_file::write(&path, secret.reveal().as_bytes())?;
    info!("made an API key; it is in {}", path.display());
    Ok(OwnKey {
        key: secret.reveal().to_owned(),
        kept_in: path,
        is_new: true,
    })
}
