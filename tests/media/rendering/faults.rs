//! What is missing or broken costs nobody the mix.

use super::{support::*, *};

#[test]
fn lost_packets_are_concealed_and_longer_holes_are_silent() {
    let folder = Folder::new("lost");
    for codec in [AudioCodec::Opus, AudioCodec::Pcmu] {
        let voice = Voice::of(codec, &sine(440.0, 0.2, 6.0));
        // One packet, three packets, half a second.
        let lost = |n: usize| n == 50 || (100..103).contains(&n) || (200..225).contains(&n);
        let source = voice.track(folder.0.join("1.mkv"), ms(0), |n| !lost(n));
        let (mixed, pcm) = folder.mix(&[source]).expect("a mix");
        let at = |from: i64, to: i64| part(&pcm, from - mixed.start_ms, to - mixed.start_ms);
        let usual = level_db(at(200, 900));
        for (from, to, least) in [(993, 1_013, 6.0), (1_993, 2_053, 10.0)] {
            let heard = level_db(at(from, to));
            assert!(
                heard > usual - least,
                "{codec:?} {from}: {heard} of {usual} dB"
            );
        }
        assert!(level_db(at(4_020, 4_470)) < -80.0, "{codec:?}");
        // And behind them all goes on in its place.
        assert!(correlation(at(1_100, 1_900), 440.0) > 0.98, "{codec:?}");
        assert!(
            (level_db(at(4_600, 5_900)) - usual).abs() < 1.0,
            "{codec:?}"
        );
        assert_eq!(mixed.rendered.len(), 2, "{codec:?} {mixed:?}");
    }
}

#[test]
fn progress_can_end_the_work_and_a_missing_track_is_an_error() {
    let folder = Folder::new("ends");
    let source = Voice::of(AudioCodec::Opus, &sine(440.0, 0.2, 3.0)).track(
        folder.0.join("1.mkv"),
        ms(0),
        |_| true,
    );
    for until in [0.0, 0.6, 0.8] {
        let sources = [source.clone(), source.clone()];
        let stopped = render(&sources, &folder.file(), &mut |part| {
            anyhow::ensure!(part < until, "enough");
            Ok(())
        });
        assert_eq!(stopped.expect_err("stops").to_string(), "enough");
        assert_eq!(std::fs::read_dir(&folder.0).expect("lists").count(), 1);
    }
    let missing = Source {
        path: folder.0.join("2.mkv"),
        ..source.clone()
    };
    assert!(render(&[source.clone(), missing], &folder.file(), &mut |_| Ok(())).is_err());
    assert!(
        render(
            &[source],
            Path::new("/nonexistent/mix.mp4"),
            &mut |_| Ok(())
        )
        .is_err()
    );
}

#[test]
fn a_packet_that_cannot_be_decoded_costs_nobody_the_mix() {
    let folder = Folder::new("invalid");
    let ana = Voice::of(AudioCodec::Opus, &sine(440.0, 0.2, 3.0)).track(
        folder.0.join("1.mkv"),
        ms(0),
        |_| true,
    );
    let mut bob = Voice::of(AudioCodec::Opus, &sine(1000.0, 0.2, 3.0));
    bob.payloads[50] = vec![0xf1, 1, 2, 3];
    bob.payloads[75] = vec![0xf1, 1, 2, 3];
    bob.payloads[76] = vec![0xff, 0xff];
    let bob = bob.track(folder.0.join("2.mkv"), ms(0), |n| n != 74);
    let (_, pcm) = folder.mix(&[ana, bob]).expect("a mix");
    for (from, to) in [(200, 950), (1_100, 1_450), (1_700, 2_900)] {
        assert!(correlation(part(&pcm, from, to), 440.0) > 0.65, "{from}");
        assert!(correlation(part(&pcm, from, to), 1000.0) > 0.65, "{from}");
    }
    // Concealed, not silent and not loud.
    let around = level_db(part(&pcm, 1_000, 1_040)) - level_db(part(&pcm, 500, 900));
    assert!(around.abs() < 4.0, "{around}");
}
