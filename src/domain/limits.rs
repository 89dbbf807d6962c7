//! Every bound that more than one part must agree on, with its reason. Bounds of one part stand in
//! that part.

use crate::time::Micros;

/// A lease that was not renewed for this long may be taken over: short enough that a dead worker
/// costs seconds.
pub const LEASE_TTL: Micros = Micros::from_secs(3);
/// A third of the TTL, so that two renewals may fail before it matters.
pub const LEASE_RENEW: Micros = Micros::from_secs(1);
/// Asked whether it lives, the holder of a lease that ran out answers within this, or it counts as
/// hanging.
pub const LEASE_ASK: Micros = Micros::from_secs(1);
/// A holder that lives gets this long to renew, from the first read that showed its lease to have
/// run out: longer than a database takes to fail over.
pub const LEASE_MOVE_MAX: Micros = Micros::from_secs(30);
/// While nobody can be asked, a lease is left alone for this long after it ran out.
pub const LEASE_UNHEARD: Micros = Micros::from_secs(10);
/// Attempts of a job before it is `failed` and somebody must look.
pub const JOB_ATTEMPTS: i32 = 5;

/// How often a worker reads the heads of all its live meetings, always: with a lost hint a
/// withdrawal still acts within this and one query.
pub const HEADS_POLL: Micros = Micros::from_ms(100);
/// With the queue and Postgres both away this long nobody could tell us of a withdrawal: the gate
/// closes.
pub const UNREACHABLE_AFTER: Micros = Micros::from_secs(5);

/// Neither socket nor stream for this long: no longer present. Covers a page reload and a change of
/// network.
pub const PRESENCE_GRACE: Micros = Micros::from_secs(30);
/// A stream without RTP or RTCP for this long is closed, unless its participant is there by socket:
/// muted is not gone.
pub const STREAM_IDLE: Micros = Micros::from_secs(300);
/// After a sender's goodbye (RTCP BYE) media revokes it for this long; then its stream is closed.
pub const BYE_GRACE: Micros = Micros::from_secs(5);
/// A port that a stream left gets no other before nothing came for this long: longer than what
/// senders pause by themselves.
pub const PORT_QUIET: Micros = Micros::from_secs(30);
/// An `api` that has not said for this long which sockets it has is taken to have none (it says so
/// every 2 s).
pub const SOCKETS_STALE: Micros = Micros::from_secs(10);

/// From the end of a meeting to the close of its participants' sockets, whatever finals are still
/// being made.
pub const FINALS_AFTER_END: Micros = Micros::from_secs(10);
/// Streams of one participant at a time; more is a client gone wrong.
pub const STREAMS_PER_PARTICIPANT: usize = 8;

/// How long a note counts that says what lies in a machine's spool. The spool is looked through
/// every few seconds; a machine that is silent for this long may be gone for good, and files are
/// made without what it has.
pub const SPOOLED_FOR: Micros = Micros::from_secs(120);
