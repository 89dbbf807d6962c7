//! The media worker of a process: meetings, jobs, recovery.

use super::{Part, owner, services::Services, work_folder};
use crate::{
    capture::{
        self, Deps, Rtp, head_watch::HeadWatch, meeting, recover, spool_watch::watch,
        uploader::Uploader,
    },
    config::Settings,
    domain::limits::PORT_QUIET,
    health::{self, Reason},
    ingest::Ports,
    jobs::{clean, mix::Mixer, words::Words},
    media::live::disk::Disk,
    queue::JobKind,
    speech::{self, Speech, model::Registry},
    store::{Store, job, new_id, seal::Seal},
    worker::{Kind, Worker},
};
use anyhow::Context;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use uuid::Uuid;

/// Files of so many meetings are made at a time: much of it is waiting for storage.
const MIXES: usize = 4;

/// The kinds that are taken from a queue.
const TAKEN: [JobKind; 3] = [JobKind::Capture, JobKind::Mix, JobKind::Clean];

/// A running worker: meetings on one side, jobs on the other, so that meetings can end while their
/// files are still made.
pub struct Media {
    meetings: Half,
    jobs: Half,
    upkeep: CancellationToken,
}

struct Half {
    drain: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Half {
    fn start(services: &Services, id: Uuid, dead: Vec<Uuid>, kinds: Vec<Kind>) -> Self {
        let half = Self {
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let worker = Worker {
            store: services.store.clone(),
            queue: services.queue.clone(),
            id,
            dead,
            kinds,
            drain: half.drain.clone(),
            stop: half.stop.clone(),
            tasks: half.tasks.clone(),
        };
        half.tasks.spawn(worker.run());
        half
    }

    /// Claims nothing more, tells what runs to stop, and waits for it.
    async fn end(&self) {
        self.drain.cancel();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Media {
    pub async fn start(
        settings: &Settings,
        services: &Services,
        part: Part,
    ) -> anyhow::Result<Self> {
        let registry = Registry::new(&settings.data)?;
        let name = settings
            .model
            .clone()
            .unwrap_or_else(|| registry.default_name());
        let (model, path) = registry.find(&name)?;
        if model.bundled {
            warn!(
                "captions by the bundled test model, which knows some 650 words of synthetic speech; \
                 for real meetings: hansard models fetch base.en"
            );
        }
        let speech = Speech::start(speech::SpeechConfig::new(model, path)?)
            .await
            .context("starting the decoder")?;
        let room = settings
            .capacity
            .map_or_else(|| speech.capacity(), |given| given as usize);
        info!(meetings = room, "room for live meetings");
        let spool = settings.data.join("spool");
        tokio::fs::create_dir_all(&spool)
            .await
            .context("the spool")?;
        let allow = settings
            .rtp
            .allow
            .iter()
            .map(|network| {
                network
                    .parse()
                    .map_err(|_| anyhow::anyhow!("rtp-allow: {network:?} is no network"))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let quiet = Duration::from_micros(PORT_QUIET.0.unsigned_abs());
        let (ports, rested) = Ports::new(settings.rtp.bind, settings.rtp.ports.clone(), quiet);
        let deps = Arc::new(Deps {
            store: services.store.clone(),
            queue: services.queue.clone(),
            objects: services.objects.clone(),
            clock: services.clock.clone(),
            seal: Arc::new(Seal::new(services.secret.as_bytes())?),
            speech,
            rtp: Rtp {
                public_ip: settings.rtp.public_ip.to_string(),
                ports,
                allow: allow.into(),
            },
            disk: Disk::new(spool.clone(), settings.spool_max),
            uploader: Uploader::new(services.objects.clone()),
            unreadable: std::sync::Mutex::default(),
            spool,
            head_watch: HeadWatch::default(),
            end_on_stop: part == Part::Serve,
        });
        let upkeep = CancellationToken::new();
        tokio::spawn(deps.head_watch.clone().run(
            deps.store.clone(),
            deps.queue.clone(),
            upkeep.clone(),
        ));
        tokio::spawn(capture::port::run(
            deps.store.clone(),
            deps.rtp.clone(),
            rested,
            upkeep.clone(),
        ));
        tokio::spawn(recover::run(deps.clone(), upkeep.clone()));
        tokio::spawn(watch(deps.clone(), upkeep.clone()));

        // Half-made files of a process that was killed. The folder is this process's alone.
        let work = work_folder(settings);
        let _ = tokio::fs::remove_dir_all(&work).await;
        let mixer = Arc::new(Mixer {
            store: services.store.clone(),
            queue: services.queue.clone(),
            objects: services.objects.clone(),
            words: Words {
                store: services.store.clone(),
                queue: services.queue.clone(),
                speech: deps.speech.clone(),
                replay: recover::replayed,
                settings: capture::settings::spoken,
            },
            work,
            replay: recover::replayed,
            rendering: Arc::new(Semaphore::new(renderings())),
        });
        let kinds = |wanted: &[JobKind]| -> Vec<Kind> {
            settings
                .queues
                .iter()
                .filter(|kind| wanted.contains(kind))
                .filter_map(|kind| kind_of(*kind, room, &deps, &mixer))
                .collect()
        };
        let nothing: Vec<String> = settings
            .queues
            .iter()
            .filter(|kind| !TAKEN.contains(kind))
            .map(ToString::to_string)
            .collect();
        if nothing.len() == settings.queues.len() {
            anyhow::bail!(
                "--queues {} leaves nothing to do: those are not taken from a queue; name capture, mix or clean",
                nothing.join(",")
            );
        }
        if settings.queues.len() < JobKind::ALL.len() && !nothing.is_empty() {
            info!(
                kinds = nothing.join(","),
                "these kinds are not taken from a queue; naming them changes nothing"
            );
        }
        let owners = [new_id(), new_id()];
        let dead = owner::renew(&settings.data, &owners)?;
        let [meetings, jobs] = owners;
        Ok(Self {
            meetings: Half::start(services, meetings, dead.clone(), kinds(&[JobKind::Capture])),
            jobs: Half::start(services, jobs, dead, kinds(&[JobKind::Mix, JobKind::Clean])),
            upkeep,
        })
    }

    /// Ends or hands over the meetings, sees their files made (`serve`), then drains the jobs.
    pub async fn stop(self, store: &Store, part: Part) {
        self.meetings.end().await;
        if part == Part::Serve {
            // Bounded by the grace time, like everything here.
            while made(store).await == Some(false) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        self.jobs.end().await;
        self.upkeep.cancel();
    }
}

/// Whether no meeting's files wait to be made; `None` when the database cannot say.
async fn made(store: &Store) -> Option<bool> {
    let mut tx = store.worker_tx().await.ok()?;
    let open = job::open(&mut tx, &[JobKind::Mix.as_str()]).await.ok()?;
    tx.commit().await.ok()?;
    Some(open == 0)
}

/// Mixes rendered at a time: each takes a core for seconds, and half of them are left to what is
/// live.
fn renderings() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MIXES))
}

fn kind_of(kind: JobKind, room: usize, deps: &Arc<Deps>, mixer: &Arc<Mixer>) -> Option<Kind> {
    match kind {
        JobKind::Capture => {
            let deps = deps.clone();
            let speech = deps.speech.clone();
            let room = Arc::new(move |running| {
                let step = speech.step();
                // What runs goes on; whoever asks for more is told within 5 s.
                if step.takes_meetings() {
                    health::restore(Reason::Overloaded);
                } else {
                    health::degrade(
                        Reason::Overloaded,
                        "speech is minutes behind; no new meeting is taken",
                    );
                }
                let room = step.room(room, running);
                metrics::gauge!("hansard_meetings_room").set(room as f64);
                room
            });
            Some(Kind {
                kind,
                room,
                run: Arc::new(move |claimed| Box::pin(meeting::run(deps.clone(), claimed))),
            })
        }
        JobKind::Mix => {
            let mixer = mixer.clone();
            Some(Kind {
                kind,
                room: at_most(MIXES),
                run: Arc::new(move |claimed| Box::pin(mixer.clone().run(claimed))),
            })
        }
        JobKind::Clean => {
            let (store, objects) = (deps.store.clone(), deps.objects.clone());
            Some(Kind {
                kind,
                room: at_most(1),
                run: Arc::new(move |claimed| {
                    Box::pin(clean::run(store.clone(), objects.clone(), claimed))
                }),
            })
        }
        // The spool is swept without jobs; tiers come with a later issue.
        JobKind::Recover | JobKind::Tier => None,
    }
}

/// Room for so many at a time.
fn at_most(most: usize) -> Arc<dyn Fn(usize) -> usize + Send + Sync> {
    Arc::new(move |running| most.saturating_sub(running))
}
