//! Object storage for tests: the S3 server that `serve` brings along, on a directory of its own.

use super::Scratch;
use hansard::{
    embed::s3::S3Server,
    objects::{Dialect, Objects, StorageConfig},
};
use std::net::SocketAddr;

pub struct Bucket {
    pub objects: Objects,
    pub settings: StorageConfig,
    pub scratch: Scratch,
    server: Option<S3Server>,
}

impl Bucket {
    /// A running server with an empty bucket in it.
    pub async fn start() -> Self {
        let scratch = Scratch::new();
        let server = S3Server::start(scratch.path(), SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("it starts");
        let endpoint = format!("http://{}", server.address);
        let settings = StorageConfig {
            public_endpoint: endpoint.clone(),
            endpoint,
            region: "local".to_owned(),
            bucket: "hansard".to_owned(),
            access_key_id: server.credentials.access_key_id.clone(),
            secret_access_key: server.credentials.secret_access_key.clone(),
            dialect: Dialect::default(),
        };
        let objects = Objects::new(&settings);
        objects.ensure_bucket().await.expect("a bucket can be made");
        Self {
            objects,
            settings,
            scratch,
            server: Some(server),
        }
    }

    /// Its objects as another server hands them on.
    pub fn gateway(&self) -> axum::Router {
        self.server.as_ref().expect("it runs").gateway()
    }

    /// Takes it away.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// At the same address again, with the same objects.
    pub async fn restart(&mut self) {
        self.stop().await;
        let address = self
            .settings
            .endpoint
            .trim_start_matches("http://")
            .parse()
            .expect("it is an address");
        self.server = Some(
            S3Server::start(self.scratch.path(), address)
                .await
                .expect("it starts again"),
        );
    }
}
