//! Commands are apart from transports, and what they leave to be told is told in one place.

use super::{code, is_test, module_of, root, sources, without_tests};
use std::fs;

/// Whatever asks: REST, sockets, the running meeting.
#[test]
fn commands_know_no_transport() {
    let transports = [
        "axum::",
        "hyper::",
        "http::",
        "reqwest::",
        "tower",
        "tokio",
        "std::net",
        "utoipa",
    ];
    let mut wrong = Vec::new();
    for path in sources(&root().join("command")) {
        let code = code(&path);
        for named in transports {
            if code.contains(named) {
                wrong.push(format!("{} says {named}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `published` alone sends to the queue what clients and workers are told. `worker`, below it,
/// wakes others for what it gives back itself.
#[test]
fn only_published_publishes() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&root()) {
        let module = module_of(&path);
        if ["client", "domain", "queue"].contains(&module.as_str()) || is_test(&path) {
            continue;
        }
        let code: String = without_tests(&code(&path)).split_whitespace().collect();
        for call in ["queue.publish(", "queue.wake("] {
            let is_home = module == "published" || module == "worker" && call == "queue.wake(";
            if code.contains(call) {
                seen += 1;
                if !is_home {
                    wrong.push(format!("{} says {call}…)", path.display()));
                }
            }
        }
    }
    assert!(seen >= 3, "{seen} calls were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An event becomes durable where a rule of the meeting is carried out, never in an operation of a
/// transport: so whoever asks for the same gets the same told.
#[test]
fn transports_append_no_events() {
    let mut wrong = Vec::new();
    for path in sources(&root()) {
        if !["api", "app"].contains(&module_of(&path).as_str()) || is_test(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("it is text");
        if without_tests(&text).contains("event::append") {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
