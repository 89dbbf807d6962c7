//! What may be heard and seen live by the others in the room: the third purpose beside recording
//! and transcription. Nobody agrees to it in the ConsentLog; the meeting's policy says who is let
//! through ([`crate::admission::heard`]), and nothing of it is ever kept. So it is no
//! [`Use`](crate::consent::Use), and what passes is its own type: no file and no decoder takes a
//! [`Live`], and the room takes nothing else.

use super::Gate;
use crate::id::ParticipantId;
use std::{collections::BTreeSet, fmt};

/// Media on its way to the others. Only [`Gate::admit_live`] makes one.
#[derive(Clone)]
pub struct Live<T> {
    value: T,
    participant: ParticipantId,
}

impl<T> Live<T> {
    /// Whose media it is.
    pub fn participant(&self) -> ParticipantId {
        self.participant
    }
}

impl<T> fmt::Debug for Live<T> {
    /// Never prints the media.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({:?})", self.participant)
    }
}

impl Gate {
    /// From now on these are let through, and nobody else: also nothing of others that is on its
    /// way.
    pub fn set_live(&self, heard: BTreeSet<ParticipantId>) {
        let mut state = self.write();
        if state.live != heard {
            state.live = heard;
        }
    }

    /// Whether others are let through than those who are `known` to be, which is brought up to
    /// date.
    pub fn live_changed(&self, known: &mut BTreeSet<ParticipantId>) -> bool {
        let state = self.read();
        let changed = state.live != *known;
        if changed {
            known.clone_from(&state.live);
        }
        changed
    }

    /// Whether the others may hear and see this participant now.
    pub fn is_live(&self, participant: ParticipantId) -> bool {
        self.read().live.contains(&participant)
    }

    /// Lets media of a participant through to the others. `None`: they may not have it.
    pub fn admit_live<T>(&self, participant: ParticipantId, value: T) -> Option<Live<T>> {
        self.is_live(participant)
            .then_some(Live { value, participant })
    }

    /// Asked again at each send: what was on its way when its participant left is not sent.
    pub fn still_live<'a, T>(&self, live: &'a Live<T>) -> Option<&'a T> {
        self.is_live(live.participant).then_some(&live.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_is_on_its_way_when_its_participant_goes_is_not_sent() {
        let gate = Gate::new(&[]);
        let [ana, bob] = [1, 2].map(|n| ParticipantId(Uuid::from_u128(n)));
        assert!(gate.admit_live(ana, 1).is_none());
        gate.set_live([ana, bob].into());
        let packet = gate.admit_live(ana, 1).expect("she is there");
        assert_eq!(gate.still_live(&packet), Some(&1));
        let mut known = [ana, bob].into();
        assert!(!gate.live_changed(&mut known));
        gate.set_live([bob].into());
        assert_eq!(gate.still_live(&packet), None);
        assert!(gate.live_changed(&mut known) && known == [bob].into());
        assert!(!gate.live_changed(&mut known));
        assert!(gate.admit_live(ana, 2).is_none() && gate.is_live(bob));
    }
}
