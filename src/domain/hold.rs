//! When a use is closed for everybody under the policy `all`.

use crate::{
    recording::{intersect, subtract, union},
    time::{MeetingTime, Span},
};

/// When somebody was present, and when it agreed to the use.
pub type Person = (Vec<Span>, Vec<Span>);

/// While anybody present has not agreed.
pub fn held(people: &[Person]) -> Vec<Span> {
    union(
        &people
            .iter()
            .flat_map(|(present, agreed)| subtract(present, agreed))
            .collect::<Vec<_>>(),
    )
}

/// The part of [`held`] in which somebody had agreed before and took it back. Whoever recorded may
/// not have heard of that in time; of whoever never agreed it knew.
pub fn taken_back(people: &[Person]) -> Vec<Span> {
    let of = |(present, agreed): &Person| {
        let first = agreed.iter().map(|span| span.start).min();
        let since = first.map(|first| Span::new(first, MeetingTime::MAX));
        subtract(&intersect(present, since.as_slice()), agreed)
    };
    union(&people.iter().flat_map(of).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from_ms: i64, to_ms: i64) -> Span {
        Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms))
    }

    #[test]
    fn everybody_waits_for_who_is_there_and_has_not_agreed() {
        let ana = (vec![span(0, 100_000)], vec![span(1_000, 100_000)]);
        let ben = (vec![span(20_000, 50_000)], vec![span(25_000, 40_000)]);
        assert_eq!(
            held(&[ana, ben]),
            [span(0, 1_000), span(20_000, 25_000), span(40_000, 50_000)]
        );
    }

    #[test]
    fn what_is_taken_back_holds_for_all_until_it_is_given_again_or_who_took_it_leaves() {
        let people = [
            // Took it back, gave it again, took it back and left.
            (
                vec![span(0, 9_000)],
                vec![span(1_000, 3_000), span(4_000, 8_000)],
            ),
            // Never agreed: others waited for that.
            (vec![span(0, 500)], vec![]),
            // Took it back while away.
            (
                vec![span(0, 5_000), span(20_000, 30_000)],
                vec![span(0, 6_000), span(19_000, 40_000)],
            ),
        ];
        assert_eq!(
            taken_back(&people),
            [span(3_000, 4_000), span(8_000, 9_000)]
        );
        assert_eq!(
            held(&people),
            [span(0, 1_000), span(3_000, 4_000), span(8_000, 9_000)]
        );
        assert_eq!(taken_back(&[]), []);
    }
}
