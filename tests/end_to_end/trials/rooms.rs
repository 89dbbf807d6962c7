//! Several in one room: they hear each other, each policy lets be heard who may be, and what is
//! heard is not what is kept.

use super::{
    room::{Guest, Room, SOON, offer, serve, socket, time},
    site::Site,
    sound,
    support::{Scratch, eventually},
};
use hansard::clock::Clock;
use hansard_client::{
    peer::{Peer, Received},
    rest::Client,
    sender::Frame,
    signal::{Event, Signal},
    tone,
};
use opusic_c::{Channels, Decoder, SampleRate};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Frames between two looks at the socket: 100 ms.
const CHUNK: usize = 5;
const FRAME: Duration = Duration::from_millis(20);

/// Somebody with a socket and a peer connection, who answers what the server offers.
struct Attendee {
    signal: Signal,
    peer: Peer,
    /// Of the process that has the other end.
    epoch: Value,
    answered: BTreeSet<String>,
    /// What came at the socket and was not asked for.
    events: Vec<Event>,
}

impl Attendee {
    async fn join(room: &Room, guest: &Guest) -> Self {
        let signal = socket(room, guest).await;
        let peer = Peer::bind(LOOPBACK).await.expect("a port");
        let mut attendee = Self {
            signal,
            peer,
            epoch: Value::Null,
            answered: BTreeSet::new(),
            events: Vec::new(),
        };
        attendee.connect().await;
        attendee
    }

    async fn connect(&mut self) {
        let sdp = self.peer.offer().expect("an offer");
        let keep = |event: &Event| self.events.push(event.clone());
        let answer = offer(&mut self.signal, &json!({"sdp": sdp}), keep).await;
        assert_eq!(answer.kind(), "answer", "{:?}", answer.value);
        self.epoch = answer.data()["epoch"].clone();
        let sdp = answer.data()["sdp"].as_str().expect("text");
        self.peer.accept(sdp).expect("an answer");
        self.peer.connect(SOON).await.expect("connects");
    }

    /// The other end is gone: waits until a new connection is asked for, and makes it.
    async fn comes_back(&mut self) {
        let epoch = &self.epoch;
        let asks = |event: &Event| event.kind() == "media" && event.data()["epoch"] != *epoch;
        if !self.events.iter().any(asks) {
            self.signal
                .wait_for(Instant::now() + SOON, |event| asks(event))
                .await
                .expect("it is asked");
        }
        self.peer = Peer::bind(LOOPBACK).await.expect("a port");
        self.connect().await;
    }

    /// Takes what has come at the socket, and answers offers.
    async fn listen(&mut self) {
        while let Ok(Some(event)) =
            tokio::time::timeout(Duration::from_millis(1), self.signal.next()).await
        {
            self.events.push(event);
        }
        let offers = self.events.extract_if(.., |event| event.kind() == "offer");
        for offer in offers.collect::<Vec<_>>() {
            let data = offer.data();
            let id = data["id"].to_string();
            // One that was repeated is answered once.
            if data["epoch"] != self.epoch || !self.answered.insert(id) {
                continue;
            }
            let sdp = data["sdp"].as_str().expect("text");
            let answer = self.peer.answer(sdp).expect("an offer");
            let said = json!({"sdp": answer, "id": data["id"]});
            self.signal
                .say("answer", said)
                .await
                .expect("the socket is open");
        }
        let wrong = self.events.iter().find(|event| event.kind() == "error");
        assert!(wrong.is_none(), "{wrong:?}");
    }

    /// Speaks, or listens where there is nothing to say.
    async fn attend(&mut self, frames: &[Frame], length: Duration) {
        let zero = Instant::now();
        let chunks = (length.as_millis() / (FRAME * CHUNK as u32).as_millis()) as usize;
        for chunk in 0..chunks {
            let from = zero + FRAME * (chunk * CHUNK) as u32;
            let saying = frames
                .get(chunk * CHUNK..)
                .map(|rest| &rest[..rest.len().min(CHUNK)])
                .unwrap_or_default();
            self.peer
                .speak(saying, from, &CancellationToken::new())
                .await
                .expect("connected");
            self.listen().await;
            let until = from + FRAME * CHUNK as u32;
            self.peer.run(until).await.expect("connected");
        }
    }

    /// The same beside others; gives itself back.
    fn attending(mut self, frames: Vec<Frame>, length: Duration) -> JoinHandle<Self> {
        tokio::spawn(async move {
            self.attend(&frames, length).await;
            self
        })
    }

    /// Until it hears these.
    async fn hears<const N: usize>(&mut self, wanted: [&str; N]) {
        let wanted: BTreeSet<&str> = wanted.into_iter().collect();
        let deadline = Instant::now() + SOON;
        loop {
            let hears = self.peer.hears();
            let hears: BTreeSet<&str> = hears.iter().map(|(who, _)| who.as_str()).collect();
            if hears == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{hears:?}, not {wanted:?}");
            self.attend(&[], FRAME * CHUNK as u32).await;
        }
    }

    /// What came of somebody since then, decoded.
    fn heard(&self, of: &str, since: Instant) -> Vec<f32> {
        let all = self.peer.received.iter();
        let of: Vec<&Received> = all
            .filter(|got| got.participant == of && got.at >= since)
            .collect();
        let mut decoder = Decoder::new(Channels::Mono, SampleRate::Hz48000).expect("libopus");
        let mut pcm = [0.0; 5_760];
        let mut samples = Vec::new();
        for packet in of {
            let count = decoder
                .decode_float_to_slice(&packet.payload, &mut pcm, false)
                .expect("Opus");
            samples.extend_from_slice(&pcm[..count]);
        }
        samples
    }
}

/// dBFS of one frequency in the last seconds of what was heard.
fn level(samples: &[f32], hz: f64) -> f64 {
    let last = &samples[samples.len().saturating_sub(sound::RATE as usize)..];
    tone::dbfs(tone::amplitude(last, sound::RATE, hz))
}

#[track_caller]
fn assert_hears(listener: &Attendee, of: &str, since: Instant, hz: f64, others: &[f64]) {
    let samples = listener.heard(of, since);
    let seconds = samples.len() as f64 / f64::from(sound::RATE);
    assert!(seconds >= 2.0, "{seconds} s of {of}");
    assert!(level(&samples, hz) > -20.0, "{} dBFS", level(&samples, hz));
    for other in others {
        assert!(level(&samples, *other) < -45.0, "{other} Hz in {of}");
    }
}

/// Two browsers and a telephone: everybody hears the others and not itself, also who declined, of
/// whom nothing is kept.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_the_others_and_who_declined_is_in_no_file() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let (ana, bob, carl) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Bob", "declined").await,
        room.guest_who("Carl", "accepted").await,
    );
    let (mut one, mut two) = (
        Attendee::join(&room, &ana).await,
        Attendee::join(&room, &bob).await,
    );
    let [of_ana, of_bob, of_carl] = [500.0, 800.0, 1_100.0].map(|hz| sound::hum(hz, 5_000, &[]));
    let line = room.line(&carl).await;
    tokio::join!(
        one.hears([&bob.id, &carl.id]),
        two.hears([&ana.id, &carl.id])
    );
    let since = Instant::now();
    let third = line.speak(&of_carl, since);
    let length = Duration::from_secs(5);
    let (one, two) = (
        one.attending(of_ana, length),
        two.attending(of_bob.clone(), length),
    );
    let (one, two) = (one.await.expect("no panic"), two.await.expect("no panic"));
    third.finished().await;
    assert_hears(&one, &bob.id, since, 800.0, &[500.0, 1_100.0]);
    assert_hears(&one, &carl.id, since, 1_100.0, &[500.0, 800.0]);
    assert_hears(&two, &ana.id, since, 500.0, &[800.0, 1_100.0]);
    assert_hears(&two, &carl.id, since, 1_100.0, &[500.0, 800.0]);
    for (attendee, own) in [(&one, &ana), (&two, &bob)] {
        assert!(attendee.heard(&own.id, since).is_empty());
    }
    let left = room.end().await;
    assert!(left.track(&bob).is_none(), "he declined");
    for (guest, hz) in [(&ana, 500.0), (&carl, 1_100.0)] {
        let track = left.track(guest).expect("agreed");
        let end = track.sound.end_ms();
        sound::assert_heard(&track.sound, hz, end - 3_000, end - 500, &guest.name);
    }
    let his = sound::kept(data.path(), &room.id, &of_bob).await;
    assert!(his.is_empty(), "{his:?}");
    drop((one, two));
    server.terminate();
}

/// Under `all` recording pauses, and the talk goes on.
#[tokio::test(flavor = "multi_thread")]
async fn under_all_everybody_is_heard_while_nothing_is_recorded() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let settings = json!({"aiEnabled": false, "consentPolicy": "all"});
    let room = Room::open(&client, settings).await;
    let (ana, bob) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Bob", "declined").await,
    );
    let (mut one, mut two) = (
        Attendee::join(&room, &ana).await,
        Attendee::join(&room, &bob).await,
    );
    tokio::join!(one.hears([&bob.id]), two.hears([&ana.id]));
    room.until_state("paused").await;
    let (of_ana, of_bob) = (sound::hum(500.0, 4_000, &[]), sound::hum(800.0, 4_000, &[]));
    let (since, length) = (Instant::now(), Duration::from_secs(4));
    let one = one.attending(of_ana.clone(), length);
    let two = two.attending(of_bob.clone(), length);
    let (one, two) = (one.await.expect("no panic"), two.await.expect("no panic"));
    assert_hears(&one, &bob.id, since, 800.0, &[500.0]);
    assert_hears(&two, &ana.id, since, 500.0, &[800.0]);
    for frames in [of_ana, of_bob] {
        let kept = sound::kept(data.path(), &room.id, &frames).await;
        assert!(kept.is_empty(), "{kept:?}");
    }
    drop((one, two));
    server.terminate();
}

/// Under `required` a withdrawal removes, and from then on nothing of it is heard, whatever it
/// sends.
#[tokio::test(flavor = "multi_thread")]
async fn under_required_who_withdraws_is_heard_no_more() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let settings = json!({"aiEnabled": false, "consentPolicy": "required"});
    let room = Room::open(&client, settings).await;
    let (ana, bob) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Bob", "accepted").await,
    );
    let mut one = Attendee::join(&room, &ana).await;
    let line = room.line(&bob).await;
    one.hears([&bob.id]).await;
    let since = Instant::now();
    let voice = line.speak(&sound::hum(800.0, 60_000, &[]), since);
    one.attend(&[], Duration::from_secs(3)).await;
    assert_hears(&one, &bob.id, since, 800.0, &[]);
    room.say(&bob, "recording_ai", "withdrawn").await;
    // It acts; what is on the way to her now has been sent before, and she may be behind with it.
    let deadline = Instant::now() + SOON;
    loop {
        let before = one.peer.received.len();
        one.attend(&[], Duration::from_millis(300)).await;
        if one.peer.received.len() == before {
            break;
        }
        assert!(Instant::now() < deadline, "he is still heard");
    }
    let after = Instant::now();
    one.hears([]).await;
    one.attend(&[], Duration::from_secs(2)).await;
    let heard = one.heard(&bob.id, after).len();
    assert_eq!(heard, 0, "{heard} samples after the withdrawal");
    voice.stopped().await;
    server.terminate();
}

/// Mute is known to all, and known again to who comes later.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_who_is_muted() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let mut signal = socket(&room, &ana).await;
    let mute = async |signal: &mut Signal, source: &str, muted: bool| {
        let data = json!({"source": source, "muted": muted});
        let id = signal.say("mute", data).await.expect("the socket is open");
        signal
            .wait_for(Instant::now() + SOON, |event| {
                event.value["re"] == id.as_str()
            })
            .await
            .expect("an answer")
    };
    let none = mute(&mut signal, "microphone", true).await;
    assert_eq!(none.data()["code"], "no_stream", "{:?}", none.value);
    drop(signal);
    let mut one = Attendee::join(&room, &ana).await;
    eventually("her stream is open", SOON, async || {
        let listed = client
            .list(&format!("/v1/meetings/{}/streams", room.id))
            .await;
        listed.expect("lists")[0]["state"] == "open"
    })
    .await;
    let muted = |event: &Event, wanted: bool| {
        event.kind() == "participant_updated"
            && event.data()["id"] == ana.id.as_str()
            && event.data()["streams"][0]["muted"] == wanted
    };
    let answer = mute(&mut one.signal, "microphone", true).await;
    assert_eq!(answer.kind(), "mute", "{:?}", answer.value);
    room.until("she is muted", |event| muted(event, true)).await;
    let bob = room.guest_who("Bob", "accepted").await;
    let other = socket(&room, &bob).await;
    let people = other.joined.data()["participants"]
        .as_array()
        .expect("a list");
    let seen = people.iter().find(|person| person["id"] == ana.id.as_str());
    assert_eq!(seen.expect("she is there")["streams"][0]["muted"], true);
    let before = room.events().len();
    mute(&mut one.signal, "microphone", false).await;
    eventually("she is heard again", SOON, async || {
        room.events()[before..]
            .iter()
            .any(|event| muted(event, false))
    })
    .await;
    server.terminate();
}

/// From the receipt of a withdrawal to the last sample on the disk, by capture time: of ten by
/// their sockets, and of ten by REST while their sockets are down.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_cuts_what_browsers_send_twenty_times() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let all = sound::staircase(12_000);
    let one = async |room: &Room, n: usize| {
        let guest = room.guest_who(&format!("Guest{n}"), "accepted").await;
        let mut attendee = Attendee::join(room, &guest).await;
        // Not the same sound as of the other in the room.
        let frames = &all[n % 2 * 300..][..300];
        let (before, after) = frames.split_at(150 + fastrand::usize(..10) * CHUNK);
        let length = |frames: &[Frame]| FRAME * frames.len() as u32;
        let zero = Clock::default().wall(Instant::now());
        attendee.attend(before, length(before)).await;
        let withdrawn = if n.is_multiple_of(2) {
            attendee
                .signal
                .consent("recording_ai", "withdrawn")
                .await
                .expect("the socket is open");
            attendee.attend(after, length(after)).await;
            let tells = |event: &Event| {
                event.kind() == "consent_updated"
                    && event.data()["status"] == "withdrawn"
                    && event.data()["participantId"] == guest.id.as_str()
            };
            let Attendee { events, signal, .. } = &mut attendee;
            let told = match events.iter().find(|event| tells(event)) {
                Some(told) => told.clone(),
                None => signal
                    .wait_for(Instant::now() + SOON, tells)
                    .await
                    .expect("it is told"),
            };
            time(&told.data()["timestamp"])
        } else {
            let Attendee {
                signal, mut peer, ..
            } = attendee;
            drop(signal);
            let speaking = async {
                peer.speak(after, Instant::now(), &CancellationToken::new())
                    .await
                    .expect("connected");
            };
            tokio::join!(room.say(&guest, "recording_ai", "withdrawn"), speaking).0
        };
        let at = (withdrawn - zero).num_milliseconds();
        let kept = sound::kept(data.path(), &room.id, frames).await;
        let last = kept.last().map_or(0, |n| *n as i64 * 20 + 20);
        // How much depends on how far a busy machine got with sending.
        assert!(last > 0, "{last} ms are kept of {at}");
        last - at
    };
    let mut rooms = Vec::new();
    for _ in 0..10 {
        rooms.push(Room::open(&client, json!({"aiEnabled": false})).await);
    }
    let all = rooms.iter().enumerate().map(async |(n, room)| {
        let (first, second) = tokio::join!(one(room, 2 * n), one(room, 2 * n + 1));
        [first, second]
    });
    let late: Vec<i64> = futures_util::future::join_all(all).await.concat();
    println!("the last sample is so many ms behind the withdrawal: {late:?}");
    assert_eq!(late.len(), 20);
    assert!(late.iter().all(|late| *late <= 250), "{late:?}");
    server.terminate();
}

/// Sockets are at one process and media at another; that dies, another takes the meeting over, and
/// everybody hears everybody again.
#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_brings_the_room_back() {
    let site = Site::with_broker().await;
    let folders = [Scratch::new(), Scratch::new(), Scratch::new()];
    let api = site.api(folders[0].path());
    let key = super::support::key(&site.database).await;
    let client = Client::new(api.url(), &key).expect("the address is well-formed");
    let first = site.worker(folders[1].path());
    let room = Room::open(&client, json!({"aiEnabled": false})).await;
    let (ana, bob) = (
        room.guest_who("Ana", "accepted").await,
        room.guest_who("Bob", "declined").await,
    );
    let (mut one, mut two) = (
        Attendee::join(&room, &ana).await,
        Attendee::join(&room, &bob).await,
    );
    let second = site.worker(folders[2].path());
    let [of_ana, of_bob] = [500.0, 800.0].map(|hz| sound::hum(hz, 4_000, &[]));
    let length = Duration::from_secs(4);
    let mut worker = Some(first);
    for round in 0..2 {
        tokio::join!(one.hears([&bob.id]), two.hears([&ana.id]));
        let since = Instant::now();
        let speaking = (
            one.attending(of_ana.clone(), length),
            two.attending(of_bob.clone(), length),
        );
        (one, two) = (
            speaking.0.await.expect("no panic"),
            speaking.1.await.expect("no panic"),
        );
        assert_hears(&one, &bob.id, since, 800.0, &[500.0]);
        assert_hears(&two, &ana.id, since, 500.0, &[800.0]);
        if round == 0 {
            worker.take().expect("the first round").kill();
            tokio::join!(one.comes_back(), two.comes_back());
        }
    }
    drop((one, two));
    second.terminate();
    api.terminate();
}
