//! The parent's side of the decoder child process.
//!
//! One task owns the child and every job in flight. When the child dies, or a job is out for longer
//! than `hang_after`, the child is killed and started again, and what was in flight is sent again
//! **one at a time**: so the job that killed it dies alone the second time and is given up, and the
//! others lose nothing but time.

use super::protocol::{self, Ask, Tell};
use crate::domain::{time::Micros, transcript::Hypothesis};
use anyhow::{Context as _, anyhow, bail};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};

/// Loading the largest model from a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// A job that found no child for so long is given up.
const UNSENT_MAX: Duration = Duration::from_secs(120);
/// Between two starts of a child that dies at once.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A job may take so many times what the longest utterance was measured to take: two passes, one of
/// them over the full window, on cores that are busy with other things.
const SLOWEST: u32 = 10;
/// Orders and answers waiting; the scheduler has at most `states` jobs out, the rest are aborts.
const WAITING_MAX: usize = 256;

#[derive(Clone, Debug)]
pub struct DecoderConfig {
    /// The program to start, ours: `hansard`.
    pub program: PathBuf,
    pub model: PathBuf,
    /// Decodes at the same time, one thread each.
    pub states: usize,
    /// The longest that a job may be out before the child counts as hanging; more where the model
    /// is slow ([`SLOWEST`]).
    pub hang_after: Duration,
    /// See `models.toml`.
    pub ctx_floor: u32,
    pub ctx_margin: u32,
    pub longest: Micros,
}

/// Audio to decode: 16 kHz mono, −1 to 1.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: u64,
    pub pcm: Arc<[f32]>,
    /// ISO 639-1; `None` lets a multilingual model find out.
    pub language: Option<String>,
    pub prompt: Option<String>,
    pub voiced: Micros,
    /// One more pass when the first is suspicious.
    pub thorough: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    Decoded {
        hypothesis: Hypothesis,
        took: Micros,
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
        let (longest, hang_after) = (settings.longest, settings.hang_after);
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
            let job = Job {
                id: u64::MAX - 1 - n as u64,
                pcm: noise((seconds * 16_000.0) as usize).into(),
                language: Some("en".into()),
                prompt: None,
                voiced: Micros::from_secs(1),
                thorough: false,
            };
            if !self.submit(job) {
                bail!("the decoder takes no work");
            }
            match timeout(READY_WITHIN, outcomes.recv())
                .await
                .context("the decoder did not answer its warm-up")?
            {
                Some((_, Outcome::Decoded { took: us, .. })) => took.push((seconds, us.0 as f64)),
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

struct Flight {
    job: Job,
    asked: Instant,
    sent: Option<Instant>,
    /// It was out when the child died; goes alone the second time.
    suspect: bool,
    aborted: bool,
}

struct Running {
    process: Child,
    to: mpsc::Sender<Vec<u8>>,
    from: mpsc::Receiver<Tell>,
}

struct Supervisor {
    settings: DecoderConfig,
    orders: mpsc::Receiver<Order>,
    outcomes: mpsc::Sender<(u64, Outcome)>,
    status: watch::Sender<Status>,
    flights: BTreeMap<u64, Flight>,
    restarts: u32,
    /// Starts that failed in a row.
    failures: u32,
}

impl Supervisor {
    async fn run(mut self, first: Running) {
        let mut running = Some(first);
        let mut start_at = Instant::now();
        loop {
            self.report(running.as_ref());
            let wake = self.wake(running.is_some(), start_at);
            let from = async {
                match &mut running {
                    Some(child) => child.from.recv().await,
                    None => std::future::pending().await,
                }
            };
            let died = tokio::select! {
                order = self.orders.recv() => match order {
                    None => break,
                    Some(order) => { self.take(order, running.as_ref()).await; None }
                },
                tell = from => match tell {
                    Some(tell) => { self.answer(tell).await; None }
                    None => Some("it died"),
                },
                () = sleep_until(wake.into()) => {
                    self.give_up_unsent().await;
                    self.hangs().then_some("it hangs")
                }
            };
            if let Some(why) = died
                && let Some(child) = running.take()
            {
                let ran = bury(child).await;
                tracing::warn!(
                    why,
                    ran,
                    in_flight = self.flights.len(),
                    "the speech decoder is started again"
                );
                metrics::counter!("hansard_speech_decoder_restarts_total", "why" => why)
                    .increment(1);
                self.restarts += 1;
                self.suspect().await;
                start_at = Instant::now();
            }
            if running.is_none() && Instant::now() >= start_at {
                self.report(None);
                match self.launch().await {
                    Ok(child) => (running, self.failures) = (Some(child), 0),
                    Err(error) => {
                        self.failures += 1;
                        tracing::error!(%error, "the speech decoder does not start");
                        start_at = Instant::now()
                            + BACKOFF_MAX.min(Duration::from_millis(100 << self.failures.min(6)));
                    }
                }
            }
            if let Some(child) = &running {
                self.send(child).await;
            }
        }
        if let Some(Running {
            mut process,
            to,
            from,
        }) = running
        {
            // Closing its stdin ends it.
            drop((to, from));
            if timeout(Duration::from_secs(2), process.wait())
                .await
                .is_err()
            {
                let _ = process.kill().await;
            }
        }
    }

    fn report(&self, running: Option<&Running>) {
        self.status.send_modify(|status| {
            status.pid = running.and_then(|child| child.process.id());
            status.in_flight = self
                .flights
                .values()
                .filter(|flight| flight.sent.is_some())
                .count();
            status.restarts = self.restarts;
        });
    }

    /// Starts a child and waits until its model is loaded.
    async fn launch(&mut self) -> anyhow::Result<Running> {
        let settings = &self.settings;
        let mut process = Command::new(&settings.program)
            .arg("decoder")
            .arg("--model")
            .arg(&settings.model)
            .arg("--states")
            .arg(settings.states.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Not in the terminal's group: Ctrl-C is for the parent, which still has last words to
            // decode.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", settings.program.display()))?;
        let mut stdin = process.stdin.take().context("no pipe to the decoder")?;
        let mut stdout = process.stdout.take().context("no pipe from the decoder")?;
        let (to, mut messages) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
        // Writing has a task of its own: a hanging child leaves the pipe full, and must still be
        // noticed.
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if stdin.write_all(&message).await.is_err() || stdin.flush().await.is_err() {
                    return;
                }
            }
        });
        let (tell, mut from) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            loop {
                match protocol::read_tell(&mut stdout).await {
                    Ok(Some(message)) => {
                        if tell.send(message).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(%error, "the speech decoder's answer is unreadable");
                        return;
                    }
                }
            }
        });
        match timeout(READY_WITHIN, from.recv()).await {
            Ok(Some(Tell::Ready { multilingual })) => {
                self.status
                    .send_modify(|status| status.multilingual = multilingual);
                Ok(Running { process, to, from })
            }
            Ok(Some(Tell::Unusable { error })) => Err(anyhow!(error)),
            Ok(Some(_)) => Err(anyhow!(
                "the speech decoder speaks another language; is it of this version?"
            )),
            Ok(None) => Err(anyhow!(
                "the speech decoder ended before its model was loaded"
            )),
            Err(_) => Err(anyhow!(
                "the speech decoder did not load its model in {} s",
                READY_WITHIN.as_secs()
            )),
        }
    }

    async fn take(&mut self, order: Order, running: Option<&Running>) {
        match order {
            Order::Decode(job) => {
                let id = job.id;
                let flight = Flight {
                    job,
                    asked: Instant::now(),
                    sent: None,
                    suspect: false,
                    aborted: false,
                };
                self.flights.insert(id, flight);
            }
            Order::Abort(id) => match self.flights.get_mut(&id) {
                Some(flight) if flight.sent.is_some() => {
                    flight.aborted = true;
                    if let Some(child) = running {
                        let _ = child
                            .to
                            .try_send(protocol::ask(&Ask::Abort { job: id }, &[]));
                    }
                }
                Some(_) => self.done(id, Outcome::Aborted).await,
                None => {}
            },
            Order::HangAfter(hang_after) => self.settings.hang_after = hang_after,
        }
    }

    /// Sends what may go: everything, or after a death one suspect at a time.
    async fn send(&mut self, child: &Running) {
        let out = self
            .flights
            .values()
            .filter(|flight| flight.sent.is_some())
            .count();
        let suspects = self.flights.values().any(|flight| flight.suspect);
        let room = match suspects {
            true => usize::from(out == 0),
            false => self.settings.states.saturating_sub(out),
        };
        let (floor, margin) = (self.settings.ctx_floor, self.settings.ctx_margin);
        let waiting = self
            .flights
            .values_mut()
            .filter(|flight| flight.sent.is_none() && flight.suspect == suspects);
        for flight in waiting.take(room) {
            let job = &flight.job;
            let ask = Ask::Decode(protocol::Decode {
                job: job.id,
                language: job.language.clone(),
                prompt: job.prompt.clone(),
                voiced_ms: job.voiced.as_ms(),
                thorough: job.thorough,
                ctx_floor: floor,
                ctx_margin: margin,
            });
            if child.to.try_send(protocol::ask(&ask, &job.pcm)).is_ok() {
                flight.sent = Some(Instant::now());
            }
        }
    }

    async fn answer(&mut self, tell: Tell) {
        match tell {
            Tell::Done(done) => {
                let outcome = Outcome::Decoded {
                    hypothesis: Hypothesis::from(&done),
                    took: Micros(done.took_us as i64),
                };
                self.done(done.job, outcome).await;
            }
            Tell::Stopped { job, error: None } => self.done(job, Outcome::Aborted).await,
            Tell::Stopped {
                job,
                error: Some(error),
            } => self.done(job, Outcome::Failed(error)).await,
            Tell::Ready { .. } | Tell::Unusable { .. } => {}
        }
    }

    async fn done(&mut self, id: u64, outcome: Outcome) {
        if self.flights.remove(&id).is_some() {
            let _ = self.outcomes.send((id, outcome)).await;
        }
    }

    /// The child died: a job that was out alone for the second time did it.
    async fn suspect(&mut self) {
        let out: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, f)| f.sent.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in out {
            let Some(flight) = self.flights.get_mut(&id) else {
                continue;
            };
            if flight.aborted {
                self.done(id, Outcome::Aborted).await;
            } else if flight.suspect {
                self.done(id, Outcome::Failed("the decoder died on it twice".into()))
                    .await;
            } else {
                (flight.sent, flight.suspect) = (None, true);
            }
        }
    }

    fn hangs(&self) -> bool {
        self.flights.values().any(|f| {
            f.sent
                .is_some_and(|sent| sent.elapsed() >= self.settings.hang_after)
        })
    }

    async fn give_up_unsent(&mut self) {
        let old: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, f)| f.sent.is_none() && f.asked.elapsed() >= UNSENT_MAX)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.done(id, Outcome::Failed("no decoder for too long".into()))
                .await;
        }
    }

    fn wake(&self, running: bool, start_at: Instant) -> Instant {
        let hang = self
            .flights
            .values()
            .filter_map(|f| f.sent)
            .min()
            .map(|sent| sent + self.settings.hang_after);
        let unsent = self
            .flights
            .values()
            .filter(|f| f.sent.is_none())
            .map(|f| f.asked + UNSENT_MAX)
            .min();
        let start = (!running).then_some(start_at);
        let far = Instant::now() + Duration::from_secs(3_600);
        [hang, unsent, start]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
            .min(far)
    }
}

/// Makes sure that it is gone; says how it ended.
async fn bury(mut child: Running) -> String {
    let _ = child.process.start_kill();
    match timeout(Duration::from_secs(5), child.process.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        _ => "unknown".into(),
    }
}
