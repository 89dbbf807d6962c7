//! Whatever bytes come: what clients send, and what processes send each other, is read or refused,
//! never a panic. The corpus lies in `tests/corpus`; every entry is mutated with a fixed seed, so
//! that a failure comes again.

use hansard::{
    api::signal::message::parse_client_message,
    queue::message::{Ask, Published, Reply, Wake},
};
use std::{fs, path::Path};

const MUTATIONS_EACH: usize = 3_000;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("committed")
        .map(|file| file.expect("readable").path())
        .collect();
    files.sort();
    assert!(
        files.len() >= 10,
        "{} has too few entries",
        folder.display()
    );
    files
        .into_iter()
        .map(|file| fs::read(file).expect("readable"))
        .collect()
}

fn mutate(rng: &mut fastrand::Rng, corpus: &[Vec<u8>], bytes: &mut Vec<u8>) {
    const PIECES: [&[u8]; 12] = [
        b"null",
        b"{",
        b"}",
        b"[",
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"1e999",
        b"-0",
        b"\xff\xfe",
        b":",
        b"\"type\":",
    ];
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(0..=bytes.len());
        match rng.u8(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(0..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => {
                let piece = PIECES[rng.usize(0..PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let end = rng.usize(at..=bytes.len().min(at + 40));
                bytes.drain(at..end);
            }
            5 => {
                let other = &corpus[rng.usize(0..corpus.len())];
                let from = rng.usize(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let copy: Vec<u8> = bytes[at..].iter().copied().take(30).collect();
                bytes.splice(at..at, copy);
            }
        }
    }
}

/// Every entry as it is, then its mutations.
pub fn each(name: &str, mut check: impl FnMut(&[u8], bool)) {
    let corpus = corpus(name);
    for (n, entry) in corpus.iter().enumerate() {
        check(entry, true);
        let mut rng = fastrand::Rng::with_seed(n as u64);
        for _ in 0..MUTATIONS_EACH {
            let mut bytes = entry.clone();
            mutate(&mut rng, &corpus, &mut bytes);
            check(&bytes, false);
        }
    }
}

#[test]
fn no_client_message_panics() {
    let (mut read, mut refused) = (0, 0);
    each("signal", |bytes, _| match parse_client_message(bytes) {
        Ok(_) => read += 1,
        Err(invalid) => {
            assert!(!invalid.message.is_empty() && invalid.message.chars().count() <= 300);
            refused += 1;
        }
    });
    assert!(
        read > 100 && refused > 1_000,
        "{read} read, {refused} refused"
    );
    let deep = "[".repeat(100_000);
    assert!(parse_client_message(deep.as_bytes()).is_err());
}

#[test]
fn no_message_between_processes_panics_and_what_is_read_is_written_alike() {
    fn round<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
        bytes: &[u8],
    ) -> bool {
        let Ok(read) = serde_json::from_slice::<T>(bytes) else {
            return false;
        };
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        assert_eq!(
            serde_json::from_slice::<T>(&written).expect("what was written can be read"),
            read
        );
        true
    }
    each("message", |bytes, whole| {
        let read = [
            round::<Wake>(bytes),
            round::<Ask>(bytes),
            round::<Published>(bytes),
            round::<Reply>(bytes),
        ];
        if whole {
            assert!(
                read.contains(&true),
                "the corpus holds messages: {}",
                String::from_utf8_lossy(bytes)
            );
        }
    });
}
