//! Trials of the running product from outside: real processes, real RTP, things that go wrong, and
//! files judged by content.

use crate::{room, sound, support};

mod api;
mod blocks;
mod clock;
mod consent;
mod crash_words;
mod deletion;
mod disk;
mod drill;
mod files;
mod hostile;
mod ingest;
mod inventory;
mod jobs;
mod lease;
mod limits;
mod postgres;
mod redaction;
mod refine;
mod remix;
mod removal;
mod roles;
mod rooms;
mod site;
mod spool;
mod tiers;
mod translation;
mod waveforms;
mod webrtc;
mod whip;
mod words;
