//! The STUN and TURN servers that browsers are told, each participant with credentials of its own.
//!
//! A TURN server that shares a secret with us (coturn's `use-auth-secret`) takes a name that begins
//! with the Unix time of its end, and as password the HMAC of that name.

use crate::domain::id::ParticipantId;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// As `RTCPeerConnection` takes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceServer {
    #[schema(example = json!(["stun:stun.example.org"]))]
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub credential: Option<String>,
}

/// Longer than a meeting lasts.
const CREDENTIALS_LAST: TimeDelta = TimeDelta::hours(12);

#[derive(Default)]
pub struct IceServers {
    stun: Vec<String>,
    turn: Vec<String>,
    /// Shared with the TURN servers.
    secret: Option<hmac::Key>,
}

impl IceServers {
    /// `urls`: `stun:`, `stuns:`, `turn:` and `turns:` (RFC 7064, RFC 7065).
    pub fn new(urls: &[String], secret: Option<&[u8]>) -> Self {
        let (stun, turn) = urls
            .iter()
            .cloned()
            .partition(|url| url.starts_with("stun"));
        let key = |secret| hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        Self {
            stun,
            turn,
            secret: secret.map(key),
        }
    }

    /// For `RTCPeerConnection`. `None`: an observer, who sends nothing through a relay.
    pub fn told(&self, to: Option<ParticipantId>, now: DateTime<Utc>) -> Vec<IceServer> {
        let mut told = Vec::new();
        if !self.stun.is_empty() {
            told.push(IceServer {
                urls: self.stun.clone(),
                username: None,
                credential: None,
            });
        }
        if let (Some(secret), Some(to)) = (&self.secret, to)
            && !self.turn.is_empty()
        {
            let name = format!("{}:{to}", (now + CREDENTIALS_LAST).timestamp());
            let proof = hmac::sign(secret, name.as_bytes());
            told.push(IceServer {
                urls: self.turn.clone(),
                credential: Some(STANDARD.encode(proof.as_ref())),
                username: Some(name),
            });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_relay_is_told_with_credentials_of_its_participant_and_time() {
        let urls = [
            "stun:s.example.org",
            "turns:t.example.org:443?transport=tcp",
        ]
        .map(String::from);
        let servers = IceServers::new(&urls, Some(b"north"));
        let now = DateTime::from_timestamp(1_000_000, 0).expect("a time");
        let ana = ParticipantId(Uuid::from_u128(7));
        let told = servers.told(Some(ana), now);
        assert_eq!(told.len(), 2);
        assert_eq!((&told[0].urls[..], &told[0].username), (&urls[..1], &None));
        assert_eq!(told[1].urls, urls[1..]);
        assert_eq!(
            told[1].username.as_deref(),
            Some("1043200:00000000-0000-0000-0000-000000000007")
        );
        // printf %s NAME | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(
            told[1].credential.as_deref(),
            Some("8ESJV4AD9u36dXZRD3bE5aeEBRY=")
        );
        assert_eq!(servers.told(None, now).len(), 1);
        assert!(IceServers::default().told(Some(ana), now).is_empty());
    }
}
