//! Object storage for tests: the S3 server that `serve` brings along, on a directory of its own.

use super::Scratch;
use hansard::{
    clock::Clock,
    embed::s3::{Options, S3Server},
    objects::{Dialect, Objects, StorageConfig},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

pub fn client(settings: &StorageConfig) -> aws_sdk_s3::Client {
    use aws_sdk_s3::config::{BehaviorVersion, Region};
    let credentials = aws_credential_types::Credentials::from_keys(
        &settings.access_key_id,
        &settings.secret_access_key,
        None,
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(&settings.endpoint)
        .force_path_style(true)
        .region(Region::new(settings.region.clone()))
        .credentials_provider(credentials)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

pub struct Bucket {
    pub objects: Objects,
    pub settings: StorageConfig,
    pub scratch: Scratch,
    /// The server's: who sets it moves its time.
    pub clock: Clock,
    options: Options,
    server: Option<S3Server>,
}

impl Bucket {
    /// A running server with an empty bucket in it.
    pub async fn start() -> Self {
        Self::start_with(Scratch::new(), Options::default()).await
    }

    /// The same on what is in this folder already.
    pub async fn start_with(scratch: Scratch, options: Options) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = S3Server::start(scratch.path(), any, options.clone())
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
            clock: options.clock.clone(),
            options,
            server: Some(server),
        }
    }

    /// Its objects as another server hands them on.
    pub fn gateway(&self) -> axum::Router {
        self.server.as_ref().expect("it runs").gateway()
    }

    /// As any other program talks to it.
    pub fn client(&self) -> aws_sdk_s3::Client {
        client(&self.settings)
    }

    /// Moves the server's clock forward.
    pub fn pass(&self, time: Duration) {
        let now = Instant::now();
        let wall = self.clock.now() + time;
        assert!(self.clock.set(now, now, wall), "no time passes meanwhile");
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
            S3Server::start(self.scratch.path(), address, self.options.clone())
                .await
                .expect("it starts again"),
        );
    }
}
