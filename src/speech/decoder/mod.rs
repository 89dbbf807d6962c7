//! The parent's side of the decoder child process.
//!
//! One task owns the child and every job in flight. When the child dies, or a job is out for longer
//! than `hang_after`, the child is killed and started again, and what was in flight is sent again
//! **one at a time**: so the job that killed it dies alone the second time and is given up, and the
//! others lose nothing but time.

mod supervisor;

use super::{model::Model, protocol::Language};
use crate::domain::{schedule::Effort, time::Micros, transcript::Hypothesis};
use anyhow::{Context as _, bail};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use supervisor::Supervisor;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// Loading the largest model from a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// A job may take so many times what the longest utterance was measured to take: one pass more in
/// another language, one over a wide window and one over the full one, on cores that are busy with
/// other things.
const SLOWEST: u32 = 10;
/// Orders and answers waiting; the scheduler has at most `states` jobs out, the rest are aborts.
const WAITING_MAX: usize = 256;

#[derive(Clone, Debug)]
pub struct DecoderConfig {
    /// The program to start, ours: `hansard`.
    pub program: PathBuf,
    pub model: Model,
    pub model_path: PathBuf,
    /// Decodes at the same time, one thread each.
    pub states: usize,
    /// The longest that a job may be out before the child counts as hanging; more where the model
    /// is slow ([`SLOWEST`]).
    pub hang_after: Duration,
    /// On the first GPU.
    pub gpu: bool,
}

/// Audio to decode: 16 kHz mono, −1 to 1.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: u64,
    pub pcm: Arc<[f32]>,
    pub language: Language,
    /// The languages that it may be, ISO 639-1; empty: all that the model knows.
    pub among: Vec<String>,
    /// Words to expect.
    pub glossary: Option<String>,
    /// What the same speaker said before.
    pub before: Option<String>,
    /// Into English.
    pub translate: bool,
    pub voiced: Micros,
    pub effort: Effort,
}

impl Job {
    /// Audio of which nothing is known, for one quick pass.
    pub fn new(id: u64, pcm: Arc<[f32]>, voiced: Micros) -> Self {
        Self {
            id,
            pcm,
            language: Language::Unknown,
            among: Vec::new(),
            glossary: None,
            before: None,
            translate: false,
            voiced,
            effort: Effort::Quick,
        }
    }
}

/// What a decode took.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Work {
    pub took: Micros,
    /// Of that the first pass's encoder.
    pub encoder: Micros,
    /// Tokens of text in the pass that was believed.
    pub tokens: u32,
    pub passes: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    Decoded {
        hypothesis: Hypothesis,
        work: Work,
    },
    Aborted,
    /// Given up after a second try, or refused by the decoder.
    Failed(String),
}

/// What one decode costs, as measured at start: `fixed + seconds × per_second`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Speed {
    pub fixed: Micros,
    pub per_second: Micros,
}

impl Speed {
    pub fn of(self, audio: Micros) -> Micros {
        Micros(self.fixed.0 + (self.per_second.0 as f64 * audio.0 as f64 / 1e6) as i64)
    }
}

/// For the operations address and for tests.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Status {
    /// The child's process id; none while it is being started.
    pub pid: Option<u32>,
    pub in_flight: usize,
    pub restarts: u32,
    pub multilingual: bool,
}

enum Order {
    Decode(Job),
    Abort(u64),
    /// How long a job may be out, now that the speed is known.
    HangAfter(Duration),
}

/// A handle; when the last is dropped the child ends.
#[derive(Clone, Debug)]
pub struct Decoder {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<Status>,
    speed: Speed,
}

impl Decoder {
    /// Starts the child, loads the model and measures its speed. The receiver gives each job's
    /// outcome exactly once.
    pub async fn start(
        settings: DecoderConfig,
    ) -> anyhow::Result<(Self, mpsc::Receiver<(u64, Outcome)>)> {
        let (orders, asked) = mpsc::channel(WAITING_MAX);
        let (answer, mut outcomes) = mpsc::channel(WAITING_MAX);
        let (tell, status) = watch::channel(Status::default());
        let (longest, hang_after) = (settings.model.longest(), settings.hang_after);
        let mut supervisor = Supervisor {
            settings,
            orders: asked,
            outcomes: answer,
            status: tell,
            flights: BTreeMap::new(),
            restarts: 0,
            failures: 0,
        };
        let first = supervisor.launch().await?;
        tokio::spawn(supervisor.run(first));
        let mut decoder = Self {
            orders,
            status,
            speed: Speed {
                fixed: Micros(0),
                per_second: Micros(0),
            },
        };
        decoder.speed = decoder.warm_up(&mut outcomes, longest).await?;
        let slowest = Duration::from_micros(decoder.speed.of(longest).0.unsigned_abs()) * SLOWEST;
        let _ = decoder
            .orders
            .send(Order::HangAfter(hang_after.max(slowest)))
            .await;
        Ok((decoder, outcomes))
    }

    pub fn speed(&self) -> Speed {
        self.speed
    }

    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// `false` when too many wait already (then it has no outcome), which a caller with at most
    /// `states` jobs out never sees.
    pub fn submit(&self, job: Job) -> bool {
        self.orders.try_send(Order::Decode(job)).is_ok()
    }

    /// Asks to stop a job early; it is answered all the same.
    pub fn abort(&self, job: u64) {
        let _ = self.orders.try_send(Order::Abort(job));
    }

    /// First decodes allocate and page in; then a short and a long one give the line through which
    /// costs are predicted.
    async fn warm_up(
        &self,
        outcomes: &mut mpsc::Receiver<(u64, Outcome)>,
        longest: Micros,
    ) -> anyhow::Result<Speed> {
        let longest = (longest.0 as f64 / 1e6).max(2.0);
        let mut took = Vec::new();
        for (n, seconds) in [1.0, 1.0, longest].into_iter().enumerate() {
            // Words come at about three tokens a second; noise gives one or none, so this measures
            // the encoder and `TOKEN_SHARE` below adds the rest.
            let pcm = noise((seconds * 16_000.0) as usize).into();
            let job = Job::new(u64::MAX - 1 - n as u64, pcm, Micros::from_secs(1));
            if !self.submit(job) {
                bail!("the decoder takes no work");
            }
            match timeout(READY_WITHIN, outcomes.recv())
                .await
                .context("the decoder did not answer its warm-up")?
            {
                Some((_, Outcome::Decoded { work, .. })) => {
                    took.push((seconds, work.took.0 as f64))
                }
                Some((_, Outcome::Failed(error))) => {
                    bail!("the decoder failed in its warm-up: {error}")
                }
                other => bail!("the decoder stopped in its warm-up: {other:?}"),
            }
        }
        let [_, (short, a), (long, b)] = took[..] else {
            bail!("the decoder did not answer its warm-up")
        };
        let slope = ((b - a) / (long - short)).max(0.0);
        const TOKEN_SHARE: f64 = 1.3;
        Ok(Speed {
            fixed: Micros((TOKEN_SHARE * (a - slope * short).max(1_000.0)) as i64),
            per_second: Micros((TOKEN_SHARE * slope) as i64),
        })
    }
}

/// Quiet noise, always the same.
fn noise(samples: usize) -> Vec<f32> {
    let mut seed = 0x2545_f491_u32;
    std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        (seed as f32 / u32::MAX as f32 - 0.5) * 0.02
    })
    .take(samples)
    .collect()
}
