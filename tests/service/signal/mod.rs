//! Signaling on a real Postgres, over real sockets: the store it stands on, one process, two
//! processes, and what happens when something is away.

use crate::support;

mod broker;
mod commit;
mod consent;
mod document;
mod fuzz;
mod join;
mod lease;
mod live;
mod log;
mod onlooker;
mod port;
mod removal;
mod room;
mod said_twice;
mod since;
mod store;
mod trace;
mod world;
