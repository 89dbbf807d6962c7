//! A tenant with a meeting, `api` processes with sockets, and clients.

use super::support::{
    self,
    postgres::Cluster,
    signaling::{Side, undocumented},
};
use axum::Router;
use futures_util::{SinkExt, StreamExt};
use hansard::{
    api::{
        self,
        ice::IceServers,
        limit::Limits,
        password::Passwords,
        secret::Secret,
        signal::Signal,
        state::{Address, ApiState, Shared},
        token::{Keys, Subject},
        unwritten::Unwritten,
    },
    clock::Clock,
    domain::{
        event::{Event, RecordingReport},
        id::{MeetingId, ParticipantId, TenantId, UserId},
        participant::{Answers, AnswersSince, Person, Role},
        recording_state::RecordingState,
        settings::MeetingSettings,
    },
    ledger::Ledger,
    objects::{self, Objects},
    published::LocalSockets,
    queue::Queue,
    store::{
        Store,
        event::{self, StoredEvent},
        key,
        meeting::{self, NewMeeting},
        migrate, owner, participant,
        seal::Seal,
        tenant, user,
    },
};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpSocket;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{Response, header},
    },
};

const SECRET: &[u8] = b"the tests' secret of at least thirty-two bytes";
/// No answer takes this long; the timeouts under test are shorter.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub url: String,
    pub store: Store,
    pub queue: Queue,
    pub keys: Keys,
    pub clock: Clock,
    pub tenant: TenantId,
    pub host: UserId,
    pub meeting: MeetingId,
    pub key: Secret,
}

impl World {
    pub async fn new() -> Self {
        Self::with(MeetingSettings::default()).await
    }

    pub async fn with(settings: MeetingSettings) -> Self {
        Self::at(support::postgres::database().await, settings).await
    }

    pub async fn on(cluster: &Cluster, settings: MeetingSettings) -> Self {
        Self::at(cluster.database().await, settings).await
    }

    async fn at(url: String, settings: MeetingSettings) -> Self {
        let mut conn = owner(&url).await.expect("Postgres answers");
        let tenant = tenant::ensure(&mut conn, "Acme").await.expect("a tenant");
        let key = Secret::random(Secret::API_KEY).expect("random");
        key::insert(&mut conn, tenant, &key.hash(), key.hint())
            .await
            .expect("a key");
        let store = Store::open(&url, 12).expect("the URL is good");
        let clock = Clock::default();
        store.sync_clock(&clock, 5).await.expect("Postgres answers");
        let mut tx = store.tenant_tx(tenant).await.expect("Postgres answers");
        let host = user(&mut tx, tenant, "Host").await;
        let new = NewMeeting {
            tenant,
            host,
            scheduled_time: None,
            settings,
            password_hash: None,
        };
        let meeting = meeting::insert(&mut tx, &new)
            .await
            .expect("a meeting")
            .id();
        tx.commit().await.expect("commits");
        let keys = Keys::new(SECRET).expect("long enough");
        Self {
            url,
            store,
            queue: Queue::local(),
            keys,
            clock,
            tenant,
            host,
            meeting,
            key,
        }
    }

    /// A participant who has not joined yet.
    pub async fn invite(&self, name: &str) -> Subject {
        let mut tx = self
            .store
            .tenant_tx(self.tenant)
            .await
            .expect("Postgres answers");
        let user = user(&mut tx, self.tenant, name).await;
        let row = participant::ensure(&mut tx, self.tenant, self.meeting, user, Role::Participant)
            .await
            .expect("made");
        tx.commit().await.expect("commits");
        Subject {
            tenant: self.tenant,
            meeting: self.meeting,
            participant: ParticipantId(row.id),
            role: Role::Participant,
            minted: self.clock.now(),
        }
    }

    /// Somebody whose token is good and whose row cannot be asked for.
    pub fn invite_later(&self) -> Subject {
        Subject {
            tenant: self.tenant,
            meeting: self.meeting,
            participant: ParticipantId(hansard::store::new_id()),
            role: Role::Participant,
            minted: self.clock.now(),
        }
    }

    pub fn token(&self, guest: Subject) -> String {
        self.keys.mint_join(guest, self.clock.now()).token
    }

    /// Stores an event without telling anybody.
    pub async fn store_event(&self, event: Event) -> StoredEvent {
        let mut tx = self.store.worker_tx().await.expect("Postgres answers");
        let event = event::append(&mut tx, self.meeting, &event)
            .await
            .expect("stored");
        tx.commit().await.expect("commits");
        event
    }

    /// [`World::store_event`] of somebody's `participant_updated`, told apart by the name.
    pub async fn store_update(&self, name: impl std::fmt::Display) -> StoredEvent {
        self.store_event(updated(name)).await
    }

    /// [`World::store_event`] of a `recording_state`.
    pub async fn store_state(&self, state: RecordingState) -> StoredEvent {
        let state = RecordingReport::idle(state, None, 0);
        self.store_event(Event::RecordingState(state)).await
    }

    pub async fn all_events(&self) -> Vec<StoredEvent> {
        let mut tx = self
            .store
            .tenant_tx(self.tenant)
            .await
            .expect("Postgres answers");
        let mut all: Vec<StoredEvent> = Vec::new();
        loop {
            let after = all.last().map_or(0, |event| event.seq);
            let page = event::after(&mut tx, self.meeting, after, event::READ_MAX)
                .await
                .expect("read");
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// An `api` process (its parts in this one) on the world's own queue.
    pub async fn api(&self) -> Api {
        self.api_on(self.queue.clone()).await
    }

    pub async fn api_on(&self, queue: Queue) -> Api {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let nowhere = objects::StorageConfig {
            endpoint: "http://127.0.0.1:9".into(),
            public_endpoint: "http://127.0.0.1:9".into(),
            region: "local".into(),
            bucket: "hansard".into(),
            access_key_id: "a".into(),
            secret_access_key: "b".into(),
            dialect: objects::Dialect::default(),
        };
        let state: Shared = Arc::new(ApiState {
            store: self.store.clone(),
            queue,
            objects: Objects::new(&nowhere),
            ledger: Ledger::new(self.store.clone(), Objects::new(&nowhere)),
            clock: self.clock.clone(),
            keys: Keys::new(SECRET).expect("long enough"),
            seal: Seal::new(SECRET).expect("long enough"),
            address: Address::new(
                &format!("http://{address}"),
                &["https://app.example.org".into()],
            )
            .expect("good"),
            ice: IceServers::new(
                &[
                    "stun:stun.example.org".into(),
                    "turn:turn.example.org".into(),
                ],
                Some(b"a secret shared with it"),
            ),
            metrics: metrics_exporter_prometheus::PrometheusBuilder::new()
                .build_recorder()
                .handle(),
            passwords: Passwords::default(),
            media_origin: "http://127.0.0.1:9".into(),
            here: LocalSockets::default(),
            unwritten: Unwritten::default(),
            limits: Limits::default(),
        });
        let signal = Signal::start(state.clone());
        let router: Router = api::router(state.clone(), &signal);
        let server =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Api {
            address,
            signal,
            state,
            server,
        }
    }
}

async fn user(conn: &mut sqlx::PgConnection, tenant: TenantId, name: &str) -> UserId {
    let email = format!("{}@example.org", uuid::Uuid::now_v7());
    UserId(
        user::insert(conn, tenant, Some(&email), name)
            .await
            .expect("a user")
            .id,
    )
}

pub struct Api {
    pub address: SocketAddr,
    pub signal: Signal,
    pub state: Shared,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the upgrade says.
#[derive(Default)]
pub struct Hello<'a> {
    pub protocol: Option<&'a str>,
    pub origin: Option<&'a str>,
    pub authorization: Option<String>,
    pub cookie: Option<&'a str>,
    /// A tiny one, so that a client that does not read is noticed soon.
    pub receive_buffer: Option<u32>,
}

impl Api {
    pub async fn open(&self, hello: Hello<'_>) -> Result<Client, Response<Option<Vec<u8>>>> {
        let mut request = format!("ws://{}/v1/signal", self.address)
            .into_client_request()
            .expect("a URL");
        let headers = request.headers_mut();
        let mut put = |name: header::HeaderName, value: Option<&str>| {
            if let Some(value) = value {
                headers.insert(name, value.parse().expect("a header"));
            }
        };
        put(header::SEC_WEBSOCKET_PROTOCOL, hello.protocol);
        put(header::ORIGIN, hello.origin);
        put(header::AUTHORIZATION, hello.authorization.as_deref());
        put(header::COOKIE, hello.cookie);
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = hello.receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("settable");
        }
        let stream = socket.connect(self.address).await.expect("the api listens");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Client { socket, code: None }),
            Err(Error::Http(response)) => Err(*response),
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket that has not joined.
    pub async fn connect(&self) -> Client {
        self.open(Hello {
            protocol: Some("hansard.v1"),
            ..Hello::default()
        })
        .await
        .expect("upgraded")
    }

    /// A participant, joined; with the answer.
    pub async fn join(&self, world: &World, guest: Subject) -> (Client, Value) {
        let mut client = self.connect().await;
        let joined = client.join(json!({"token": world.token(guest)})).await;
        (client, joined)
    }

    pub async fn observer(&self, world: &World) -> Client {
        let authorization = Some(format!("Bearer {}", world.key.reveal()));
        let hello = Hello {
            protocol: Some("hansard.v1"),
            authorization,
            ..Hello::default()
        };
        self.open(hello).await.expect("upgraded")
    }

    /// An observer, joined; with the answer.
    pub async fn observe(&self, world: &World) -> (Client, Value) {
        let mut client = self.observer(world).await;
        let joined = client.join(json!({"meetingId": world.meeting})).await;
        (client, joined)
    }
}

pub struct Client {
    pub socket: WebSocketStream<tokio::net::TcpStream>,
    /// Of the close that came.
    code: Option<u16>,
}

impl Client {
    pub async fn send(&mut self, message: Value) {
        self.send_text(message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.socket
            .send(Message::Text(text.into()))
            .await
            .expect("sent");
    }

    /// The next text, or `None` when the server closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("something comes in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    // Partials are the tests' own here; those of a real meeting are held to the
                    // document in the end-to-end tests.
                    let is_partial =
                        message["type"] == "transcript_update" && message.get("seq").is_none();
                    if !is_partial {
                        let wrong = undocumented(Side::Server, &message);
                        assert!(wrong.is_empty(), "{message}: {wrong:?}");
                    }
                    return Some(message);
                }
                Some(Ok(Message::Close(frame))) => {
                    self.code = frame.map(|frame| frame.code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next of this type; others are passed over.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self
                .next()
                .await
                .unwrap_or_else(|| panic!("closed ({:?}) before {kind}", self.code));
            if message["type"] == kind {
                return message;
            }
        }
    }

    pub async fn join(&mut self, data: Value) -> Value {
        self.send(json!({"type": "join_room", "id": "j", "data": data}))
            .await;
        let joined = self.next().await.expect("an answer");
        assert_eq!(
            (&joined["type"], &joined["re"]),
            (&json!("joined"), &json!("j")),
            "{joined}"
        );
        joined["data"].clone()
    }

    /// Reads to the end: everything that still came, and the close code.
    pub async fn rest(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut all = Vec::new();
        while let Some(message) = self.next().await {
            all.push(message);
        }
        (all, self.code)
    }

    /// Everything up to and with the durable event `seq`.
    pub async fn up_to(&mut self, seq: i64) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let message = self
                .next()
                .await
                .unwrap_or_else(|| panic!("closed ({:?}) before {seq}", self.code));
            let done = message["seq"] == seq;
            all.push(message);
            if done {
                return all;
            }
        }
    }
}

/// The numbers of the durable ones.
pub fn seqs(messages: &[Value]) -> Vec<i64> {
    messages
        .iter()
        .filter_map(|message| message["seq"].as_i64())
        .collect()
}

/// Runs the migrations once more, as `serve` does at start.
#[tokio::test]
async fn migrations_run_twice() {
    let world = World::new().await;
    migrate(&world.url).await.expect("nothing to do");
}

/// That somebody of this name, who is nobody's participant, changed.
pub fn updated(name: impl std::fmt::Display) -> Event {
    Event::ParticipantUpdated(Person {
        id: ParticipantId(hansard::store::new_id()),
        user: UserId(hansard::store::new_id()),
        display_name: name.to_string(),
        role: Role::Participant,
        joined_at: None,
        left_at: None,
        present: true,
        removed: None,
        tokens_from: None,
        consent: Answers::default(),
        consent_since: AnswersSince::default(),
        streams: Vec::new(),
    })
}
