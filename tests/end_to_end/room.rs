//! A meeting to attack, through the public interface.

use crate::sound::Sound;
use chrono::{DateTime, Utc};
use hansard::clock::Clock;
use hansard_client::{
    rest::{Client, Joined, Recording, audio_stream},
    sender::{Frame, Sender, SenderConfig, Sent},
    signal::{Entry, Event, Signal},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{
    eventually, patiently,
    place::{Spooled, segments},
    server::Server,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// From asking for the first sample to its being taken.
const LEAD: Duration = Duration::from_millis(150);
/// On a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// The files of several meetings that end together, on a busy machine.
const FILES_MAX: Duration = Duration::from_secs(180);

/// `hansard serve` with room for many meetings, and these in its environment.
pub fn serve(data: &Path, environment: &[(&str, &str)]) -> Server {
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--s3-listen",
        "127.0.0.1:0",
        "--capacity",
        "16",
    ];
    Server::start("serve", data, &arguments, environment)
}

/// RFC 3339 as the server writes it.
pub fn time(value: &Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).unwrap_or_else(|_| panic!("{value} is no time"))
}

pub struct Room {
    pub client: Client,
    pub id: String,
    events: Arc<Mutex<Vec<Event>>>,
    observing: JoinHandle<()>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.observing.abort();
    }
}

#[derive(Clone)]
pub struct Guest {
    pub name: String,
    pub id: String,
    pub joined: Joined,
}

/// A sender with somewhere to send to.
pub struct Line {
    pub sender: Sender,
    pub to: SocketAddr,
}

/// Somebody who speaks.
pub struct Voice {
    /// When its first sample is taken, by the wall clock.
    pub zero: DateTime<Utc>,
    begins: Instant,
    stop: CancellationToken,
    sending: JoinHandle<Sent>,
}

impl Voice {
    /// When the voice has got that far.
    pub async fn reaches(&self, ms: u64) {
        tokio::time::sleep_until((self.begins + Duration::from_millis(ms)).into()).await;
    }

    /// How far the voice was at a time of the server's (ms).
    pub fn at(&self, time: DateTime<Utc>) -> i64 {
        (time - self.zero).num_milliseconds()
    }

    pub async fn finished(self) -> Sent {
        self.sending.await.expect("the sender does not panic")
    }

    /// Says no more.
    pub async fn stopped(self) -> Sent {
        self.stop.cancel();
        self.finished().await
    }

    /// How far it is by now (ms).
    pub fn now(&self) -> i64 {
        self.begins.elapsed().as_millis() as i64
    }
}

/// By how much a sender was late itself, at most, until so long after its first packet (ms). It
/// says when its packets left, which nobody else can tell from sound that was made later: a busy
/// machine is no fault of whoever receives.
pub fn late(sent: &Sent, until_ms: i64) -> i64 {
    let first = sent.packets.first().expect("something was sent").due;
    let until = first + Duration::from_millis(until_ms.unsigned_abs());
    let late = sent
        .packets
        .iter()
        .filter(|packet| packet.due <= until)
        .map(|packet| packet.at - packet.due);
    late.max().map_or(0, |late| late.as_millis() as i64)
}

/// A recording with its file.
pub struct File {
    pub recording: Recording,
    pub bytes: Vec<u8>,
    pub sound: Sound,
}

/// What is left of a meeting.
pub struct Left {
    pub state: String,
    pub start: DateTime<Utc>,
    pub recordings: Vec<File>,
    pub transcript: Value,
}

impl Left {
    pub fn mix(&self) -> &File {
        self.recordings
            .iter()
            .find(|file| file.recording.kind == "mix")
            .expect("a mix")
    }

    pub fn track(&self, guest: &Guest) -> Option<&File> {
        self.recordings
            .iter()
            .find(|file| file.recording.participant_id.as_ref() == Some(&guest.id))
    }

    /// A time of the server's as MeetingTime (ms).
    pub fn ms(&self, time: DateTime<Utc>) -> i64 {
        (time - self.start).num_milliseconds()
    }

    pub fn segments_of(&self, guest: &Guest) -> Vec<&Value> {
        let segments = self.transcript["segments"].as_array().expect("a list");
        segments
            .iter()
            .filter(|segment| segment["participant"]["id"] == guest.id.as_str())
            .collect()
    }
}

pub fn signal_url(client: &Client) -> String {
    client.signal_url()
}

impl Room {
    pub async fn open(client: &Client, settings: Value) -> Self {
        let email = format!("{}@example.org", uuid::Uuid::now_v7());
        let host = client.create_user(&email, "Host").await.expect("a user");
        let meeting = patiently("a meeting", SOON, || {
            client.create_meeting(&host, settings.clone())
        })
        .await;
        Self::observe(client, meeting["id"].as_str().expect("an id")).await
    }

    /// The same meeting at another server, observed from its first event on.
    pub async fn moved(&self, client: &Client) -> Self {
        Self::observe(client, &self.id).await
    }

    async fn observe(client: &Client, id: &str) -> Self {
        let mut signal = Signal::observe(client, id, Some(0))
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
            id: id.into(),
            events,
            observing,
        }
    }

    pub async fn guest(&self, name: &str) -> Guest {
        let email = format!("{name}-{}@example.org", uuid::Uuid::now_v7());
        let user = self.client.create_user(&email, name).await.expect("a user");
        let joined = patiently("joins", SOON, || self.client.join(&self.id, &user)).await;
        Guest {
            name: name.into(),
            id: joined.participant_id.clone(),
            joined,
        }
    }

    /// Somebody who said this about `recording_ai`.
    pub async fn guest_who(&self, name: &str, status: &str) -> Guest {
        let guest = self.guest(name).await;
        self.say(&guest, "recording_ai", status).await;
        guest
    }

    /// Says so by REST, with the token that has no expiry; gives the entry's time.
    pub async fn say(&self, guest: &Guest, consent_type: &str, status: &str) -> DateTime<Utc> {
        let what = format!("{} says {status}", guest.name);
        let said = patiently(&what, SOON, || {
            self.client
                .consent(&guest.joined.consent_token, &self.id, consent_type, status)
        })
        .await;
        time(&said["timestamp"])
    }

    pub async fn line(&self, guest: &Guest) -> Line {
        self.line_of(guest, "microphone").await
    }

    /// What they send besides: the sound of a screen that they share.
    pub async fn line_of(&self, guest: &Guest, source: &str) -> Line {
        let sender = Sender::bind(LOOPBACK, SenderConfig::opus(guest.id.clone()))
            .await
            .expect("a socket");
        let mut request = audio_stream(&guest.id, "opus", sender.config(), None, None);
        request["source"] = source.into();
        let stream = patiently(&format!("a port for {}", guest.name), SOON, || {
            self.client.create_stream(&self.id, request.clone())
        })
        .await;
        Line {
            sender,
            to: stream.address(),
        }
    }

    pub async fn speak(&self, guest: &Guest, frames: &[Frame]) -> Voice {
        self.line(guest).await.speak(frames, Instant::now() + LEAD)
    }

    /// The segments of a guest in the spool of a data folder.
    pub fn spooled(&self, data: &Path, guest: &Guest) -> Vec<Spooled> {
        let mut all = segments(data);
        all.retain(|one| {
            one.track.meeting.to_string() == self.id
                && one.track.participant.to_string() == guest.id
        });
        all
    }

    /// Which segment of a guest is the last one.
    pub fn newest(&self, data: &Path, guest: &Guest) -> Option<(i64, u32)> {
        let all = self.spooled(data, guest);
        all.iter().map(|one| (one.epoch, one.name.n)).max()
    }

    /// Waits until a voice is recorded, in a segment after this one. How far the voice is by then
    /// (ms): what it says from there on is all recorded.
    pub async fn recorded(
        &self,
        data: &Path,
        guest: &Guest,
        voice: &Voice,
        after: Option<(i64, u32)>,
    ) -> i64 {
        eventually("the voice is recorded", SOON, async || {
            self.newest(data, guest) > after
        })
        .await;
        voice.now()
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no holder panics").clone()
    }

    /// Waits for an event that satisfies `wanted`.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        eventually(what, SOON, async || self.events().iter().any(&wanted)).await;
        self.events()
            .into_iter()
            .find(|event| wanted(event))
            .expect("it was there")
    }

    pub async fn until_state(&self, state: &str) -> Event {
        self.until(state, |event| {
            event.kind() == "recording_state" && event.data()["state"] == state
        })
        .await
    }

    /// Ends the meeting and fetches everything that it leaves.
    pub async fn end(&self) -> Left {
        self.client.end(&self.id).await.expect("ends");
        let over = |event: &Event| {
            event.kind() == "recording_state"
                && matches!(event.data()["state"].as_str(), Some("ready" | "failed"))
                || event.data()["reason"] == "nothing_recorded"
        };
        eventually("the files are made", FILES_MAX, async || {
            self.events().iter().any(over)
        })
        .await;
        let state = self
            .events()
            .iter()
            .rev()
            .find(|event| over(event))
            .expect("it was there")
            .data()["state"]
            .clone();
        let meeting = self.client.meeting(&self.id).await.expect("is there");
        let mut recordings = Vec::new();
        for recording in self.client.recordings(&self.id).await.expect("lists") {
            assert_eq!(recording.status, "ready", "{recording:?}");
            let bytes = self
                .client
                .download(&recording.id)
                .await
                .expect("downloads");
            let (kind, start) = (
                recording.media_type.clone().unwrap_or_default(),
                recording.start_ms.unwrap_or(0),
            );
            let decoding =
                tokio::task::spawn_blocking(move || (Sound::read(&bytes, &kind, start), bytes));
            let (sound, bytes) = decoding.await.expect("decodes");
            recordings.push(File {
                recording,
                bytes,
                sound,
            });
        }
        let transcript = self
            .client
            .wait_transcript_complete(&self.id, Instant::now() + SOON)
            .await
            .expect("complete");
        Left {
            state: state.as_str().expect("a state").into(),
            start: time(&meeting["startTime"]),
            recordings,
            transcript,
        }
    }
}

impl Line {
    pub fn speak(self, frames: &[Frame], begins: Instant) -> Voice {
        let stop = CancellationToken::new();
        let (frames, stopping) = (frames.to_vec(), stop.clone());
        let Self { sender, to } = self;
        let sending = tokio::spawn(async move {
            sender
                .run(to, &frames, begins, &stopping)
                .await
                .expect("it can send")
        });
        Voice {
            zero: Clock::default().wall(begins),
            begins,
            stop,
            sending,
        }
    }
}

/// A participant's own socket.
pub async fn socket(room: &Room, guest: &Guest) -> Signal {
    let entry = Entry::Token(guest.joined.token.clone());
    Signal::connect(&signal_url(&room.client), &entry, None)
        .await
        .expect("joins")
}

/// Says so at the socket; gives the first answer.
pub async fn say_at(signal: &mut Signal, consent_type: &str, status: &str) -> Event {
    let id = signal
        .consent(consent_type, status)
        .await
        .expect("the socket is open");
    signal
        .wait_for(Instant::now() + SOON, |event| {
            event.value["re"] == id.as_str()
        })
        .await
        .expect("an answer")
}

/// Makes an offer, and the same again while the server has no time to answer; gives the answer.
/// What else comes at the socket is handed on.
pub async fn offer(signal: &mut Signal, data: &Value, mut other: impl FnMut(&Event)) -> Event {
    let deadline = Instant::now() + SOON;
    loop {
        let id = signal.say("offer", data.clone()).await;
        let id = id.expect("the socket is open");
        let answers = |event: &Event| {
            let answers = event.value["re"] == id.as_str();
            if !answers {
                other(event);
            }
            answers
        };
        let answer = signal.wait_for(deadline, answers).await.expect("an answer");
        if answer.data()["code"] != "unavailable" || Instant::now() > deadline {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The settings of a meeting that only records.
pub fn recording_only() -> Value {
    json!({"aiEnabled": false})
}
