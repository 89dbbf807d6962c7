//! Jobs behind the live meetings: the mix, recovery, cleaning; and the worker that claims them all.

pub mod worker;
