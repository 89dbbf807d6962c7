use super::*;
use crate::tiering::STANDARD;
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

fn day(n: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time") + TimeDelta::days(n)
}

fn file(size_bytes: u64) -> File<'static> {
    File {
        size_bytes,
        tier: Tier::Hot,
        class: STANDARD,
        since: day(0),
        ended: day(0),
        played: None,
        expires: None,
    }
}

fn tariff() -> Tariff {
    Tariff::default()
}

/// Everything costs nothing, so that age alone decides.
fn free() -> Tariff {
    let given = Tier::ALL.map(|tier| (tier.class().to_owned(), Price::default()));
    Tariff {
        prices: Prices::default()
            .with(BTreeMap::from(given))
            .expect("they are prices"),
        ..Tariff::default()
    }
}

fn to(file: &File<'_>, n: i64) -> Option<Tier> {
    decide(file, &TierDays::default(), &tariff(), day(n)).to
}

#[test]
fn a_large_file_goes_through_the_tiers_by_its_age() {
    let file = file(100 * MIB);
    let planned = moves(&file, &TierDays::default(), &tariff(), day(0), day(4000));
    assert_eq!(
        planned,
        [
            (day(30), Tier::Warm),
            (day(90), Tier::Cold),
            (day(365), Tier::Archive)
        ]
    );
    for (n, tier) in [(0, None), (29, None), (30, Some(Tier::Warm))] {
        let decision = decide(&file, &TierDays::default(), &tariff(), day(n));
        assert_eq!(decision.to, tier, "{n}");
        let next = if n < 30 { day(30) } else { day(90) };
        assert_eq!(decision.next, Some(next), "{n}");
        assert!(decision.saves() > 0.0, "{decision:?}");
    }
    // What nobody looked at for long goes where it belongs at once.
    assert_eq!(to(&file, 100), Some(Tier::Cold));
    assert_eq!(to(&file, 1000), Some(Tier::Archive));
}

#[test]
fn a_fetch_puts_the_next_move_off_and_brings_nothing_back() {
    let mut file = file(100 * MIB);
    file.played = Some(day(25));
    assert_eq!(to(&file, 54), None);
    assert_eq!(to(&file, 55), Some(Tier::Warm));
    file = File {
        tier: Tier::Warm,
        class: "STANDARD_IA",
        since: day(30),
        played: Some(day(80)),
        ..file
    };
    let decision = decide(&file, &TierDays::default(), &tariff(), day(90));
    assert_eq!((decision.to, decision.next), (None, Some(day(170))));
    // Before its meeting ended nobody could.
    file.played = Some(day(-5));
    assert_eq!(to(&file, 90), Some(Tier::Cold));
    // From the last tier nothing goes on.
    let archived = File {
        tier: Tier::Archive,
        class: "DEEP_ARCHIVE",
        played: Some(day(400)),
        ..file
    };
    let decision = decide(&archived, &TierDays::default(), &tariff(), day(401));
    assert_eq!((decision.to, decision.next), (None, None));
}

#[test]
fn a_tier_that_is_never_got_to_is_left_out() {
    let days = |warm, cold, archive| TierDays {
        warm,
        cold,
        archive,
    };
    use Days::{After, Never};
    let planned = |days: TierDays| {
        let moved = moves(&file(100 * MIB), &days, &tariff(), day(0), day(4000));
        moved.into_iter().map(|(_, tier)| tier).collect::<Vec<_>>()
    };
    assert_eq!(planned(days(Never, Never, Never)), []);
    assert_eq!(planned(days(Never, After(90), Never)), [Tier::Cold]);
    assert_eq!(planned(days(After(30), Never, Never)), [Tier::Warm]);
    // Where two begin on one day, it is the deeper one.
    assert_eq!(planned(days(After(90), After(90), Never)), [Tier::Cold]);
}

#[test]
fn what_costs_more_than_it_saves_stays() {
    // 50 KiB are billed as 128 in both warm and cold, and a copy costs more than months of them.
    let planned = |file: File<'_>| {
        let moved = moves(&file, &TierDays::default(), &tariff(), day(0), day(3000));
        moved.into_iter().map(|(_, tier)| tier).collect::<Vec<_>>()
    };
    let small = file(50 << 10);
    assert_eq!(
        planned(File {
            expires: Some(day(700)),
            ..small
        }),
        []
    );
    // Kept for ten years it pays, but not where it costs more than where it is.
    assert!(!planned(small).is_empty() && !planned(small).contains(&Tier::Warm));
    // What is deleted on day 40 pays for 30 days of warm in any case, and for a copy.
    let short = File {
        expires: Some(day(40)),
        ..file(MIB)
    };
    assert_eq!(to(&short, 30), None);
    assert_eq!(
        to(
            &File {
                expires: Some(day(85)),
                ..file(100 * MIB)
            },
            30
        ),
        Some(Tier::Warm)
    );
    // Ten days before it would be cold, warm costs its thirty days and a retrieval.
    let days = TierDays {
        warm: Days::After(30),
        cold: Days::After(32),
        archive: Days::Never,
    };
    let planned = moves(&file(100 * MIB), &days, &tariff(), day(0), day(4000));
    assert_eq!(planned, [(day(32), Tier::Cold)]);
    // In the archive for less than half a year.
    let late = File {
        tier: Tier::Cold,
        class: "GLACIER_IR",
        since: day(90),
        expires: Some(day(380)),
        ..file(MIB)
    };
    assert_eq!(to(&late, 365), None);
}

#[test]
fn tiers_of_one_class_differ_in_the_row_only() {
    let mut tariff = tariff();
    tariff
        .classes
        .set(Tier::Warm, STANDARD.to_owned())
        .expect("it may");
    // Even the smallest: it costs nothing.
    let small = file(1);
    let decision = decide(&small, &TierDays::default(), &tariff, day(30));
    assert_eq!(decision.to, Some(Tier::Warm));
    assert!(decision.saves().abs() < 1e-12);
    let planned = moves(
        &file(100 * MIB),
        &TierDays::default(),
        &tariff,
        day(0),
        day(200),
    );
    assert_eq!(planned, [(day(30), Tier::Warm), (day(90), Tier::Cold)]);
}

#[test]
fn where_nothing_costs_anything_age_decides() {
    let planned = moves(&file(1), &TierDays::default(), &free(), day(0), day(4000));
    assert_eq!(
        planned,
        [
            (day(30), Tier::Warm),
            (day(90), Tier::Cold),
            (day(365), Tier::Archive)
        ]
    );
}

#[test]
fn nothing_goes_where_it_has_no_price_or_could_not_be_checked() {
    let mut unknown = tariff();
    unknown
        .classes
        .set(Tier::Warm, "ICE".to_owned())
        .expect("it may");
    let decision = decide(&file(100 * MIB), &TierDays::default(), &unknown, day(30));
    assert_eq!((decision.to, decision.next), (None, Some(day(90))));
    let cold = File {
        tier: Tier::Cold,
        class: "GLACIER_IR",
        since: day(90),
        ..file(100 * MIB)
    };
    let mut closed = tariff();
    closed.close(|class| class == "DEEP_ARCHIVE");
    let decision = decide(&cold, &TierDays::default(), &closed, day(365));
    assert_eq!((decision.to, decision.next), (None, None));
}

/// The bill of a way through the tiers, by its own arithmetic: day by day.
fn bill(size_bytes: u64, way: &[(DateTime<Utc>, Tier)], end: i64) -> f64 {
    let prices = Prices::default();
    let price = |tier: Tier| *prices.of(tier.class()).expect("it is known");
    let (mut tier, mut since, mut sum) = (Tier::Hot, 0_i64, 0.0);
    let gb = |bytes: u64| bytes as f64 / 1_073_741_824.0;
    let daily = |tier: Tier| {
        let price = price(tier);
        let own = gb(size_bytes.max(price.minimum_bytes) + price.overhead_bytes) * price.gb_month;
        (own + gb(price.overhead_standard_bytes) * 0.023) * 24.0 / 730.0
    };
    for n in 0..end {
        for (_, next) in way.iter().filter(|(at, _)| *at == day(n)) {
            let left = i64::from(price(tier).minimum_days) - (n - since);
            sum += daily(tier) * left.max(0) as f64;
            sum += gb(size_bytes) * price(tier).read_gb + price(*next).writes_1000 / 1000.0;
            (tier, since) = (*next, n);
        }
        sum += daily(tier);
    }
    let left = i64::from(price(tier).minimum_days) - (end - since);
    sum + daily(tier) * left.max(0) as f64
}

/// A thousand files of all sizes, each through its life: what is decided day by day costs what was
/// planned on the first, and no other way through the tiers costs less.
#[test]
fn a_simulated_year_costs_what_was_planned_and_no_way_costs_less() {
    let mut seed = 7_u64;
    let mut dice = |most: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let (mut moved, mut stayed) = (0, 0);
    for n in 0..1000 {
        let size_bytes = 1 << (10 + dice(21)) | dice(1000);
        let end = 35 + i64::try_from(dice(1500)).expect("it is small");
        let file = File {
            expires: Some(day(end)),
            ..file(size_bytes)
        };
        let days = TierDays {
            warm: Days::After(30),
            cold: Days::After(90),
            archive: Days::After(365),
        };
        let planned = decide(&file, &days, &tariff(), day(0)).costs;
        // Looked at each day, as a worker would that wakes too often.
        let (mut way, mut now) = (Vec::new(), file);
        for n in 0..end {
            if let Some(tier) = decide(&now, &days, &tariff(), day(n)).to {
                assert!(tier > now.tier, "file {n} comes back");
                way.push((day(n), tier));
                now = File {
                    tier,
                    class: tier.class(),
                    since: day(n),
                    ..now
                };
            }
        }
        assert_eq!(way, moves(&file, &days, &tariff(), day(0), day(end)));
        let paid = bill(size_bytes, &way, end);
        assert!(
            (paid - planned).abs() < 1e-9 + planned * 1e-9,
            "file {n}: {paid} instead of {planned}"
        );
        let steps = [
            (day(30), Tier::Warm),
            (day(90), Tier::Cold),
            (day(365), Tier::Archive),
        ];
        for which in 0..8_u32 {
            let other: Vec<_> = (0..3)
                .filter(|bit| which & 1 << bit != 0)
                .map(|bit| steps[bit])
                .filter(|(at, _)| *at < day(end))
                .collect();
            let other = bill(size_bytes, &other, end);
            assert!(paid <= other + 1e-9, "file {n}: {paid} and not {other}");
        }
        if way.is_empty() {
            stayed += 1;
        } else {
            moved += 1;
        }
    }
    assert!(
        moved > 300 && stayed > 100,
        "{moved} moved, {stayed} stayed"
    );
}
