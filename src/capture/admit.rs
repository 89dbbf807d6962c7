//! The gate, asked for one packet and one use.

use crate::{
    domain::{
        gate::{Admitted, Gate, Purpose},
        id::ParticipantId,
        time::{MeetingTime, Span},
    },
    media::frame::Frame,
};

/// All that the packet `holds` must have been allowed: behind a door that opened, a packet that
/// brings back what was before it is left out. `None`: refused, and counted.
pub fn admit<P: Purpose>(
    gate: &Gate,
    participant: ParticipantId,
    arrived: MeetingTime,
    holds: Span,
    frame: Frame,
) -> Option<Admitted<P, Frame>> {
    let span = frame.span;
    let admitted = gate.admit_whole::<P, Frame>(participant, arrived, holds, span, frame);
    if let Err(refusal) = &admitted {
        let (purpose, reason) = (P::USE.as_str(), refusal.as_str());
        metrics::counter!("hansard_gate_refused_total", "purpose" => purpose, "reason" => reason)
            .increment(1);
    }
    admitted.ok()
}
