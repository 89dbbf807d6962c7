//! A meeting of people who send a tone, and what its files hold of them.

use super::{
    Scratch, eventually, patiently,
    place::{Spooled, segments},
};
use chrono::{DateTime, Utc};
use hansard_client::{
    rest::{Client, Recording, audio_stream},
    sender::{Frame, Sender, SenderConfig},
    tone::{self, OpusSettings},
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const RATE: u32 = 48_000;
/// A window of the tone's level.
pub const WINDOW_MS: i64 = 100;
/// What is quieter is silence: the mix is levelled, and what is silent lies far below.
pub const SILENT_DB: f64 = -45.0;
const HZ: [f64; 4] = [500.0, 800.0, 1_300.0, 2_100.0];
/// Of whoever has not agreed.
pub const DECLINED_HZ: f64 = 3_100.0;
/// How long a call that cannot be answered now is repeated, as a client does.
const PATIENCE: Duration = Duration::from_secs(60);
/// From the first packet until it is recorded, at most: a machine may be busy.
const BEGINS_MAX_MS: i64 = 30_000;
/// The longest that anybody sends a tone.
const LENGTH: Duration = Duration::from_secs(180);

/// A meeting of people who send a tone, each at a pitch of their own, until they are told to stop.
pub struct ToneMeeting {
    pub meeting: String,
    pub voices: Vec<Voice>,
    stop: CancellationToken,
}

pub struct Voice {
    pub participant: String,
    pub hz: f64,
    /// When the first sample was due.
    pub begin: DateTime<Utc>,
    /// Until its sound ended.
    sending: Option<JoinHandle<()>>,
}

/// A tone, encoded once.
fn tone_frames(hz: f64) -> Arc<[Frame]> {
    type Tones = Vec<(f64, Arc<[Frame]>)>;
    static TONES: Mutex<Tones> = Mutex::new(Vec::new());
    let mut encoded = TONES.lock().expect("encoding does not panic");
    if let Some((_, frames)) = encoded.iter().find(|(of, _)| of.to_bits() == hz.to_bits()) {
        return frames.clone();
    }
    // Ten seconds of it, again and again: whole periods fit.
    let tone = tone::sine(hz, 0.2, Duration::from_secs(10), RATE);
    let ten = tone::opus(&tone, OpusSettings::default()).expect("encodes");
    let frames: Arc<[Frame]> = ten
        .iter()
        .cycle()
        .take(ten.len() * (LENGTH.as_secs() as usize / 10))
        .cloned()
        .collect();
    encoded.push((hz, frames.clone()));
    frames
}

impl ToneMeeting {
    pub async fn begin(client: &Client, people: usize) -> Self {
        let email = unique("host");
        let host = patiently("a user", PATIENCE, || client.create_user(&email, "Host")).await;
        let settings = json!({"aiEnabled": false});
        let meeting = patiently("a meeting", PATIENCE, || {
            client.create_meeting(&host, settings.clone())
        })
        .await;
        let mut tones = Self {
            meeting: meeting["id"].as_str().expect("an id").to_owned(),
            voices: Vec::new(),
            stop: CancellationToken::new(),
        };
        for _ in 0..people {
            tones.add(client).await;
        }
        tones
    }

    /// One more who sends a tone and has agreed.
    pub async fn add(&mut self, client: &Client) {
        let hz = HZ[self.voices.len() % HZ.len()];
        let voice = self.voice(client, hz, "accepted").await;
        self.voices.push(voice);
    }

    /// One more who sends a tone and has declined.
    pub async fn add_declining(&mut self, client: &Client) -> Voice {
        self.voice(client, DECLINED_HZ, "declined").await
    }

    async fn voice(&self, client: &Client, hz: f64, status: &str) -> Voice {
        let (id, email) = (&self.meeting, unique("speaker"));
        let user = patiently("a user", PATIENCE, || client.create_user(&email, "Speaker")).await;
        let joined = patiently("joins", PATIENCE, || client.join(id, &user)).await;
        patiently("says", PATIENCE, || {
            client.consent(&joined.token, id, "recording", status)
        })
        .await;
        let sender = Sender::bind(LOOPBACK, SenderConfig::opus(&email))
            .await
            .expect("a socket");
        let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
        let to = patiently("a port", PATIENCE, || {
            client.create_stream(id, request.clone())
        })
        .await
        .address();
        let frames = tone_frames(hz);
        let (stop, begin) = (self.stop.clone(), Utc::now());
        let sending = tokio::spawn(async move {
            sender
                .run(to, &frames, Instant::now(), &stop)
                .await
                .expect("sends");
        });
        Voice {
            participant: joined.participant_id,
            hz,
            begin,
            sending: Some(sending),
        }
    }

    /// The last holder of the meeting whose segments lie in this data folder.
    pub fn epoch(&self, data: &Path) -> i64 {
        let all = segments(data).into_iter();
        let ours = all.filter(|one| one.track.meeting.to_string() == self.meeting);
        ours.map(|one| one.epoch).max().unwrap_or(0)
    }

    /// Waits until such a segment of every voice has begun. From when on all that is said is
    /// recorded in its place: what is found to be placed too early at first leaves a short hole.
    pub async fn recorded(&self, data: &Path, wanted: impl Fn(&Spooled) -> bool) -> DateTime<Utc> {
        eventually("all are recorded", PATIENCE, async || {
            let mut all = segments(data);
            all.retain(&wanted);
            let of = |voice: &Voice| {
                all.iter()
                    .any(|one| one.track.participant.to_string() == voice.participant)
            };
            self.voices.iter().all(of)
        })
        .await;
        later(Utc::now(), 1_500)
    }

    /// The sound ends without a word to anybody; again nothing happens.
    pub async fn fall_silent(&mut self) {
        self.stop.cancel();
        for sending in self
            .voices
            .iter_mut()
            .filter_map(|voice| voice.sending.take())
        {
            sending.await.expect("the sender does not panic");
        }
    }

    /// Ends the meeting; answers when the sound ended.
    pub async fn end(&mut self, client: &Client) -> DateTime<Utc> {
        let (meeting, mut ended) = (self.meeting.clone(), Utc::now());
        patiently("ends", PATIENCE, || {
            ended = Utc::now();
            client.end(&meeting)
        })
        .await;
        self.fall_silent().await;
        ended
    }

    /// The finished files by sound.
    pub async fn files(&self, client: &Client, within: Duration) -> Files {
        let meeting = client.meeting(&self.meeting).await.expect("is there");
        let zero: DateTime<Utc> =
            serde_json::from_value(meeting["startTime"].clone()).expect("a time");
        let recordings = client
            .wait_recordings_ready(&self.meeting, Instant::now() + within)
            .await
            .expect("all are ready");
        let mut files = Vec::new();
        let scratch = Scratch::new();
        for recording in recordings {
            let path = scratch.path().join(&recording.id);
            std::fs::write(
                &path,
                client.download(&recording.id).await.expect("downloads"),
            )
            .expect("writes");
            files.push((recording, tone::decode(&path, RATE).expect("plays")));
        }
        Files { zero, files }
    }
}

pub struct Files {
    /// MeetingTime 0.
    zero: DateTime<Utc>,
    pub files: Vec<(Recording, Vec<f32>)>,
}

impl Files {
    pub fn ms(&self, at: DateTime<Utc>) -> i64 {
        (at - self.zero).num_milliseconds()
    }

    pub fn track(&self, voice: &Voice) -> &Recording {
        let of =
            |recording: &Recording| recording.participant_id.as_ref() == Some(&voice.participant);
        &self
            .files
            .iter()
            .find(|(recording, _)| of(recording))
            .expect("a track")
            .0
    }

    /// MeetingTimes (ms) of the windows between two times in which the voice is not heard, in its
    /// track and in the mix.
    pub fn silent(
        &self,
        voice: &Voice,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Vec<(String, i64)> {
        let of = |recording: &Recording| {
            recording.kind == "mix" || recording.participant_id.as_ref() == Some(&voice.participant)
        };
        let mut silent = Vec::new();
        let mut seen = 0;
        for (recording, samples) in self.files.iter().filter(|(recording, _)| of(recording)) {
            seen += 1;
            let levels = tone::amplitudes(samples, RATE, voice.hz);
            let begin = recording.start_ms.expect("it is ready");
            let mut at = self.ms(from);
            while at + WINDOW_MS < self.ms(to) {
                let window =
                    usize::try_from((at - begin + WINDOW_MS / 2) / WINDOW_MS).unwrap_or(usize::MAX);
                if levels
                    .get(window)
                    .is_none_or(|level| tone::dbfs(*level) < SILENT_DB)
                {
                    silent.push((recording.kind.clone(), at));
                }
                at += WINDOW_MS;
            }
        }
        assert_eq!(seen, 2, "a track and the mix");
        silent
    }

    /// All of a voice is there, but for the spans given.
    pub fn whole(
        &self,
        voice: &Voice,
        to: DateTime<Utc>,
        holes: &[(DateTime<Utc>, DateTime<Utc>)],
    ) {
        let begin = self.ms(voice.begin);
        let start = self.track(voice).start_ms.expect("it is ready");
        assert!(start - begin < BEGINS_MAX_MS, "{start}, sent from {begin}");
        let mut from = later(voice.begin, (start - begin).max(1_500));
        for (begin, end) in holes {
            assert_eq!(self.silent(voice, from, *begin), [], "before a hole");
            from = *end;
        }
        assert_eq!(
            self.silent(voice, from, to - chrono::Duration::milliseconds(300)),
            [],
            "to the end, from {} ms",
            self.ms(from)
        );
    }
}

/// Users are told apart by their addresses.
fn unique(name: &str) -> String {
    format!("{name}-{}@example.org", uuid::Uuid::new_v4().simple())
}

pub fn later(time: DateTime<Utc>, ms: i64) -> DateTime<Utc> {
    time + chrono::Duration::milliseconds(ms)
}
