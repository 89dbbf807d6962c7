//! The OpenAPI document, made from the code, and the page that shows it.

use super::{
    asyncapi,
    problem::{self, KINDS, ProblemBody},
    schema::{self, SCHEMAS},
    state::Shared,
    token::COOKIE,
};
use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

/// Before the name of what a page has, in the name of the page.
const PAGE: &str = "Page_";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hansard",
        description = "Records meetings and transcribes them live, and keeps nothing of anybody who has not agreed.\n\n\
            Errors are `application/problem+json` (RFC 9457). Lists are `{data, nextCursor}`. POSTs take \
            `Idempotency-Key`. Times are RFC 3339, UTC, milliseconds; ids are UUIDv7.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "meetings", description = "Meetings, who is in them, and links to them"),
        (name = "users", description = "Users and their sessions"),
        (name = "consent", description = "The ConsentLog"),
        (name = "streams", description = "Media in: plain RTP, and WebRTC by WHIP"),
        (name = "recordings", description = "Files and transcripts"),
    ),
    components(schemas(ProblemBody)),
)]
struct Base;

/// The operations of each noun. Apart, because merging them lets the later of two schemas of one
/// name win without a word: a test holds them against each other.
pub fn parts() -> Vec<OpenApiRouter<Shared>> {
    vec![
        super::meeting::routes(),
        super::invitation::routes(),
        super::join::routes(),
        super::participant::routes(),
        super::link::routes(),
        super::user::routes(),
        super::erasure::routes(),
        super::personal_data::routes(),
        super::consent::routes(),
        super::stream::routes(),
        super::whip::routes(),
        super::meeting_token::routes(),
        super::recording::routes(),
        super::peaks::routes(),
        super::deletion::routes(),
        super::redaction::routes(),
        super::restore::routes(),
        super::meeting_change::routes(),
        super::transcript::routes(),
        super::correction::routes(),
        super::glossary::routes(),
        super::tenant::routes(),
        super::hold::routes(),
    ]
}

/// The operations of the REST API, with their handlers.
pub fn operations() -> OpenApiRouter<Shared> {
    parts().into_iter().fold(
        OpenApiRouter::with_openapi(Base::openapi()),
        OpenApiRouter::merge,
    )
}

/// The OpenAPI 3.1 document. What all operations share (credentials, problems, the idempotency
/// header) is added here, by rule, so that no operation can forget it.
pub fn document() -> Value {
    let made = operations().into_openapi();
    let mut document = serde_json::to_value(made).unwrap_or_default();
    document["servers"] = servers("/");
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "An API key, session token, link secret, join, resume or consent token"
        },
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": COOKIE,
            "description": "Set by opening a session's url; counts on GET, and on other methods from this server's own pages"
        }
    });
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            finish(path, method, operation);
        }
    }
    refer_in_pages(&mut document);
    require_nulls(&mut document);
    schema::unwrap_lines(&mut document);
    document
}

/// A page's items are the type of their name: repeated in place they would be another one to
/// generators.
fn refer_in_pages(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let pages: Vec<String> = schemas
        .keys()
        .filter(|name| name.starts_with(PAGE))
        .cloned()
        .collect();
    for page in pages {
        let of = page.trim_start_matches(PAGE).to_owned();
        let reference = json!({"$ref": format!("{SCHEMAS}{of}")});
        let inlined = std::mem::replace(
            &mut schemas[&page]["properties"]["data"]["items"],
            reference.clone(),
        );
        if inlined != reference {
            schemas.entry(of).or_insert(inlined);
        }
    }
}

/// The document as a server shows it: with its own address.
pub fn document_of(public_url: &str) -> Value {
    let mut document = document();
    document["servers"] = servers(public_url);
    document
}

fn servers(url: &str) -> Value {
    json!([{"url": url, "description": "This server"}])
}

/// What is unset is `null` in answers, not left out. In requests both mean the same.
fn require_nulls(document: &mut Value) {
    let mut asked = BTreeSet::new();
    let mut answered = BTreeSet::new();
    for operation in document["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, item)| item.as_object())
        .flatten()
    {
        schema::reach(document, &operation.1["requestBody"], &mut asked);
        schema::reach(document, &operation.1["responses"], &mut answered);
    }
    for name in answered.difference(&asked) {
        schema::require_nulls(&mut document["components"]["schemas"][name], &[]);
    }
}

fn finish(path: &str, method: &str, operation: &mut Value) {
    operation["security"] = json!([{"bearer": []}, {"cookie": []}]);
    // An offer is no command to repeat: sent again, it is a new session.
    if method == "post" && operation["operationId"] != "publishWhip" {
        let header = json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same request with the same key takes effect once (24 hours)",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}
        });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(header),
            None => operation["parameters"] = json!([header]),
        }
    }
    let has_body = operation.get("requestBody").is_some();
    let mut statuses = vec![400, 401, 403, 429, 500, 503];
    if path.contains('{') {
        statuses.push(404);
    }
    if has_body {
        statuses.extend([404, 413, 415, 422]);
    }
    if matches!(method, "post" | "patch") {
        statuses.push(409);
    }
    // Whatever is of a meeting or a recording may have been deleted.
    let deletes = ["deleteRecording", "deleteTranscript", "deleteMeeting"]
        .iter()
        .any(|id| operation["operationId"] == *id);
    let may_be_gone = ["/v1/meetings/{", "/v1/recordings/{"]
        .iter()
        .any(|of| path.starts_with(of));
    if may_be_gone && !deletes {
        statuses.push(410);
    }
    for status in statuses {
        let text = status.to_string();
        if operation["responses"].get(&text).is_none() {
            let mut titles: Vec<&str> = KINDS
                .iter()
                .filter(|(_, of, _)| *of == status)
                .map(|(.., title)| *title)
                .collect();
            if status == 429 {
                // The others are said where they can be.
                titles.truncate(1);
            }
            operation["responses"][text] = json!({"description": titles.join(" · ")});
        }
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let Ok(number) = status.parse::<u16>() else {
            continue;
        };
        if number < 400 {
            continue;
        }
        if let Some((name, _, title)) = KINDS.iter().find(|(_, of, _)| *of == number) {
            let mut example = json!({
                "type": format!("/problems/{name}"), "title": title, "status": number, "detail": title
            });
            if number == 422 {
                example["errors"] =
                    json!([{"pointer": "/settings/recording", "detail": "unknown variant `loud`"}]);
            }
            response["content"] = json!({problem::MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"}, "example": example
            }});
        }
        if matches!(number, 429 | 503) {
            response["headers"] = json!({"Retry-After": {
                "description": "Seconds", "schema": {"type": "integer", "minimum": 1}
            }});
        }
    }
}

/// The document as it is committed.
pub fn text() -> String {
    schema::text(&document())
}

/// `/v1/openapi.json`, `/v1/asyncapi.json`, and the page `/docs`, which loads nothing from
/// elsewhere.
pub fn routes(public_url: &str, signal_url: &str) -> Router<Shared> {
    let document: Arc<Value> = Arc::new(document_of(public_url));
    let signaling: Arc<Value> = Arc::new(asyncapi::document_of(signal_url));
    // What follows the authority: a proxy in front may have put us below a path.
    let path = public_url
        .splitn(4, '/')
        .nth(3)
        .map(|path| format!("/{path}"))
        .unwrap_or_default();
    Router::new()
        .route(
            "/v1/openapi.json",
            get(async move || Json(document.as_ref().clone())),
        )
        .route(
            "/v1/asyncapi.json",
            get(async move || Json(signaling.as_ref().clone())),
        )
        .route(
            "/docs",
            get(async move || Redirect::permanent(&format!("{path}/docs/"))),
        )
        .route("/docs/", get(async || page("")))
        .route(
            "/docs/{*file}",
            get(async |Path(file): Path<String>| page(&file)),
        )
}

fn page(file: &str) -> Response {
    let config = Arc::new(Config::from("../v1/openapi.json"));
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(file)) => {
            // Swagger UI writes style attributes and draws its icons from data URLs; its scripts
            // are files.
            let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            let mut response = file.bytes.into_response();
            let headers = response.headers_mut();
            if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(policy),
            );
            headers.insert(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
            if file.gzpipped {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => problem::Problem::not_found("page").into_response(),
        Err(error) => problem::Problem::internal(error).into_response(),
    }
}
