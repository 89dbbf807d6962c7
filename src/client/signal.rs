//! A client of the signaling socket (subprotocol `hansard.v1`).
//!
//! A task reads the socket as fast as events come and stamps each with its receipt; it waits only
//! when nobody takes [`EVENTS_MAX`] events from it, which the server then sees as a slow reader.

use crate::rest::Client;
use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle, time::timeout_at};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        ClientRequestBuilder, Message,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

pub const SUBPROTOCOL: &str = "hansard.v1";
/// Events that wait to be taken.
pub const EVENTS_MAX: usize = 8_192;
/// From connecting to `joined`.
const JOIN_MAX: Duration = Duration::from_secs(30);
/// From closing to the server's answer.
const CLOSE_MAX: Duration = Duration::from_secs(30);
/// The server's largest message; `joined` of a large meeting is not small.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Who joins.
#[derive(Clone)]
pub enum Entry {
    /// A participant, by the token of `join`.
    Token(String),
    /// A participant again, by the token of its last `joined`.
    Resume(String),
    /// The tenant's server, which sees everything and is nobody.
    Observer { api_key: String, meeting_id: String },
}

/// One message of the server.
#[derive(Clone, Debug)]
pub struct Event {
    pub received: Instant,
    pub value: Value,
}

impl Event {
    pub fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap_or_default()
    }

    pub fn data(&self) -> &Value {
        &self.value["data"]
    }

    /// The durable event's number.
    pub fn seq(&self) -> Option<i64> {
        self.value["seq"].as_i64()
    }
}

/// How a socket ended: the server's close code (4000 ended, 4003 not allowed, …), `None` when the
/// connection broke.
#[derive(Clone, Debug)]
pub struct Closed {
    pub at: Instant,
    pub code: Option<u16>,
    pub reason: String,
}

/// A joined socket. Dropping it breaks the connection off; [`Signal::close`] ends it properly.
#[derive(Debug)]
pub struct Signal {
    /// The answer to `join_room`.
    pub joined: Event,
    events: mpsc::Receiver<Event>,
    out: mpsc::Sender<Message>,
    task: JoinHandle<Closed>,
    requests: u64,
}

impl Signal {
    /// Joins as an observer, with the client's API key.
    ///
    /// # Errors
    /// As [`Signal::connect`].
    pub async fn observe(client: &Client, meeting: &str, last_seq: Option<i64>) -> Result<Self> {
        let entry = Entry::Observer {
            api_key: client.api_key().into(),
            meeting_id: meeting.into(),
        };
        Self::connect(&client.signal_url(), &entry, last_seq).await
    }

    /// Connects and joins; `last_seq` asks for the durable events after it.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses the upgrade, or answers `join_room` with an error
    /// or a close.
    pub async fn connect(url: &str, entry: &Entry, last_seq: Option<i64>) -> Result<Self> {
        let deadline = (Instant::now() + JOIN_MAX).into();
        let uri = url
            .parse()
            .with_context(|| format!("`{url}` is no address"))?;
        let mut request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
        let mut data = match entry {
            Entry::Token(token) => json!({"token": token}),
            Entry::Resume(token) => json!({"resumeToken": token}),
            Entry::Observer {
                api_key,
                meeting_id,
            } => {
                request = request.with_header("Authorization", format!("Bearer {api_key}"));
                json!({"meetingId": meeting_id})
            }
        };
        if let Some(seq) = last_seq {
            data["lastSeq"] = seq.into();
        }
        let mut config = WebSocketConfig::default();
        config.max_message_size = Some(MESSAGE_BYTES_MAX);
        config.max_frame_size = Some(MESSAGE_BYTES_MAX);
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        let (mut socket, _) = timeout_at(deadline, connecting)
            .await
            .with_context(|| format!("{url} does not answer"))?
            .with_context(|| format!("cannot connect to {url}"))?;
        let join = json!({"type": "join_room", "id": "join", "data": data}).to_string();
        socket
            .send(Message::text(join))
            .await
            .context("cannot ask to join")?;
        let joined = loop {
            let received = timeout_at(deadline, socket.next())
                .await
                .context("no answer to join_room")?;
            match received.context("the server closed without an answer to join_room")?? {
                Message::Text(text) => {
                    let event = Event {
                        received: Instant::now(),
                        value: serde_json::from_str(&text)?,
                    };
                    match event.kind() {
                        "joined" => break event,
                        "error" => bail!("join_room was refused: {}", event.data()),
                        _ => {}
                    }
                }
                Message::Close(frame) => bail!("join_room was answered by closing: {frame:?}"),
                _ => {}
            }
        };
        let (event, events) = mpsc::channel(EVENTS_MAX);
        let (out, outgoing) = mpsc::channel(64);
        let task = tokio::spawn(run(socket, event, outgoing));
        Ok(Self {
            joined,
            events,
            out,
            task,
            requests: 0,
        })
    }

    /// The next event; `None` when the socket has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Takes events until one satisfies `wanted`.
    ///
    /// # Errors
    /// When none came before the deadline, or the socket ended.
    pub async fn wait_for(
        &mut self,
        deadline: Instant,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        loop {
            let event = timeout_at(deadline.into(), self.events.recv())
                .await
                .context("the awaited event did not come in time")?
                .context("the socket ended before the awaited event")?;
            if wanted(&event) {
                return Ok(event);
            }
        }
    }

    /// Sends a message; its answer names the returned id as `re`.
    ///
    /// # Errors
    /// When the socket has ended.
    pub async fn say(&mut self, kind: &str, data: Value) -> Result<String> {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        self.send_text(json!({"type": kind, "id": id, "data": data}).to_string())
            .await?;
        Ok(id)
    }

    pub async fn consent(&mut self, consent_type: &str, status: &str) -> Result<String> {
        self.say(
            "consent",
            json!({"consentType": consent_type, "status": status}),
        )
        .await
    }

    pub async fn leave(&mut self) -> Result<String> {
        self.say("leave", json!({})).await
    }

    pub async fn ping(&mut self) -> Result<String> {
        self.say("ping", json!({})).await
    }

    /// Sends whatever text, also what no server accepts.
    pub async fn send_text(&self, text: String) -> Result<()> {
        self.out
            .send(Message::text(text))
            .await
            .map_err(|_| anyhow!("the socket has ended"))
    }

    /// Closes, and waits for the end. Events not taken yet are lost.
    pub async fn close(mut self) -> Option<Closed> {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        self.events.close();
        let _ = self.out.send(Message::Close(Some(frame))).await;
        self.ended().await
    }

    /// Waits for the end that the server or [`Signal::close`] began; bounded, `None` when it does
    /// not come.
    pub async fn ended(mut self) -> Option<Closed> {
        self.events.close();
        match tokio::time::timeout(CLOSE_MAX, &mut self.task).await {
            Ok(closed) => closed.ok(),
            Err(_) => None,
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut socket: Socket,
    events: mpsc::Sender<Event>,
    mut outgoing: mpsc::Receiver<Message>,
) -> Closed {
    let mut closed = Closed {
        at: Instant::now(),
        code: None,
        reason: "the connection broke".into(),
    };
    loop {
        tokio::select! {
            received = socket.next() => {
                let at = Instant::now();
                match received {
                    Some(Ok(Message::Text(text))) => {
                        let value = serde_json::from_str(&text).unwrap_or_else(|_| json!({"type": "not_json"}));
                        // Nobody listens any more: go on for the close only.
                        let _ = events.send(Event { received: at, value }).await;
                    }
                    Some(Ok(Message::Close(frame))) => {
                        closed.at = at;
                        if let Some(frame) = frame {
                            closed.code = Some(frame.code.into());
                            closed.reason = frame.reason.to_string();
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        if closed.code.is_none() {
                            closed = Closed { at, code: None, reason: error.to_string() };
                        }
                        return closed;
                    }
                    None => return closed,
                }
            }
            Some(message) = outgoing.recv() => {
                if let Err(error) = socket.send(message).await {
                    return Closed { at: Instant::now(), code: None, reason: error.to_string() };
                }
            }
        }
    }
}
