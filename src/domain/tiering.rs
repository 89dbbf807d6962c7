//! Storage tiers, from the quickest and dearest to the slowest and cheapest.

use crate::word::words;

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

impl Tier {
    /// The name of its S3 storage class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Hot => "STANDARD",
            Self::Warm => "STANDARD_IA",
            Self::Cold => "GLACIER_IR",
            Self::Archive => "DEEP_ARCHIVE",
        }
    }

    /// The tier of a storage class; S3 tells none for STANDARD.
    pub fn of_class(class: Option<&str>) -> Option<Self> {
        match class {
            None => Some(Self::Hot),
            Some(class) => Self::ALL.into_iter().find(|tier| tier.class() == class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_read_back() {
        for tier in Tier::ALL {
            assert_eq!(Tier::of_class(Some(tier.class())), Some(tier));
        }
        assert_eq!(Tier::of_class(None), Some(Tier::Hot));
        assert_eq!(Tier::of_class(Some("GLACIER")), None);
    }
}
