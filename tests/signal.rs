//! Signaling on a real Postgres, over real sockets: the store it stands on, one process, two
//! processes, and what happens when something is away.

#[path = "support/mod.rs"]
mod support;

#[path = "signal/broker.rs"]
mod broker;
#[path = "signal/commit.rs"]
mod commit;
#[path = "signal/consent.rs"]
mod consent;
#[path = "signal/fuzz.rs"]
mod fuzz;
#[path = "signal/lease.rs"]
mod lease;
#[path = "signal/live.rs"]
mod live;
#[path = "signal/port.rs"]
mod port;
#[path = "signal/room.rs"]
mod room;
#[path = "signal/store.rs"]
mod store;
#[path = "signal/world.rs"]
mod world;
