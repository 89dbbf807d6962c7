//! Cutting a sealed segment again after consent changed: what of it may stay.

use super::union;
use crate::{
    consent::Use,
    gate::{Gate, Pass, Recording, Verdict},
    time::Span,
};

/// Whether all of a sealed segment may stay as it is.
pub fn is_whole(gate: &Gate, pass: &Pass) -> bool {
    gate.still::<Recording>(pass) == Verdict::Keep
}

/// What a sealed segment may hold, sorted and separate. By its own entry only: a later grant may
/// reach back over the cut, by its time stamp.
pub fn allowed(gate: &Gate, pass: &Pass) -> Vec<Span> {
    union(&gate.allowed_by(pass.participant, Use::Recording, pass.entry, pass.late))
}

/// Whether a frame lies wholly in one of the sorted, separate `allowed`.
pub fn is_within(frame: Span, allowed: &[Span]) -> bool {
    let next = allowed.partition_point(|open| open.end < frame.end);
    allowed
        .get(next)
        .is_some_and(|open| open.start <= frame.start)
}

/// What exits ask the gate with about the `span` that the cut left. `None`: nothing of it may stay
/// either.
pub fn rest(gate: &Gate, pass: &Pass, span: Span) -> Option<Pass> {
    let pass = Pass { span, ..*pass };
    (gate.still::<Recording>(&pass) != Verdict::Drop).then_some(pass)
}
