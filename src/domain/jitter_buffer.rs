//! One stream's jitter buffer: an [`Intake`] with the packets' bytes, which wait here for their
//! turn and are admitted when it comes, once per use.

use crate::{
    framing::PacketFrame,
    gate::{Admitted, Gate, Recording, Refusal, Transcription},
    id::ParticipantId,
    intake::{Intake, Output, Received, reach},
    time::{MeetingTime, Micros, Span},
    timeline::Header,
};
use std::collections::BTreeMap;

/// A packet whose turn it is, as its codec reads it.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked<F> {
    pub frame: F,
    /// The codec's look-ahead.
    pub delay: Micros,
    /// How much of what came before it has a copy in it ([`reach`]).
    pub repeats: Option<Micros>,
}

/// What comes out, in order.
#[derive(Debug)]
pub enum Released<F> {
    Frame {
        span: Span,
        arrived: MeetingTime,
        recording: Result<Admitted<Recording, F>, Refusal>,
        transcription: Result<Admitted<Transcription, F>, Refusal>,
    },
    /// Packets that never came, or too late; when what they held was captured.
    Lost { span: Span },
}

/// Holds packets of the type `P` until their turn. What the gate does not let in never waits.
#[derive(Debug)]
pub struct JitterBuffer<P> {
    intake: Intake,
    /// With their arrival.
    waiting: BTreeMap<u64, (P, MeetingTime)>,
    next: u64,
}

impl<P> JitterBuffer<P> {
    /// Of audio. `clock_rate` in ticks per second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            intake: Intake::new(clock_rate),
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes a packet of this participant: placed, asked at the gate, put in its turn. The bytes
    /// are asked for only if they are kept.
    pub fn receive(
        &mut self,
        gate: &Gate,
        participant: ParticipantId,
        header: &Header,
        arrived: MeetingTime,
        packet: impl FnOnce() -> P,
    ) -> Received {
        let received = self
            .intake
            .receive(gate, participant, header, arrived, self.next);
        if received == Received::Kept {
            self.waiting.insert(self.next, (packet(), arrived));
            self.next += 1;
        }
        received
    }

    /// The next frame or loss whose turn it is; call until `None`, after each packet and at
    /// [`Intake::next_timeout`]. A frame is admitted only if all that can be had of its packet is
    /// allowed: behind a grant, a packet that brings back what was before it is left out.
    pub fn release<F: Clone>(
        &mut self,
        gate: &Gate,
        participant: ParticipantId,
        now: MeetingTime,
        unpack: impl Fn(P, Span) -> Unpacked<F>,
    ) -> Option<Released<F>> {
        loop {
            let PacketFrame { id, span, before } = match self.intake.release(now)? {
                Output::Frame(frame) => frame,
                Output::Lost { span, .. } => return Some(Released::Lost { span }),
            };
            let Some((packet, arrived)) = self.waiting.remove(&id) else {
                continue;
            };
            let Unpacked {
                frame,
                delay,
                repeats,
            } = unpack(packet, span);
            let holds = reach(span, delay, repeats, before);
            return Some(Released::Frame {
                span,
                arrived,
                recording: gate.admit_whole(participant, arrived, holds, span, frame.clone()),
                transcription: gate.admit_whole(participant, arrived, holds, span, frame),
            });
        }
    }

    /// How packets are placed, for all else that is told of them.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// See [`JitterBuffer::intake`].
    pub fn intake_mut(&mut self) -> &mut Intake {
        &mut self.intake
    }

    /// How many packets wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consent::{ConsentStatus, Use},
        gate::Entry,
        id::ConsentId,
    };
    use uuid::Uuid;

    const ANA: ParticipantId = ParticipantId(Uuid::from_u128(1));

    fn ms(ms: i64) -> MeetingTime {
        MeetingTime::from_ms(ms)
    }

    fn grant(gate: &Gate, entry: i64, uses: &[Use], at: MeetingTime) {
        let entry = Entry {
            entry,
            id: ConsentId(Uuid::from_u128(entry.unsigned_abs().into())),
            participant: ANA,
            uses: uses.to_vec(),
            status: ConsentStatus::Accepted,
            at,
        };
        gate.apply(&entry, at);
    }

    fn header(n: u16) -> Header {
        Header {
            sequence: n,
            timestamp: u32::from(n) * 960,
            ticks: 960,
        }
    }

    /// Packets of 20 ms, the n-th at 20 n + 20 ms; each brings back so much of what came before it.
    fn admitted(
        gate: &Gate,
        from: u16,
        repeats: Option<Micros>,
        buffer: &mut JitterBuffer<u16>,
    ) -> Vec<(u16, bool, bool)> {
        let mut out = Vec::new();
        for n in from..from + 10 {
            let arrived = ms(20 * i64::from(n) + 20);
            buffer.receive(gate, ANA, &header(n), arrived, || n);
            let unpack = |frame, _| Unpacked {
                frame,
                delay: Micros(0),
                repeats,
            };
            while let Some(released) = buffer.release(gate, ANA, arrived, unpack) {
                let Released::Frame {
                    span,
                    recording,
                    transcription,
                    ..
                } = released
                else {
                    panic!("nothing is lost")
                };
                let n = (span.start.as_ms() / 20) as u16;
                out.push((n, recording.is_ok(), transcription.is_ok()));
            }
        }
        out
    }

    #[test]
    fn a_frame_is_admitted_for_each_use_apart_and_what_is_refused_never_waits() {
        let gate = Gate::new(&Use::ALL);
        let mut buffer = JitterBuffer::new(48_000);
        assert_eq!(admitted(&gate, 0, None, &mut buffer), []);
        assert!(buffer.is_empty(), "nobody agreed");
        grant(&gate, 1, &[Use::Recording], ms(200));
        let out = admitted(&gate, 10, None, &mut buffer);
        assert!(out.len() >= 8, "{out:?}");
        assert!(
            out.iter()
                .all(|(_, recording, transcription)| *recording && !transcription),
            "{out:?}"
        );
    }

    #[test]
    fn behind_a_grant_a_packet_that_brings_back_what_was_before_it_is_left_out() {
        let gate = Gate::new(&[Use::Recording]);
        let mut buffer = JitterBuffer::new(48_000);
        admitted(&gate, 0, None, &mut buffer);
        grant(&gate, 1, &[Use::Recording], ms(200));
        let out = admitted(&gate, 10, Some(Micros::from_ms(20)), &mut buffer);
        let refused: Vec<u16> = out
            .iter()
            .filter(|(_, recording, _)| !recording)
            .map(|(n, ..)| *n)
            .collect();
        let first = out.first().expect("packets came").0;
        assert_eq!(refused, [first], "{out:?}");
    }
}
