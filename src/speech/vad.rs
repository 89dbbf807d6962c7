//! Voice detection: frames of 16 ms with their level and the probability of voice.
//!
//! The detector is earshot (a small recurrent network, pure Rust). Its work is spared on silence:
//! below an absolute floor a frame is no voice, so that a stream of digital silence costs next to
//! nothing.

use crate::domain::{
    endpoint::Frame,
    time::{MeetingTime, Micros, Span},
};
use earshot::Detector;

/// Samples in a frame: 16 ms at 16 kHz.
pub const FRAME_SAMPLES: usize = 256;
/// Below this nobody speaks into a microphone (dBFS, RMS over a frame).
const FLOOR_DB: f32 = -60.0;
/// Frames that the detector still sees after the level fell below the floor, and what it is fed
/// first when it rises again: its window is three frames long.
const CONTEXT_FRAMES: usize = 4;
/// A step in capture time that is only a correction of the sender's clock.
const CORRECTION_MAX: Micros = Micros::from_ms(60);

/// One stream's detector.
pub struct Vad {
    detector: Box<Detector>,
    rest: Vec<f32>,
    /// When the first sample of `rest` was captured.
    rest_start: MeetingTime,
    /// Where the next audio is expected.
    next: Option<MeetingTime>,
    quiet: usize,
    /// The last quiet frames, not yet shown to the detector.
    unseen: Vec<[f32; FRAME_SAMPLES]>,
}

impl Default for Vad {
    fn default() -> Self {
        Self {
            detector: Detector::default_boxed(),
            rest: Vec::with_capacity(2 * FRAME_SAMPLES),
            rest_start: MeetingTime::ZERO,
            next: None,
            quiet: 0,
            unseen: Vec::with_capacity(CONTEXT_FRAMES),
        }
    }
}

impl Vad {
    /// Takes 16 kHz samples captured during `span`; gives every frame that is now whole. Up to 16
    /// ms stay behind.
    pub fn push(&mut self, samples: &[f32], span: Span) -> Vec<Frame> {
        let steps = |next: MeetingTime| (span.start - next).0.abs() > CORRECTION_MAX.0;
        if self.next.is_some_and(steps) {
            self.rest.clear();
        }
        if self.rest.is_empty() {
            self.rest_start = span.start;
        } else {
            self.rest_start = span.start - length(self.rest.len());
        }
        self.next = Some(span.end);
        self.rest.extend_from_slice(samples);
        let mut frames = Vec::with_capacity(self.rest.len() / FRAME_SAMPLES);
        let whole = self.rest.len() / FRAME_SAMPLES * FRAME_SAMPLES;
        let rest = self.rest.split_off(whole);
        let ready = std::mem::replace(&mut self.rest, rest);
        for frame in ready.as_chunks::<FRAME_SAMPLES>().0 {
            let span = Span::of(self.rest_start, length(FRAME_SAMPLES));
            self.rest_start = span.end;
            let level_db = level_db(frame);
            frames.push(Frame {
                span,
                level_db,
                voice: self.voice(frame, level_db),
            });
        }
        frames
    }

    fn voice(&mut self, frame: &[f32; FRAME_SAMPLES], level_db: f32) -> f32 {
        if level_db < FLOOR_DB {
            self.quiet += 1;
            if self.quiet > CONTEXT_FRAMES {
                if self.unseen.len() == CONTEXT_FRAMES {
                    self.unseen.remove(0);
                }
                self.unseen.push(*frame);
                return 0.0;
            }
            self.detector.predict_f32(frame);
            return 0.0;
        }
        self.quiet = 0;
        for frame in self.unseen.drain(..) {
            self.detector.predict_f32(&frame);
        }
        // Resampling may overshoot, and the detector wants −1 to 1.
        self.detector
            .predict_f32(&frame.map(|sample| sample.clamp(-1.0, 1.0)))
    }
}

/// How long so many samples last.
pub fn length(samples: usize) -> Micros {
    Micros(samples as i64 * 1_000 / 16)
}

fn level_db(frame: &[f32]) -> f32 {
    let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32;
    10.0 * power.max(1e-12).log10()
}
