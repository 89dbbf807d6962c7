//! Word error rate. Pure; shared by tests, demo and bench.

/// How two lists of words differ, by the cheapest edit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Errors {
    pub substituted: usize,
    pub inserted: usize,
    pub deleted: usize,
    /// Words in the reference.
    pub reference: usize,
}

impl Errors {
    pub fn wrong(self) -> usize {
        self.substituted + self.inserted + self.deleted
    }

    /// Wrong words per reference word; with an empty reference 0 when nothing was said, else
    /// infinite.
    pub fn rate(self) -> f64 {
        match (self.wrong(), self.reference) {
            (0, 0) => 0.0,
            (wrong, reference) => wrong as f64 / reference as f64,
        }
    }
}

impl std::ops::Add for Errors {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            substituted: self.substituted + other.substituted,
            inserted: self.inserted + other.inserted,
            deleted: self.deleted + other.deleted,
            reference: self.reference + other.reference,
        }
    }
}

impl std::iter::Sum for Errors {
    fn sum<I: Iterator<Item = Self>>(errors: I) -> Self {
        errors.fold(Self::default(), std::ops::Add::add)
    }
}

/// Lower-case words without punctuation; apostrophes inside a word stay.
pub fn words(text: &str) -> Vec<String> {
    // Parts of a compound count as words: "ill-disposed" and "ill disposed" say the same.
    text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}'))
        .map(|word| {
            word.trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase()
                .replace('\u{2019}', "'")
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a text says at least three words twice in a row, as decoders do that are caught in a
/// loop.
pub fn says_twice(text: &str) -> bool {
    let words = words(text);
    (3..=words.len() / 2).any(|n| words.windows(2 * n).any(|two| two[..n] == two[n..]))
}

/// Compares two texts word by word.
pub fn compare(reference: &str, said: &str) -> Errors {
    let (reference, said) = (words(reference), words(said));
    let mut errors = Errors {
        reference: reference.len(),
        ..Errors::default()
    };
    for pair in align(&reference, &said) {
        match pair {
            (Some(r), Some(s)) => errors.substituted += usize::from(reference[r] != said[s]),
            (Some(_), None) => errors.deleted += 1,
            (None, _) => errors.inserted += 1,
        }
    }
    errors
}

/// The cheapest alignment: indices into `reference` and `said`; a missing one is a deletion or an
/// insertion.
pub fn align(reference: &[String], said: &[String]) -> Vec<(Option<usize>, Option<usize>)> {
    let (rows, columns) = (reference.len() + 1, said.len() + 1);
    let mut cost = vec![0usize; rows * columns];
    for r in 0..rows {
        for s in 0..columns {
            cost[r * columns + s] = match (r, s) {
                (0, s) => s,
                (r, 0) => r,
                (r, s) => {
                    let swap = cost[(r - 1) * columns + s - 1]
                        + usize::from(reference[r - 1] != said[s - 1]);
                    swap.min(cost[(r - 1) * columns + s] + 1)
                        .min(cost[r * columns + s - 1] + 1)
                }
            };
        }
    }
    let (mut r, mut s) = (rows - 1, columns - 1);
    let mut pairs = Vec::with_capacity(rows.max(columns));
    while r > 0 || s > 0 {
        let here = cost[r * columns + s];
        if r > 0
            && s > 0
            && here
                == cost[(r - 1) * columns + s - 1] + usize::from(reference[r - 1] != said[s - 1])
        {
            (r, s) = (r - 1, s - 1);
            pairs.push((Some(r), Some(s)));
        } else if r > 0 && here == cost[(r - 1) * columns + s] + 1 {
            r -= 1;
            pairs.push((Some(r), None));
        } else {
            s -= 1;
            pairs.push((None, Some(s)));
        }
    }
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_kind_of_error() {
        for (reference, said, substituted, inserted, deleted) in [
            ("Good morning, everyone.", "good morning everyone", 0, 0, 0),
            ("good morning everyone", "good evening everyone", 1, 0, 0),
            ("good morning everyone", "good everyone", 0, 0, 1),
            ("good morning", "good good morning", 0, 1, 0),
            ("", "ghost", 0, 1, 0),
            ("it\u{2019}s done", "it's done", 0, 0, 0),
        ] {
            let errors = compare(reference, said);
            assert_eq!(
                (errors.substituted, errors.inserted, errors.deleted),
                (substituted, inserted, deleted),
                "{reference} / {said}"
            );
            assert_eq!(errors.reference, words(reference).len());
        }
    }
}
