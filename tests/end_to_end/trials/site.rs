//! Processes that share a database, a bucket and perhaps a broker, any of which can be taken away.

use super::{
    room::{Guest, Room, SOON},
    support::{
        inventory::listed, postgres::Cluster, rabbitmq::RabbitMq, s3::Bucket, server::Server,
    },
};
use hansard_client::{meeting::Meeting, sender::Frame, signal::Event};
use std::{collections::BTreeSet, path::Path, time::Duration};

const PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];

pub struct Site {
    pub cluster: Cluster,
    pub database: String,
    pub bucket: Bucket,
    pub broker: Option<RabbitMq>,
}

impl Site {
    pub async fn start() -> Self {
        let cluster = Cluster::start().await;
        Self {
            database: cluster.database().await,
            cluster,
            bucket: Bucket::start().await,
            broker: None,
        }
    }

    pub async fn with_broker() -> Self {
        Self {
            broker: Some(RabbitMq::start().await),
            ..Self::start().await
        }
    }

    /// One process that does everything.
    pub fn serve(&self, data: &Path) -> Server {
        self.process("serve", data, &PORTS)
    }

    pub fn api(&self, data: &Path) -> Server {
        self.process("api", data, &PORTS[..2])
    }

    pub fn worker(&self, data: &Path) -> Server {
        let arguments = [
            "--rtp-allow",
            "127.0.0.0/8",
            "--rtp-webrtc-ports",
            "22000-22999",
        ];
        self.process("worker", data, &arguments)
    }

    /// With a grace time that is over soon.
    fn process(&self, role: &str, data: &Path, arguments: &[&str]) -> Server {
        let broker = self.broker.as_ref().map(RabbitMq::url);
        let settings = &self.bucket.settings;
        let mut environment = vec![
            ("DATABASE_URL", self.database.as_str()),
            ("S3_ENDPOINT", &settings.endpoint),
            ("S3_BUCKET", &settings.bucket),
            ("S3_ACCESS_KEY_ID", &settings.access_key_id),
            ("S3_SECRET_ACCESS_KEY", &settings.secret_access_key),
            (
                "HANSARD_SECRET",
                "a secret for tests of at least thirty-two bytes",
            ),
        ];
        environment.extend(broker.as_deref().map(|url| ("AMQP_URL", url)));
        let arguments = [arguments, &["--grace-seconds", "6"]].concat();
        Server::start(role, data, &arguments, &environment)
    }

    /// The keys of all objects.
    pub async fn keys(&self) -> BTreeSet<String> {
        listed(&self.bucket).await
    }

    /// Where the bucket's objects lie as files.
    pub fn objects(&self) -> &Path {
        self.bucket.scratch.path()
    }
}

/// What somebody of the test meeting says in this span.
pub fn speech(name: &str, from_ms: usize, to_ms: usize) -> Vec<Frame> {
    let set = Meeting::test_set("incident").expect("the set");
    let voice = set
        .voices
        .iter()
        .find(|voice| voice.name == name)
        .expect("a voice");
    voice.frames[from_ms / 20..to_ms / 20].to_vec()
}

/// The guest's n-th final.
pub async fn until_final(room: &Room, guest: &Guest, n: usize) -> Event {
    let is = |event: &Event| {
        event.kind() == "transcript_update"
            && event.data()["final"] == true
            && event.data()["participant"]["id"] == guest.id.as_str()
    };
    super::support::eventually("a final", SOON.max(Duration::from_secs(60)), async || {
        room.events().iter().filter(|event| is(event)).count() > n
    })
    .await;
    room.events()
        .into_iter()
        .filter(is)
        .nth(n)
        .expect("it was there")
}
