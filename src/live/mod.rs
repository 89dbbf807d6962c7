//! Running meetings. [`capture`] is the loop of one; [`track`] is the way of a packet; [`ledger`] and [`vault`] are its ways
//! out (rows and objects; [`porter`] carries the objects of all meetings), [`caption`] that of words; [`closing`] is how it ends; [`recover`] takes up what a dead process left.

mod asks;
mod caption;
pub mod capture;
mod closing;
mod door;
mod facts;
pub mod journal;
pub mod ledger;
mod lookout;
pub mod port;
pub mod porter;
mod recorded;
pub mod recover;
pub mod sentinel;
pub mod settings;
mod streams;
mod track;
mod unheard;
pub mod vault;
pub mod watch;

pub use closing::after as state_after;

use crate::{
    clock::Clock,
    ingest::{Network, Ports},
    media::disk::Disk,
    objects::Objects,
    queue::Queue,
    speech::Speech,
    store::{Store, seal::Seal},
};
use porter::Porter;
use sentinel::Sentinel;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

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
    pub porter: Porter,
    /// How often a file of the spool could not be read.
    pub unreadable: Mutex<BTreeMap<PathBuf, u32>>,
    pub sentinel: Sentinel,
    /// A stop ends meetings (`serve`) rather than handing them over (`worker`).
    pub end_on_stop: bool,
}
