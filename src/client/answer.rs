//! What the server answers, as far as somebody here looks inside.

use super::srtp::SrtpKey;
use serde::Deserialize;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// What `join` answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    pub token: String,
    pub participant_id: String,
    pub signal_url: String,
    pub consent_token: String,
    #[serde(default)]
    pub consent_required: Vec<String>,
}

/// What `POST …/streams` answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    pub stream_id: String,
    pub ip: IpAddr,
    pub port: u16,
    #[serde(default)]
    pub srtp: Option<StreamKey>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct StreamKey {
    pub suite: String,
    pub key: String,
}

impl Stream {
    /// Where to send.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    pub fn srtp_key(&self) -> Option<SrtpKey> {
        self.srtp.as_ref().map(|srtp| SrtpKey {
            suite: srtp.suite.clone(),
            key: srtp.key.clone(),
        })
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    pub id: String,
    /// `mix` or `track`.
    pub kind: String,
    pub participant_id: Option<String>,
    pub source: Option<String>,
    pub media_type: Option<String>,
    pub start_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    #[serde(default)]
    pub gaps: Vec<Gap>,
    pub storage_tier: Option<String>,
    pub status: String,
    pub error: Option<Value>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    pub start_ms: i64,
    pub end_ms: i64,
    pub reason: String,
}
