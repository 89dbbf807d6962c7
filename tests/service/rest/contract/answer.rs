//! What every operation answers alike: refusals, numbers, CORS; and the addresses beside them.

use super::*;

#[tokio::test]
async fn every_operation_refuses_alike() {
    let app = App::start().await;
    let bearer = format!("Bearer {}", app.key);
    let json_type = ("content-type", "application/json");
    let fresh = Uuid::now_v7().to_string();
    for (method, path, operation) in operations() {
        let content = operation["requestBody"]["content"].as_object();
        if content.is_some_and(|content| !content.contains_key("application/json")) {
            // Text, which is tried where it is read.
            continue;
        }
        let here = format!("{method} {path}");
        eprintln!("{here}");
        let documented = |status: u16| operation["responses"].get(status.to_string()).is_some();
        let filled = fill(&path, &fresh);
        let takes_body = operation.get("requestBody").is_some();
        let body = takes_body.then(|| json!({}));
        app.send(request(&method, &filled, &[], body.clone()))
            .await
            .problem(401, "unauthorized");
        assert!(documented(401), "{here}");

        let with = |headers: &[(&str, &str)], body: Body| {
            let mut request = Request::builder()
                .method(method.as_str())
                .uri(&filled)
                .header("authorization", &bearer);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(body).expect("a request")
        };
        if takes_body {
            assert!([400, 413, 415, 422].into_iter().all(documented), "{here}");
            app.send(with(&[json_type], Body::from(r#"{"surprise":1}"#)))
                .await
                .points_at(&["/surprise"]);
            app.send(with(&[json_type], Body::from("[]")))
                .await
                .problem(422, "invalid");
            for malformed in ["", "{", "{\"a\":}", "nul", "\u{0}"] {
                app.send(with(&[json_type], Body::from(malformed)))
                    .await
                    .problem(400, "bad_request");
            }
            let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
            app.send(with(&[json_type], Body::from(deep)))
                .await
                .problem(400, "bad_request");
            app.send(with(&[json_type], Body::from(vec![0xff, 0xfe])))
                .await
                .problem(400, "bad_request");
            let padded =
                |length: usize| format!("{{\"surprise\":\"{}\"}}", "x".repeat(length - 15));
            app.send(with(&[json_type], Body::from(padded(65_536))))
                .await
                .problem(422, "invalid");
            app.send(with(&[json_type], Body::from(padded(65_537))))
                .await
                .problem(413, "too_large");
            for kind in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "application/jsonx",
                "",
            ] {
                app.send(with(&[("content-type", kind)], Body::from("{}")))
                    .await
                    .problem(415, "unsupported_media_type");
            }
            app.send(with(&[], Body::from("{}")))
                .await
                .problem(415, "unsupported_media_type");
        } else if path.contains('{') {
            app.send(request(
                &method,
                &filled,
                &[("authorization", &bearer)],
                None,
            ))
            .await
            .problem(404, "not_found");
        }
        if path.contains('{') {
            assert!(documented(404), "{here}");
            for bad in ["1", "x", "%00", "00000000-0000-0000-0000-00000000000g"] {
                let bad = fill(&path, bad);
                app.send(request(
                    &method,
                    &bad,
                    &[("authorization", &bearer)],
                    body.clone(),
                ))
                .await
                .problem(400, "bad_request");
            }
        }
        let answer = app
            .send(request(
                "TRACE",
                &filled,
                &[("authorization", &bearer)],
                None,
            ))
            .await;
        assert!(
            answer
                .header("allow")
                .split(',')
                .any(|one| one.trim() == method),
            "{here}: {}",
            answer.header("allow")
        );
        answer.problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn lists_refuse_unknown_parameters() {
    let app = App::start().await;
    for (method, path, operation) in operations() {
        let has_limit = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one["name"] == "limit");
        if method != "GET" || !has_limit {
            continue;
        }
        for query in [
            "limit=0",
            "limit=201",
            "limit=ten",
            "cursor=%21",
            "surprise=1",
        ] {
            let path = format!("{}?{query}", fill(&path, &Uuid::now_v7().to_string()));
            app.get(&path).await.problem(400, "bad_request");
        }
    }
}

/// A cursor is the client's to keep, and to write: one with a time that Postgres does not hold is
/// refused like any other.
#[tokio::test]
async fn a_cursor_that_somebody_wrote_is_refused() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let app = App::start().await;
    let ana = app.user("Ana").await;
    app.meeting(ana).await;
    let session = app.session(ana);
    for micros in [
        i64::MIN,
        -8_000_000_000_000_000_000,
        -1,
        253_402_300_800_000_000,
        8_000_000_000_000_000_000,
        i64::MAX,
    ] {
        let cursor = URL_SAFE_NO_PAD.encode(json!([micros, Uuid::now_v7()]).to_string());
        app.get(&format!("/v1/meetings?cursor={cursor}"))
            .await
            .problem(400, "bad_request");
        assert_eq!(
            app.call("GET", &format!("/host?cursor={cursor}"), &session, None)
                .await
                .status,
            404,
            "{micros}"
        );
    }
}

#[tokio::test]
async fn unknown_addresses_are_problems_too() {
    let app = App::start().await;
    for path in [
        "/v1",
        "/v1/",
        "/v1/meetings/",
        "/v2/meetings",
        "/v1/meetings/x/y/z",
        "/robots.txt",
        "/%2e%2e",
    ] {
        for method in ["GET", "POST", "BREW"] {
            app.call(method, path, &app.key, None)
                .await
                .problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn every_answer_has_a_number_and_problems_are_known() {
    let app = App::start().await;
    let one = app.get("/v1/meetings").await;
    // Tokens, names and words are for no cache.
    assert_eq!(one.header("cache-control"), "no-store");
    let two = app.get("/v1/nothing").await;
    let ids = [one.header("x-request-id"), two.header("x-request-id")]
        .map(|id| id.parse::<Uuid>().expect("an id"));
    assert_ne!(ids[0], ids[1]);
    for (name, status, title) in KINDS {
        assert!((400..=503).contains(status) && !title.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn pages_of_the_allow_list_may_call() {
    let app = App::start().await;
    let ask = |origin: &str| {
        request(
            "OPTIONS",
            "/v1/meetings",
            &[
                ("origin", origin),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,content-type,idempotency-key",
                ),
            ],
            None,
        )
    };
    for origin in [PUBLIC_URL, ALLOWED] {
        let answer = app.send(ask(origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(
            answer
                .header("access-control-allow-headers")
                .contains("idempotency-key")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let bearer = format!("Bearer {}", app.key);
        let read = request(
            "GET",
            "/v1/meetings",
            &[("origin", origin), ("authorization", &bearer)],
            None,
        );
        let answer = app.send(read).await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(
            answer
                .header("access-control-expose-headers")
                .contains("idempotency-replayed")
        );
    }
    for origin in [
        "https://evil.example.org",
        "null",
        "https://app.example.org.evil.org",
        "http://app.example.org",
    ] {
        assert_eq!(
            app.send(ask(origin))
                .await
                .header("access-control-allow-origin"),
            "",
            "{origin}"
        );
    }
}

#[tokio::test]
async fn the_documentation_is_served_and_loads_nothing_from_elsewhere() {
    let app = App::start().await;
    let document = app
        .send(request("GET", "/v1/openapi.json", &[], None))
        .await
        .expect(200);
    assert_eq!(document, docs::document_of(PUBLIC_URL));
    assert_eq!(document["servers"][0]["url"], PUBLIC_URL);
    let page = app.send(request("GET", "/docs/", &[], None)).await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self'")
    );
    for source in page
        .text
        .split(['"', '\''])
        .filter(|part| part.ends_with(".js") || part.ends_with(".css"))
    {
        assert!(!source.contains("//"), "{source}");
        let path = format!("/docs/{}", source.trim_start_matches("./"));
        assert_eq!(
            app.send(request("GET", &path, &[], None)).await.status,
            200,
            "{path}"
        );
    }
    let start = app
        .send(request("GET", "/docs/swagger-initializer.js", &[], None))
        .await;
    assert!(start.text.contains("/v1/openapi.json"), "{}", start.text);
    app.send(request("GET", "/docs/nothing", &[], None))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_operations_address_says_how_it_is() {
    use axum::http::StatusCode;
    use tower::ServiceExt;
    let app = App::start().await;
    let health: &'static Health = Box::leak(Box::default());
    let router = ops::router(ops::Ops {
        metrics: app.state.metrics.clone(),
        health,
    });
    let get = async |path: &str| {
        let response = router
            .clone()
            .oneshot(request("GET", path, &[], None))
            .await
            .expect("answers");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .expect("ends");
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(get("/livez").await.0, StatusCode::OK);
    let ready = async || {
        let (status, body) = get("/readyz").await;
        (
            status,
            serde_json::from_str::<serde_json::Value>(&body).expect("JSON"),
        )
    };
    let (status, body) = ready().await;
    assert_eq!(
        (status, &body["status"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"starting".into())
    );
    health.enter(Phase::Ready);
    let (status, body) = ready().await;
    assert_eq!(
        (status, &body["status"], &body["degraded"]),
        (StatusCode::OK, &"ready".into(), &json!([]))
    );
    assert_eq!(
        (&body["postgres"], &body["queue"]),
        (&"ok".into(), &"ok".into())
    );
    assert!(get("/version").await.1.contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(get("/metrics").await.0, StatusCode::OK);
    assert_eq!(get("/v1/meetings").await.0, StatusCode::NOT_FOUND);
    // What is away costs some of the service; the process itself goes on.
    health.degrade(Reason::Database, "no answer");
    health.degrade(Reason::NoWorker(JobKind::Mix), "2 jobs wait");
    let (status, body) = ready().await;
    assert_eq!(
        (status, &body["degraded"]),
        (StatusCode::OK, &json!(["database", "no_worker:mix"]))
    );
    assert_eq!(
        (&body["postgres"], &body["details"]["database"]["detail"]),
        (&"no answer".into(), &"no answer".into())
    );
    health.restore(Reason::Database);
    assert_eq!(ready().await.1["degraded"], json!(["no_worker:mix"]));
    health.enter(Phase::Draining);
    assert_eq!(ready().await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get("/livez").await.0, StatusCode::OK);
}
