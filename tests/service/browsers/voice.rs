//! What microphones hear: voices of a bundled meeting, first by its script and then on and on. And
//! what is read of them.

use super::person::{Person, READY_MAX};
use crate::browser::{RATE, wav};
use hansard_client::{
    meeting::{Meeting, Utterance},
    rest::{Client, Joined, audio_stream},
    sender::{Sender, SenderConfig},
    tone::{self, OpusSettings},
    wer,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Of somebody, to be sure who it is.
const WORDS: usize = 12;

/// Silence before the first word, in which a microphone that was just opened gets its connection, also
/// on a busy machine: what is said before that is lost.
const LEAD_MS: i64 = 10_000;
/// Each of the three has spoken twice or more.
const SCRIPT_MS: i64 = 25_900;
/// Silence behind the script.
const REST_MS: i64 = 6_000;

/// How somebody speaks behind the script.
#[derive(Clone, Copy)]
pub enum Tail {
    /// Sentence after sentence, with a pause after each.
    Sentences,
    /// Without a pause: whenever it is, it is in mid-sentence.
    Unbroken,
}

/// A voice of the set `incident`, mono at [`RATE`].
pub async fn decoded(name: &str) -> Vec<f32> {
    let file = format!(
        "{}/tests/data/speech/incident/{name}.opus",
        env!("CARGO_MANIFEST_DIR")
    );
    let decoding =
        tokio::task::spawn_blocking(move || tone::decode(file.as_ref(), RATE).expect("plays"));
    decoding.await.expect("no panic")
}

/// The utterances of somebody in the set `incident`.
fn utterances(name: &str) -> Vec<Utterance> {
    let set = Meeting::test_set("incident").expect("the set");
    let own = set.utterances.into_iter();
    own.filter(|utterance| utterance.speaker == name).collect()
}

/// Speaks with a voice of the set `incident` by plain RTP, until `stop`.
pub async fn send(
    client: &Client,
    meeting: &str,
    joined: &Joined,
    name: &'static str,
    stop: CancellationToken,
) {
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus(name)).await;
    let sender = sender.expect("a socket");
    let of = &joined.participant_id;
    let request = audio_stream(of, "opus", sender.config(), None, None);
    let stream = client.create_stream(meeting, request).await;
    let to = SocketAddr::new(LOOPBACK, stream.expect("a port").port);
    let samples = decoded(name).await;
    let encoding = tokio::task::spawn_blocking(move || {
        tone::opus(&samples, OpusSettings::default()).expect("encodes")
    });
    let frames = encoding.await.expect("no panic");
    tokio::spawn(async move { sender.run(to, &frames, Instant::now(), &stop).await });
}

/// Waits until a page shows words of somebody in the set `incident`, and holds so many in a hundred
/// of them to be their own.
pub async fn until_read(person: &mut Person, name: &str, right: usize) {
    let known: Vec<String> = utterances(name)
        .iter()
        .flat_map(|utterance| wer::words(&utterance.text))
        .collect();
    let begun = Instant::now();
    loop {
        let lines = person.texts("[role=log] .line").await;
        let own = lines.iter().filter_map(|line| line.strip_prefix(name));
        let read: Vec<String> = own.flat_map(wer::words).collect();
        if read.len() >= WORDS {
            let own = read.iter().filter(|word| known.contains(word)).count();
            println!("{own} words of {} are {name}'s own: {lines:?}", read.len());
            assert!(own * 100 >= read.len() * right, "{lines:?}");
            return;
        }
        assert!(begun.elapsed() < READY_MAX, "{name}: {lines:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Writes so much of a voice of the set `incident`, to be heard once; gives its words.
pub async fn write_beginning(path: &Path, name: &str, spoken_ms: i64) -> String {
    let mut heard = vec![0.0; samples(LEAD_MS)];
    heard.extend_from_slice(&decoded(name).await[..samples(spoken_ms)]);
    wav(path, &heard);
    let own = utterances(name).into_iter();
    own.filter(|utterance| utterance.end_ms <= spoken_ms)
        .map(|utterance| format!("{} ", utterance.text))
        .collect()
}

/// Writes a voice of the set `incident`; gives the words of the script's part.
pub async fn write(path: &Path, name: &'static str, tail: Tail, length: Duration) -> String {
    let own = utterances(name);
    let voice = decoded(name).await;
    let mut heard = vec![0.0; samples(LEAD_MS)];
    heard.extend_from_slice(&voice[..samples(SCRIPT_MS)]);
    heard.resize(heard.len() + samples(REST_MS), 0.0);
    let pause = match tail {
        Tail::Sentences => 1_000,
        Tail::Unbroken => 0,
    };
    for utterance in own.iter().cycle() {
        heard.extend_from_slice(&voice[samples(utterance.start_ms)..samples(utterance.end_ms)]);
        heard.resize(heard.len() + samples(pause), 0.0);
        if heard.len() > samples(length.as_millis() as i64) {
            break;
        }
    }
    wav(path, &heard);
    own.iter()
        .filter(|utterance| utterance.end_ms <= SCRIPT_MS)
        .map(|utterance| format!("{} ", utterance.text))
        .collect()
}

/// How the lines that begin with the script differ from it, whatever follows.
pub fn errors(script: &str, lines: &[String]) -> wer::Errors {
    (0..=lines.len())
        .map(|n| wer::compare(script, &lines[..n].join(" ")))
        .min_by_key(|errors| errors.wrong())
        .expect("no lines are a beginning, too")
}

fn samples(ms: i64) -> usize {
    usize::try_from(ms * i64::from(RATE) / 1000).expect("not before the beginning")
}
