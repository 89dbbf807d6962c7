//! Every setting, and where it comes from: flag > environment > TOML file > default.
//!
//! A setting has one name. `rtp-public-ip` is the flag `--rtp-public-ip`, the variable
//! `HANSARD_RTP_PUBLIC_IP` and, in the file, `publicIp` in the table `[rtp]` (or `rtp-public-ip`,
//! or `rtpPublicIp`). Some have a customary variable as well (`DATABASE_URL`). Secrets have no
//! flag, since others see a process's arguments: they come from `HANSARD_…`, from the file that
//! `HANSARD_…_FILE` names, or from the TOML file, and are never printed. Unknown names are errors
//! everywhere.

mod command;
mod operation;
mod source;
mod tariff;

pub use command::{
    Base, Cli, Command, DemoFlags, Front, Media, OpenapiFlags, StandaloneFlags, Stores,
};
pub use operation::{
    ConsentCommand, JobsCommand, KeyCommand, LedgerCommand, ModelCommand, SpoolsCommand,
    SweepFlags, TenantCommand, TierCommand,
};
pub use source::{ConfigError, Sources};

use crate::{
    domain::{job::JobKind, quota::Quota, tiering::Tariff},
    objects,
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroU64},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What a process is to be; it decides which settings must be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deployment {
    /// `serve`, `demo`, and one-shot commands: what is not given is brought along.
    Standalone,
    /// `api` and `worker`: everything that they share must be given.
    Shared,
}

/// How lines are logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Where media is received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rtp {
    /// The address that sockets are bound to.
    pub bind: IpAddr,
    /// The addresses that clients are told: plain senders the first, browsers all. Never empty.
    pub public_ips: Vec<IpAddr>,
    /// Of browsers' media: the first free one. `None`: not taken; 0: any.
    pub webrtc_ports: Option<RangeInclusive<u16>>,
    pub ports: RangeInclusive<u16>,
    /// Networks whose senders need neither a told address nor SRTP, besides loopback: `10.0.0.0/8`,
    /// `192.0.2.7`.
    pub allow: Vec<String>,
}

/// Something about the settings that whoever made them should know, though they can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Nothing needs to be done.
    pub harmless: bool,
    pub found: String,
    pub mend: String,
}

/// Every setting, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Spool, models, keys, and what is brought along.
    pub data: PathBuf,
    pub log_filter: String,
    pub log_format: LogFormat,
    /// How long an orderly end may take before it is given up.
    pub grace: Duration,
    pub ops_listen: SocketAddr,

    pub listen: SocketAddr,
    /// As clients reach the API, without a slash at the end. `None`: as `listen` turns out.
    pub public_url: Option<String>,
    /// Origins of pages, besides that of `public_url`, that may use the API; `*` for all.
    pub origins: Vec<String>,
    /// Networks of proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<String>,
    /// Connections from one address, sockets in a meeting apart; 0: no limit.
    pub connections_per_address: usize,
    /// Requests a second, twenty times as many at once; 0: no limit.
    pub requests_per_address: u32,
    pub requests_per_credential: u32,
    /// STUN and TURN servers that browsers are told.
    pub ice_urls: Vec<String>,
    /// Shared with the TURN servers among them.
    pub turn_secret: Option<Secret>,

    /// `None`: the private one.
    pub database_url: Option<Secret>,
    pub database_connections: u32,
    /// `None`: the queue within the process.
    pub amqp_url: Option<Secret>,
    /// `None`: the S3 server brought along, listening on `s3_listen`.
    pub s3: Option<objects::StorageConfig>,
    /// Which class each tier is, and what classes cost.
    pub tariff: Tariff,
    /// Larger objects are copied in parts.
    pub copy_bytes_max: u64,
    pub s3_listen: SocketAddr,
    /// How long that server takes to restore from its archive.
    pub s3_restore_delay: Duration,
    /// What presigned links name when the S3 server is the one brought along. `None`: as it
    /// listens, by the host of `public_url`.
    pub s3_public_endpoint: Option<String>,
    pub s3_bucket: String,
    /// `None`: made at the first start and kept in `data`.
    pub secret: Option<Secret>,

    pub rtp: Rtp,
    /// The kinds of jobs that a worker takes.
    pub queues: Vec<JobKind>,
    /// How much of the disk segments may take.
    pub spool_max: Quota,
    /// Live meetings at once. `None`: from the cores and a speed test of the model.
    pub capacity: Option<u32>,
    /// The name of a model in `models.toml`, fetched if it is not there. `None`: the data folder's
    /// default.
    pub model: Option<String>,
    /// Where official models are fetched from. `None`: where they are published.
    pub models_url: Option<String>,
    /// Whether speech is decoded on the GPU.
    pub gpu: bool,
    /// Another data folder whose models may be used: that of `serve`, for a command whose own is
    /// another by default.
    pub models_beside: Option<PathBuf>,

    pub notes: Vec<Note>,
}

/// The shortest secret from which keys are derived.
const SECRET_BYTES_MIN: usize = 32;

impl Settings {
    /// Resolves the settings from the flags and the other sources, and refuses what cannot be
    /// meant.
    pub fn resolve(flags: Sources, stand: Deployment) -> Result<Self, ConfigError> {
        let (default_data, models_beside) = (flags.default_data(), flags.models_beside());
        let source::Merged {
            given,
            mut notes,
            ops_port,
        } = flags.merge()?;
        let wrong = |name: &'static str, why: String| ConfigError::Wrong {
            name: name.to_owned(),
            why,
        };
        let command::AllFlags {
            base,
            front,
            stores,
            media,
            secrets,
        } = given;

        let missing: Vec<&'static str> = [
            ("DATABASE_URL", stores.database_url.is_none()),
            ("AMQP_URL", stores.amqp_url.is_none()),
            ("S3_ENDPOINT", stores.s3_endpoint.is_none()),
            ("S3_ACCESS_KEY_ID", stores.s3_access_key_id.is_none()),
            (
                "S3_SECRET_ACCESS_KEY",
                secrets.s3_secret_access_key.is_none(),
            ),
            ("HANSARD_SECRET", secrets.secret.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, missing)| missing.then_some(name))
        .collect();
        if stand == Deployment::Shared && !missing.is_empty() {
            return Err(ConfigError::Missing(missing));
        }

        let tariff = tariff::resolve(&stores)?;
        let s3_bucket = stores.s3_bucket.unwrap_or_else(|| "hansard".to_owned());
        let s3 = match stores.s3_endpoint {
            None => None,
            Some(endpoint) => {
                let keys = ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
                let keys: Vec<_> = keys
                    .into_iter()
                    .filter(|key| missing.contains(key))
                    .collect();
                let (Some(id), Some(key)) = (stores.s3_access_key_id, secrets.s3_secret_access_key)
                else {
                    return Err(ConfigError::Missing(keys));
                };
                let endpoint = address("s3-endpoint", endpoint)?;
                Some(objects::StorageConfig {
                    public_endpoint: match &stores.s3_public_endpoint {
                        Some(public) => address("s3-public-endpoint", public.clone())?,
                        None => endpoint.clone(),
                    },
                    endpoint,
                    region: stores.s3_region.unwrap_or_else(|| "us-east-1".to_owned()),
                    bucket: s3_bucket.clone(),
                    access_key_id: id,
                    secret_access_key: key,
                    dialect: objects::Dialect {
                        checksums: stores.s3_checksums != Some(command::Switch::Off),
                        path_style: stores.s3_addressing != Some(command::Addressing::Host),
                    },
                })
            }
        };
        if secrets
            .secret
            .as_ref()
            .is_some_and(|secret| secret.len() < SECRET_BYTES_MIN)
        {
            let why = format!(
                "it must have at least {SECRET_BYTES_MIN} bytes; `openssl rand -hex 32` makes one"
            );
            return Err(wrong("secret", why));
        }

        let bind = media.rtp_bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let public_ips = media.rtp_public_ip.unwrap_or_else(|| vec![bind]);
        if let Some(nowhere) = public_ips.iter().find(|ip| ip.is_unspecified()) {
            let why =
                format!("with rtp-bind {bind} it must be given: clients cannot send to {nowhere}");
            return Err(wrong("rtp-public-ip", why));
        }
        if public_ips.is_empty() {
            return Err(wrong("rtp-public-ip", "it is empty".to_owned()));
        }
        // Who brings everything along is tried out on one machine, where any port will do.
        let ice_urls = front.ice_urls.unwrap_or_default();
        ice_servers(&ice_urls, secrets.turn_secret.is_some())?;
        let webrtc_ports = media
            .rtp_webrtc_ports
            .map(|ports| ports.0)
            .or((stand != Deployment::Shared).then_some(0..=0));
        let origins: Vec<String> = front
            .origins
            .unwrap_or_default()
            .into_iter()
            .map(origin)
            .collect::<Result<_, _>>()?;
        if origins.iter().any(|origin| origin == "*") {
            let found = "origins is *: pages of every origin may use the API, with credentials that they hold themselves";
            notes.push(Note {
                harmless: true,
                found: found.to_owned(),
                mend: String::new(),
            });
        }
        let ports = media.rtp_ports.map_or(20_000..=20_999, |ports| ports.0);
        let models_beside = models_beside.filter(|_| base.data.is_none());
        let gpu = media.gpu == Some(command::Switch::On);
        if gpu && !cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal")) {
            return Err(wrong(
                "gpu",
                "this build has no accelerator; build with --features cuda, vulkan or metal, or leave it off".into(),
            ));
        }
        Ok(Self {
            data: match base.data {
                Some(data) => data,
                None => default_data.ok_or(ConfigError::Missing(vec![
                    "HANSARD_DATA (there is no HOME either)",
                ]))?,
            },
            log_filter: base
                .log
                .unwrap_or_else(|| "info,hansard=info,sqlx=warn,lapin=warn,s3s=warn".to_owned()),
            log_format: base.log_format.unwrap_or_default(),
            grace: Duration::from_secs(base.grace_seconds.unwrap_or(60)),
            ops_listen: base
                .ops_listen
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], ops_port))),
            listen: front
                .listen
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            public_url: front
                .public_url
                .map(|url| address("public-url", url))
                .transpose()?,
            origins,
            trusted_proxies: front.trusted_proxies.unwrap_or_default(),
            connections_per_address: front.connections_per_address.unwrap_or(4096),
            requests_per_address: front.requests_per_address.unwrap_or(500),
            requests_per_credential: front.requests_per_credential.unwrap_or(500),
            ice_urls,
            turn_secret: secrets.turn_secret.map(Secret),
            database_url: stores.database_url.map(Secret),
            database_connections: stores
                .database_connections
                .map_or(16, |most| most.get().into()),
            amqp_url: stores.amqp_url.map(Secret),
            s3,
            tariff,
            copy_bytes_max: stores
                .s3_copy_max
                .map_or(objects::COPY_BYTES_MAX, NonZeroU64::get),
            s3_listen: stores
                .s3_listen
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8333))),
            s3_restore_delay: Duration::from_secs(stores.s3_restore_seconds.unwrap_or(0).into()),
            s3_public_endpoint: stores
                .s3_public_endpoint
                .map(|url| address("s3-public-endpoint", url))
                .transpose()?,
            s3_bucket,
            secret: secrets.secret.map(Secret),
            rtp: Rtp {
                bind,
                public_ips,
                webrtc_ports,
                ports,
                allow: media.rtp_allow.unwrap_or_default(),
            },
            queues: JobKind::taken(&media.queues.unwrap_or_else(|| JobKind::ALL.to_vec())),
            spool_max: media.spool_max.unwrap_or_default(),
            capacity: media.capacity.map(NonZeroU16::get).map(u32::from),
            model: media.model,
            models_url: media
                .models_url
                .map(|url| address("models-url", url))
                .transpose()?,
            gpu,
            models_beside,
            notes,
        })
    }
}

/// RFC 7064, RFC 7065.
fn ice_servers(urls: &[String], has_secret: bool) -> Result<(), ConfigError> {
    let wrong = |name: &str, why: String| {
        Err(ConfigError::Wrong {
            name: name.to_owned(),
            why,
        })
    };
    for url in urls {
        let known = ["stun:", "stuns:", "turn:", "turns:"];
        let host = known.iter().find_map(|scheme| url.strip_prefix(scheme));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            let why = format!(
                "{url} is none: write turn:turn.example.org:3478 or turns:turn.example.org:443?transport=tcp"
            );
            return wrong("ice-urls", why);
        }
    }
    let relay = urls.iter().any(|url| url.starts_with("turn"));
    match (relay, has_secret) {
        (true, false) => wrong(
            "turn-secret",
            "a TURN server needs the secret that it shares with this one (coturn: use-auth-secret, static-auth-secret)".to_owned(),
        ),
        (false, true) => wrong(
            "turn-secret",
            "there is no TURN server in ice-urls to share it with".to_owned(),
        ),
        _ => Ok(()),
    }
}

/// An `http` or `https` address without a slash at the end.
fn address(name: &str, url: String) -> Result<String, ConfigError> {
    let wrong = |why: &str| ConfigError::Wrong {
        name: name.to_owned(),
        why: format!("{url} {why}"),
    };
    let parsed =
        reqwest::Url::parse(&url).map_err(|error| wrong(&format!("is no address: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(wrong("must begin with http:// or https://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some() {
        return Err(wrong("must hold neither a name, a password nor a query"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Scheme, host and port only, as browsers send it.
fn origin(text: String) -> Result<String, ConfigError> {
    if text == "*" {
        return Ok(text);
    }
    let url = address("origins", text)?;
    match reqwest::Url::parse(&url) {
        Ok(parsed) if parsed.path() == "/" => Ok(parsed.origin().ascii_serialization()),
        _ => Err(ConfigError::Wrong {
            name: "origins".to_owned(),
            why: format!("{url} has a path"),
        }),
    }
}

#[cfg(test)]
mod tests;
