//! Whose turn it is to offer on one peer connection (RFC 8829 4.1, the "perfect negotiation" of
//! WebRTC): the server is the impolite side. It has at most one offer open, repeats it unchanged,
//! and refuses an offer that meets it. Told the time and what is said; makes no descriptions
//! itself.

use crate::time::Micros;

/// An offer that nothing answered is said again after this long.
const REPEAT: Micros = Micros::from_secs(2);
/// A client that has not answered for this long may not know offers of a server: its own are taken.
const PATIENCE: Micros = Micros::from_secs(10);
/// Once patience is over an offer is said again this seldom.
const REPEAT_SELDOM: Micros = Micros::from_secs(10);
/// From an answer of ours to an own offer: they travel different ways, and the answer must be
/// first.
const AFTER_ANSWER: Micros = Micros::from_ms(300);

/// One connection's turns.
#[derive(Clone, Default, Debug)]
pub struct Turns {
    open: Option<Open>,
    free_from: Micros,
}

#[derive(Clone, Debug)]
struct Open {
    id: String,
    made: Micros,
    told: Micros,
}

/// What becomes of an offer of theirs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Theirs {
    /// It is answered. `ours_is_void`: an own one was open and is to be made anew.
    Taken { ours_is_void: bool },
    /// It met an own one, which is said again.
    Glare,
}

impl Turns {
    /// Whether an own offer may be made.
    pub fn may_offer(&self, now: Micros) -> bool {
        self.open.is_none() && now >= self.free_from
    }

    /// An own offer is made and told.
    pub fn offered(&mut self, id: String, now: Micros) {
        self.open = Some(Open {
            id,
            made: now,
            told: now,
        });
    }

    /// They offer.
    pub fn theirs(&mut self, now: Micros) -> Theirs {
        match &mut self.open {
            Some(open) if now - open.made < PATIENCE => {
                open.told = now;
                Theirs::Glare
            }
            open => {
                self.free_from = now + AFTER_ANSWER;
                Theirs::Taken {
                    ours_is_void: open.take().is_some(),
                }
            }
        }
    }

    /// They answer an offer of this id: whether it is the open one, which is closed by it.
    pub fn answered(&mut self, id: &str) -> bool {
        self.open.take_if(|open| open.id == id).is_some()
    }

    /// The id of the offer that is to be said again now.
    pub fn repeat(&mut self, now: Micros) -> Option<&str> {
        let open = self.open.as_mut()?;
        if now < open.due() {
            return None;
        }
        open.told = now;
        Some(&open.id)
    }

    /// When the next turn is due: a repetition, or when own offers may be made again.
    pub fn next_timeout(&self, now: Micros) -> Option<Micros> {
        match &self.open {
            Some(open) => Some(open.due()),
            None => Some(self.free_from).filter(|from| *from > now),
        }
    }
}

impl Open {
    fn due(&self) -> Micros {
        let every = if self.told - self.made < PATIENCE {
            REPEAT
        } else {
            REPEAT_SELDOM
        };
        self.told + every
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: i64) -> Micros {
        Micros::from_ms(n)
    }

    #[test]
    fn one_offer_is_open_at_a_time_and_only_its_own_answer_closes_it() {
        let mut turns = Turns::default();
        assert!(turns.may_offer(ms(0)));
        turns.offered("a".into(), ms(0));
        assert!(!turns.may_offer(ms(1)) && !turns.answered("b") && !turns.may_offer(ms(2)));
        assert!(turns.answered("a") && !turns.answered("a"));
        assert!(turns.may_offer(ms(3)));
    }

    #[test]
    fn what_nothing_answers_is_said_again_every_2_s_and_then_seldom() {
        let mut turns = Turns::default();
        turns.offered("a".into(), ms(0));
        let mut said = Vec::new();
        for now in (0..40_000).step_by(500) {
            if turns.repeat(ms(now)) == Some("a") {
                said.push(now);
            }
        }
        assert_eq!(said, [2_000, 4_000, 6_000, 8_000, 10_000, 20_000, 30_000]);
        assert_eq!(turns.next_timeout(ms(39_500)), Some(ms(40_000)));
    }

    #[test]
    fn an_offer_that_meets_ours_is_refused_until_patience_is_over() {
        let mut turns = Turns::default();
        turns.offered("a".into(), ms(0));
        assert_eq!(turns.theirs(ms(1_500)), Theirs::Glare);
        // It was said again just then.
        assert_eq!(turns.repeat(ms(2_000)), None);
        assert!(turns.answered("a"));
        assert_eq!(
            turns.theirs(ms(3_000)),
            Theirs::Taken {
                ours_is_void: false
            }
        );
        turns.offered("b".into(), ms(4_000));
        assert_eq!(turns.theirs(ms(13_999)), Theirs::Glare);
        assert_eq!(
            turns.theirs(ms(14_000)),
            Theirs::Taken { ours_is_void: true }
        );
        assert!(!turns.answered("b"), "it is void");
    }

    #[test]
    fn an_own_offer_waits_until_the_answer_before_it_has_come() {
        let mut turns = Turns::default();
        turns.theirs(ms(0));
        assert!(!turns.may_offer(ms(299)));
        assert_eq!(turns.next_timeout(ms(100)), Some(ms(300)));
        assert!(turns.may_offer(ms(300)));
        assert_eq!(turns.next_timeout(ms(300)), None);
    }
}
