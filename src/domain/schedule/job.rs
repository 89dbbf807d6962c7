//! What is queued, and its rank.

use super::{TRANSLATING_MAX, WAITING_MAX};
use crate::time::Micros;

/// In order of rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Final,
    /// A final before its time: most likely the utterance is over.
    Guess,
    Partial,
    /// A final that is decoded once more, into another language.
    Translation,
    /// A final of what nobody heard while it was said.
    Late,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Final,
        Self::Guess,
        Self::Partial,
        Self::Translation,
        Self::Late,
    ];

    /// Whether somebody waits for it who ought not to wait.
    pub(super) const fn presses(self) -> bool {
        matches!(self, Self::Final | Self::Guess)
    }

    /// Whether it counts as load: what waits until there is time for it does not.
    pub(super) const fn loads(self) -> bool {
        !matches!(self, Self::Translation | Self::Late)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Guess => "guess",
            Self::Partial => "partial",
            Self::Translation => "translation",
            Self::Late => "late",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    pub id: u64,
    pub meeting: u64,
    pub stream: u64,
    pub kind: Kind,
    /// How much there is to decode.
    pub audio: Micros,
    /// Nothing of its utterance was shown yet.
    pub first: bool,
}

impl Job {
    /// Whether it is the first that is shown of its utterance.
    pub(super) const fn is_first(&self) -> bool {
        matches!(self.kind, Kind::Partial) && self.first
    }

    /// How long after it was asked for it should be done.
    pub(super) const fn patience(&self) -> Micros {
        match self.kind {
            Kind::Final | Kind::Guess => Micros::from_ms(500),
            Kind::Partial if self.first => Micros::from_ms(1_500),
            Kind::Partial => Micros::from_ms(700),
            Kind::Translation => TRANSLATING_MAX,
            Kind::Late => WAITING_MAX,
        }
    }
}
