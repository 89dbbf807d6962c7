//! How much a decode may cost.

use super::{Kind, Schedule, Step};
use serde::{Deserialize, Serialize};

/// What a decode is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// One pass: a text that may still change.
    #[default]
    Quick,
    /// One more where the first is suspicious.
    Firm,
    /// And one before letters are dropped, and a third where the second is suspicious, too.
    Thorough,
    /// And with the model's beams: nobody else waits.
    Beams,
    /// Without any hurry: several beams over the full window.
    Offline,
}

impl Schedule {
    /// What a decode that starts now may cost: the more others wait, the less.
    pub fn effort(&self, kind: Kind) -> Effort {
        match (kind, self.step) {
            (Kind::Partial, _) => Effort::Quick,
            (_, Step::Normal) if self.has_room() => Effort::Beams,
            (_, Step::Normal) => Effort::Thorough,
            (_, step) if step < Step::Finals => Effort::Firm,
            _ => Effort::Quick,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        schedule::{Cost, Job},
        time::Micros,
    };

    #[test]
    fn beams_are_followed_only_while_nobody_else_waits() {
        let ms = Micros::from_ms;
        let mut schedule = Schedule::new(2, Cost::new(ms(10), ms(15)));
        let job = |id, kind| Job {
            id,
            meeting: id,
            stream: id,
            kind,
            audio: ms(2_000),
            first: false,
        };
        for id in 1..=3 {
            schedule.offer(job(id, Kind::Guess), ms(0));
        }
        // Of three, two run and one waits.
        assert!(schedule.take(ms(0)).is_some() && schedule.take(ms(0)).is_some());
        assert_eq!(schedule.effort(Kind::Guess), Effort::Thorough);
        schedule.done(1, Some(ms(40)), ms(40));
        assert!(schedule.take(ms(40)).is_some());
        assert_eq!(
            schedule.effort(Kind::Guess),
            Effort::Thorough,
            "none is free"
        );
        schedule.done(2, Some(ms(40)), ms(60));
        assert_eq!(schedule.effort(Kind::Guess), Effort::Beams);
        assert_eq!(schedule.effort(Kind::Partial), Effort::Quick);
        schedule.done(3, Some(ms(40)), ms(80));
        for (step, effort) in [(Step::Slower, Effort::Firm), (Step::Finals, Effort::Quick)] {
            schedule.step = step;
            assert_eq!(schedule.effort(Kind::Final), effort, "{step:?}");
        }
    }
}
