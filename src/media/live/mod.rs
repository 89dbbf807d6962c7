//! A running meeting: [`spool`] writes each recording's frames into Matroska [`segment`]s and seals
//! them, in a folder of [`disk`]; [`decode_thread`] makes PCM of frames for speech.

pub mod decode_thread;
pub mod disk;
pub mod segment;
pub mod spool;

mod inbox;
