//! What `serve` and `demo` bring along so that nothing has to be installed as a service: a private
//! Postgres and an S3 server on disk. The tests use the same.
//!
//! Without the cargo feature `embed` (as in the image of `api` and `worker`) nothing is brought
//! along, and what is not given is an error that says what to set.

#[cfg(feature = "embed")]
pub mod postgres;
#[cfg(feature = "embed")]
mod runner;
#[cfg(feature = "embed")]
pub mod s3;
#[cfg(feature = "embed")]
pub mod watchdog;

#[cfg(not(feature = "embed"))]
mod absent;
#[cfg(not(feature = "embed"))]
pub use absent::{postgres, s3};
