//! Who may keep a connection open: so many in all, so many per address. A newcomer displaces the
//! connection that has waited longest without a request, so that who only holds connections open
//! keeps nobody out.

use std::collections::{BTreeMap, BTreeSet};

/// One connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(u64);

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// No request is running: may be displaced.
    Waiting,
    /// Being answered, or a socket that did not join yet.
    Busy,
    /// A socket in a meeting, or a proxy's connection: counts in all, not for its address.
    Joined,
}

/// The answer to a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Admitted {
        id: ConnectionId,
        displaced: Option<ConnectionId>,
    },
    Refused,
}

/// All connections of a process.
#[derive(Debug)]
pub struct Connections<Address> {
    /// In all.
    room: usize,
    per_address: usize,
    next: u64,
    /// With the number that says since when it stands so.
    open: BTreeMap<ConnectionId, (Address, Activity, u64)>,
    addresses: BTreeMap<Address, PerAddress>,
}

#[derive(Debug, Default)]
struct PerAddress {
    /// Oldest first, by the number that rises with every change of activity.
    waiting: BTreeSet<(u64, ConnectionId)>,
    busy: usize,
}

impl<Address: Ord + Copy> Connections<Address> {
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
            addresses: BTreeMap::new(),
        }
    }

    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.open.contains_key(&id)
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// `counted`: for its address, too, which a proxy's are not, since they are many people's.
    pub fn admit(&mut self, address: Address, counted: bool) -> Admission {
        let mut displaced = None;
        let here = self
            .addresses
            .get(&address)
            .map_or(0, |counts| counts.waiting.len() + counts.busy);
        if counted && here >= self.per_address {
            displaced = self.oldest_waiting(address);
            if displaced.is_none() {
                return Admission::Refused;
            }
        } else if self.open.len() >= self.room {
            // Of whoever has the most of them.
            let most = self
                .addresses
                .iter()
                .max_by_key(|(_, counts)| counts.waiting.len())
                .map(|(address, _)| *address);
            displaced = most.and_then(|address| self.oldest_waiting(address));
            if displaced.is_none() {
                return Admission::Refused;
            }
        }
        if let Some(displaced) = displaced {
            self.leave(displaced);
        }
        let order = self.order();
        let id = ConnectionId(order);
        if counted {
            self.open.insert(id, (address, Activity::Waiting, order));
            self.addresses
                .entry(address)
                .or_default()
                .waiting
                .insert((order, id));
        } else {
            self.open.insert(id, (address, Activity::Joined, order));
        }
        Admission::Admitted { id, displaced }
    }

    /// What was displaced stays gone, and who joined stays joined.
    pub fn set(&mut self, id: ConnectionId, activity: Activity) {
        let order = self.order();
        let Some(connection) = self.open.get_mut(&id) else {
            return;
        };
        let (address, was, since) = *connection;
        if was == activity || was == Activity::Joined {
            return;
        }
        *connection = (address, activity, order);
        self.uncount(address, id, was, since);
        let counts = self.addresses.entry(address).or_default();
        match activity {
            Activity::Waiting => {
                counts.waiting.insert((order, id));
            }
            Activity::Busy => counts.busy += 1,
            Activity::Joined => {}
        }
        self.forget(address);
    }

    pub fn leave(&mut self, id: ConnectionId) {
        if let Some((address, activity, since)) = self.open.remove(&id) {
            self.uncount(address, id, activity, since);
            self.forget(address);
        }
    }

    fn order(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn oldest_waiting(&self, address: Address) -> Option<ConnectionId> {
        self.addresses
            .get(&address)?
            .waiting
            .first()
            .map(|(_, id)| *id)
    }

    fn uncount(&mut self, address: Address, id: ConnectionId, activity: Activity, since: u64) {
        let Some(counts) = self.addresses.get_mut(&address) else {
            return;
        };
        match activity {
            Activity::Waiting => {
                counts.waiting.remove(&(since, id));
            }
            Activity::Busy => counts.busy -= 1,
            Activity::Joined => {}
        }
    }

    fn forget(&mut self, address: Address) {
        if self
            .addresses
            .get(&address)
            .is_some_and(|counts| counts.waiting.is_empty() && counts.busy == 0)
        {
            self.addresses.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(admit: Admission) -> (ConnectionId, Option<ConnectionId>) {
        match admit {
            Admission::Admitted { id, displaced } => (id, displaced),
            Admission::Refused => panic!("refused"),
        }
    }

    #[test]
    fn a_newcomer_displaces_who_waited_longest_at_its_address() {
        let mut connections = Connections::new(100, 3);
        let first = admitted(connections.admit('a', true)).0;
        let second = admitted(connections.admit('a', true)).0;
        let third = admitted(connections.admit('a', true)).0;
        // The first was answered meanwhile, and waits for less long.
        connections.set(first, Activity::Busy);
        connections.set(first, Activity::Waiting);
        assert_eq!(admitted(connections.admit('a', true)).1, Some(second));
        assert_eq!(admitted(connections.admit('b', true)).1, None);
        assert_eq!(admitted(connections.admit('a', true)).1, Some(third));
        assert_eq!(admitted(connections.admit('a', true)).1, Some(first));
        assert_eq!(connections.open(), 4);
    }

    #[test]
    fn who_is_busy_is_not_displaced_and_who_joined_does_not_count_for_its_address() {
        let mut connections = Connections::new(100, 2);
        let ids: Vec<ConnectionId> = (0..2)
            .map(|_| admitted(connections.admit('a', true)).0)
            .collect();
        for id in &ids {
            connections.set(*id, Activity::Busy);
        }
        assert_eq!(connections.admit('a', true), Admission::Refused);
        for id in &ids {
            connections.set(*id, Activity::Joined);
            connections.set(*id, Activity::Waiting);
        }
        assert_eq!(admitted(connections.admit('a', true)).1, None);
        assert_eq!(connections.open(), 3);
        for id in ids {
            connections.leave(id);
            connections.leave(id);
        }
        assert_eq!(connections.open(), 1);
    }

    #[test]
    fn when_all_is_full_the_largest_crowd_makes_room() {
        let mut connections = Connections::new(5, 4);
        let first = admitted(connections.admit('a', true)).0;
        for _ in 0..3 {
            connections.admit('a', true);
        }
        connections.admit('b', true);
        assert_eq!(admitted(connections.admit('b', true)).1, Some(first));
        assert_eq!(connections.open(), 5);
        assert_eq!(admitted(Connections::new(1, 1).admit('p', false)).1, None);
        let mut connections = Connections::new(1, 0);
        let id = admitted(connections.admit('a', true)).0;
        connections.set(id, Activity::Busy);
        assert_eq!(connections.admit('b', true), Admission::Refused);
        connections.leave(id);
        assert!(connections.addresses.is_empty() && connections.open.is_empty());
    }
}
