//! Starts the child process, and again when it died or hangs, and keeps what is in flight.

use super::{DecoderConfig, Job, Order, Outcome, READY_WITHIN, Status, WAITING_MAX, Work};
use crate::{
    domain::{time::Micros, transcript::Hypothesis},
    speech::protocol::{self, Ask, Tell},
};
use anyhow::{Context as _, anyhow};
use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    sync::{mpsc, watch},
    time::{sleep_until, timeout},
};

/// A job that found no child for so long is given up.
const UNSENT_MAX: Duration = Duration::from_secs(120);
/// Between two starts of a child that dies at once.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

pub(super) struct Flight {
    job: Job,
    asked: Instant,
    sent: Option<Instant>,
    /// It was out when the child died; goes alone the second time.
    suspect: bool,
    aborted: bool,
}

pub(super) struct Running {
    process: Child,
    to: mpsc::Sender<Vec<u8>>,
    from: mpsc::Receiver<Tell>,
}

pub(super) struct Supervisor {
    pub settings: DecoderConfig,
    pub orders: mpsc::Receiver<Order>,
    pub outcomes: mpsc::Sender<(u64, Outcome)>,
    pub status: watch::Sender<Status>,
    pub flights: BTreeMap<u64, Flight>,
    pub restarts: u32,
    /// Starts that failed in a row.
    pub failures: u32,
}

impl Supervisor {
    pub async fn run(mut self, first: Running) {
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
                let ran = reap(child).await;
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
    pub async fn launch(&mut self) -> anyhow::Result<Running> {
        let settings = &self.settings;
        let mut process = Command::new(&settings.program)
            .arg("decoder")
            .arg("--model")
            .arg(&settings.model_path)
            .arg("--states")
            .arg(settings.states.to_string())
            .args(settings.gpu.then_some("--gpu"))
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
        let waiting = self
            .flights
            .values_mut()
            .filter(|flight| flight.sent.is_none() && flight.suspect == suspects);
        for flight in waiting.take(room) {
            let job = &flight.job;
            let model = &self.settings.model;
            let ask = Ask::Decode(protocol::Decode {
                job: job.id,
                language: job.language.clone(),
                among: job.among.clone(),
                glossary: job.glossary.clone(),
                before: job.before.clone(),
                translate: job.translate,
                voiced_ms: job.voiced.as_ms(),
                effort: job.effort,
                ctx_floor: model.ctx_floor(job.effort),
                ctx_margin: model.audio_ctx_margin,
                beams: model.beams,
                time_stamps: model.time_stamps,
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
                    work: Work {
                        took: Micros(done.took_us as i64),
                        encoder: Micros(done.encode_us as i64),
                        tokens: done.tokens,
                        passes: done.passes,
                    },
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
async fn reap(mut child: Running) -> String {
    let _ = child.process.start_kill();
    match timeout(Duration::from_secs(5), child.process.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        _ => "unknown".into(),
    }
}
