//! A session's one-time `url`: a page with a button, which sets a cookie and opens the host's
//! pages.

use super::{
    answer, failed,
    language::{Language, Texts},
};
use crate::{
    api::{body::Path, problem::Problem, secret::Secret, state::Shared, token::COOKIE},
    store::{self, user},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

pub fn routes() -> Router<Shared> {
    Router::new().route("/s/{code}", get(offer).post(open))
}

/// Shows the button that uses a code up. Reading changes nothing: mail scanners, link previews and
/// browsers that load ahead read links before a person does.
async fn offer(
    State(state): State<Shared>,
    Language(texts): Language,
    Path(code): Path<String>,
) -> Response {
    match waits(&state, &code).await {
        Ok(true) => {
            let title = texts.your_meetings;
            let body = format!(
                "<h1>{title}</h1><p>{}</p>\
                 <form method=\"post\"><button autofocus>{}</button></form>",
                texts.opens_once, texts.open
            );
            answer(&state, StatusCode::OK, texts, title, &body)
        }
        Ok(false) => used(&state, texts),
        Err(problem) => failed(&state, texts, &problem),
    }
}

async fn waits(state: &Shared, code: &str) -> Result<bool, Problem> {
    let Some(secret) = Secret::parse(Secret::CODE, code) else {
        return Ok(false);
    };
    let hash = secret.hash();
    let mut tx = state.store.secret_tx(&hash).await?;
    Ok(user::code_waits(&mut tx, &hash).await?)
}

fn used(state: &Shared, texts: &Texts) -> Response {
    let text = format!("<h1>{}</h1><p>{}</p>", texts.used, texts.ask_anew);
    answer(state, StatusCode::GONE, texts, texts.used, &text)
}

/// Uses a one-time code up and sets the cookie.
async fn open(
    State(state): State<Shared>,
    Language(texts): Language,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Response {
    // Another site's page may not sign a browser in as somebody else.
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
    {
        let elsewhere = Problem::forbidden("the button is on our own page");
        return failed(&state, texts, &elsewhere);
    }
    match take(&state, &code).await {
        Ok(Some(cookie)) => {
            let to = format!("{}/host", state.address.path());
            let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
            let headers = response.headers_mut();
            headers.insert(header::SET_COOKIE, cookie);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            );
            response
        }
        Ok(None) => used(&state, texts),
        Err(problem) => failed(&state, texts, &problem),
    }
}

async fn take(state: &Shared, code: &str) -> Result<Option<HeaderValue>, Problem> {
    let Some(secret) = Secret::parse(Secret::CODE, code) else {
        return Ok(None);
    };
    let hash = secret.hash();
    let mut tx = state.store.secret_tx(&hash).await?;
    let Some(tenant) = user::code_tenant(&mut tx, &hash).await? else {
        return Ok(None);
    };
    store::enter(&mut tx, tenant).await?;
    let Some((user, until)) = user::take_code(&mut tx, &hash).await? else {
        return Ok(None);
    };
    tx.commit().await?;
    let now = state.clock.now();
    let left_s = (until - now).num_seconds();
    if left_s < 1 {
        return Ok(None);
    }
    let minted = state.keys.mint_session(tenant, user, left_s, now);
    let secure = if state.address.is_https() {
        "; Secure"
    } else {
        ""
    };
    let path = match state.address.path() {
        "" => "/",
        path => path,
    };
    let cookie = format!(
        "{COOKIE}={}; Path={path}; Max-Age={left_s}; HttpOnly; SameSite=Lax{secure}",
        minted.token
    );
    Ok(Some(
        HeaderValue::from_str(&cookie).map_err(Problem::internal)?,
    ))
}
