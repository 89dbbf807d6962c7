//! What a speaker said before, on its way to the decoder.

use super::support::*;
use crate::support::Scratch;
use hansard::speech::{
    Speech,
    protocol::{self, Ask, Decode},
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs,
    io::BufReader,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Instant,
};

/// The decoder behind a shell that writes down what it is asked.
fn overheard(folder: &Path, decoder: &Path) -> PathBuf {
    let program = folder.join("decoder.sh");
    let (asked, decoder) = (folder.join("asked"), decoder.display());
    let script = format!(
        "#!/bin/sh\ntee '{}' | '{decoder}' \"$@\"\n",
        asked.display()
    );
    fs::write(&program, script).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("it may run");
    program
}

/// What was said before each of the decodes that it was asked for so far.
fn prompts(folder: &Path) -> Vec<Option<String>> {
    let file = fs::File::open(folder.join("asked")).expect("what was asked");
    let mut pipe = BufReader::new(file);
    std::iter::from_fn(|| protocol::read_ask(&mut pipe).ok().flatten())
        .filter_map(|(ask, _)| match ask {
            Ask::Decode(Decode { before, .. }) => Some(before),
            Ask::Abort { .. } => None,
        })
        .collect()
}

/// Alice says a sentence, and another one while the decoder stands still, which is withdrawn from
/// before it goes on, or not. What she said first, how many finals there are, and what was said
/// before each decode of the second.
async fn second_sentence(withdraws: bool) -> (String, usize, Vec<Option<String>>) {
    let folder = Scratch::new();
    let mut settings = settings(1);
    settings.model.context = true;
    settings.program = overheard(folder.path(), &settings.program);
    let speech = Speech::start(settings).await.expect("speech starts");
    let play = Play::load("planning");
    let hers = play
        .utterances
        .iter()
        .filter(|said| said.speaker == "Alice");
    let mut sentences = hers.map(|said| {
        let span = said.start_ms as usize * 16..said.end_ms as usize * 16;
        let mut pcm = play.voices["Alice"][span].to_vec();
        pcm.resize(pcm.len() + 1_000 * 16, 0.0);
        pcm
    });
    let mut next = || sentences.next().expect("she speaks twice");
    let mut hall = Hall::open(&speech, &["Alice"], 1.0);
    hall.play(&[("Alice", &next())]).await;
    let deadline = Instant::now() + PATIENCE;
    while finals(&hall.told).count() == 0 {
        assert!(Instant::now() < deadline, "{:?}", hall.told);
        hall.packet(&[("Alice", &[0.0; 320])]).await;
    }
    let (_, first) = finals(&hall.told).last().expect("one");
    let first = first.text.clone();
    let before = prompts(folder.path()).len();

    let pid = speech.status().pid.expect("the decoder runs");
    let group = Pid::from_raw(pid as i32).expect("a process");
    kill_process_group(group, Signal::STOP).expect("it stands still");
    hall.play(&[("Alice", &next())]).await;
    if withdraws {
        hall.withdraw("Alice");
    }
    kill_process_group(group, Signal::CONT).expect("it goes on");
    let told = hall.finish().await;
    check_contract(&told);
    let after = prompts(folder.path()).split_off(before);
    (first, finals(&told).count(), after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_takes_the_words_before_it_out_of_what_waits() {
    let (first, _, prompts) = second_sentence(false).await;
    assert!(prompts.contains(&Some(first)), "{prompts:?}");
    let (_, finals, prompts) = second_sentence(true).await;
    assert_eq!(finals, 2, "what she said before stays");
    assert!(
        !prompts.is_empty() && prompts.iter().all(Option::is_none),
        "{prompts:?}"
    );
}
