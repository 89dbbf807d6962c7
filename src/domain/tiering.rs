//! Storage tiers, from the quickest and dearest to the slowest and cheapest.

use serde::{Deserialize, Serialize};

/// Where an object lies. `Archive` can only be read after a restore that takes hours.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    #[default]
    Hot,
    Warm,
    Cold,
    Archive,
}

impl Tier {
    pub const ALL: [Self; 4] = [Self::Hot, Self::Warm, Self::Cold, Self::Archive];

    /// As in the contract and in the column `recordings.storage_tier`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
            Self::Archive => "archive",
        }
    }

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
