//! Trials of the running product from outside: real processes, real RTP, things that go wrong, and
//! files judged by content.

mod support;
#[path = "support/tone.rs"]
#[allow(dead_code, reason = "more than one test program uses it")]
mod tone;

#[path = "gate/room.rs"]
#[allow(dead_code, reason = "more than one test program uses it")]
mod room;
#[path = "gate/sound.rs"]
#[allow(dead_code, reason = "more than one test program uses it")]
mod sound;

#[path = "trials/api.rs"]
mod api;
#[path = "trials/clock.rs"]
mod clock;
#[path = "trials/consent.rs"]
mod consent;
#[path = "trials/disk.rs"]
mod disk;
#[path = "trials/ingest.rs"]
mod ingest;
#[path = "trials/jobs.rs"]
mod jobs;
#[path = "trials/lease.rs"]
mod lease;
#[path = "trials/limits.rs"]
mod limits;
#[path = "trials/postgres.rs"]
mod postgres;
#[path = "trials/removal.rs"]
mod removal;
#[path = "trials/roles.rs"]
mod roles;
#[path = "trials/site.rs"]
mod site;
#[path = "trials/spool.rs"]
mod spool;
#[path = "trials/words.rs"]
mod words;
