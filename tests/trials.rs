//! Trials of the running product from outside: real processes, real RTP, things that go wrong, and files judged by content.

mod support;

#[path = "trials/jobs.rs"]
mod jobs;
#[path = "trials/lease.rs"]
mod lease;
