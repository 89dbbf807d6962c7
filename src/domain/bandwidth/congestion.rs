//! Whether a network is congested, by what congestion does to packets: they wait in a queue, or are
//! lost. An estimate of what a network takes may be wrong; these are not.

use super::Micros;
use std::collections::VecDeque;

/// Of what the other side reported in the last second, so much is lost in a congested network.
const LOSS: f32 = 0.02;
/// A queue adds this much to the round-trip time. A receiver that is busy, or gets little and
/// tells of it late, adds less; voices suffer from some 100 ms.
const QUEUE: Micros = Micros::from_ms(50);
/// So many round-trip times in a row have it: a burst drains meanwhile, a queue stands.
const STANDING: usize = 3;
/// The shortest round-trip time of this long, or twice that, is without a queue. Longer ago the
/// packets may have gone another way.
const ROUTE: Micros = Micros::from_ms(30_000);
/// What was seen holds for this long: a sender that slows down drains the queue, and needs its
/// slowness all the more.
const HOLDS: Micros = Micros::from_ms(3_000);

#[derive(Clone, Debug, Default)]
pub struct Congestion {
    /// The newest last.
    round_trips: VecDeque<Micros>,
    shortest: Option<Shortest>,
    seen: Option<Micros>,
}

/// The shortest round-trip time since a moment, and of as long before.
#[derive(Clone, Copy, Debug)]
struct Shortest {
    since: Micros,
    current: Micros,
    previous: Micros,
}

impl Congestion {
    /// What the other side's feedback says by now: the part of what was sent in the last second
    /// that is lost, and the newest round-trip time.
    pub fn measured(&mut self, loss: Option<f32>, round_trip: Option<Micros>, at: Micros) {
        let stands = round_trip.is_some_and(|time| self.queue_stands(time, at));
        if stands || loss.is_some_and(|loss| loss >= LOSS) {
            self.seen = Some(at);
        }
    }

    /// Whether the network is congested, or was a moment ago.
    pub fn is_seen(&self, now: Micros) -> bool {
        self.seen.is_some_and(|seen| now - seen <= HOLDS)
    }

    /// Nothing of it was seen for so long.
    pub fn is_unseen_for(&self, time: Micros, now: Micros) -> bool {
        self.seen.is_none_or(|seen| now - seen >= time)
    }

    fn queue_stands(&mut self, time: Micros, at: Micros) -> bool {
        // The same one again: no feedback came meanwhile.
        if self.round_trips.back() == Some(&time) {
            return false;
        }
        self.round_trips.push_back(time);
        if self.round_trips.len() > STANDING {
            self.round_trips.pop_front();
        }
        let shortest = self.shortest.get_or_insert(Shortest {
            since: at,
            current: time,
            previous: time,
        });
        if at - shortest.since >= ROUTE {
            *shortest = Shortest {
                since: at,
                current: time,
                previous: shortest.current,
            };
        }
        shortest.current = shortest.current.min(time);
        let without_queue = shortest.current.min(shortest.previous);
        let least = self.round_trips.iter().min().copied().unwrap_or(time);
        self.round_trips.len() == STANDING && least - without_queue >= QUEUE
    }
}
