//! Speech end to end: real Whisper on the bundled model, in its child process.

mod context;
mod support;

use hansard::{
    domain::{
        consent::Use,
        time::{MeetingTime, Micros},
        transcript::RetractionReason,
    },
    speech::{Caption, Speech},
};
use hansard_client::wer;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use support::*;

/// Times real time, where words are counted: with more to decode than a machine can, less effort is
/// made for each.
const SPEED: f64 = 2.0;

async fn speech(states: usize) -> Speech {
    Speech::start(settings(states))
        .await
        .expect("speech starts")
}

/// Plays a bundled meeting at `speed` times real time.
async fn perform(speech: &Speech, name: &str, speed: f64) -> (wer::Errors, Vec<Published>) {
    let play = Play::load(name);
    let voices: Vec<(&str, &[f32])> = play
        .voices
        .iter()
        .map(|(name, pcm)| (name.as_str(), &pcm[..]))
        .collect();
    let names: Vec<&str> = voices.iter().map(|(name, _)| *name).collect();
    let mut hall = Hall::open(speech, &names, speed);
    hall.play(&voices).await;
    let names = hall.names.clone();
    let told = hall.finish().await;
    (errors(&play, &told, &names), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn meetings_become_captions() {
    let speech = speech(2).await;
    let (planning, incident) = tokio::join!(
        perform(&speech, "planning", SPEED),
        perform(&speech, "incident", SPEED)
    );
    for (_, told) in [&planning, &incident] {
        check_contract(told);
        assert!(
            told.iter()
                .any(|(_, caption)| matches!(caption, Caption::Partial(_))),
            "partials were shown"
        );
    }
    let translated = |(_, caption): &Published| matches!(caption, Caption::Translated(_));
    assert!(
        !planning.1.iter().chain(&incident.1).any(translated),
        "a model of one language is not asked for another"
    );
    let errors = planning.0 + incident.0;
    println!("{errors:?}: {:.2} %", errors.rate() * 100.0);
    assert!(
        errors.reference == 299 && errors.rate() <= 0.05,
        "{errors:?}"
    );
    assert_eq!(speech.status().restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_noise_say_nothing() {
    let speech = speech(2).await;
    let mut hall = Hall::open(&speech, &["Ana", "Bob", "Eve"], 10.0);
    let (silence, white, brown) = (
        vec![0.0; 60 * 16_000],
        noise(60, -35.0, false),
        noise(60, -20.0, true),
    );
    hall.play(&[("Ana", &silence), ("Bob", &white), ("Eve", &brown)])
        .await;
    let told = hall.finish().await;
    check_contract(&told);
    let words: Vec<&str> = finals(&told).map(|(_, line)| line.text.as_str()).collect();
    assert_eq!(words, [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monologue_without_pauses_gets_finals_all_the_time() {
    let speech = speech(2).await;
    let play = Play::load("planning");
    let mut pcm = play.monologue("Alice", 0);
    pcm.extend(play.monologue("Carol", 0));
    for (sample, noise) in pcm.iter_mut().zip(noise(60, -50.0, true)) {
        *sample += noise;
    }
    let mut hall = Hall::open(&speech, &["Ana"], SPEED);
    hall.play(&[("Ana", &pcm)]).await;
    let who = *hall.names.keys().next().expect("Ana");
    let told = hall.finish().await;
    check_contract(&told);
    let longest = settings(1).model.longest();
    let mut spans: Vec<_> = finals(&told)
        .map(|(_, line)| (line.span, line.pass.span))
        .collect();
    spans.sort();
    assert!(
        spans.iter().all(|(_, audio)| audio.length() <= longest),
        "{spans:?}"
    );
    assert!(
        spans
            .windows(2)
            .all(|pair| pair[0].1.end <= pair[1].1.start),
        "no audio twice: {spans:?}"
    );
    let gaps = spans.windows(2).map(|pair| pair[1].0.end - pair[0].0.end);
    assert!(
        gaps.max() <= Some(longest + Micros::from_secs(1)),
        "{spans:?}"
    );
    let reference = [play.said_by("Alice"), play.said_by("Carol")].join(" ");
    let errors = wer::compare(&reference, &text_of(&told, who));
    // The same cuts, decoded without any hurry.
    let mut offline = Vec::new();
    for (_, audio) in &spans {
        let at = |time: MeetingTime| (time.0 * 16 / 1_000) as usize;
        offline.push(decode_offline(&pcm[at(audio.start)..at(audio.end).min(pcm.len())]).await);
    }
    let bare = wer::compare(&reference, &offline.join(" "));
    println!(
        "live {:.2} %, offline {:.2} %; cuts {spans:?}",
        errors.rate() * 100.0,
        bare.rate() * 100.0
    );
    assert!(
        errors.rate() <= bare.rate() + 0.02,
        "{errors:?} {bare:?}: {}",
        text_of(&told, who)
    );
}

/// Sends a signal to the decoder while it works, and sees that no words are lost by it.
async fn hurt(signal: Signal, hang_after: Duration) {
    let mut settings = settings(2);
    settings.hang_after = hang_after;
    let speech = Speech::start(settings).await.expect("speech starts");
    let mut watch = speech.watch();
    let hurt = tokio::spawn(async move {
        let mut hurts = 0;
        let deadline = Instant::now() + PATIENCE;
        while hurts < 2 {
            let busy = watch.wait_for(|status| status.in_flight > 0 && status.restarts == hurts);
            let pid = match tokio::time::timeout_at(deadline.into(), busy).await {
                Ok(Ok(status)) => status.pid.and_then(|pid| Pid::from_raw(pid as i32)),
                _ => return hurts,
            };
            if let Some(pid) = pid {
                kill_process(pid, signal).expect("the decoder is there");
                hurts += 1;
            }
            // What was in flight is tried once more, so it must be through before the next blow.
            let started =
                watch.wait_for(|s| s.restarts == hurts && s.pid.is_some() && s.in_flight == 0);
            if tokio::time::timeout_at(deadline.into(), started)
                .await
                .is_err()
            {
                return hurts;
            }
        }
        hurts
    });
    let (errors, told) = perform(&speech, "incident", SPEED).await;
    assert_eq!(
        hurt.await.expect("no panic"),
        2,
        "the decoder was hurt in mid-decode"
    );
    check_contract(&told);
    let lost = |told: &Published| matches!(&told.1, Caption::Retracted(retraction) if retraction.reason == RetractionReason::Lost);
    assert!(!told.iter().any(lost), "nothing was lost");
    assert!(errors.rate() <= 0.05, "{errors:?}");
    assert_eq!(speech.status().restarts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_decoder_costs_nobody_a_final() {
    hurt(Signal::KILL, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_decoder_costs_nobody_a_final() {
    // Longer than any decode takes that does not hang.
    hurt(Signal::STOP, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_in_mid_word_cuts_what_is_inside() {
    let speech = speech(2).await;
    let play = Play::load("planning");
    // Alice's first utterance is from 1,054 to 3,894 ms; she withdraws in its middle and goes on
    // speaking.
    let mut hall = Hall::open(&speech, &["Alice", "Bob"], 2.0);
    let (alice, bob) = (&play.voices["Alice"], &play.voices["Bob"]);
    let cut = 2_500 * 16;
    hall.play(&[("Alice", &alice[..cut]), ("Bob", &bob[..cut])])
        .await;
    let at = hall.now;
    hall.withdraw("Alice");
    for packet in (cut..10 * 16_000).step_by(320) {
        hall.packet(&[
            ("Alice", &alice[packet..packet + 320]),
            ("Bob", &bob[packet..packet + 320]),
        ])
        .await;
    }
    let names = hall.names.clone();
    let told = hall.finish().await;
    check_contract(&told);
    let said = |name: &str| {
        text_of(
            &told,
            *names
                .iter()
                .find(|(_, known)| *known == name)
                .expect("there")
                .0,
        )
    };
    assert_eq!(wer::words(&said("Bob")), wer::words("Good morning Alice."));
    let alice = said("Alice");
    println!("{alice}");
    assert!(alice.starts_with("Good morning everyone"), "{alice}");
    assert!(!alice.contains("planning"), "{alice}");
    for (_, caption) in &told {
        if let Caption::Partial(line) | Caption::Final(line) = caption
            && names[&line.participant] == "Alice"
        {
            assert!(line.pass.span.end <= at, "{line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_before_anything_was_said_takes_the_partial_back() {
    let speech = speech(2).await;
    let play = Play::load("planning");
    let mut hall = Hall::open(&speech, &["Alice"], 1.0);
    let alice = &play.voices["Alice"][..];
    let mut at = 0;
    let shown = |told: &[Published]| {
        told.iter()
            .any(|(_, caption)| matches!(caption, Caption::Partial(_)))
    };
    while !shown(&hall.told) && at < 3 * 16_000 {
        hall.packet(&[("Alice", &alice[at..at + 320])]).await;
        at += 320;
    }
    // The meeting's time stands still while the decoder is behind.
    while !shown(&hall.told) {
        hall.hear().await;
    }
    // As if the withdrawal had been received before the first word and only now heard of here.
    let now = std::mem::replace(&mut hall.now, MeetingTime::from_ms(900));
    hall.withdraw("Alice");
    hall.now = now;
    let told = hall.finish().await;
    check_contract(&told);
    let Some((_, Caption::Retracted(retraction))) = told.last() else {
        panic!("{told:?}")
    };
    assert_eq!(retraction.reason, RetractionReason::Withdrawn);
}

#[tokio::test(flavor = "multi_thread")]
async fn mute_ends_an_utterance_by_time_alone() {
    let speech = speech(2).await;
    let play = Play::load("planning");
    let mut hall = Hall::open(&speech, &["Alice"], 2.0);
    // Muted in mid-sentence: no packets any more, only time.
    hall.play(&[("Alice", &play.voices["Alice"][..2_300 * 16])])
        .await;
    let muted = hall.now;
    let deadline = Instant::now() + PATIENCE;
    while finals(&hall.told).next().is_none() && Instant::now() < deadline {
        hall.packet(&[]).await;
    }
    let (_, line) = finals(&hall.told).next().expect("a final");
    assert!(
        line.text.starts_with("Good morning everyone"),
        "{}",
        line.text
    );
    assert!(line.span.end <= muted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_right_after_a_pause_for_all_is_heard() {
    let speech = speech(2).await;
    let play = Play::load("planning");
    let mut hall = Hall::open(&speech, &["Alice"], 2.0);
    // Alice's first utterance is from 1,054 to 3,894 ms. Everybody is paused until right before it,
    // so that the pre-roll would reach into the pause, and again for a moment in the silence behind
    // it.
    let alice = &play.voices["Alice"][..];
    for (from, to) in [(600, 1_000), (4_400, 4_440)] {
        let done = (hall.now.0 * 16 / 1_000) as usize;
        hall.play(&[("Alice", &alice[done..from * 16])]).await;
        hall.gate.hold(Use::Transcription, hall.now);
        hall.meeting.withdrawn();
        hall.play(&[("Alice", &alice[from * 16..to * 16])]).await;
        hall.gate.release(Use::Transcription, hall.now);
    }
    let done = (hall.now.0 * 16 / 1_000) as usize;
    hall.play(&[("Alice", &alice[done..5_000 * 16])]).await;
    let told = hall.finish().await;
    check_contract(&told);
    let said: Vec<&str> = finals(&told).map(|(_, line)| line.text.as_str()).collect();
    println!("{said:?}");
    assert!(said[0].starts_with("Good morning everyone"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consent_entries_never_share_an_utterance() {
    let speech = speech(2).await;
    let play = Play::load("planning");
    let mut hall = Hall::open(&speech, &["Alice"], 4.0);
    let alice = &play.voices["Alice"][..];
    hall.play(&[("Alice", &alice[..2_000 * 16])]).await;
    let boundary = hall.now;
    hall.consent_again("Alice", 50);
    hall.play(&[("Alice", &alice[2_000 * 16..6_000 * 16])])
        .await;
    let told = hall.finish().await;
    check_contract(&told);
    let entries: BTreeMap<i64, Vec<_>> =
        finals(&told).fold(BTreeMap::new(), |mut all, (_, line)| {
            all.entry(line.pass.entry)
                .or_insert_with(Vec::new)
                .push(line.pass.span);
            all
        });
    assert_eq!(entries.keys().copied().collect::<Vec<_>>(), [1, 50]);
    assert!(
        entries[&1].iter().all(|span| span.end <= boundary),
        "{entries:?}"
    );
    assert!(
        entries[&50].iter().all(|span| span.start >= boundary),
        "{entries:?}"
    );
}

/// With real weights only: the bundled model speaks English alone. Voices that are taken for German
/// are transcribed as such, and translated into what they really say.
#[tokio::test(flavor = "multi_thread")]
async fn finals_are_translated_by_a_model_that_can() {
    let Some(settings) = multilingual() else {
        eprintln!("HANSARD_TEST_MODELS names no data folder with a multilingual model: not run");
        return;
    };
    let speech = Speech::start(settings).await.expect("speech starts");
    assert!(speech.translates());
    let play = Play::load("planning");
    let (name, _) = play.voices.first_key_value().expect("somebody speaks");
    let pcm = play.monologue(name, 1_500);
    let translations = |told: &[Published]| -> Vec<String> {
        let texts = told.iter().filter_map(|(_, caption)| match caption {
            Caption::Translated(translation) => Some(translation.text.clone()),
            _ => None,
        });
        texts.collect()
    };
    let mut hall = Hall::open_in(&speech, &[name], 1.0, Some("de"));
    hall.play(&[(name, &pcm)]).await;
    let told = hall.finish().await;
    check_contract(&told);
    let translated = translations(&told);
    let errors = wer::compare(&play.said_by(name), &translated.join(" "));
    let said = finals(&told).count();
    println!("{said} finals, {translated:?}: {errors:?}");
    assert_eq!(translated.len(), said, "each has one by the end");
    assert!(said > 0 && errors.rate() < 0.5, "{errors:?}");

    // Who cannot wait has all finals, and goes without the translation of the last one.
    let mut utterances = play.utterances.iter();
    let first = utterances
        .find(|utterance| utterance.speaker == *name)
        .expect("something is said");
    let span = first.start_ms as usize * 16..first.end_ms as usize * 16;
    let mut hall = Hall::open_in(&speech, &[name], 1.0, Some("de"));
    hall.play(&[(name, &play.voices[name][span])]).await;
    let told = hall.finish_by(Some(Instant::now())).await;
    check_contract(&told);
    let (said, translated) = (finals(&told).count(), translations(&told).len());
    assert!(
        translated < said,
        "{translated} translations of {said} finals"
    );
}
