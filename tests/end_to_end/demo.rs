//! `hansard demo` as somebody runs it without a terminal: it plays, tells, and says by its exit
//! code whether all was as it should be.

use crate::support::Scratch;
use std::process::{Command, Output, Stdio};

/// A server of its own, on ports that the system chooses.
fn demo(scene: &str, data: &Scratch) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(["demo", "--once", "--scene", scene, "--data"])
        .arg(data.path())
        .args([
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
            "--s3-listen",
            "127.0.0.1:0",
        ])
        .env_clear()
        .envs(
            std::env::vars()
                .filter(|(name, _)| matches!(name.as_str(), "PATH" | "HOME" | "TMPDIR" | "LANG")),
        )
        .stdin(Stdio::null())
        .output()
        .expect("the program that was just built starts")
}

#[test]
fn the_demo_ends_with_files_and_words_of_those_who_agreed() {
    let data = Scratch::new();
    let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/speech/incident");
    let output = demo(scene, &data);
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{wrong}");
    let line = |start: &str| {
        said.lines()
            .find(|line| line.trim_start().starts_with(start))
            .unwrap_or_default()
    };
    assert!(line("Frank joins").contains("declined"), "{said}");
    assert!(
        line("Of Frank").contains("0 recordings, 0 captions, 0 words"),
        "{said}"
    );
    assert!(
        !line("Frank declined and sent").contains(" 0 were dropped"),
        "{said}"
    );
    for of in ["mix   everybody", "track David", "track Emma"] {
        assert!(line(of).contains("ready"), "{of}: {said}");
    }
    assert!(
        line("word error rate").contains('%') && line("final after speech").contains("p95"),
        "{said}"
    );
    assert!(
        said.contains("David: ") && said.contains("Emma: ") && !said.contains("] Frank: "),
        "{said}"
    );
    assert!(said.contains("/s/hc_"), "a link for a browser: {said}");
    let room = line("Join in a browser");
    assert!(room.contains("/m/") && room.contains("#hl_"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours without a terminal");
}

#[test]
fn a_demo_that_cannot_be_played_says_why() {
    let data = Scratch::new();
    let output = demo("nowhere", &data);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && wrong.contains("there is no meeting \"nowhere\""),
        "{wrong}"
    );
}
