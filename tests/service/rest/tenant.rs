//! What a tenant sets for all its meetings.

use super::app::{App, text};
use serde_json::json;

const PATH: &str = "/v1/tenant";

#[tokio::test]
async fn a_tenant_sets_what_holds_for_its_meetings() {
    let app = App::start().await;
    let defaults = json!({
        "id": app.tenant, "name": "one", "tierDays": {"warm": 30, "cold": 90, "archive": 365},
        "retentionDays": "never", "selfErasure": "ask"
    });
    assert_eq!(app.get(PATH).await.expect(200), defaults);
    let set = async |body| app.call("PATCH", PATH, &app.key, Some(body)).await;
    assert_eq!(set(json!({})).await.expect(200), defaults);
    let changed = set(json!({"tierDays": {"archive": "never", "warm": 7}, "retentionDays": 400}))
        .await
        .expect(200);
    assert_eq!(
        changed["tierDays"],
        json!({"warm": 7, "cold": 90, "archive": "never"})
    );
    assert_eq!(changed["retentionDays"], 400);
    // What is not named stays, null included.
    let changed = set(json!({"tierDays": null, "selfErasure": "auto", "retentionDays": null}))
        .await
        .expect(200);
    assert_eq!(changed["tierDays"]["warm"], 7);
    assert_eq!(
        (text(&changed["selfErasure"]), &changed["retentionDays"]),
        ("auto".to_owned(), &json!(400))
    );
    assert_eq!(app.get(PATH).await.expect(200), changed);
    // The other tenant has its own.
    let (_, other) = app.other_tenant().await;
    let theirs = app.call("GET", PATH, &other, None).await.expect(200);
    assert_eq!(
        (text(&theirs["name"]), &theirs["tierDays"]),
        ("two".to_owned(), &defaults["tierDays"])
    );
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let app = App::start().await;
    let before = app.get(PATH).await.expect(200);
    for (body, pointer) in [
        (json!({"tierDays": {"warm": 0}}), "/tierDays/warm"),
        (json!({"tierDays": {"cold": 36_501}}), "/tierDays/cold"),
        (
            json!({"tierDays": {"archive": "always"}}),
            "/tierDays/archive",
        ),
        (json!({"tierDays": {"warm": 91}}), "/tierDays/cold"),
        (
            json!({"tierDays": {"cold": "never", "archive": 29}}),
            "/tierDays/archive",
        ),
        (json!({"tierDays": {"frozen": 1}}), "/tierDays/frozen"),
        (json!({"retentionDays": -1}), "/retentionDays"),
        (json!({"selfErasure": "sometimes"}), "/selfErasure"),
    ] {
        app.call("PATCH", PATH, &app.key, Some(body))
            .await
            .points_at(&[pointer]);
    }
    assert_eq!(app.get(PATH).await.expect(200), before);
}

/// Two who change different things at once both have their way.
#[tokio::test]
async fn changes_do_not_undo_each_other() {
    let app = App::start().await;
    let set = |body| app.call("PATCH", PATH, &app.key, Some(body));
    let (one, two) = tokio::join!(
        set(json!({"tierDays": {"warm": 5}})),
        set(json!({"retentionDays": 500}))
    );
    one.expect(200);
    two.expect(200);
    let now = app.get(PATH).await.expect(200);
    assert_eq!(
        (&now["tierDays"]["warm"], &now["retentionDays"]),
        (&json!(5), &json!(500))
    );
}
