//! UDP ports out of the configured range, one per stream, and what becomes of them afterwards.
//!
//! A sender does not know that its stream is over. So a port that a stream leaves stays bound
//! ([`Ports::rest`]): what still comes is thrown away unread, until nothing came for a while. Only
//! then may another stream have it. Several processes may share a range: the kernel says what is
//! free, and rows in the store say what rests or rested elsewhere.

use crate::ingest::{RECEIVE_BUFFER, SrtpError};
use parking_lot::{Mutex, MutexGuard};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    time::timeout_at,
};

/// Datagrams thrown away before others run.
const BATCH: usize = 64;
/// Ports whose rest is over and that nobody took note of yet.
const RESTED_MAX: usize = 4_096;
/// Senders remembered of one rest.
const SENDERS_MAX: usize = 32;
/// Strangers told apart at one port; with more it rests in any case.
const STRANGERS_MAX: usize = 32;
/// How long a stream that was just closed may take to leave its port.
const LEAVES: Duration = Duration::from_secs(1);

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("all ports from {} to {} on {ip} are taken, or media of an earlier stream still comes there", ports.start(), ports.end())]
    NoPort {
        ip: IpAddr,
        ports: RangeInclusive<u16>,
    },
    #[error("port {port} on {ip} is taken")]
    PortTaken { ip: IpAddr, port: u16 },
    #[error("cannot receive on {ip}: {error}")]
    Socket { ip: IpAddr, error: io::Error },
    #[error(transparent)]
    Srtp(#[from] SrtpError),
    #[error("the peer connection is over")]
    Peer,
}

/// A port whose rest is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rested {
    pub port: u16,
    /// Who still sent to it.
    pub senders: BTreeSet<SocketAddr>,
}

/// A bound port.
#[derive(Debug)]
pub struct Place {
    pub port: u16,
    pub(super) socket: UdpSocket,
    pub(super) ports: Ports,
    /// Of a port that did not rest: who sent here beside the stream's sender, as long as this is
    /// bound.
    pub strangers: BTreeSet<SocketAddr>,
}

impl Place {
    /// Nothing more is received here until it was quiet. `known`: who sent to the stream
    /// that had it; `None`: that is not known.
    pub fn rest(self, known: Option<PortSenders>) {
        let Self {
            port,
            socket,
            ports,
            ..
        } = self;
        ports.rest(socket, port, known);
    }
}

/// Who sent to the port of a stream that is over.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PortSenders {
    /// Where its media came from.
    pub address: Option<SocketAddr>,
    /// Who sent here and was not taken. `None`: too many.
    pub strangers: Option<BTreeSet<SocketAddr>>,
}

impl PortSenders {
    fn add(&mut self, from: SocketAddr) {
        if self.address != Some(from)
            && let Some(strangers) = &mut self.strangers
        {
            strangers.insert(from);
            if strangers.len() > STRANGERS_MAX {
                self.strangers = None;
            }
        }
    }
}

/// Who sends to a stream's port and is not taken.
#[derive(Debug)]
pub(super) struct Strangers(Option<BTreeSet<SocketAddr>>);

impl Strangers {
    /// `known`: from before this stream.
    pub fn new(known: BTreeSet<SocketAddr>) -> Self {
        Self(Some(known))
    }

    pub fn add(&mut self, from: SocketAddr) {
        let mut known = PortSenders {
            address: None,
            strangers: self.0.take(),
        };
        known.add(from);
        self.0 = known.strangers;
    }

    pub fn senders(self, address: Option<SocketAddr>) -> PortSenders {
        let strangers = self.0.map(|all| {
            all.into_iter()
                .filter(|one| Some(*one) != address)
                .collect()
        });
        PortSenders { address, strangers }
    }
}

/// A port that rests, on its way back.
type Back = oneshot::Sender<(UdpSocket, Option<PortSenders>)>;

/// The ports of one process. Clones share them.
#[derive(Clone, Debug)]
pub struct Ports(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ip: IpAddr,
    range: RangeInclusive<u16>,
    quiet: Duration,
    /// Ports that rest, each with a way to have it back.
    resting: Mutex<BTreeMap<u16, oneshot::Sender<Back>>>,
    rested: mpsc::Sender<Rested>,
}

impl Ports {
    /// On `ip` (`rtp.bind`), of `range` (`rtp.ports`). A port rests until nothing came for `quiet`;
    /// then it comes out of the receiver.
    pub fn new(
        ip: IpAddr,
        range: RangeInclusive<u16>,
        quiet: Duration,
    ) -> (Self, mpsc::Receiver<Rested>) {
        let (rested, rests) = mpsc::channel(RESTED_MAX);
        (
            Self(Arc::new(Inner {
                ip,
                range,
                quiet,
                resting: Mutex::default(),
                rested,
            })),
            rests,
        )
    }

    pub fn ip(&self) -> IpAddr {
        self.0.ip
    }

    pub fn range(&self) -> &RangeInclusive<u16> {
        &self.0.range
    }

    /// Exactly this port, also when it rests: for a stream that had it before.
    pub async fn again(&self, port: u16) -> Result<Place, OpenError> {
        match self.wake(port).await {
            Some((socket, _)) => Ok(self.place(port, socket, BTreeSet::new())),
            None => self.bind(port),
        }
    }

    /// This port from its rest, for the stream that takes the place of the one before; that may
    /// just be leaving it. Not where it is unknown who else sends there.
    pub async fn reuse(&self, port: u16) -> Result<Place, OpenError> {
        let until = Instant::now() + LEAVES;
        loop {
            match self.wake(port).await {
                Some((
                    socket,
                    Some(PortSenders {
                        strangers: Some(strangers),
                        ..
                    }),
                )) => {
                    return Ok(self.place(port, socket, strangers));
                }
                Some((socket, known)) => {
                    self.rest(socket, port, known);
                    return Err(OpenError::PortTaken {
                        ip: self.0.ip,
                        port,
                    });
                }
                None if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(5)).await
                }
                None => {
                    return Err(OpenError::PortTaken {
                        ip: self.0.ip,
                        port,
                    });
                }
            }
        }
    }

    /// A port's socket out of its rest.
    async fn wake(&self, port: u16) -> Option<(UdpSocket, Option<PortSenders>)> {
        let resting = self.resting().remove(&port)?;
        let (give, given) = oneshot::channel();
        resting.send(give).ok()?;
        given.await.ok()
    }

    fn place(&self, port: u16, socket: UdpSocket, strangers: BTreeSet<SocketAddr>) -> Place {
        Place {
            port,
            socket,
            ports: self.clone(),
            strangers,
        }
    }

    /// Exactly this port, when it is free.
    pub fn bind(&self, port: u16) -> Result<Place, OpenError> {
        let ip = self.0.ip;
        match bind(ip, port) {
            Ok(socket) => Ok(self.place(port, socket, BTreeSet::new())),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(OpenError::PortTaken { ip, port })
            }
            Err(error) => Err(OpenError::Socket { ip, error }),
        }
    }

    /// Any free port that is not of `never`, and of `rather_not` only when there is no other; tried
    /// from a random one on.
    pub fn take(
        &self,
        never: &BTreeSet<u16>,
        rather_not: &BTreeSet<u16>,
    ) -> Result<Place, OpenError> {
        let (ip, range) = (self.0.ip, &self.0.range);
        let none = || OpenError::NoPort {
            ip,
            ports: range.clone(),
        };
        let count = range.len();
        if count == 0 {
            return Err(none());
        }
        let begin = fastrand::usize(..count);
        let all = || {
            range
                .clone()
                .cycle()
                .skip(begin)
                .take(count)
                .filter(|port| !never.contains(port))
        };
        let (last, first): (Vec<u16>, Vec<u16>) = all().partition(|port| rather_not.contains(port));
        for port in first.into_iter().chain(last) {
            match bind(ip, port) {
                Ok(socket) => return Ok(self.place(port, socket, BTreeSet::new())),
                // Privileged ports within the range are as good as taken.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
                    ) => {}
                Err(error) => return Err(OpenError::Socket { ip, error }),
            }
        }
        Err(none())
    }

    fn rest(&self, socket: UdpSocket, port: u16, mut known: Option<PortSenders>) {
        let (back, wanted) = oneshot::channel();
        let count = {
            let mut resting = self.resting();
            resting.insert(port, back);
            resting.len()
        };
        metrics::gauge!("hansard_rtp_ports_resting").set(count as f64);
        let ports = self.clone();
        tokio::spawn(async move {
            let mut senders = BTreeSet::new();
            tokio::select! {
                Ok(give) = wanted => {
                    for from in senders {
                        known.as_mut().into_iter().for_each(|known| known.add(from));
                    }
                    let _ = give.send((socket, known));
                }
                () = drain(&socket, ports.0.quiet, &mut senders) => {
                    // Forgotten before it is free, so that it cannot be wanted back when it is
                    // somebody's.
                    let count = {
                        let mut resting = ports.resting();
                        resting.remove(&port);
                        resting.len()
                    };
                    metrics::gauge!("hansard_rtp_ports_resting").set(count as f64);
                    drop(socket);
                    // Full: its row says that it still rests, and it will be looked at again.
                    let _ = ports.0.rested.try_send(Rested { port, senders });
                }
            }
        });
    }

    fn resting(&self) -> MutexGuard<'_, BTreeMap<u16, oneshot::Sender<Back>>> {
        self.0.resting.lock()
    }
}

/// Throws away what comes, until nothing came for `quiet`; notes who sent it.
async fn drain(socket: &UdpSocket, quiet: Duration, senders: &mut BTreeSet<SocketAddr>) {
    let mut heard = Instant::now();
    while let Ok(ready) = timeout_at((heard + quiet).into(), socket.readable()).await {
        if ready.is_err() {
            break;
        }
        for _ in 0..BATCH {
            // Longer than one byte is cut off unread.
            match socket.try_recv_from(&mut [0]) {
                Ok((_, from)) => {
                    heard = Instant::now();
                    if senders.len() < SENDERS_MAX {
                        senders.insert(SocketAddr::new(from.ip().to_canonical(), from.port()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        tokio::task::yield_now().await;
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(ip, port);
    // No SO_REUSEADDR: a port is one stream's alone.
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // The kernel grants what net.core.rmem_max allows; less is no reason to refuse the stream.
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "receive buffer");
    }
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// So many free ports in a row, below those that the kernel gives out by itself.
    fn row(count: u16, quiet: Duration) -> (Ports, mpsc::Receiver<Rested>) {
        loop {
            let first = fastrand::u16(21_000..30_000);
            let range = first..=first + count - 1;
            if range
                .clone()
                .all(|port| std::net::UdpSocket::bind((LOOPBACK, port)).is_ok())
            {
                return Ports::new(LOOPBACK, range, quiet);
            }
        }
    }

    #[tokio::test]
    async fn takes_free_ports_only_and_says_when_there_are_none() {
        let none = BTreeSet::new();
        let (ports, _rests) = row(3, Duration::from_millis(50));
        let first = *ports.range().start();
        let avoided = [first, first + 1].into();
        let a = ports.take(&none, &avoided).expect("free");
        assert_eq!(a.port, first + 2, "what is avoided comes last");
        assert!(matches!(
            ports.again(a.port).await,
            Err(OpenError::PortTaken { .. })
        ));
        let b = ports.take(&[first].into(), &avoided).expect("free");
        assert_eq!(b.port, first + 1);
        assert!(matches!(
            ports.take(&[first].into(), &none),
            Err(OpenError::NoPort { .. })
        ));
        drop(a);
        assert_eq!(
            ports.take(&[first].into(), &none).expect("free again").port,
            first + 2
        );
    }

    #[tokio::test]
    async fn a_port_rests_while_anything_comes_and_for_a_while_after() {
        let none = BTreeSet::new();
        let quiet = Duration::from_millis(400);
        let (ports, mut rests) = row(1, quiet);
        let place = ports.take(&none, &none).expect("free");
        let (port, sender) = (
            place.port,
            UdpSocket::bind((LOOPBACK, 0)).await.expect("a port"),
        );
        place.rest(None);
        let mut last = Instant::now();
        for _ in 0..15 {
            sender
                .send_to(b"still here", (LOOPBACK, port))
                .await
                .expect("loopback");
            last = Instant::now();
            assert!(ports.take(&none, &none).is_err() && rests.try_recv().is_err());
            tokio::time::sleep(quiet / 5).await;
        }
        let rested = tokio::time::timeout(Duration::from_secs(10), rests.recv()).await;
        let senders = [sender.local_addr().expect("bound")].into();
        assert_eq!(rested.expect("in time"), Some(Rested { port, senders }));
        assert!(last.elapsed() >= quiet);
        let place = ports.take(&none, &none).expect("free again");
        // Whoever had it may have it back from its rest.
        place.rest(None);
        assert!(
            ports.bind(port).is_err() && ports.reuse(port).await.is_err(),
            "nobody knows who sends there"
        );
        assert_eq!(ports.again(port).await.expect("it rests here").port, port);
    }

    #[tokio::test]
    async fn a_port_that_is_used_again_at_once_brings_along_who_else_sends_there() {
        let none = BTreeSet::new();
        let (ports, _rests) = row(1, Duration::from_secs(60));
        let place = ports.take(&none, &none).expect("free");
        let port = place.port;
        let [own, other, third] = [1, 2, 3].map(|n| SocketAddr::from(([127, 0, 0, 1], n)));
        let mut strangers = Strangers::new(BTreeSet::new());
        [own, other]
            .into_iter()
            .for_each(|from| strangers.add(from));
        let known = strangers.senders(Some(own));
        assert_eq!(known.strangers, Some([other].into()));
        let later = ports.clone();
        let leaving = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            place.rest(Some(known));
        });
        let place = later.reuse(port).await.expect("it comes to rest");
        leaving.await.expect("no panic");
        assert_eq!(place.strangers, [other].into());
        // Too many to tell apart: it rests.
        let mut strangers = Strangers::new([third].into());
        (0..40).for_each(|n| strangers.add(SocketAddr::from(([127, 0, 0, 1], 100 + n))));
        place.rest(Some(strangers.senders(Some(own))));
        assert!(later.reuse(port).await.is_err() && later.bind(port).is_err());
    }
}
