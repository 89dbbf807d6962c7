//! Each fact has one home, in `src/domain`: its enum is defined once, and its written names stand
//! nowhere else.

use super::{is_test, module_of, root, sources, without_tests};
use std::fs;

/// The enums of the facts that are written down or sent.
const FACTS: [&str; 30] = [
    "AudioCodec",
    "VideoCodec",
    "Codec",
    "MediaKind",
    "MediaType",
    "Role",
    "MediaSource",
    "SrtpSuite",
    "StreamState",
    "StreamMedia",
    "MediaReason",
    "CloseReason",
    "RecordingKind",
    "RecordingStatus",
    "RecordingState",
    "RecordingMode",
    "SegmentState",
    "GapReason",
    "Tier",
    "Away",
    "JobKind",
    "JobState",
    "OpenJob",
    "MeetingStatus",
    "ConsentPolicy",
    "ConsentStatus",
    "ConsentType",
    "Use",
    "Removal",
    "TextSource",
];

/// Written names that mean one fact only: whoever writes one of them outside of `domain` has copied
/// it. (SQL names them, too; it stands in longer strings.)
const WORDS: [&str; 35] = [
    "microphone",
    "camera",
    "mix",
    "PCMU",
    "PCMA",
    "VP8",
    "H264",
    "opus",
    "AES_CM_128_HMAC_SHA1_80",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM",
    "waiting",
    "receiving",
    "stalled",
    "other_source",
    "not_supported",
    "processing",
    "deleting",
    "stored",
    "merged",
    "muted",
    "hot",
    "archive",
    "queued",
    "scheduled",
    "exclude",
    "withdrawn",
    "host",
    "audio/mp4",
    "video/mp4",
    "audio/x-matroska",
    "video/x-matroska",
    "audio/webm",
    "video/webm",
    "audio/wav",
];

/// Places that are made and read in `domain`, as the strings that make them begin.
const PLACES: [&str; 4] = [
    "live/{tenant",
    "recordings/{tenant",
    "{meeting}.jsonl",
    "track.json",
];

/// Files that say such a word for another reason.
const MEANT: [(&str, &str, &str); 7] = [
    ("api/asyncapi.rs", "host", "a server's, in AsyncAPI"),
    ("media/rendering/mix.rs", "mix", "the name of a thread"),
    (
        "api/stream.rs",
        "not_supported",
        "an error code of the contract",
    ),
    ("api/stream.rs", "opus", "an example in the document"),
    (
        "api/recording.rs",
        "audio/webm",
        "an example in the document",
    ),
    ("api/meeting.rs", "exclude", "an example in the document"),
    (
        "app/demo/summary.rs",
        "mix",
        "the demo reads answers as a client",
    ),
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
    // The client plays somebody else's program: it knows the contract only.
    sources(&root())
        .into_iter()
        .filter(|path| !is_test(path) && module_of(path) != "client")
        .map(|path| {
            let text = fs::read_to_string(&path).expect("it is text");
            let own = without_tests(&text).to_owned();
            (path, own)
        })
}

#[test]
fn each_fact_is_defined_once_in_domain() {
    for fact in FACTS {
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
    let mut wrong = Vec::new();
    for (path, text) in checked().filter(|(path, _)| module_of(path) != "domain") {
        for (n, line) in text.lines().enumerate() {
            for literal in literals(line) {
                let is_copied =
                    WORDS.contains(&literal) || PLACES.iter().any(|place| literal.contains(place));
                let is_meant = MEANT
                    .iter()
                    .any(|(file, word, _)| path.ends_with(file) && *word == literal);
                if is_copied && !is_meant {
                    wrong.push(format!("{}:{}: {literal:?}", path.display(), n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
