//! Consent that is taken back while processes, the database or the broker are gone, from outside:
//! what counts is what is in the files, in the bucket and in the transcript afterwards, and what
//! clients were told.

use super::{
    room::{Guest, Room, SOON, Voice, signal_url, time},
    site::{Site, speech, until_final},
    sound::{ABSENT_DB, Sound, files, kept, kept_in, staircase},
    support::{Scratch, eventually},
};
use chrono::{DateTime, Utc};
use hansard_client::{
    rest::Client,
    sender::Frame,
    signal::{Entry, Event, Signal},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Write, path::Path, time::Duration};

/// The machine builds beside us.
const LATE: Duration = Duration::from_secs(90);
/// Frames that are byte for byte alike in speech (silence) say nothing.
const SURE: usize = 20;

fn journal(data: &Path, room: &Room) -> std::path::PathBuf {
    data.join("spool/journal")
        .join(format!("{}.jsonl", room.id))
}

/// What a crash leaves of a line: cut within a character.
fn tear(data: &Path, room: &Room) {
    let path = journal(data, room);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("there is room");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("it opens");
    file.write_all(b"{\"id\":\"0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10\",\"statement\":\"zur\xc3")
        .expect("there is room");
}

fn seqs_of(events: &[Event], wanted: impl Fn(&Event) -> bool) -> Vec<i64> {
    events
        .iter()
        .filter(|event| wanted(event))
        .filter_map(Event::seq)
        .collect()
}

fn is_ready(event: &Event) -> bool {
    event.kind() == "recording_state" && event.data()["state"] == "ready"
}

fn lies_in(path: &Path, meeting: &str) -> bool {
    path.iter().any(|part| part == meeting)
}

/// Everything that was told of a meeting that is over, as an observer who comes late reads it:
/// those who were there are closed by the first `ready`.
async fn history(room: &Room) -> Vec<Event> {
    let entry = Entry::Observer {
        api_key: room.client.api_key().into(),
        meeting_id: room.id.clone(),
    };
    let mut signal = Signal::connect(&signal_url(&room.client), &entry, Some(0))
        .await
        .expect("observes");
    let mut events = Vec::new();
    // Until the server closes.
    while let Some(event) = tokio::time::timeout(SOON, signal.next())
        .await
        .expect("what was told is told again")
    {
        events.push(event);
    }
    events
}

async fn bytes_of(room: &Room, guest: &Guest) -> Option<Vec<u8>> {
    let recordings = room.client.recordings(&room.id).await.ok()?;
    let track = recordings
        .iter()
        .find(|one| one.participant_id.as_ref() == Some(&guest.id))?;
    room.client.download(&track.id).await.ok()
}

/// The mix, unless it is being made.
async fn mix_of(room: &Room) -> Option<Sound> {
    let recordings = room.client.recordings(&room.id).await.ok()?;
    let mix = recordings.into_iter().find(|one| one.kind == "mix")?;
    let (start, bytes) = (mix.start_ms?, room.client.download(&mix.id).await.ok()?);
    tokio::task::spawn_blocking(move || Sound::read(&bytes, "audio/mp4", start))
        .await
        .ok()
}

/// Two who agreed, one of whom takes it back where nobody else hears of it.
struct Case {
    all: bool,
    room: Room,
    ana: Guest,
    ben: Guest,
    /// Id and time of the withdrawal.
    said: Option<(Value, DateTime<Utc>)>,
    /// Who said it, its segment, and when it began.
    finals: Vec<(Guest, Value, DateTime<Utc>)>,
}

/// What Ana says before she takes it back, and what she and Ben say afterwards.
struct Speeches {
    before: Vec<Frame>,
    after: Vec<Frame>,
    of_ben: Vec<Frame>,
}

impl Speeches {
    /// How much of what she says afterwards is in a file; silence is alike before and after.
    fn late(&self, bytes: &[u8]) -> usize {
        let alike = kept_in(&all_bytes(&self.before), &self.after);
        kept_in(bytes, &self.after).difference(&alike).count()
    }
}

fn all_bytes(frames: &[Frame]) -> Vec<u8> {
    frames
        .iter()
        .flat_map(|frame| frame.payload.to_vec())
        .collect()
}

impl Case {
    async fn open(client: &Client, all: bool) -> Self {
        let policy = if all { "all" } else { "exclude" };
        let room = Room::open(client, json!({"language": "en", "consentPolicy": policy})).await;
        let (ana, ben) = (
            room.guest_who("Ana", "accepted").await,
            room.guest_who("Ben", "accepted").await,
        );
        Self {
            all,
            room,
            ana,
            ben,
            said: None,
            finals: Vec::new(),
        }
    }

    async fn begins(&self, speeches: &Speeches) {
        let (of_ana, of_ben) = tokio::join!(self.room.line(&self.ana), self.room.line(&self.ben));
        let begins = std::time::Instant::now() + Duration::from_millis(200);
        let silent: Vec<Frame> = speeches.of_ben[..5].to_vec();
        let (ana, ben) = (
            of_ana.speak(&speeches.before, begins),
            of_ben.speak(&silent, begins),
        );
        until_final(&self.room, &self.ana, 0).await;
        ana.finished().await;
        ben.finished().await;
    }

    /// At the second machine, which knows of nothing; to its end.
    async fn goes_on(&mut self, client: &Client, speeches: &Speeches) {
        self.room = self.room.moved(client).await;
        self.room
            .until("the meeting runs again", |event| {
                event.kind() == "recording_state" && event.data()["epoch"].as_i64() >= Some(2)
            })
            .await;
        let (of_ana, of_ben) = tokio::join!(self.room.line(&self.ana), self.room.line(&self.ben));
        let begins = std::time::Instant::now() + Duration::from_millis(200);
        let voices: [Voice; 2] = [
            of_ana.speak(&speeches.after, begins),
            of_ben.speak(
                &speeches.of_ben,
                begins + Duration::from_millis(speeches.after.len() as u64 * 20),
            ),
        ];
        until_final(&self.room, &self.ana, 1).await;
        until_final(&self.room, &self.ben, 0).await;
        for voice in voices {
            voice.finished().await;
        }
        self.room.client.end(&self.room.id).await.expect("ends");
        eventually("the files are made", LATE, async || {
            self.room.events().iter().any(is_ready)
        })
        .await;
        // What is taken back is told no more, so it is noted now.
        for event in self
            .room
            .events()
            .iter()
            .filter(|event| event.data()["final"] == true)
        {
            let speaks = |guest: &&Guest| event.data()["participant"]["id"] == guest.id.as_str();
            let guest = [&self.ana, &self.ben]
                .into_iter()
                .find(speaks)
                .expect("one of them");
            let begins = time(&event.data()["startAt"]);
            self.finals
                .push((guest.clone(), event.data()["segmentId"].clone(), begins));
        }
        let of_ana = bytes_of(&self.room, &self.ana).await.expect("a track");
        assert!(speeches.late(&of_ana) > SURE, "it knew of nothing");
    }

    /// Once the first machine is back.
    async fn is_taken_back(&self, site: &Site, speeches: &Speeches) {
        let Self {
            room,
            ana,
            ben,
            finals,
            ..
        } = self;
        let (id, at) = self.said.as_ref().expect("it was said");
        let gone: Vec<&Value> = finals
            .iter()
            .filter(|(guest, _, begins)| begins > at && (guest.id == ana.id || self.all))
            .map(|(_, segment, _)| segment)
            .collect();
        assert!(
            gone.len() > usize::from(self.all),
            "{} finals, withdrawn at {at}",
            finals.len()
        );
        let retracted = |events: &[Event], segment: &Value| {
            seqs_of(events, |event| {
                event.kind() == "transcript_retracted"
                    && event.data()["reason"] == "withdrawn"
                    && event.data()["segmentId"] == *segment
            })
        };
        eventually("it is taken back", LATE, async || {
            let events = history(room).await;
            gone.iter().all(|one| !retracted(&events, one).is_empty())
        })
        .await;
        let log = room.client.consents(&room.id).await.expect("lists");
        let entries: Vec<&Value> = log.iter().filter(|entry| entry["id"] == *id).collect();
        assert_eq!(entries.len(), 1, "{log:?}");
        assert_eq!(time(&entries[0]["timestamp"]), *at, "the earliest receipt");

        // A new revision is told behind the retraction.
        let told_again = async || {
            let events = history(room).await;
            let last = gone.iter().flat_map(|one| retracted(&events, one)).max();
            seqs_of(&events, is_ready).into_iter().max() > last
        };
        eventually("the files are made anew", LATE, told_again).await;
        let events = history(room).await;
        let transcript = room.client.transcript(&room.id).await.expect("is there");
        let left: BTreeSet<&str> = transcript["segments"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| one["segmentId"].as_str())
            .collect();
        for (guest, segment, begins) in finals {
            let is_gone = gone.contains(&segment);
            let name = format!("{} at {begins}, all: {}", guest.name, self.all);
            assert_eq!(
                left.contains(segment.as_str().expect("an id")),
                !is_gone,
                "{name}"
            );
            assert_eq!(retracted(&events, segment).is_empty(), !is_gone, "{name}");
        }
        // The first machine's own segments are merged too, in whatever order.
        eventually(
            "her track has what she agreed to and no more",
            LATE,
            async || {
                bytes_of(room, ana).await.is_some_and(|bytes| {
                    speeches.late(&bytes) == 0 && kept_in(&bytes, &speeches.before).len() > SURE
                })
            },
        )
        .await;
        // Under `all` nobody was to be recorded any more.
        let is_right = |bytes: &[u8]| (kept_in(bytes, &speeches.of_ben).len() > SURE) != self.all;
        eventually("his track has what everybody agreed to", LATE, async || {
            bytes_of(room, ben)
                .await
                .is_some_and(|bytes| is_right(&bytes))
        })
        .await;
        let meeting = room.client.meeting(&room.id).await.expect("is there");
        let start = time(&meeting["startTime"]);
        eventually("the mix has what was allowed", LATE, async || {
            let Some(mix) = mix_of(room).await else {
                return false;
            };
            finals.iter().all(|(_, segment, begins)| {
                let from = (*begins - start).num_milliseconds();
                let is_there =
                    from + 900 < mix.end_ms() && mix.loudness(from + 300, from + 900) > ABSENT_DB;
                is_there != gone.contains(&segment)
            })
        })
        .await;
        // The old revisions' bytes and the segments' are gone from the bucket.
        eventually("one file each lies in the bucket", LATE, async || {
            let keys = site.keys().await;
            let ours: Vec<_> = keys.iter().filter(|key| key.contains(&room.id)).collect();
            let with = |end: &str| ours.iter().filter(|key| key.ends_with(end)).count();
            (with(".mp4"), with(".webm"), with(".mkv")) == (1, 2, 0)
        })
        .await;
        eventually("nothing of it lies in the bucket", LATE, async || {
            let ours = files(site.objects())
                .into_iter()
                .filter(|path| lies_in(path, &room.id));
            let of_ben = |bytes: &[u8]| self.all && kept_in(bytes, &speeches.of_ben).len() > SURE;
            ours.filter_map(|path| std::fs::read(path).ok())
                .all(|bytes| speeches.late(&bytes) == 0 && !of_ben(&bytes))
        })
        .await;
    }
}

/// The machine that answered 202 dies at once with the only word of it, and its journal has tears
/// before and behind it; another machine goes on with the meeting, records what it may not, ends it
/// and makes the files. Then the first one comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_heard_of_after_the_files_were_made_takes_back_what_it_reaches() {
    let site = Site::start().await;
    let (one, other) = (Scratch::new(), Scratch::new());
    let first = site.serve(one.path());
    let client = first.client();
    let speeches = Speeches {
        before: speech("David", 5_400, 9_300),
        after: speech("David", 11_800, 15_300),
        of_ben: speech("Emma", 9_200, 11_800),
    };
    let mut cases = [
        Case::open(&client, false).await,
        Case::open(&client, true).await,
    ];
    let [exclude, all] = &cases;
    tokio::join!(exclude.begins(&speeches), all.begins(&speeches));
    site.cluster.stop().await;
    for case in &mut cases {
        tear(one.path(), &case.room);
        let token = &case.ana.joined.consent_token;
        let said = client
            .consent(token, &case.room.id, "recording_ai", "withdrawn")
            .await
            .expect("acts");
        assert_eq!(said["entry"], Value::Null, "not in the log yet: {said}");
        case.said = Some((said["id"].clone(), time(&said["timestamp"])));
    }
    first.kill();
    site.cluster.restart().await;
    for case in &cases {
        tear(one.path(), &case.room);
    }

    let second = site.serve(other.path());
    let client = second.client();
    let [exclude, all] = &mut cases;
    tokio::join!(
        exclude.goes_on(&client, &speeches),
        all.goes_on(&client, &speeches)
    );
    let first = site.serve(one.path());
    let [exclude, all] = &cases;
    tokio::join!(
        exclude.is_taken_back(&site, &speeches),
        all.is_taken_back(&site, &speeches)
    );
    for case in &cases {
        eventually("the journal is done with", SOON, async || {
            !journal(one.path(), &case.room).exists()
        })
        .await;
    }
    first.terminate();
    second.terminate();
}

async fn keyed(url: &str, token: &str, body: &Value) -> (u16, bool, Value) {
    let asked = reqwest::Client::new()
        .post(format!("{url}/v1/users/consent"))
        .bearer_auth(token)
        .json(body);
    let answer = asked
        .header("idempotency-key", "the same")
        .send()
        .await
        .expect("answers");
    let replayed = answer.headers().contains_key("idempotency-replayed");
    (
        answer.status().as_u16(),
        replayed,
        answer.json().await.expect("JSON"),
    )
}

/// With Postgres away an `api` answers 202, twice for one key; the worker that wrote it down is
/// lost with its disk. Told to stop, the `api` stays beyond its grace time until the log has it,
/// once and with the first receipt.
#[tokio::test(flavor = "multi_thread")]
async fn who_acknowledged_a_withdrawal_does_not_end_before_it_is_written() {
    let site = Site::with_broker().await;
    let folders = [(); 4].map(|()| Scratch::new());
    let worker = site.worker(folders[0].path());
    let mut api = site.api(folders[1].path());
    let key = super::support::key(&site.database).await;
    let client = Client::new(api.url(), &key).expect("the address is well-formed");
    let room = Room::open(&client, super::room::recording_only()).await;
    let ana = room.guest_who("Ana", "accepted").await;
    let frames = staircase(40_000);
    let voice = room.speak(&ana, &frames).await;
    voice.reaches(2_000).await;
    site.cluster.stop().await;
    let body = json!({"meetingId": room.id, "consentType": "recording_ai", "status": "withdrawn"});
    let token = &ana.joined.consent_token;
    let (status, _, said) = keyed(api.url(), token, &body).await;
    assert_eq!(status, 202, "{said}");
    let (status, _, again) = keyed(api.url(), token, &body).await;
    assert_eq!(
        (status, &again),
        (202, &said),
        "the same request is the same withdrawal"
    );
    worker.kill();
    std::fs::remove_dir_all(folders[0].path().join("spool")).expect("it was there");
    api.ask_to_stop();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(api.is_running(), "its grace time is over, and it stays");
    site.cluster.restart().await;
    assert!(api.ends(LATE).await, "it ends");

    let worker = site.worker(folders[2].path());
    let api = site.api(folders[3].path());
    let client = Client::new(api.url(), &key).expect("the address is well-formed");
    let (status, replayed, entry) = keyed(api.url(), token, &body).await;
    assert_eq!((status, replayed), (201, true), "{entry}");
    for part in ["id", "timestamp"] {
        assert_eq!(entry[part], said[part]);
    }
    let log = client.consents(&room.id).await.expect("lists");
    assert_eq!(log.len(), 2, "{log:?}");
    let withdrawn = voice.at(time(&said["timestamp"]));
    let room = room.moved(&client).await;
    voice.stopped().await;
    room.end().await;
    let last = kept(site.objects(), &room.id, &frames)
        .await
        .last()
        .map_or(0, |n| *n as i64 * 20);
    assert!(
        last <= withdrawn + 5,
        "a frame of {last} ms lies in the bucket, withdrawn at {withdrawn}"
    );
    api.terminate();
    worker.terminate();
}
