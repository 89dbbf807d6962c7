//! Hansard: records meetings and transcribes them live, and keeps nothing of anybody who has not
//! agreed.
//!
//! # Reading order
//! [`config`], [`clock`] and [`health`], then the way of a packet: [`ingest`] → [`capture`] →
//! [`media`] and [`speech`] → [`objects`] and [`store`] → [`jobs`]; beside it [`api`], which speaks
//! with [`capture`] only through [`queue`]; what both do to a meeting is in [`command`]; [`app`]
//! starts and stops it all. The rules stand in the package `hansard_domain`, which does no IO.
//!
//! # Invariants
//! 1. `hansard_domain` does no IO and reads no clock.
//! 2. Media that has not passed the gate cannot be *named*: `media`'s file branch takes only
//!    `Admitted<Recording, _>`, `speech` only `Admitted<Transcription, _>`; the one constructor is
//!    `Gate::admit`, and every exit asks `Gate::still`.
//! 3. Media bytes never pass through a state machine; decisions do.
//! 4. Each piece of state has one owner; GStreamer callbacks only `try_send`.
//! 5. Every queue, wait and retry has a bound. Full means dropped and counted, spilled, or refused
//!    and said.
//! 6. The object is stored and verified before its row says so; the row commits before anybody is
//!    told. (A withdrawal is the one thing told first.)
//! 7. Any job may run twice, any process may die at any line.
//! 8. Wire types are not domain types.
//!
//! Direction:
//! `main → app → {api, capture, jobs} → ledger → {command, worker, published} → {ingest, media, speech, store, objects, queue} → domain`
//! (`tests/architecture` reads the `use` lines against it). The package `hansard_client`, for the
//! demo, tests and benchmarks, depends on nothing of the server but `domain`'s reading of Opus
//! packets.

pub use hansard_domain as domain;

pub mod clock;
pub mod config;
pub mod descriptor;
pub mod health;
mod secret_file;

pub mod ingest;
pub mod media;
pub mod objects;
pub mod queue;
pub mod speech;
pub mod store;

pub mod command;
pub mod published;
pub mod worker;

pub mod ledger;

pub mod api;
pub mod capture;
pub mod jobs;

pub mod app;
pub mod doctor;
pub mod embed;
