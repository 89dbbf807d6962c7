//! A client of the public interface, with voices as real RTP. Used by `hansard demo`, tests and
//! benchmarks; nothing of the server but the demo depends on it, and it depends on nothing of the
//! server but `domain`'s reading of Opus packets.
//!
//! [`meeting`] (a script with voices, read by [`ogg`]) or [`tone`] make packets, [`sender`] sends
//! them as plain RTP and [`peer`] as a browser does, [`rest`] and [`signal`] speak HTTP and
//! WebSocket, [`scenario`] plays a whole meeting through all of these, [`score`] judges the
//! [`caption`]s that came back, by the word error rate ([`wer`]).

pub mod answer;
pub mod caption;
mod description;
pub mod frame;
pub mod impair;
pub mod meeting;
pub mod ogg;
pub mod opus;
pub mod peer;
pub mod rest;
pub mod scenario;
pub mod score;
pub mod sender;
pub mod signal;
pub mod srtp;
pub mod tone;
pub mod wer;
