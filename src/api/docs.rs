//! The OpenAPI document, made from the code, and the page that shows it.

use super::{
    auth::COOKIE,
    problem::{self, KINDS, ProblemBody},
    state::Shared,
};
use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

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
        (name = "streams", description = "Plain RTP in"),
        (name = "recordings", description = "Files and transcripts"),
    ),
    components(schemas(ProblemBody)),
)]
struct Base;

/// The operations of the REST API, with their handlers.
pub fn operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Base::openapi())
        .merge(super::meeting::routes())
        .merge(super::join::routes())
        .merge(super::participant::routes())
        .merge(super::link::routes())
        .merge(super::user::routes())
        .merge(super::consent::routes())
        .merge(super::stream::routes())
        .merge(super::recording::routes())
        .merge(super::transcript::routes())
}

/// The OpenAPI 3.1 document. What all operations share (credentials, problems, the idempotency header) is added here, by
/// rule, so that no operation can forget it.
pub fn document() -> Value {
    let made = operations().into_openapi();
    let mut document = serde_json::to_value(made).unwrap_or_default();
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
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            finish(path, method, operation);
        }
    }
    document
}

fn finish(path: &str, method: &str, operation: &mut Value) {
    operation["security"] = json!([{"bearer": []}, {"cookie": []}]);
    if method == "post" {
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
    let mut statuses = vec![400, 401, 403, 500, 503];
    if path.contains('{') {
        statuses.push(404);
    }
    if has_body {
        statuses.extend([404, 413, 415, 422]);
    }
    if method == "post" {
        statuses.push(409);
    }
    for status in statuses {
        let text = status.to_string();
        if operation["responses"].get(&text).is_none() {
            let titles: Vec<&str> = KINDS.iter().filter(|(_, of, _)| *of == status).map(|(.., title)| *title).collect();
            operation["responses"][text] = json!({"description": titles.join(" · ")});
        }
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let Ok(number) = status.parse::<u16>() else { continue };
        if number < 400 {
            continue;
        }
        if let Some((name, _, title)) = KINDS.iter().find(|(_, of, _)| *of == number) {
            let mut example = json!({
                "type": format!("/problems/{name}"), "title": title, "status": number, "detail": title
            });
            if number == 422 {
                example["errors"] = json!([{"pointer": "/settings/recording", "detail": "unknown variant `loud`"}]);
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

/// The document as it is committed: sorted, two spaces, a line end.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// `/v1/openapi.json` and the page `/docs`, which loads nothing from elsewhere.
pub fn routes() -> Router<Shared> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
    Router::new()
        .route("/v1/openapi.json", get(async || Json(&*DOCUMENT)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page("")))
        .route("/docs/{*file}", get(async |Path(file): Path<String>| page(&file)))
}

fn page(file: &str) -> Response {
    let config = Arc::new(Config::from("/v1/openapi.json"));
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(file)) => {
            // Swagger UI writes style attributes and draws its icons from data URLs; its scripts are files.
            let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            let mut response = file.bytes.into_response();
            let headers = response.headers_mut();
            if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if file.gzpipped {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => problem::Problem::not_found("page").into_response(),
        Err(error) => problem::Problem::internal(error).into_response(),
    }
}
