//! The other side: voices as real RTP, and a client of the public interface. Used by
//! `hansard demo`, tests and benchmarks; nothing of the server depends on it.
//!
//! [`meeting`] (a script with voices, read by [`ogg`]) or [`tone`] make packets, [`sender`] sends
//! them, [`client`] and [`signal`] speak HTTP and WebSocket, [`stage`] plays a whole meeting
//! through all of these, [`score`] judges the [`caption`]s that came back.

pub mod caption;
pub mod client;
pub mod impair;
pub mod meeting;
pub mod ogg;
pub mod opus;
pub mod scenario;
pub mod score;
pub mod sender;
pub mod signal;
pub mod srtp;
pub mod tone;
