//! Speech end to end: real Whisper on the bundled model, in its child process.

#[path = "speech/support.rs"]
mod support;

use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn offline_decode() {
    let (decoder, mut outcomes) = hansard::speech::decoder::Decoder::start(settings(2)).await.expect("starts");
    eprintln!("{:?}", decoder.speed());
    let mut errors = hansard::speech::wer::Errors::default();
    let mut took_all = 0;
    for name in ["planning", "incident"] {
        let meeting = Meeting::load(name);
        for (n, utterance) in meeting.utterances.iter().enumerate() {
            let pcm = &meeting.voices[&utterance.speaker];
            let (from, to) = ((utterance.start_ms - 250).max(0) * 16, (utterance.end_ms + 190) * 16);
            let pcm = pcm[from as usize..(to as usize).min(pcm.len())].to_vec();
            let voiced = hansard::domain::time::Micros::from_ms(utterance.end_ms - utterance.start_ms);
            let job = hansard::speech::decoder::Job {
                id: n as u64,
                pcm: pcm.into(),
                language: Some("en".into()),
                prompt: None,
                voiced,
                thorough: true,
            };
            assert!(decoder.submit(job));
            let (_, outcome) = outcomes.recv().await.expect("an outcome");
            let hansard::speech::decoder::Outcome::Heard { hypothesis, took } = outcome else { panic!("{outcome:?}") };
            let text: Vec<&str> = hypothesis.words.iter().map(|word| word.text.as_str()).collect();
            let e = hansard::speech::wer::compare(&utterance.text, &text.join(" "));
            took_all += took.0;
            eprintln!("{:6} us {} ms {:.4} {:.3} {} wrong: {}", took.0, utterance.end_ms - utterance.start_ms, hypothesis.no_speech, hypothesis.log_prob, e.wrong(), text.join(" "));
            errors = errors + e;
        }
    }
    eprintln!("{errors:?} {:.4} {took_all}", errors.rate());
}
