//! Which peer a datagram is for: by the name in an ICE check (RFC 8445 7.3), then by the address
//! that such a check came from.

use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Instant,
};
use tokio::sync::mpsc;

/// Addresses of one peer: its networks, each by IPv4, IPv6 and TURN. With more the oldest goes.
const ADDRESSES_MAX: usize = 16;

/// How a datagram travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    Udp,
    Tcp,
}

/// What came for a peer.
#[derive(Debug)]
pub struct Datagram {
    pub at: Instant,
    pub over: Over,
    pub from: SocketAddr,
    /// Our candidate that it was sent to.
    pub to: SocketAddr,
    pub bytes: Bytes,
}

/// Of a peer, unique in the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PeerNumber(u64);

#[derive(Debug)]
struct Route {
    ufrag: String,
    password: String,
    to: mpsc::Sender<Datagram>,
    /// That proved themselves, oldest first.
    addresses: VecDeque<(Over, SocketAddr)>,
}

#[derive(Default, Debug)]
pub struct Routes {
    last: u64,
    peers: HashMap<PeerNumber, Route>,
    names: HashMap<String, PeerNumber>,
    addresses: HashMap<(Over, SocketAddr), PeerNumber>,
}

impl Routes {
    /// A peer whose checks carry this name, and prove themselves by this password.
    pub fn enter(
        &mut self,
        ufrag: String,
        password: String,
        to: mpsc::Sender<Datagram>,
    ) -> PeerNumber {
        self.last += 1;
        let peer = PeerNumber(self.last);
        self.names.insert(ufrag.clone(), peer);
        let route = Route {
            ufrag,
            password,
            to,
            addresses: VecDeque::new(),
        };
        self.peers.insert(peer, route);
        self.count();
        peer
    }

    /// After an ICE restart. What its addresses send goes on to be heard.
    pub fn rename(&mut self, peer: PeerNumber, ufrag: String, password: String) {
        let Some(route) = self.peers.get_mut(&peer) else {
            return;
        };
        if route.ufrag != ufrag {
            self.names.remove(&route.ufrag);
            self.names.insert(ufrag.clone(), peer);
        }
        (route.ufrag, route.password) = (ufrag, password);
    }

    pub fn leave(&mut self, peer: PeerNumber) {
        if let Some(route) = self.peers.remove(&peer) {
            self.names.remove(&route.ufrag);
            for address in route.addresses {
                if self.addresses.get(&address) == Some(&peer) {
                    self.addresses.remove(&address);
                }
            }
        }
        self.count();
    }

    /// The peer whose checks carry this name, and what they are proven by.
    pub fn named(&self, ufrag: &str) -> Option<(PeerNumber, &str)> {
        let peer = *self.names.get(ufrag)?;
        Some((peer, &self.peers.get(&peer)?.password))
    }

    /// A check of this peer came from there, and proved itself: whatever comes from there is its.
    pub fn proven(&mut self, peer: PeerNumber, from: (Over, SocketAddr)) {
        if self.addresses.get(&from) == Some(&peer) {
            return;
        }
        let Some(route) = self.peers.get_mut(&peer) else {
            return;
        };
        route.addresses.push_back(from);
        let oldest = (route.addresses.len() > ADDRESSES_MAX)
            .then(|| route.addresses.pop_front())
            .flatten();
        // Somebody else's before: a network address translator gave the port to another.
        if let Some(before) = self.addresses.insert(from, peer)
            && let Some(route) = self.peers.get_mut(&before)
        {
            route.addresses.retain(|address| *address != from);
        }
        if let Some(oldest) = oldest {
            self.addresses.remove(&oldest);
        }
    }

    pub fn of(&self, peer: PeerNumber) -> Option<&mpsc::Sender<Datagram>> {
        Some(&self.peers.get(&peer)?.to)
    }

    /// Whose address this is.
    pub fn at(&self, from: (Over, SocketAddr)) -> Option<&mpsc::Sender<Datagram>> {
        self.of(*self.addresses.get(&from)?)
    }

    fn count(&self) {
        metrics::gauge!("hansard_webrtc_peers").set(self.peers.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> (Over, SocketAddr) {
        (Over::Udp, SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn route() -> (mpsc::Sender<Datagram>, mpsc::Receiver<Datagram>) {
        mpsc::channel(1)
    }

    #[test]
    fn a_peer_is_found_by_name_and_by_what_it_proved() {
        let mut routes = Routes::default();
        let (ana, bob) = (route(), route());
        let first = routes.enter("ana".into(), "a".into(), ana.0.clone());
        let second = routes.enter("bob".into(), "b".into(), bob.0.clone());
        assert_eq!(routes.named("ana"), Some((first, "a")));
        assert!(routes.named("carol").is_none() && routes.at(at(1)).is_none());
        routes.proven(first, at(1));
        assert!(routes.at(at(1)).is_some_and(|to| to.same_channel(&ana.0)));
        // The port is another's now.
        routes.proven(second, at(1));
        assert!(routes.at(at(1)).is_some_and(|to| to.same_channel(&bob.0)));
        routes.leave(first);
        assert!(routes.at(at(1)).is_some() && routes.named("ana").is_none());
        assert!(routes.at((Over::Tcp, at(1).1)).is_none());
        routes.leave(second);
        assert!(routes.at(at(1)).is_none() && routes.addresses.is_empty());
    }

    #[test]
    fn a_restart_has_another_name_and_the_same_addresses() {
        let mut routes = Routes::default();
        let ana = route();
        let peer = routes.enter("old".into(), "a".into(), ana.0);
        routes.proven(peer, at(1));
        routes.rename(peer, "new".into(), "n".into());
        assert!(routes.named("old").is_none() && routes.at(at(1)).is_some());
        assert_eq!(routes.named("new"), Some((peer, "n")));
    }

    #[test]
    fn a_peer_has_so_many_addresses_and_no_more() {
        let mut routes = Routes::default();
        let ana = route();
        let peer = routes.enter("ana".into(), "a".into(), ana.0);
        for port in 1..=1_000 {
            routes.proven(peer, at(port));
        }
        assert_eq!(routes.addresses.len(), ADDRESSES_MAX);
        assert!(routes.at(at(1_000)).is_some() && routes.at(at(1)).is_none());
    }
}
