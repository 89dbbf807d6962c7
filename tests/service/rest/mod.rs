//! The REST API on a real Postgres: each endpoint, who may call it, and what it refuses.

pub mod app;

mod archived;
mod consent;
mod contract;
mod correction;
mod deletion;
mod deletion_job;
mod erasure;
mod generated;
mod glossary;
mod hold;
mod idempotency;
mod job;
mod join;
mod ledger;
mod ledger_acts;
mod ledger_files;
mod limit;
mod meeting;
mod own_erasure;
mod peaks;
mod permission;
mod query_plan;
mod recording;
mod redaction;
mod redaction_job;
mod redaction_restore;
mod removal;
mod repeat;
mod restore;
mod retention;
mod row;
mod session;
mod spoken;
mod stream;
mod tenant;
mod translation;
mod user;
mod whip;

pub use deletion_job::keep_versions;
