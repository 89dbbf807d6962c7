//! Those who only keep a server busy, from another loopback address than everybody else.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];
/// Tasks that ask one after the other.
const TASKS: u32 = 8;
/// From connecting to the first bytes of an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

pub async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ELSEWHERE, 0).into())?;
    socket.connect(to).await
}

/// Requests for sockets at a steady rate, by those who then go without joining; stops by itself.
pub struct UpgradeLoad {
    began: Instant,
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl UpgradeLoad {
    pub fn start(to: SocketAddr, a_second: u32, at_most: Duration) -> Self {
        let (answered, stop, began) = (
            Arc::<AtomicUsize>::default(),
            CancellationToken::new(),
            Instant::now(),
        );
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (answered, stop) = (answered.clone(), stop.clone());
            tasks.spawn(async move {
                let mut tick = tokio::time::interval(Duration::from_secs(1) * TASKS / a_second);
                while began.elapsed() < at_most
                    && stop.run_until_cancelled(tick.tick()).await.is_some()
                {
                    // One that hangs would hold the others up; it counts as not answered.
                    let asked = tokio::time::timeout(ANSWER_MAX, upgrade(to)).await;
                    answered.fetch_add(usize::from(matches!(asked, Ok(Ok(())))), Ordering::Relaxed);
                }
            });
        }
        Self {
            began,
            answered,
            stop,
            tasks,
        }
    }

    /// How many were answered, and in what time.
    pub async fn stop(self) -> (usize, Duration) {
        self.stop.cancel();
        self.tasks.join_all().await;
        (self.answered.load(Ordering::Relaxed), self.began.elapsed())
    }
}

/// Answered with whatever status: refusing is right, too.
async fn upgrade(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(to).await?;
    let hello = "GET /v1/signal HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
                 Sec-WebSocket-Protocol: hansard.v1\r\n\r\n";
    stream.write_all(hello.as_bytes()).await?;
    stream.read_exact(&mut [0; 12]).await?;
    Ok(())
}
