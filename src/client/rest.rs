//! A client of the public HTTP interface, as anybody would write one from `docs/openapi.json`.
//!
//! Bodies stay JSON values where nothing here needs to look inside.

pub use super::answer::{Gap, Joined, Recording, Stream, StreamKey};
use reqwest::{Method, StatusCode, header, redirect};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// No answer takes longer: the slowest, asking for a stream, waits 5 s for a worker.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How often something is asked for until it is there.
const POLL_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server's refusal, with its problem+json.
    #[error("{method} {path}: {status} {}", summary(.problem))]
    Refused {
        method: Method,
        path: String,
        status: StatusCode,
        retry_after: Option<u64>,
        problem: Value,
    },
    #[error("{method} {path}: {source}")]
    Transport {
        method: Method,
        path: String,
        source: reqwest::Error,
    },
    #[error("{path}: the answer is not what the contract says: {detail}")]
    Answer { path: String, detail: String },
    #[error("{what} within {waited:?}: {last}")]
    Late {
        what: &'static str,
        waited: Duration,
        last: String,
    },
}

impl CallError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }
}

fn summary(problem: &Value) -> String {
    match (problem["type"].as_str(), problem["detail"].as_str()) {
        (Some(kind), Some(detail)) => match problem.get("errors") {
            Some(errors) => format!("{kind}: {detail} {errors}"),
            None => format!("{kind}: {detail}"),
        },
        _ => problem.to_string(),
    }
}

pub type Result<T> = std::result::Result<T, CallError>;

/// One tenant's view of a server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    /// `base_url` like `http://127.0.0.1:8080`, `api_key` like `hk_…`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(base_url: &str, api_key: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|source| CallError::Transport {
                method: Method::GET,
                path: base_url.into(),
                source,
            })?;
        Ok(Self {
            http,
            base: base_url.trim_end_matches('/').into(),
            key: api_key.into(),
        })
    }

    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Where the same server takes signaling sockets.
    pub fn signal_url(&self) -> String {
        format!("{}/v1/signal", self.base_url().replacen("http", "ws", 1))
    }

    pub fn api_key(&self) -> &str {
        &self.key
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, &self.key, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, &self.key, Some(body)).await
    }

    /// Any call with any bearer credential; an empty answer is `null`.
    ///
    /// # Errors
    /// Everything but a 2xx.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let (_, bytes) = self.exchange(method, path, bearer, body).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| CallError::Answer {
            path: path.into(),
            detail: error.to_string(),
        })
    }

    /// → the user's id.
    pub async fn create_user(&self, email: &str, display_name: &str) -> Result<String> {
        let user = self
            .post(
                "/v1/users",
                json!({"email": email, "displayName": display_name}),
            )
            .await?;
        text(&user, "id", "/v1/users")
    }

    /// `settings` as in the contract, `{}` for the defaults. → the meeting.
    pub async fn create_meeting(&self, host_id: &str, settings: Value) -> Result<Value> {
        self.post(
            "/v1/meetings",
            json!({"hostId": host_id, "settings": settings}),
        )
        .await
    }

    pub async fn meeting(&self, meeting_id: &str) -> Result<Value> {
        self.get(&format!("/v1/meetings/{meeting_id}")).await
    }

    pub async fn join(&self, meeting_id: &str, user_id: &str) -> Result<Joined> {
        let path = format!("/v1/meetings/{meeting_id}/join");
        read(self.post(&path, json!({"userId": user_id})).await?, &path)
    }

    /// For any user, by the API key. → the entry.
    pub async fn consent_for(
        &self,
        meeting_id: &str,
        user_id: &str,
        consent_type: &str,
        status: &str,
    ) -> Result<Value> {
        let body = json!({"meetingId": meeting_id, "userId": user_id, "consentType": consent_type, "status": status});
        self.post("/v1/users/consent", body).await
    }

    /// For oneself, by a join, resume or consent token. → the entry.
    pub async fn consent(
        &self,
        token: &str,
        meeting_id: &str,
        consent_type: &str,
        status: &str,
    ) -> Result<Value> {
        let body = json!({"meetingId": meeting_id, "consentType": consent_type, "status": status});
        self.call(Method::POST, "/v1/users/consent", token, Some(body))
            .await
    }

    /// `request` is the body of `POST …/streams`; see [`audio_stream`].
    pub async fn create_stream(&self, meeting_id: &str, request: Value) -> Result<Stream> {
        let path = format!("/v1/meetings/{meeting_id}/streams");
        read(self.post(&path, request).await?, &path)
    }

    pub async fn delete_stream(&self, meeting_id: &str, stream_id: &str) -> Result<()> {
        let path = format!("/v1/meetings/{meeting_id}/streams/{stream_id}");
        self.call(Method::DELETE, &path, &self.key, None)
            .await
            .map(drop)
    }

    /// → the meeting.
    pub async fn end(&self, meeting_id: &str) -> Result<Value> {
        self.call(
            Method::PUT,
            &format!("/v1/meetings/{meeting_id}/end"),
            &self.key,
            None,
        )
        .await
    }

    pub async fn participants(&self, meeting_id: &str) -> Result<Vec<Value>> {
        self.list(&format!("/v1/meetings/{meeting_id}/participants"))
            .await
    }

    pub async fn consents(&self, meeting_id: &str) -> Result<Vec<Value>> {
        self.list(&format!("/v1/meetings/{meeting_id}/consents"))
            .await
    }

    pub async fn recordings(&self, meeting_id: &str) -> Result<Vec<Recording>> {
        let path = format!("/v1/meetings/{meeting_id}/recordings");
        self.list(&path)
            .await?
            .into_iter()
            .map(|recording| read(recording, &path))
            .collect()
    }

    /// Waits until there is a mix and nothing is being made any more: each recording is `ready` or
    /// `failed`.
    ///
    /// # Errors
    /// [`CallError::Late`] after `deadline`, with what was there.
    pub async fn wait_recordings_ready(
        &self,
        meeting_id: &str,
        deadline: Instant,
    ) -> Result<Vec<Recording>> {
        let began = Instant::now();
        loop {
            let recordings = self.recordings(meeting_id).await?;
            let done =
                |recording: &Recording| matches!(recording.status.as_str(), "ready" | "failed");
            if recordings.iter().any(|recording| recording.kind == "mix")
                && recordings.iter().all(done)
            {
                return Ok(recordings);
            }
            if Instant::now() >= deadline {
                let last: Vec<String> = recordings
                    .iter()
                    .map(|r| format!("{} {}", r.kind, r.status))
                    .collect();
                return Err(CallError::Late {
                    what: "the recordings were not ready",
                    waited: began.elapsed(),
                    last: last.join(", "),
                });
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// The file of a ready recording: follows the one redirect to storage, which needs no
    /// credential and gets none.
    pub async fn download(&self, recording_id: &str) -> Result<Vec<u8>> {
        let path = format!("/v1/recordings/{recording_id}/content");
        let (location, _) = self.exchange(Method::GET, &path, &self.key, None).await?;
        let Some(location) = location else {
            return Err(CallError::Answer {
                path,
                detail: "no redirect to the file".into(),
            });
        };
        let failed = |source| CallError::Transport {
            method: Method::GET,
            path: path.clone(),
            source,
        };
        let answer = self.http.get(location).send().await.map_err(failed)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            let problem = Value::String(String::from_utf8_lossy(&bytes).into_owned());
            return Err(CallError::Refused {
                method: Method::GET,
                path,
                status,
                retry_after: None,
                problem,
            });
        }
        Ok(bytes.into())
    }

    pub async fn transcript(&self, meeting_id: &str) -> Result<Value> {
        self.get(&format!("/v1/meetings/{meeting_id}/transcript"))
            .await
    }

    /// `vtt`, `srt` or `txt`.
    pub async fn transcript_as(&self, meeting_id: &str, format: &str) -> Result<String> {
        let path = format!("/v1/meetings/{meeting_id}/transcript.{format}");
        let (_, bytes) = self.exchange(Method::GET, &path, &self.key, None).await?;
        String::from_utf8(bytes).map_err(|error| CallError::Answer {
            path,
            detail: error.to_string(),
        })
    }

    /// Waits until the transcript says that it is complete.
    ///
    /// # Errors
    /// [`CallError::Late`] after `deadline`.
    pub async fn wait_transcript_complete(
        &self,
        meeting_id: &str,
        deadline: Instant,
    ) -> Result<Value> {
        let began = Instant::now();
        loop {
            let transcript = self.transcript(meeting_id).await?;
            if transcript["complete"] == true {
                return Ok(transcript);
            }
            if Instant::now() >= deadline {
                let last = format!(
                    "{} segments",
                    transcript["segments"].as_array().map_or(0, Vec::len)
                );
                return Err(CallError::Late {
                    what: "the transcript was not complete",
                    waited: began.elapsed(),
                    last,
                });
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Every page of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                Some(cursor) => {
                    self.get(&format!("{path}{separator}limit=200&cursor={cursor}"))
                        .await?
                }
                None => self.get(&format!("{path}{separator}limit=200")).await?,
            };
            let Value::Array(data) = page["data"].clone() else {
                return Err(CallError::Answer {
                    path: path.into(),
                    detail: "no `data`".into(),
                });
            };
            all.extend(data);
            match page["nextCursor"].as_str() {
                Some(next) if cursor.as_deref() != Some(next) => cursor = Some(next.into()),
                _ => return Ok(all),
            }
        }
    }

    /// → where a redirect leads, and the body.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Option<Value>,
    ) -> Result<(Option<String>, Vec<u8>)> {
        let failed = |source| CallError::Transport {
            method: method.clone(),
            path: path.into(),
            source,
        };
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(bearer);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let header = |name| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(String::from)
        };
        let (location, retry_after) = (header(header::LOCATION), header(header::RETRY_AFTER));
        let bytes = answer.bytes().await.map_err(failed)?;
        if status.is_success() || status.is_redirection() {
            return Ok((location, bytes.into()));
        }
        let problem = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        let retry_after = retry_after.and_then(|seconds| seconds.parse().ok());
        Err(CallError::Refused {
            method,
            path: path.into(),
            status,
            retry_after,
            problem,
        })
    }
}

/// The body that asks for an audio stream; `remote` is the sender's own address, `suite` asks for
/// SRTP.
pub fn audio_stream(
    participant_id: &str,
    codec: &str,
    sender: &super::sender::SenderConfig,
    remote: Option<SocketAddr>,
    suite: Option<&str>,
) -> Value {
    let mut request = json!({
        "participantId": participant_id,
        "kind": "audio",
        "codec": codec,
        "payloadType": sender.payload_type,
        "clockRate": sender.clock_rate,
        "ssrc": sender.ssrc,
    });
    if let Some(red) = sender.red {
        request["redPayloadType"] = red.into();
    }
    if let Some(remote) = remote {
        request["remote"] = json!({"ip": remote.ip(), "port": remote.port()});
    }
    if let Some(suite) = suite {
        request["srtp"] = json!({"suite": suite});
    }
    request
}

fn text(value: &Value, field: &str, path: &str) -> Result<String> {
    value[field]
        .as_str()
        .map(String::from)
        .ok_or_else(|| CallError::Answer {
            path: path.into(),
            detail: format!("no `{field}`"),
        })
}

fn read<T: serde::de::DeserializeOwned>(value: Value, path: &str) -> Result<T> {
    serde_json::from_value(value).map_err(|error| CallError::Answer {
        path: path.into(),
        detail: error.to_string(),
    })
}
