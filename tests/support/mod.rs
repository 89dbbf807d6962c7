//! What tests stand on: private servers, started for them and gone with them.
//!
//! `mod support;` in a test makes all of this available.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod coturn;
pub mod crowd;
pub mod disk;
pub mod faults;
pub mod inventory;
pub mod old_files;
pub mod pgbouncer;
pub mod place;
pub mod postgres;
pub mod rabbitmq;
pub mod s3;
pub mod schema;
pub mod server;
pub mod signaling;
pub mod stored;
pub mod tone_meeting;

use hansard_client::rest::CallError;
use std::{
    future::Future,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
    time::Duration,
};

/// A directory that other users may pass through, removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path =
            std::env::temp_dir().join(format!("hansard-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("the temporary directory can be written to");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("it is ours");
        Self(path)
    }

    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until `condition` holds, asking every 20 ms; panics with `what` when it does not within
/// `at_most`.
pub async fn eventually<F: Future<Output = bool>>(
    what: &str,
    at_most: Duration,
    mut condition: impl FnMut() -> F,
) {
    let asked = tokio::time::Instant::now();
    while !condition().await {
        assert!(asked.elapsed() < at_most, "not within {at_most:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Asks, and again while the answer is that it cannot be answered now (503, or nobody there), at
/// most so long.
pub async fn patiently<T, F: Future<Output = Result<T, CallError>>>(
    what: &str,
    patience: Duration,
    mut call: impl FnMut() -> F,
) -> T {
    let asked = tokio::time::Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error)
                if matches!(error.status(), None | Some(503)) && asked.elapsed() < patience =>
            {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

/// Ports of loopback that nobody has and the kernel gives to nobody who asks for any, so that they
/// stay free until they are taken.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let mut bound = Vec::new();
    while bound.len() < N {
        let at = ("127.0.0.1", fastrand::u16(10_000..20_000));
        // For whoever takes both.
        if UdpSocket::bind(at).is_ok() {
            bound.extend(TcpListener::bind(at));
        }
    }
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    std::array::from_fn(|n| port(&bound[n]))
}

/// What an environment variable says, or as usual: for runs that are longer than every day's.
pub fn number(variable: &str, usual: u32) -> u32 {
    let given = std::env::var(variable).ok();
    given.and_then(|given| given.parse().ok()).unwrap_or(usual)
}

/// A tenant's API key in a migrated database, as `hansard key create` makes one.
pub async fn key(url: &str) -> String {
    use hansard::{
        api::secret::Secret,
        store::{self, key, tenant},
    };
    let mut conn = store::owner(url).await.expect("Postgres answers");
    let secret = Secret::random(Secret::API_KEY).expect("there is randomness");
    let tenant = tenant::ensure(&mut conn, "tests").await.expect("a tenant");
    key::insert(&mut conn, tenant, &secret.hash(), secret.hint())
        .await
        .expect("a key");
    secret.reveal().to_owned()
}
