//! Sound into files and out of them, with GStreamer; Opus into PCM with libopus.
//!
//! Live: [`spool`] writes each recording's frames into Matroska [`segment`]s and seals them;
//! [`decode`] makes PCM of them for speech. Afterwards: [`remux`] trims, repairs and joins segments
//! into tracks, and [`mix`] renders the meeting from the tracks (`input` places one, `scratch`
//! holds their sum, `limiter` and `aac` finish it, `mp4` makes the file true to its length).
//! Nobody's bytes reach a demuxer or a type finder on the live side: the graphs in `pipelines/` are
//! static.

mod ebml;
pub mod frame;
pub mod graph;
mod inbox;
pub mod matroska;

pub mod disk;
pub mod redundancy;
pub mod remux;
pub mod segment;
pub mod spool;

pub mod decode;
mod decode_thread;
mod opus;

mod aac;
mod limiter;
pub mod mix;
mod mix_input;
mod mp4;
mod scratch;
