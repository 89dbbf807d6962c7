//! Which storage class each tier is, and what classes cost.

use super::{ConfigError, command::Stores};
use crate::domain::tiering::{
    Tariff, Tier,
    price::{Price, Prices},
};
use std::{collections::BTreeMap, path::Path};

const PRICES: &str = "tier-prices";

/// As the settings have it.
pub(super) fn resolve(stores: &Stores) -> Result<Tariff, ConfigError> {
    let mut tariff = Tariff::default();
    let given = [
        ("s3-class-hot", Tier::Hot, &stores.s3_class_hot),
        ("s3-class-warm", Tier::Warm, &stores.s3_class_warm),
        ("s3-class-cold", Tier::Cold, &stores.s3_class_cold),
        ("s3-class-archive", Tier::Archive, &stores.s3_class_archive),
    ];
    for (name, tier, class) in given {
        if let Some(class) = class {
            tariff
                .classes
                .set(tier, class.clone())
                .map_err(|why| wrong(name, why))?;
        }
    }
    if let Some(path) = &stores.tier_prices {
        tariff.prices = read(path)?;
    }
    if let Some((tier, class)) = tariff.prices.lacking(&tariff.classes).first() {
        let why = format!("it must have a table [{class}], the class of the tier {tier}");
        return Err(wrong(PRICES, why));
    }
    Ok(tariff)
}

fn read(path: &Path) -> Result<Prices, ConfigError> {
    let fault = |why: String| ConfigError::File {
        path: path.to_owned(),
        why,
    };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    let given: BTreeMap<String, Price> =
        toml::from_str(&text).map_err(|error| fault(error.to_string()))?;
    Prices::default().with(given).map_err(fault)
}

fn wrong(name: &str, why: String) -> ConfigError {
    ConfigError::Wrong {
        name: name.to_owned(),
        why,
    }
}
