//! What storage classes cost. In any currency; only sums are compared.

use super::{STANDARD, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Stores count months of 730 hours.
pub const DAYS_PER_MONTH: f64 = 730.0 / 24.0;
/// Stores count 2^30 bytes.
pub const GB: f64 = 1_073_741_824.0;

/// What a class costs.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// Of a GB for a month.
    pub gb_month: f64,
    /// Of a thousand objects that are put or copied into it.
    pub writes_1000: f64,
    /// Of a GB that is read, also to be copied elsewhere.
    #[serde(default)]
    pub read_gb: f64,
    /// What leaves earlier is paid for so many days.
    #[serde(default)]
    pub minimum_days: u32,
    /// What is smaller is paid for so many bytes.
    #[serde(default)]
    pub minimum_bytes: u64,
    /// Bytes that each object costs in addition.
    #[serde(default)]
    pub overhead_bytes: u64,
    /// The same, at the price of STANDARD.
    #[serde(default)]
    pub overhead_standard_bytes: u64,
}

/// The classes that have a price.
#[derive(Clone, PartialEq, Debug)]
pub struct Prices(BTreeMap<String, Price>);

impl Default for Prices {
    /// As Amazon publishes them for us-east-1 (US dollars, 2025).
    fn default() -> Self {
        let archive = Price {
            overhead_bytes: 32 << 10,
            overhead_standard_bytes: 8 << 10,
            ..Price::default()
        };
        let infrequent = Price {
            minimum_days: 30,
            minimum_bytes: 128 << 10,
            writes_1000: 0.01,
            read_gb: 0.01,
            ..Price::default()
        };
        let known = [
            (
                STANDARD,
                Price {
                    gb_month: 0.023,
                    writes_1000: 0.005,
                    ..Price::default()
                },
            ),
            (
                "STANDARD_IA",
                Price {
                    gb_month: 0.0125,
                    ..infrequent
                },
            ),
            (
                "ONEZONE_IA",
                Price {
                    gb_month: 0.01,
                    ..infrequent
                },
            ),
            (
                "GLACIER_IR",
                Price {
                    gb_month: 0.004,
                    writes_1000: 0.02,
                    read_gb: 0.03,
                    minimum_days: 90,
                    minimum_bytes: 128 << 10,
                    ..Price::default()
                },
            ),
            (
                "GLACIER",
                Price {
                    gb_month: 0.0036,
                    writes_1000: 0.03,
                    read_gb: 0.01,
                    minimum_days: 90,
                    ..archive
                },
            ),
            (
                "DEEP_ARCHIVE",
                Price {
                    gb_month: 0.000_99,
                    writes_1000: 0.05,
                    read_gb: 0.02,
                    minimum_days: 180,
                    ..archive
                },
            ),
        ];
        Self(
            known
                .into_iter()
                .map(|(class, price)| (class.to_owned(), price))
                .collect(),
        )
    }
}

impl Prices {
    /// These in the place of those that were known.
    ///
    /// # Errors
    /// What is no price.
    pub fn with(mut self, given: BTreeMap<String, Price>) -> Result<Self, String> {
        for (class, price) in given {
            let Price {
                gb_month,
                writes_1000,
                read_gb,
                ..
            } = price;
            if [gb_month, writes_1000, read_gb]
                .iter()
                .any(|amount| !amount.is_finite() || *amount < 0.0)
            {
                return Err(format!("{class}: a price is a number that is not below 0"));
            }
            self.0.insert(class, price);
        }
        Ok(self)
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|class, _| keeps(class));
    }

    /// `None`: it has no price, and so nothing moves there.
    pub fn of(&self, class: &str) -> Option<&Price> {
        self.0.get(class)
    }

    /// What the overhead that is not at a class's own price costs.
    fn standard(&self) -> f64 {
        self.of(STANDARD).map_or(0.0, |price| price.gb_month)
    }

    /// Of an object in a class, for so many days.
    pub fn of_days(&self, price: &Price, size_bytes: u64, days: f64) -> f64 {
        let own = size_bytes.max(price.minimum_bytes) + price.overhead_bytes;
        let month = own as f64 / GB * price.gb_month
            + price.overhead_standard_bytes as f64 / GB * self.standard();
        month * days / DAYS_PER_MONTH
    }

    /// What is still paid for when an object leaves a class that it was in for so many days.
    pub fn of_leaving(&self, price: &Price, size_bytes: u64, days: f64) -> f64 {
        let left = (f64::from(price.minimum_days) - days).max(0.0);
        self.of_days(price, size_bytes, left)
    }

    /// Of reading an object from one class and writing it into another.
    pub fn of_copy(&self, from: &Price, to: &Price, size_bytes: u64) -> f64 {
        size_bytes as f64 / GB * from.read_gb + to.writes_1000 / 1000.0
    }

    /// The tiers among these classes that have no price.
    pub fn lacking(&self, classes: &super::Classes) -> Vec<(Tier, String)> {
        let lacks = |tier: &Tier| self.of(classes.of(*tier)).is_none();
        let lacking = Tier::ALL.into_iter().filter(lacks);
        lacking
            .map(|tier| (tier, classes.of(tier).to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiering::Classes;

    fn near(is: f64, wanted: f64) {
        assert!((is - wanted).abs() < 1e-12, "{is} instead of {wanted}");
    }

    #[test]
    fn small_objects_are_billed_as_larger_ones() {
        let prices = Prices::default();
        let month = |class: &str, size| {
            let price = prices.of(class).expect("it is known");
            prices.of_days(price, size, DAYS_PER_MONTH)
        };
        near(month("STANDARD", 1 << 30), 0.023);
        near(month("STANDARD", 0), 0.0);
        near(month("STANDARD_IA", 1), month("STANDARD_IA", 128 << 10));
        let kilobyte = 1024.0 / GB;
        near(
            month("DEEP_ARCHIVE", 100 << 10),
            kilobyte * (132.0 * 0.000_99 + 8.0 * 0.023),
        );
    }

    #[test]
    fn who_leaves_early_pays_for_the_rest() {
        let prices = Prices::default();
        let cold = prices.of("GLACIER_IR").expect("it is known");
        let size = 1 << 30;
        near(
            prices.of_leaving(cold, size, 30.0),
            prices.of_days(cold, size, 60.0),
        );
        near(prices.of_leaving(cold, size, 90.0), 0.0);
        near(prices.of_leaving(cold, size, 400.0), 0.0);
        let hot = prices.of(STANDARD).expect("it is known");
        near(prices.of_leaving(hot, size, 0.0), 0.0);
        near(prices.of_copy(cold, hot, size), 0.03 + 0.000_005);
    }

    #[test]
    fn given_prices_count_and_are_numbers() {
        let own = Price {
            gb_month: 1.0,
            ..Price::default()
        };
        let given = |price| BTreeMap::from([("COLD".to_owned(), price)]);
        let prices = Prices::default().with(given(own)).expect("they are prices");
        assert_eq!(prices.of("COLD"), Some(&own));
        assert!(prices.of("STANDARD_IA").is_some());
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let price = Price {
                read_gb: wrong,
                ..own
            };
            assert!(Prices::default().with(given(price)).is_err(), "{wrong}");
        }
        let mut classes = Classes::default();
        assert_eq!(prices.lacking(&classes), []);
        classes
            .set(Tier::Cold, "ICE".to_owned())
            .expect("it may be a class");
        assert_eq!(prices.lacking(&classes), [(Tier::Cold, "ICE".to_owned())]);
    }
}
