//! RTP and RTCP are bytes from anybody: no datagram may make us panic. The committed corpus, and
//! seeded mutations of it.

use hansard::{
    domain::{codec::AudioCodec, stream::SrtpSuite},
    ingest::{Srtp, SrtpConfig, new_key, parse_rtcp, parse_rtp},
};
use std::{fs, panic, path::Path};

const MUTATIONS: usize = 200_000;

/// Fuzz target: everything that is done with an RTP datagram before the gate.
fn rtp(datagram: &[u8]) {
    let Ok(packet) = parse_rtp(datagram) else {
        return;
    };
    assert_eq!(packet.header_len + packet.payload.len(), datagram.len());
    let Ok(media) = packet.media() else { return };
    assert!(media.len() <= packet.payload.len());
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
        assert!(
            codec
                .ticks(media)
                .is_none_or(|ticks| ticks <= 5760.max(media.len() as u32))
        );
    }
}

/// Fuzz target: everything that is done with an RTCP datagram.
fn rtcp(datagram: &[u8]) {
    if let Ok(control) = parse_rtcp(datagram) {
        assert!(control.gone.len() + control.received.len() <= datagram.len());
        assert!(control.cname.is_none_or(|cname| cname.len() <= 3 * 255));
    }
}

/// Fuzz target: the same two behind SRTP, where nothing that is not sealed may get through.
fn srtp(srtp: &mut [Srtp], datagram: &[u8]) {
    for srtp in srtp {
        if let Ok(packet) = parse_rtp(datagram) {
            assert!(srtp.open(datagram, &packet).is_err());
        }
        assert!(srtp.open_rtcp(datagram).is_err());
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("committed")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

fn mutate(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.choice(seeds).expect("a corpus").clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        match random.u8(..7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.u8(..)),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => {
                bytes[at] = *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).expect("some")
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            5 => bytes.extend(random.choice(seeds).expect("a corpus")),
            _ => bytes.extend(
                (0..random.usize(..40))
                    .map(|_| random.u8(..))
                    .collect::<Vec<_>>(),
            ),
        }
    }
    bytes
}

/// Runs `target` over the corpus and its mutations; a failure prints the datagram, to be added to
/// the corpus.
fn fuzz(name: &str, mutations: usize, mut target: impl FnMut(&[u8])) {
    let seeds = corpus(name);
    assert!(!seeds.is_empty());
    let mut random = fastrand::Rng::with_seed(0x4a11_5a2d);
    for n in 0..seeds.len() + mutations {
        let datagram = seeds
            .get(n)
            .cloned()
            .unwrap_or_else(|| mutate(&mut random, &seeds));
        let run = panic::catch_unwind(panic::AssertUnwindSafe(|| target(&datagram)));
        if let Err(cause) = run {
            let hex: String = datagram.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{name} {n}: {hex}");
            panic::resume_unwind(cause);
        }
    }
}

#[test]
fn rtp_never_panics() {
    fuzz("rtp", MUTATIONS, rtp);
    fuzz("rtcp", MUTATIONS / 10, rtp);
}

#[test]
fn rtcp_never_panics() {
    fuzz("rtcp", MUTATIONS, rtcp);
    fuzz("rtp", MUTATIONS / 10, rtcp);
}

#[test]
fn behind_srtp_nothing_forged_gets_through() {
    let mut streams: Vec<Srtp> = SrtpSuite::ALL
        .map(|suite| SrtpConfig {
            suite,
            key: new_key(suite).expect("randomness"),
            index: None,
        })
        .iter()
        .map(|config| Srtp::new(config, 0xdead_beef).expect("keys"))
        .collect();
    fuzz("rtp", MUTATIONS / 20, |datagram| {
        srtp(&mut streams, datagram)
    });
    fuzz("rtcp", MUTATIONS / 20, |datagram| {
        srtp(&mut streams, datagram)
    });
}
