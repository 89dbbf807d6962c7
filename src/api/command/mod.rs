//! What callers do to a meeting, whichever way they ask: REST and sockets only read the request and
//! write the answer.
//!
//! Each command checks what it must inside its transaction, and hands the effects that the
//! transaction asks for to [`ApiState::told`](super::state::ApiState::told), which carries them out
//! after commit.

pub mod consent;
pub mod removal;
pub mod repeat;
