//! How many live meetings a machine carries with a speech model, from decodes that were measured.

use crate::time::Micros;

/// Share of a meeting's time in which its one speaker speaks.
const SPEECH: f64 = 0.86;
/// Share of the cores that decoding may take; media, storage and clients have the rest.
const CORES: f64 = 0.8;
/// What the voice detection looks at.
const FRAME: Micros = Micros::from_ms(20);

/// The lengths at which an utterance of `length` is decoded while it is spoken: its partials, then
/// its final. `after`: how much new voice the schedule wants before the next partial of an
/// utterance of this length.
pub fn decodes(length: Micros, after: impl Fn(Micros) -> Option<Micros>) -> Vec<Micros> {
    let (mut decodes, mut last, mut at) = (Vec::new(), Micros(0), FRAME);
    while at < length {
        if after(at).is_some_and(|wanted| at - last >= wanted) {
            decodes.push(at);
            last = at;
        }
        at = at + FRAME;
    }
    decodes.push(length);
    decodes
}

/// Speech that was decoded as live meetings have it decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// So much was spoken; each utterance with its partials and its final.
    pub speech: Micros,
    /// So long it took with every core decoding.
    pub took: Micros,
}

impl Measured {
    /// Live meetings with one speaker each.
    pub fn meetings(self) -> u32 {
        let speakers = self.speech.0 as f64 / self.took.0.max(1) as f64;
        (speakers * CORES / SPEECH) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_utterance_has_partials_as_often_as_the_schedule_wants_and_a_final() {
        let ms = Micros::from_ms;
        let every = |wanted: i64| decodes(ms(2_000), |_| Some(ms(wanted)));
        assert_eq!(every(600), [ms(600), ms(1_200), ms(1_800), ms(2_000)]);
        assert_eq!(every(3_000), [ms(2_000)]);
        assert_eq!(decodes(ms(2_000), |_| None), [ms(2_000)]);
        // The longer it is, the longer the wait.
        let growing = decodes(ms(2_000), |length| Some(ms(400).max(Micros(length.0 / 2))));
        assert_eq!(growing, [ms(400), ms(800), ms(1_600), ms(2_000)]);
    }

    #[test]
    fn meetings_speak_86_percent_of_the_time_and_have_80_percent_of_the_cores() {
        let measured = |speech, took| Measured {
            speech: Micros::from_secs(speech),
            took: Micros::from_secs(took),
        };
        // Ten speakers at once: eight for 80 %, who speak for 0.86 of the time.
        assert_eq!(measured(100, 10).meetings(), 9);
        assert_eq!(measured(43, 40).meetings(), 1);
        assert_eq!(measured(42, 40).meetings(), 0);
        assert_eq!(measured(10, 0).meetings(), 9_302_325);
    }
}
