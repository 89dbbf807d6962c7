//! Storage tiers, from the quickest and dearest to the slowest and cheapest, and the storage
//! classes that they are. [`price`] says what a class costs, [`plan`] when a recording moves.

pub mod plan;
pub mod price;

use crate::word::words;
use price::Prices;

words! {
    /// Where an object lies. `Archive` can only be read after a restore that takes hours.
    #[derive(Default)]
    pub enum Tier(
        "storage tier",
        schema "StorageTier": "Where the file lies; one in the `archive` has to be restored before it is fetched."
    ) {
        #[default]
        Hot = "hot",
        Warm = "warm",
        Cold = "cold",
        Archive = "archive",
    }
}

/// The class of an object of which the store names none.
pub const STANDARD: &str = "STANDARD";
/// Classes that are read after a restore only.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// The longest name of a class.
const CLASS_BYTES_MAX: usize = 64;

/// Whether an object of this class has to be restored before it is read.
pub fn needs_restore(class: &str) -> bool {
    ARCHIVES.contains(&class)
}

impl Tier {
    /// The name of its S3 storage class, where none is set.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Hot => STANDARD,
            Self::Warm => "STANDARD_IA",
            Self::Cold => "GLACIER_IR",
            Self::Archive => "DEEP_ARCHIVE",
        }
    }
}

/// The storage class of each tier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classes([String; Tier::ALL.len()]);

impl Default for Classes {
    fn default() -> Self {
        Self(Tier::ALL.map(|tier| tier.class().to_owned()))
    }
}

impl Classes {
    pub fn of(&self, tier: Tier) -> &str {
        &self.0[tier as usize]
    }

    /// # Errors
    /// Why the tier cannot be this class.
    pub fn set(&mut self, tier: Tier, class: String) -> Result<(), String> {
        let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if class.is_empty() || class.len() > CLASS_BYTES_MAX || !class.bytes().all(fits) {
            return Err(format!(
                "`{class}` is no storage class like {}",
                tier.class()
            ));
        }
        if tier == Tier::Hot && needs_restore(&class) {
            return Err(format!(
                "{class} cannot be read at once, and fresh recordings are"
            ));
        }
        self.0[tier as usize] = class;
        Ok(())
    }

    /// The class that an object is in: the one noted, else what its tier is mapped to.
    pub fn class_of<'a>(&'a self, noted: Option<&'a str>, tier: Tier) -> &'a str {
        noted.unwrap_or_else(|| self.of(tier))
    }

    /// Whether a file has to be restored before it is read.
    pub fn is_archived(&self, noted: Option<&str>, tier: Tier) -> bool {
        needs_restore(self.class_of(noted, tier))
    }
}

/// What decides about moves besides an object and its tenant: which class each tier is, and what
/// each class costs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tariff {
    pub classes: Classes,
    pub prices: Prices,
}

impl Tariff {
    /// Nothing moves into these classes any more.
    pub fn close(&mut self, is_closed: impl Fn(&str) -> bool) {
        self.prices.retain(|class| !is_closed(class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readability_follows_the_class_and_not_the_tier() {
        let mut classes = Classes::default();
        for tier in Tier::ALL {
            assert_eq!(classes.of(tier), tier.class());
            assert_eq!(classes.is_archived(None, tier), tier == Tier::Archive);
            // As it was when it moved.
            assert!(classes.is_archived(Some("GLACIER"), tier));
            assert!(!classes.is_archived(Some("GLACIER_IR"), tier));
        }
        classes
            .set(Tier::Archive, "GLACIER_IR".to_owned())
            .expect("it may");
        assert!(!classes.is_archived(None, Tier::Archive));
        classes
            .set(Tier::Warm, "DEEP_ARCHIVE".to_owned())
            .expect("it may");
        assert!(classes.is_archived(None, Tier::Warm));
    }

    #[test]
    fn what_is_no_class_is_refused() {
        let mut classes = Classes::default();
        let long = "A".repeat(65);
        for wrong in ["", "standard", "A B", "É", long.as_str()] {
            assert!(
                classes.set(Tier::Cold, wrong.to_owned()).is_err(),
                "{wrong}"
            );
        }
        assert!(classes.set(Tier::Hot, "GLACIER".to_owned()).is_err());
        assert_eq!(classes, Classes::default());
        assert!(
            classes
                .set(Tier::Hot, "INTELLIGENT_TIERING".to_owned())
                .is_ok()
        );
    }
}
