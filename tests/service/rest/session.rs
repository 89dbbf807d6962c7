use super::app::{App, PUBLIC_URL, request, text};
use hansard::api::token::COOKIE;
use serde_json::json;
use uuid::Uuid;

async fn open(app: &App, user: Uuid) -> (String, String) {
    let opened = app
        .post(
            &format!("/v1/users/{user}/sessions"),
            json!({"ttlSeconds": 3600}),
        )
        .await
        .expect(201);
    let url = text(&opened["url"]);
    let path = url.strip_prefix(PUBLIC_URL).expect("ours").to_owned();
    // What reads links before a person does (previews, scanners, HEAD) leaves them as they are.
    for method in ["HEAD", "GET", "GET", "HEAD"] {
        let answer = app.send(request(method, &path, &[], None)).await;
        assert_eq!(
            (
                answer.status,
                answer.header("set-cookie"),
                answer.header("cache-control")
            ),
            (200, "", "no-store")
        );
        assert_eq!(
            answer.text.contains("<form method=\"post\"><button"),
            method == "GET",
            "{}",
            answer.text
        );
        assert!(
            answer
                .header("content-security-policy")
                .contains("form-action 'self'")
        );
    }
    let elsewhere = app
        .send(request(
            "POST",
            &path,
            &[("sec-fetch-site", "cross-site")],
            None,
        ))
        .await;
    assert_eq!(
        (elsewhere.status, elsewhere.header("set-cookie")),
        (403, "")
    );
    let answer = app
        .send(request(
            "POST",
            &path,
            &[("sec-fetch-site", "same-origin")],
            None,
        ))
        .await;
    assert_eq!((answer.status, answer.header("location")), (303, "/host"));
    let cookie = answer.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Secure"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    (path, cookie.split(';').next().expect("a pair").to_owned())
}

/// A page has one script, a file of ours, which may be kept for as long as it has this address.
async fn script(app: &App, page: &str, root: &str) {
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    let source = page
        .split("<script type=\"module\" src=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a file");
    assert!(source.starts_with(&format!("{root}/web/")), "{source}");
    let answer = app.send(request("GET", source, &[], None)).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/javascript; charset=utf-8")
    );
    assert!(answer.header("cache-control").contains("immutable"));
    assert!(answer.text.contains("hansard-meeting"));
    let (folder, _) = source.rsplit_once('/').expect("a folder");
    let missing = app
        .send(request("GET", &format!("{folder}/other.js"), &[], None))
        .await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn the_address_itself_says_where_to_go() {
    for (url, root) in [
        ("https://hansard.example.org", ""),
        ("https://example.org/meet/hansard", "/meet/hansard"),
    ] {
        let app = App::below(url).await;
        let page = app
            .send(request("GET", &format!("{root}/"), &[], None))
            .await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "text/html; charset=utf-8")
        );
        assert!(!page.text.contains("<script"));
        for place in ["/host", "/docs/", "/v1/openapi.json", "/favicon.ico"] {
            assert!(
                page.text.contains(&format!("href=\"{root}{place}\"")),
                "{}",
                page.text
            );
        }
        let german = request(
            "GET",
            &format!("{root}/"),
            &[("accept-language", "de-AT,en;q=0.5")],
            None,
        );
        let german = app.send(german).await.text;
        assert!(german.contains("<html lang=\"de\">"), "{german}");
        assert!(german.contains("<title>Willkommen"), "{german}");
        let icon = format!("{root}/favicon.ico");
        let icon = app.send(request("GET", &icon, &[], None)).await;
        assert_eq!(
            (icon.status, icon.header("content-type")),
            (200, "image/x-icon")
        );
    }
}

#[tokio::test]
async fn a_sessions_url_opens_once_and_lists_the_hosts_meetings() {
    let app = App::start().await;
    let (ana, bob) = (app.user("<Ana> & \"co\"").await, app.user("Bob").await);
    let (meeting, other) = (app.meeting(ana).await, app.meeting(bob).await);
    let (path, cookie) = open(&app, ana).await;
    for method in ["GET", "POST"] {
        let again = app.send(request(method, &path, &[], None)).await;
        assert_eq!((again.status, again.header("set-cookie")), (410, ""));
        for wrong in ["/s/hc_x", "/s/x", &format!("/s/hc_{}", "A".repeat(43))] {
            assert_eq!(
                app.send(request(method, wrong, &[], None)).await.status,
                410,
                "{wrong}"
            );
        }
    }

    let page = app
        .send(request("GET", "/host", &[("cookie", &cookie)], None))
        .await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    script(&app, &page.text, "").await;
    // Nothing is made twice: scripts read it, and browsers without go on.
    assert!(!page.text.contains(&meeting.to_string()), "{}", page.text);
    assert!(page.text.contains("content=\"0; url=/host?plain=true\""));

    let get = async |path: String| {
        app.send(request("GET", &path, &[("cookie", &cookie)], None))
            .await
    };
    let page = get("/host?plain=true".into()).await;
    assert!(
        page.text.contains("&lt;Ana&gt; &amp; &quot;co&quot;"),
        "{}",
        page.text
    );
    assert!(
        page.text
            .contains(&format!("/host/meetings/{meeting}?plain=true"))
    );
    assert!(!page.text.contains(&other.to_string()) && !page.text.contains("<script"));
    let one = get(format!("/host/meetings/{meeting}")).await;
    assert_eq!(one.status, 200, "{}", one.text);
    let next = format!("url=/host/meetings/{meeting}?plain=true");
    assert!(one.text.contains(&next), "{}", one.text);
    let one = get(format!("/host/meetings/{meeting}?plain=true")).await;
    assert_eq!(one.status, 200, "{}", one.text);
    for link in one
        .text
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("quoted").to_owned())
    {
        assert_eq!(get(link.clone()).await.status, 200, "{link}");
    }
    assert_eq!(get(format!("/host/meetings/{other}")).await.status, 403);
    assert_eq!(
        get(format!("/host/meetings/{}", Uuid::now_v7()))
            .await
            .status,
        404
    );
    assert_eq!(get("/host/meetings/x".to_owned()).await.status, 404);
    let nobody = app.send(request("GET", "/host", &[], None)).await;
    assert_eq!(
        (nobody.status, nobody.header("content-type")),
        (401, "text/html; charset=utf-8")
    );
    let key = app.call("GET", "/host", &app.key, None).await;
    assert_eq!(key.status, 403);
}

#[tokio::test]
async fn a_meetings_page_plays_what_is_ready() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting_with(ana, json!({"language": "en"})).await;
    for (kind, status) in [("mix", "ready"), ("track", "processing")] {
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms, duration_ms, status, blob_url,
                                     size_bytes)
             values ($1, $2, $3, $4, 'audio/mp4', 0, 61000, $5, 's3://hansard/a', 2048)",
        )
        .bind(Uuid::now_v7())
        .bind(app.tenant.0)
        .bind(meeting.0)
        .bind(kind)
        .bind(status)
        .execute(&mut app.sql().await)
        .await
        .expect("inserted");
    }
    let (_, cookie) = open(&app, ana).await;
    let page = app
        .send(request(
            "GET",
            &format!("/host/meetings/{meeting}?plain=true"),
            &[("cookie", &cookie)],
            None,
        ))
        .await;
    assert_eq!(page.status, 200);
    assert_eq!(page.text.matches("<video").count(), 1);
    assert!(
        page.text.contains("srclang=\"en\"") && page.text.contains("1:01"),
        "{}",
        page.text
    );
    let source = page
        .text
        .split("<video")
        .nth(1)
        .and_then(|rest| rest.split("src=\"").nth(1))
        .and_then(|rest| rest.split('"').next())
        .expect("a source");
    let content = app
        .send(request("GET", source, &[("cookie", &cookie)], None))
        .await;
    assert_eq!(content.status, 302);
    // What the policy lets a player load is where that leads.
    let origin = app.state.media_origin.clone();
    assert!(content.header("location").starts_with(&origin));
    assert!(
        page.header("content-security-policy")
            .contains(&format!("media-src 'self' blob: {origin};"))
    );
}

#[tokio::test]
async fn a_guests_link_says_what_it_is_for() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let body = json!({"role": "participant", "expiresAt": null});
    let made = app
        .post(&format!("/v1/meetings/{meeting}/links"), body)
        .await
        .expect(201);
    let url = text(&made["url"]);
    let (page, _) = url
        .strip_prefix(PUBLIC_URL)
        .expect("ours")
        .split_once('#')
        .expect("a fragment");
    for method in ["GET", "HEAD"] {
        let answer = app.send(request(method, page, &[], None)).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "text/html; charset=utf-8")
        );
        assert_eq!(
            answer.text.contains("invited to a meeting"),
            method == "GET"
        );
        if method == "GET" {
            script(&app, &answer.text, "").await;
            let element = format!("<hansard-meeting root=\"\" meeting=\"{meeting}\">");
            assert!(answer.text.contains(&element), "{}", answer.text);
        }
    }
    assert_eq!(
        app.send(request("GET", "/m/nothing", &[], None))
            .await
            .status,
        404
    );
}

/// Behind a proxy that adds a path, whether it strips it on the way in or not.
#[tokio::test]
async fn pages_below_a_path_link_below_it() {
    let app = App::below("https://example.org/meet/hansard").await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let opened = app
        .post(
            &format!("/v1/users/{ana}/sessions"),
            json!({"ttlSeconds": 60}),
        )
        .await
        .expect(201);
    let path = text(&opened["url"])
        .strip_prefix("https://example.org")
        .expect("ours")
        .to_owned();
    assert!(path.starts_with("/meet/hansard/s/"), "{path}");
    let answer = app.send(request("POST", &path, &[], None)).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/meet/hansard/host")
    );
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.contains("Path=/meet/hansard;"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    for stripped in ["", "/meet/hansard"] {
        for page in ["/host".to_owned(), format!("/host/meetings/{meeting}")] {
            let page = format!("{stripped}{page}");
            let answer = app
                .send(request("GET", &page, &[("cookie", &cookie)], None))
                .await;
            assert_eq!(answer.status, 200, "{page}");
            let links: Vec<&str> = answer
                .text
                .split("href=\"")
                .skip(1)
                .map(|rest| rest.split('"').next().expect("quoted"))
                .collect();
            assert_eq!(links.len(), 2, "to the icon, and to the plain page");
            script(&app, &answer.text, "/meet/hansard").await;
            for link in links {
                assert!(link.starts_with("/meet/hansard/"), "{link}");
                let there = app
                    .send(request("GET", link, &[("cookie", &cookie)], None))
                    .await;
                assert_eq!(there.status, 200, "{link}");
            }
        }
    }
    let docs = app
        .send(request("GET", "/meet/hansard/docs", &[], None))
        .await;
    assert_eq!(
        (docs.status, docs.header("location")),
        (308, "/meet/hansard/docs/")
    );
    let start = app
        .send(request(
            "GET",
            "/meet/hansard/docs/swagger-initializer.js",
            &[],
            None,
        ))
        .await;
    assert!(
        start.text.contains("\"../v1/openapi.json\""),
        "{}",
        start.text
    );
    let document = app
        .send(request("GET", "/meet/hansard/v1/openapi.json", &[], None))
        .await
        .expect(200);
    assert_eq!(
        document["servers"][0]["url"],
        "https://example.org/meet/hansard"
    );
    app.send(request("GET", "/meet/hansardly/v1/openapi.json", &[], None))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn the_cookie_is_a_session_and_nothing_else() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let (_, cookie) = open(&app, ana).await;
    app.send(request("GET", "/v1/meetings", &[("cookie", &cookie)], None))
        .await
        .expect(200);
    let body = Some(json!({"hostId": ana}));
    let post = |origin: &'static str| {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        request("POST", "/v1/meetings", &headers, body.clone())
    };
    app.send(post(PUBLIC_URL)).await.expect(201);
    app.send(post("https://evil.example.org"))
        .await
        .problem(401, "unauthorized");
    app.send(post("null")).await.problem(401, "unauthorized");
    let stolen = format!("{COOKIE}={}", app.key);
    app.send(request("GET", "/v1/meetings", &[("cookie", &stolen)], None))
        .await
        .problem(401, "unauthorized");
}
