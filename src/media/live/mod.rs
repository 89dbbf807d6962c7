//! A running meeting: [`spool`] writes each recording's frames into Matroska [`segment`]s and seals
//! them, in a folder of [`disk`]; [`decode`] makes PCM of frames for speech.

pub mod decode;
pub mod disk;
pub mod segment;
pub mod spool;

mod decode_thread;
mod inbox;
mod opus;
