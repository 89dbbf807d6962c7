//! Speech end to end: real Whisper on the bundled model, in its child process.

#[path = "speech/support.rs"]
mod support;

use hansard::speech::Speech;
use support::*;

async fn play(
    speech: &Speech,
    name: &str,
    speed: f64,
) -> (Play, Vec<Told>, std::collections::BTreeMap<hansard::domain::id::ParticipantId, String>) {
    let play = Play::load(name);
    let voices: Vec<(&str, &[f32])> = play.voices.iter().map(|(name, pcm)| (name.as_str(), &pcm[..])).collect();
    let names: Vec<&str> = voices.iter().map(|(name, _)| *name).collect();
    let mut hall = Hall::open(speech, &names, speed);
    hall.play(&voices).await;
    let names = hall.names.clone();
    let told = hall.finish().await;
    (play, told, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn meetings_become_captions() {
    let speech = Speech::start(settings(2)).await.expect("speech starts");
    let mut all = hansard::speech::wer::Errors::default();
    for name in ["planning", "incident"] {
        let (play, told, names) = play(&speech, name, std::env::var("SPEED").map_or(4.0, |s| s.parse().unwrap())).await;
        check_contract(&told);
        let errors = errors(&play, &told, &names);
        eprintln!("{name} {errors:?}");
        for (at, line) in finals(&told) {
            let last = play
                .utterances
                .iter()
                .filter(|u| u.speaker == names[&line.participant] && u.start_ms < line.span.end.as_ms())
                .last()
                .unwrap();
            eprintln!("{:5} {:5} {}", at.as_ms() - last.end_ms, line.span.end.as_ms() - last.end_ms, line.text);
        }
        let mut shown = Vec::new();
        for u in &play.utterances {
            let last = hansard::speech::wer::words(&u.text).pop().unwrap();
            let first = told.iter().find(|(_, c)| match c {
                hansard::speech::Caption::Partial(l) | hansard::speech::Caption::Final(l) => {
                    names[&l.participant] == u.speaker
                        && l.span.end.as_ms() > u.end_ms - 300
                        && l.span.start.as_ms() < u.end_ms
                        && hansard::speech::wer::words(&l.text).last() == Some(&last)
                }
                _ => false,
            });
            shown.push(first.map(|f| f.0.as_ms() - u.end_ms));
        }
        shown.sort();
        eprintln!("shown {shown:?}");
        all = all + errors;
    }
    eprintln!("{all:?} {}", all.rate());
}
