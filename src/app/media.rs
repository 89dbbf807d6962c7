//! The media worker of a process: meetings, jobs, recovery.

use super::{Part, model, owner, services::Services, work_folder};
use crate::{
    capture::{
        self, Capture, Deps, Rtp, head_watch::HeadWatch, recover, spool_watch::watch,
        uploader::Uploader,
    },
    config::{self, Settings},
    domain::limits::PORT_QUIET,
    ingest::{Endpoint, Ports},
    jobs::{
        clean::Clean,
        delete::Delete,
        erase::Erase,
        files::{FILES_MAX, Files},
        join::Join,
        mix::Mix,
        peaks::Peaks,
        redact::Redact,
        remux::Remux,
        restore::Restore,
        retention,
        sweep::{self, Sweep},
        tier::{self, Move},
        transcript::Transcript,
    },
    media::live::disk::Disk,
    queue::JobKind,
    secret_file,
    speech::{
        Speech, SpeechConfig,
        measured::{self, Machine},
        model::Model,
    },
    store::{Store, StoreError, job, new_id, seal::Seal, translation},
    worker::{Job, Worker},
};
use anyhow::Context;
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};
use uuid::Uuid;

/// The kinds that are taken from a queue.
const TAKEN: [JobKind; 12] = [
    JobKind::Capture,
    JobKind::Join,
    JobKind::Mix,
    JobKind::Transcript,
    JobKind::Remux,
    JobKind::Peaks,
    JobKind::Tier,
    JobKind::Restore,
    JobKind::Clean,
    JobKind::Delete,
    JobKind::Redact,
    JobKind::Erase,
];

/// How often a worker notes its model.
const NOTE_EVERY: Duration = Duration::from_secs(translation::NOTED_FOR_S as u64 / 3);

/// A running worker: meetings on one side, jobs on the other, so that meetings can end while their
/// files are still made.
pub struct Media {
    pub model: Model,
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
    fn start(services: &Services, id: Uuid, dead: Vec<Uuid>, jobs: Vec<Arc<dyn Job>>) -> Self {
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
            jobs,
            drain: half.drain.clone(),
            stop: half.stop.clone(),
            tasks: half.tasks.clone(),
        };
        let (ledger, drain) = (services.ledger.clone(), half.drain.clone());
        half.tasks.spawn(async move {
            // What is made behind a meeting is made of what storage has; what was deleted there is
            // known first.
            let live = worker.jobs.iter().any(|job| job.kind() == JobKind::Capture);
            if live || drain.run_until_cancelled(ledger.current()).await.is_some() {
                worker.run().await;
            }
        });
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
        let (model, path) = model::provide(settings).await?;
        let model_name = model.name.clone();
        if model.bundled {
            warn!(
                "captions by the bundled test model, which knows some 650 words of synthetic speech; \
                 for real meetings: hansard models fetch base.en"
            );
        }
        let machine = Machine::here(settings.gpu);
        let measured = measured::meetings(&settings.data, &model, &machine);
        let config = SpeechConfig::new(model.clone(), path, settings.gpu)?;
        let speech = Speech::start(config)
            .await
            .context("starting the decoder")?;
        let translates = speech.translates();
        let (room, by) = match (settings.capacity, measured) {
            (Some(given), _) => (given, "the setting capacity"),
            (None, Some(0)) => {
                warn!(
                    model = model.name,
                    "this machine is too slow for live captions with this model; see hansard models bench"
                );
                (1, "hansard models bench")
            }
            (None, Some(measured)) => (measured, "hansard models bench"),
            (None, None) => {
                let estimate = u32::try_from(speech.capacity()).unwrap_or(u32::MAX);
                (estimate, "a short test; hansard models bench measures it")
            }
        };
        info!(meetings = room, by, "room for live meetings");
        let room = room as usize;
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
                public_ip: settings.rtp.public_ips[0].to_string(),
                ports,
                allow: allow.into(),
                webrtc: webrtc(&settings.rtp)?,
            },
            ledger: services.ledger.clone(),
            spool_id: spool_id(&settings.data),
            disk: Disk::new(spool.clone(), settings.spool_max),
            uploader: Uploader::new(services.objects.clone(), services.store.clone()),
            unreadable: parking_lot::Mutex::default(),
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
        let files = Files {
            store: services.store.clone(),
            queue: services.queue.clone(),
            objects: services.objects.clone(),
            work,
        };
        let taken = |wanted: &[JobKind]| -> Vec<Arc<dyn Job>> {
            settings
                .queues
                .iter()
                .filter(|kind| wanted.contains(kind))
                .filter_map(|kind| job_of(*kind, room, &deps, &files, settings))
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
        if settings.queues.contains(&JobKind::Tier) {
            tokio::spawn(tier::keep_planning(
                services.store.clone(),
                services.queue.clone(),
                services.clock.clone(),
                upkeep.clone(),
            ));
        }
        if settings.queues.contains(&JobKind::Delete) {
            tokio::spawn(retention::keep_expiring(
                services.ledger.clone(),
                services.store.clone(),
                services.queue.clone(),
                services.clock.clone(),
                upkeep.clone(),
            ));
        }
        if settings.queues.contains(&JobKind::Clean) {
            let sweep = Sweep {
                store: services.store.clone(),
                objects: services.objects.clone(),
                clock: services.clock.clone(),
            };
            let ledger = services.ledger.clone();
            tokio::spawn(sweep.keep_sweeping(sweep::LOOK, ledger, upkeep.clone()));
        }
        if settings.queues.contains(&JobKind::Capture) {
            let (store, stop, dead) = (services.store.clone(), upkeep.clone(), dead.clone());
            note_model(&store, meetings, &dead, &model_name, translates).await;
            tokio::spawn(async move {
                while stop.run_until_cancelled(sleep(NOTE_EVERY)).await.is_some() {
                    note_model(&store, meetings, &dead, &model_name, translates).await;
                }
            });
        }
        Ok(Self {
            model,
            meetings: Half::start(services, meetings, dead.clone(), taken(&[JobKind::Capture])),
            jobs: Half::start(services, jobs, dead, taken(&TAKEN[1..])),
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

/// The port of browsers' media, where one is wanted.
fn webrtc(rtp: &config::Rtp) -> anyhow::Result<Option<Endpoint>> {
    let Some(ports) = rtp.webrtc_ports.clone() else {
        return Ok(None);
    };
    let (first, last) = (*ports.start(), *ports.end());
    let mut found = ports.map(|port| Endpoint::bind(rtp.bind, port, &rtp.public_ips));
    // Several workers of a host share the range.
    let taken = |tried: &io::Result<Endpoint>| {
        tried
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    let endpoint = found
        .find(|tried| !taken(tried))
        .unwrap_or_else(|| Err(io::ErrorKind::AddrInUse.into()))
        .with_context(|| format!("rtp-webrtc-ports {first}-{last} on {}", rtp.bind))?;
    info!(port = endpoint.port(), "browsers send their media here");
    Ok(Some(endpoint))
}

/// Notes which model this worker runs, and that the workers before it on this folder run none, so
/// that an `api` knows what can be asked for.
async fn note_model(store: &Store, worker: Uuid, dead: &[Uuid], model: &str, translates: bool) {
    let noted = async {
        let mut tx = store.worker_tx().await?;
        translation::note_model(&mut tx, worker, model, translates).await?;
        translation::forget_models(&mut tx, dead).await?;
        Ok::<_, StoreError>(tx.commit().await?)
    };
    if let Err(error) = noted.await {
        debug!(%error, "the worker's model could not be noted; the next time comes");
    }
}

/// Whether no meeting's files wait to be made, nor its missing words; `None` when the database
/// cannot say.
async fn made(store: &Store) -> Option<bool> {
    let mut tx = store.worker_tx().await.ok()?;
    let unmade = job::unmade(&mut tx).await.ok()?;
    tx.commit().await.ok()?;
    Some(unmade == 0)
}

/// The name of this data folder's spool in the database: made once, and kept beside it.
fn spool_id(data: &Path) -> Uuid {
    let path = data.join("spool-id");
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(id) = text.trim().parse()
    {
        return id;
    }
    let id = new_id();
    if let Err(error) = secret_file::write(&path, id.to_string().as_bytes()) {
        // A disk that is full holds nobody up: the next start has another name.
        warn!(%error, "{} cannot be written", path.display());
    }
    id
}

/// Mixes rendered at a time: each takes a core for seconds, and half of them are left to what is
/// live.
fn renderings() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, FILES_MAX))
}

fn job_of(
    kind: JobKind,
    meetings_max: usize,
    deps: &Arc<Deps>,
    files: &Files,
    settings: &Settings,
) -> Option<Arc<dyn Job>> {
    match kind {
        JobKind::Capture => Some(Arc::new(Capture {
            deps: deps.clone(),
            meetings_max,
        })),
        JobKind::Join => Some(Arc::new(Join {
            files: files.clone(),
        })),
        JobKind::Transcript => Some(Arc::new(Transcript {
            files: files.clone(),
            speech: deps.speech.clone(),
            data: settings.data.clone(),
            gpu: settings.gpu,
            filling: Semaphore::new(FILES_MAX),
            refining: Semaphore::new(1),
        })),
        JobKind::Mix => Some(Arc::new(Mix {
            files: files.clone(),
            rendering: Arc::new(Semaphore::new(renderings())),
        })),
        JobKind::Remux => Some(Arc::new(Remux {
            ledger: deps.ledger.clone(),
            files: files.clone(),
        })),
        JobKind::Peaks => Some(Arc::new(Peaks {
            files: files.clone(),
        })),
        JobKind::Clean => Some(Arc::new(Clean {
            ledger: deps.ledger.clone(),
            store: deps.store.clone(),
            objects: deps.objects.clone(),
        })),
        JobKind::Erase => Some(Arc::new(Erase {
            ledger: deps.ledger.clone(),
            store: deps.store.clone(),
            queue: deps.queue.clone(),
        })),
        JobKind::Redact => Some(Arc::new(Redact {
            ledger: deps.ledger.clone(),
            store: deps.store.clone(),
            queue: deps.queue.clone(),
            objects: deps.objects.clone(),
            seal: deps.seal.clone(),
        })),
        JobKind::Delete => Some(Arc::new(Delete {
            ledger: deps.ledger.clone(),
            store: deps.store.clone(),
            objects: deps.objects.clone(),
        })),
        JobKind::Tier => Some(Arc::new(Move::new(
            deps.store.clone(),
            deps.objects.clone(),
            deps.clock.clone(),
            settings.tariff.clone(),
        ))),
        JobKind::Restore => Some(Arc::new(Restore {
            store: deps.store.clone(),
            objects: deps.objects.clone(),
            clock: deps.clock.clone(),
        })),
        // The spool is swept without jobs.
        JobKind::Recover => None,
    }
}
