//! What a decode takes.

use crate::time::Micros;

/// Predicts what a decode takes: a line, scaled by what recent ones took.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    pub fixed: Micros,
    pub per_second: Micros,
    scale: f64,
}

impl Cost {
    pub const fn new(fixed: Micros, per_second: Micros) -> Self {
        Self {
            fixed,
            per_second,
            scale: 1.0,
        }
    }

    pub fn of(&self, audio: Micros) -> Micros {
        Micros((self.line(audio) * self.scale) as i64)
    }

    fn line(&self, audio: Micros) -> f64 {
        self.fixed.0 as f64 + self.per_second.0 as f64 * audio.0 as f64 / 1e6
    }

    pub(super) fn learn(&mut self, audio: Micros, took: Micros) {
        let ratio = took.0 as f64 / self.line(audio).max(1.0);
        self.scale = (0.9 * self.scale + 0.1 * ratio).clamp(0.1, 50.0);
    }
}
