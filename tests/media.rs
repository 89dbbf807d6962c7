//! Tones in, files out: what is in them, what must not be, and when.

#[path = "support/tone.rs"]
#[allow(dead_code, reason = "more than one test file uses it")]
mod tone;

#[path = "media/decode.rs"]
mod decode;
#[path = "media/meeting.rs"]
mod meeting;
#[path = "media/mix.rs"]
mod mix;
#[path = "media/spool.rs"]
mod spool;
