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
            eprintln!(
                "{:6} us {} ms {:.4} {:.3} {} wrong: {}",
                took.0,
                utterance.end_ms - utterance.start_ms,
                hypothesis.no_speech,
                hypothesis.log_prob,
                e.wrong(),
                text.join(" ")
            );
            errors = errors + e;
        }
    }
    eprintln!("{errors:?} {:.4} {took_all}", errors.rate());
}
#[test]
fn vad_probe() {
    use hansard::domain::{endpoint::*, time::*};
    use hansard::speech::vad::{Vad, length};
    let run = |pcm: &[f32]| {
        let mut vad = Vad::default();
        let mut endpoint = Endpoint::new(Settings::new(Micros::from_secs(12)));
        let mut all = Vec::new();
        let mut at = MeetingTime::ZERO;
        let t = std::time::Instant::now();
        for chunk in pcm.chunks(320) {
            let span = Span::of(at, length(chunk.len()));
            at = span.end;
            for frame in vad.push(chunk, span) {
                for d in endpoint.frame(frame) {
                    all.push((frame.span.end, d));
                }
            }
        }
        eprintln!("vad {:?} for {} s", t.elapsed(), pcm.len() / 16000);
        all
    };
    for name in ["planning", "incident"] {
        let meeting = Meeting::load(name);
        for (who, pcm) in &meeting.voices {
            eprintln!("{who}");
            let all = run(pcm);
            let mut refs = meeting
                .utterances
                .iter()
                .filter(|u| u.speaker == *who)
                .map(|u| (u.start_ms, u.end_ms))
                .collect::<Vec<_>>();
            for (at, d) in all {
                match d {
                    Decision::Ended { span, voiced, why, .. } => {
                        let mine: Vec<_> = refs
                            .iter()
                            .copied()
                            .filter(|(a, b)| *a < span.end.as_ms() && *b > span.start.as_ms())
                            .collect();
                        refs.retain(|r| !mine.contains(r));
                        let first = mine.first().copied().unwrap_or_default();
                        let last = mine.last().copied().unwrap_or_default();
                        eprintln!(
                            "  {}-{} {why:?} onset {:+} voiced end {:+} decided {:+} refs {} parts {}",
                            span.start.as_ms(),
                            span.end.as_ms(),
                            voiced[0].start.as_ms() - first.0,
                            voiced.last().unwrap().end.as_ms() - last.1,
                            at.as_ms() - last.1,
                            mine.len(),
                            voiced.len()
                        );
                    }
                    Decision::Dropped { .. } => eprintln!("  dropped {at:?}"),
                    _ => {}
                }
            }
            eprintln!("  missed {refs:?}");
        }
    }
    for (db, brown) in
        [(-50.0, false), (-40.0, false), (-30.0, false), (-20.0, false), (-40.0, true), (-30.0, true), (-20.0, true)]
    {
        let pcm = noise(60, db, brown);
        let all = run(&pcm);
        eprintln!("noise {db} {brown}: {} decisions", all.len());
    }
    run(&vec![0.0; 16000 * 60]);
}
