//! Speech to words (being written).

pub mod child;
pub mod decoder;
pub mod wer;
pub mod wire;
