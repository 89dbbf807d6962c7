//! Jobs behind the live meetings: the files of a meeting, and cleaning. [`crate::worker`] claims them.

pub mod clean;
pub mod mix;
pub mod words;
