//! One running meeting.

pub mod journal;
