use super::*;
use crate::ingest::parse_rtp;

const SSRC: u32 = 0x0102_0304;

fn config(suite: SrtpSuite) -> SrtpConfig {
    SrtpConfig {
        suite,
        key: new_key(suite).expect("randomness"),
        index: None,
    }
}

fn packet(sequence: u16, extra: &[u8]) -> Vec<u8> {
    let mut packet = vec![if extra.is_empty() { 0x80 } else { 0x91 }, 111];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 9]);
    packet.extend(SSRC.to_be_bytes());
    packet.extend(extra);
    packet.extend(b"voice");
    packet
}

fn open(srtp: &mut Srtp, datagram: &[u8]) -> Result<Bytes, Reason> {
    srtp.open(datagram, &parse_rtp(datagram).expect("sound"))
        .map(|(plain, _)| plain)
}

#[test]
fn what_is_sealed_opens_once_and_only_unchanged() {
    for suite in SrtpSuite::ALL {
        let config = config(suite);
        let (mut them, mut us) = (
            Srtp::new(&config, SSRC).expect("keys"),
            Srtp::new(&config, SSRC).expect("keys"),
        );
        let extension = [0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0xf0, 0, 0, 0];
        for (sequence, extra) in [(65_000, &[][..]), (65_001, &extension)] {
            let plain = packet(sequence, extra);
            let sealed = them.seal(&plain).expect("sealed");
            assert_ne!(
                sealed[sealed.len() - 10..],
                plain[plain.len().saturating_sub(10)..]
            );
            let mut changed = sealed.to_vec();
            changed[20] ^= 1;
            assert_eq!(open(&mut us, &changed), Err(Reason::Unauthentic), "{suite}");
            assert_eq!(
                open(&mut us, &plain),
                Err(Reason::Unauthentic),
                "{suite}: not encrypted"
            );
            assert_eq!(open(&mut us, &sealed).as_deref(), Ok(&plain[..]), "{suite}");
            assert_eq!(open(&mut us, &sealed), Err(Reason::Replayed), "{suite}");
        }
        let mut stranger = Srtp::new(&super::tests::config(suite), SSRC).expect("keys");
        let sealed = stranger.seal(&packet(65_002, &[])).expect("sealed");
        assert_eq!(
            open(&mut us, &sealed),
            Err(Reason::Unauthentic),
            "{suite}: another key"
        );
    }
}

#[test]
fn control_packets_too() {
    for suite in SrtpSuite::ALL {
        let config = config(suite);
        let (mut them, mut us) = (
            Srtp::new(&config, SSRC).expect("keys"),
            Srtp::new(&config, SSRC).expect("keys"),
        );
        let plain = crate::ingest::rtcp::compound(SSRC, None).expect("small");
        let sealed = them.seal_rtcp(&plain).expect("sealed");
        assert_eq!(us.open_rtcp(&sealed).as_deref(), Ok(&plain[..]), "{suite}");
        assert_eq!(us.open_rtcp(&sealed), Err(Reason::Replayed), "{suite}");
        let mut changed = them.seal_rtcp(&plain).expect("sealed").to_vec();
        changed[9] ^= 1;
        assert_eq!(us.open_rtcp(&changed), Err(Reason::Unauthentic), "{suite}");
        // "Not encrypted", with anything as tag: the crate alone would take it.
        let mut open = plain.to_vec();
        open.extend([0; 30]);
        assert_eq!(us.open_rtcp(&open), Err(Reason::Unauthentic), "{suite}");
        for short in 0..sealed.len().min(31) {
            assert!(us.open_rtcp(&sealed[..short]).is_err(), "{suite}");
        }
    }
}

#[test]
fn a_stream_goes_on_after_a_restart_with_its_rollover_counter() {
    for suite in SrtpSuite::ALL {
        let config = config(suite);
        let (mut them, mut us) = (
            Srtp::new(&config, SSRC).expect("keys"),
            Srtp::new(&config, SSRC).expect("keys"),
        );
        let mut sealed = Bytes::new();
        for i in 0..200_000u64 {
            sealed = them
                .seal(&packet((65_000 + i) as u16, &[]))
                .expect("sealed");
            // Loss of most is no matter.
            if i % 1_000 == 0 {
                open(&mut us, &sealed).expect("authentic");
            }
        }
        open(&mut us, &sealed).expect("authentic");
        assert_eq!(us.index(), Some(264_999));
        let mut fresh = Srtp::new(&config, SSRC).expect("keys");
        assert!(
            open(&mut fresh, &sealed).is_err(),
            "{suite}: without the counter nothing opens"
        );
        let restored = SrtpConfig {
            index: us.index(),
            ..config
        };
        let mut us = Srtp::new(&restored, SSRC).expect("keys");
        assert_eq!(open(&mut us, &sealed), Err(Reason::Replayed), "{suite}");
        for i in 265_000..265_100u64 {
            let sealed = them.seal(&packet(i as u16, &[])).expect("sealed");
            open(&mut us, &sealed).unwrap_or_else(|reason| panic!("{suite} {i}: {reason:?}"));
        }
        assert_eq!(us.index(), Some(265_099));
    }
}

#[test]
fn a_sender_may_begin_just_below_the_wrap_and_lose_what_came_before() {
    for suite in SrtpSuite::ALL {
        let config = config(suite);
        let (mut them, mut us) = (
            Srtp::new(&config, SSRC).expect("keys"),
            Srtp::new(&config, SSRC).expect("keys"),
        );
        for i in 65_530..65_560u64 {
            let sealed = them.seal(&packet(i as u16, &[])).expect("sealed");
            if i > 65_540 {
                open(&mut us, &sealed).unwrap_or_else(|reason| panic!("{suite} {i}: {reason:?}"));
                assert_eq!(
                    (us.index(), open(&mut us, &sealed)),
                    (Some(i), Err(Reason::Replayed))
                );
            }
        }
    }
}

/// Strays of any number, before the first true packet and between, plain and sealed with
/// another key.
#[test]
fn what_is_not_authentic_changes_nothing() {
    for suite in SrtpSuite::ALL {
        let config = config(suite);
        let mut stranger = Srtp::new(&super::tests::config(suite), SSRC).expect("keys");
        for begin in [0u64, 1, 30_000, 40_000, 65_530] {
            let sender = || Srtp::new(&config, SSRC).expect("keys");
            let (mut them, mut us) = (sender(), sender());
            for i in begin..begin + 20 {
                for stray in [
                    0u16,
                    1,
                    20_000,
                    32_768,
                    50_000,
                    65_535,
                    i as u16,
                    (i as u16).wrapping_add(1),
                ] {
                    let plain = packet(stray, &[]);
                    assert_ne!(open(&mut us, &plain), Ok(Bytes::from(plain.clone())));
                    let sealed = stranger.seal(&plain).expect("sealed");
                    assert!(open(&mut us, &sealed).is_err(), "{suite}");
                    let mut forged = stranger
                        .seal_rtcp(&crate::ingest::rtcp::compound(SSRC, None).expect("small"));
                    for _ in 0..3 {
                        forged = stranger
                            .seal_rtcp(&crate::ingest::rtcp::compound(SSRC, None).expect("small"));
                    }
                    assert!(us.open_rtcp(&forged.expect("sealed")).is_err());
                }
                let plain = packet(i as u16, &[]);
                let sealed = them.seal(&plain).expect("sealed");
                assert_eq!(
                    open(&mut us, &sealed).as_deref(),
                    Ok(&plain[..]),
                    "{suite}: {i} from {begin}"
                );
                let report = crate::ingest::rtcp::compound(SSRC, None).expect("small");
                let sealed = them.seal_rtcp(&report).expect("sealed");
                assert_eq!(us.open_rtcp(&sealed).as_deref(), Ok(&report[..]), "{suite}");
            }
            assert_eq!(us.index(), Some(begin + 19));
        }
    }
}

#[test]
fn a_keyring_follows_what_proves_itself_and_never_goes_back() {
    let config = config(SrtpSuite::AeadAes128Gcm);
    let with = |ssrc: u32, sequence: u16| {
        let mut packet = packet(sequence, &[]);
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        packet
    };
    let open = |ring: &mut Keyring, datagram: &[u8]| {
        ring.open(datagram, &parse_rtp(datagram).expect("sound"))
    };
    let mut ring = Keyring::new(config.clone(), None).expect("keys");
    let mut a = Srtp::new(&config, 1).expect("keys");
    let mut b = Srtp::new(&config, 2).expect("keys");
    let old: Vec<Bytes> = (10..14)
        .map(|n| a.seal(&with(1, n)).expect("sealed"))
        .collect();
    assert!(open(&mut ring, &with(3, 9)).is_err());
    assert!(open(&mut ring, &old[0]).is_ok() && open(&mut ring, &old[2]).is_ok());
    let new = b.seal(&with(2, 7)).expect("sealed");
    assert!(open(&mut ring, &new).is_ok_and(|(_, newest)| newest));
    assert_eq!(ring.index(), Some(7));
    for played_again in [&old[0], &old[1], &old[2], &new] {
        assert_eq!(open(&mut ring, played_again), Err(Reason::Replayed));
    }
    assert_eq!(ring.index(), Some(7));
    assert!(
        open(&mut ring, &old[3]).is_ok(),
        "it may go back to an SSRC, further on"
    );
}

#[test]
fn wrong_keys_are_told() {
    let short = SrtpConfig {
        key: vec![0; 30],
        ..config(SrtpSuite::AeadAes256Gcm)
    };
    assert!(matches!(
        Srtp::new(&short, SSRC),
        Err(SrtpError::KeyLength { length: 30, .. })
    ));
    let old = SrtpConfig {
        index: Some(u64::MAX),
        ..config(SrtpSuite::AeadAes128Gcm)
    };
    assert!(matches!(Srtp::new(&old, SSRC), Err(SrtpError::Rollover(_))));
    assert!(!format!("{:?}", config(SrtpSuite::AeadAes128Gcm)).contains("key"));
}
