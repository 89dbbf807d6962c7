//! The port itself: what comes is handed to the peer that it is for, or counted and dropped.

use super::{
    Shared,
    routes::{Datagram, Over},
};
use crate::ingest::{DATAGRAM_MAX, RECEIVE_BUFFER};
use bytes::Bytes;
use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use str0m::ice::StunMessage;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// Datagrams taken before the task lets others run.
const BATCH: usize = 64;
/// Asked of the kernel: many voices come here, not one.
const BUFFER: usize = 8 * RECEIVE_BUFFER;
/// TCP connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// After an error of the socket.
const AGAIN: Duration = Duration::from_millis(50);

/// One socket, or one for each family.
pub struct Sockets {
    port: u16,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    /// The IPv6 one is for both.
    both: bool,
}

impl Sockets {
    pub fn bind(ip: IpAddr, port: u16, public: &[IpAddr]) -> io::Result<Self> {
        let wanted = |v6: bool| public.iter().any(|public| public.is_ipv6() == v6);
        let mut sockets = Self {
            port,
            v4: None,
            v6: None,
            both: ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        match ip {
            IpAddr::V4(_) => {
                let socket = open(SocketAddr::new(ip, port), true)?;
                sockets.port = socket.local_addr()?.port();
                sockets.v4 = Some(socket);
                if ip.is_unspecified() && wanted(true) {
                    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), sockets.port);
                    sockets.v6 = Some(open(any, true)?);
                }
            }
            IpAddr::V6(_) => {
                let socket = open(SocketAddr::new(ip, port), !sockets.both)?;
                sockets.port = socket.local_addr()?.port();
                sockets.v6 = Some(socket);
            }
        }
        let lacking = public
            .iter()
            .find(|public| sockets.toward(**public).is_none());
        match lacking {
            Some(public) => Err(io::Error::other(format!(
                "what is sent to {public} does not come to {ip}"
            ))),
            None => Ok(sockets),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn toward(&self, ip: IpAddr) -> Option<&UdpSocket> {
        match ip {
            IpAddr::V4(_) if !self.both => self.v4.as_ref(),
            _ => self.v6.as_ref(),
        }
    }

    /// The same ports for TCP.
    pub fn listen(&self) -> io::Result<Vec<TcpListener>> {
        let of = |socket: &UdpSocket| {
            let at = socket.local_addr()?;
            let listener = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
            if at.is_ipv6() {
                listener.set_only_v6(!self.both)?;
            }
            // Connections of the process before are no reason to wait.
            listener.set_reuse_address(true)?;
            listener.set_nonblocking(true)?;
            listener.bind(&at.into())?;
            listener.listen(BACKLOG)?;
            TcpListener::from_std(listener.into())
        };
        [&self.v4, &self.v6].into_iter().flatten().map(of).collect()
    }

    /// Never waits: what cannot be sent at once is lost, as on any network.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) {
        let Some(socket) = self.toward(to.ip()) else {
            return;
        };
        let to = match to.ip() {
            IpAddr::V4(ip) if self.both => {
                SocketAddr::new(Ipv4Addr::to_ipv6_mapped(&ip).into(), to.port())
            }
            _ => to,
        };
        if socket.try_send_to(bytes, to).is_err() {
            metrics::counter!("hansard_webrtc_unsent_total").increment(1);
        }
    }
}

fn open(at: SocketAddr, one_family: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    if at.is_ipv6() {
        socket.set_only_v6(one_family)?;
    }
    // As much as the system allows.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

/// Receives until `close`.
pub fn receive_all(shared: &Arc<Shared>, close: &CancellationToken) {
    for v6 in [false, true] {
        let shared = shared.clone();
        let there = |shared: &Shared| {
            let sockets = &shared.sockets;
            if v6 {
                sockets.v6.is_some()
            } else {
                sockets.v4.is_some()
            }
        };
        if !there(&shared) {
            continue;
        }
        let receiving = async move {
            // The reading of checks is another's code, and a datagram is anybody's to send.
            while AssertUnwindSafe(receive(&shared, v6))
                .catch_unwind()
                .await
                .is_err()
            {
                error!("a datagram made the reader of the WebRTC port panic; it goes on");
            }
        };
        tokio::spawn(close.clone().run_until_cancelled_owned(receiving));
    }
}

async fn receive(shared: &Shared, v6: bool) {
    let sockets = &shared.sockets;
    let Some(socket) = (if v6 { &sockets.v6 } else { &sockets.v4 }) else {
        return;
    };
    let mut buffer = [0; DATAGRAM_MAX + 1];
    loop {
        if let Err(error) = socket.readable().await {
            debug!(%error, "the WebRTC port");
            tokio::time::sleep(AGAIN).await;
        }
        for _ in 0..BATCH {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    take(shared, Over::Udp, Instant::now(), &buffer[..length], from);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP answer to something sent.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    debug!(%error, "the WebRTC port");
                    tokio::time::sleep(AGAIN).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// What shares a port, by the first byte (RFC 7983).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Stun,
    Dtls,
    Media,
    Other,
}

impl Kind {
    fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            Some(0..=3) => Self::Stun,
            Some(20..=63) => Self::Dtls,
            Some(128..=191) => Self::Media,
            _ => Self::Other,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Dtls => "dtls",
            Self::Media => "media",
            Self::Other => "other",
        }
    }
}

/// Hands it to the peer that it is for; `false` when there is none.
pub fn take(shared: &Shared, over: Over, at: Instant, datagram: &[u8], from: SocketAddr) -> bool {
    let kind = Kind::of(datagram);
    let to = shared
        .candidates
        .iter()
        .find(|candidate| candidate.is_ipv4() == from.is_ipv4());
    let peer = if datagram.len() > DATAGRAM_MAX {
        None
    } else {
        match kind {
            Kind::Stun => checked(shared, datagram, (over, from)),
            Kind::Dtls | Kind::Media => shared.routes.lock().at((over, from)).cloned(),
            Kind::Other => None,
        }
    };
    let (Some(peer), Some(to)) = (peer, to) else {
        metrics::counter!("hansard_webrtc_strangers_total", "kind" => kind.as_str()).increment(1);
        return false;
    };
    let datagram = Datagram {
        at,
        over,
        from,
        to: *to,
        bytes: Bytes::copy_from_slice(datagram),
    };
    if peer.try_send(datagram).is_err() {
        metrics::counter!("hansard_webrtc_dropped_total").increment(1);
    }
    true
}

/// The peer that a check is for, if it proves itself. From then on the address is the peer's.
fn checked(
    shared: &Shared,
    datagram: &[u8],
    from: (Over, SocketAddr),
) -> Option<tokio::sync::mpsc::Sender<Datagram>> {
    let message = StunMessage::parse(datagram).ok()?;
    if !message.is_binding_request() {
        // We never ask, so nothing is answered.
        return None;
    }
    let (ours, _) = message.split_username()?;
    let hmac = shared.crypto.sha1_hmac_provider;
    let mut routes = shared.routes.lock();
    let (peer, password) = routes.named(ours)?;
    if !message.verify(password.as_bytes(), |key, parts| hmac.sha1_hmac(key, parts)) {
        return None;
    }
    routes.proven(peer, from);
    routes.of(peer).cloned()
}
