//! The embedded services in a build that has none: nothing of these types can ever exist.

use std::path::Path;

/// See the module of the same name in a build with the feature `embed`.
pub mod postgres {
    use super::Path;

    #[derive(Clone, Copy, Debug)]
    pub enum Durability {
        Real,
    }

    #[derive(Debug)]
    pub enum Postgres {}

    impl Postgres {
        /// # Errors
        /// Always.
        pub fn start(_: &Path, _: Durability) -> anyhow::Result<Self> {
            anyhow::bail!("this build brings no Postgres along: set DATABASE_URL")
        }

        pub fn running_url(_: &Path) -> Option<String> {
            None
        }

        pub fn own_url(&self) -> String {
            match *self {}
        }

        /// # Errors
        /// Never.
        pub async fn create_own(&self) -> anyhow::Result<()> {
            match *self {}
        }

        /// # Errors
        /// Never.
        pub fn stop(&mut self) -> anyhow::Result<()> {
            match *self {}
        }
    }
}

/// See the module of the same name in a build with the feature `embed`.
pub mod s3 {
    use super::Path;
    use crate::clock::Clock;
    use std::{convert::Infallible, net::SocketAddr, time::Duration};

    #[derive(Clone, Debug)]
    pub struct Credentials {
        pub access_key_id: String,
        pub secret_access_key: String,
    }

    #[derive(Clone, Debug, Default)]
    pub struct Options {
        pub clock: Clock,
        pub restore_delay: Duration,
    }

    #[derive(Debug)]
    pub struct S3Server {
        pub credentials: Credentials,
        pub address: SocketAddr,
        never: Infallible,
    }

    impl S3Server {
        /// # Errors
        /// Always.
        pub async fn start(_: &Path, _: SocketAddr, _: Options) -> anyhow::Result<Self> {
            anyhow::bail!("this build brings no object storage along: set S3_ENDPOINT")
        }

        pub fn gateway(&self) -> axum::Router {
            match self.never {}
        }

        pub fn kept_credentials(_: &Path) -> Option<Credentials> {
            None
        }

        pub async fn stop(&self) {
            match self.never {}
        }
    }
}
