//! How many descriptors a process may have open: raised at the start to what the system allows, and
//! shared out, so that connections never take those that recordings need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer, a crowd or many meetings meet the end of them.
pub const FEW: u64 = 4096;
/// More than this is of no use, and some programs that we start look at each.
const ENOUGH: u64 = 1 << 20;
/// Connections of one process, however many descriptors there are.
const CONNECTIONS_MAX: usize = 20_000;

/// Raises the soft limit to the hard one. Answers what holds now.
pub fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let wanted = before.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if before.current.is_some_and(|current| current < wanted) {
        let limit = Rlimit {
            current: Some(wanted),
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    metrics::gauge!("hansard_descriptors_max").set(now as f64);
    if now < FEW {
        tracing::warn!(
            descriptors = now,
            "few files may be open at once: raise the hard limit (ulimit -Hn, LimitNOFILE)"
        );
    }
    now
}

/// What [`raise`] would make of it.
pub fn possible() -> u64 {
    getrlimit(Resource::Nofile)
        .maximum
        .unwrap_or(ENOUGH)
        .min(ENOUGH)
}

/// Connections that the address for clients may have: half of all descriptors.
pub fn connections(descriptors: u64) -> usize {
    usize::try_from(descriptors / 2)
        .unwrap_or(CONNECTIONS_MAX)
        .clamp(16, CONNECTIONS_MAX)
}
