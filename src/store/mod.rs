//! (being written)
pub mod consent;
pub mod event;
pub mod presence;
pub mod seal;
