//! The commands of the binary and the flags of each. The text here is what `--help` shows.

use super::{
    LogFormat,
    operation::{
        ConsentCommand, JobsCommand, KeyCommand, LedgerCommand, ModelCommand, SpoolsCommand,
        SweepFlags, TenantCommand, TierCommand,
    },
};
use crate::domain::{job::JobKind, quota::Quota};
use clap::{Args, Parser, Subcommand};
use std::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU16, NonZeroU64},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

/// Self-hosted meeting recorder and live transcriber that keeps nothing of anybody who has not
/// agreed.
#[derive(Parser, Debug)]
#[command(
    name = "hansard",
    version,
    about,
    max_term_width = 110,
    propagate_version = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Everything in one place: API, web page, media worker; what is not given is brought along
    Serve(StandaloneFlags),
    /// REST, signaling and web page; any number of them
    Api {
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        front: Front,
        #[command(flatten)]
        stores: Stores,
    },
    /// Media and jobs; any number of them
    Worker {
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
        #[command(flatten)]
        media: Media,
    },
    /// Plays a meeting of bundled voices, shows its captions, ends with its recording and
    /// transcript
    Demo {
        #[command(flatten)]
        demo: DemoFlags,
        #[command(flatten)]
        whole: StandaloneFlags,
    },
    /// Brings the database to this version's schema
    Migrate {
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// Speech models: what there is, fetching more, and what this machine carries
    Models {
        #[command(subcommand)]
        command: ModelCommand,
        #[command(flatten)]
        base: Base,
    },
    /// Says what is missing or misconfigured, and how to mend it
    Doctor {
        /// Only object storage, but all of it: tries each call that is ever made of it
        #[arg(long)]
        s3: bool,
        #[command(flatten)]
        whole: StandaloneFlags,
    },
    /// Prints the OpenAPI document, or the AsyncAPI one
    Openapi {
        #[command(flatten)]
        openapi: OpenapiFlags,
    },
    /// API keys
    Key {
        #[command(subcommand)]
        command: KeyCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// The ConsentLog
    Consent {
        #[command(subcommand)]
        command: ConsentCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// The ledger in the bucket: what was deleted, redacted, erased or held
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// Spools: what machines may have that is not in storage
    Spools {
        #[command(subcommand)]
        command: SpoolsCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// Jobs: those that are not done, one of them, and trying one again
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// Storage tiers
    Tier {
        #[command(subcommand)]
        command: TierCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// Deletes from the bucket what no row tells of and two sweeps a day apart saw, and the parts
    /// of uploads that nobody ended; a worker does so daily
    Sweep {
        #[command(flatten)]
        sweep: SweepFlags,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// Tenants
    Tenant {
        #[command(subcommand)]
        command: TenantCommand,
        #[command(flatten)]
        base: Base,
        #[command(flatten)]
        stores: Stores,
    },
    /// The decoder's child process; started by a worker, not by hand
    #[command(hide = true)]
    Decoder {
        /// Handed over as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// The settings of a command that is everything in one place.
#[derive(Args, Debug, Clone)]
pub struct StandaloneFlags {
    #[command(flatten)]
    pub base: Base,
    #[command(flatten)]
    pub front: Front,
    #[command(flatten)]
    pub stores: Stores,
    #[command(flatten)]
    pub media: Media,
}

#[derive(Args, Debug, Clone)]
pub struct OpenapiFlags {
    /// Write it there instead
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The AsyncAPI document of the WebSocket instead
    #[arg(long)]
    pub signaling: bool,
}

#[derive(Args, Debug, Clone)]
pub struct DemoFlags {
    /// The meeting to play: planning, or a folder with meeting.json and NAME.opus; its last voice
    /// declines
    #[arg(long, default_value = "planning")]
    pub scene: String,
    /// End when the play has ended, also with a terminal attached
    #[arg(long)]
    pub once: bool,
}

/// Declares a group of settings: flags, all optional, and how one group yields to another.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Args, Debug, Clone, Default)]
        pub struct $name {
            $($(#[$meta])* #[arg(global = true)] pub $field: Option<$type>,)*
        }

        impl $name {
            /// What is set here, else what is set there.
            pub(super) fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }
        }
    };
}

group! {
    /// For every command.
    Base {
        /// TOML file with settings
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Directory for all that is kept [default: hansard in the user's data home]
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// What is logged, as for RUST_LOG
        #[arg(long, value_name = "FILTER")]
        log: String,
        /// How it is logged [default: text]
        #[arg(long, value_name = "FORMAT")]
        log_format: LogFormat,
        /// Metrics, health, version [default: 127.0.0.1:9090, of `worker` 127.0.0.1:9091]
        #[arg(long, value_name = "IP:PORT")]
        ops_listen: SocketAddr,
        /// How long an orderly end may take [default: 60]
        #[arg(long, value_name = "N")]
        grace_seconds: u64,
    }
}

group! {
    /// For those who answer clients.
    Front {
        /// REST, signaling, web page [default: 127.0.0.1:8080]
        #[arg(long, value_name = "IP:PORT")]
        listen: SocketAddr,
        /// How clients reach it [default: http:// and listen]
        #[arg(long, value_name = "URL")]
        public_url: String,
        /// Pages elsewhere that may use it, comma-separated origins; * for all
        #[arg(long, value_name = "URL,…", value_delimiter = ',')]
        origins: Vec<String>,
        /// Networks of proxies in front, whose X-Forwarded-For says who asks, comma-separated
        /// [default: none]
        #[arg(long, value_name = "NET,…", value_delimiter = ',', value_parser = network)]
        trusted_proxies: Vec<String>,
        /// Connections from one address at once, sockets in a meeting apart; 0 for any number
        /// [default: 4096]
        #[arg(long, value_name = "N")]
        connections_per_address: usize,
        /// Requests a second from one address, 20 times as many at once; 0 for any number [default:
        /// 500]
        #[arg(long, value_name = "N")]
        requests_per_address: u32,
        /// Requests a second with one credential, likewise; participants' own tokens a tenth
        /// [default: 500]
        #[arg(long, value_name = "N")]
        requests_per_credential: u32,
        /// STUN and TURN servers that browsers are told, comma-separated (stun:…, turn:…, turns:…);
        /// for TURN the secret that is shared with it, only by HANSARD_TURN_SECRET or
        /// HANSARD_TURN_SECRET_FILE [default: none]
        #[arg(long, value_name = "URL,…", value_delimiter = ',')]
        ice_urls: Vec<String>,
    }
}

group! {
    /// Where things are kept and how processes speak.
    Stores {
        /// Postgres [default: a private one]; also DATABASE_URL, and with a password in it better
        /// that or DATABASE_URL_FILE
        #[arg(long, value_name = "URL", hide_env_values = true)]
        database_url: String,
        /// Connections to Postgres, at most, per role [default: 16]
        #[arg(long, value_name = "N")]
        database_connections: NonZeroU16,
        /// RabbitMQ [default: none, all in one process]; also AMQP_URL, and with a password in it
        /// better that or AMQP_URL_FILE
        #[arg(long, value_name = "URL")]
        amqp_url: String,
        /// S3 [default: one brought along]; also S3_ENDPOINT
        #[arg(long, value_name = "URL")]
        s3_endpoint: String,
        /// S3 as browsers reach it [default: S3_ENDPOINT; where S3 is brought along, files are
        /// served below public-url]; also S3_PUBLIC_ENDPOINT
        #[arg(long, value_name = "URL")]
        s3_public_endpoint: String,
        /// [default: hansard]; also S3_BUCKET
        #[arg(long, value_name = "NAME")]
        s3_bucket: String,
        /// [default: us-east-1]; also S3_REGION
        #[arg(long, value_name = "NAME")]
        s3_region: String,
        /// Also S3_ACCESS_KEY_ID; its secret only by S3_SECRET_ACCESS_KEY or
        /// HANSARD_S3_SECRET_ACCESS_KEY_FILE
        #[arg(long, value_name = "ID")]
        s3_access_key_id: String,
        /// Whether S3 is sent SHA-256 checksums; off: what is stored is read again [default: on];
        /// also S3_CHECKSUMS
        #[arg(long, value_name = "on|off", hide_possible_values = true)]
        s3_checksums: Switch,
        /// Where the bucket stands in S3's addresses [default: path]; also S3_ADDRESSING
        #[arg(long, value_name = "path|host", hide_possible_values = true)]
        s3_addressing: Addressing,
        /// The storage class of fresh recordings; those of the tiers that follow save money as
        /// recordings age, and tiers of one class differ in name only [default: STANDARD]
        #[arg(long, value_name = "CLASS")]
        s3_class_hot: String,
        /// [default: STANDARD_IA]
        #[arg(long, value_name = "CLASS")]
        s3_class_warm: String,
        /// [default: GLACIER_IR]
        #[arg(long, value_name = "CLASS")]
        s3_class_cold: String,
        /// [default: DEEP_ARCHIVE]
        #[arg(long, value_name = "CLASS")]
        s3_class_archive: String,
        /// What storage classes cost, so that nothing moves that costs more than it saves: a TOML
        /// file with a table per class [default: Amazon's prices in us-east-1]
        #[arg(long, value_name = "FILE")]
        tier_prices: PathBuf,
        /// Larger objects are copied in parts [default: 5368709120]
        #[arg(long, value_name = "BYTES")]
        s3_copy_max: NonZeroU64,
        /// Where the S3 server brought along listens [default: 127.0.0.1:8333]
        #[arg(long, value_name = "IP:PORT")]
        s3_listen: SocketAddr,
        /// How long the S3 server brought along takes to restore from its archive [default: 0]
        #[arg(long, value_name = "N")]
        s3_restore_seconds: u32,
    }
}

group! {
    /// For those who receive media and do jobs.
    Media {
        /// The address that media is received on [default: 127.0.0.1]
        #[arg(long, value_name = "IP")]
        rtp_bind: IpAddr,
        /// The addresses that clients are told, comma-separated: plain senders the first, browsers
        /// all [default: rtp-bind]
        #[arg(long, value_name = "IP,…", value_delimiter = ',')]
        rtp_public_ip: Vec<IpAddr>,
        /// UDP ports of browsers (WebRTC): the first free one is for all of them [default: any free
        /// one in `serve` and `demo`, none in `worker`]
        #[arg(long, value_name = "FIRST-LAST")]
        rtp_webrtc_ports: Ports,
        /// UDP ports, one per stream [default: 20000-20999]
        #[arg(long, value_name = "FIRST-LAST")]
        rtp_ports: Ports,
        /// Networks that may send without SRTP and from any address, comma-separated
        #[arg(long, value_name = "NET,…", value_delimiter = ',', value_parser = network)]
        rtp_allow: Vec<String>,
        /// The kinds of jobs to take; mix stands for join, transcript, remux and peaks,
        /// tier for restore, too
        /// [default: capture,join,mix,transcript,remux,peaks,recover,tier,restore,clean]
        #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
        queues: Vec<JobKind>,
        /// How much segments may take while storage is away: a share of what is free, or bytes
        /// [default: 80%]
        #[arg(long, value_name = "N%|BYTES")]
        spool_max: Quota,
        /// Live meetings at once [default: as `models bench` measured, else from the cores and a
        /// short test]
        #[arg(long, value_name = "N")]
        capacity: NonZeroU16,
        /// Speech model by name; fetched first if it is not there [default: the last one fetched,
        /// else the bundled one]
        #[arg(long, value_name = "NAME")]
        model: String,
        /// Where official models lie, for a mirror of your own [default: Hugging Face]
        #[arg(long, value_name = "URL")]
        models_url: String,
        /// Whether speech is decoded on the GPU, in a build with one of cuda, vulkan and metal
        /// [default: off]
        #[arg(long, value_name = "on|off", hide_possible_values = true)]
        gpu: Switch,
    }
}

group! {
    /// Never flags of a command: others see a process's arguments.
    Secrets {
        #[arg(long)]
        secret: String,
        #[arg(long)]
        s3_secret_access_key: String,
        #[arg(long)]
        turn_secret: String,
    }
}

/// Every group: what the environment and the TOML file may set.
#[derive(Parser, Debug, Default)]
#[command(no_binary_name = true, disable_help_flag = true)]
pub(super) struct AllFlags {
    #[command(flatten)]
    pub base: Base,
    #[command(flatten)]
    pub front: Front,
    #[command(flatten)]
    pub stores: Stores,
    #[command(flatten)]
    pub media: Media,
    #[command(flatten)]
    pub secrets: Secrets,
}

impl AllFlags {
    pub fn or(self, other: Self) -> Self {
        Self {
            base: self.base.or(other.base),
            front: self.front.or(other.front),
            stores: self.stores.or(other.stores),
            media: self.media.or(other.media),
            secrets: self.secrets.or(other.secrets),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// `https://endpoint/bucket/key`, or `https://bucket.endpoint/key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Addressing {
    Path,
    Host,
}

/// `20000-20999`, or one port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ports(pub RangeInclusive<u16>);

impl FromStr for Ports {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| {
            text.trim()
                .parse::<u16>()
                .map_err(|_| format!("`{text}` is no port"))
        };
        let (first, last) = (port(first)?, port(last)?);
        if first == 0 || first > last {
            return Err(format!("there is no port in {first}-{last}"));
        }
        Ok(Self(first..=last))
    }
}

fn network(text: &str) -> Result<String, String> {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let address: IpAddr = address
        .parse()
        .map_err(|_| format!("`{text}` is no network like 10.0.0.0/8"))?;
    match length.parse::<u8>() {
        Ok(length) if length <= if address.is_ipv4() { 32 } else { 128 } => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` has no length between 0 and {}",
            if address.is_ipv4() { 32 } else { 128 }
        )),
    }
}
