//! The API as a client sees it, without a network: requests go into the router, answers come out.

mod answer;
mod worker;

pub use answer::Answer;
pub use worker::{ANSWER, Worker};

use crate::support::{
    postgres::{self, Cluster},
    s3::Bucket,
};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, header},
};
use hansard::{
    api::{
        self,
        ice::IceServers,
        limit::{Limits, Peer},
        password::Passwords,
        secret::Secret,
        signal::Signal,
        state::{Address, ApiState, Shared},
        token::{Keys, Subject},
        unwritten::Unwritten,
    },
    clock::Clock,
    command::{join, leave},
    domain::{
        admission::EntryBy,
        id::{MeetingId, ParticipantId, TenantId, UserId},
        participant::Role,
    },
    ledger::Ledger,
    objects::{Objects, StorageConfig},
    published::LocalSockets,
    queue::Queue,
    store::{self, Store, key, seal::Seal, tenant},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;
use uuid::Uuid;

pub const CONSENT: &str = "/v1/users/consent";
pub const PUBLIC_URL: &str = "https://hansard.example.org";
pub const ALLOWED: &str = "https://app.example.org";
pub const SECRET: &[u8] = b"the REST tests' secret of more than thirty-two bytes";

/// What a sender of one sound offers.
pub const OFFER: &str = "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
a=fingerprint:sha-256 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
a=mid:0\r\na=sendonly\r\n";
/// One API on a database of its own, with a tenant and its key.
pub struct App {
    pub state: Shared,
    pub url: String,
    pub tenant: TenantId,
    pub key: String,
    router: Router,
}

/// The object storage of tests that store nothing: addresses are signed without asking it.
fn nowhere() -> StorageConfig {
    StorageConfig {
        endpoint: "http://127.0.0.1:9".to_owned(),
        public_endpoint: "http://127.0.0.1:9".to_owned(),
        region: "local".to_owned(),
        bucket: "hansard".to_owned(),
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
        dialect: hansard::objects::Dialect::default(),
    }
}

impl App {
    pub async fn start() -> Self {
        Self::on(postgres::database().await, Objects::new(&nowhere())).await
    }

    /// On a database server that can be taken away.
    pub async fn on_cluster(cluster: &Cluster) -> Self {
        Self::on(cluster.database().await, Objects::new(&nowhere())).await
    }

    pub async fn with_bucket(bucket: &Bucket) -> Self {
        Self::on(postgres::database().await, bucket.objects.clone()).await
    }

    /// As clients reach it under this address.
    pub async fn below(public_url: &str) -> Self {
        Self::at(
            public_url,
            postgres::database().await,
            Objects::new(&nowhere()),
            Limits::default(),
        )
        .await
    }

    pub async fn on(url: String, objects: Objects) -> Self {
        Self::at(PUBLIC_URL, url, objects, Limits::default()).await
    }

    pub async fn limited(limits: Limits) -> Self {
        Self::at(
            PUBLIC_URL,
            postgres::database().await,
            Objects::new(&nowhere()),
            limits,
        )
        .await
    }

    async fn at(public_url: &str, url: String, objects: Objects, limits: Limits) -> Self {
        let store = Store::open(&url, 8).expect("the URL is good");
        let clock = Clock::default();
        store
            .sync_clock(&clock, 10)
            .await
            .expect("Postgres answers");
        let state = Arc::new(ApiState {
            ledger: Ledger::new(store.clone(), objects.clone()),
            store,
            queue: Queue::local(),
            objects,
            clock,
            keys: Keys::new(SECRET).expect("long enough"),
            seal: Seal::new(SECRET).expect("long enough"),
            address: Address::new(public_url, &[ALLOWED.to_owned()]).expect("good"),
            ice: IceServers::default(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            passwords: Passwords::default(),
            media_origin: "http://127.0.0.1:9".to_owned(),
            here: LocalSockets::default(),
            unwritten: Unwritten::default(),
            limits,
        });
        let signal = Signal::start(state.clone());
        let router = api::below(state.address.path(), api::router(state.clone(), &signal));
        let (tenant, key) = make_tenant(&url, "one").await;
        Self {
            state,
            url,
            tenant,
            key,
            router,
        }
    }

    /// A transaction as the tenant's requests have it.
    pub async fn tenant_tx(&self) -> store::Tx {
        self.state
            .store
            .tenant_tx(self.tenant)
            .await
            .expect("Postgres answers")
    }

    /// A connection as the database's owner, who sees and may do everything.
    pub async fn sql(&self) -> sqlx::PgConnection {
        store::owner(&self.url).await.expect("Postgres answers")
    }

    /// Another tenant with its key.
    pub async fn other_tenant(&self) -> (TenantId, String) {
        make_tenant(&self.url, "two").await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 32 << 20)
            .await
            .expect("the body ends");
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The same as [`Self::call`], by a connection from this address, with this said by a proxy.
    pub async fn call_from(
        &self,
        peer: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = request(
            method,
            path,
            &[("authorization", &format!("Bearer {token}"))],
            body,
        );
        request
            .extensions_mut()
            .insert(Peer(peer.parse().expect("an address")));
        self.send(request).await
    }

    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        self.send(request(
            method,
            path,
            &[("authorization", &format!("Bearer {token}"))],
            body,
        ))
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &self.key, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &self.key, Some(body)).await
    }

    pub async fn user(&self, name: &str) -> Uuid {
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        id(&self
            .post("/v1/users", json!({"email": email, "displayName": name}))
            .await
            .expect(201))
    }

    pub async fn meeting(&self, host: Uuid) -> MeetingId {
        self.meeting_with(host, json!({})).await
    }

    pub async fn meeting_with(&self, host: Uuid, settings: Value) -> MeetingId {
        MeetingId(id(&self
            .post(
                "/v1/meetings",
                json!({"hostId": host, "settings": settings}),
            )
            .await
            .expect(201)))
    }

    /// Joins a user with the API key.
    pub async fn join(&self, meeting: MeetingId, user: Uuid) -> Joined {
        let answer = self
            .post(
                &format!("/v1/meetings/{meeting}/join"),
                json!({"userId": user}),
            )
            .await
            .expect(200);
        Joined {
            token: text(&answer["token"]),
            consent_token: text(&answer["consentToken"]),
            participant: ParticipantId(text(&answer["participantId"]).parse().expect("an id")),
        }
    }

    /// Makes a participant present, as its socket would.
    pub async fn enter(&self, meeting: MeetingId, participant: ParticipantId) {
        let mut tx = self.tenant_tx().await;
        let door = EntryBy::Join(self.state.clock.now());
        join::enter(&mut tx, meeting, participant, door)
            .await
            .expect("Postgres answers")
            .expect("nothing bars it");
        tx.commit().await.expect("Postgres answers");
    }

    pub async fn leave(&self, meeting: MeetingId, participant: ParticipantId) {
        let mut tx = self.tenant_tx().await;
        leave::leave(&mut tx, meeting, participant)
            .await
            .expect("Postgres answers");
        tx.commit().await.expect("Postgres answers");
    }

    pub fn guest(&self, meeting: MeetingId, participant: ParticipantId, role: Role) -> Subject {
        Subject {
            tenant: self.tenant,
            meeting,
            participant,
            role,
            minted: self.state.clock.now(),
        }
    }

    pub fn resume(&self, meeting: MeetingId, participant: ParticipantId) -> String {
        let now = self.state.clock.now();
        self.state
            .keys
            .mint_resume(self.guest(meeting, participant, Role::Participant), now)
    }

    pub fn session(&self, user: Uuid) -> String {
        self.state
            .keys
            .mint_session(self.tenant, UserId(user), 600, self.state.clock.now())
            .token
    }

    /// A token that publishes by WHIP.
    pub async fn whip_token(&self, meeting: MeetingId, participant: ParticipantId) -> String {
        let path = format!("/v1/meetings/{meeting}/participants/{participant}/whip-token");
        let made = self.post(&path, json!({"ttlSeconds": 600})).await;
        text(&made.expect(201)["token"])
    }

    /// A token that reads a meeting: to `observe`, or to `play`.
    pub async fn meeting_token(&self, meeting: MeetingId, purpose: &str) -> String {
        let path = format!("/v1/meetings/{meeting}/tokens");
        let body = json!({"use": purpose, "ttlSeconds": 600});
        text(&self.post(&path, body).await.expect(201)["token"])
    }

    /// The secret of a new link.
    pub async fn link(&self, meeting: MeetingId) -> String {
        let body = json!({"role": "participant", "expiresAt": null});
        let answer = self
            .post(&format!("/v1/meetings/{meeting}/links"), body)
            .await
            .expect(201);
        let url = text(&answer["url"]);
        url.split_once('#').expect("a fragment").1.to_owned()
    }

    /// Says so about consent, with any credential that speaks for itself.
    pub async fn say(&self, meeting: MeetingId, token: &str, kind: &str, status: &str) -> Answer {
        let body = json!({"meetingId": meeting.0, "consentType": kind, "status": status});
        self.call("POST", CONSENT, token, Some(body)).await
    }

    /// A participant who agreed to this.
    pub async fn who_agreed(&self, meeting: MeetingId, user: Uuid, kind: &str) -> Joined {
        let joined = self.join(meeting, user).await;
        self.say(meeting, &joined.token, kind, "accepted")
            .await
            .expect(201);
        joined
    }
}

pub struct Joined {
    pub token: String,
    pub consent_token: String,
    pub participant: ParticipantId,
}

async fn make_tenant(url: &str, name: &str) -> (TenantId, String) {
    let mut owner = store::owner(url).await.expect("Postgres answers");
    let tenant = tenant::ensure(&mut owner, name).await.expect("made");
    let secret = Secret::random(Secret::API_KEY).expect("random");
    key::insert(&mut owner, tenant, &secret.hash(), secret.hint())
        .await
        .expect("made");
    (tenant, secret.reveal().to_owned())
}

/// A request with a body of text.
pub fn text_request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    kind: &str,
    body: impl Into<Body>,
) -> Request<Body> {
    let (mut parts, _) = request(method, path, headers, None).into_parts();
    let kind = kind.parse().expect("a header");
    parts.headers.insert(header::CONTENT_TYPE, kind);
    Request::from_parts(parts, body.into())
}

pub fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        Some(body) => request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    }
    .expect("a request")
}

#[track_caller]
pub fn id(value: &Value) -> Uuid {
    text(&value["id"]).parse().expect("an id")
}

#[track_caller]
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("text, not {value}"))
        .to_owned()
}
