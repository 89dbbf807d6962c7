//! What a speaker said before, on its way to the decoder.

use super::support::*;
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

/// What the decoder was asked so far.
fn asked(folder: &Path) -> Vec<Ask> {
    let file = fs::File::open(folder.join("asked")).expect("what was asked");
    let mut pipe = BufReader::new(file);
    std::iter::from_fn(|| protocol::read_ask(&mut pipe).ok().flatten())
        .map(|(ask, _)| ask)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_takes_the_words_before_it_out_of_every_decode() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings(1);
    settings.model.context = true;
    settings.program = overheard(folder.path(), &settings.program);
    let speech = Speech::start(settings).await.expect("speech starts");
    let play = Play::load("planning");
    let mut said = play
        .utterances
        .iter()
        .filter(|said| said.speaker == "Alice");
    let mut next = || {
        let said = said.next().expect("she speaks twice");
        let span = said.start_ms as usize * 16..said.end_ms as usize * 16;
        let mut pcm = play.voices["Alice"][span].to_vec();
        pcm.resize(pcm.len() + 1_000 * 16, 0.0);
        pcm
    };
    let mut hall = Hall::open(&speech, &["Alice"], 1.0);
    hall.play(&[("Alice", &next())]).await;
    let deadline = Instant::now() + PATIENCE;
    while finals(&hall.told).count() == 0 {
        assert!(
            Instant::now() < deadline,
            "nothing was said: {:?}",
            hall.told
        );
        hall.packet(&[("Alice", &[0.0; 320])]).await;
    }
    let before = finals(&hall.told).last().expect("one").1.text.clone();

    // The decoder stands still while she goes on and then withdraws: one decode is with it, the
    // final waits.
    let pid = speech.status().pid.expect("the decoder runs");
    let group = Pid::from_raw(pid as i32).expect("a process");
    kill_process_group(group, Signal::STOP).expect("it stands still");
    hall.play(&[("Alice", &next())]).await;
    hall.withdraw("Alice");
    kill_process_group(group, Signal::CONT).expect("it goes on");
    let told = hall.finish().await;
    check_contract(&told);
    assert_eq!(
        finals(&told).count(),
        2,
        "what she said before stays: {told:?}"
    );

    let asked = asked(folder.path());
    let stopped = asked
        .iter()
        .position(|ask| matches!(ask, Ask::Abort { .. }));
    let (with, after) = asked.split_at(stopped.expect("the decode with them is stopped"));
    let prompts = |asked: &[Ask]| -> Vec<Option<String>> {
        let decodes = asked.iter().filter_map(|ask| match ask {
            Ask::Decode(Decode { before, .. }) => Some(before.clone()),
            Ask::Abort { .. } => None,
        });
        decodes.collect()
    };
    assert_eq!(prompts(with).last(), Some(&Some(before)), "{asked:?}");
    let after = prompts(after);
    assert!(
        !after.is_empty() && after.iter().all(Option::is_none),
        "{after:?}"
    );
}
