//! SRTP: what proves itself moves at once, and nothing else is taken.

use super::*;

fn secured() -> Terms {
    Terms {
        ssrc: Some(SSRC),
        secured: true,
        ..Terms::default()
    }
}

#[tokio::test]
async fn srtp_follows_its_sender_to_another_port_at_once() {
    for ssrc in [Some(SSRC), None] {
        let keys = SrtpConfig {
            suite: SrtpSuite::AeadAes128Gcm,
            key: new_key(SrtpSuite::AeadAes128Gcm).expect("randomness"),
            index: None,
        };
        let terms = Terms { ssrc, ..secured() };
        let mut line = Line::open(
            PlainConfig {
                terms,
                srtp: Some(keys.clone()),
                ..plain()
            },
            64,
        )
        .await;
        let mut them = Srtp::new(&keys, SSRC).expect("keys");
        let sealed: Vec<_> = (1..=6)
            .map(|n| them.seal(&packet(n)).expect("sealed"))
            .collect();
        // A stray before the first: right SSRC and payload type, far ahead, and not authentic.
        line.send(&packet(40_000)).await;
        line.dropped(Reason::Unauthentic, 1).await;
        line.send(&sealed[0]).await;
        assert_eq!(line.packet().await, 1);
        line.send(&packet(2_000)).await;
        let moved = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
        moved.send_to(&sealed[3], line.at).await.expect("loopback");
        let Arrival::Latched { from, .. } = line.next().await else {
            panic!("not told")
        };
        assert_eq!(
            (from.port(), line.packet().await),
            (moved.local_addr().expect("bound").port(), 4)
        );
        // Late on the old way: taken, without going back there.
        line.send(&sealed[2]).await;
        assert_eq!(line.packet().await, 3);
        assert_eq!(
            line.stream.seen().from.map(|from| from.port()),
            Some(moved.local_addr().expect("bound").port())
        );
        line.send(&sealed[3]).await;
        line.dropped(Reason::Replayed, 1).await;
    }
}

#[tokio::test]
async fn srtp_takes_only_what_is_authentic_and_new() {
    for suite in SrtpSuite::ALL {
        let keys = SrtpConfig {
            suite,
            key: new_key(suite).expect("randomness"),
            index: None,
        };
        let mut line = Line::open(
            PlainConfig {
                terms: secured(),
                srtp: Some(keys.clone()),
                ..plain()
            },
            64,
        )
        .await;
        let mut them = Srtp::new(&keys, SSRC).expect("keys");
        let mut stranger = Srtp::new(
            &SrtpConfig {
                key: new_key(suite).expect("randomness"),
                ..keys.clone()
            },
            SSRC,
        )
        .expect("keys");

        // A stranger is not latched, a forged tag not taken.
        let spoof = UdpSocket::bind((LOOPBACK, 0)).await.expect("a port");
        spoof
            .send_to(&stranger.seal(&packet(1)).expect("sealed"), line.at)
            .await
            .expect("loopback");
        spoof.send_to(&packet(1), line.at).await.expect("loopback");
        spoof
            .send_to(&control(SSRC, true), line.at)
            .await
            .expect("loopback");
        line.dropped(Reason::Unauthentic, 3).await;
        let sealed = them.seal(&packet(1)).expect("sealed");
        let mut forged = sealed.to_vec();
        *forged.last_mut().expect("a tag") ^= 1;
        line.send(&forged).await;
        line.dropped(Reason::Unauthentic, 4).await;

        line.send(&sealed).await;
        assert!(
            matches!(line.next().await, Arrival::Latched { from, .. } if from == line.sender.local_addr().expect("bound"))
        );
        let Arrival::Rtp { payload, .. } = line.next().await else {
            panic!("no packet")
        };
        assert_eq!(payload[..], [0xf8, 0xff, 0xfe], "{suite}");
        line.send(&sealed).await;
        line.dropped(Reason::Replayed, 1).await;
        line.send(&them.seal_rtcp(&control(SSRC, false)).expect("sealed"))
            .await;
        assert!(
            matches!(line.next().await, Arrival::SenderReport { .. }),
            "{suite}"
        );
        assert_eq!(line.stream.seen().index, Some(1));

        // Our reports are sealed too.
        let mut buffer = [0; 1500];
        let (length, _) = timeout(SOON, line.sender.recv_from(&mut buffer))
            .await
            .expect("in time")
            .expect("loopback");
        let opened = them.open_rtcp(&buffer[..length]).expect("authentic");
        assert_eq!(
            parse_rtcp(&opened).expect("a report").received[0].ssrc,
            SSRC,
            "{suite}"
        );
    }
}
