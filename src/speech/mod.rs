//! Speech to words (being written).

pub mod child;
pub mod decoder;
pub mod vad;
pub mod wer;
pub mod wire;
