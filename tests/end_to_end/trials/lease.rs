//! Who holds a meeting, from outside: two workers on real Postgres, RabbitMQ and S3, of which one
//! dies, is told to stop, or only loses its database for a while.

use super::support::{
    Scratch, patiently, postgres::Cluster, rabbitmq::RabbitMq, s3::Bucket, server::Server,
};
use hansard_client::{
    rest::{Client, Joined, Recording, audio_stream},
    sender::{Frame, Sender, SenderConfig},
    signal::{Entry, Event, Signal},
    tone::{self, OpusSettings},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RATE: u32 = 48_000;
const HZ: f64 = 700.0;
/// A window of the tone's level.
const WINDOW_MS: i64 = 100;
/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Two workers, each with an address of its own, and an `api`.
struct Site {
    cluster: Cluster,
    database: String,
    workers: Vec<Option<Server>>,
    api: Server,
    key: String,
    environment: Environment,
    folders: Vec<Scratch>,
    _broker: RabbitMq,
    _bucket: Bucket,
}

type Environment = [(&'static str, String); 7];

fn borrowed(environment: &Environment) -> Vec<(&str, &str)> {
    environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

fn worker(n: usize, folder: &Scratch, environment: &Environment) -> Server {
    let ip = address(n);
    let arguments = [
        "--rtp-bind",
        &ip,
        "--rtp-public-ip",
        &ip,
        "--rtp-allow",
        "127.0.0.0/8",
    ];
    Server::start("worker", folder.path(), &arguments, &borrowed(environment))
}

impl Site {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let database = cluster.database().await;
        let (broker, bucket) = (RabbitMq::start().await, Bucket::start().await);
        let environment = [
            ("DATABASE_URL", database.clone()),
            ("AMQP_URL", broker.url()),
            ("S3_ENDPOINT", bucket.settings.endpoint.clone()),
            ("S3_BUCKET", bucket.settings.bucket.clone()),
            ("S3_ACCESS_KEY_ID", bucket.settings.access_key_id.clone()),
            (
                "S3_SECRET_ACCESS_KEY",
                bucket.settings.secret_access_key.clone(),
            ),
            (
                "HANSARD_SECRET",
                "a secret for tests of at least thirty-two bytes".into(),
            ),
        ];
        let folders: Vec<Scratch> = (0..3).map(|_| Scratch::new()).collect();
        let workers = (0..2)
            .map(|n| Some(worker(n, &folders[n], &environment)))
            .collect();
        let api = Server::start(
            "api",
            folders[2].path(),
            &["--listen", "127.0.0.1:0"],
            &borrowed(&environment),
        );
        let key = super::support::key(&database).await;
        Self {
            cluster,
            database,
            workers,
            api,
            key,
            environment,
            folders,
            _broker: broker,
            _bucket: bucket,
        }
    }

    fn client(&self) -> Client {
        Client::new(self.api.url(), &self.key).expect("the address is well-formed")
    }

    async fn observe(&self, meeting: &str) -> Signal {
        let entry = Entry::Observer {
            api_key: self.key.clone(),
            meeting_id: meeting.into(),
        };
        self.connect(&entry).await
    }

    async fn connect(&self, entry: &Entry) -> Signal {
        let url = format!("{}/v1/signal", self.api.url().replacen("http", "ws", 1));
        Signal::connect(&url, entry, Some(0)).await.expect("joins")
    }

    /// How often the meeting was claimed.
    async fn holders(&self, meeting: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.database)
            .await
            .expect("Postgres answers");
        sqlx::query_scalar("select count(*) from capture_epochs where meeting_id = $1")
            .bind(uuid::Uuid::parse_str(meeting).expect("an id"))
            .fetch_one(&mut connection)
            .await
            .expect("it is asked")
    }

    fn worker(&mut self, n: usize) -> Server {
        self.workers[n].take().expect("it runs")
    }
}

fn address(worker: usize) -> String {
    format!("127.0.0.{}", 11 + worker)
}

/// Ana's microphone: a tone whose packets go to wherever her stream is received.
struct Hum {
    to: Arc<Mutex<SocketAddr>>,
    stop: CancellationToken,
    sending: JoinHandle<()>,
    relay: JoinHandle<()>,
    /// Which worker receives it.
    worker: usize,
    stream: String,
    meeting: String,
    joined: Joined,
}

impl Hum {
    async fn start(client: &Client) -> Self {
        let user = client
            .create_user("ana@example.org", "Ana")
            .await
            .expect("a user");
        let meeting = patiently("a meeting", SOON, || {
            client.create_meeting(&user, json!({"aiEnabled": false}))
        })
        .await;
        let meeting = meeting["id"].as_str().expect("an id").to_owned();
        let joined = client.join(&meeting, &user).await.expect("joins");
        client
            .consent(&joined.token, &meeting, "recording", "accepted")
            .await
            .expect("agrees");
        let sender = Sender::bind(LOOPBACK, SenderConfig::opus("ana"))
            .await
            .expect("a socket");
        let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
        let stream = patiently("a port", SOON, || {
            client.create_stream(&meeting, request.clone())
        })
        .await;
        let at = stream.address();
        let worker = (0..2)
            .find(|n| at.ip().to_string() == address(*n))
            .expect("it is one of ours");
        let (to, stop) = (Arc::new(Mutex::new(at)), CancellationToken::new());
        let socket = UdpSocket::bind((LOOPBACK, 0)).await.expect("a socket");
        let entrance = socket.local_addr().expect("it is bound");
        let relay = {
            let to = to.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 2_048];
                while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                    let to = *to.lock().expect("no holder panics");
                    if from.ip() == LOOPBACK {
                        let _ = socket.send_to(&buffer[..length], to).await;
                    }
                }
            })
        };
        let sending = {
            let stop = stop.clone();
            let tone = tone::sine(HZ, 0.3, Duration::from_secs(120), RATE);
            let frames: Vec<Frame> = tone::opus(&tone, OpusSettings::default()).expect("encodes");
            tokio::spawn(async move {
                sender
                    .run(entrance, &frames, Instant::now(), &stop)
                    .await
                    .expect("sends");
            })
        };
        Self {
            to,
            stop,
            sending,
            relay,
            worker,
            stream: stream.stream_id,
            meeting,
            joined,
        }
    }

    fn move_to(&self, address: &Value) {
        let ip: IpAddr = address["ip"]
            .as_str()
            .expect("an address")
            .parse()
            .expect("of this machine");
        let port = u16::try_from(address["port"].as_u64().expect("a port")).expect("a port");
        *self.to.lock().expect("no holder panics") = SocketAddr::new(ip, port);
    }

    /// Ends the meeting and answers with its track and the level of the tone in it, per window.
    async fn end(self, client: &Client) -> (Recording, Vec<f64>) {
        client.end(&self.meeting).await.expect("ends");
        self.made(client).await
    }

    /// The same of a meeting that has ended.
    async fn made(self, client: &Client) -> (Recording, Vec<f64>) {
        self.stop.cancel();
        self.sending.await.expect("it does not panic");
        self.relay.abort();
        let made = client
            .wait_recordings_ready(&self.meeting, Instant::now() + SOON)
            .await
            .expect("made");
        let track = made
            .into_iter()
            .find(|recording| recording.kind == "track")
            .expect("a track");
        assert_eq!(track.status, "ready");
        let bytes = client.download(&track.id).await.expect("downloads");
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        std::fs::write(&path, bytes).expect("writes");
        let samples = tone::decode(&path, RATE).expect("plays");
        (
            track,
            tone::amplitudes(&samples, RATE, HZ)
                .into_iter()
                .map(tone::dbfs)
                .collect(),
        )
    }
}

/// The stream as an event tells it.
fn told<'a>(data: &'a Value, stream: &str) -> Option<&'a Value> {
    data["streams"]
        .as_array()?
        .iter()
        .find(|told| told["streamId"] == stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stalls_moves_no_meeting() {
    let site = Site::start().await;
    let client = site.client();
    let hum = Hum::start(&client).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..3 {
        site.cluster.freeze(true).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        site.cluster.freeze(false).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(site.holders(&hum.meeting).await, 1, "it stays where it is");
    let (track, levels) = hum.end(&client).await;
    assert_eq!(track.gaps.len(), 0, "{:?}", track.gaps);
    let silent = levels[2..levels.len() - 2]
        .iter()
        .filter(|level| **level < -30.0)
        .count();
    assert_eq!(silent, 0, "nothing is lost");
    assert!(
        levels.len() as i64 * WINDOW_MS > 25_000,
        "{} windows",
        levels.len()
    );
}

/// What a move of the meeting looks like, whatever made it necessary.
async fn follows(mut site: Site, gone: impl FnOnce(Server), unsaved_ms: i64) {
    let client = site.client();
    let hum = Hum::start(&client).await;
    let ben = client
        .create_user("ben@example.org", "Ben")
        .await
        .expect("a user");
    let ben = client.join(&hum.meeting, &ben).await.expect("joins");
    let mut observer = site.observe(&hum.meeting).await;
    let mut other = site.connect(&Entry::Token(ben.token)).await;
    let mut owner = site.connect(&Entry::Token(hum.joined.token.clone())).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let holder = site.worker(hum.worker);
    let told_to = address(1 - hum.worker);
    let began = Instant::now();
    tokio::task::block_in_place(|| gone(holder));
    let moved = |event: &Event| {
        event.kind() == "participant_updated"
            && told(event.data(), &hum.stream)
                .is_some_and(|stream| stream["address"]["ip"] == told_to.as_str())
    };
    let event = observer
        .wait_for(Instant::now() + SOON, moved)
        .await
        .expect("observers are told");
    println!("followed after {:?}", began.elapsed());
    let seq = event.seq().expect("it is durable");
    owner
        .wait_for(Instant::now() + SOON, moved)
        .await
        .expect("the sender is told");
    let same = other
        .wait_for(Instant::now() + SOON, |event| event.seq() == Some(seq))
        .await
        .expect("others hear of it");
    let stream = told(same.data(), &hum.stream).expect("it is there");
    assert!(
        stream["address"].is_null(),
        "where media is received is not for others: {stream}"
    );

    // The sender learns of it late.
    tokio::time::sleep(Duration::from_secs(3)).await;
    hum.move_to(&told(event.data(), &hum.stream).expect("just seen")["address"]);
    let missed_ms = i64::try_from(began.elapsed().as_millis()).expect("short");
    // More is heard then than a busy machine may make of the time before.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(site.holders(&hum.meeting).await, 2);
    let (track, levels) = hum.end(&client).await;
    assert_eq!(track.gaps.len(), 1, "{:?}", track.gaps);
    let gap = &track.gaps[0];
    assert_eq!(
        gap.reason, "lost",
        "it was sent all the time: {:?}",
        track.gaps
    );
    let gap_ms = gap.end_ms - gap.start_ms;
    assert!(
        gap_ms >= 3_000 && gap_ms <= missed_ms + unsaved_ms + 1_500,
        "{gap_ms} of {missed_ms} ms"
    );
    let heard = levels.iter().filter(|level| **level > -30.0).count() as i64 * WINDOW_MS;
    assert!(heard > 7_000, "{heard} ms of it are heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_followed_by_another() {
    let site = Site::start().await;
    // Its lease, and a second to be asked in vain at most.
    follows(site, Server::kill, 5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_stop_hands_its_meetings_over() {
    let site = Site::start().await;
    follows(site, Server::terminate, 1_000).await;
}

/// Nobody listens from the crash to the end of the meeting: that is told, behind the track's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_ends_while_no_worker_is_there_says_what_was_lost() {
    let mut site = Site::start().await;
    let client = site.client();
    let hum = Hum::start(&client).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (holder, other) = (site.worker(hum.worker), site.worker(1 - hum.worker));
    tokio::task::block_in_place(|| {
        other.kill();
        holder.kill();
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    client.end(&hum.meeting).await.expect("ends");
    let meeting = client.meeting(&hum.meeting).await.expect("is there");
    let n = hum.worker;
    let _again = worker(n, &site.folders[n], &site.environment);
    let (track, levels) = hum.made(&client).await;
    let time = |name: &str| -> chrono::DateTime<chrono::Utc> {
        serde_json::from_value(meeting[name].clone()).expect("a time")
    };
    let length_ms = (time("endTime") - time("startTime")).num_milliseconds();
    assert!(
        levels.len() as i64 * WINDOW_MS > 5_000,
        "{} windows",
        levels.len()
    );
    let file_end_ms = track.start_ms.expect("ready") + track.duration_ms.expect("ready");
    let gap = track.gaps.last().expect("a gap");
    assert_eq!(gap.reason, "lost", "{:?}", track.gaps);
    assert!(
        (gap.start_ms - file_end_ms).abs() <= 30 && (gap.end_ms - length_ms).abs() <= 300,
        "{gap:?}, the file ends at {file_end_ms}, the meeting at {length_ms}"
    );
    assert!(gap.end_ms - gap.start_ms > 2_500, "{gap:?}");
}
