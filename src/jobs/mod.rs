//! Jobs behind the live meetings: the files of a meeting, cleaning; and the worker that claims them all.

pub mod clean;
pub mod mix;
pub mod worker;
