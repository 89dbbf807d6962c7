//! What `serve` and `demo` bring along so that nothing has to be installed as a service: a private Postgres and an S3
//! server on disk. The tests use the same.

pub mod postgres;
pub mod watchdog;
