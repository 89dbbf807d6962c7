//! Which packet indices came before (RFC 3711 3.3.2). Told only what proved itself, so that no
//! forged number moves the window.

/// How far behind the newest a packet may come.
const WINDOW: u64 = 1_024;
const WORDS: usize = (WINDOW / 64) as usize;

/// The indices that were taken, as far back as [`WINDOW`].
#[derive(Clone, Debug, Default)]
pub struct Window {
    newest: Option<u64>,
    /// Bit `index % WINDOW`.
    taken: [u64; WORDS],
}

impl Window {
    /// A window behind which everything counts as taken: what came before a restart is not known
    /// one by one.
    pub fn behind(newest: u64) -> Self {
        Self {
            newest: Some(newest),
            taken: [u64::MAX; WORDS],
        }
    }

    pub fn is_new(&self, index: u64) -> bool {
        match self.newest {
            Some(newest) if index <= newest => newest - index < WINDOW && !self.bit(index),
            _ => true,
        }
    }

    /// Answers whether it is the newest so far.
    pub fn take(&mut self, index: u64) -> bool {
        let newest = self.newest.is_none_or(|newest| index > newest);
        if newest {
            let from = self
                .newest
                .map_or(index, |newest| newest + 1)
                .max(index.saturating_sub(WINDOW - 1));
            for passed in from..=index {
                self.set(passed, false);
            }
            self.newest = Some(index);
        }
        self.set(index, true);
        newest
    }

    /// The newest index taken.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    fn bit(&self, index: u64) -> bool {
        self.taken[(index % WINDOW / 64) as usize] >> (index % 64) & 1 == 1
    }

    fn set(&mut self, index: u64, to: bool) {
        let word = &mut self.taken[(index % WINDOW / 64) as usize];
        *word = *word & !(1 << (index % 64)) | u64::from(to) << (index % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_once_and_none_that_is_too_old() {
        let mut window = Window::default();
        assert!(window.is_new(70_000) && window.take(70_000) && !window.is_new(70_000));
        assert!(window.is_new(69_999) && !window.take(69_999) && !window.is_new(69_999));
        assert!(window.is_new(70_000 - WINDOW + 1) && !window.is_new(70_000 - WINDOW));
        assert!(window.take(70_500) && window.is_new(70_499) && !window.is_new(70_000));
        assert!(
            window.take(170_500) && window.is_new(170_500 - WINDOW + 1) && !window.is_new(70_500)
        );
        assert_eq!(window.newest(), Some(170_500));
    }

    #[test]
    fn behind_a_restart_all_is_old() {
        let mut window = Window::behind(500);
        assert!(!window.is_new(500) && !window.is_new(3) && window.is_new(501));
        assert!(window.take(505) && window.is_new(501) && !window.is_new(499));
    }

    #[test]
    fn like_a_set_with_an_edge() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut window, mut taken, mut newest) =
            (Window::default(), std::collections::BTreeSet::new(), 0u64);
        for _ in 0..20_000 {
            let index = (newest + random.u64(..1_500)).saturating_sub(1_300);
            let fits = !taken.contains(&index) && index + WINDOW > newest;
            assert_eq!(
                window.is_new(index),
                fits || taken.is_empty(),
                "{index} of {newest}"
            );
            if fits {
                window.take(index);
                taken.insert(index);
                newest = newest.max(index);
            }
        }
    }
}
