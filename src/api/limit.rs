//! How much one address and one credential may ask. Generous: whoever meets a limit is a fault or
//! means harm. Declining and withdrawing consent is never held back.

use super::{problem::Problem, secret::Secret, token::COOKIE};
use crate::{
    domain::{
        connections::Activity,
        rate::{Rate, Rates},
    },
    ingest::Network,
};
use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

/// What an address or credential may use at once, in seconds of its rate.
const BURST_S: u32 = 20;
/// Of these, requests that open a socket: one in so many.
const SOCKETS_ONE_IN: u32 = 2;
/// A participant's own tokens ask for one person, not for a whole server or link: one in so many.
const PERSON_ONE_IN: u32 = 10;

/// Whose connection a request came by: a client's, or a proxy's. Absent in tests that call the
/// router.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Who counts as one by address: the client, as far as proxies that are trusted tell. IPv6 by the
/// network of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Client(pub IpAddr);

/// The connection's place, to say what it does.
#[derive(Clone)]
pub struct ConnectionHandle(Arc<dyn Fn(Activity) + Send + Sync>);

impl ConnectionHandle {
    pub fn new(set: impl Fn(Activity) + Send + Sync + 'static) -> Self {
        Self(Arc::new(set))
    }

    pub fn set(&self, activity: Activity) {
        (self.0)(activity);
    }
}

impl fmt::Debug for ConnectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionHandle")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Key {
    Address(IpAddr),
    Sockets(IpAddr),
    Credential([u8; 16]),
}

/// What is allowed, and what was used.
#[derive(Debug)]
pub struct Limits {
    /// Requests a second; 0: no limit.
    pub per_address: u32,
    pub per_credential: u32,
    pub trusted: Arc<[Network]>,
    used: Mutex<Rates<Key>>,
    began: Instant,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(500, 500, Arc::default())
    }
}

impl Limits {
    pub fn new(per_address: u32, per_credential: u32, trusted: Arc<[Network]>) -> Self {
        Self {
            per_address,
            per_credential,
            trusted,
            used: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// Who asks, by the connection's other end and what trusted proxies say of it: the rightmost
    /// address that is no trusted proxy's. What stands left of it anybody may have written.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let trusts = |ip: IpAddr| self.trusted.iter().any(|network| network.contains(ip));
        let mut client = peer.to_canonical();
        if !trusts(client) {
            return Client(counted_as(client));
        }
        let values = headers
            .get_all("x-forwarded-for")
            .iter()
            .collect::<Vec<_>>();
        let entries = values
            .iter()
            .rev()
            .flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for entry in entries {
            // What cannot be read was not written by a proxy that we know: the last known one
            // answers for it.
            let Some(ip) = forwarded(entry) else { break };
            client = ip;
            if !trusts(ip) {
                break;
            }
        }
        Client(counted_as(client))
    }

    /// Counts one request.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn take(
        &self,
        client: Option<Client>,
        headers: &HeaderMap,
        opens_socket: bool,
    ) -> Result<(), Problem> {
        let mut used = self.used.lock();
        let now_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut take = |key, per_second| {
            let rate = Rate {
                per_second,
                burst: per_second.saturating_mul(BURST_S),
            };
            used.take(key, rate, now_us).map_err(|wait_us| {
                metrics::counter!("hansard_http_limited_total").increment(1);
                Problem::too_many_requests(wait_us.div_ceil(1_000_000))
            })
        };
        let part = |all: u32, one_in: u32| if all == 0 { 0 } else { (all / one_in).max(1) };
        if let Some(Client(ip)) = client {
            if opens_socket {
                take(Key::Sockets(ip), part(self.per_address, SOCKETS_ONE_IN))?;
            }
            take(Key::Address(ip), self.per_address)?;
        }
        if let Some((credential, is_person)) = credential(headers) {
            let per_second = if is_person {
                part(self.per_credential, PERSON_ONE_IN)
            } else {
                self.per_credential
            };
            take(Key::Credential(credential), per_second)?;
        }
        Ok(())
    }
}

/// A credential's fingerprint, and whether it is a participant's own token.
fn credential(headers: &HeaderMap) -> Option<([u8; 16], bool)> {
    let (text, is_person) = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let text = value.as_bytes();
            let token = text
                .iter()
                .position(|byte| *byte == b' ')
                .map_or(text, |at| &text[at + 1..]);
            (
                text,
                ![Secret::API_KEY, Secret::LINK]
                    .iter()
                    .any(|shared| token.starts_with(shared.as_bytes())),
            )
        }
        None => {
            let cookie = headers.get(header::COOKIE)?;
            let ours = cookie
                .to_str()
                .ok()?
                .split(';')
                .find(|pair| pair.trim().starts_with(COOKIE))?;
            (ours.trim().as_bytes(), true)
        }
    };
    let hash = Sha256::digest(text);
    Some((hash[..16].try_into().ok()?, is_person))
}

/// One entry of `X-Forwarded-For`: an address, maybe with a port.
fn forwarded(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let ip = entry
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|at| at.ip()));
    let ip = ip.or_else(|| {
        entry
            .strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6)
    });
    Some(ip?.to_canonical())
}

/// Who counts as one: an IPv4 address, or the IPv6 network that one customer has.
pub fn counted_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_is_the_rightmost_address_that_no_trusted_proxy_has() {
        let trusted: Arc<[Network]> = ["10.0.0.0/8", "fd00::/8"]
            .map(|net| net.parse().expect("a network"))
            .into();
        let limits = Limits::new(1, 1, trusted);
        for (peer, said, client) in [
            ("192.0.2.1", &[] as &[&str], "192.0.2.1"),
            // Not from a proxy: it may say what it likes.
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["1.1.1.1, 198.51.100.7, 10.9.9.9"],
                "198.51.100.7",
            ),
            (
                "10.0.0.1",
                &["1.1.1.1", "198.51.100.7:443,10.9.9.9"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["198.51.100.7, rubbish"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("fd00::1", &["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::"),
            ("10.0.0.1", &["[2001:db8:1:2:3:4:5:6]:80"], "2001:db8:1:2::"),
            ("2001:db8:1:2:3::9", &[], "2001:db8:1:2::"),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            assert_eq!(
                limits.client(ip(peer), &headers),
                Client(ip(client)),
                "{peer} {said:?}"
            );
        }
    }

    #[test]
    fn an_address_and_a_credential_have_each_their_own_allowance() {
        let limits = Limits::new(10, 10, Arc::default());
        let (here, there) = (Some(Client(ip("192.0.2.1"))), Some(Client(ip("192.0.2.2"))));
        let with = |token: &'static str| {
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(token))])
        };
        let passed = |client, headers: &HeaderMap, socket| {
            (0..1000)
                .filter(|_| limits.take(client, headers, socket).is_ok())
                .count()
        };
        // A few more than the burst, as time goes by.
        let about = |passed: usize, burst: usize| {
            assert!((burst..burst + 20).contains(&passed), "{passed} of {burst}")
        };
        about(passed(here, &HeaderMap::new(), true), 100);
        about(passed(here, &HeaderMap::new(), false), 100);
        about(passed(there, &with("Bearer hk_one"), false), 200);
        about(passed(None, &with("Bearer hk_one"), false), 0);
        about(passed(None, &with("Bearer a.person.s"), false), 20);
        let none = Limits::new(0, 0, Arc::default());
        assert!((0..5000).all(|_| none.take(here, &with("Bearer a.person.s"), true).is_ok()));
    }
}
