//! Takes a free UDP port out of the configured range. Several processes share a range: the kernel says what is free.

use super::{RECEIVE_BUFFER, SrtpError};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};
use tokio::net::UdpSocket;

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("all ports from {} to {} on {ip} are taken", ports.start(), ports.end())]
    NoPort { ip: IpAddr, ports: RangeInclusive<u16> },
    #[error("port {port} on {ip} is taken")]
    PortTaken { ip: IpAddr, port: u16 },
    #[error("cannot receive on {ip}: {error}")]
    Socket { ip: IpAddr, error: io::Error },
    #[error(transparent)]
    Srtp(#[from] SrtpError),
}

/// A bound socket: `port` exactly if given, else any free one of `ports`, tried from a random one on.
pub fn take(ip: IpAddr, ports: &RangeInclusive<u16>, port: Option<u16>) -> Result<(UdpSocket, u16), OpenError> {
    let fail = |error| OpenError::Socket { ip, error };
    if let Some(port) = port {
        return match bind(ip, port) {
            Ok(socket) => Ok((socket, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(OpenError::PortTaken { ip, port }),
            Err(error) => Err(fail(error)),
        };
    }
    let (first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
    if first > last {
        return Err(OpenError::NoPort { ip, ports: ports.clone() });
    }
    let count = last - first + 1;
    let begin = fastrand::u32(0..count);
    for step in 0..count {
        let port = (first + (begin + step) % count) as u16;
        match bind(ip, port) {
            Ok(socket) => return Ok((socket, port)),
            // Privileged ports within the range are as good as taken.
            Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Err(OpenError::NoPort { ip, ports: ports.clone() })
}

fn bind(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(ip, port);
    // No SO_REUSEADDR: a port is one stream's alone.
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
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

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn takes_free_ports_only_and_says_when_there_are_none() {
        let (taken, port) = take(LOOPBACK, &(0..=0), None)
            .map(|(s, _)| {
                let p = s.local_addr().expect("bound").port();
                (s, p)
            })
            .expect("any");
        assert!(matches!(take(LOOPBACK, &(port..=port), None), Err(OpenError::NoPort { .. })));
        assert!(matches!(take(LOOPBACK, &(1..=2), Some(port)), Err(OpenError::PortTaken { .. })));
        drop(taken);
        assert_eq!(take(LOOPBACK, &(port..=port), None).expect("free again").1, port);
        assert!(matches!(take(LOOPBACK, &RangeInclusive::new(2, 1), None), Err(OpenError::NoPort { .. })));
    }
}
