//! A network that can be lost, or loses packets: what goes through it, by UDP and TCP, goes on as
//! long as it is there.

use crate::support::{Scratch, server::Server};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where relays are: the server has the same ports at [`LOOPBACK`].
const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const DATAGRAM_MAX: usize = 2048;

/// A server that browsers reach only through these relays; and its own address.
pub async fn behind(pages: &Relay, media: &Relay, data: &Scratch) -> (Server, String) {
    let mut ports = Vec::new();
    for relay in [pages, media] {
        let listener = TcpListener::bind((RELAY, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        relay.tcp(listener, SocketAddr::new(LOOPBACK, port));
        ports.push(port);
    }
    let [page_port, media_port] = ports[..] else {
        unreachable!("there are two");
    };
    let datagrams = UdpSocket::bind((RELAY, media_port)).await.expect("a port");
    media.udp(datagrams, SocketAddr::new(LOOPBACK, media_port));
    let public = format!("http://{RELAY}:{page_port}");
    let listen = format!("{LOOPBACK}:{page_port}");
    let arguments = [
        "--listen",
        &listen,
        "--s3-listen",
        "127.0.0.1:0",
        "--public-url",
        &public,
        "--rtp-public-ip",
        &RELAY.to_string(),
        "--rtp-webrtc-ports",
        &format!("{media_port}-{media_port}"),
    ];
    let server = Server::start("serve", data.path(), &arguments, &[]);
    (server, format!("http://{listen}"))
}

/// Packets that are lost on the way to a server.
#[derive(Default)]
struct Loss {
    percent: AtomicU64,
    lost: AtomicU64,
    dice: AtomicU64,
}

impl Loss {
    /// Whether this datagram is lost. Only RTP is (RFC 7983 7, RFC 5761 4).
    fn takes(&self, datagram: &[u8]) -> bool {
        let is_rtp =
            matches!(datagram, [128..=191, kind, ..] if !(64..=95).contains(&(kind & 0x7f)));
        if !is_rtp {
            return false;
        }
        let step = |dice: u64| dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let dice = step(self.dice.load(Ordering::Relaxed));
        self.dice.store(dice, Ordering::Relaxed);
        let lost = (dice >> 33) % 100 < self.percent.load(Ordering::Relaxed);
        self.lost.fetch_add(u64::from(lost), Ordering::Relaxed);
        lost
    }
}

/// It ends when dropped.
pub struct Relay {
    up: watch::Sender<bool>,
    loss: Arc<Loss>,
    ended: CancellationToken,
    _ends: DropGuard,
}

impl Relay {
    pub fn new() -> Self {
        let ended = CancellationToken::new();
        Self {
            up: watch::Sender::new(true),
            loss: Arc::default(),
            _ends: ended.clone().drop_guard(),
            ended,
        }
    }

    /// Loses the network, or gets it back. Datagrams of the time between are gone; bytes of a
    /// connection come later, as TCP sends them again.
    pub fn set(&self, up: bool) {
        self.up.send_replace(up);
    }

    /// So many of a hundred packets of media do not come to the server from now on.
    pub fn lose(&self, percent: u64) {
        self.loss.percent.store(percent, Ordering::Relaxed);
    }

    /// How many packets of media did not come to the server.
    pub fn lost(&self) -> u64 {
        self.loss.lost.load(Ordering::Relaxed)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        tokio::spawn(async move { ended.run_until_cancelled(work).await });
    }

    /// Takes connections for `to`.
    pub fn tcp(&self, listener: TcpListener, to: SocketAddr) {
        let (up, ended) = (self.up.subscribe(), self.ended.clone());
        self.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (mut up, ended) = (up.clone(), ended.clone());
                tokio::spawn(async move {
                    let passing = async {
                        let _ = up.wait_for(|up| *up).await;
                        if let Ok(far) = TcpStream::connect(to).await {
                            let (near_read, near_write) = near.into_split();
                            let (far_read, far_write) = far.into_split();
                            tokio::join!(
                                pass(near_read, far_write, up.clone()),
                                pass(far_read, near_write, up.clone())
                            );
                        }
                    };
                    ended.run_until_cancelled(passing).await
                });
            }
        });
    }

    /// Takes datagrams for `to`, which sees a port of its own for each sender.
    pub fn udp(&self, near: UdpSocket, to: SocketAddr) {
        let (up, ended) = (self.up.subscribe(), self.ended.clone());
        let (near, loss) = (Arc::new(near), self.loss.clone());
        self.spawn(async move {
            let mut senders: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            let mut datagram = [0; DATAGRAM_MAX];
            while let Ok((length, from)) = near.recv_from(&mut datagram).await {
                if !*up.borrow() {
                    continue;
                }
                let far = match senders.get(&from) {
                    Some(far) => far.clone(),
                    None => {
                        let far = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
                        far.connect(to).await.expect("it is on this machine");
                        let far = Arc::new(far);
                        senders.insert(from, far.clone());
                        let back = back(far.clone(), near.clone(), from, up.clone());
                        let ended = ended.clone();
                        tokio::spawn(async move { ended.run_until_cancelled(back).await });
                        far
                    }
                };
                if !loss.takes(&datagram[..length]) {
                    let _ = far.send(&datagram[..length]).await;
                }
            }
        });
    }
}

async fn back(
    far: Arc<UdpSocket>,
    near: Arc<UdpSocket>,
    to: SocketAddr,
    up: watch::Receiver<bool>,
) {
    let mut datagram = [0; DATAGRAM_MAX];
    loop {
        // A port that is closed for now is told as an error, and opens again.
        let Ok(length) = far.recv(&mut datagram).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if *up.borrow() {
            let _ = near.send_to(&datagram[..length], to).await;
        }
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut up: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if up.wait_for(|up| *up).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
