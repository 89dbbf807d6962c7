//! Requests generated from the served document, with the tokens of every role: nothing fails that
//! is not documented to, and every body is what the document says.
//!
//! `HANSARD_REQUESTS` sets how many (10000 for the full run), `HANSARD_SEED` which.

mod draw;
mod judge;

use super::{
    app::{Answer, App, Worker, request, text},
    recording::{insert, say},
    redaction::asked,
};
use crate::support::s3::Bucket;
use axum::{body::Body, http::Request};
use draw::{Draw, Drawn, Pool};
use fastrand::Rng;
use hansard::domain::{
    id::{MeetingId, ParticipantId},
    tiering::Tier,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Enough to meet every operation with every role some ten times.
const REQUESTS: usize = 8000;
/// They need files that were deleted or moved before, which no request brings about here.
const ELSEWHERE: [&str; 2] = [
    "POST /v1/meetings/{id}/mix",
    "POST /v1/recordings/{id}/restore",
];
/// Requests in one set of meetings: then most of them have ended.
const ROUND: usize = 500;

/// Who calls: a name, and the headers that say so.
type Role = (&'static str, Vec<(&'static str, String)>);

/// Everything that requests may name, and who may send them.
struct World {
    app: App,
    bucket: Bucket,
    pool: Pool,
    roles: Vec<Role>,
    /// Who publishes by WHIP in each meeting.
    publishers: BTreeMap<String, Role>,
    workers: Vec<Worker>,
    host: Uuid,
    users: Vec<Uuid>,
    other_key: String,
}

impl World {
    async fn make() -> Self {
        let bucket = Bucket::start().await;
        let app = App::with_bucket(&bucket).await;
        let (_, other_key) = app.other_tenant().await;
        Self {
            app,
            bucket,
            pool: Pool::default(),
            roles: Vec::new(),
            publishers: BTreeMap::new(),
            workers: Vec::new(),
            host: Uuid::nil(),
            users: Vec::new(),
            other_key,
        }
    }

    fn put(&mut self, kind: &'static str, id: impl ToString) {
        self.pool.ids.entry(kind).or_default().push(id.to_string());
    }

    fn put_within(&mut self, meeting: &str, kind: &'static str, id: &str) {
        self.put(kind, id);
        self.pool
            .within
            .entry((meeting.to_owned(), kind))
            .or_default()
            .push(id.to_owned());
    }

    /// A fresh set of users (requests erase them), of meetings, and of callers in the first of
    /// them.
    async fn refresh(&mut self) {
        self.pool = Pool::default();
        self.roles.clear();
        self.host = self.app.user("Host").await;
        self.users.clear();
        for name in ["Ana", "Bob", "Zoë \u{1f389}"] {
            let user = self.app.user(name).await;
            self.users.push(user);
        }
        let erased = self.app.user("Erased").await;
        let path = format!("/v1/users/{erased}/erasure");
        let reason = json!({"reason": "by letter"});
        self.app.post(&path, reason).await.expect(202);
        self.put("user", erased);
        for user in std::iter::once(self.host).chain(self.users.clone()) {
            self.put("user", user);
        }
        let settings = [
            json!({}),
            json!({"consentPolicy": "all", "glossary": ["Hansard"]}),
            json!({"consentPolicy": "required", "language": "en"}),
            json!({"recording": "off", "aiEnabled": false}),
        ];
        for (n, settings) in settings.into_iter().enumerate() {
            let meeting = self.app.meeting_with(self.host, settings).await;
            // Streams wait for whoever holds the meeting.
            self.workers.push(self.app.worker(meeting).await);
            self.put("meeting", meeting);
            let mut participants = Vec::new();
            for user in self.users.clone() {
                let joined = self.app.join(meeting, user).await;
                self.put_within(
                    &meeting.to_string(),
                    "participant",
                    &joined.participant.to_string(),
                );
                let consent = json!({"meetingId": meeting.0, "consentType": "recording_ai", "status": "accepted"});
                self.app
                    .call("POST", "/v1/users/consent", &joined.token, Some(consent))
                    .await
                    .expect(201);
                self.app.enter(meeting, joined.participant).await;
                participants.push((joined.participant, joined.token, joined.consent_token));
            }
            let token = self.app.whip_token(meeting, participants[0].0).await;
            let headers = vec![("authorization", format!("Bearer {token}"))];
            self.publishers
                .insert(meeting.to_string(), ("publisher", headers));
            self.fill(meeting, participants[0].0).await;
            let stream = json!({"participantId": participants[0].0.0, "kind": "audio", "codec": "opus",
                "payloadType": 111, "clockRate": 48_000});
            let path = format!("/v1/meetings/{meeting}/streams");
            let stream = self.app.post(&path, stream).await.expect(201);
            self.put_within(&meeting.to_string(), "stream", &text(&stream["streamId"]));
            for (participant, ..) in &participants {
                let redaction = asked(&self.app, meeting, *participant).await.to_string();
                self.put_within(&meeting.to_string(), "redaction", &redaction);
            }
            if n == 0 {
                self.callers(meeting, &participants).await;
            }
        }
        let ended = self.app.meeting(self.host).await;
        self.app
            .call(
                "PUT",
                &format!("/v1/meetings/{ended}/end"),
                &self.app.key,
                None,
            )
            .await
            .expect(200);
        let locked = self
            .app
            .post(
                "/v1/meetings",
                json!({"hostId": self.host, "password": "open sesame"}),
            )
            .await;
        let locked = MeetingId(super::app::id(&locked.expect(201)));
        self.workers.push(self.app.worker(locked).await);
        self.put("meeting", ended);
        self.put("meeting", locked);
    }

    /// Recordings in every state, with an object behind those that are ready, and words.
    async fn fill(&mut self, meeting: MeetingId, participant: ParticipantId) {
        for (n, status) in ["recording", "processing", "ready", "failed", "deleting"]
            .into_iter()
            .enumerate()
        {
            let of = if n == 2 { None } else { Some(participant) };
            // One track per participant and codec: others are of other codecs.
            let made = insert(&self.app, meeting, of, 1230, status).await;
            super::recording::change(
                &self.app,
                made,
                [
                    "codec = 'a'",
                    "codec = 'b'",
                    "sha256 = 'c'",
                    "codec = 'd', error = 'x'",
                    "codec = 'e'",
                ][n],
            )
            .await;
            let content = b"sound".to_vec();
            self.bucket
                .objects
                .put_bytes(&format!("m/{made}"), content, "audio/mp4", Tier::Hot)
                .await
                .expect("stored");
            self.put("recording", made);
        }
        for (n, start_ms) in (0..8).map(|n| (n, 1_000 + n * 2_000)) {
            let text = format!("so the 🎉 next step {n}");
            let segment = say(
                &self.app,
                meeting,
                participant,
                start_ms,
                start_ms + 1_000,
                &text,
            );
            let segment = segment.await.to_string();
            self.put_within(&meeting.to_string(), "segment", &segment);
        }
    }

    /// One of every role.
    async fn callers(
        &mut self,
        meeting: MeetingId,
        participants: &[(ParticipantId, String, String)],
    ) {
        let app = &self.app;
        let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
        let host = app
            .post(
                &format!("/v1/meetings/{meeting}/join"),
                json!({"userId": self.host}),
            )
            .await
            .expect(200);
        let link = app.link(meeting).await;
        let session = app.session(self.host);
        let cookie = format!("{}={session}", hansard::api::token::COOKIE);
        let revoked = app
            .post(
                &format!("/v1/meetings/{meeting}/links"),
                json!({"role": "host"}),
            )
            .await
            .expect(201);
        let path = format!("/v1/meetings/{meeting}/links/{}", text(&revoked["id"]));
        app.call("DELETE", &path, &app.key, None).await;
        let gone = text(&revoked["url"])
            .split_once('#')
            .expect("a fragment")
            .1
            .to_owned();
        self.roles = vec![
            ("nobody", Vec::new()),
            ("nonsense", bearer("nonsense")),
            (
                "no bearer",
                vec![("authorization", "Basic YTpi".to_owned())],
            ),
            ("revoked link", bearer(&gone)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("key", bearer(&app.key)),
            ("another tenant's key", bearer(&self.other_key)),
            ("host's session", bearer(&session)),
            (
                "host's cookie",
                vec![
                    ("cookie", cookie.clone()),
                    ("origin", super::app::PUBLIC_URL.to_owned()),
                ],
            ),
            (
                "host's cookie elsewhere",
                vec![
                    ("cookie", cookie),
                    ("origin", "https://evil.example.org".to_owned()),
                ],
            ),
            ("user's session", bearer(&app.session(self.users[0]))),
            ("guest", bearer(&link)),
            ("participant", bearer(&participants[1].1)),
            (
                "present participant",
                bearer(&app.resume(meeting, participants[0].0)),
            ),
            ("consenting", bearer(&participants[2].2)),
            ("participant as host", bearer(&text(&host["token"]))),
        ];
        self.put_within(&meeting.to_string(), "link", &text(&revoked["id"]));
    }

    async fn send(&self, drawn: &Drawn, role: &Role) -> Answer {
        let mut headers: Vec<(&str, &str)> = role
            .1
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        headers.extend(
            drawn
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let request: Request<Body> = request(&drawn.method, &drawn.path, &headers, None);
        let (parts, _) = request.into_parts();
        self.app
            .send(Request::from_parts(
                parts,
                drawn.body.clone().map_or_else(Body::empty, Body::from),
            ))
            .await
    }

    /// What an answer made or told is there for later requests.
    fn learn(&mut self, path: &str, asked: &str, answer: &Answer) {
        let Ok(body) = serde_json::from_str::<Value>(&answer.text) else {
            return;
        };
        if let Some(cursor) = body["nextCursor"].as_str() {
            self.pool.cursors.push(cursor.to_owned());
        }
        if !(200..300).contains(&answer.status) {
            return;
        }
        let meeting = asked.split('/').nth(3).unwrap_or_default();
        for (member, kind) in [("participantId", "participant"), ("streamId", "stream")] {
            if let Some(id) = body[member]
                .as_str()
                .filter(|_| path.starts_with("/v1/meetings/"))
            {
                self.put_within(meeting, kind, id);
            }
        }
        match body["id"].as_str() {
            Some(id) if path == "/v1/users" => self.put("user", id),
            Some(id) if path.ends_with("/links") => self.put_within(meeting, "link", id),
            _ => {}
        }
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_generated_request_gets_an_answer_that_is_not_documented() {
    let (count, seed) = (
        setting("HANSARD_REQUESTS", REQUESTS),
        setting("HANSARD_SEED", 8_u64),
    );
    let mut world = World::make().await;
    let document = world
        .app
        .send(request("GET", "/v1/openapi.json", &[], None))
        .await
        .expect(200);
    let mut operations: Vec<(String, String, Value)> = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    let mut rng = Rng::with_seed(seed);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    for n in 0..count {
        if n % ROUND == 0 {
            world.refresh().await;
        }
        let (method, path, operation) = &operations[rng.usize(..operations.len())];
        let mut role = world.roles[rng.usize(..world.roles.len())].clone();
        let mut draw = Draw {
            document: &document,
            pool: &world.pool,
            rng: &mut rng,
            meeting: None,
        };
        let drawn = draw.request(method, path, operation);
        let about = draw.meeting;
        // Nobody else may.
        if let Some(publisher) = about.and_then(|meeting| world.publishers.get(&meeting))
            && path.contains("/whip")
            && rng.bool()
        {
            role = publisher.clone();
        }
        let answer = world.send(&drawn, &role).await;
        let here = format!("{method} {path}");
        *statuses.entry(answer.status).or_default() += 1;
        *done.entry(here.clone()).or_default() += usize::from(answer.status < 400);
        let body = drawn.body.as_deref().map(String::from_utf8_lossy);
        let told = || {
            format!(
                "request {n}, {}: {method} {} {:?} {body:?}\n→ {} {}",
                role.0, drawn.path, drawn.headers, answer.status, answer.text
            )
        };
        let said = match answer.status {
            500 | 502 | 504 => Err("it is our fault".to_owned()),
            _ => judge::check(&document, operation, &answer),
        };
        if let Err(why) = said {
            // One example of a kind will do.
            wrong.entry(format!("{here}: {why}")).or_insert_with(told);
        }
        world.learn(path, &drawn.path, &answer);
    }
    eprintln!("{count} requests with seed {seed}: {statuses:?}");
    for (why, told) in &wrong {
        eprintln!("\n{why}\n{told}");
    }
    assert!(
        wrong.is_empty(),
        "{} kinds of answers are not documented (seed {seed})",
        wrong.len()
    );
    // It is a test of the operations only if it gets beyond their first checks.
    let never: Vec<&String> = done
        .iter()
        .filter(|(here, done)| **done == 0 && !ELSEWHERE.contains(&here.as_str()))
        .map(|(here, _)| here)
        .collect();
    assert!(
        never.is_empty() && done.len() == operations.len(),
        "never done: {never:?} (seed {seed})"
    );
}
