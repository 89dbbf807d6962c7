//! Whose sound is it: ports and SSRCs used again, senders that move, begin anew, say goodbye, or
//! have a neighbour.

mod moves;
mod ports;

use super::support::{Scratch, eventually, server::Server};
use hansard_client::{
    rest::{Client, Joined, Stream},
    sender::Frame,
    signal::{Event, Signal},
    srtp::Srtp,
    tone::{self, OpusSettings},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{net::UdpSocket, task::JoinHandle};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RATE: u32 = 48_000;
const SOON: Duration = Duration::from_secs(30);
const PAYLOAD_TYPE: u8 = 111;
/// A 100 ms window with more than this has the tone in it; with less than the other it is not there
/// at all (dBFS). A tone that begins within a window is heard hundreds of Hz around, so tones that
/// must be told apart lie further apart.
const THERE_DB: f64 = -25.0;
const ABSENT_DB: f64 = -45.0;

/// A server with so many ports for media, none of them given out by the kernel.
fn serve(data: &Path, ports: u16) -> Server {
    let range = loop {
        let first = fastrand::u16(25_000..31_000);
        if (first..first + ports).all(|port| std::net::UdpSocket::bind((LOOPBACK, port)).is_ok()) {
            break format!("{first}-{}", first + ports - 1);
        }
    };
    serve_on(data, &range)
}

fn serve_on(data: &Path, range: &str) -> Server {
    std::fs::write(data.join("range"), range).expect("there is room");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--s3-listen",
        "127.0.0.1:0",
        "--capacity",
        "16",
        "--rtp-ports",
        range,
    ];
    Server::start("serve", data, &arguments, &[])
}

/// The same again after `kill -9`.
fn restart(server: Server, data: &Path) -> Server {
    server.kill();
    serve_on(
        data,
        &std::fs::read_to_string(data.join("range")).expect("written before"),
    )
}

struct Room {
    client: Client,
    id: String,
    events: Arc<Mutex<Vec<Event>>>,
    observing: JoinHandle<()>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.observing.abort();
    }
}

impl Room {
    async fn open(client: &Client) -> Self {
        let host = client
            .create_user(&format!("{}@example.org", uuid::Uuid::now_v7()), "Host")
            .await
            .expect("a user");
        let meeting = client
            .create_meeting(&host, json!({"aiEnabled": false}))
            .await
            .expect("a meeting");
        let id = meeting["id"].as_str().expect("an id").to_owned();
        let mut signal = Signal::observe(client, &id, Some(0))
            .await
            .expect("observes");
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = events.clone();
        let observing = tokio::spawn(async move {
            while let Some(event) = signal.next().await {
                heard.lock().expect("no holder panics").push(event);
            }
        });
        Self {
            client: client.clone(),
            id,
            events,
            observing,
        }
    }

    async fn guest(&self, name: &str) -> Joined {
        let email = format!("{name}-{}@example.org", uuid::Uuid::now_v7());
        let user = self.client.create_user(&email, name).await.expect("a user");
        let joined = self.client.join(&self.id, &user).await.expect("joins");
        self.client
            .consent(&joined.token, &self.id, "recording", "accepted")
            .await
            .expect("agrees");
        joined
    }

    /// Asks for a stream of Opus; `more` is added to the request.
    async fn stream(
        &self,
        guest: &Joined,
        more: Value,
    ) -> Result<Stream, hansard_client::rest::CallError> {
        let mut request = json!({
            "participantId": guest.participant_id, "kind": "audio", "codec": "opus", "payloadType": PAYLOAD_TYPE,
            "clockRate": RATE
        });
        for (name, value) in more.as_object().expect("an object") {
            request[name] = value.clone();
        }
        self.client.create_stream(&self.id, request).await
    }

    /// How a stream is listed.
    async fn listed(&self, stream: &Stream) -> Value {
        let path = format!("/v1/meetings/{}/streams?limit=200", self.id);
        let page = self.client.get(&path).await.expect("lists");
        let found = page["data"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|listed| listed["streamId"] == stream.stream_id.as_str());
        found
            .unwrap_or_else(|| panic!("{} is not in {page}", stream.stream_id))
            .clone()
    }

    /// What was told of a stream, in order: `(state or media, reason)`, without repetitions.
    fn told(&self, stream: &Stream) -> Vec<(String, Option<String>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut told: Vec<(String, Option<String>)> = Vec::new();
        for event in self.events.lock().expect("no holder panics").iter() {
            for seen in event.data()["streams"].as_array().into_iter().flatten() {
                if seen["streamId"] != stream.stream_id.as_str() {
                    continue;
                }
                let now = match text(&seen["media"]) {
                    Some(media) => (media, text(&seen["mediaReason"])),
                    None => (
                        text(&seen["state"]).unwrap_or_default(),
                        text(&seen["reason"]),
                    ),
                };
                if told.last() != Some(&now) {
                    told.push(now);
                }
            }
        }
        told
    }

    async fn until_told(&self, stream: &Stream, media: &str, reason: Option<&str>) {
        let wanted = (media.to_owned(), reason.map(str::to_owned));
        eventually(
            &format!("{wanted:?} is told, not only {:?}", self.told(stream)),
            SOON,
            async || self.told(stream).contains(&wanted),
        )
        .await;
    }

    /// Ends the meeting; gives each participant's track as samples.
    async fn end(&self) -> Vec<(String, Vec<f32>)> {
        self.client.end(&self.id).await.expect("ends");
        let ready = self
            .client
            .wait_recordings_ready(&self.id, Instant::now() + Duration::from_secs(90))
            .await;
        let mut tracks = Vec::new();
        for recording in ready.expect("the files are made") {
            assert_eq!(recording.status, "ready", "{recording:?}");
            let bytes = self
                .client
                .download(&recording.id)
                .await
                .expect("downloads");
            let whose = recording.participant_id.unwrap_or_else(|| "mix".to_owned());
            let scratch = Scratch::new();
            let path = scratch.path().join("file");
            std::fs::write(&path, bytes).expect("there is room");
            let samples =
                tokio::task::spawn_blocking(move || tone::decode(&path, RATE).expect("plays"))
                    .await;
            tracks.push((whose, samples.expect("no panic")));
        }
        tracks
    }
}

/// A sender that can be led by hand.
struct Voice {
    socket: UdpSocket,
    to: SocketAddr,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    srtp: Option<Srtp>,
    frames: Arc<Vec<Frame>>,
    at: usize,
}

impl Voice {
    /// Says `hz` to a stream's port.
    async fn new(stream: &Stream, ssrc: u32, hz: f64) -> Self {
        let frames = tokio::task::spawn_blocking(move || {
            let sound = tone::sine(hz, 0.3, Duration::from_secs(4), RATE);
            tone::opus(&sound, OpusSettings::default()).expect("encodes")
        });
        Self {
            socket: UdpSocket::bind((LOOPBACK, 0)).await.expect("a port"),
            to: stream.address(),
            ssrc,
            sequence: fastrand::u16(..30_000),
            timestamp: fastrand::u32(..),
            srtp: stream
                .srtp_key()
                .map(|key| Srtp::new(&key).expect("a good key")),
            frames: Arc::new(frames.await.expect("no panic")),
            at: 0,
        }
    }

    /// Goes on from another port.
    async fn moves(&mut self) {
        self.socket = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
    }

    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0x80, PAYLOAD_TYPE];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(&self.frames[self.at % self.frames.len()].payload);
        self.at += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(960);
        match &mut self.srtp {
            Some(srtp) => srtp.protect_rtp(&packet).expect("sealed").to_vec(),
            None => packet,
        }
    }

    async fn speaks(&mut self, length: Duration) {
        let began = Instant::now();
        for n in 0..length.as_millis() / 20 {
            tokio::time::sleep_until((began + Duration::from_millis(20 * n as u64)).into()).await;
            let packet = self.packet();
            self.socket
                .send_to(&packet, self.to)
                .await
                .expect("loopback");
        }
    }

    /// A sender report (and a goodbye) with this SSRC and counter.
    fn report(&self, bye: bool) -> Vec<u8> {
        let mut bytes = vec![0x80, 200, 0, 6];
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend([0xe8, 0, 0, 1, 0x80, 0, 0, 0]);
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 3]);
        if bye {
            bytes.extend([0x81, 203, 0, 1]);
            bytes.extend(self.ssrc.to_be_bytes());
        }
        bytes
    }

    async fn reports(&self, bye: bool) {
        self.socket
            .send_to(&self.report(bye), self.to)
            .await
            .expect("loopback");
    }

    /// Never stops.
    fn goes_on(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                self.speaks(Duration::from_secs(1)).await;
            }
        })
    }
}

/// How many milliseconds of a file have the tone in them.
fn audible_ms(samples: &[f32], hz: f64) -> usize {
    tone::amplitudes(samples, RATE, hz)
        .into_iter()
        .filter(|amplitude| tone::dbfs(*amplitude) > THERE_DB)
        .count()
        * 100
}

fn is_absent(samples: &[f32], hz: f64) -> bool {
    tone::amplitudes(samples, RATE, hz)
        .into_iter()
        .all(|amplitude| tone::dbfs(amplitude) < ABSENT_DB)
}

fn track<'a>(tracks: &'a [(String, Vec<f32>)], guest: &Joined) -> &'a [f32] {
    let found = tracks
        .iter()
        .find(|(whose, _)| *whose == guest.participant_id);
    &found
        .unwrap_or_else(|| panic!("no track of {}", guest.participant_id))
        .1
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Senders of an ended meeting never stop. What they send is in nothing that comes after, on no
/// port, and over a crash; who gets a port is heard whole, and who gets none is told.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_earlier_meeting_is_in_a_later_one() {
    let (hz_a, hz_b, hz_c) = (500.0, 1_300.0, 2_100.0);
    let data = Scratch::new();
    let server = serve(data.path(), 4);
    let client = server.client();
    let earlier = Room::open(&client).await;
    let (ana, abe) = (earlier.guest("Ana").await, earlier.guest("Abe").await);
    let of_ana = earlier
        .stream(&ana, json!({"ssrc": 7}))
        .await
        .expect("a port");
    let suite = json!({"suite": "AEAD_AES_128_GCM"});
    let of_abe = earlier
        .stream(&abe, json!({"ssrc": 8, "srtp": suite}))
        .await
        .expect("a port");
    let voices = [
        Voice::new(&of_ana, 7, hz_a).await.goes_on(),
        Voice::new(&of_abe, 8, hz_a).await.goes_on(),
    ];
    earlier.until_told(&of_ana, "receiving", None).await;
    earlier.until_told(&of_abe, "receiving", None).await;
    // One port is left by deletion, the other by the end.
    client
        .delete_stream(&earlier.id, &of_ana.stream_id)
        .await
        .expect("closes");
    client.end(&earlier.id).await.expect("ends");

    let later = Room::open(&client).await;
    let (ben, cleo, dan) = (
        later.guest("Ben").await,
        later.guest("Cleo").await,
        later.guest("Dan").await,
    );
    let of_ben = later
        .stream(&ben, json!({"ssrc": 7}))
        .await
        .expect("a port");
    let of_cleo = later
        .stream(&cleo, json!({"ssrc": 8, "srtp": suite}))
        .await
        .expect("a port");
    let left = [of_ana.port, of_abe.port];
    assert!(
        !left.contains(&of_ben.port) && !left.contains(&of_cleo.port),
        "{left:?} are still sent to"
    );
    let refused = later
        .stream(&dan, json!({"ssrc": 9}))
        .await
        .expect_err("no port is free");
    assert_eq!(refused.status(), Some(503), "{refused}");
    assert!(
        matches!(
            refused,
            hansard_client::rest::CallError::Refused {
                retry_after: Some(1..),
                ..
            }
        ),
        "{refused:?}"
    );
    let (mut says_b, mut says_c) = (
        Voice::new(&of_ben, 7, hz_b).await,
        Voice::new(&of_cleo, 8, hz_c).await,
    );
    tokio::join!(says_b.speaks(s(4)), says_c.speaks(s(4)));

    // A crash: the ports of the ended meeting are still kept, those of the running one are had
    // again.
    let server = restart(server, data.path());
    let client = server.client();
    let later = Room {
        client: client.clone(),
        id: later.id.clone(),
        events: later.events.clone(),
        observing: tokio::spawn(async {}),
    };
    eventually("the meeting runs again", SOON, async || {
        later.listed(&of_ben).await["packets"].is_u64()
    })
    .await;
    assert_eq!(later.listed(&of_ben).await["address"]["port"], of_ben.port);
    let refused = later
        .stream(&dan, json!({"ssrc": 9}))
        .await
        .expect_err("no port is free");
    assert_eq!(refused.status(), Some(503), "{refused}");
    tokio::join!(says_b.speaks(s(4)), says_c.speaks(s(4)));
    let tracks = later.end().await;
    for voice in voices {
        voice.abort();
    }
    for (whose, samples) in &tracks {
        assert!(
            is_absent(samples, hz_a),
            "the earlier meeting's sound is in {whose}"
        );
    }
    let (b, c) = (
        audible_ms(track(&tracks, &ben), hz_b),
        audible_ms(track(&tracks, &cleo), hz_c),
    );
    assert!(
        (7_000..=8_200).contains(&b) && (7_000..=8_200).contains(&c),
        "{b} ms and {c} ms of 8,000"
    );
    server.terminate();
}
