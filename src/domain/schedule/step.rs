//! The steps by which the queue does less when it cannot keep up.

/// How far the queue has degraded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    Normal = 0,
    /// Partials at most half as often as without any load.
    Slower = 1,
    /// Partials at most a quarter as often.
    Sparse = 2,
    /// Of each utterance one partial, and what is heard in the trailing silence.
    Guesses = 3,
    /// Of each utterance one partial, and the final, one pass each.
    Finals = 4,
    /// Finals only, and no new meetings.
    Full = 5,
}

impl Step {
    pub(super) const ALL: [Self; 6] = [
        Self::Normal,
        Self::Slower,
        Self::Sparse,
        Self::Guesses,
        Self::Finals,
        Self::Full,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Slower => "slower",
            Self::Sparse => "sparse",
            Self::Guesses => "guesses",
            Self::Finals => "finals",
            Self::Full => "full",
        }
    }

    /// By its number on the ladder.
    pub fn of(number: u8) -> Self {
        Self::ALL[usize::from(number).min(Self::ALL.len() - 1)]
    }

    /// Whether a worker takes more meetings.
    pub fn takes_meetings(self) -> bool {
        self < Self::Full
    }

    /// Of the meetings that a worker may run by its capacity, how many more it takes.
    pub fn room(self, capacity: usize, running: usize) -> usize {
        if self.takes_meetings() {
            capacity.saturating_sub(running)
        } else {
            0
        }
    }

    pub(super) fn up(self) -> Self {
        Self::ALL[(self as usize + 1).min(Self::ALL.len() - 1)]
    }

    pub(super) fn down(self) -> Self {
        Self::ALL[(self as usize).saturating_sub(1)]
    }
}
