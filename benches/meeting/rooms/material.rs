//! What the peers send: the bundled voices as they are, and one stream of pictures that was encoded
//! once.

use anyhow::{Context, Result, ensure};
use gstreamer::{Pipeline, prelude::*};
use gstreamer_app::AppSink;
use hansard_client::meeting::Meeting;
use std::{sync::Arc, time::Duration};

/// Of Opus.
pub const VOICE_EVERY: Duration = Duration::from_millis(20);
pub const VOICE_TICKS: u32 = 960;
const PICTURES_A_SECOND: u32 = 25;
pub const PICTURE_EVERY: Duration = Duration::from_millis(1_000 / PICTURES_A_SECOND as u64);
pub const PICTURE_TICKS: u32 = 90_000 / PICTURES_A_SECOND;
const PICTURES: u32 = 10 * PICTURES_A_SECOND;
/// A key frame every two seconds.
const GROUP: u32 = 2 * PICTURES_A_SECOND;
const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
/// Told to the encoder, which stays a tenth below it.
const BITS_A_SECOND: u32 = 330_000;
/// Of a payload: what browsers send.
const MTU: u32 = 1_200;
const RTP_HEADER: usize = 12;

/// The payloads of its packets.
pub type Picture = Vec<Arc<[u8]>>;

pub struct Material {
    /// 20 ms packets of each voice.
    pub voices: Vec<Vec<Arc<[u8]>>>,
    /// Pictures from one key frame to the next; the last of them is followed by the first.
    pub groups: Vec<Vec<Picture>>,
}

impl Material {
    pub fn make() -> Result<Self> {
        let mut voices = Vec::new();
        for set in ["planning", "incident"] {
            for voice in Meeting::test_set(set)?.voices {
                ensure!(
                    voice.frames.iter().all(|frame| frame.ticks == VOICE_TICKS),
                    "a voice whose packets are not of 20 ms"
                );
                let payloads = voice
                    .frames
                    .iter()
                    .map(|frame| Arc::from(&frame.payload[..]));
                voices.push(payloads.collect());
            }
        }
        Ok(Self {
            voices,
            groups: encode()?,
        })
    }

    /// Of the pictures, as sent over and over: payloads only.
    pub fn bits_a_second(&self) -> f64 {
        let pictures = || self.groups.iter().flatten();
        let bytes: usize = pictures().flatten().map(|payload| payload.len()).sum();
        bytes as f64 * 8.0 / (pictures().count() as f64 * PICTURE_EVERY.as_secs_f64())
    }
}

/// VP8 of a picture that changes everywhere all the time, so that the encoder needs what it may
/// have.
fn encode() -> Result<Vec<Vec<Picture>>> {
    gstreamer::init()?;
    let description = format!(
        "videotestsrc num-buffers={PICTURES} pattern=zone-plate kx2=6 ky2=4 kt=3 \
         ! video/x-raw,width={WIDTH},height={HEIGHT},framerate={PICTURES_A_SECOND}/1 \
         ! vp8enc target-bitrate={BITS_A_SECOND} end-usage=cbr deadline=1 cpu-used=8 threads=1 \
           keyframe-max-dist={GROUP} resize-allowed=false max-quantizer=63 \
         ! rtpvp8pay mtu={} picture-id-mode=none ! appsink name=packets sync=false",
        MTU as usize + RTP_HEADER
    );
    let pipeline = gstreamer::parse::launch(&description)
        .context("pictures cannot be encoded: are GStreamer's good plugins installed?")?
        .downcast::<Pipeline>()
        .ok()
        .context("no pipeline")?;
    let packets = pipeline
        .by_name("packets")
        .and_then(|sink| sink.downcast::<AppSink>().ok())
        .context("no sink")?;
    pipeline.set_state(gstreamer::State::Playing)?;
    let mut groups: Vec<Vec<Picture>> = Vec::new();
    let mut picture = Picture::new();
    while let Ok(sample) = packets.pull_sample() {
        let buffer = sample.buffer().context("an empty sample")?;
        let map = buffer.map_readable()?;
        let payload = map.get(RTP_HEADER..).context("no RTP packet")?;
        let last = map[1] & 0x80 != 0;
        picture.push(payload.into());
        if !last {
            continue;
        }
        let picture = std::mem::take(&mut picture);
        if is_key_frame(&picture) {
            groups.push(Vec::new());
        }
        groups
            .last_mut()
            .context("the first picture is no key frame")?
            .push(picture);
    }
    pipeline.set_state(gstreamer::State::Null)?;
    ensure!(groups.len() >= 2, "{} key frames", groups.len());
    Ok(groups)
}

/// By the payload descriptor of one byte (RFC 7741 4.2, 4.3) and the first byte behind it.
fn is_key_frame(picture: &Picture) -> bool {
    let first = picture.first().map(|payload| &payload[..]);
    matches!(first, Some([_, frame, ..]) if frame & 1 == 0)
}
