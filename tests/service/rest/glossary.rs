//! The tenant's glossary, and how it reaches a meeting.

use super::app::App;
use hansard::store::capture;
use serde_json::json;

#[tokio::test]
async fn the_tenants_glossary_comes_before_each_meetings_own() {
    let app = App::start().await;
    let path = "/v1/glossary";
    assert_eq!(app.get(path).await.expect(200), json!({"terms": []}));
    let ana = app.user("Ana").await;
    let own = json!({"glossary": ["Hansard", "Ana"]});
    let meeting = app.meeting_with(ana, own.clone()).await;
    for terms in [json!(["gone"]), json!(["Erskine May", "Hansard"])] {
        let body = json!({"terms": terms});
        let put = app.call("PUT", path, &app.key, Some(body.clone())).await;
        assert_eq!(put.expect(200), body);
        assert_eq!(app.get(path).await.expect(200), body);
    }
    // The other tenant's meetings do not hear of it.
    let (_, other) = app.other_tenant().await;
    let theirs = app.call("GET", path, &other, None).await;
    assert_eq!(theirs.expect(200), json!({"terms": []}));

    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let loaded = capture::load(&mut tx, meeting)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(loaded.settings.glossary, ["Erskine May", "Hansard", "Ana"]);
    // The meeting's settings stay what they were set to.
    let read = app
        .get(&format!("/v1/meetings/{meeting}"))
        .await
        .expect(200);
    assert_eq!(read["settings"]["glossary"], own["glossary"]);

    let cleared = app
        .call("PUT", path, &app.key, Some(json!({"terms": []})))
        .await;
    cleared.expect(200);
    let loaded = capture::load(&mut tx, meeting)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(loaded.settings.glossary, ["Hansard", "Ana"]);
}

#[tokio::test]
async fn a_glossary_has_the_limits_of_a_meetings() {
    let app = App::start().await;
    let put = async |body| app.call("PUT", "/v1/glossary", &app.key, Some(body)).await;
    for (body, pointers) in [
        (json!({}), &["/terms"][..]),
        (
            json!({"terms": ["a", "", "b\u{7}", "a".repeat(65)]}),
            &["/terms/1", "/terms/2", "/terms/3"],
        ),
        (json!({"terms": vec!["a"; 101]}), &["/terms"]),
        (json!({"terms": [], "more": 1}), &["/more"]),
    ] {
        put(body).await.points_at(pointers);
    }
    put(json!({"terms": vec!["a".repeat(64); 100]}))
        .await
        .expect(200);
}
