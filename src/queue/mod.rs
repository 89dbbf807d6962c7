//! (being written)
pub mod message;
