//! Each fact has one home, in `src/domain`: its enum is defined once, and its written names stand
//! nowhere else.

use super::{is_test, module_of, root, sources, without_tests};
use std::{collections::BTreeSet, fs};

/// Facts that are no set of words, or whose words come from serde.
const OTHER_FACTS: [&str; 6] = [
    "Codec",
    "Event",
    "EventKind",
    "Close",
    "RecordingState",
    "StateReason",
];

/// Written names that often mean something else, too: columns, errors of the contract, what a
/// message or a log line is about.
const AMBIGUOUS: [&str; 24] = [
    "clock_rate",
    "conflict",
    "consent_required",
    "ended",
    "forbidden",
    "gone",
    "internal",
    "invalid",
    "meeting",
    "not_found",
    "offer",
    "participant",
    "payload_type",
    "person",
    "recording",
    "removed",
    "request",
    "required",
    "running",
    "segment",
    "too_many",
    "transcription",
    "unauthorized",
    "unavailable",
];

/// Places that are made and read in `domain`, as the strings that make them begin.
const PLACES: [&str; 4] = [
    "live/{tenant",
    "recordings/{tenant",
    "{meeting}.jsonl",
    "track.json",
];

/// Files that say such a word for another reason.
const MEANT: [(&str, &str, &str); 29] = [
    ("api/asyncapi.rs", "host", "a server's, in AsyncAPI"),
    ("api/consent.rs", "accepted", "an example in the document"),
    (
        "api/consent.rs",
        "recording_ai",
        "an example in the document",
    ),
    ("api/meeting.rs", "exclude", "an example in the document"),
    ("api/restore.rs", "bulk", "an example in the document"),
    ("api/stream.rs", "audio", "an example in the document"),
    ("api/stream.rs", "opus", "an example in the document"),
    ("api/tenant.rs", "cold", "an example in the document"),
    ("api/tenant.rs", "warm", "an example in the document"),
    ("api/token/claims.rs", "join", "a kind of token"),
    ("command/hold.rs", "replaced", "why a hold is lifted"),
    ("embed/postgres.rs", "ready", "a state of Postgres"),
    ("embed/s3/history.rs", "restore", "the ending of a file"),
    ("health.rs", "database", "a part that is degraded"),
    ("health.rs", "ledger", "a part that is degraded"),
    ("health.rs", "ready", "a phase of the process"),
    ("health.rs", "storage", "a part that is degraded"),
    (
        "ingest/webrtc/hearing.rs",
        "bandwidth",
        "the label of a metric",
    ),
    ("media/rendering/mix.rs", "mix", "the name of a thread"),
    ("media/rendering/peaks.rs", "peaks", "the name of a thread"),
    ("objects/client.rs", "none", "no status of HTTP"),
    ("objects/conform/basic.rs", "delete", "the name of a trial"),
    ("objects/conform/classes.rs", "moved", "the name of a trial"),
    ("objects/conform/mod.rs", "delete", "the name of a trial"),
    ("objects/conform/mod.rs", "restore", "the name of a trial"),
    ("queue/amqp/link.rs", "bye", "AMQP's reason for closing"),
    ("queue/amqp/link.rs", "closed", "why a link ended"),
    ("queue/amqp/mod.rs", "ask", "a type of message"),
    ("store/deletion.rs", "spools", "a column"),
];

/// What stands in double quotes on a line of code.
fn literals(line: &str) -> Vec<&str> {
    let code = line.trim_start();
    if code.starts_with("//") || code.starts_with("#[") {
        return Vec::new();
    }
    line.split('"').skip(1).step_by(2).collect()
}

fn checked() -> impl Iterator<Item = (std::path::PathBuf, String)> {
    // The client and the demo play somebody else's program: they know the contract only.
    sources(&root())
        .into_iter()
        .filter(|path| !is_test(path) && module_of(path) != "client")
        .filter(|path| !path.starts_with(root().join("app/demo")))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("it is text");
            let own = without_tests(&text).to_owned();
            (path, own)
        })
}

/// A set of words that `domain` makes by `words!`: its enum, and the words.
struct Words {
    name: String,
    words: Vec<String>,
}

/// All of them, as the source has them: whoever adds one is held to it at once.
fn sets() -> Vec<Words> {
    let mut found = Vec::new();
    for path in sources(&root().join("domain")) {
        let text = fs::read_to_string(&path).expect("it is text");
        for (at, _) in without_tests(&text).match_indices("\nwords! {") {
            let body = text[at..].split("\n}\n").next().unwrap_or_default();
            let (_, rest) = body.split_once("pub enum ").expect("an enum");
            // Behind the description: ` {` ends the line of the name, or of the brackets.
            let (_, variants) = rest.split_once(") {").expect("its variants");
            found.push(Words {
                name: super::first_name(rest),
                words: variants
                    .lines()
                    .flat_map(|line| literals(line).into_iter().map(str::to_owned))
                    .collect(),
            });
        }
    }
    found
}

#[test]
fn each_fact_is_defined_once_in_domain() {
    let sets = sets();
    assert!(sets.len() > 40, "{} sets of words were found", sets.len());
    let facts = sets.iter().map(|set| set.name.as_str());
    for fact in facts.chain(OTHER_FACTS) {
        let defined: Vec<_> = checked()
            .filter(|(_, text)| {
                text.split(&format!("enum {fact}"))
                    .skip(1)
                    .any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
            .map(|(path, _)| path)
            .collect();
        assert!(
            defined.len() == 1 && module_of(&defined[0]) == "domain",
            "{fact} is defined in {defined:?}"
        );
    }
}

#[test]
fn names_and_places_are_written_in_domain_only() {
    let words: BTreeSet<String> = sets()
        .into_iter()
        .flat_map(|set| set.words)
        .filter(|word| !AMBIGUOUS.contains(&word.as_str()))
        .collect();
    assert!(words.len() > 80, "{} words were found", words.len());
    let mut wrong = Vec::new();
    let mut meant = BTreeSet::new();
    for (path, text) in checked().filter(|(path, _)| module_of(path) != "domain") {
        for (n, line) in text.lines().enumerate() {
            for literal in literals(line) {
                let is_copied =
                    words.contains(literal) || PLACES.iter().any(|place| literal.contains(place));
                if !is_copied {
                    continue;
                }
                let other = MEANT
                    .iter()
                    .find(|(file, word, _)| path.ends_with(file) && *word == literal);
                match other {
                    Some(other) => drop(meant.insert(other)),
                    None => wrong.push(format!("{}:{}: {literal:?}", path.display(), n + 1)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stale: Vec<_> = MEANT.iter().filter(|one| !meant.contains(one)).collect();
    assert!(stale.is_empty(), "say no such word any more: {stale:?}");
}
