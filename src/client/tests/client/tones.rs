//! Tones: made, encoded, found again.

use super::*;

/// Packets as an Ogg file, which GStreamer can read back.
fn ogg_file(frames: &[Frame]) -> tempfile::Named {
    let mut head = b"OpusHead\x01\x01\x00\x00".to_vec();
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend([0; 8]);
    let file = tempfile::Named::new("ogg");
    let mut writer = ogg::PacketWriter::new(std::fs::File::create(file.path()).expect("creates"));
    writer
        .write_packet(head, 1, ogg::PacketWriteEndInfo::EndPage, 0)
        .expect("writes");
    writer
        .write_packet(tags, 1, ogg::PacketWriteEndInfo::EndPage, 0)
        .expect("writes");
    for (n, frame) in frames.iter().enumerate() {
        let last = n + 1 == frames.len();
        let end = if last {
            ogg::PacketWriteEndInfo::EndStream
        } else {
            ogg::PacketWriteEndInfo::NormalPacket
        };
        writer
            .write_packet(frame.payload.to_vec(), 1, end, 960 * (n as u64 + 1))
            .expect("writes");
    }
    file
}

mod tempfile {
    use std::path::{Path, PathBuf};

    /// A file that goes with its value.
    pub struct Named(PathBuf);

    impl Named {
        pub fn new(extension: &str) -> Self {
            Self(
                std::env::temp_dir()
                    .join(format!("hansard-play-{}.{extension}", uuid::Uuid::now_v7())),
            )
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Named {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

#[test]
fn a_tone_survives_opus_and_is_found_again() {
    let mut samples = tone::sine(600.0, 0.25, Duration::from_secs(1), 48_000);
    samples.extend(tone::silence(Duration::from_secs(1), 48_000));
    let frames = tone::opus(&samples, tone::OpusSettings::default()).expect("encodes");
    assert_eq!(frames.len(), 100);
    let file = ogg_file(&frames);
    let decoded = tone::decode(file.path(), 48_000).expect("decodes");
    assert!(decoded.len().abs_diff(96_000) <= 960, "{}", decoded.len());
    let levels = tone::amplitudes(&decoded, 48_000, 600.0);
    assert!(
        levels[1..9]
            .iter()
            .all(|level| (tone::dbfs(*level) + 12.04).abs() < 1.0),
        "{levels:?}"
    );
    assert!(
        levels[11..19]
            .iter()
            .all(|level| tone::dbfs(*level) < -60.0),
        "{levels:?}"
    );
    assert!(
        tone::amplitudes(&decoded, 48_000, 1_000.0)
            .iter()
            .all(|level| tone::dbfs(*level) < -40.0)
    );
}

#[test]
fn encodes_silence_small_and_noise_large() {
    let second = Duration::from_secs(1);
    let silence = tone::opus(
        &tone::silence(second, 48_000),
        tone::OpusSettings::default(),
    )
    .expect("encodes");
    let noise = tone::opus(
        &tone::noise(1, 0.1, second, 48_000),
        tone::OpusSettings::default(),
    )
    .expect("encodes");
    let sizes: Vec<usize> = silence.iter().map(|frame| frame.payload.len()).collect();
    assert!(
        silence
            .iter()
            .all(|frame| frame.payload.len() <= 3 && opus::silent(&frame.payload)),
        "{sizes:?}"
    );
    assert!(noise.iter().all(|frame| frame.payload.len() > 3));
    let speech = tone::decode(
        std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/speech/planning/Bob.opus"
        )),
        8_000,
    )
    .expect("decodes");
    assert!(
        speech.len().abs_diff(81_033 * 8) < 8 * 100,
        "{}",
        speech.len()
    );
    let (pcmu, pcma) = (tone::pcmu(&speech), tone::pcma(&speech));
    assert_eq!(
        (pcmu.len(), pcma.len()),
        (speech.len().div_ceil(160), speech.len().div_ceil(160))
    );
    assert!(pcmu[0].payload.len() == 160 && pcmu[0].ticks == 160);
}

#[test]
fn gaps_told_by_time_stamps_are_silence() {
    // A second of tone, a second of nothing, a second of tone, in Matroska as recordings are.
    gstreamer::init().expect("GStreamer");
    let frames = tone::opus(
        &tone::sine(440.0, 0.5, Duration::from_secs(2), 48_000),
        tone::OpusSettings::default(),
    )
    .expect("encodes");
    let file = tempfile::Named::new("mkv");
    let graph =
        "appsrc name=in format=time ! mux.audio_0 matroskamux name=mux ! filesink name=file";
    let graph = gstreamer::parse::launch(graph)
        .expect("loads")
        .downcast::<gstreamer::Pipeline>()
        .expect("a pipeline");
    graph
        .by_name("file")
        .expect("named")
        .set_property("location", file.path());
    let source: gstreamer_app::AppSrc = graph
        .by_name("in")
        .expect("named")
        .downcast()
        .expect("an appsrc");
    let head = [
        b"OpusHead\x01\x01\x00\x00".as_slice(),
        &48_000u32.to_le_bytes(),
        &[0; 3],
    ]
    .concat();
    let tags = [b"OpusTags".as_slice(), &[0; 8]].concat();
    let headers = gstreamer::Array::new([head, tags].map(gstreamer::Buffer::from_slice));
    let caps = gstreamer::Caps::builder("audio/x-opus")
        .field("channel-mapping-family", 0i32)
        .field("channels", 1i32)
        .field("rate", 48_000i32)
        .field("streamheader", headers)
        .build();
    source.set_caps(Some(&caps));
    graph.set_state(gstreamer::State::Playing).expect("plays");
    for (n, frame) in frames.iter().enumerate() {
        let mut buffer = gstreamer::Buffer::from_slice(frame.payload.to_vec());
        let at = n as u64 * 20 + if n < 50 { 0 } else { 1_000 };
        let fresh = buffer.get_mut().expect("ours alone");
        fresh.set_pts(gstreamer::ClockTime::from_mseconds(at));
        fresh.set_duration(gstreamer::ClockTime::from_mseconds(20));
        source.push_buffer(buffer).expect("takes it");
    }
    source.end_of_stream().expect("ends");
    let bus = graph.bus().expect("a bus");
    let kinds = [gstreamer::MessageType::Eos, gstreamer::MessageType::Error];
    let last = bus
        .timed_pop_filtered(gstreamer::ClockTime::from_seconds(10), &kinds)
        .expect("in time");
    assert_eq!(last.type_(), gstreamer::MessageType::Eos, "{last:?}");
    graph.set_state(gstreamer::State::Null).expect("stops");
    let decoded = tone::decode(file.path(), 48_000).expect("decodes");
    assert!(
        decoded.len().abs_diff(3 * 48_000) <= 960,
        "{}",
        decoded.len()
    );
    let levels: Vec<f64> = tone::amplitudes(&decoded, 48_000, 440.0)
        .into_iter()
        .map(tone::dbfs)
        .collect();
    let heard: Vec<bool> = levels.iter().map(|level| *level > -10.0).collect();
    assert!(
        heard[1..9].iter().chain(&heard[21..29]).all(|heard| *heard),
        "{levels:?}"
    );
    assert!(
        levels[11..19].iter().all(|level| *level < -60.0),
        "{levels:?}"
    );
}
