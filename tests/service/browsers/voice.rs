//! What microphones hear: voices of a bundled meeting, first by its script and then on and on.

use crate::browser::{RATE, wav};
use hansard_client::{
    meeting::{Meeting, Utterance},
    tone, wer,
};
use std::{path::Path, time::Duration};

/// Silence before the first word, in which a microphone that was just opened gets its connection.
const LEAD_MS: i64 = 4_000;
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

/// Writes a voice of the set `incident`; gives the words of the script's part.
pub async fn write(path: &Path, name: &'static str, tail: Tail, length: Duration) -> String {
    let set = Meeting::test_set("incident").expect("the set");
    let own: Vec<Utterance> = set
        .utterances
        .into_iter()
        .filter(|utterance| utterance.speaker == name)
        .collect();
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
