//! WebRTC: one UDP port for all browsers of a process ([`Endpoint`]), and a task for each peer
//! connection ([`Peer`]).
//!
//! `socket` receives and sends (`tcp` for those whose networks let no UDP out), `routes` knows
//! which peer a datagram is for, `task` is the one that owns a connection's state (ICE-lite, DTLS,
//! SRTP: by str0m, which does no IO), `receiver` one stream of it, on its way to the meeting,
//! `hearing` what the other side gets of the others, `pictures` which pictures of them.
//!
//! **Invariants.** Whoever did not prove by an ICE check that it knows the peer's password is heard
//! by nobody: its datagrams are counted and dropped before any state is looked at. A peer has no
//! route before its fingerprint is known. Each peer has a bounded queue, so that one that is
//! flooded costs others nothing; a panic in one ends that one.

mod hearing;
mod peer;
mod pictures;
mod receiver;
mod routes;
mod section;
mod setup;
mod socket;
mod task;
mod tcp;

pub use hearing::{Hears, Notice, OwnOffer};
pub use peer::{Answer, Peer, Refused};

use super::{Arrival, OpenError, Seen, Stream, StreamConfig, delivery::Delivery};
use crate::domain::{codec::Codec, id::StreamId};
use parking_lot::Mutex;
use receiver::Receiver;
use routes::Routes;
use socket::Sockets;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use str0m::{
    config::{CryptoProvider, DtlsCert},
    crypto,
    net::{Protocol, Transmit},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Ports that the system chose for UDP, until one is free for TCP.
const BIND_TRIES: u32 = 32;

/// The WebRTC port of a process. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
    _close: Arc<DropGuard>,
}

/// What the port's tasks and its peers have in common.
struct Shared {
    sockets: Sockets,
    connections: tcp::Connections,
    /// Where clients reach the port.
    candidates: Vec<SocketAddr>,
    routes: Mutex<Routes>,
    crypto: Arc<CryptoProvider>,
    /// Ours: peers prove themselves by theirs.
    certificate: DtlsCert,
}

impl Endpoint {
    /// Binds `port` (0: any free one) on `ip`; clients are told the addresses `public`. Must be
    /// called within a Tokio runtime.
    ///
    /// # Errors
    /// When the port is taken, or an address of `public` is of a family that `ip` does not receive.
    pub fn bind(ip: IpAddr, port: u16, public: &[IpAddr]) -> io::Result<Self> {
        let (sockets, listeners) = bind(ip, port, public)?;
        let crypto = Arc::new(crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| io::Error::other("no certificate for DTLS can be made"))?;
        let candidates = public
            .iter()
            .map(|ip| SocketAddr::new(*ip, sockets.port()))
            .collect();
        let shared = Arc::new(Shared {
            sockets,
            connections: tcp::Connections::default(),
            candidates,
            routes: Mutex::default(),
            crypto,
            certificate,
        });
        let close = CancellationToken::new();
        socket::receive_all(&shared, &close);
        tcp::accept_all(&shared, listeners, &close);
        Ok(Self {
            shared,
            _close: Arc::new(close.drop_guard()),
        })
    }

    pub fn port(&self) -> u16 {
        self.shared.sockets.port()
    }

    /// Begins a connection, which waits for its offer. It is over when the last clone of the
    /// answer is dropped. Its task takes over the span. `hears`: whose participant is told what the
    /// others send; `None`: it only sends.
    pub fn peer(&self, hears: Option<Hears>) -> Peer {
        task::start(self.shared.clone(), hears)
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("port", &self.port())
            .finish()
    }
}

/// UDP and TCP on one port.
fn bind(ip: IpAddr, port: u16, public: &[IpAddr]) -> io::Result<(Sockets, Vec<TcpListener>)> {
    let mut tries = 0;
    loop {
        let sockets = Sockets::bind(ip, port, public)?;
        match sockets.listen() {
            Ok(listeners) => return Ok((sockets, listeners)),
            // One that is free for UDP may be taken for TCP.
            Err(error)
                if port == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Shared {
    fn send(&self, sent: &Transmit) {
        if sent.proto == Protocol::Tcp {
            self.connections.send(&sent.contents, sent.destination);
        } else {
            self.sockets.send(&sent.contents, sent.destination);
        }
    }
}

/// Begins to take the packets of a media section.
pub(super) fn open(
    config: StreamConfig,
    peer: &Peer,
    mid: &str,
    to: mpsc::Sender<(StreamId, Arrival)>,
) -> Result<Stream, OpenError> {
    let (stream, open) = Stream::new(Seen::default());
    if let (Codec::Video(_), Some(live)) = (config.codec, &config.live) {
        live.asked_by(peer.key_frames(mid.into()));
    }
    let delivery = Delivery::new(config.stream, to, config.live.clone());
    peer.receive(Receiver::new(mid, config, delivery, open))?;
    Ok(stream)
}
