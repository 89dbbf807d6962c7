//! RTP in, files and captions out: what is in them, what must not be, and when.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tone.rs"]
#[allow(dead_code, reason = "more than one test file uses it")]
mod tone;

mod decode;
mod fuzz_rtp;
mod ingest;
mod ingest_gstreamer;
mod meeting;
mod mix;
mod rendering;
mod speech;
mod spool;
