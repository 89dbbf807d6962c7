//! Running meetings. [`meeting`] is the task that owns one, from its claim to its end; [`track`] is
//! the way of a packet; [`commit`] and [`upload`] are its ways out (rows and objects; [`uploader`]
//! carries the objects of all meetings); [`recover`] takes up what a dead process left.

pub mod commit;
mod entry;
pub mod fact;
pub mod head_watch;
pub mod journal;
mod media_watch;
pub mod meeting;
mod noting;
mod peer;
pub mod port;
mod read;
mod recorder_events;
pub mod recover;
pub mod spool_watch;
mod track;
mod unheard;
pub mod upload;
pub mod uploader;

use crate::{
    clock::Clock,
    health::{self, Reason},
    ingest::{Endpoint, Network, Ports},
    ledger::Ledger,
    media::live::disk::Disk,
    objects::Objects,
    queue::{JobKind, Queue},
    speech::Speech,
    store::{Store, job::Job as Row, seal::Seal},
    worker::{Claimed, Job, Outcome},
};
use futures_util::future::BoxFuture;
use head_watch::HeadWatch;
use parking_lot::Mutex;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use uploader::Uploader;
use uuid::Uuid;

/// Where media is received.
#[derive(Clone, Debug)]
pub struct Rtp {
    /// `rtp.publicIp`: what clients are told, and the name under which rows say whose a port is.
    pub public_ip: String,
    /// `rtp.ports` on `rtp.bind`.
    pub ports: Ports,
    /// `rtp.allow`.
    pub allow: Arc<[Network]>,
    /// Browsers' media. `None`: not taken here.
    pub webrtc: Option<Endpoint>,
}

/// What every meeting of the process uses.
pub struct Deps {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    pub ledger: Ledger,
    pub clock: Clock,
    pub seal: Arc<Seal>,
    pub speech: Speech,
    pub rtp: Rtp,
    /// `<data>/spool`.
    pub spool: PathBuf,
    /// Its name in the database.
    pub spool_id: Uuid,
    /// The same with its owners and its room.
    pub disk: Disk,
    pub uploader: Uploader,
    /// How often a file of the spool could not be read.
    pub unreadable: Mutex<BTreeMap<PathBuf, u32>>,
    pub head_watch: HeadWatch,
    /// A stop ends meetings (`serve`) rather than handing them over (`worker`).
    pub end_on_stop: bool,
}

/// The job that runs a meeting.
pub struct Capture {
    pub deps: Arc<Deps>,
    /// Meetings at a time.
    pub meetings_max: usize,
}

impl Job for Capture {
    fn kind(&self) -> JobKind {
        JobKind::Capture
    }

    fn room(&self, running: usize) -> usize {
        let step = self.deps.speech.step();
        // What runs goes on; whoever asks for more is told within 5 s.
        if step.takes_meetings() {
            health::restore(Reason::Overloaded);
        } else {
            health::degrade(
                Reason::Overloaded,
                "speech is minutes behind; no new meeting is taken",
            );
        }
        let room = step.room(self.meetings_max, running);
        metrics::gauge!("hansard_meetings_room").set(room as f64);
        room
    }

    fn run(self: Arc<Self>, claimed: Claimed) -> BoxFuture<'static, anyhow::Result<Outcome>> {
        Box::pin(meeting::run(self.deps.clone(), claimed))
    }

    /// Another worker may have it at once.
    fn failed(self: Arc<Self>, _: Row, error: anyhow::Error) -> BoxFuture<'static, Outcome> {
        Box::pin(async { Outcome::Failed(error) })
    }
}
