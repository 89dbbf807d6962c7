//! Peers that nobody here wrote: aiortc as a participant, also through a TURN server, and by WHIP
//! GStreamer's `webrtcbin` and libdatachannel, by which OBS Studio publishes. What they send is
//! recorded and captioned.

use crate::{
    browser,
    browsers::{
        link, lossy,
        person::{Person, ROOM, frames, places},
        relay::{self, Relay},
        voice,
    },
    clients::{here, installed, run},
    support::{Scratch, coturn::Coturn, eventually, server::Server},
};
use hansard_client::{
    rest::{Client, Joined},
    signal::{Event, Signal},
    wer,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// A client starts and connects, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// The voice, and what is behind on a busy machine.
const PLAY_MAX: Duration = Duration::from_secs(120);
/// Of the voice.
const SPOKEN_MS: i64 = 16_000;

/// A client's process, and what it told.
struct Peer {
    child: Child,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts; scripts/install.sh test installs what it needs");
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (stdout, hears) = (child.stdout.take().expect("it is piped"), told.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| json!({"line": line}));
                hears.lock().expect("no holder panics").push(value);
            }
        });
        Self { child, told }
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().expect("no holder panics").clone()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(told) = self.told().into_iter().find(&wanted) {
                return told;
            }
            assert!(begun.elapsed() < START_MAX, "{what}: {:?}", self.told());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets it end by itself.
    async fn ends(mut self) {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            if let Ok(Some(status)) = self.child.try_wait() {
                assert!(status.success(), "{status}: {:?}", self.told());
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end: {:?}", self.told());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A meeting in which David, who agreed, will speak.
struct Scene {
    server: Server,
    client: Client,
    meeting: String,
    david: Joined,
    /// What he says.
    said: String,
    file: PathBuf,
    events: Arc<Mutex<Vec<Event>>>,
    observing: JoinHandle<()>,
}

impl Scene {
    async fn begin(data: &Path, scratch: &Path, environment: &[(&str, &str)]) -> Self {
        let arguments = ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
        let server = Server::start("serve", data, &arguments, environment);
        let client = server.client();
        Self::on(server, client, scratch).await
    }

    async fn on(server: Server, client: Client, scratch: &Path) -> Self {
        let file = scratch.join("david.wav");
        let said = voice::write_beginning(&file, "David", SPOKEN_MS).await;

        let user = async |name: &str| {
            let email = format!("{name}@example.org");
            client.create_user(&email, name).await.expect("a user")
        };
        let host = user("Host").await;
        let made = client
            .create_meeting(&host, json!({"language": "en"}))
            .await;
        let meeting = made.expect("a meeting")["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let joined = client.join(&meeting, &user("David").await).await;
        let david = joined.expect("joins");
        client
            .consent(&david.consent_token, &meeting, "recording_ai", "accepted")
            .await
            .expect("agrees");
        let mut observer = Signal::observe(&client, &meeting, Some(0))
            .await
            .expect("observes");
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let hears = events.clone();
        let observing = tokio::spawn(async move {
            while let Some(event) = observer.next().await {
                hears.lock().expect("no holder panics").push(event);
            }
        });
        Self {
            server,
            client,
            meeting,
            david,
            said,
            file,
            events,
            observing,
        }
    }

    fn heard(&self) -> String {
        let events = self.events.lock().expect("no holder panics");
        let finals = events
            .iter()
            .filter(|event| event.kind() == "transcript_update" && event.data()["final"] == true);
        finals
            .map(|event| {
                assert_eq!(event.data()["participant"]["displayName"], "David");
                event.data()["text"].as_str().expect("text").to_owned() + " "
            })
            .collect()
    }

    /// Waits until he has been heard.
    async fn until_heard(&self) {
        let enough = wer::words(&self.said).len() * 9 / 10;
        let begun = Instant::now();
        while wer::words(&self.heard()).len() < enough {
            let (said, heard) = (&self.said, self.heard());
            assert!(begun.elapsed() < PLAY_MAX, "{said:?}: {heard:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is left of the meeting: his words, and a track of them.
    async fn check(self) {
        self.client.end(&self.meeting).await.expect("ends");
        let deadline = Instant::now() + PLAY_MAX;
        let recordings = self
            .client
            .wait_recordings_ready(&self.meeting, deadline)
            .await
            .expect("ready");
        let (said, heard) = (&self.said, self.heard());
        let errors = wer::compare(said, &heard);
        println!("{said:?} was heard as {heard:?}: {:.3}", errors.rate());
        assert!(errors.rate() <= 0.15, "{said:?}: {heard:?}");
        let mut tracks = recordings
            .iter()
            .filter(|recording| recording.kind == "track");
        let track = tracks.next().expect("a track");
        assert!(tracks.next().is_none(), "one, of one voice");
        assert_eq!(track.media_type.as_deref(), Some("audio/webm"));
        assert!(track.duration_ms.expect("it is ready") > 10_000);
        self.observing.abort();
        self.server.terminate();
    }
}

fn aiortc(scene: &Scene, packages: &Path, policy: &str) -> Command {
    let mut command = Command::new(packages.join("bin/python"));
    command
        .arg(here("aiortc/run.py"))
        .arg(scene.client.signal_url())
        .arg(&scene.david.token)
        .arg(&scene.file)
        .arg(policy);
    command
}

async fn aiortc_packages() -> PathBuf {
    let installing = tokio::task::spawn_blocking(|| {
        installed("aiortc", &["aiortc/requirements.txt"], |folder| {
            let mut venv = Command::new("python3");
            run(
                "a virtual environment",
                venv.args(["-m", "venv"]).arg(folder),
            );
            let mut pip = Command::new(folder.join("bin/pip"));
            pip.args(["install", "--quiet", "--requirement"]);
            run("pip", pip.arg(here("aiortc/requirements.txt")));
        })
    });
    installing.await.expect("they are installed")
}

#[tokio::test(flavor = "multi_thread")]
async fn aiortc_is_recorded_and_captioned() {
    let packages = aiortc_packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let scene = Scene::begin(data.path(), scratch.path(), &[]).await;
    let peer = Peer::start(&mut aiortc(&scene, &packages, "all"));
    let answered = peer
        .until("an answer", |told| told["tracks"].is_array())
        .await;
    assert_eq!(answered["tracks"][0]["source"], "microphone");
    peer.until("connected", |told| told["state"] == "connected")
        .await;
    scene.until_heard().await;
    peer.ends().await;
    scene.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_of_aiortc_is_asked_for_once_more() {
    let packages = aiortc_packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let (pages, media) = (Relay::new(), Relay::new());
    let (server, own) = relay::behind(&pages, &media, &data).await;
    let client = Client::new(&own, server.key()).expect("the address is well-formed");
    let scene = Scene::on(server, client, scratch.path()).await;
    let peer = Peer::start(&mut aiortc(&scene, &packages, "all"));
    peer.until("connected", |told| told["state"] == "connected")
        .await;
    lossy::is_filled_in(&scene.client, &scene.meeting, &media).await;
    scene.until_heard().await;
    peer.ends().await;
    scene.check().await;
}

/// Nothing but the relay is tried: by UDP, and by TLS where a network lets nothing else out.
#[tokio::test(flavor = "multi_thread")]
async fn aiortc_is_recorded_through_a_turn_server() {
    let packages = aiortc_packages().await;
    for scheme in ["turn", "turns"] {
        let (data, scratch) = (Scratch::new(), Scratch::new());
        let turn = Coturn::start();
        let environment = [
            ("HANSARD_ICE_URLS", turn.url(scheme)),
            ("HANSARD_TURN_SECRET", turn.secret.clone()),
        ];
        let environment = environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let scene = Scene::begin(data.path(), scratch.path(), &environment).await;
        let mut client = aiortc(&scene, &packages, "relay");
        let peer = Peer::start(client.env("SSL_CERT_FILE", turn.certificate()));
        let gathered = peer
            .until("candidates", |told| told["candidates"].is_array())
            .await;
        let candidates = gathered["candidates"].as_array().expect("a list");
        assert!(
            !candidates.is_empty()
                && candidates
                    .iter()
                    .all(|one| one.as_str().is_some_and(|one| one.contains("typ relay"))),
            "{candidates:?}"
        );
        peer.until("connected", |told| told["state"] == "connected")
            .await;
        scene.until_heard().await;
        peer.ends().await;
        // Of some 20 s, 50 packets each.
        eventually("coturn has relayed it", START_MAX, async || {
            turn.relayed() > 500
        })
        .await;
        scene.check().await;
    }
}

/// Where David publishes by WHIP, and his token.
async fn whip(scene: &Scene) -> [String; 2] {
    let path = format!(
        "/v1/meetings/{}/participants/{}/whip-token",
        scene.meeting, scene.david.participant_id
    );
    let made = scene.client.post(&path, json!({"ttlSeconds": 600})).await;
    let made = made.expect("a token");
    ["url", "token"].map(|name| made[name].as_str().expect("text").to_owned())
}

/// `webrtcbin` keeps its sound until the connection stands, and then sends it all at once.
#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_publishes_by_whip_and_is_captioned() {
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let scene = Scene::begin(data.path(), scratch.path(), &[]).await;
    // Debian's, which has the bindings; the first one in PATH may be another.
    let mut client = Command::new("/usr/bin/python3");
    client
        .arg(here("gstreamer/whip.py"))
        .args(whip(&scene).await)
        .arg(&scene.file);
    let peer = Peer::start(&mut client);
    peer.until("connected", |told| told["state"] == "connected")
        .await;
    scene.until_heard().await;
    peer.ends().await;
    scene.check().await;
}

/// What OBS Studio does, by the library that it does it with; somebody in a browser sees the picture.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_like_obs_is_recorded_captioned_and_seen() {
    let _place = places(1).await;
    let browser = browser::packages().await;
    let installing = tokio::task::spawn_blocking(|| {
        let files = ["obs/package.json", "obs/package-lock.json"];
        installed("obs", &files, |folder| {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(here("obs").join(file), folder.join(file)).expect("there is room");
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--silent", "--no-audit", "--no-fund"]);
            run("npm", npm.current_dir(folder));
        })
    });
    let packages = installing.await.expect("they are installed");
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let scene = Scene::begin(data.path(), scratch.path(), &[]).await;
    let link = link(&scene.client, &scene.meeting).await;
    let mut vera = Person::start(&browser, None);
    vera.join_listening(&link, "Vera", "decline").await;
    let mut client = Command::new("node");
    client
        .arg(here("obs/publish.mjs"))
        .args(whip(&scene).await)
        .arg(&scene.file)
        .current_dir(&packages);
    let peer = Peer::start(&mut client);
    let published = peer
        .until("an answer", |told| told["status"].is_number())
        .await;
    // Anything else is a failure to OBS, and so is a session without an address.
    assert_eq!(published["status"], 201, "{published}");
    assert!(published["session"].is_string(), "{published}");
    peer.until("connected", |told| told["state"] == "connected")
        .await;
    let camera = frames("David", "camera");
    vera.until(ROOM, &camera, |frames| frames.as_u64() >= Some(20))
        .await;
    vera.hears(&["David"]).await;
    scene.until_heard().await;
    let told = peer.told.clone();
    peer.ends().await;
    let last = told.lock().expect("no holder panics").last().cloned();
    assert_eq!(last, Some(json!({"deleted": 200})));
    vera.gone("hansard-tile:has-text('David') video").await;
    vera.leave().await;
    scene.check().await;
}
