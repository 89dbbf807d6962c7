//! Who answers what the API asks of a meeting's worker.

use super::App;
use hansard::{
    domain::id::MeetingId,
    queue::message::{Ask, Reply, WhipAsk},
};
use serde_json::json;
use std::time::Duration;

/// What a worker says to it, as far as the API looks at it.
pub const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\na=group:BUNDLE 0\r\na=ice-lite\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:srvr\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\n\
a=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n";

impl App {
    /// Holds the meeting as a worker would, as far as asks go: streams get a port, withdrawals are
    /// written down, offers of WHIP are answered by [`ANSWER`].
    pub async fn worker(&self, meeting: MeetingId) -> Worker {
        let mut serving = self.state.queue.serve(meeting).await;
        let (heard, asks) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut port = 40_000;
            while let Some((ask, responder)) = serving.recv().await {
                let _ = heard.send(ask.clone());
                responder.reply(match ask {
                    Ask::OpenStream { .. } => {
                        port += 1;
                        Reply::Stream {
                            ip: "203.0.113.5".to_owned(),
                            port,
                        }
                    }
                    Ask::Streams => Reply::Streams {
                        streams: Vec::new(),
                    },
                    Ask::Whip {
                        asks: WhipAsk::Publish { .. } | WhipAsk::Restart { .. },
                        ..
                    } => Reply::Signal {
                        kind: "answer".to_owned(),
                        data: json!({"sdp": ANSWER, "epoch": 1, "tracks": []}),
                    },
                    Ask::Withdraw { journal, .. } => Reply::Withdrawn {
                        journalled: journal,
                    },
                    _ => Reply::Done,
                });
            }
        });
        Worker { asks, task }
    }
}

pub struct Worker {
    pub asks: tokio::sync::mpsc::UnboundedReceiver<Ask>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    /// The first ask that `wanted` picks.
    pub async fn heard<T>(&mut self, wanted: impl Fn(Ask) -> Option<T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Some(found) = wanted(self.asks.recv().await.expect("the worker runs")) {
                    return found;
                }
            }
        })
        .await
        .expect("it is asked")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}
