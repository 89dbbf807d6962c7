//! The running product from outside: real processes, real RTP, and files judged by content.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tone.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod tone;

mod room;
mod sound;

mod crash;
mod demo;
mod gate;
mod meeting;
mod models;
mod serve;
mod trials;
