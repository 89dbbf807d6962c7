//! How much of a disk segments may take while they wait for storage.

use std::str::FromStr;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Quota {
    /// Of what segments take and what is free: the rest is for those who share the disk.
    Share(f64),
    Bytes(u64),
}

impl Quota {
    /// Whether no more may come, with so many bytes taken and so many free.
    pub fn is_reached(self, taken: u64, free: u64) -> bool {
        match self {
            Self::Share(share) => taken as f64 >= taken.saturating_add(free) as f64 * share,
            Self::Bytes(bytes) => taken >= bytes,
        }
    }

    /// Whether half of it is taken: what need not stay should go before others find no room.
    pub fn is_half_reached(self, taken: u64, free: u64) -> bool {
        match self {
            Self::Share(share) => Self::Share(share / 2.0).is_reached(taken, free),
            Self::Bytes(bytes) => Self::Bytes(bytes / 2).is_reached(taken, free),
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::Share(0.8)
    }
}

impl FromStr for Quota {
    type Err = String;

    /// `80%`, or a number of bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a share such as 80% nor a number of bytes");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
                (0.0 < percent && percent <= 100.0)
                    .then_some(Self::Share(percent / 100.0))
                    .ok_or_else(wrong)
            }
            None => text.parse().map(Self::Bytes).map_err(|_| wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_share_or_bytes() {
        assert_eq!("80%".parse(), Ok(Quota::Share(0.8)));
        assert_eq!("1000".parse(), Ok(Quota::Bytes(1000)));
        for wrong in ["", "0%", "101%", "x%", "-1", "1.5"] {
            assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_leaves_the_rest_to_others() {
        let quota = Quota::default();
        assert!(
            !quota.is_reached(0, 1_000)
                && !quota.is_reached(790, 210)
                && quota.is_reached(800, 200)
        );
        // Others took nearly all of the disk: a little of the rest is still ours.
        assert!(!quota.is_reached(0, 10) && quota.is_reached(8, 2));
        assert!(quota.is_reached(0, 0), "nothing is free");
        assert!(!Quota::Bytes(100).is_reached(99, 0) && Quota::Bytes(100).is_reached(100, 1_000));
    }

    #[test]
    fn half_of_it_is_reached_earlier() {
        assert!(
            !Quota::default().is_half_reached(390, 610)
                && Quota::default().is_half_reached(400, 600)
        );
        assert!(
            !Quota::Bytes(100).is_half_reached(49, 0)
                && Quota::Bytes(100).is_half_reached(50, 1_000)
        );
    }
}
