//! Who may keep a connection open: so many in all, so many per address. A newcomer displaces the
//! connection that has waited longest without a request, so that who only holds connections open
//! keeps nobody out.

use std::collections::{BTreeMap, BTreeSet};

/// One connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DoorId(u64);

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// No request is running: may be displaced.
    Waiting,
    /// Being answered, or a socket that did not join yet.
    Busy,
    /// A socket in a meeting, or a proxy's connection: counts in all, not for its address.
    Joined,
}

/// The answer to a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Knock {
    Admitted {
        id: DoorId,
        displaced: Option<DoorId>,
    },
    Refused,
}

/// All connections of a process.
#[derive(Debug)]
pub struct Doors<Address> {
    /// In all.
    room: usize,
    per_address: usize,
    next: u64,
    /// With the number that says since when it stands so.
    open: BTreeMap<DoorId, (Address, Standing, u64)>,
    crowds: BTreeMap<Address, Crowd>,
}

#[derive(Debug, Default)]
struct Crowd {
    /// Oldest first, by the number that rises with every change of standing.
    waiting: BTreeSet<(u64, DoorId)>,
    busy: usize,
}

impl<Address: Ord + Copy> Doors<Address> {
    /// `room` and `per_address` at most; 0: no limit per address.
    pub fn new(room: usize, per_address: usize) -> Self {
        let per_address = if per_address == 0 {
            usize::MAX
        } else {
            per_address
        };
        Self {
            room,
            per_address,
            next: 0,
            open: BTreeMap::new(),
            crowds: BTreeMap::new(),
        }
    }

    pub fn is_open(&self, id: DoorId) -> bool {
        self.open.contains_key(&id)
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// `counted`: for its address, too, which a proxy's are not, since they are many people's.
    pub fn knock(&mut self, address: Address, counted: bool) -> Knock {
        let mut displaced = None;
        let here = self
            .crowds
            .get(&address)
            .map_or(0, |crowd| crowd.waiting.len() + crowd.busy);
        if counted && here >= self.per_address {
            displaced = self.oldest_waiting(address);
            if displaced.is_none() {
                return Knock::Refused;
            }
        } else if self.open.len() >= self.room {
            // Of whoever has the most of them.
            let most = self
                .crowds
                .iter()
                .max_by_key(|(_, crowd)| crowd.waiting.len())
                .map(|(address, _)| *address);
            displaced = most.and_then(|address| self.oldest_waiting(address));
            if displaced.is_none() {
                return Knock::Refused;
            }
        }
        if let Some(displaced) = displaced {
            self.leave(displaced);
        }
        let order = self.order();
        let id = DoorId(order);
        if counted {
            self.open.insert(id, (address, Standing::Waiting, order));
            self.crowds
                .entry(address)
                .or_default()
                .waiting
                .insert((order, id));
        } else {
            self.open.insert(id, (address, Standing::Joined, order));
        }
        Knock::Admitted { id, displaced }
    }

    /// What was displaced stays gone, and who joined stays joined.
    pub fn stand(&mut self, id: DoorId, standing: Standing) {
        let order = self.order();
        let Some(door) = self.open.get_mut(&id) else {
            return;
        };
        let (address, was, since) = *door;
        if was == standing || was == Standing::Joined {
            return;
        }
        *door = (address, standing, order);
        self.uncount(address, id, was, since);
        let crowd = self.crowds.entry(address).or_default();
        match standing {
            Standing::Waiting => {
                crowd.waiting.insert((order, id));
            }
            Standing::Busy => crowd.busy += 1,
            Standing::Joined => {}
        }
        self.forget(address);
    }

    pub fn leave(&mut self, id: DoorId) {
        if let Some((address, standing, since)) = self.open.remove(&id) {
            self.uncount(address, id, standing, since);
            self.forget(address);
        }
    }

    fn order(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn oldest_waiting(&self, address: Address) -> Option<DoorId> {
        self.crowds
            .get(&address)?
            .waiting
            .first()
            .map(|(_, id)| *id)
    }

    fn uncount(&mut self, address: Address, id: DoorId, standing: Standing, since: u64) {
        let Some(crowd) = self.crowds.get_mut(&address) else {
            return;
        };
        match standing {
            Standing::Waiting => {
                crowd.waiting.remove(&(since, id));
            }
            Standing::Busy => crowd.busy -= 1,
            Standing::Joined => {}
        }
    }

    fn forget(&mut self, address: Address) {
        if self
            .crowds
            .get(&address)
            .is_some_and(|crowd| crowd.waiting.is_empty() && crowd.busy == 0)
        {
            self.crowds.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(knock: Knock) -> (DoorId, Option<DoorId>) {
        match knock {
            Knock::Admitted { id, displaced } => (id, displaced),
            Knock::Refused => panic!("refused"),
        }
    }

    #[test]
    fn a_newcomer_displaces_who_waited_longest_at_its_address() {
        let mut doors = Doors::new(100, 3);
        let first = admitted(doors.knock('a', true)).0;
        let second = admitted(doors.knock('a', true)).0;
        let third = admitted(doors.knock('a', true)).0;
        // The first was answered meanwhile, and waits for less long.
        doors.stand(first, Standing::Busy);
        doors.stand(first, Standing::Waiting);
        assert_eq!(admitted(doors.knock('a', true)).1, Some(second));
        assert_eq!(admitted(doors.knock('b', true)).1, None);
        assert_eq!(admitted(doors.knock('a', true)).1, Some(third));
        assert_eq!(admitted(doors.knock('a', true)).1, Some(first));
        assert_eq!(doors.open(), 4);
    }

    #[test]
    fn who_is_busy_is_not_displaced_and_who_joined_does_not_count_for_its_address() {
        let mut doors = Doors::new(100, 2);
        let ids: Vec<DoorId> = (0..2).map(|_| admitted(doors.knock('a', true)).0).collect();
        for id in &ids {
            doors.stand(*id, Standing::Busy);
        }
        assert_eq!(doors.knock('a', true), Knock::Refused);
        for id in &ids {
            doors.stand(*id, Standing::Joined);
            doors.stand(*id, Standing::Waiting);
        }
        assert_eq!(admitted(doors.knock('a', true)).1, None);
        assert_eq!(doors.open(), 3);
        for id in ids {
            doors.leave(id);
            doors.leave(id);
        }
        assert_eq!(doors.open(), 1);
    }

    #[test]
    fn when_all_is_full_the_largest_crowd_makes_room() {
        let mut doors = Doors::new(5, 4);
        let first = admitted(doors.knock('a', true)).0;
        for _ in 0..3 {
            doors.knock('a', true);
        }
        doors.knock('b', true);
        assert_eq!(admitted(doors.knock('b', true)).1, Some(first));
        assert_eq!(doors.open(), 5);
        assert_eq!(admitted(Doors::new(1, 1).knock('p', false)).1, None);
        let mut doors = Doors::new(1, 0);
        let id = admitted(doors.knock('a', true)).0;
        doors.stand(id, Standing::Busy);
        assert_eq!(doors.knock('b', true), Knock::Refused);
        doors.leave(id);
        assert!(doors.crowds.is_empty() && doors.open.is_empty());
    }
}
