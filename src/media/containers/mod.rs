//! File formats: [`track`] is what hosts get of a track. [`matroska`] (segments, and WebM) writes
//! with GStreamer and reads with our parser (`ebml`), `wav` is ours alone; `mp4` makes a rendered
//! file true to its length.

pub mod matroska;
pub mod track;

pub(super) mod ebml;
pub(super) mod mp4;

mod wav;
