//! Running meetings. [`meeting`] is the task that owns one, from its claim to its end; [`track`] is
//! the way of a packet; [`commit`] and [`upload`] are its ways out (rows and objects; [`uploader`]
//! carries the objects of all meetings); [`recover`] takes up what a dead process left.

mod admit;
pub mod commit;
mod entry;
pub mod fact;
pub mod head_watch;
pub mod journal;
mod media_watch;
pub mod meeting;
pub mod port;
mod read;
mod recorder_events;
pub mod recover;
pub mod settings;
pub mod spool_watch;
mod track;
mod unheard;
pub mod upload;
pub mod uploader;

use crate::{
    clock::Clock,
    ingest::{Network, Ports},
    media::live::disk::Disk,
    objects::Objects,
    queue::Queue,
    speech::Speech,
    store::{Store, seal::Seal},
};
use head_watch::HeadWatch;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use uploader::Uploader;

/// Where media is received.
#[derive(Clone, Debug)]
pub struct Rtp {
    /// `rtp.publicIp`: what clients are told, and the name under which rows say whose a port is.
    pub public_ip: String,
    /// `rtp.ports` on `rtp.bind`.
    pub ports: Ports,
    /// `rtp.allow`.
    pub allow: Arc<[Network]>,
}

/// What every meeting of the process uses.
pub struct Deps {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    pub clock: Clock,
    pub seal: Arc<Seal>,
    pub speech: Speech,
    pub rtp: Rtp,
    /// `<data>/spool`.
    pub spool: PathBuf,
    /// The same with its owners and its room.
    pub disk: Disk,
    pub uploader: Uploader,
    /// How often a file of the spool could not be read.
    pub unreadable: Mutex<BTreeMap<PathBuf, u32>>,
    pub head_watch: HeadWatch,
    /// A stop ends meetings (`serve`) rather than handing them over (`worker`).
    pub end_on_stop: bool,
}
