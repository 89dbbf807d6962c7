//! Packets of every kind: other payload types, RED, in-band redundancy, padding.

use super::*;

/// Comfort noise and telephone events between a telephone's packets, as they share its numbers.
pub(super) async fn other_payload_types(client: Client) {
    let room = Room::open(&client, room::recording_only()).await;
    let guest = room.guest_who("ana", "accepted").await;
    let samples = tone::sine(440.0, 0.3, Duration::from_secs(8), 8_000);
    let mut frames = tone::pcmu(&samples);
    let mut other = std::collections::BTreeMap::new();
    // A key pressed at two seconds: events in the place of sound; comfort noise from four seconds
    // to five.
    for (n, frame) in frames.iter_mut().enumerate().take(110).skip(100) {
        frame.payload = vec![1, 10, 0, 160].into();
        other.insert(n, 101);
    }
    for n in (200..250).filter(|n| n % 10 == 0) {
        frames[n] = Frame {
            payload: vec![60].into(),
            ticks: 1_600,
        };
        other.insert(n, 13);
    }
    let mut n = 0;
    frames.retain(|_| {
        n += 1;
        !(200..250).contains(&(n - 1)) || (n - 1) % 10 == 0
    });
    let other = other
        .into_iter()
        .map(|(n, kind)| (if n < 200 { n } else { 200 + (n - 200) / 10 }, kind))
        .collect();
    let config = SenderConfig {
        other,
        linger: Duration::from_secs(3),
        ..SenderConfig::g711(0, guest.id.clone())
    };
    let voice = line(&room, &guest, "PCMU", config)
        .await
        .speak(&frames, Instant::now() + LEAD);
    let zero = voice.zero;
    let sent = voice.finished().await;
    assert!(!sent.reports.is_empty(), "there are receiver reports");
    let lost: Vec<_> = sent
        .reports
        .iter()
        .map(|(_, report)| (report.fraction_lost, report.total_lost))
        .collect();
    assert!(lost.iter().all(|lost| *lost == (0, 0)), "{lost:?}");
    let left = room.end().await;
    let track = left.track(&guest).expect("a track");
    let gaps = &track.recording.gaps;
    assert!(gaps.iter().all(|gap| gap.reason != "lost"), "{gaps:?}");
    let (zero_ms, late) = (left.ms(zero), late(&sent, 8_000));
    for (from, to) in [(100, 2_000), (2_300, 3_900), (5_100, 7_900)] {
        let from = zero_ms + from + late;
        sound::assert_heard(&track.sound, 440.0, from, zero_ms + to, "ana");
    }
}

/// Each packet with the one before it, and the sound of a key pressed beside them: what comes first
/// is taken, in its place.
pub(super) async fn redundant_audio_data(client: Client, data: PathBuf) {
    let room = Room::open(&client, room::recording_only()).await;
    let guest = room.guest("ana").await;
    let config = SenderConfig {
        red: Some(63),
        ..SenderConfig::opus(guest.id.clone())
    };
    let frames = block_in_place(|| staircase(30_000));
    let voice = line(&room, &guest, "opus", config)
        .await
        .speak(&frames, Instant::now() + LEAD);
    voice.reaches(1_500).await;
    let granted = voice.at(room.say(&guest, "recording_ai", "accepted").await);
    let from = room.recorded(&data, &guest, &voice, None).await;
    // Until there are receiver reports, too.
    let until = (from + 3_400).max(9_000);
    voice.reaches((until + 1_000).unsigned_abs()).await;
    let zero = voice.zero;
    let sent = voice.stopped().await;
    let lost: Vec<_> = sent
        .reports
        .iter()
        .map(|(_, report)| (report.fraction_lost, report.total_lost))
        .collect();
    assert!(
        !lost.is_empty() && lost.iter().all(|lost| *lost == (0, 0)),
        "{lost:?}"
    );
    let left = room.end().await;
    let zero_ms = left.ms(zero);
    assert_in_place(&left, &guest, &sent, zero_ms, (from + STEP_MS, until), 0);
    let track = left.track(&guest).expect("a track");
    assert!(
        track.recording.gaps.is_empty(),
        "{:?}",
        track.recording.gaps
    );
    let from = granted - late(&sent, granted);
    let early: Vec<usize> = sound::kept_in(&track.bytes, &frames)
        .into_iter()
        .filter(|n| (*n as i64 * 20) < from)
        .collect();
    assert!(
        early.is_empty(),
        "packets from before the grant at {granted} ms, and from before {from} ms: {early:?}"
    );
}

/// Stereo by every other packet, packets of 10 to 60 ms, speech and music by turns: few segments,
/// and the file plays.
pub(super) async fn packets_of_every_kind(client: Client, data: PathBuf) {
    let room = Room::open(&client, room::recording_only()).await;
    let guest = room.guest_who("ana", "accepted").await;
    let voice = line(&room, &guest, "opus", SenderConfig::opus(guest.id.clone())).await;
    let voice = voice.speak(&block_in_place(|| of_every_kind(8)), Instant::now() + LEAD);
    let zero = voice.zero;
    voice.reaches(7_900).await;
    // Another begins also with each packet that is later than all before it.
    let mut names = place::segments(&data)
        .into_iter()
        .filter(|one| one.track.meeting.to_string() == room.id)
        .map(|one| one.name);
    let mut before = names.next().expect("a segment");
    let mut segments = 1;
    for name in names {
        segments += usize::from(name.late <= before.late);
        before = name;
    }
    assert!(segments <= 10, "{segments} segments of eight seconds");
    voice.finished().await;
    let left = room.end().await;
    let zero_ms = left.ms(zero);
    for file in [left.track(&guest).expect("a track"), left.mix()] {
        // Where one encoder follows another it may be softer.
        let at = |n: i64| zero_ms + 200 + 100 * n;
        let heard = (0..76)
            .filter(|n| file.sound.level(400.0, at(*n), at(*n) + 100) > -40.0)
            .count();
        assert!(
            heard >= 68,
            "{heard} of 76 windows of the {}",
            file.recording.kind
        );
    }
    let track = left.track(&guest).expect("a track");
    assert!(
        track.recording.gaps.is_empty(),
        "{:?}",
        track.recording.gaps
    );
}

fn of_every_kind(seconds: usize) -> Vec<Frame> {
    let encoder = |channels, application, bitrate: u32| {
        let mut encoder =
            Encoder::new(channels, SampleRate::Hz48000, application).expect("an encoder");
        encoder
            .set_bitrate(Bitrate::Value(bitrate))
            .expect("a bitrate");
        encoder
    };
    let mut encoders = [
        (1, encoder(Channels::Mono, Application::Voip, 16_000)),
        (2, encoder(Channels::Stereo, Application::Audio, 96_000)),
        (1, encoder(Channels::Mono, Application::LowDelay, 64_000)),
    ];
    for (channels, encoder) in &mut encoders {
        let forced = if *channels == 2 {
            Channels::Stereo
        } else {
            Channels::Mono
        };
        encoder.set_force_channels(Some(forced)).expect("forces");
    }
    let (mut frames, mut at) = (Vec::new(), 0usize);
    while at < seconds * 48_000 {
        let n = frames.len();
        let (channels, encoder) = &mut encoders[n % 3];
        // LowDelay has 20 ms at most.
        let length = if n % 3 == 2 {
            [480, 960, 240][n / 3 % 3]
        } else {
            [960, 480, 1_920, 2_880, 960][n / 3 % 5]
        };
        let samples: Vec<f32> = (at..at + length)
            .flat_map(|n| {
                // 400 Hz: every length here is a whole number of periods, so that each encoder
                // hears a tone without a break.
                let phase = std::f32::consts::TAU * (n % 120) as f32 / 120.0;
                std::iter::once(0.3 * phase.sin())
                    .chain((*channels == 2).then_some(0.3 * (phase + 1.0).sin()))
            })
            .collect();
        let mut packet = vec![0; 1_275];
        let size = encoder
            .encode_float_to_slice(&samples, &mut packet)
            .expect("encodes");
        packet.truncate(size);
        frames.push(Frame {
            payload: packet.into(),
            ticks: length as u32,
        });
        at += length;
    }
    frames
}

/// Packets of 60 ms of a staircase with the packet before once more in each.
fn redundant(length_ms: i64) -> Vec<Frame> {
    let mut encoder =
        Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Voip).expect("an encoder");
    encoder
        .set_bitrate(Bitrate::Value(40_000))
        .expect("a bitrate");
    encoder
        .set_inband_fec(InbandFec::Mode1)
        .expect("redundancy");
    encoder.set_packet_loss(40).expect("a loss");
    encoder
        .set_max_bandwidth(Bandwidth::Wide)
        .expect("a bandwidth");
    encoder.set_signal(Signal::Voice).expect("a signal");
    let mut phase = 0.0f64;
    let samples: Vec<f32> = (0..length_ms * 48)
        .map(|n| {
            phase += std::f64::consts::TAU * (500.0 + 50.0 * (n / 4_800) as f64) / 48_000.0;
            (0.3 * phase.sin()) as f32
        })
        .collect();
    samples
        .chunks_exact(2_880)
        .map(|samples| {
            let mut packet = vec![0; 1_275];
            let size = encoder
                .encode_float_to_slice(samples, &mut packet)
                .expect("encodes");
            packet.truncate(size);
            Frame {
                payload: packet.into(),
                ticks: 2_880,
            }
        })
        .collect()
}

/// Several agree in mid-speech, each at another point of a packet; nothing from before can be had
/// from what is kept.
pub(super) async fn redundancy_from_before_a_grant(client: Client, data: PathBuf) {
    let room = Room::open(&client, room::recording_only()).await;
    let frames = block_in_place(|| redundant(30_000));
    let mut decoder = Decoder::new(Channels::Mono, SampleRate::Hz48000).expect("a decoder");
    let mut pcm = vec![0.0; 2_880];
    decoder
        .decode_float_to_slice(&frames[40].payload, &mut pcm, true)
        .expect("decodes");
    assert!(
        tone::dbfs(tone::rms(&pcm)) > -40.0,
        "the encoder gives redundancy"
    );
    let mut voices = Vec::new();
    for n in 0..6u64 {
        let guest = room.guest(&format!("guest-{n}")).await;
        let voice = line(&room, &guest, "opus", SenderConfig::opus(guest.id.clone())).await;
        voices.push((voice.speak(&frames, Instant::now() + LEAD), guest));
    }
    let mut granted = Vec::new();
    for (n, (voice, guest)) in voices.iter().enumerate() {
        voice.reaches(1_800 + 71 * n as u64).await;
        granted.push(room.say(guest, "recording_ai", "accepted").await);
    }
    let mut recorded = Vec::new();
    for (voice, guest) in &voices {
        recorded.push(room.recorded(&data, guest, voice, None).await);
        voice.reaches(4_000).await;
    }
    let mut told = Vec::new();
    for (((voice, guest), granted), recorded) in voices.into_iter().zip(granted).zip(recorded) {
        let granted_ms = voice.at(granted);
        let late = late(&voice.stopped().await, granted_ms);
        told.push((granted_ms, late, recorded, guest));
    }
    let left = room.end().await;
    for (granted_ms, late, recorded_ms, guest) in told {
        let track = left.track(&guest).expect("a track");
        let path = std::env::temp_dir().join(format!("hansard-clock-{}.mka", uuid::Uuid::now_v7()));
        std::fs::write(&path, &track.bytes).expect("writes");
        let mut reader = Reader::open(&path, MeetingTime::ZERO)
            .expect("opens")
            .expect("has frames");
        let first = reader.read().expect("reads").expect("a frame").payload;
        std::fs::remove_file(&path).expect("removes");
        let n = frames
            .iter()
            .position(|frame| frame.payload[..] == first[..])
            .expect("one of those sent");
        let mut decoder = Decoder::new(Channels::Mono, SampleRate::Hz48000).expect("a decoder");
        decoder
            .decode_float_to_slice(&first, &mut pcm, true)
            .expect("decodes");
        let heard = tone::dbfs(tone::rms(&pcm)) > -45.0;
        let from = (n as i64 - i64::from(heard)) * 60;
        let what = format!(
            "{}, granted at {granted_ms} ms, sent {late} ms late at most",
            guest.name
        );
        assert!(
            from >= granted_ms - late,
            "{what}: sound from {from} ms can be decoded"
        );
        assert!(
            (n as i64 * 60) < recorded_ms,
            "{what}: nothing before {} ms, and a file at {recorded_ms} ms",
            n * 60
        );
    }
}

/// Newer encoders put the past into the padding.
pub(super) async fn padding_from_before_a_grant(client: Client, data: PathBuf) {
    let room = Room::open(&client, room::recording_only()).await;
    let guest = room.guest_who("ana", "accepted").await;
    let secret = b"what was said before anybody agreed";
    let frames: Vec<Frame> = block_in_place(|| staircase(2_000))
        .into_iter()
        .map(|frame| {
            let mut packet = vec![frame.payload[0] | 3, 0x41, secret.len() as u8];
            packet.extend(&frame.payload[1..]);
            packet.extend(secret);
            Frame {
                payload: packet.into(),
                ..frame
            }
        })
        .collect();
    room.speak(&guest, &frames).await.finished().await;
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        path.to_string_lossy().contains(&room.id)
            && bytes.windows(secret.len()).any(|window| window == secret)
    };
    eventually("a segment is written", room::SOON, async || {
        sound::files(&data)
            .iter()
            .any(|path| path.to_string_lossy().contains(&room.id))
    })
    .await;
    let kept: Vec<_> = sound::files(&data).into_iter().filter(holds).collect();
    assert!(kept.is_empty(), "{kept:?}");
    let left = room.end().await;
    let track = left.track(&guest).expect("a track");
    assert!(track.sound.steps(30).len() >= 36, "all of it is heard");
    assert!(
        !track
            .bytes
            .windows(secret.len())
            .any(|window| window == secret)
    );
}
