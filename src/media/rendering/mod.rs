//! After the meeting: [`remux`] trims and repairs segments, [`join`] makes tracks of them, and
//! [`mix`] renders the meeting from the tracks (`mix_input` places one, `scratch` holds their sum,
//! `gain`, `limiter` and `aac` finish it). [`peaks`] reads a finished file.

pub mod join;
pub mod mix;
pub mod peaks;
pub mod redundancy;
pub mod remux;

mod aac;
mod gain;
mod limiter;
mod mix_input;
mod scratch;

#[cfg(test)]
mod tests;
