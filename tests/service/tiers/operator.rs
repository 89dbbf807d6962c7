//! What operators set and see of tiers.

use super::world::World;
use hansard::domain::tiering::Tier;

/// Runs a command of an operator; whether it was right, and what it said.
fn hansard(world: &World, arguments: &[&str], prices: &str) -> (bool, String) {
    let scratch = crate::support::Scratch::new();
    let path = scratch.path().join("prices.toml");
    std::fs::write(&path, prices).expect("there is room");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args(arguments)
        .env("DATABASE_URL", &world.app.url)
        .env("HANSARD_DATA", scratch.path())
        .env("HANSARD_TIER_PRICES", &path)
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn operators_set_days_and_see_what_would_move() {
    let world = World::start().await;
    let made = world.one().await;
    let (works, said) = hansard(&world, &["tenant", "set", "one", "--warm-days", "7"], "");
    assert!(
        works && said.contains("warm       7\ncold       90\n"),
        "{said}"
    );
    let set = world.app.get("/v1/tenant").await.expect(200);
    assert_eq!(set["tierDays"]["warm"], 7);
    for (arguments, why) in [
        (
            ["tenant", "set", "one", "--warm-days", "91"],
            "cold-days must not be less than warm",
        ),
        (
            ["tenant", "set", "nobody", "--warm-days", "1"],
            "hansard tenant list",
        ),
        (
            ["tenant", "set", "one", "--warm-days", "0"],
            "neither 1 to 36500 days nor never",
        ),
    ] {
        let (works, said) = hansard(&world, &arguments, "");
        assert!(!works && said.contains(why), "{said}");
    }
    sqlx::query("update meetings set end_time = end_time - interval '8 days' where id = $1")
        .bind(made.meeting.0)
        .execute(&mut world.app.sql().await)
        .await
        .expect("it may");
    // Five kilobytes are not worth it, unless it costs nothing.
    let (works, said) = hansard(&world, &["tier", "plan"], "");
    assert!(works && said.contains("hot stays"), "{said}");
    let free: String = Tier::ALL
        .iter()
        .map(|tier| format!("[{}]\ngbMonth = 0\nwrites1000 = 0\n", tier.class()))
        .collect();
    let (works, said) = hansard(&world, &["tier", "plan", "--tenant", "one"], &free);
    assert!(works && said.contains("hot → warm"), "{said}");
    let (works, said) = hansard(&world, &["tier", "plan", "--tenant", "nobody"], "");
    assert!(!works && said.contains("hansard tenant list"), "{said}");
    // It moved nothing.
    world.is_in(&made, Tier::Hot).await;
}
