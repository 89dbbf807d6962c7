//! ICE over TCP (RFC 6544) on the same port number, for networks that let no UDP out. Clients
//! connect; each datagram is preceded by its length (RFC 4571).

use super::{Shared, routes::Over, socket};
use crate::ingest::DATAGRAM_MAX;
use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    time::{sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Connections at a time; one more is closed at once.
const CONNECTIONS_MAX: usize = 1_024;
/// From connecting to the first check that proves itself.
const PROVES_WITHIN: Duration = Duration::from_secs(10);
/// A connection over which nothing came for a peer in this long is gone.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// Frames for nobody before a connection has proven itself; more, and it is closed.
const STRANGE_MAX: u32 = 16;
/// Frames that wait to be written; with more the newest are lost, as on any network.
const WAITING_MAX: usize = 256;
/// Of one write.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// After an error of the listener: out of descriptors, mostly.
const AGAIN: Duration = Duration::from_millis(100);

/// The ways back.
#[derive(Default)]
pub struct Connections(Mutex<HashMap<SocketAddr, mpsc::Sender<Bytes>>>);

impl Connections {
    /// Never waits.
    pub fn send(&self, bytes: &[u8], to: SocketAddr) {
        let Ok(length) = u16::try_from(bytes.len()) else {
            return;
        };
        let mut frame = BytesMut::with_capacity(2 + bytes.len());
        frame.put_u16(length);
        frame.put_slice(bytes);
        let connections = self.0.lock();
        let sent = connections
            .get(&to)
            .is_some_and(|connection| connection.try_send(frame.freeze()).is_ok());
        if !sent {
            metrics::counter!("hansard_webrtc_unsent_total").increment(1);
        }
    }
}

/// Takes connections until `close`.
pub fn accept_all(shared: &Arc<Shared>, listeners: Vec<TcpListener>, close: &CancellationToken) {
    for listener in listeners {
        let accepting = accept(shared.clone(), listener, close.clone());
        tokio::spawn(close.clone().run_until_cancelled_owned(accepting));
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, close: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "a TCP connection to the WebRTC port");
                sleep(AGAIN).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            metrics::counter!("hansard_webrtc_connections_refused_total").increment(1);
            continue;
        };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let serving = serve(shared.clone(), stream, from);
        tokio::spawn(close.clone().run_until_cancelled_owned(async move {
            let _place = place;
            serving.await;
        }));
    }
}

/// Gives up the way back, however the connection ends.
struct Way {
    shared: Arc<Shared>,
    to: SocketAddr,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.shared.connections.0.lock().remove(&self.to);
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, from: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let (to, frames) = mpsc::channel(WAITING_MAX);
    shared.connections.0.lock().insert(from, to);
    let way = Way { shared, to: from };
    tokio::select! {
        () = read(&way.shared, reader, from) => {}
        () = write(writer, frames) => {}
    }
}

async fn read(shared: &Shared, mut reader: OwnedReadHalf, from: SocketAddr) {
    let mut deadline = Instant::now() + PROVES_WITHIN;
    let (mut proven, mut strange) = (false, 0);
    let mut buffer = [0; DATAGRAM_MAX];
    while let Ok(Ok(length)) = timeout_at(deadline.into(), frame(&mut reader, &mut buffer)).await {
        let now = Instant::now();
        if socket::take(shared, Over::Tcp, now, &buffer[..length], from) {
            proven = true;
            deadline = now + SILENT_MAX;
        } else if !proven {
            strange += 1;
            if strange == STRANGE_MAX {
                return;
            }
        }
    }
}

async fn frame(reader: &mut OwnedReadHalf, buffer: &mut [u8]) -> io::Result<usize> {
    let length = usize::from(reader.read_u16().await?);
    let frame = buffer
        .get_mut(..length)
        .filter(|frame| !frame.is_empty())
        .ok_or(io::ErrorKind::InvalidData)?;
    reader.read_exact(frame).await
}

async fn write(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if !matches!(
            timeout(WRITE_MAX, writer.write_all(&frame)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}
