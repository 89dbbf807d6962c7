//! File formats: [`matroska`] writes with GStreamer and reads with our parser (`ebml`); `mp4` makes
//! a rendered file true to its length.

pub mod matroska;

pub(super) mod ebml;
pub(super) mod mp4;
