//! Who sent what when, and to whom it came.

use std::{cell::RefCell, collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

/// Packets of a sender among which one is looked for whose numbers are not known yet.
const LOOKED_AT: usize = 400;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Voice,
    Picture,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Voice, Self::Picture];
}

/// What one participant sends of one kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Track {
    pub sender: usize,
    pub kind: Kind,
}

struct SentPacket {
    at: Instant,
    payload: Arc<[u8]>,
}

/// What came of a track at one listener.
#[derive(Default)]
struct Came {
    /// Between its numbers and those that were sent, which whoever sends on may change.
    offset: Option<u16>,
    /// When each first came, by the number of what was sent.
    at: Vec<Option<Instant>>,
}

/// In the memory of one process, whose clock both ends read.
#[derive(Default)]
pub struct Tally {
    sent: RefCell<BTreeMap<Track, Vec<SentPacket>>>,
    came: RefCell<BTreeMap<(usize, Track), Came>>,
    /// What came and is not what was sent.
    strange: RefCell<usize>,
}

/// What became of what was sent in a while.
#[derive(Default)]
pub struct Outcome {
    /// Packets that ought to have come, and those that did.
    pub due: usize,
    pub came: usize,
    /// Of each kind, of those that came, from being sent to having come; sorted, in milliseconds.
    pub delays_ms: Vec<f64>,
    pub strange: usize,
}

impl Outcome {
    pub fn lost(&self) -> f64 {
        1.0 - self.came as f64 / self.due.max(1) as f64
    }

    pub fn delay_ms(&self, fraction: f64) -> Option<f64> {
        let at = (self.delays_ms.len() as f64 * fraction) as usize;
        self.delays_ms.get(at).copied()
    }
}

impl Tally {
    /// A packet is about to be sent. Its number in its track, from 0 on, is its sequence number.
    pub fn sends(&self, track: Track, at: Instant, payload: &Arc<[u8]>) {
        let payload = payload.clone();
        let mut sent = self.sent.borrow_mut();
        sent.entry(track)
            .or_default()
            .push(SentPacket { at, payload });
    }

    pub fn came(&self, listener: usize, track: Track, at: Instant, sequence: u16, payload: &[u8]) {
        let sent = self.sent.borrow();
        let Some(sent) = sent.get(&track) else { return };
        let mut all = self.came.borrow_mut();
        let came = all.entry((listener, track)).or_default();
        let is = |number: usize| {
            let departed = sent.get(number);
            departed.is_some_and(|departed| *departed.payload == *payload)
        };
        let number = |offset: u16| usize::from(sequence.wrapping_sub(offset));
        if !came.offset.is_some_and(|offset| is(number(offset))) {
            // Silence looks like other silence: only what was sent once tells its number.
            let mut same = (sent.len().saturating_sub(LOOKED_AT)..sent.len()).filter(|n| is(*n));
            match (same.next(), same.next()) {
                (Some(only), None) => came.offset = Some(sequence.wrapping_sub(only as u16)),
                (None, _) => {
                    *self.strange.borrow_mut() += 1;
                    return;
                }
                _ => return,
            }
        }
        let Some(number) = came.offset.map(number) else {
            return;
        };
        if came.at.len() <= number {
            came.at.resize(number + 1, None);
        }
        came.at[number].get_or_insert(at);
    }

    /// Whether everybody gets every track of the others.
    pub fn all_come(&self, peers: usize) -> bool {
        let came = self.came.borrow();
        let known = came.values().filter(|came| came.offset.is_some());
        known.count() == peers * (peers - 1) * Kind::ALL.len()
    }

    /// Of what was sent in a while, to each of so many but its sender.
    pub fn outcome(&self, peers: usize, within: &Range<Instant>, kinds: &[Kind]) -> Outcome {
        let mut outcome = Outcome {
            strange: *self.strange.borrow(),
            ..Outcome::default()
        };
        let all = self.came.borrow();
        for (track, sent) in &*self.sent.borrow() {
            if !kinds.contains(&track.kind) {
                continue;
            }
            for listener in (0..peers).filter(|listener| *listener != track.sender) {
                let came = all.get(&(listener, *track));
                let departed = sent.iter().enumerate();
                for (number, departed) in departed.filter(|(_, of)| within.contains(&of.at)) {
                    outcome.due += 1;
                    let at = came.and_then(|came| *came.at.get(number)?);
                    if let Some(at) = at {
                        outcome.came += 1;
                        let delay = at.saturating_duration_since(departed.at);
                        outcome.delays_ms.push(delay.as_secs_f64() * 1_000.0);
                    }
                }
            }
        }
        outcome.delays_ms.sort_by(f64::total_cmp);
        outcome
    }

    /// From the first packet of a track to the last, both included, in packets.
    pub fn sent(&self, track: Track) -> usize {
        self.sent.borrow().get(&track).map_or(0, Vec::len)
    }
}
