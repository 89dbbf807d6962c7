//! The permission table of the contract: every operation with every kind of credential.

mod table;

use super::app::{App, OFFER, request, text, text_request};
use hansard::{
    api::token::{COOKIE, TokenUse},
    domain::{
        id::{MeetingId, ParticipantId, UserId},
        participant::Role,
    },
};
use serde_json::{Value, json};
use table::{CREDENTIALS, EXPECTED, NEVER_PARTICIPANTS, Operation, WORTHLESS};
use uuid::Uuid;

struct World {
    app: App,
    other_key: String,
    host: Uuid,
    other_host: Uuid,
    member: Uuid,
    meeting: MeetingId,
    participant: ParticipantId,
    tokens: Vec<(&'static str, String)>,
    recording: Uuid,
    /// A recording that is being processed.
    busy: Uuid,
}

impl World {
    async fn make() -> Self {
        let app = App::start().await;
        let (_, other_key) = app.other_tenant().await;
        let (host, other_host, member) = (
            app.user("Ana").await,
            app.user("Olga").await,
            app.user("Bob").await,
        );
        let left = app.user("Lea").await;
        let (meeting, elsewhere) = (app.meeting(host).await, app.meeting(other_host).await);
        let joined = app.join(meeting, member).await;
        let as_host = app.join(meeting, host).await;
        let gone = app.join(meeting, left).await;
        let other = app.join(elsewhere, member).await;
        for participant in [joined.participant, gone.participant] {
            app.enter(meeting, participant).await;
        }
        app.leave(meeting, gone.participant).await;
        let keys = &app.state.keys;
        let then = app.state.clock.now() - chrono::TimeDelta::hours(9);
        let guest = app.guest(meeting, joined.participant, Role::Participant);
        let tokens = vec![
            ("garbage", "garbage".to_owned()),
            ("key", app.key.clone()),
            ("other tenant", other_key.clone()),
            ("host", app.session(host)),
            ("other host", app.session(other_host)),
            (
                "expired session",
                keys.mint_session(app.tenant, UserId(host), 60, then).token,
            ),
            ("join", joined.token),
            ("join as host", as_host.token),
            ("join elsewhere", other.token),
            ("expired join", keys.mint_join(guest, then).token),
            ("resume", app.resume(meeting, joined.participant)),
            ("resume after leave", app.resume(meeting, gone.participant)),
            ("consent", joined.consent_token),
            ("consent elsewhere", other.consent_token),
            ("link", app.link(meeting).await),
            ("link elsewhere", app.link(elsewhere).await),
            ("whip", app.whip_token(meeting, joined.participant).await),
            (
                "whip elsewhere",
                app.whip_token(elsewhere, other.participant).await,
            ),
            ("observe", app.meeting_token(meeting, "observe").await),
            (
                "observe elsewhere",
                app.meeting_token(elsewhere, "observe").await,
            ),
            ("play", app.meeting_token(meeting, "play").await),
            ("play elsewhere", app.meeting_token(elsewhere, "play").await),
            (
                "expired play",
                keys.mint_reader(TokenUse::Play, app.tenant, meeting, 60, then)
                    .token,
            ),
        ];
        let recording = Uuid::now_v7();
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms, duration_ms, status, blob_url)
             values ($1, $2, $3, 'mix', 'audio/mp4', 0, 1000, 'ready', 's3://hansard/mix.m4a')",
        )
        .bind(recording)
        .bind(app.tenant.0)
        .bind(meeting.0)
        .execute(&mut app.sql().await)
        .await
        .expect("inserted");
        let busy = Uuid::now_v7();
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, participant_id, source, codec, media_type, start_ms, status)
             values ($1, $2, $3, 'track', $4, 'microphone', 'opus', 'audio/x-matroska', 0, 'processing')",
        )
        .bind(busy)
        .bind(app.tenant.0)
        .bind(meeting.0)
        .bind(joined.participant.0)
        .execute(&mut app.sql().await)
        .await
        .expect("inserted");
        let participant = joined.participant;
        Self {
            app,
            other_key,
            host,
            other_host,
            member,
            meeting,
            participant,
            tokens,
            recording,
            busy,
        }
    }

    fn headers(&self, credential: &str) -> Vec<(&'static str, String)> {
        let token = |name: &str| {
            self.tokens
                .iter()
                .find(|(known, _)| *known == name)
                .expect("known")
                .1
                .clone()
        };
        let cookie = ("cookie", format!("theme=dark; {COOKIE}={}", token("host")));
        match credential {
            "nothing" => Vec::new(),
            "cookie" => vec![cookie],
            "cookie own origin" => vec![cookie, ("origin", super::app::PUBLIC_URL.to_owned())],
            // On the allow-list, yet not our own page.
            "cookie foreign origin" => vec![cookie, ("origin", super::app::ALLOWED.to_owned())],
            _ => vec![("authorization", format!("Bearer {}", token(credential)))],
        }
    }

    /// What the operation is asked of, made anew for each call, so that none is disturbed by the
    /// one before.
    async fn call(&self, operation: &Operation, credential: &str) -> super::app::Answer {
        let mut path = operation
            .path
            .replace("{id}", &self.meeting.to_string())
            .replace("{user}", &self.host.to_string())
            .replace("{member}", &self.member.to_string())
            .replace("{participant}", &self.participant.to_string())
            .replace("{session}", &Uuid::now_v7().to_string())
            .replace("{recording}", &self.recording.to_string())
            .replace("{busy}", &self.busy.to_string());
        if path.contains("{spare}") {
            let spare = self
                .app
                .join(self.meeting, self.app.user("Spare").await)
                .await;
            path = path.replace("{spare}", &spare.participant.to_string());
        }
        if path.contains("{link}") {
            let answer = self
                .app
                .post(
                    &format!("/v1/meetings/{}/links", self.meeting),
                    json!({"role": "participant"}),
                )
                .await
                .expect(201);
            path = path.replace("{link}", &text(&answer["id"]));
        }
        if path.contains("{stream}") {
            let streams = format!("/v1/meetings/{}/streams", self.meeting);
            let answer = self.app.post(&streams, self.stream()).await.expect(201);
            path = path.replace("{stream}", &text(&answer["streamId"]));
        }
        if path.contains("{segment}") {
            // Consent was given by operations before.
            let (meeting, participant) = (self.meeting, self.participant);
            let segment =
                super::recording::say(&self.app, meeting, participant, 0, 900, "Words.").await;
            path = path.replace("{segment}", &segment.to_string());
        }
        if path.contains("{doomed}") {
            let doomed = self.app.user("Doomed").await;
            path = path.replace("{doomed}", &doomed.to_string());
            if operation.method == "GET" {
                let asked = self.app.post(&path, json!({"reason": "asked for"})).await;
                asked.expect(202);
            }
        }
        if path.contains("{redaction}") {
            let asked = super::redaction::asked(&self.app, self.meeting, self.participant).await;
            path = path.replace("{redaction}", &asked.to_string());
        }
        if path.ends_with("/mix") {
            // Of a track that is ready.
            super::recording::change(&self.app, self.busy, "status = 'ready'").await;
        }
        if path.ends_with("/restore") {
            super::recording::change(&self.app, self.recording, "storage_tier = 'archive'").await;
        }
        let body = match (operation.method, operation.path) {
            ("POST", "/v1/recordings/{recording}/restore") => Some(json!({"days": 1})),
            ("PATCH", "/v1/meetings/{id}/transcript/{segment}") => {
                Some(json!({"text": "Other words.", "baseRevision": 3}))
            }
            ("POST", "/v1/meetings/{id}/redactions") => Some(json!({
                "participantId": self.participant, "purposes": ["recording"], "reason": "they asked for it"
            })),
            ("POST", "/v1/meetings/{id}/redactions/{redaction}/decline") => {
                Some(json!({"reason": "it has to be kept"}))
            }
            ("POST", "/v1/users/{doomed}/erasure") => Some(json!({"reason": "asked for"})),
            ("PUT", "/v1/meetings/{id}/hold") => Some(json!({"reason": "Case 4711"})),
            ("PATCH", "/v1/meetings/{id}") => Some(json!({"settings": {"retentionDays": "keep"}})),
            ("PATCH", "/v1/tenant") => Some(json!({"selfErasure": "off"})),
            ("PUT", "/v1/glossary") => Some(json!({"terms": ["Hansard"]})),
            ("POST", "/v1/meetings/{id}/transcript/replace") => {
                Some(json!({"find": "nobody said this", "replace": "this"}))
            }
            ("POST", "/v1/meetings") => Some(json!({"hostId": self.host})),
            ("POST", "/v1/users") => Some(
                json!({"email": format!("{}@example.org", Uuid::now_v7()), "displayName": "New"}),
            ),
            ("POST", "/v1/users/{user}/sessions") => Some(json!({"ttlSeconds": 60})),
            ("POST", "/v1/meetings/{id}/join") => Some(match credential {
                "key" | "other tenant" => json!({"userId": self.member}),
                "link" | "link elsewhere" => json!({"displayName": "Guest"}),
                _ => json!({}),
            }),
            ("POST", "/v1/meetings/{id}/streams") => Some(self.stream()),
            ("POST", "/v1/meetings/{id}/participants/{participant}/whip-token") => {
                Some(json!({"ttlSeconds": 60}))
            }
            ("POST", "/v1/meetings/{id}/tokens") => Some(json!({"use": "play", "ttlSeconds": 60})),
            ("POST", "/v1/meetings/{id}/links") => Some(json!({"role": "participant"})),
            ("POST", "/v1/users/consent") => {
                let mut body = json!({"meetingId": self.meeting.0, "consentType": "recording", "status": "accepted"});
                if credential == "key" || credential == "other tenant" {
                    body["userId"] = json!(self.member);
                }
                Some(body)
            }
            _ => None,
        };
        let headers = self.headers(credential);
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let request = match (operation.method, operation.path.contains("/whip")) {
            ("POST", true) if body.is_none() => {
                text_request("POST", &path, &headers, "application/sdp", OFFER)
            }
            ("PATCH", true) => {
                let headers = [&headers[..], &[("if-match", "\"srvr\"")]].concat();
                let kind = "application/trickle-ice-sdpfrag";
                text_request("PATCH", &path, &headers, kind, "a=end-of-candidates\r\n")
            }
            _ => request(operation.method, &path, &headers, body),
        };
        self.app.send(request).await
    }

    fn stream(&self) -> Value {
        json!({
            "participantId": self.participant, "kind": "audio", "codec": "opus", "payloadType": 111, "clockRate": 48000,
            "ssrc": fastrand::u32(..)
        })
    }
}

#[tokio::test]
async fn the_permission_table_holds() {
    let world = World::make().await;
    let _worker = world.app.worker(world.meeting).await;
    let mut wrong = Vec::new();
    for operation in &EXPECTED {
        let reads = operation.method == "GET";
        for credential in CREDENTIALS {
            let answer = world.call(operation, credential).await;
            let cookie_does_not_count =
                matches!(credential, "cookie" | "cookie foreign origin") && !reads;
            let void_but_signed =
                credential == "resume after leave" && NEVER_PARTICIPANTS.contains(&operation.path);
            let expected = if operation.may.contains(&credential) {
                "2xx".to_owned()
            } else if void_but_signed {
                "403".to_owned()
            } else if WORTHLESS.contains(&credential) || cookie_does_not_count {
                "401".to_owned()
            } else if credential == "other tenant" {
                operation.other_tenant.to_string()
            } else {
                "403".to_owned()
            };
            let got = if (200..400).contains(&answer.status) && expected == "2xx" {
                "2xx".to_owned()
            } else {
                answer.status.to_string()
            };
            if got != expected {
                wrong.push(format!(
                    "{} {} with {credential}: {got}, not {expected}",
                    operation.method, operation.path
                ));
            }
            if answer.status >= 400 {
                assert_eq!(answer.header("content-type"), "application/problem+json");
            }
            if answer.status == 401 {
                assert!(answer.header("www-authenticate").starts_with("Bearer"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_ne!(world.other_host, world.host);
    assert_ne!(world.other_key, world.app.key);
}

/// Every documented operation is in the table above.
#[test]
fn the_table_is_whole() {
    let document = hansard::api::docs::document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        // The four forms of a transcript are read alike.
        if path.ends_with(".srt") || path.ends_with(".txt") {
            continue;
        }
        for method in item.as_object().expect("methods").keys() {
            let plain = |path: &str| {
                path.split('/')
                    .map(|part| if part.starts_with('{') { "{}" } else { part })
                    .collect::<Vec<_>>()
                    .join("/")
            };
            let there = EXPECTED.iter().any(|operation| {
                operation.method.eq_ignore_ascii_case(method)
                    && plain(operation.path) == plain(path)
            });
            assert!(there, "{method} {path} is not tested");
        }
    }
}

#[tokio::test]
async fn a_revoked_key_is_worth_nothing() {
    let app = App::start().await;
    app.get("/v1/meetings").await.expect(200);
    let mut owner = hansard::store::owner(&app.url)
        .await
        .expect("Postgres answers");
    let keys = hansard::store::key::list(&mut owner)
        .await
        .expect("Postgres answers");
    assert!(
        hansard::store::key::revoke(&mut owner, keys[0].id)
            .await
            .expect("Postgres answers")
    );
    app.get("/v1/meetings").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_consent_token_ends_thirty_days_after_its_meeting() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let joined = app.join(meeting, ana).await;
    app.call(
        "PUT",
        &format!("/v1/meetings/{meeting}/end"),
        &app.key,
        None,
    )
    .await
    .expect(200);
    let path = format!("/v1/meetings/{meeting}/consents");
    for (days, status) in [(29, 200), (31, 401)] {
        sqlx::query("update meetings set end_time = clock_timestamp() - make_interval(days => $2) where id = $1")
            .bind(meeting.0)
            .bind(days)
            .execute(&mut app.sql().await)
            .await
            .expect("Postgres answers");
        assert_eq!(
            app.call("GET", &path, &joined.consent_token, None)
                .await
                .status,
            status,
            "{days} days"
        );
    }
}

#[tokio::test]
async fn only_one_bearer_is_read() {
    let app = App::start().await;
    let bearer = format!("Bearer {}", app.key);
    for headers in [
        &[("authorization", "Basic dTpw")][..],
        &[
            ("authorization", bearer.as_str()),
            ("authorization", bearer.as_str()),
        ],
        &[("authorization", app.key.as_str())],
        &[("cookie", "hansard_session=x")],
        &[("cookie", bearer.as_str())],
    ] {
        app.send(request("GET", "/v1/meetings", headers, None))
            .await
            .problem(401, "unauthorized");
    }
    let lower = format!("bearer {}", app.key);
    app.send(request(
        "GET",
        "/v1/meetings",
        &[("authorization", &lower)],
        None,
    ))
    .await
    .expect(200);
}
