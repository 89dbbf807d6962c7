//! One stream's sound: what is still needed of it, its voice detector and its endpointing.

use super::vad::{Vad, length};
use crate::domain::{
    endpoint::{Decision, Endpoint, Hint, Open, Thresholds},
    time::{MeetingTime, Micros, Span},
    utterance::HOLE_MIN,
};
use std::collections::VecDeque;

/// A hole or step in capture time up to this is jitter of the mapping.
const STEP_MAX: Micros = Micros::from_ms(60);
/// A hole inside an utterance longer than this is not filled with silence; by then the endpoint has
/// ended it anyway.
const FILL_MAX: Micros = Micros::from_secs(2);

/// Samples with their capture time, oldest first.
#[derive(Default)]
struct SampleBuffer(VecDeque<(Span, Vec<f32>)>);

impl SampleBuffer {
    /// The samples captured in `span`; holes are silence.
    fn slice(&self, span: Span) -> Vec<f32> {
        let mut out = Vec::with_capacity(samples(span.length()));
        let mut at = span.start;
        for (chunk, pcm) in self.0.iter().filter(|(chunk, _)| chunk.overlaps(span)) {
            let hole = chunk.start - at;
            // Silence in a hole of less would only click.
            if hole > HOLE_MIN {
                out.resize(out.len() + samples(Micros(hole.0.min(FILL_MAX.0))), 0.0);
            }
            let from = samples(span.start - chunk.start).min(pcm.len());
            let to = samples(span.end - chunk.start).min(pcm.len());
            out.extend_from_slice(&pcm[from..to.max(from)]);
            at = chunk.end;
        }
        out
    }

    fn forget_before(&mut self, time: MeetingTime) {
        while self.0.front().is_some_and(|(span, _)| span.end <= time) {
            self.0.pop_front();
        }
    }
}

/// How many 16 kHz samples last so long; none for a negative time.
pub fn samples(length: Micros) -> usize {
    usize::try_from(length.0 * 16 / 1_000).unwrap_or(0)
}

/// Finds the utterances of one stream. Decisions come with their audio, since the buffer forgets.
pub struct Segmenter {
    buffer: SampleBuffer,
    vad: Vad,
    endpoint: Endpoint,
    settings: Thresholds,
    /// Where the next sound is expected.
    next: Option<MeetingTime>,
}

/// A decision, and the samples of its span where it has one.
pub type Segmented = (Decision, Vec<f32>);

impl Segmenter {
    pub fn new(settings: Thresholds) -> Self {
        Self {
            buffer: SampleBuffer::default(),
            vad: Vad::default(),
            endpoint: Endpoint::new(settings),
            settings,
            next: None,
        }
    }

    pub fn open(&self) -> Option<&Open> {
        self.endpoint.open()
    }

    /// Whether a decoder is free for a speculation that comes earlier.
    pub fn guess_early(&mut self, early: bool) {
        self.endpoint.guess_early(early);
    }

    pub fn is_speaking(&self) -> bool {
        self.endpoint.is_speaking()
    }

    pub fn heard_until(&self) -> MeetingTime {
        self.endpoint.heard_until()
    }

    /// Audio before this is needed no more.
    pub fn needs_from(&self) -> MeetingTime {
        self.endpoint.needs_from()
    }

    pub fn hint(&mut self, utterance: u64, hint: Hint) {
        self.endpoint.hint(utterance, hint);
    }

    /// Whether sound that begins at `start` follows what was there before.
    fn continues(&self, start: MeetingTime) -> bool {
        self.next
            .is_none_or(|next| (start - next).0.abs() <= STEP_MAX.0)
    }

    /// Where the sound so far ended.
    pub fn until(&self) -> Option<MeetingTime> {
        self.next
    }

    /// The samples so far of the utterance going on.
    pub fn so_far(&self) -> Option<(Span, Vec<f32>)> {
        let span = Span::new(self.endpoint.open()?.start, self.endpoint.heard_until());
        Some((span, self.buffer.slice(span)))
    }

    pub fn push(&mut self, pcm: Vec<f32>, start: MeetingTime) -> Vec<Segmented> {
        let mut heard = Vec::new();
        let span = Span::of(start, length(pcm.len()));
        if let Some(next) = self.next.filter(|_| !self.continues(start)) {
            if start > next {
                heard.extend(self.gap(Span::new(next, start)));
            } else {
                // Back in time: a new mapping. Nothing after it belongs to what was before.
                heard.extend(self.cut(next));
                self.endpoint = Endpoint::resume(&self.endpoint, self.settings);
                self.buffer = SampleBuffer::default();
            }
        }
        self.next = Some(span.end);
        let frames = self.vad.push(&pcm, span);
        self.buffer.0.push_back((span, pcm));
        for frame in frames {
            let decisions = self.endpoint.frame(frame);
            heard.extend(self.with_audio(decisions));
        }
        self.buffer.forget_before(self.endpoint.needs_from());
        heard
    }

    /// Sound that never came.
    pub fn gap(&mut self, span: Span) -> Vec<Segmented> {
        let decisions = self.endpoint.gap(span);
        if self.next.is_some_and(|next| next < span.end) {
            self.next = Some(span.end);
        }
        self.with_audio(decisions)
    }

    pub fn tick(&mut self, now: MeetingTime) -> Vec<Segmented> {
        let decisions = self.endpoint.tick(now);
        self.with_audio(decisions)
    }

    /// Nothing from `at` on belongs to what was before.
    pub fn cut(&mut self, at: MeetingTime) -> Vec<Segmented> {
        let decisions = self.endpoint.cut(at);
        self.with_audio(decisions)
    }

    fn with_audio(&self, decisions: Vec<Decision>) -> Vec<Segmented> {
        let audio = |decision: &Decision| match decision {
            Decision::Guess { span, .. } | Decision::Ended { span, .. } => self.buffer.slice(*span),
            _ => Vec::new(),
        };
        decisions
            .into_iter()
            .map(|decision| (decision.clone(), audio(&decision)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_spans_share_no_sample_and_lose_none() {
        let mut buffer = SampleBuffer::default();
        let ramp: Vec<f32> = (0..3_200).map(|n| n as f32).collect();
        for (n, chunk) in ramp.chunks(320).enumerate() {
            let span = Span::of(MeetingTime(n as i64 * 20_000), Micros(20_000));
            buffer.0.push_back((span, chunk.to_vec()));
        }
        for cut in [20_000, 33_333, 91_001, 199_999] {
            let cut = MeetingTime(cut);
            let mut both = buffer.slice(Span::new(MeetingTime(0), cut));
            both.extend(buffer.slice(Span::new(cut, MeetingTime(200_000))));
            assert_eq!(both, ramp, "{cut:?}");
        }
    }

    #[test]
    fn holes_are_silence_and_keep_time() {
        let mut buffer = SampleBuffer::default();
        for at in [0, 60_000] {
            buffer
                .0
                .push_back((Span::of(MeetingTime(at), Micros(20_000)), vec![1.0; 320]));
        }
        let pcm = buffer.slice(Span::new(MeetingTime(0), MeetingTime(80_000)));
        assert_eq!(pcm.len(), 1_280);
        assert!(pcm[320..960].iter().all(|sample| *sample == 0.0));
        buffer.forget_before(MeetingTime(20_000));
        assert_eq!(buffer.0.len(), 1);
    }
}
