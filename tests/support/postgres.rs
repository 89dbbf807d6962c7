//! Postgres for tests: one private cluster per test binary, one migrated database per test.

use hansard::embed::postgres::{Durability, Postgres};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicU32, Ordering},
};

const TEMPLATE: &str = "template_hansard";

/// A cluster. Tests that take Postgres away start their own ([`Cluster::start`]); all others share
/// one.
#[derive(Clone)]
pub struct Cluster {
    postgres: Arc<Mutex<Postgres>>,
    template: Arc<tokio::sync::OnceCell<()>>,
    databases: Arc<AtomicU32>,
}

impl Cluster {
    pub async fn start() -> Self {
        tokio::task::spawn_blocking(Self::start_blocking)
            .await
            .expect("starting Postgres does not panic")
    }

    fn start_blocking() -> Self {
        let directory =
            std::env::temp_dir().join(format!("hansard-pg-{}", uuid::Uuid::new_v4().simple()));
        let postgres =
            Postgres::start(&directory, Durability::Scratch).expect("a private Postgres starts");
        Self {
            postgres: Arc::new(Mutex::new(postgres)),
            template: Arc::default(),
            databases: Arc::default(),
        }
    }

    /// A fresh database with the schema in it. The URL's user is a superuser, as an operator's may
    /// be.
    pub async fn database(&self) -> String {
        self.template
            .get_or_init(|| async {
                self.execute(&format!("create database {TEMPLATE}")).await;
                let mut connection = PgConnection::connect(&self.url(TEMPLATE))
                    .await
                    .expect("it was just made");
                sqlx::migrate!("./migrations")
                    .run(&mut connection)
                    .await
                    .expect("the migrations run");
                connection.close().await.expect("it was open");
            })
            .await;
        self.copy(TEMPLATE).await
    }

    /// A fresh database with nothing in it.
    pub async fn empty_database(&self) -> String {
        self.copy("template1").await
    }

    async fn copy(&self, template: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("create database {name} template {template}"))
            .await;
        self.url(&name)
    }

    /// Ends all sessions and the server.
    pub async fn stop(&self) {
        self.with(|postgres| postgres.stop().expect("Postgres stops"))
            .await;
    }

    /// `kill -9`.
    pub async fn kill(&self) {
        self.with(|postgres| postgres.kill().expect("Postgres dies"))
            .await;
    }

    /// Connections stay open and get no answer, until thawed.
    pub async fn freeze(&self, frozen: bool) {
        self.with(move |postgres| postgres.freeze(frozen).expect("Postgres runs"))
            .await;
    }

    /// The same data again, at the same address.
    pub async fn restart(&self) {
        self.with(|postgres| postgres.run().expect("Postgres starts again"))
            .await;
    }

    /// The same for who has no runtime.
    pub fn restart_blocking(&self) {
        self.postgres
            .lock()
            .expect("no holder panics")
            .run()
            .expect("Postgres starts again");
    }

    pub fn url(&self, database: &str) -> String {
        self.postgres
            .lock()
            .expect("no holder panics")
            .url(database)
    }

    async fn with(&self, work: impl FnOnce(&mut Postgres) + Send + 'static) {
        let postgres = self.postgres.clone();
        tokio::task::spawn_blocking(move || work(&mut postgres.lock().expect("no holder panics")))
            .await
            .expect("it does not panic");
    }

    async fn execute(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres"))
            .await
            .expect("the private Postgres answers");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .expect("databases can be made");
        connection.close().await.expect("it was open");
    }
}

/// The cluster that the tests of this binary share. Nobody may stop it.
pub async fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    tokio::task::spawn_blocking(|| SHARED.get_or_init(Cluster::start_blocking))
        .await
        .expect("starting Postgres does not panic")
}

/// A fresh, migrated database in the shared cluster: its URL.
pub async fn database() -> String {
    shared().await.database().await
}
