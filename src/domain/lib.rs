//! Hansard's rules. Everything that *decides* lives here: pure functions and small state machines
//! that are told the time and the facts, and answer with decisions. No clock, socket, thread, file,
//! database or GStreamer.
//!
//! Reading order: [`id`] and [`time`] name things, [`codec`] and [`stream`] the facts of media;
//! [`limits`] bounds them; [`consent`] is the gate that everything else stands behind; [`source`]
//! says whose packets count, [`media_state`] whether they come and [`connectivity`] whether a silent
//! sender is cut off; [`timeline`], [`reorder`], [`framing`], [`intake`] and [`jitter_buffer`] place them; [`endpoint`], [`utterance`],
//! [`schedule`], [`transcript`] and [`unheard`] make captions; [`recording`] makes files;
//! [`meeting`] composes them, [`negotiation`] reads what browsers offer, [`own_sections`] and
//! [`turns`] say what is offered to them, [`rewriting`] numbers what is sent on, [`bandwidth`] says
//! which pictures are, and [`log_reader`] says when the consent log is read.

pub mod consent;
pub mod gate;
pub mod hold;
pub mod id;
pub mod late;
pub mod limits;
pub mod time;
mod word;

pub use word::UnknownWord;

pub mod codec;
pub mod connectivity;
pub mod opus;
pub mod stream;

pub mod framing;
pub mod intake;
pub mod jitter_buffer;
pub mod media_state;
pub mod reorder;
pub mod source;
pub mod timeline;

pub mod capacity;
pub mod correction;
pub mod deletion;
pub mod endpoint;
pub mod export;
pub mod schedule;
pub mod settings;
pub mod transcript;
pub mod unheard;
pub mod utterance;
pub mod wire_time;

pub mod inventory;
pub mod ledger;
pub mod loudness;
pub mod media_type;
pub mod object_key;
pub mod peaks;
pub mod quota;
pub mod recording;
pub mod recording_state;
pub mod redaction;
pub mod refine;
pub mod restore;
pub mod retention;
pub mod spool_path;
pub mod sweep;
pub mod tenant_settings;
pub mod tiering;

pub mod admission;
pub mod bandwidth;
pub mod close_code;
pub mod connections;
pub mod error_code;
pub mod event;
pub mod fair_share;
pub mod fault;
pub mod job;
pub mod key_frame;
pub mod lease;
pub mod log_reader;
pub mod meeting;
pub mod negotiation;
pub mod own_sections;
pub mod participant;
pub mod peer_message;
pub mod rate;
pub mod refusal;
pub mod retry;
pub mod rewriting;
pub mod turns;
pub mod whip;
