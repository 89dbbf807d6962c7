//! The servers that are measured: real processes of this build, gone at the end.

pub use crate::support::place::files;
use crate::support::{Scratch, rabbitmq::RabbitMq, s3::Bucket, server::Server};
use crate::voices::Material;
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use hansard::{
    clock::Clock,
    embed::postgres::{Durability, Postgres},
};
use hansard_client::rest::Client;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A setting for tests only; nothing outside loopback sees it.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// `hansard serve` with everything it brings along.
pub struct Alone {
    pub server: Server,
    _data: Scratch,
}

impl Alone {
    pub async fn start(arguments: &[&str]) -> Result<Self> {
        let data = Scratch::new();
        let server = serve(data.path(), arguments)?;
        Ok(Self {
            server,
            _data: data,
        })
    }

    /// With a model of the operator's.
    pub async fn with_model(material: &Material, model: &str, arguments: &[&str]) -> Result<Self> {
        let data = Scratch::new();
        material.bring(data.path())?;
        let server = serve(data.path(), &[&["--model", model], arguments].concat())?;
        Ok(Self {
            server,
            _data: data,
        })
    }

    pub fn client(&self) -> Client {
        self.server.client()
    }
}

/// Starts `serve` on a folder; its log goes there, too.
pub fn serve(data: &Path, arguments: &[&str]) -> Result<Server> {
    let mut all = vec!["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
    all.extend(arguments);
    start("serve", data, &all, &[])
}

fn start(
    role: &str,
    data: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<Server> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(data.join("server.log"))?;
    Ok(tokio::task::block_in_place(|| {
        Server::start_logging(role, data, arguments, environment, log.into())
    }))
}

/// Several processes on Postgres, RabbitMQ and S3 of their own. Ends in the order of the fields.
pub struct Apart {
    pub apis: Vec<Server>,
    _workers: Vec<Server>,
    pub rabbit: RabbitMq,
    pub postgres: Postgres,
    pub bucket: Bucket,
    pub data: Scratch,
    key: String,
}

impl Apart {
    pub async fn start(apis: usize, workers: usize) -> Result<Self> {
        let data = Scratch::new();
        let folder = |name: &str| -> Result<PathBuf> {
            let folder = data.path().join(name);
            fs::create_dir(&folder)?;
            Ok(folder)
        };
        // As durable as the one that `serve` brings along, so that the two can be compared.
        let place = folder("postgres")?;
        let postgres = tokio::task::block_in_place(|| Postgres::start(&place, Durability::Real))?;
        postgres.create_own().await?;
        let (rabbit, bucket) = (RabbitMq::start().await, Bucket::start().await);
        let (url, amqp) = (postgres.own_url(), rabbit.url());
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("AMQP_URL", &amqp),
            ("S3_ENDPOINT", &bucket.settings.endpoint),
            ("S3_ACCESS_KEY_ID", &bucket.settings.access_key_id),
            ("S3_SECRET_ACCESS_KEY", &bucket.settings.secret_access_key),
            ("HANSARD_SECRET", SECRET),
        ];
        let tools = folder("tools")?;
        once(&["migrate"], &tools, &environment)?;
        let key = once(
            &["key", "create", "--tenant", "bench"],
            &tools,
            &environment,
        )?;
        let workers = (0..workers)
            .map(|n| {
                start(
                    "worker",
                    &folder(&format!("worker-{n}"))?,
                    &[],
                    &environment,
                )
            })
            .collect::<Result<_>>()?;
        let apis = (0..apis)
            .map(|n| {
                start(
                    "api",
                    &folder(&format!("api-{n}"))?,
                    &["--listen", "127.0.0.1:0"],
                    &environment,
                )
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            apis,
            _workers: workers,
            rabbit,
            postgres,
            bucket,
            data,
            key,
        })
    }

    /// One per `api`.
    pub fn clients(&self) -> Result<Vec<Client>> {
        self.apis
            .iter()
            .map(|api| Ok(Client::new(api.url(), &self.key)?))
            .collect()
    }
}

/// A command that ends by itself: the last line that it prints.
fn once(command: &[&str], data: &Path, environment: &[(&str, &str)]) -> Result<String> {
    let out = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(command)
        .args(["--log", "warn", "--data"])
        .arg(data)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        out.status.success(),
        "hansard {command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8_lossy(&out.stdout)
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .to_owned())
}

/// This process's clock as a meeting's; Postgres is on the same machine.
pub struct MeetingClock(hansard::clock::MeetingClock);

impl MeetingClock {
    pub async fn of(client: &Client, meeting: &str) -> Result<Self> {
        let start: DateTime<Utc> =
            serde_json::from_value(client.meeting(meeting).await?["startTime"].clone())
                .context("the meeting did not start")?;
        Ok(Self(Clock::default().meeting(start)))
    }

    pub fn ms(&self, at: Instant) -> f64 {
        self.0.at(at).0 as f64 / 1_000.0
    }
}

/// What the operations address tells: a line for each figure, with its labels.
pub async fn metrics(server: &Server) -> Result<String> {
    let base = if server.ops.starts_with("http") {
        server.ops.clone()
    } else {
        format!("http://{}", server.ops)
    };
    let answer = reqwest::get(format!("{base}/metrics")).await?;
    Ok(answer.text().await?)
}

/// One figure of the operations address; 0 before it was first set.
pub async fn metric(server: &Server, name: &str) -> Result<f64> {
    Ok(figures(&metrics(server).await?, name)
        .next()
        .map_or(0.0, |(_, figure)| figure))
}

/// The figures of one name, each with its labels.
pub fn figures<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, figure) = rest.rsplit_once(' ')?;
        let whole = labels.is_empty() || labels.starts_with('{');
        Some((labels, figure.parse().ok()?)).filter(|_| whole)
    })
}

/// Resident memory of a process in MiB; 0 when it is gone.
pub fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1_024.0
}

/// Processor time of a process so far, in seconds, with all its threads.
pub fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// The decoder that a process started.
pub fn decoder_of(pid: u32) -> Option<u32> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let all = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let all = all.collect::<Vec<_>>().join(" ") + &children;
    all.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .find(|child: &u32| {
            let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"decoder")
        })
}

/// Waits until a condition holds.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let asked = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(asked.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A meeting of which nothing is transcribed.
pub fn without_ai() -> Value {
    serde_json::json!({"aiEnabled": false})
}
