//! Sound into files and out of them, with GStreamer; Opus into PCM with libopus.
//!
//! [`live`]: frames of a running meeting into segments, and into PCM for speech. [`rendering`]:
//! segments into tracks, tracks into the mix, after the meeting. [`containers`]: the files that
//! both write and read. [`decode`], [`frame`] and [`graph`] are shared.
//!
//! Nobody's bytes reach a demuxer or a type finder on the live side: the graphs in `pipelines/` are
//! static.

pub mod decode;
pub mod frame;
pub mod graph;
mod opus;

pub mod containers;
pub mod live;
pub mod rendering;
