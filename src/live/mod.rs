//! One running meeting.

pub mod journal;
pub mod ledger;
pub mod sentinel;
