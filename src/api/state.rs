//! What every handler stands on.

use super::{
    ice::IceServers,
    limit::Limits,
    password::Passwords,
    token::{Keys, Refused},
    unwritten::Unwritten,
};
use crate::{
    clock::Clock,
    domain::id::MeetingId,
    ledger::Ledger,
    objects::Objects,
    published::{self, LocalSockets},
    queue::{Queue, message::Ask},
    store::{Store, effect::Effects, seal::Seal},
};
use axum::http::Uri;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;

/// How clients reach this server, and who else may.
#[derive(Clone, Debug)]
pub struct Address {
    /// Scheme and authority (and path, behind a proxy that adds one), without a slash at the end.
    public_url: String,
    /// The path in it: where our own pages begin behind a proxy that adds one, else empty.
    path: String,
    /// The `Origin` of pages served under it.
    origin: String,
    /// Origins of other pages that may call.
    others: Vec<String>,
    /// Pages of every origin may.
    all: bool,
}

impl Address {
    /// `allowed` are the origins of the allow-list; the public URL's own is always in it.
    pub fn new(public_url: &str, allowed: &[String]) -> anyhow::Result<Self> {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let uri: Uri = public_url.parse()?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            anyhow::bail!(
                "the public URL {public_url:?} needs a scheme and a host, like https://hansard.example.org"
            );
        };
        anyhow::ensure!(
            matches!(scheme, "http" | "https"),
            "the public URL must be http or https"
        );
        // A browser leaves the scheme's own port out of Origin.
        let host = match (scheme, authority.port_u16()) {
            ("http", Some(80)) | ("https", Some(443)) => authority.host(),
            _ => authority.as_str(),
        };
        let origin = format!("{scheme}://{}", host.to_ascii_lowercase());
        let path = uri.path().trim_end_matches('/').to_owned();
        let all = allowed.iter().any(|origin| origin == "*");
        let others = allowed
            .iter()
            .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase())
            .collect();
        Ok(Self {
            public_url,
            path,
            origin,
            others,
            all,
        })
    }

    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// What our own addresses begin with: empty, or a path like `/hansard`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where a room's socket is opened.
    pub fn signal_url(&self) -> String {
        format!("{}/v1/signal", self.public_url.replacen("http", "ws", 1))
    }

    /// Scheme and authority of [`Self::signal_url`], for the pages' policy.
    pub fn signal_origin(&self) -> String {
        self.origin.replacen("http", "ws", 1)
    }

    /// Whether pages of this origin may call at all.
    pub fn allows(&self, origin: &str) -> bool {
        self.all
            || self.is_own(origin)
            || self
                .others
                .iter()
                .any(|other| other == &origin.to_ascii_lowercase())
    }

    /// Whether this is the origin of our own pages: the only one whose cookie counts beyond GET.
    pub fn is_own(&self, origin: &str) -> bool {
        origin.eq_ignore_ascii_case(&self.origin)
    }

    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}

/// One per process; handlers get it as [`Shared`].
pub struct ApiState {
    pub store: Store,
    pub queue: Queue,
    pub objects: Objects,
    pub clock: Clock,
    pub keys: Keys,
    pub seal: Seal,
    pub address: Address,
    /// Told by `join` and `joined`; for WebRTC.
    pub ice: IceServers,
    pub metrics: PrometheusHandle,
    pub passwords: Passwords,
    /// Where the object storage is for a browser (scheme and authority), for the pages' policy.
    pub media_origin: String,
    pub here: LocalSockets,
    /// What is deleted is written there first.
    pub ledger: Ledger,
    /// Acknowledged withdrawals that wait for the database.
    pub unwritten: Unwritten,
    /// What one address or credential may ask.
    pub limits: Limits,
}

pub type Shared = Arc<ApiState>;

impl ApiState {
    /// Carries out what a committed transaction asks for, and hints the worker to read again.
    /// Nothing here waits, nothing can fail the request: sockets repair holes from the store,
    /// workers poll.
    pub fn publish(&self, meeting: MeetingId, effects: impl Into<Effects>) {
        let effects = effects.into();
        let stored = effects.is_stored();
        published::publish(&self.queue, Some(&self.here), meeting, effects);
        if stored {
            published::hint(&self.queue, meeting, Ask::Changed);
        }
    }
}

impl From<Refused> for super::problem::Problem {
    fn from(refused: Refused) -> Self {
        Self::unauthorized(refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_origin_and_the_allowed_ones() {
        let address = Address::new(
            "https://Hansard.example.org:443/",
            &["https://app.example.org/".into()],
        )
        .expect("good");
        assert_eq!(
            address.signal_url(),
            "wss://Hansard.example.org:443/v1/signal"
        );
        for (origin, own, allowed) in [
            ("https://hansard.example.org", true, true),
            ("http://hansard.example.org", false, false),
            ("https://app.example.org", false, true),
            ("https://app.example.org.evil.test", false, false),
            ("null", false, false),
            ("", false, false),
        ] {
            assert_eq!(
                (address.is_own(origin), address.allows(origin)),
                (own, allowed),
                "{origin}"
            );
        }
        // No credential of ours travels by itself to another origin: allowing all gives a page
        // nothing that it has not got.
        let open = Address::new("https://x.example.org/hansard/", &["*".into()]).expect("good");
        assert!(
            open.allows("https://anybody.test")
                && open.allows("null")
                && !open.is_own("https://anybody.test")
        );
        assert_eq!((open.path(), address.path()), ("/hansard", ""));
        assert_eq!(open.signal_url(), "wss://x.example.org/hansard/v1/signal");
        assert!(Address::new("hansard.example.org", &[]).is_err());
        assert!(Address::new("ftp://x", &[]).is_err());
    }
}
