//! A fair share of something scarce (database connections): whoever has many gets no more while
//! little is free, so that there is always some for who has none. After the dynamic thresholds of
//! shared-memory switches (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
//! packet switches", 1998).

use std::collections::{BTreeMap, VecDeque};

/// One may hold this many times what is free: alone two thirds of all, two together two fifths
/// each.
const TIMES_FREE: u32 = 2;
/// The most that wait of one kind; more would wait longer than anybody waits for an answer.
pub const WAITING_MAX: usize = 256;

/// Names one who waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(u64);

/// The answer to who asks for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    Granted,
    /// It is granted by a later [`Shares::give_back`], in turn.
    Wait(Ticket),
    /// Too many of its kind wait already.
    Refused,
}

/// So many of something, each held by some `Who`.
#[derive(Debug)]
pub struct Shares<Who> {
    free: u32,
    holders: BTreeMap<Who, Holder>,
    tickets: u64,
}

#[derive(Debug, Default)]
struct Holder {
    held: u32,
    waiting: VecDeque<Ticket>,
}

impl<Who: Ord + Copy> Shares<Who> {
    pub const fn new(room: u32) -> Self {
        Self {
            free: room,
            holders: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// Takes one, or a place in the queue.
    pub fn ask(&mut self, who: Who) -> Asked {
        let free = self.free;
        let holder = self.holders.entry(who).or_default();
        if holder.waiting.is_empty() && admits(free, holder.held) {
            holder.held += 1;
            self.free -= 1;
            return Asked::Granted;
        }
        if holder.waiting.len() >= WAITING_MAX {
            return Asked::Refused;
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        holder.waiting.push_back(ticket);
        Asked::Wait(ticket)
    }

    /// Gives one back. Answers whose turn it is now; each of these holds one from here on.
    pub fn give_back(&mut self, who: Who) -> Vec<Ticket> {
        if let Some(holder) = self.holders.get_mut(&who)
            && holder.held > 0
        {
            holder.held -= 1;
            self.free += 1;
        }
        self.forget(who);
        self.grant()
    }

    /// Waits no longer. `false` when it was granted meanwhile, and so is to be given back.
    pub fn give_up(&mut self, who: Who, ticket: Ticket) -> bool {
        let Some(holder) = self.holders.get_mut(&who) else {
            return false;
        };
        let before = holder.waiting.len();
        holder.waiting.retain(|waiting| *waiting != ticket);
        let waited = holder.waiting.len() < before;
        self.forget(who);
        waited
    }

    /// To those with the fewest first, among equals to who waits longest.
    fn grant(&mut self) -> Vec<Ticket> {
        let mut granted = Vec::new();
        loop {
            let free = self.free;
            let next = self
                .holders
                .values_mut()
                .filter(|holder| admits(free, holder.held))
                .filter_map(|holder| Some((holder.held, *holder.waiting.front()?, holder)))
                .min_by_key(|(held, ticket, _)| (*held, *ticket));
            let Some((_, ticket, holder)) = next else {
                return granted;
            };
            holder.waiting.pop_front();
            holder.held += 1;
            self.free -= 1;
            granted.push(ticket);
        }
    }

    fn forget(&mut self, who: Who) {
        if self
            .holders
            .get(&who)
            .is_some_and(|holder| holder.held == 0 && holder.waiting.is_empty())
        {
            self.holders.remove(&who);
        }
    }
}

/// Whether who holds so many may have another.
const fn admits(free: u32, held: u32) -> bool {
    free > 0 && held < TIMES_FREE.saturating_mul(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(shares: &mut Shares<char>, who: char, times: usize) -> usize {
        (0..times)
            .filter(|_| shares.ask(who) == Asked::Granted)
            .count()
    }

    #[test]
    fn a_crowd_leaves_room_for_others() {
        for (room, alone) in [(1, 1), (2, 2), (8, 6), (16, 11), (32, 22)] {
            let mut shares = Shares::new(room);
            assert_eq!(granted(&mut shares, 'a', 300), alone, "of {room}");
        }
        let mut shares = Shares::new(16);
        assert_eq!(granted(&mut shares, 'a', 200), 11);
        assert_eq!(granted(&mut shares, 'b', 200), 4);
        assert_eq!(granted(&mut shares, 'c', 200), 1);
        // As the first gives back, the others come even with it.
        for _ in 0..11 {
            shares.give_back('a');
        }
        let mut held: Vec<u32> = shares.holders.values().map(|holder| holder.held).collect();
        held.sort_unstable();
        assert!(held[0] >= 3, "{held:?}");
    }

    #[test]
    fn who_has_the_fewest_comes_first_and_each_kind_in_its_order() {
        let mut shares = Shares::new(4);
        assert_eq!(granted(&mut shares, 'a', 3), 3);
        let (Asked::Wait(first), Asked::Wait(second)) = (shares.ask('a'), shares.ask('a')) else {
            panic!("all taken")
        };
        assert_eq!(shares.ask('b'), Asked::Granted);
        let Asked::Wait(other) = shares.ask('b') else {
            panic!("all taken")
        };
        assert_eq!(shares.give_back('a'), [other]);
        assert!(shares.give_back('b').is_empty());
        assert_eq!(shares.give_back('a'), [first]);
        assert!(shares.give_up('a', second));
        assert!(!shares.give_up('a', first), "it was granted");
    }

    #[test]
    fn a_queue_has_an_end_and_nothing_is_kept_of_who_left() {
        let mut shares = Shares::new(2);
        assert_eq!(granted(&mut shares, 'a', 2), 2);
        for _ in 0..WAITING_MAX {
            assert!(matches!(shares.ask('a'), Asked::Wait(_)));
        }
        assert_eq!(shares.ask('a'), Asked::Refused);
        for _ in 0..WAITING_MAX + 2 {
            shares.give_back('a');
        }
        assert!(shares.holders.is_empty());
        assert_eq!(shares.free, 2);
    }

    /// Whatever happens, nothing is granted twice or lost.
    #[test]
    fn the_sum_stays() {
        let mut state = 7_u64;
        let mut dice = |sides: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        let mut shares = Shares::new(7);
        let mut waiting: Vec<(u64, Ticket)> = Vec::new();
        let mut held: Vec<u64> = Vec::new();
        for _ in 0..20_000 {
            let who = dice(4);
            match dice(5) {
                0 | 1 => match shares.ask(who) {
                    Asked::Granted => held.push(who),
                    Asked::Wait(ticket) => waiting.push((who, ticket)),
                    Asked::Refused => {}
                },
                2 | 3 if !held.is_empty() => {
                    let who =
                        held.swap_remove(usize::try_from(dice(held.len() as u64)).expect("small"));
                    for ticket in shares.give_back(who) {
                        let at = waiting
                            .iter()
                            .position(|(_, other)| *other == ticket)
                            .expect("it waited");
                        held.push(waiting.swap_remove(at).0);
                    }
                }
                _ if !waiting.is_empty() => {
                    let (who, ticket) = waiting
                        .swap_remove(usize::try_from(dice(waiting.len() as u64)).expect("small"));
                    assert!(shares.give_up(who, ticket));
                }
                _ => {}
            }
            assert!(held.len() <= 7);
            assert_eq!(shares.free as usize + held.len(), 7);
            assert!(
                shares.free == 0 || waiting.is_empty() || !held.is_empty(),
                "nobody waits for what is all free"
            );
        }
    }
}
